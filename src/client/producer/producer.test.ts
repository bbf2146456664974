import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryNetwork } from '../../ports/memory/memory-net.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { apis, type RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { baseSequence, producerEpoch, producerId, RecordCursor } from '../../protocol/records/index.ts'
import { type Heard, TestingBroker } from '../../rpc/testing-broker.ts'
import type { ProducerOptions } from '../config/index.ts'
import {
  BufferExhaustedException,
  IllegalStateException,
  KafkaException,
  OutOfOrderSequenceException,
  ProducerFencedException,
  RecordTooLargeException,
  TimeoutException,
} from '../errors.ts'
import { createProducer } from './producer.ts'

const ranges = Object.values(apis).map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion }))

/** A batch as the broker got it. */
interface Got {
  readonly partition: number
  readonly values: string[]
  readonly producer: string
  readonly sequence: number
}

/** One broker with topic `t` of two partitions. `world.judge` gives the error of a Produce; undefined: no answer at all. */
async function bed(options: Partial<ProducerOptions> = {}) {
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('producer'))
  const got: Got[] = []
  const asked: string[] = []
  const world = {
    leader: 1,
    epoch: -1,
    judge: (_batch: Got): number | undefined => ErrorCode.NONE,
    transactional: (_api: string): number | 'silence' => ErrorCode.NONE,
  }
  const ends = [0, 0]
  const broker = await new TestingBroker().start(memory.host('b'), 'b', 9092)
  broker.script = (heard) => {
    if (heard.api === 'ApiVersions') heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
    else if (heard.api === 'Metadata') answerMetadata(heard)
    else if (heard.api === 'Produce') answerProduce(heard)
    else answerOther(heard)
  }
  const answerMetadata = (heard: Heard) =>
    heard.answer<'Metadata'>({
      brokers: [{ nodeId: 1, host: 'b', port: 9092, rack: null }],
      controllerId: 1,
      clusterId: 'c',
      topicMetadata: ((heard.request as { topics: string[] | null }).topics ?? []).map((topic) => ({
        errorCode: topic === 'absent' ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : 0,
        topic,
        partitionMetadata: (topic === 'absent' ? [] : [0, 1]).map((partition) => ({
          errorCode: 0,
          partition,
          leader: world.leader,
          replicas: [1],
          isr: [1],
        })),
      })),
    })
  const answerProduce = (heard: Heard) => {
    const [first] = (heard.request as RequestOf<'Produce'>).topicData
    const batches = first!.data.map(({ partition, recordSet }) => readBatch(partition, recordSet))
    got.push(...batches)
    const codes = batches.map((batch) => world.judge(batch))
    if (codes.includes(undefined)) return
    heard.answer<'Produce'>({
      responses: [
        {
          topic: first!.topic,
          partitionResponses: batches.map(({ partition, values }, i) => {
            const baseOffset = codes[i] === 0 ? ends[partition]! : -1
            if (codes[i] === 0) ends[partition]! += values.length
            return { partition, errorCode: codes[i]!, baseOffset }
          }),
        },
      ],
    })
  }
  const answerOther = (heard: Heard) => {
    asked.push(heard.api)
    const code = world.transactional(heard.api)
    if (code === 'silence') return
    if (heard.api === 'FindCoordinator')
      heard.answer<'FindCoordinator'>({ errorCode: code, coordinator: { nodeId: 1, host: 'b', port: 9092 } })
    else if (heard.api === 'InitProducerId')
      heard.answer<'InitProducerId'>({
        throttleTimeMs: 0,
        errorCode: code,
        producerId: 7,
        producerEpoch: code === 0 ? ++world.epoch : -1,
      })
    else if (heard.api === 'AddPartitionsToTxn') {
      const { topics } = heard.request as RequestOf<'AddPartitionsToTxn'>
      const errors = topics.map(({ topic, partitions }) => ({
        topic,
        partitionErrors: partitions.map((partition) => ({ partition, errorCode: code })),
      }))
      heard.answer<'AddPartitionsToTxn'>({ throttleTimeMs: 0, errors })
    } else if (heard.api === 'TxnOffsetCommit') {
      const { topics } = heard.request as RequestOf<'TxnOffsetCommit'>
      const answers = topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => ({ partition, errorCode: code })),
      }))
      heard.answer<'TxnOffsetCommit'>({ throttleTimeMs: 0, topics: answers })
    } else heard.answer<'EndTxn'>({ throttleTimeMs: 0, errorCode: code })
  }
  const producer = createProducer(
    { 'bootstrap.servers': ['b:9092'], 'retry.backoff.ms': 100, ...options },
    { net: memory.host('a'), clock, rng: new SeededRng('client') },
  )
  const outcomes: string[] = []
  const note = (name: string) => (error: KafkaException | null, partition: number, offset: number) =>
    void outcomes.push(error === null ? `${name}@${partition}:${offset}` : `${name}!${error.name}`)
  const produce = (name: string, partition = 0) => producer.produce({ topic: 't', value: name, partition }, note(name))
  /** Runs the clock until the promise is settled. */
  const settled = async <T>(promise: Promise<T>, limitMs = 200_000): Promise<T> => {
    let isOver = false
    const over = (): void => {
      isOver = true
    }
    promise.then(over, over)
    await clock.advanceUntil(() => isOver, limitMs)
    return promise
  }
  return { clock, memory, broker, world, got, asked, producer, outcomes, note, produce, settled }
}

