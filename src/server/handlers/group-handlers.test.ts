import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coordinatorPartition } from '../../base/murmur2.ts'
import { MemoryStateTopic, TestCoordinator } from '../../coordinator/group/testing-groups.ts'
import { settle } from '../../ports/memory/virtual-clock.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { javaAddress } from '../java-address.ts'
import type { BrokerServices } from '../request-types.ts'
import { offsetCommit } from './08-offset-commit.ts'
import { offsetFetch } from './09-offset-fetch.ts'
import { findCoordinator } from './10-find-coordinator.ts'
import { joinGroup } from './11-join-group.ts'
import { deleteGroups } from './42-delete-groups.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'
import { TestZk } from './testing-zk.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Offsets in ZooKeeper. */
class OffsetsZk extends TestZk {
  readonly offsets = new Map<string, number>()
  isBroken = false
  setConsumerOffset = async (group: string, { topic, partition }: { topic: string; partition: number }, offset: number) => {
    if (this.isBroken) throw new Error('connection lost')
    this.offsets.set(`${group} ${topic}-${partition}`, offset)
  }
  getConsumerOffsets = async (group: string, partitions: readonly { topic: string; partition: number }[]) => {
    if (this.isBroken) throw new Error('connection lost')
    const names = partitions.map(({ topic, partition }) => `${topic}-${partition}`)
    return new Map(
      names.flatMap((name) =>
        this.offsets.has(`${group} ${name}`) ? [[name, this.offsets.get(`${group} ${name}`)!] as const] : [],
      ),
    )
  }
}

async function broker(settings: Record<string, string> = {}) {
  const groups = await new TestCoordinator({}, new MemoryStateTopic(50)).start()
  const zk = new OffsetsZk()
  const parts = { zk, groups: groups.coordinator, clock: groups.clock } as unknown as Partial<BrokerServices>
  const made = testBroker(settings, parts)
  updateMetadata(made.cache, { t: [{ leader: 0, replicas: [0] }] })
  return { ...made, zk, groups }
}

type Made = Awaited<ReturnType<typeof broker>>

const entry = (offset: number, more = {}) => ({ partition: 0, offset, timestamp: -1, metadata: null, ...more })

function commit({ services }: Made, version: number, partitions: ReturnType<typeof entry>[], more = {}) {
  const request = {
    groupId: 'g',
    generationId: -1,
    memberId: '',
    retentionTime: -1,
    topics: [{ topic: 't', partitions }],
    ...more,
  }
  return call(offsetCommit, services, request, { version })
}

test('the coordinator is the leader of the partition of the key, which is made when it is missing', async () => {
  const made = await broker({ 'offsets.topic.replication.factor': '1' })
  const request = { groupId: 'g', coordinatorKey: '', coordinatorType: 0 }
  const ask = async () => {
    const { response } = await answered(call(findCoordinator, made.services, request, { version: 0 }))
    const { errorCode, coordinator } = response as { errorCode: number; coordinator: unknown }
    return [errorCode, coordinator]
  }
  const nobody = { nodeId: -1, host: '', port: -1 }
  assert.deepEqual(await ask(), [ErrorCode.COORDINATOR_NOT_AVAILABLE, nobody])
  assert.equal(made.zk.topics.get('__consumer_offsets')?.size, 50)
  const partitions = Array.from({ length: 50 }, (_, partition) => ({ leader: partition % 3, replicas: [partition % 3] }))
  updateMetadata(made.cache, { __consumer_offsets: partitions })
  const leader = coordinatorPartition('g', 50) % 3
  assert.deepEqual(await ask(), [ErrorCode.NONE, { nodeId: leader, host: 'localhost', port: 9092 + leader }])
  updateMetadata(
    made.cache,
    {},
    [0, 1, 2].filter((id) => id !== leader),
  )
  assert.deepEqual(await ask(), [ErrorCode.COORDINATOR_NOT_AVAILABLE, nobody], 'it is down')
})

async function answered<T extends { response: unknown }>(made: T): Promise<T> {
  for (let i = 0; i < 20 && made.response === undefined; i++) await settle()
  assert.ok(made.response !== undefined, 'no answer')
  return made
}

