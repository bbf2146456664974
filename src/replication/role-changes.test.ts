import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionKey } from '../base/ids.ts'
import { type RoleChangePorts, RoleChanges } from './role-changes.ts'

/** Every log takes as long as a slice may; `betweenSlices` is called when others have their turn. */
function slowLogs(hosted: ReadonlySet<string>, betweenSlices: () => void) {
  const logs = new Set<string>()
  let now = 0
  const ports = {
    env: {
      brokerId: 1,
      clock: {
        now: () => now,
        soon: (fn: () => void) => {
          betweenSlices()
          queueMicrotask(fn)
        },
      },
    },
    hosted: { get: (topic: string, partition: number) => (hosted.has(partitionKey(topic, partition)) ? {} : undefined) },
    logs: {
      get: (topic: string, partition: number) => (logs.has(partitionKey(topic, partition)) ? {} : undefined),
      getOrCreate: (topic: string, partition: number) => {
        now += 20
        logs.add(partitionKey(topic, partition))
      },
      delete: (topic: string, partition: number) => void logs.delete(partitionKey(topic, partition)),
    },
    topicConfig: () => ({}),
  } as unknown as RoleChangePorts
  return { logs, roles: new RoleChanges(ports) }
}

const state = (partition: number, change: { isNew?: boolean; replicas?: number[] } = {}) => ({
  topic: 't',
  partition,
  controllerEpoch: 1,
  leader: 1,
  leaderEpoch: 0,
  isr: [1],
  zkVersion: 0,
  replicas: [1],
  isNew: true,
  ...change,
})

test('logs of new partitions are made in slices: not of old ones, of hosted ones, of other brokers', async () => {
  let turns = 0
  const { logs, roles } = slowLogs(new Set(['t-3']), () => turns++)
  const states = [state(0), state(1, { isNew: false }), state(2, { replicas: [2] }), state(3), state(4)]
  await roles.makeLogs(states, () => true)
  assert.deepEqual([...logs], ['t-0', 't-4'])
  assert.equal(turns, 2)
})

test('when another controller speaks meanwhile, what nobody hosts is taken back', async () => {
  let isCurrent = true
  const hosted = new Set<string>()
  const { logs, roles } = slowLogs(hosted, () => {
    if (logs.size < 2) return
    isCurrent = false
    hosted.add('t-0')
  })
  await roles.makeLogs([state(0), state(1), state(2)], () => isCurrent)
  assert.deepEqual([...logs], ['t-0'])
})