function readBatch(partition: number, recordSet: Buffer): Got {
  const values: string[] = []
  const cursor = new RecordCursor().open(recordSet, 0)
  while (cursor.next()) values.push(cursor.value()?.toString() ?? 'null')
  return {
    partition,
    values,
    producer: `${producerId(recordSet, 0)}/${producerEpoch(recordSet, 0)}`,
    sequence: baseSequence(recordSet, 0),
  }
}

const idempotent: Partial<ProducerOptions> = { 'enable.idempotence': true }
const transactional: Partial<ProducerOptions> = { 'transactional.id': 'x' }
const values = (got: readonly Got[]): string[] => got.map((batch) => batch.values.join(' '))

test('records of one turn travel together, in order, with an offset each', async () => {
  const { produce, producer, settled, got, outcomes } = await bed()
  for (const name of ['a', 'b', 'c']) produce(name)
  produce('x', 1)
  await settled(producer.flush())
  assert.deepEqual(values(got).sort(), ['a b c', 'x'])
  assert.deepEqual(outcomes.sort(), ['a@0:0', 'b@0:1', 'c@0:2', 'x@1:0'])
  assert.deepEqual(await settled(producer.send({ topic: 't', partition: 1, value: 'y', timestamp: 5 })), {
    topic: 't',
    partition: 1,
    offset: 1,
    timestamp: 5,
  })
})

test('linger.ms holds a batch back until it is full or the time is over', async () => {
  const { produce, producer, settled, clock, got } = await bed({ 'linger.ms': 500, 'batch.size': 200 })
  await settled(producer.partitionsFor('t'))
  produce('a')
  await clock.advance(400)
  assert.equal(got.length, 0)
  produce('b')
  await clock.advance(200)
  assert.deepEqual(values(got), ['a b'])
  for (let i = 0; i < 20; i++) produce(`record ${i}`)
  await clock.advance(50)
  const early = got.length
  assert.ok(early > 2, `${early} batches`)
  await settled(producer.flush())
  assert.deepEqual(got.flatMap((batch) => batch.values).length, 22)
})

test('retries: as many as configured, after the back-off, and then the error itself', async () => {
  const { produce, producer, settled, world, got, outcomes } = await bed({ retries: 2 })
  world.judge = () => ErrorCode.NOT_LEADER_FOR_PARTITION
  produce('a')
  await settled(producer.flush())
  assert.deepEqual([values(got), outcomes], [['a', 'a', 'a'], ['a!NotLeaderForPartitionException']])
  let tries = 0
  world.judge = () => (++tries < 3 ? ErrorCode.NOT_ENOUGH_REPLICAS : ErrorCode.NONE)
  produce('b')
  await settled(producer.flush())
  assert.deepEqual([tries, outcomes.at(-1)], [3, 'b@0:0'])
})

test('an error that no repetition heals is told at once', async () => {
  const { produce, producer, settled, world, got, outcomes } = await bed({ retries: 5 })
  world.judge = () => ErrorCode.INVALID_REQUIRED_ACKS
  produce('a')
  await settled(producer.flush())
  assert.deepEqual([got.length, outcomes], [1, ['a!InvalidRequiredAcksException']])
})

