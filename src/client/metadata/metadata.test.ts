import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../base/logger.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import {
  InvalidTopicException,
  type KafkaException,
  NetworkException,
  TimeoutException,
  TopicAuthorizationException,
} from '../errors.ts'
import { Metadata, type MetadataChange } from './metadata.ts'
import { type MetadataSource, type Topics, topicMetadata } from './types.ts'

const partition = (id: number, leader: number) => ({
  partition: id,
  leader,
  replicas: [leader],
  isr: [leader],
  offlineReplicas: [],
  errorCode: leader < 0 ? 5 : 0,
})
const led = (name: string, ...leaders: number[]) =>
  topicMetadata(
    name,
    0,
    leaders.map((leader, id) => partition(id, leader)),
  )
const node = (id: number, port = 9092) => ({ id, host: 'h', port, rack: null })

function bed(options: { readonly pushes?: boolean; readonly topicExpiryMs?: number } = {}) {
  const clock = new VirtualClock()
  const asked: { readonly at: number; readonly topics: Topics; readonly done: (error?: KafkaException) => void }[] = []
  const source: MetadataSource = {
    pushes: options.pushes ?? false,
    refresh: (topics, done) => void asked.push({ at: clock.now(), topics, done: (error) => done(error) }),
    close: async () => {},
  }
  const metadata = new Metadata({
    clock,
    log: silentLogger(),
    source,
    maxAgeMs: 10_000,
    retryBackoffMs: 100,
    ...(options.topicExpiryMs === undefined ? {} : { topicExpiryMs: options.topicExpiryMs }),
  })
  const changes: MetadataChange[] = []
  metadata.onChange((change) => void changes.push(change))
  return { clock, asked, metadata, changes }
}

test('a topic is waited for: the first answer without it is not the last word', async () => {
  const { clock, asked, metadata } = bed()
  let found = -1
  metadata.whenTopic('t', 5000, (_error, topic) => {
    found = topic?.count ?? -2
  })
  await clock.advance(1)
  assert.deepEqual(
    asked.map(({ topics }) => topics),
    [['t']],
  )
  metadata.apply({ brokers: [node(1)], topics: [topicMetadata('t', 3, [])], complete: true })
  asked[0]?.done()
  await clock.advance(99)
  assert.equal(asked.length, 1, 'retry.backoff.ms lies between two')
  await clock.advance(2)
  assert.equal(asked.length, 2)
  metadata.apply({ topics: [led('t', 1, -1)], complete: true })
  asked[1]?.done()
  assert.equal(found, 2)
  assert.deepEqual([metadata.leaderOf('t', 0), metadata.leaderOf('t', 1), metadata.leaderOf('t', 2)], [1, -1, -1])
  assert.deepEqual(metadata.topic('t')?.available, [0])
})

test('waiting ends with the error that waiting does not heal, or with the time', async () => {
  const { clock, metadata } = bed()
  const errors: (KafkaException | undefined)[] = []
  for (const topic of ['secret', 'a b', 'absent']) metadata.whenTopic(topic, 700, (error) => void errors.push(error))
  await clock.advance(1)
  metadata.apply({ topics: [topicMetadata('secret', 29, []), topicMetadata('a b', 17, []), topicMetadata('absent', 3, [])] })
  assert.ok(errors[0] instanceof TopicAuthorizationException && errors[1] instanceof InvalidTopicException)
  assert.equal(errors.length, 2)
  await clock.advance(700)
  assert.ok(errors[2] instanceof TimeoutException)
  assert.equal(errors[2].message, 'Failed to update metadata after 700 ms.')
})

test('a failed refresh is repeated with pauses; one is under way at a time; a wish meanwhile is kept', async () => {
  const { clock, asked, metadata } = bed()
  metadata.add('t')
  await clock.advance(1)
  metadata.requestUpdate()
  metadata.requestUpdate()
  await clock.advance(1000)
  assert.equal(asked.length, 1)
  asked[0]?.done(new NetworkException())
  await clock.advance(150)
  assert.equal(asked.length, 2)
  metadata.requestUpdate()
  asked[1]?.done()
  await clock.advance(150)
  assert.equal(asked.length, 3, 'the wish of the time when it was under way')
  asked[2]?.done()
  await clock.advance(9000)
  assert.equal(asked.length, 3)
  await clock.advance(2000)
  assert.equal(asked.length, 4, 'metadata.max.age.ms')
})

test('a source that tells by itself is not asked because of age', async () => {
  const { clock, asked, metadata } = bed({ pushes: true })
  metadata.add('t')
  await clock.advance(1)
  asked[0]?.done()
  await clock.advance(100_000)
  assert.equal(asked.length, 1)
})

test('topics that nobody looks up are forgotten, those set are kept', async () => {
  const { clock, asked, metadata } = bed({ topicExpiryMs: 15_000 })
  metadata.setTopics(['kept'])
  metadata.add('used')
  metadata.add('unused')
  for (let i = 0; i < 5; i++) {
    await clock.advanceUntil(() => asked.length > i, 20_000)
    metadata.apply({ topics: [led('kept', 1), led('used', 1), led('unused', 1)] })
    metadata.topic('used')
    asked[i]?.done()
  }
  assert.deepEqual(asked[0]?.topics, ['kept', 'used', 'unused'])
  assert.deepEqual(asked[4]?.topics, ['kept', 'used'])
})

test('listeners hear what differs and nothing else', () => {
  const { metadata, changes } = bed()
  metadata.apply({
    brokers: [node(1), node(2)],
    controllerId: 1,
    clusterId: 'c',
    topics: [led('t', 1), led('u', 2)],
    complete: true,
  })
  metadata.apply({ brokers: [node(1), node(2)], controllerId: 1, topics: [led('t', 1), led('u', 2)], complete: true })
  metadata.apply({ topics: [led('t', 2)] })
  metadata.apply({ brokers: [node(1), node(2, 9093)], topics: [] })
  metadata.apply({ topics: [led('t', 2)], complete: true })
  assert.deepEqual(changes, [
    { topics: ['t', 'u'], brokers: true, controller: true },
    { topics: ['t'], brokers: false, controller: false },
    { topics: [], brokers: true, controller: false },
    { topics: ['u'], brokers: false, controller: false },
  ])
  assert.equal(metadata.topic('u'), undefined)
  assert.equal(metadata.clusterId, 'c')
})

test('update waits for a refresh that began after it; close fails who waits', async () => {
  const { clock, asked, metadata } = bed()
  const outcomes: string[] = []
  const update = (name: string) =>
    metadata.update(60_000).then(
      () => void outcomes.push(name),
      (error) => void outcomes.push(`${name} ${error.message}`),
    )
  metadata.requestUpdate()
  await clock.advance(1)
  void update('a')
  asked[0]?.done()
  await clock.advance(150)
  assert.deepEqual(outcomes, [])
  asked[1]?.done()
  await clock.advance(1)
  assert.deepEqual(outcomes, ['a'])
  void update('b')
  await metadata.close()
  await clock.advance(1)
  assert.deepEqual(outcomes, ['a', 'b the client is closed'])
})
