import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteReader } from '../../base/bytes.ts'
import { settle } from '../../ports/memory/virtual-clock.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { apis } from '../../protocol/apis/index.ts'
import type { BrokerServices } from '../request-types.ts'
import { EncodedResponse } from '../request-types.ts'
import { metadata } from './03-metadata.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'
import { TestZk } from './testing-zk.ts'

type Answer = ResponseOf<'Metadata'>

async function ask(
  services: BrokerServices,
  version: number,
  topics: string[] | null,
  allowAutoTopicCreation = true,
): Promise<Answer> {
  const running = call(metadata, services, { topics, allowAutoTopicCreation }, { version })
  await settle()
  const { response } = running
  assert.ok(response)
  return response instanceof EncodedResponse
    ? apis.Metadata.decodeResponse(new ByteReader(response.body), version)
    : (response as unknown as Answer)
}

function broker(settings: Record<string, string> = {}) {
  const zk = new TestZk()
  const made = testBroker(settings, { zk: zk as unknown as BrokerServices['zk'] })
  updateMetadata(made.cache, {
    a: [
      { leader: 0, replicas: [0, 1, 9], isr: [0, 1] },
      { leader: -1, replicas: [9] },
    ],
    b: [{ leader: 1, replicas: [1] }],
  })
  return { ...made, zk }
}

const errorsOf = ({ topicMetadata }: Answer): Record<string, number> =>
  Object.fromEntries(topicMetadata.map(({ topic, errorCode }) => [topic, errorCode]))

test('brokers, controller and partitions; dead replicas stay listed, without leader the ISR is empty', async () => {
  const answer = await ask(broker().services, 5, ['a'])
  assert.deepEqual(
    answer.brokers.map(({ nodeId, port }) => [nodeId, port]),
    [
      [0, 9092],
      [1, 9093],
      [2, 9094],
    ],
  )
  assert.deepEqual([answer.clusterId, answer.controllerId], ['a-cluster', 0])
  assert.deepEqual(
    answer.topicMetadata[0]!.partitionMetadata.map(({ errorCode, leader, replicas, isr }) => [errorCode, leader, replicas, isr]),
    [
      [0, 0, [0, 1, 9], [0, 1]],
      [5, -1, [9], []],
    ],
  )
})

test('v0 leaves out dead replicas and says so', async () => {
  const [first] = (await ask(broker().services, 0, ['a'])).topicMetadata[0]!.partitionMetadata
  assert.deepEqual([first!.errorCode, first!.replicas, first!.isr], [9, [0, 1], [0, 1]])
})

test('all topics: null, or an empty list in v0; an empty list means none later', async () => {
  const { services } = broker()
  const names = async (version: number, topics: string[] | null) =>
    (await ask(services, version, topics)).topicMetadata.map(({ topic }) => topic)
  assert.deepEqual(await names(1, null), ['a', 'b'])
  assert.deepEqual(await names(0, []), ['a', 'b'])
  assert.deepEqual(await names(1, []), [])
  assert.deepEqual(await names(1, ['b', 'b']), ['b'])
})

test('an answer is remembered until the metadata change', async () => {
  const { services, cache } = broker()
  const first = call(metadata, services, { topics: ['b'], allowAutoTopicCreation: true }, { version: 5 }).response
  assert.equal(call(metadata, services, { topics: ['b'], allowAutoTopicCreation: true }, { version: 5 }).response, first)
  updateMetadata(cache, { b: [{ leader: 2, replicas: [2] }] }, [2], 2)
  const answer = await ask(services, 5, ['b'])
  assert.deepEqual([answer.brokers.length, answer.controllerId, answer.topicMetadata[0]!.partitionMetadata[0]!.leader], [1, 2, 2])
})

test('a missing topic is created when request and broker allow it', async () => {
  const { services, zk } = broker({ 'num.partitions': '3', 'default.replication.factor': '2' })
  const answer = await ask(services, 5, ['a', 'new'])
  assert.deepEqual(errorsOf(answer), { a: 0, new: 5 })
  assert.deepEqual([zk.topics.get('new')!.size, zk.topics.get('new')!.get(0)!.length], [3, 2])
  assert.deepEqual(errorsOf(await ask(services, 5, ['new'])), { new: 5 })
  assert.deepEqual(errorsOf(await ask(services, 5, ['other'], false)), { other: 3 })
  const closed = broker({ 'auto.create.topics.enable': 'false' })
  assert.deepEqual(errorsOf(await ask(closed.services, 1, ['new'])), { new: 3 })
})

test('why a topic cannot be created', async () => {
  const { services } = broker({ 'default.replication.factor': '4' })
  assert.deepEqual(errorsOf(await ask(services, 1, ['new', 'a b', '', '.'])), { new: 38, 'a b': 38, '': 38, '.': 38 })
  const small = broker()
  assert.deepEqual(errorsOf(await ask(small.services, 1, ['a b', '', '.', 'ü'])), { 'a b': 17, '': 17, '.': 17, ü: 17 })
})

test('internal topics are created whatever the flags say, with their own settings', async () => {
  const { services, zk } = broker({ 'auto.create.topics.enable': 'false' })
  const answer = await ask(services, 5, ['__consumer_offsets'], false)
  assert.deepEqual(
    answer.topicMetadata.map(({ errorCode, isInternal }) => [errorCode, isInternal]),
    [[5, true]],
  )
  assert.equal(zk.topics.get('__consumer_offsets')!.size, 50)
  assert.deepEqual(zk.configs.get('__consumer_offsets'), {
    'segment.bytes': '104857600',
    'compression.type': 'producer',
    'cleanup.policy': 'compact',
  })
  const few = broker()
  updateMetadata(few.cache, {}, [0, 1])
  assert.deepEqual(errorsOf(await ask(few.services, 5, ['__consumer_offsets'])), { __consumer_offsets: 38 })
})