test('idempotence: a repeated batch keeps its number, and those behind it wait for it', async () => {
  const { produce, producer, settled, world, got, outcomes } = await bed({ ...idempotent, 'batch.size': 0 })
  await settled(producer.partitionsFor('t'))
  const refused = new Set<string>()
  world.judge = ({ values: [name], sequence }) => {
    // The first one fails once; the others are then ahead of what the broker expects.
    if (name === 'a' && !refused.has('a')) {
      refused.add('a')
      return ErrorCode.NOT_LEADER_FOR_PARTITION
    }
    return sequence === written.length && written.push(name!) > 0 ? ErrorCode.NONE : ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
  }
  const written: string[] = []
  for (const name of ['a', 'b', 'c', 'd']) produce(name)
  await settled(producer.flush())
  assert.deepEqual(written, ['a', 'b', 'c', 'd'])
  assert.deepEqual(outcomes, ['a@0:0', 'b@0:1', 'c@0:2', 'd@0:3'])
  assert.ok(got.every(({ producer }) => producer === '7/0'))
})

test('idempotence: a duplicate counts as written', async () => {
  const { produce, producer, settled, world, outcomes } = await bed(idempotent)
  world.judge = () => ErrorCode.DUPLICATE_SEQUENCE_NUMBER
  produce('a')
  await settled(producer.flush())
  assert.deepEqual(outcomes, ['a@0:-1'])
})

test('idempotence: after a gap that nobody can close the producer takes a new id', async () => {
  const { produce, producer, settled, world, got, outcomes } = await bed({ ...idempotent, retries: 1 })
  world.judge = () => ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
  produce('a')
  await settled(producer.flush())
  assert.deepEqual(outcomes, [`a!${OutOfOrderSequenceException.name}`])
  world.judge = () => ErrorCode.NONE
  produce('b')
  await settled(producer.flush())
  assert.deepEqual([got.at(-1)?.producer, got.at(-1)?.sequence, outcomes.at(-1)], ['7/1', 0, 'b@0:0'])
})

test('idempotence: a batch that is refused for good lets the next ones move up', async () => {
  const { produce, producer, settled, world, got, outcomes } = await bed({ ...idempotent, 'batch.size': 0 })
  await settled(producer.partitionsFor('t'))
  let written = 0
  world.judge = ({ values: [name], sequence }) => {
    if (name === 'bad') return ErrorCode.INVALID_TIMESTAMP
    if (sequence !== written) return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    written++
    return ErrorCode.NONE
  }
  for (const name of ['a', 'bad', 'b', 'c']) produce(name)
  await settled(producer.flush())
  assert.deepEqual(outcomes.sort(), ['a@0:0', 'b@0:1', 'bad!InvalidTimestampException', 'c@0:2'])
  assert.equal(got.filter(({ values: [name] }) => name === 'c').at(-1)?.sequence, 2)
  const before = got.length
  produce('d')
  await settled(producer.flush())
  assert.deepEqual([got.length, outcomes.at(-1)], [before + 1, 'd@0:3'])
})

test('a batch that the broker finds too large is split; a record that is too large fails alone', async () => {
  const { produce, producer, settled, world, got, outcomes } = await bed({ ...idempotent, 'batch.size': 120 })
  await settled(producer.partitionsFor('t'))
  world.judge = ({ values: all }) => (all.length > 1 ? ErrorCode.MESSAGE_TOO_LARGE : ErrorCode.NONE)
  for (const name of ['a', 'b', 'c']) produce(name)
  await settled(producer.flush())
  assert.deepEqual(outcomes, ['a@0:0', 'b@0:1', 'c@0:2'])
  assert.deepEqual(
    got.filter(({ values: all }) => all.length === 1).map(({ sequence }) => sequence),
    [0, 1, 2],
  )
  await assert.rejects(
    settled(producer.send({ topic: 't', value: Buffer.alloc(2_000_000) })),
    (error) => error instanceof RecordTooLargeException && /max\.request\.size/.test(error.message),
  )
})