test('too few brokers for the internal topic: it is not made', async () => {
  const made = await broker({ 'offsets.topic.replication.factor': '4' })
  const request = { groupId: '', coordinatorKey: 'g', coordinatorType: 0 }
  const { response } = await answered(call(findCoordinator, made.services, request, { version: 1 }))
  assert.equal((response as { errorCode: number }).errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
  assert.equal(made.zk.topics.size, 0)
})

test('when a commit expires: retention of the broker or the request, from now or from the time of version 1', async () => {
  const made = await broker()
  const now = made.groups.clock.wall()
  const expiries: number[] = []
  const original = made.groups.coordinator.commitOffsets.bind(made.groups.coordinator)
  made.groups.coordinator.commitOffsets = (request, done) => {
    expiries.push(request.offsets[0]!.expireTimestamp)
    original(request, done)
  }
  commit(made, 1, [entry(1)])
  commit(made, 1, [entry(1, { timestamp: 5000 })])
  commit(made, 2, [entry(1)])
  const { response } = commit(made, 3, [entry(1)], { retentionTime: HOUR })
  assert.deepEqual(expiries, [now + DAY, 5000 + DAY, now + DAY, now + HOUR])
  assert.deepEqual((response as { responses: unknown }).responses, [
    { topic: 't', partitionResponses: [{ partition: 0, errorCode: ErrorCode.NONE }] },
  ])
})

test('an unknown topic refuses its partitions only; of two entries for one partition the last counts', async () => {
  const made = await broker()
  const topics = [
    { topic: 'nosuch', partitions: [entry(1)] },
    { topic: 't', partitions: [entry(1), entry(2)] },
  ]
  const { response } = commit(made, 3, [], { topics })
  assert.deepEqual((response as { responses: unknown }).responses, [
    { topic: 't', partitionResponses: [{ partition: 0, errorCode: ErrorCode.NONE }] },
    { topic: 'nosuch', partitionResponses: [{ partition: 0, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
  ])
  assert.equal(made.groups.fetch(), 2)
})

test('version 0 keeps offsets in ZooKeeper, apart from the coordinator', async () => {
  const made = await broker()
  await answered(commit(made, 0, [entry(7)]))
  assert.deepEqual([...made.zk.offsets], [['g t-0', 7]])
  assert.equal(made.groups.fetch(), -1)
  const fetch = async () => {
    const request = { groupId: 'g', topics: [{ topic: 't', partitions: [{ partition: 0 }, { partition: 1 }] }] }
    const { response } = await answered(call(offsetFetch, made.services, request, { version: 0 }))
    const { responses } = response as unknown as { responses: { partitionResponses: { offset: number; errorCode: number }[] }[] }
    return responses[0]!.partitionResponses.map(({ offset, errorCode }) => [offset, errorCode])
  }
  const none = [-1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
  assert.deepEqual(await fetch(), [[7, ErrorCode.NONE], none])
  made.zk.isBroken = true
  assert.deepEqual(
    await fetch(),
    [-1, -1].map((offset) => [offset, ErrorCode.UNKNOWN_SERVER_ERROR]),
  )
  const { response } = await answered(commit(made, 0, [entry(8)]))
  assert.match(JSON.stringify(response), /"errorCode":-1/)
})

test('a failure of the group stands in the partitions before version 2, above them since', async () => {
  const made = await broker()
  made.groups.coordinator.onResignation(made.groups.coordinator.partitionFor('g'))
  const fetch = (version: number) => {
    const request = { groupId: 'g', topics: [{ topic: 't', partitions: [{ partition: 0 }] }] }
    return call(offsetFetch, made.services, request, { version }).response as { errorCode: number; responses: unknown[] }
  }
  const refused = { topic: 't', partition: 0, offset: -1, metadata: '', errorCode: ErrorCode.NOT_COORDINATOR }
  assert.deepEqual(fetch(1).responses, [{ topic: 't', partitionResponses: [refused] }])
  assert.deepEqual([fetch(2).errorCode, fetch(2).responses], [ErrorCode.NOT_COORDINATOR, []])
})

test('offsets of a partition that is named twice are fetched once, at its first place', async () => {
  const made = await broker()
  // More than are looked up in one step.
  const ids = Array.from({ length: 200 }, (_, i) => 199 - i)
  const partitions = [...ids, ...ids].map((partition) => ({ partition }))
  const request = { groupId: 'g', topics: ['t', 'u', 't'].map((topic) => ({ topic, partitions })) }
  for (const version of [0, 1]) {
    const { response } = await answered(call(offsetFetch, made.services, request, { version }))
    const { responses } = response as unknown as {
      responses: { topic: string; partitionResponses: { partition: number }[] }[]
    }
    assert.deepEqual(
      responses.map(({ topic, partitionResponses }) => [topic, partitionResponses.map(({ partition }) => partition)]),
      [
        ['t', ids],
        ['u', ids],
      ],
    )
  }
})

test('version 0 of JoinGroup has the session timeout for rebalances', async () => {
  const made = await broker()
  const request = { groupId: 'g', sessionTimeout: 7000, rebalanceTimeout: -1, memberId: '', protocolType: 'consumer' }
  const groupProtocols = [{ protocolName: 'range', protocolMetadata: Buffer.from('x') }]
  const joining = call(joinGroup, made.services, { ...request, groupProtocols }, { version: 0, clientId: 'me' })
  made.groups.clock.advanceSync(10)
  const first = joining.response as unknown as { memberId: string; members: unknown[] }
  assert.match(first.memberId, /^me-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual(first.members, [{ memberId: first.memberId, memberMetadata: Buffer.from('x') }])
  const second = call(joinGroup, made.services, { ...request, groupProtocols }, { version: 0 })
  made.groups.clock.advanceSync(6900)
  assert.equal(second.response, undefined)
  made.groups.clock.advanceSync(110)
  assert.equal((second.response as { errorCode?: number } | undefined)?.errorCode, ErrorCode.NONE)
})

test('a group named twice is deleted once', async () => {
  const made = await broker()
  made.groups.commit(1)
  const { response } = call(deleteGroups, made.services, { groups: ['g', 'g', 'x'] }, { version: 0 })
  assert.deepEqual((response as { groupErrorCodes: unknown }).groupErrorCodes, [
    { groupId: 'g', errorCode: ErrorCode.NONE },
    { groupId: 'x', errorCode: ErrorCode.GROUP_ID_NOT_FOUND },
  ])
})

test('addresses are shown as a JVM shows them', () => {
  assert.equal(javaAddress('127.0.0.1'), '/127.0.0.1')
  assert.equal(javaAddress('::1'), '/0:0:0:0:0:0:0:1')
  assert.equal(javaAddress('::'), '/0:0:0:0:0:0:0:0')
  assert.equal(javaAddress('fe80::12:0ab%eth0'), '/fe80:0:0:0:0:0:12:ab%eth0')
  assert.equal(javaAddress('2001:db8:1:2:3:4:5:6'), '/2001:db8:1:2:3:4:5:6')
})
