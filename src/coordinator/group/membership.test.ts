import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ErrorCode } from '../../protocol/errors.ts'
import { SECOND, TestCoordinator } from './testing-groups.ts'

const protocol = (...names: string[]) => names.map((name) => ({ name, metadata: Buffer.from(`of ${name}`) }))

/** Not a comparison in the test itself: the compiler would take it for the last word. */
const isWaiting = (box: { readonly answer: unknown }): boolean => box.answer === undefined

/** A Stable group of as many members; ids in order of joining, the first leads. */
async function stableGroup(size: number, config = {}): Promise<{ test: TestCoordinator; ids: string[]; generation: number }> {
  const test = await new TestCoordinator(config).start()
  const ids: string[] = []
  let generation = 0
  for (let i = 0; i < size; i++) {
    const joining = test.join()
    const again = ids.map((memberId) => test.join({ memberId }))
    test.clock.advanceSync(10)
    assert.equal(joining.answer?.error, ErrorCode.NONE)
    ids.push(joining.answer.memberId)
    generation = joining.answer.generationId
    assert.ok(again.every(({ answer }) => answer?.generationId === generation))
  }
  for (const id of [...ids].reverse())
    test.sync(id, generation, id === ids[0] ? Object.fromEntries(ids.map((member, n) => [member, `part ${n}`])) : {})
  assert.equal(test.coordinator.describe('g').state, 'Stable')
  return { test, ids, generation }
}