test('buffer.memory: produce says so, onDrain tells, what waits too long fails', async () => {
  const { produce, producer, settled, world, outcomes, clock } = await bed({
    'buffer.memory': 400,
    'batch.size': 200,
    'max.block.ms': 1000,
    'request.timeout.ms': 5000,
    'max.request.size': 400,
  })
  await settled(producer.partitionsFor('t'))
  world.judge = () => undefined
  let drained = 0
  producer.onDrain(() => void drained++)
  let accepted = 0
  while (produce(`${'x'.repeat(80)}${accepted}`)) accepted++
  assert.ok(accepted >= 2, `${accepted} accepted`)
  await clock.advance(900)
  assert.deepEqual([outcomes, drained], [[], 0])
  await clock.advance(200)
  assert.deepEqual(outcomes, [`${'x'.repeat(80)}${accepted}!${BufferExhaustedException.name}`])
  world.judge = () => ErrorCode.NONE
  await clock.advance(6000)
  assert.ok(drained > 0)
  assert.equal(produce('y'), true)
  await settled(producer.flush())
  assert.match(outcomes.at(-1) ?? '', /^y@0:/)
})

test('a topic that is not there: TimeoutException after max.block.ms, and order is kept for others', async () => {
  const { producer, clock, settled, note, outcomes } = await bed({ 'max.block.ms': 1000 })
  const early = producer.send({ topic: 'absent', value: 'a' })
  producer.produce({ topic: 't', partition: 0, value: 'b' }, note('b'))
  await clock.advance(0.3)
  const late = producer.send({ topic: 'absent', value: 'c' })
  const failed = await settled(Promise.allSettled([early, late]))
  assert.deepEqual(outcomes, ['b@0:0'])
  // Java's text: the time as it was configured, whatever was left of it.
  const text = 'TimeoutException: Failed to update metadata after 1000 ms.'
  assert.deepEqual(
    failed.map((one) => (one.status === 'rejected' ? `${one.reason}` : one.value)),
    [text, text],
  )
})

test('batches that cannot be sent expire after request.timeout.ms and say why', async () => {
  const { produce, producer, settled, world, clock, outcomes } = await bed({
    'request.timeout.ms': 3000,
    'metadata.max.age.ms': 500,
  })
  await settled(producer.partitionsFor('t'))
  world.leader = -1
  await clock.advance(1000)
  let message = ''
  producer.produce({ topic: 't', partition: 0, value: 'a' }, (error) => {
    message = `${error?.name}: ${error?.message}`
  })
  await clock.advance(2900)
  assert.equal(message, '')
  await clock.advance(300)
  assert.match(
    message,
    /^TimeoutException: Expiring 1 record\(s\) for t-0: 3\d\d\d ms has passed since batch creation plus linger time$/,
  )
  world.leader = 1
  produce('b')
  await settled(producer.flush())
  assert.deepEqual(outcomes, ['b@0:0'])
})

test('close: sends what there is; with a deadline what remains is rejected, nothing is forgotten', async () => {
  const first = await bed({ 'linger.ms': 60_000 })
  await first.settled(first.producer.partitionsFor('t'))
  first.produce('a')
  await first.settled(first.producer.close())
  assert.deepEqual(first.outcomes, ['a@0:0'])
  assert.throws(() => first.produce('late'), IllegalStateException)

  const second = await bed({ retries: 100 })
  await second.settled(second.producer.partitionsFor('t'))
  second.world.judge = () => undefined
  second.produce('under way')
  await second.clock.advance(10)
  second.produce('behind', 1)
  second.producer.produce({ topic: 'absent', value: '' }, second.note('absent'))
  await second.settled(second.producer.close(200))
  await second.clock.advance(1)
  assert.equal(second.outcomes.length, 3)
  assert.ok(
    second.outcomes.every((outcome) => outcome.includes('!')),
    second.outcomes.join(),
  )
})

test('a transaction: partitions join it before their records leave, offsets too, then it is decided', async () => {
  const { producer, produce, settled, asked, got, outcomes } = await bed(transactional)
  assert.throws(() => produce('early'), IllegalStateException)
  await settled(producer.initTransactions())
  assert.throws(() => produce('not begun'), /Cannot call send in state ready/)
  producer.beginTransaction()
  produce('a')
  produce('b', 1)
  await settled(producer.sendOffsetsToTransaction([{ topic: 'in', partition: 0, offset: 5 }], 'g'))
  await settled(producer.commitTransaction())
  assert.deepEqual(outcomes.sort(), ['a@0:0', 'b@1:0'])
  assert.equal(got.length, 2)
  assert.deepEqual(asked.filter((api) => api !== 'FindCoordinator').sort(), [
    'AddOffsetsToTxn',
    'AddPartitionsToTxn',
    'EndTxn',
    'InitProducerId',
    'TxnOffsetCommit',
  ])
  producer.beginTransaction()
  await settled(producer.commitTransaction())
  assert.equal(asked.filter((api) => api === 'EndTxn').length, 1, 'an empty transaction needs no decision')
})

