import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestOf } from '../protocol/apis/index.ts'
import type { ReplicaManager } from '../replication/types.ts'
import { ControllerConnection } from './controller-connection.ts'
import { leaderAndIsr } from './handlers/04-leader-and-isr.ts'
import { stopReplica } from './handlers/05-stop-replica.ts'
import { updateMetadata } from './handlers/06-update-metadata.ts'
import { call, testBroker } from './handlers/testing-broker.ts'
import type { BrokerServices } from './request-types.ts'

const sender = (controllerEpoch: number, controllerId = 1) => ({ controllerId, controllerEpoch })

test('of one controller the connection that was accepted last counts', () => {
  const connection = new ControllerConnection()
  assert.equal(connection.accepts(sender(3), 5), true)
  assert.equal(connection.accepts(sender(3), 5), true)
  assert.equal(connection.accepts(sender(3), 9), true)
  assert.equal(connection.accepts(sender(3), 5), false)
  assert.equal(connection.accepts(sender(3), 8), false)
  assert.equal(connection.accepts(sender(3), 9), true)
})

test('the next controller may have been connected for long, and the one before it is for the epoch fence', () => {
  const connection = new ControllerConnection()
  connection.accepts(sender(3, 1), 9)
  assert.equal(connection.accepts(sender(4, 2), 5), true)
  assert.equal(connection.accepts(sender(3, 1), 2), true)
  assert.equal(connection.accepts(sender(4, 2), 4), false)
  // The same broker, elected again.
  assert.equal(connection.accepts(sender(5, 2), 3), true)
})

const partition = (leader: number, leaderEpoch: number) => ({
  topic: 't',
  partition: 0,
  controllerEpoch: 3,
  leader,
  leaderEpoch,
  isr: [1, 2],
  zkVersion: 0,
  replicas: [1, 2],
  offlineReplicas: [],
})

const metadataOf = (leader: number, leaderEpoch: number): RequestOf<'UpdateMetadata'> => ({
  ...sender(3),
  partitionStates: [partition(leader, leaderEpoch)],
  liveBrokers: [],
})

const rolesOf = (leader: number, leaderEpoch: number): RequestOf<'LeaderAndIsr'> => ({
  ...sender(3),
  partitionStates: [{ ...partition(leader, leaderEpoch), isNew: false }],
  liveLeaders: [],
})

/** A broker that notes what its replicas are told. */
function broker(readConfigs: () => Promise<void> = async () => {}) {
  const told: string[] = []
  const replicaManager = {
    acceptControllerEpoch: () => true,
    makeLogs: async () => {},
    stopReplicas: () => {
      told.push('stop')
      return { errorCode: 0, partitions: [] }
    },
    becomeLeaderOrFollowerInSlices: async ({ partitionStates }: RequestOf<'LeaderAndIsr'>) => {
      told.push(`leader ${partitionStates[0]!.leader}`)
      return { errorCode: 0, partitions: [] }
    },
  }
  const topicConfigs = { has: () => false, read: readConfigs }
  const { services, cache } = testBroker({}, { replicaManager, topicConfigs } as unknown as Partial<BrokerServices> & {
    replicaManager: ReplicaManager
  })
  return { services, cache, told }
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

test('an UpdateMetadata that stood still on an older connection does not bring the old leader back', () => {
  const { services, cache } = broker()
  call(updateMetadata, services, metadataOf(1, 6), { version: 4, connectionNumber: 2 })
  const late = call(updateMetadata, services, metadataOf(2, 5), { version: 4, connectionNumber: 1 })
  assert.equal(cache.partition('t', 0)!.leader, 1)
  assert.deepEqual([late.response, late.closed], [undefined, 'controller 1 of epoch 3 has made a newer connection since'])
  // A topic that was deleted and made again begins with epoch 0: over the present connection that is news.
  const next = call(updateMetadata, services, metadataOf(2, 0), { version: 4, connectionNumber: 2 })
  assert.deepEqual([next.closed, cache.partition('t', 0)!.leader], [undefined, 2])
})

test('nor does a StopReplica delete what was made anew, or a LeaderAndIsr change roles', async () => {
  const { services, told } = broker()
  await leaderAndIsr.handle(services, { connectionNumber: 2 } as never, rolesOf(1, 0))
  const stop = { ...sender(3), deletePartitions: true, partitions: [{ topic: 't', partition: 0 }] }
  const late = [
    call(stopReplica, services, stop, { version: 0, connectionNumber: 1 }),
    call(leaderAndIsr, services, rolesOf(2, 5), { version: 1, connectionNumber: 1 }),
  ]
  await turns()
  assert.deepEqual(told, ['leader 1'])
  for (const { response, closed } of late) assert.deepEqual([response, closed !== undefined], [undefined, true])
  assert.deepEqual(call(stopReplica, services, stop, { version: 0, connectionNumber: 2 }).response, {
    errorCode: 0,
    partitions: [],
  })
})

test('a LeaderAndIsr that waits for ZooKeeper while the controller comes over a newer connection is not followed', async () => {
  const waiting: (() => void)[] = []
  const { services, told } = broker(() => new Promise((resolve) => waiting.push(resolve)))
  const late = call(leaderAndIsr, services, rolesOf(2, 5), { version: 1, connectionNumber: 1 })
  const again = call(leaderAndIsr, services, rolesOf(1, 6), { version: 1, connectionNumber: 2 })
  for (const read of waiting) read()
  await turns()
  assert.deepEqual(told, ['leader 1'])
  assert.deepEqual([late.response, late.closed !== undefined], [undefined, true])
  assert.deepEqual(again.response, { errorCode: 0, partitions: [] })
})