describe('joining', () => {
  it('newcomers extend the initial delay of a new group until the rebalance timeout is used up', async () => {
    const test = await new TestCoordinator({ initialRebalanceDelayMs: 3 * SECOND }).start()
    const first = test.join({ rebalanceTimeoutMs: 8 * SECOND })
    test.clock.advanceSync(2 * SECOND)
    const second = test.join({ rebalanceTimeoutMs: 8 * SECOND })
    test.clock.advanceSync(3.5 * SECOND)
    assert.ok(isWaiting(first), 'the second one bought another 3 s')
    const third = test.join({ rebalanceTimeoutMs: 8 * SECOND })
    test.clock.advanceSync(2 * SECOND)
    assert.ok(isWaiting(first))
    test.clock.advanceSync(0.6 * SECOND)
    assert.equal(first.answer?.members.length, 3, '8 s after the first join')
    assert.deepEqual([second.answer?.members.length, third.answer?.generationId], [0, 1])
  })

  it('an emptied group waits the delay once', async () => {
    const test = await new TestCoordinator({ initialRebalanceDelayMs: 3 * SECOND }).start()
    const first = test.join()
    test.clock.advanceSync(3 * SECOND + 10)
    test.coordinator.leave('g', first.answer!.memberId)
    assert.equal(test.coordinator.describe('g').state, 'Empty')
    const second = test.join()
    test.clock.advanceSync(2 * SECOND)
    const third = test.join()
    test.clock.advanceSync(1 * SECOND + 10)
    assert.deepEqual([second.answer?.generationId, third.answer?.generationId], [3, 3])
  })

  it('a group whose first members have gone before its delay ends becomes Empty, and takes no member without protocols', async () => {
    const test = await new TestCoordinator({ initialRebalanceDelayMs: 3 * SECOND }).start()
    const first = test.join()
    assert.equal(test.coordinator.leave('g', test.coordinator.describe('g').members[0]!.memberId), ErrorCode.NONE)
    assert.equal(first.answer?.error, ErrorCode.UNKNOWN_MEMBER_ID, 'who leaves while its join waits is told so')
    const bad = test.join({ protocols: [] })
    assert.equal(bad.answer?.error, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    test.clock.advanceSync(4 * SECOND)
    assert.equal(test.coordinator.describe('g').state, 'Empty')
  })

  it('the rebalance timeout removes members that do not join again', async () => {
    const { test, ids } = await stableGroup(2)
    const third = test.join({ rebalanceTimeoutMs: 30 * SECOND })
    const leader = test.join({ memberId: ids[0]! })
    for (let waited = 0; waited < 29; waited++) {
      test.clock.advanceSync(SECOND)
      assert.equal(test.coordinator.heartbeat('g', ids[1]!, 2), ErrorCode.REBALANCE_IN_PROGRESS)
    }
    assert.ok(isWaiting(third))
    test.clock.advanceSync(SECOND + 10)
    assert.equal(third.answer?.generationId, 3)
    assert.deepEqual(
      leader.answer?.members.map(({ memberId }) => memberId),
      [ids[0], third.answer.memberId],
    )
    assert.equal(test.coordinator.heartbeat('g', ids[1]!, 3), ErrorCode.UNKNOWN_MEMBER_ID)
  })

  it('members vote for the first protocol that all know', async () => {
    const test = await new TestCoordinator({ initialRebalanceDelayMs: 100 }).start()
    const joins = [protocol('a', 'b', 'c'), protocol('c', 'b'), protocol('b', 'c')].map((protocols) => test.join({ protocols }))
    test.clock.advanceSync(400)
    assert.deepEqual(
      joins.map(({ answer }) => answer?.protocol),
      ['b', 'b', 'b'],
    )
    assert.deepEqual(
      joins[0]!.answer!.members.map(({ metadata }) => metadata.toString()),
      ['of b', 'of b', 'of b'],
    )
    assert.equal(test.join({ protocols: protocol('a') }).answer?.error, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  })
})

describe('assigning', () => {
  it('everybody gets what the leader gave once it is stored', async () => {
    const { test, ids, generation } = await stableGroup(3)
    assert.deepEqual(
      ids.map((id) => test.sync(id, generation).answer),
      ['0 part 0', '0 part 1', '0 part 2'],
    )
  })

  it('a join while the assignment is being written makes it void', async () => {
    const { test, ids } = await stableGroup(1)
    test.topic.hold = true
    const again = test.join({ memberId: ids[0]!, protocols: protocol('range') })
    const sync = test.sync(ids[0]!, again.answer!.generationId, { [ids[0]!]: 'X' })
    assert.ok(isWaiting(sync))
    const second = test.join()
    assert.equal(sync.answer, `${ErrorCode.REBALANCE_IN_PROGRESS} `)
    test.topic.release()
    assert.equal(test.coordinator.describe('g').state, 'PreparingRebalance')
    const leader = test.join({ memberId: ids[0]! })
    assert.deepEqual([leader.answer?.generationId, second.answer?.generationId], [3, 3])
    const late = test.sync(ids[0]!, 3, { [ids[0]!]: 'Y' })
    test.topic.release()
    assert.equal(late.answer, '0 Y')
  })

  it('when the leader goes, the next one leads', async () => {
    const { test, ids } = await stableGroup(3)
    assert.equal(test.coordinator.leave('g', ids[0]!), ErrorCode.NONE)
    const joins = ids.slice(1).map((memberId) => test.join({ memberId }))
    assert.deepEqual(
      joins.map(({ answer }) => answer?.leaderId),
      [ids[1], ids[1]],
    )
    assert.deepEqual(
      joins.map(({ answer }) => answer?.members.length),
      [2, 0],
    )
  })

  it('a leader that never syncs is expired, and the others go on', async () => {
    const { test, ids } = await stableGroup(2)
    const joins = ids.map((memberId) => test.join({ memberId }))
    assert.equal(joins[1]!.answer?.generationId, 3)
    const waiting = test.sync(ids[1]!, 3)
    test.clock.advanceSync(9 * SECOND)
    assert.ok(isWaiting(waiting))
    test.clock.advanceSync(1 * SECOND + 10)
    assert.equal(waiting.answer, `${ErrorCode.REBALANCE_IN_PROGRESS} `, 'the leader is out')
    assert.equal(test.join({ memberId: ids[1]! }).answer?.leaderId, ids[1])
  })
})

describe('staying alive', () => {
  it('heartbeats and commits renew the session, and nothing else but its end removes a member', async () => {
    const { test, ids, generation } = await stableGroup(2)
    for (let i = 0; i < 5; i++) {
      test.clock.advanceSync(9 * SECOND)
      assert.equal(test.coordinator.heartbeat('g', ids[0]!, generation), ErrorCode.NONE)
      assert.equal(test.commit(i, { memberId: ids[1]!, generationId: generation }).error, ErrorCode.NONE)
    }
    test.clock.wallOffset += 3_600_000
    test.clock.advanceSync(9 * SECOND)
    assert.equal(test.coordinator.describe('g').state, 'Stable', 'a jump of the wall clock is no time')
    test.coordinator.heartbeat('g', ids[0]!, generation)
    test.clock.advanceSync(SECOND + 10)
    assert.equal(test.coordinator.describe('g').state, 'PreparingRebalance')
    assert.equal(test.coordinator.heartbeat('g', ids[1]!, generation), ErrorCode.UNKNOWN_MEMBER_ID)
    assert.equal(test.coordinator.heartbeat('g', ids[0]!, generation), ErrorCode.REBALANCE_IN_PROGRESS)
  })

  it('who waits for an answer of ours is not expired', async () => {
    const { test, ids, generation } = await stableGroup(2)
    const waiting = test.join({ rebalanceTimeoutMs: 60 * SECOND })
    test.join({ memberId: ids[0]! })
    for (let i = 0; i < 10; i++) {
      test.clock.advanceSync(5 * SECOND)
      assert.equal(test.coordinator.heartbeat('g', ids[1]!, generation), ErrorCode.REBALANCE_IN_PROGRESS)
    }
    assert.equal(test.coordinator.describe('g').members.length, 3)
    assert.ok(isWaiting(waiting))
  })

  it('when another broker leads, who waits is sent there', async () => {
    const { test, ids } = await stableGroup(2)
    const joining = test.join()
    test.coordinator.onResignation(test.coordinator.partitionFor('g'))
    assert.equal(joining.answer?.error, ErrorCode.NOT_COORDINATOR)
    assert.equal(test.coordinator.heartbeat('g', ids[0]!, 2), ErrorCode.NOT_COORDINATOR)
    test.clock.advanceSync(60 * SECOND)
    assert.equal(test.coordinator.numGroups, 0)
  })

  it('a parked SyncGroup too', async () => {
    const { test, ids } = await stableGroup(2)
    for (const memberId of ids) test.join({ memberId })
    const syncing = test.sync(ids[1]!, 3)
    test.coordinator.onResignation(test.coordinator.partitionFor('g'))
    assert.equal(syncing.answer, `${ErrorCode.NOT_COORDINATOR} `)
  })
})
