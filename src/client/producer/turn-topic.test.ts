import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryNetwork } from '../../ports/memory/memory-net.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { settle, VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { apis, type RequestOf } from '../../protocol/apis/index.ts'
import { recordsOf } from '../../protocol/records/index.ts'
import { TestingBroker } from '../../rpc/testing-broker.ts'
import type { ProducerOptions } from '../config/index.ts'
import { createProducer } from './producer.ts'

const ranges = Object.values(apis).map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion }))

/**
 * The metadata of `t` are renewed, with one partition more, and in that moment a record is sent; another one before event `at`. What the
 * partitioner is told of the topic, the turn in which each record was sent, and the event that renewed the metadata.
 */
async function renewal(at = -1) {
  const seen: { readonly record: string; readonly count: number; readonly turn: number }[] = []
  let turns = 0
  let onMetadata = (): void => {}
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('turn'))
  const broker = await new TestingBroker().start(memory.host('b'), 'b', 9092)
  let partitions = [0, 1]
  broker.script = (heard) => {
    if (heard.api === 'ApiVersions') heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
    if (heard.api !== 'Metadata') return
    const metadata = partitions.map((partition) => ({ errorCode: 0, partition, leader: 1, replicas: [1], isr: [1] }))
    heard.answer<'Metadata'>({
      brokers: [{ nodeId: 1, host: 'b', port: 9092, rack: null }],
      controllerId: 1,
      clusterId: 'c',
      topicMetadata: [{ errorCode: 0, topic: 't', partitionMetadata: metadata }],
    })
  }
  const options: ProducerOptions = {
    'bootstrap.servers': ['b:9092'],
    'metadata.max.age.ms': 1000,
    'partitioner.class': {
      partition: (_topic, _key, value, { count }) => {
        seen.push({ record: String(value), count, turn: turns })
        return 0
      },
      onNewMetadata: () => onMetadata(),
    },
  }
  const producer = createProducer(options, { net: memory.host('a'), clock, rng: new SeededRng('client') })
  producer.produce({ topic: 't', value: 'first' })
  await clock.advance(100)
  let isRenewed = false
  onMetadata = () => {
    if (isRenewed) return
    isRenewed = true
    producer.produce({ topic: 't', value: 'renewed' })
  }
  partitions = [0, 1, 2]
  let event = 0
  for (; !isRenewed; event++) {
    assert.ok(event < 1000)
    if (event === at) {
      producer.produce({ topic: 't', value: 'before' })
      // Behind what ends the turn.
      clock.soon(() => turns++)
    }
    clock.step()
    await settle()
  }
  await Promise.all([producer.close(0), broker.stop()])
  return { renewedBy: event - 1, seen }
}

test('a topic that was looked up in this turn is looked up again when the metadata change', async () => {
  // The same world twice: first to learn when the metadata are renewed.
  const { renewedBy } = await renewal()
  const { seen } = await renewal(renewedBy)
  const [before, renewed] = seen.slice(-2)
  assert.deepEqual([before?.record, before?.count], ['before', 2])
  assert.deepEqual([renewed?.record, renewed?.count], ['renewed', 3])
  assert.equal(renewed?.turn, before?.turn, 'both were sent in one turn')
})

test('records of several topics that are sent in one turn go each to its own, partitions too', async () => {
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('turn'))
  const broker = await new TestingBroker().start(memory.host('b'), 'b', 9092)
  const arrived: string[] = []
  broker.script = (heard) => {
    if (heard.api === 'ApiVersions') heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
    if (heard.api === 'Metadata') {
      const partitionMetadata = [0, 1, 2].map((partition) => ({ errorCode: 0, partition, leader: 1, replicas: [1], isr: [1] }))
      heard.answer<'Metadata'>({
        brokers: [{ nodeId: 1, host: 'b', port: 9092, rack: null }],
        controllerId: 1,
        clusterId: 'c',
        topicMetadata: ['t', 'u'].map((topic) => ({ errorCode: 0, topic, partitionMetadata })),
      })
    }
    if (heard.api !== 'Produce') return
    for (const { topic, data } of (heard.request as RequestOf<'Produce'>).topicData) {
      for (const { partition, recordSet } of data) {
        for (const { value } of recordsOf(recordSet as Buffer, 0)) arrived.push(`${topic}${partition} ${value}`)
      }
    }
  }
  const options: ProducerOptions = { 'bootstrap.servers': ['b:9092'], 'linger.ms': 5 }
  const producer = createProducer(options, { net: memory.host('a'), clock, rng: new SeededRng('client') })
  const sent: string[] = []
  const send = (topic: string, partition: number): void => {
    sent.push(`${topic}${partition} ${topic}${partition}`)
    producer.produce({ topic, partition, value: `${topic}${partition}` })
  }
  for (const topic of ['t', 'u']) send(topic, 0)
  await clock.advance(100)
  for (let i = 0; i < 12; i++) send(i % 2 === 0 ? 't' : 'u', i % 3)
  await clock.advance(100)
  assert.deepEqual(arrived.sort(), sent.sort())
  await Promise.all([producer.close(0), broker.stop()])
})
