import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { goldenSet } from '../../log/testing-logs.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { BatchBuilder, endTransactionMarker, recordsOf } from '../../protocol/records/index.ts'
import { encodeOffsetKey } from './formats.ts'
import { GroupLoader } from './group-loader.ts'
import { HOUR, MemoryStateTopic, SECOND, TestCoordinator } from './testing-groups.ts'

const G = new TestCoordinator().coordinator.partitionFor('g')

function marker(topic: MemoryStateTopic, producerId: number, commit: boolean): void {
  topic.put(G, endTransactionMarker({ commit, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 0 }))
}

/** A broker that becomes coordinator of everything in the topic. */
async function successor(topic: MemoryStateTopic, clock = new TestCoordinator().clock): Promise<TestCoordinator> {
  return new TestCoordinator({}, topic, clock, 2).start()
}

/** A Stable group of one member, generation 1, that holds `X`. */
async function oneMember(): Promise<{ test: TestCoordinator; memberId: string }> {
  const test = await new TestCoordinator().start()
  const joining = test.join()
  test.clock.advanceSync(10)
  const { memberId } = joining.answer!
  test.sync(memberId, 1, { [memberId]: 'X' })
  return { test, memberId }
}

describe('offsets', () => {
  it('an offset is visible when it is replicated, not before', async () => {
    const test = await new TestCoordinator().start()
    test.topic.hold = true
    const first = test.commit(5)
    const second = test.commit(6)
    assert.deepEqual([first.error, test.fetch()], [undefined, -1])
    test.topic.release(0, 1)
    assert.deepEqual([first.error, second.error, test.fetch()], [0, undefined, 5])
    test.topic.release(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    assert.deepEqual([second.error, test.fetch()], [ErrorCode.COORDINATOR_NOT_AVAILABLE, 5])
  })

  it('a fenced producer is told so; its offsets do not wait for a marker, and the next ones of its id do', async () => {
    const test = await new TestCoordinator().start()
    test.commit(5)
    test.topic.error = ErrorCode.INVALID_PRODUCER_EPOCH
    assert.equal(test.commitInTransaction(9, 77).error, ErrorCode.INVALID_PRODUCER_EPOCH)
    test.topic.error = 0
    test.coordinator.completeTransaction(77, [G], true)
    assert.equal(test.fetch(), 5)
    assert.equal(test.commitInTransaction(6, 77).error, 0)
    test.coordinator.completeTransaction(77, [G], true)
    assert.equal(test.fetch(), 6)
  })

  it('offsets.commit.required.acks decides for offsets and groups who is waited for; tombstones for nobody', async () => {
    for (const acks of [-1, 1]) {
      const test = await new TestCoordinator({ commitRequiredAcks: acks }).start()
      test.commit(5)
      test.commitInTransaction(6, 77)
      const joining = test.join()
      test.clock.advanceSync(10)
      const { memberId } = joining.answer!
      test.sync(memberId, 1, { [memberId]: 'X' })
      test.coordinator.leave('g', memberId)
      test.coordinator.deleteGroups(['g'])
      const records = [1, 1, 1, 1, 2].map((count) => `${count} record(s)`)
      assert.deepEqual(
        test.topic.appended,
        records.map((what, i) => `__consumer_offsets-${G}: ${what}, acks ${i === 4 ? 0 : acks}`),
      )
    }
  })

  it('all offsets of a request are one batch, with sequences from 0 as 1.1 writes them', async () => {
    const test = await new TestCoordinator().start()
    const now = test.clock.wall()
    const offsets = [0, 1, 2].map((partition) => ({
      topic: 't',
      partition,
      offset: 9,
      metadata: '',
      commitTimestamp: now,
      expireTimestamp: now + HOUR,
    }))
    test.coordinator.commitOffsets({ groupId: 'g', generationId: -1, memberId: '', offsets }, () => {})
    assert.equal(test.topic.logs[G]!.length, 1)
    assert.deepEqual(
      [...recordsOf(test.topic.logs[G]![0]!, 0)].map(({ sequence }) => sequence),
      [0, 1, 2],
    )
  })

  it('too long metadata refuses its own offset only', async () => {
    const test = await new TestCoordinator({ offsetMetadataMaxLength: 3 }).start()
    const offset = { topic: 't', offset: 1, commitTimestamp: 0, expireTimestamp: test.clock.wall() + HOUR }
    const offsets = ['abc', 'abcd'].map((metadata, partition) => ({ ...offset, partition, metadata }))
    let errors: readonly number[] = []
    test.coordinator.commitOffsets({ groupId: 'g', generationId: -1, memberId: '', offsets }, (given) => {
      errors = given
    })
    assert.deepEqual(errors, [0, ErrorCode.OFFSET_METADATA_TOO_LARGE])
    assert.deepEqual(
      test.coordinator.fetchOffsets('g', null).offsets.map(({ partition }) => partition),
      [0],
    )
  })

  it('expired offsets go, and with the last one the group, for good', async () => {
    const test = await new TestCoordinator({ retentionCheckIntervalMs: 60 * SECOND }).start()
    test.commit(1, { expireTimestamp: test.clock.wall() + 90 * SECOND })
    test.clock.advanceSync(61 * SECOND)
    assert.equal(test.fetch(), 1)
    test.clock.advanceSync(60 * SECOND)
    assert.deepEqual([test.fetch(), test.coordinator.numGroups], [-1, 0])
    const last = [...recordsOf(test.topic.logs[G]!.at(-1)!, 0)]
    assert.deepEqual(
      [last.length, last[0]!.key, last[0]!.value],
      [1, encodeOffsetKey('g', 't', 0), null],
      'no group tombstone: generation 0',
    )
    assert.equal((await successor(test.topic)).coordinator.numGroups, 0)
  })

  it('deleting a group of a later generation takes its record too', async () => {
    const { test, memberId } = await oneMember()
    test.commit(3, { memberId, generationId: 1 })
    assert.equal(test.coordinator.deleteGroups(['g']).get('g'), ErrorCode.NON_EMPTY_GROUP)
    test.coordinator.leave('g', memberId)
    assert.equal(test.coordinator.deleteGroups(['g']).get('g'), ErrorCode.NONE)
    assert.equal([...recordsOf(test.topic.logs[G]!.at(-1)!, 0)].length, 2)
    assert.equal((await successor(test.topic)).coordinator.describe('g').state, 'Dead')
  })

  it('offsets of deleted topics go, also while their commit is being replicated', async () => {
    const test = await new TestCoordinator().start()
    test.commit(1)
    test.topic.hold = true
    const late = test.commit(2)
    test.coordinator.partitionsDeleted([{ topic: 't', partition: 0 }])
    test.topic.release()
    assert.deepEqual([late.error, test.fetch()], [0, -1])
  })
})

describe('offsets of transactions', () => {
  it('whose append timed out count all the same when the transaction commits: they are in the log', async () => {
    const test = await new TestCoordinator().start()
    test.topic.hold = true
    const committing = test.commitInTransaction(7, 1)
    test.topic.release(ErrorCode.REQUEST_TIMED_OUT)
    assert.equal(committing.error, ErrorCode.REQUEST_TIMED_OUT)
    test.coordinator.completeTransaction(1, [G], true)
    assert.equal(test.fetch(), 7)
  })

  it('a marker of another partition does not concern them', async () => {
    const test = await new TestCoordinator().start()
    test.commitInTransaction(7, 1)
    test.coordinator.completeTransaction(1, [(G + 1) % 4], true)
    assert.equal(test.fetch(), -1)
    test.coordinator.completeTransaction(1, [G], true)
    assert.equal(test.fetch(), 7)
  })

  it('stay open across a failover until their marker comes', async () => {
    const test = await new TestCoordinator().start()
    test.commit(1)
    test.commitInTransaction(7, 1)
    test.commitInTransaction(8, 2)
    const next = await successor(test.topic)
    assert.equal(next.fetch(), 1)
    next.coordinator.completeTransaction(2, [G], false)
    next.coordinator.completeTransaction(1, [G], true)
    assert.equal(next.fetch(), 7)
  })

  it('are decided by markers in the log', async () => {
    const test = await new TestCoordinator().start()
    test.commitInTransaction(7, 1)
    test.commit(9)
    marker(test.topic, 1, true)
    test.commitInTransaction(10, 2)
    marker(test.topic, 2, false)
    assert.equal((await successor(test.topic)).fetch(), 9, 'the commit of 7 lies before that of 9')
  })

  it('and by one that comes while the partition is loaded', async () => {
    const test = await new TestCoordinator().start()
    test.commitInTransaction(7, 1)
    test.topic.holdLoads = true
    const next = await successor(test.topic)
    next.coordinator.completeTransaction(1, [G], true)
    test.topic.releaseLoads()
    await next.clock.advance(0)
    assert.equal(next.fetch(), 7)
  })
})

describe('moving', () => {
  it('a group goes on where it was, with a fresh session for its members', async () => {
    const { test, memberId } = await oneMember()
    test.commit(4, { memberId, generationId: 1 })
    const next = await successor(test.topic, test.clock)
    const { state, members, protocolType, protocol } = next.coordinator.describe('g')
    assert.deepEqual({ state, protocolType, protocol }, { state: 'Stable', protocolType: 'consumer', protocol: 'range' })
    assert.equal(members[0]!.assignment.toString(), 'X')
    assert.equal(next.coordinator.heartbeat('g', memberId, 1), ErrorCode.NONE)
    assert.equal(next.commit(5, { memberId, generationId: 1 }).error, ErrorCode.NONE)
    assert.equal(next.join({ memberId }).answer?.generationId, 2)
    test.clock.advanceSync(10 * SECOND + 10)
    assert.equal(next.coordinator.describe('g').state, 'Empty')
  })

  it('a partition is not ours while it is loaded first, and loading when it was ours before', async () => {
    const topic = new MemoryStateTopic()
    topic.holdLoads = true
    const test = await new TestCoordinator({}, topic).start()
    assert.equal(test.coordinator.heartbeat('g', 'm', 1), ErrorCode.NOT_COORDINATOR)
    assert.equal(test.coordinator.list().error, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    topic.releaseLoads()
    await test.clock.advance(0)
    assert.equal(test.coordinator.list().error, ErrorCode.NONE)
    assert.equal(test.commit(1).error, ErrorCode.NONE)
    test.coordinator.onElection(G, 3)
    assert.equal(test.commit(2).error, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    topic.releaseLoads()
    await test.clock.advance(0)
    assert.equal(test.fetch(), 1)
  })

  it('an election without another leader in between changes nothing', async () => {
    const { test, memberId } = await oneMember()
    test.topic.holdLoads = true
    test.coordinator.onElection(G, 1)
    assert.equal(test.coordinator.heartbeat('g', memberId, 1), ErrorCode.NONE)
    assert.equal(test.coordinator.describe('g').state, 'Stable')
  })

  it('a load that ends after the partition went has no effect', async () => {
    const { test } = await oneMember()
    test.topic.holdLoads = true
    const next = await successor(test.topic)
    next.coordinator.onResignation(G)
    test.topic.releaseLoads()
    await next.clock.advance(0)
    assert.equal(next.coordinator.numGroups, 0)
    assert.equal(next.coordinator.describe('g').error, ErrorCode.NOT_COORDINATOR)
  })

  it('a record that cannot be read is left out, and the others are kept', async () => {
    const test = await new TestCoordinator().start()
    test.commit(1)
    const later = new BatchBuilder().append(0, Buffer.from('000900', 'hex'), Buffer.from('00')).append(0, null, Buffer.from('00'))
    test.topic.put(G, later.append(0, encodeOffsetKey('g', 't', 1), Buffer.from('0009', 'hex')).build())
    const next = await successor(test.topic)
    assert.equal(next.fetch(), 1)
    assert.equal(next.lines.filter((line) => line.includes('left out')).length, 3)
  })

  it('what a genuine broker left in its topic is loaded', () => {
    const files = goldenSet('clean')
    const groupsOf = (partition: number) => {
      const loader = new GroupLoader(24 * HOUR, { error: (line: string) => assert.fail(line) } as never)
      const segment = files.get(`__consumer_offsets-${partition}/00000000000000000000.log`)
      assert.ok(segment, 'no such segment')
      loader.visit(segment)
      return loader.groups().map((group) => {
        const offsets = [...group.offsets.all()].map(
          ({ topic, partition: of, offset, metadata }) => `${topic}-${of} ${offset} ${metadata}`,
        )
        return {
          group: group.groupId,
          state: group.state,
          generation: group.generationId,
          type: group.protocolType,
          offsets: offsets.sort(),
        }
      })
    }
    assert.deepEqual(groupsOf(0), [
      { group: 'g1', state: 'Empty', generation: 2, type: 'consumer', offsets: ['m2-gzip-0 11 ', 'm2-none-0 4 metadata of g1'] },
      { group: 'g-txn', state: 'Empty', generation: 0, type: undefined, offsets: ['m2-none-0 5 in a transaction'] },
    ])
    assert.deepEqual(
      groupsOf(1).map(({ group, generation }) => [group, generation]),
      [['g0', 2]],
    )
  })
})
