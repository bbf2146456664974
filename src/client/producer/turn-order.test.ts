import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryNetwork } from '../../ports/memory/memory-net.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { apis, type RequestOf } from '../../protocol/apis/index.ts'
import { isValidBatch, recordsOf } from '../../protocol/records/index.ts'
import { TestingBroker } from '../../rpc/testing-broker.ts'
import type { ProducerOptions } from '../config/index.ts'
import { createProducer } from './producer.ts'

const ranges = Object.values(apis).map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion }))

/** A broker with topic `t` of two partitions that answers each Produce unless it is silent, and notes what comes. */
async function bed(options: Partial<ProducerOptions>) {
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('turn order'))
  const broker = await new TestingBroker().start(memory.host('b'), 'b', 9092)
  const world = { isSilent: false, arrived: [[], []] as { value: string; timestamp: number }[][], intact: true }
  broker.script = (heard) => {
    if (heard.api === 'ApiVersions') heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
    if (heard.api === 'Metadata') {
      const partitionMetadata = [0, 1].map((partition) => ({ errorCode: 0, partition, leader: 1, replicas: [1], isr: [1] }))
      heard.answer<'Metadata'>({
        brokers: [{ nodeId: 1, host: 'b', port: 9092, rack: null }],
        controllerId: 1,
        clusterId: 'c',
        topicMetadata: [{ errorCode: 0, topic: 't', partitionMetadata }],
      })
    }
    if (heard.api !== 'Produce' || world.isSilent) return
    const { acks, topicData } = heard.request as RequestOf<'Produce'>
    const [{ data }] = topicData as [(typeof topicData)[number]]
    for (const { partition, recordSet } of data) {
      world.intact &&= isValidBatch(recordSet, 0)
      for (const { value, timestamp } of recordsOf(recordSet, 0)) world.arrived[partition]!.push({ value: `${value}`, timestamp })
    }
    const partitionResponses = data.map(({ partition }) => ({ partition, errorCode: 0, baseOffset: 0 }))
    if (acks !== 0) heard.answer<'Produce'>({ responses: [{ topic: 't', partitionResponses }] })
  }
  const producer = createProducer(
    { 'bootstrap.servers': ['b:9092'], ...options },
    { net: memory.host('a'), clock, rng: new SeededRng('client') },
  )
  producer.produce({ topic: 't', partition: 0, value: 'first' })
  await clock.advance(1000)
  const close = () => Promise.all([producer.close(0), broker.stop()])
  return { clock, memory, world, producer, close }
}

test('a record that would fit does not overtake one of its partition that waits for memory behind another', async () => {
  const options = { 'batch.size': 1000, 'buffer.memory': 2000, 'max.request.size': 2000, 'linger.ms': 50 }
  const { clock, world, producer, close } = await bed(options)
  const produce = (partition: number, value: string) => producer.produce({ topic: 't', partition, value })
  // Two batches take all the memory; that of partition 1 becomes full, so a record of it waits for memory.
  assert.ok(produce(0, 'a') && produce(1, 'x'.repeat(800)))
  assert.equal(produce(1, 'y'.repeat(300)), false)
  assert.equal(produce(0, 'b'.repeat(950)), false)
  assert.equal(produce(0, 'c'), false)
  await clock.advance(1000)
  const seen = world.arrived.map((records) => records.map(({ value }) => value[0]).join(''))
  assert.deepEqual(seen, ['fabc', 'xy'])
  await close()
})

test('while records of an unknown topic use up the memory, produce says so for others too', async () => {
  const { clock, producer, close } = await bed({ 'buffer.memory': 2000, 'batch.size': 1000, 'max.request.size': 2000 })
  const produce = (topic: string, value: string) => producer.produce({ topic, value, partition: 0 })
  assert.ok(produce('t', 'a') && produce('t', 'b') && produce('unknown', 'x'.repeat(1500)))
  assert.ok(produce('t', 'c') && produce('t', 'd'))
  assert.equal(produce('unknown', 'y'.repeat(1500)), false)
  assert.deepEqual([produce('t', 'e'), produce('t', 'f')], [false, false])
  await clock.advance(100)
  await close()
})

test('what is larger than max.request.size is refused although its batch has room', async () => {
  const { clock, world, producer, close } = await bed({ 'batch.size': 16_384, 'max.request.size': 1000, 'linger.ms': 5 })
  const outcomes: string[] = []
  const produce = (value: string) =>
    producer.produce({ topic: 't', partition: 0, value }, (error) => void outcomes.push(`${value.length} ${error?.name ?? 'ok'}`))
  for (const bytes of [10, 903, 904, 11]) produce('v'.repeat(bytes))
  await clock.advance(100)
  assert.deepEqual(outcomes.sort(), ['10 ok', '11 ok', '903 ok', '904 RecordTooLargeException'])
  assert.equal(world.arrived[0]!.length, 4)
  await close()
})

test('records of one turn keep their own timestamps, whatever the first one of the batch has; a bad one is refused', async () => {
  const { clock, world, producer, close } = await bed({ 'linger.ms': 5 })
  const timestamps = [5000, 5000, 5001, undefined, 4000, 5000 + 8191, 5000 + 8192, 2 ** 50, 0, undefined]
  for (const timestamp of timestamps)
    producer.produce({ topic: 't', partition: 1, value: 'v', ...(timestamp === undefined ? {} : { timestamp }) })
  for (const timestamp of [-1, 0.5, Number.NaN])
    assert.throws(() => producer.produce({ topic: 't', partition: 1, value: 'v', timestamp }), /Invalid timestamp/)
  const now = clock.wall()
  await clock.advance(100)
  assert.deepEqual(
    world.arrived[1]!.map(({ timestamp }) => timestamp),
    timestamps.map((timestamp) => timestamp ?? now),
  )
  await close()
})

test('acks=0: what is not yet written stays as it is, although its batch is done and memory is used again', async () => {
  const { clock, memory, world, producer, close } = await bed({ acks: '0', 'batch.size': 16_384, 'linger.ms': 0 })
  memory.block('a', 'b')
  let done = 0
  const value = (i: number): string => `${i} `.padEnd(12_000, 'v')
  for (let i = 0; i < 100; i++) {
    producer.produce({ topic: 't', partition: 0, value: value(i) }, () => void done++)
    await clock.advance(1)
  }
  assert.equal(done, 100)
  memory.unblock('a', 'b')
  await clock.advance(5000)
  assert.ok(world.intact)
  const arrived = world.arrived[0]!.slice(1).map((record) => record.value)
  assert.deepEqual(
    arrived,
    Array.from({ length: 100 }, (_, i) => value(i)),
  )
  await close()
})
