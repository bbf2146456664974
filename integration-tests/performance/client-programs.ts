/**
 * What `clients.ts` runs as processes of their own, one client each, to see what CPU they take:
 *
 *     node client-programs.js PROGRAM BOOTSTRAP TOPIC RECORDS BYTES
 *     node client-programs.js end-to-end BOOTSTRAP TOPIC RECORDS ACKS        prints "p50 p99 mean" in microseconds
 */
import { fileURLToPath } from 'node:url'
import type { Kafka } from 'kafkajs'
import { type Consumer, createConsumer, createProducer, type Producer } from '../../src/client/index.ts'

/** Equal for all clients. Java's own 16 KB would send ten times as many requests as librdkafka does. */
export const BATCH_BYTES = 65_536
export const LINGER_MS = 5

/** A record that takes longer from end to end is lost. */
const PATIENCE_MS = 30_000

export interface Work {
  readonly bootstrap: string
  readonly topic: string
  readonly records: number
  readonly bytes: number
}

type Program = (work: Work) => Promise<void>

const producerFor = ({ bootstrap }: Work): Producer =>
  createProducer({ 'bootstrap.servers': bootstrap, acks: '1', 'batch.size': BATCH_BYTES, 'linger.ms': LINGER_MS })

/** The callback form. Memory that is used up ends the turn. */
const produce: Program = async (work) => {
  const producer = producerFor(work)
  const { topic } = work
  const value = Buffer.alloc(work.bytes, 'x')
  let acknowledged = 0
  const onAnswer = (error: Error | null): void => {
    if (error !== null) throw error
    acknowledged++
  }
  let resume = (): void => {}
  producer.onDrain(() => resume())
  for (let i = 0; i < work.records; i++) {
    if (!producer.produce({ topic, value }, onAnswer)) await new Promise<void>((resolve) => (resume = resolve))
    else if (i % 10_000 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await producer.close()
  if (acknowledged !== work.records) throw new Error(`${acknowledged} of ${work.records} acknowledged`)
}

/** A promise per record. */
const send: Program = async (work) => {
  const producer = producerFor(work)
  const { topic } = work
  const value = Buffer.alloc(work.bytes, 'x')
  let before: Promise<unknown> = Promise.resolve()
  for (let i = 0; i < work.records; i += 5000) {
    const count = Math.min(5000, work.records - i)
    const sent = Promise.all(Array.from({ length: count }, () => producer.send({ topic, value })))
    await before
    before = sent
  }
  await before
  await producer.close()
}

/** Only by the programs that need it: the others would start later for it. */
const loadKafkajs = () => import('kafkajs')

async function kafkaOf({ bootstrap }: Work): Promise<Kafka> {
  const { Kafka, logLevel } = await loadKafkajs()
  return new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
}

/** Five senders of batches like the others': what its users do for speed. */
const kafkajsProduce: Program = async (work) => {
  const { Partitioners } = await loadKafkajs()
  const producer = (await kafkaOf(work)).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const value = Buffer.alloc(work.bytes, 'x')
  const perSend = Math.floor(BATCH_BYTES / work.bytes)
  let left = work.records
  const lane = async (): Promise<void> => {
    while (left > 0) {
      const count = Math.min(perSend, left)
      left -= count
      const messages = Array.from({ length: count }, () => ({ value }))
      await producer.send({ topic: work.topic, acks: 1, messages })
    }
  }
  await Promise.all([1, 2, 3, 4, 5].map(lane))
  await producer.disconnect()
}

const consumerFor = ({ bootstrap, topic }: Work, checkCrcs = true) => {
  const consumer = createConsumer({
    'bootstrap.servers': bootstrap,
    'enable.auto.commit': false,
    'auto.offset.reset': 'earliest',
    'max.poll.records': 100_000,
    'check.crcs': checkCrcs,
  })
  consumer.assign([{ topic, partition: 0 }])
  consumer.seekToBeginning([{ topic, partition: 0 }])
  return consumer
}

/** Every record as an object, its value looked at: what Java's consumer hands out. */
const consume: Program = (work) => readRecords(work, consumerFor(work))

/** Without a look at the checksums of batches, as librdkafka does it unless told otherwise. */
const consumeUnchecked: Program = (work) => readRecords(work, consumerFor(work, false))

async function readRecords(work: Work, consumer: Consumer): Promise<void> {
  let count = 0
  let bytes = 0
  while (count < work.records) {
    const polled = await consumer.poll(1000)
    for (const batch of polled.batches) for (const { value } of batch) bytes += value?.length ?? 0
    count += polled.count
  }
  await consumer.close()
  if (bytes < work.records * work.bytes) throw new Error(`${bytes} bytes in ${count} records`)
}

const consumeRaw: Program = async (work) => {
  const consumer = consumerFor(work)
  let count = 0
  let bytes = 0
  const visit = (_buffer: Buffer, _keyStart: number, _keyEnd: number, start: number, end: number): void => {
    bytes += end - start
  }
  while (count < work.records) {
    const polled = await consumer.poll(1000)
    for (const batch of polled.batches) batch.forEachRaw(visit)
    count += polled.count
  }
  await consumer.close()
  if (bytes < work.records * work.bytes) throw new Error(`${bytes} bytes in ${count} records`)
}

const kafkajsConsume: Program = async (work) => {
  const consumer = (await kafkaOf(work)).consumer({ groupId: `performance-${process.pid}-${work.records}` })
  await consumer.connect()
  await consumer.subscribe({ topic: work.topic, fromBeginning: true })
  let count = 0
  let bytes = 0
  await new Promise<void>((resolve, reject) => {
    consumer.on('consumer.crash', ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          for (const { value } of batch.messages) bytes += value?.length ?? 0
          count += batch.messages.length
          if (count >= work.records) resolve()
        },
      })
      .catch(reject)
  })
  if (bytes < work.records * work.bytes) throw new Error(`${bytes} bytes in ${count} records`)
  process.exit(0)
}