test('a transaction: an error leaves only the abort, which begins a new epoch', async () => {
  const { producer, produce, settled, world, got, outcomes } = await bed({ ...transactional, retries: 1 })
  await settled(producer.initTransactions())
  producer.beginTransaction()
  world.judge = () => ErrorCode.NOT_ENOUGH_REPLICAS
  produce('a')
  await assert.rejects(settled(producer.commitTransaction()), /previous transactional or idempotent request has failed/)
  assert.throws(() => produce('b'), KafkaException)
  world.judge = () => ErrorCode.NONE
  await settled(producer.abortTransaction())
  producer.beginTransaction()
  produce('c')
  await settled(producer.commitTransaction())
  assert.deepEqual(outcomes, ['a!NotEnoughReplicasException', 'c@0:0'])
  assert.deepEqual([got.at(-1)?.producer, got.at(-1)?.sequence], ['7/1', 0])
})

test('H9: after an EndTxn of unknown outcome the next transaction has another epoch', async () => {
  const { producer, produce, settled, world, got, asked } = await bed({ ...transactional, 'request.timeout.ms': 1000 })
  await settled(producer.initTransactions())
  producer.beginTransaction()
  produce('a')
  let ends = 0
  world.transactional = (api) => (api === 'EndTxn' && ends++ === 0 ? 'silence' : ErrorCode.NONE)
  await settled(producer.commitTransaction())
  assert.equal(ends, 2)
  producer.beginTransaction()
  produce('b')
  await settled(producer.commitTransaction())
  assert.deepEqual(
    got.map(({ producer }) => producer),
    ['7/0', '7/1'],
  )
  assert.equal(asked.filter((api) => api === 'InitProducerId').length, 2)
})

test('a fenced producer can do nothing any more', async () => {
  const { producer, produce, settled, world, outcomes } = await bed(transactional)
  await settled(producer.initTransactions())
  producer.beginTransaction()
  world.judge = () => ErrorCode.INVALID_PRODUCER_EPOCH
  produce('a')
  await assert.rejects(settled(producer.commitTransaction()), ProducerFencedException)
  assert.deepEqual(outcomes, ['a!ProducerFencedException'])
  assert.throws(() => producer.beginTransaction(), ProducerFencedException)
  await assert.rejects(settled(producer.abortTransaction()), ProducerFencedException)
  await settled(producer.close())
})

test('initTransactions gives up after max.block.ms and can be called again', async () => {
  const { producer, settled, world } = await bed({ ...transactional, 'max.block.ms': 1000 })
  world.transactional = (api) => (api === 'InitProducerId' ? ErrorCode.CONCURRENT_TRANSACTIONS : ErrorCode.NONE)
  await assert.rejects(settled(producer.initTransactions()), TimeoutException)
  world.transactional = () => ErrorCode.NONE
  await settled(producer.initTransactions())
  producer.beginTransaction()
})

test('interceptors see records before and results after', async () => {
  const seen: string[] = []
  const { producer, settled, got } = await bed({
    'interceptor.classes': [
      {
        onSend: (record) => ({ ...record, value: `${record.value}!` }),
        onAcknowledgement: ({ offset }, error) => void seen.push(`${offset} ${error}`),
      },
      {
        onSend() {
          throw new Error('a bad interceptor')
        },
      },
    ],
  })
  await settled(producer.send({ topic: 't', partition: 0, value: 'a' }))
  assert.deepEqual([values(got), seen], [['a!'], ['0 null']])
})

test('acks=0: close waits until the broker has surely read what was sent', async () => {
  const { clock, broker, producer } = await bed({ acks: '0' })
  const answering = broker.script
  const held: Heard[] = []
  const order: string[] = []
  broker.script = (heard) => {
    order.push(heard.api)
    if (heard.api === 'Produce') return
    if (order.includes('Produce') && heard.api === 'Metadata') held.push(heard)
    else answering(heard)
  }
  void producer.send({ topic: 't', value: 'a' })
  await clock.advance(10)
  let isClosed = false
  const closing = producer.close().then(() => {
    isClosed = true
  })
  await clock.advance(1000)
  assert.deepEqual([isClosed, order.at(-1), order.includes('Produce'), held.length > 0], [false, 'Metadata', true, true])
  for (const heard of held) answering(heard)
  await clock.advance(10)
  await closing
})
