import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from '../../ports/memory/virtual-clock.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import type { BrokerServices } from '../request-types.ts'
import { createTopics } from './19-create-topics.ts'
import { deleteTopics } from './20-delete-topics.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'
import { TestZk } from './testing-zk.ts'

type Wanted = RequestOf<'CreateTopics'>['createTopicRequests'][number]

const wanted = (topic: string, more: Partial<Wanted> = {}): Wanted => ({
  topic,
  numPartitions: 2,
  replicationFactor: 1,
  replicaAssignment: [],
  configEntries: [],
  ...more,
})

function broker(isActive = true) {
  const zk = new TestZk()
  const parts = { zk, controller: { isActive } } as unknown as Partial<BrokerServices>
  const made = testBroker({}, parts)
  updateMetadata(made.cache, {})
  const create = (topics: Wanted[], timeout = 1000, validateOnly = false) =>
    call(createTopics, made.services, { createTopicRequests: topics, timeout, validateOnly }, { version: 2 })
  const remove = (topics: string[], timeout = 1000) => call(deleteTopics, made.services, { topics, timeout }, { version: 1 })
  return { ...made, zk, create, remove }
}

const shown = (response: unknown): unknown[] =>
  (response as { topicErrors: { topic: string; errorCode: number; errorMessage: string | null }[] }).topicErrors.map(
    ({ topic, errorCode, errorMessage }) => [topic, errorCode, errorMessage],
  )
const codes = (response: unknown): Record<string, number> =>
  Object.fromEntries(
    (response as { topicErrorCodes: { topic: string; errorCode: number }[] }).topicErrorCodes.map(({ topic, errorCode }) => [
      topic,
      errorCode,
    ]),
  )

test('only the controller creates and deletes', async () => {
  const { create, remove, zk } = broker(false)
  const creation = create([wanted('t')])
  const deletion = remove(['t'])
  await settle()
  assert.deepEqual(shown(creation.response), [['t', 41, null]])
  assert.deepEqual(codes(deletion.response), { t: 41 })
  assert.equal(zk.topics.size, 0)
})

test('the answer waits until every partition has a leader', async () => {
  const { create, zk, cache } = broker()
  const running = create([wanted('t', { configEntries: [{ configName: 'retention.ms', configValue: '5' }] })])
  await settle()
  assert.equal(running.response, undefined)
  assert.deepEqual([zk.topics.get('t')?.size, zk.configs.get('t')], [2, { 'retention.ms': '5' }])
  updateMetadata(cache, {
    t: [
      { leader: 0, replicas: [0] },
      { leader: -1, replicas: [1] },
    ],
  })
  assert.equal(running.response, undefined)
  updateMetadata(cache, {
    t: [
      { leader: 0, replicas: [0] },
      { leader: 1, replicas: [1] },
    ],
  })
  assert.deepEqual(shown(running.response), [['t', 0, null]])
})

test('after the timeout, or without one, the answer is REQUEST_TIMED_OUT and the topic stays', async () => {
  const { create, zk, clock } = broker()
  const running = create([wanted('t')], 500)
  await settle()
  clock.advanceSync(600)
  assert.deepEqual(shown(running.response), [['t', 7, null]])
  const impatient = create([wanted('u')], 0)
  await settle()
  assert.deepEqual(shown(impatient.response), [['u', 7, null]])
  assert.deepEqual([...zk.topics.keys()], ['t', 'u'])
})

test('validate_only checks and writes nothing', async () => {
  const { create, zk } = broker()
  const running = create([wanted('t'), wanted('a b')], 0, true)
  await settle()
  assert.deepEqual(
    shown(running.response).map((entry) => (entry as unknown[]).slice(0, 2)),
    [
      ['t', 0],
      ['a b', 17],
    ],
  )
  assert.equal(zk.topics.size, 0)
})

test('refusals in the words of 1.1', async () => {
  const { create, zk } = broker()
  zk.topics.set('old', new Map([[0, [0]]]))
  const assignment = [{ partition: 0, replicas: [1, 1] }]
  const none = { numPartitions: -1, replicationFactor: -1 }
  const running = create([
    wanted('old'),
    wanted('b0', { numPartitions: 0 }),
    wanted('b2', { replicationFactor: 0 }),
    wanted('b4', { replicationFactor: 4 }),
    wanted('b5', { replicaAssignment: assignment }),
    wanted('b7', { ...none, replicaAssignment: assignment }),
    wanted('b12', { configEntries: [{ configName: 'no.such', configValue: '1' }] }),
    wanted('b13', { configEntries: [{ configName: 'retention.ms', configValue: 'abc' }] }),
    wanted('b15', { configEntries: [{ configName: 'retention.ms', configValue: null }] }),
    wanted('b18'),
    wanted('b18'),
  ])
  await settle()
  assert.deepEqual(shown(running.response), [
    ['b18', 42, 'Create topics request from client `test` contains multiple entries for the following topics: b18'],
    ['old', 36, "Topic 'old' already exists."],
    ['b0', 37, 'Number of partitions must be larger than 0.'],
    ['b2', 38, 'Replication factor must be larger than 0.'],
    ['b4', 38, 'Replication factor: 4 larger than available brokers: 3.'],
    ['b5', 42, 'Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.'],
    ['b7', 39, 'Duplicate replica assignment found: Map(0 -> ArrayBuffer(1, 1))'],
    ['b12', 40, 'Unknown topic config name: no.such'],
    ['b13', -1, 'Invalid value abc for configuration retention.ms: Not a number of type LONG'],
    ['b15', -1, null],
  ])
})

test('deletion waits until the topic left the cache; unknown topics are refused', async () => {
  const { remove, zk, cache, clock } = broker()
  updateMetadata(cache, { t: [{ leader: 0, replicas: [0] }], u: [{ leader: 0, replicas: [0] }] })
  const running = remove(['t', 'nosuch'])
  const slow = remove(['u'], 300)
  await settle()
  assert.deepEqual([...zk.deletions], ['t', 'u'])
  updateMetadata(cache, { t: [{ leader: -2, replicas: [0] }] })
  assert.deepEqual(codes(running.response), { t: 0, nosuch: 3 })
  clock.advanceSync(400)
  assert.deepEqual(codes(slow.response), { u: 7 })
  const again = remove(['u'], 0)
  await settle()
  assert.deepEqual(codes(again.response), { u: 7 })
})