/** One record at a time: from before `produce` until the consumer, which waits for it, hands it out. */
async function endToEnd([bootstrap = '', topic = '', records = '', acks = '']: readonly string[]): Promise<void> {
  const producer = createProducer({ 'bootstrap.servers': bootstrap, acks: acks === 'all' ? 'all' : '1' })
  const consumer = createConsumer({ 'bootstrap.servers': bootstrap, 'enable.auto.commit': false })
  const at = { topic, partition: 0 }
  consumer.assign([at])
  consumer.seekToEnd([at])
  await consumer.position(at)
  const value = Buffer.alloc(100, 'x')
  const micros: number[] = []
  let failure: Error | null = null
  const onAnswer = (error: Error | null): void => {
    failure ??= error
  }
  const warmUp = Number(records)
  for (let i = 0; i < warmUp * 2; i++) {
    const polled = consumer.poll(PATIENCE_MS)
    const began = performance.now()
    producer.produce({ topic, partition: 0, value }, onAnswer)
    const { count } = await polled
    if (failure !== null) throw failure
    if (count !== 1) throw new Error(`${count} records within ${PATIENCE_MS} ms of record ${i} of ${topic}`)
    if (i >= warmUp) micros.push((performance.now() - began) * 1000)
  }
  await Promise.all([producer.close(), consumer.close()])
  micros.sort((a, b) => a - b)
  const mean = micros.reduce((sum, one) => sum + one, 0) / micros.length
  const figures = [micros[micros.length >> 1]!, micros[Math.floor(micros.length * 0.99)]!, mean]
  process.stdout.write(`${figures.map((one) => one.toFixed(0)).join(' ')}\n`)
}

const programs: Readonly<Record<string, Program>> = {
  produce,
  send,
  consume,
  'consume-unchecked': consumeUnchecked,
  'consume-raw': consumeRaw,
  'kafkajs-produce': kafkajsProduce,
  'kafkajs-consume': kafkajsConsume,
}

async function main([name = '', ...words]: readonly string[]): Promise<void> {
  const [bootstrap = '', topic = '', records = '', bytes = ''] = words
  const program = programs[name]
  if (name === 'end-to-end') await endToEnd(words)
  else if (program === undefined) throw new Error(`no program ${name}`)
  else await program({ bootstrap, topic, records: Number(records), bytes: Number(bytes) })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
