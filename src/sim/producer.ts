import { ErrorCode, errorName } from '../protocol/errors.ts'
import { BatchBuilder } from '../protocol/records/index.ts'
import type { Breakage } from './breakages.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import type { History, SendKind } from './history.ts'

export interface ProducerOptions {
  readonly kind: Exclude<SendKind, 'transactional'>
  readonly topic: string
  readonly partitions: number
  /** Pause between sends, at most. */
  readonly pauseMs: number
  readonly breaks: ReadonlySet<Breakage>
  /** By ZooKeeper, now. */
  readonly trueLeader: (partition: number) => number | undefined
}

interface Batch {
  readonly partition: number
  readonly values: readonly string[]
  /** Instead of the values: with keys, null for a tombstone. */
  readonly records?: readonly { readonly key: string; readonly value: string | null }[]
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactionalId?: string
}

/** `offset` of a duplicate may be -1. */
export type SendResult = { readonly error: number; readonly offset: number } | typeof NO_ANSWER

export async function produceTo(client: SimClient, topic: string, acks: number, batch: Batch): Promise<SendResult> {
  const { partition, values } = batch
  const leader = await client.leader(topic, partition)
  if (leader === undefined) return { error: ErrorCode.LEADER_NOT_AVAILABLE, offset: -1 }
  const builder = new BatchBuilder({
    ...(batch.producerId === undefined ? {} : { producerId: batch.producerId }),
    ...(batch.producerEpoch === undefined ? {} : { producerEpoch: batch.producerEpoch }),
    ...(batch.baseSequence === undefined ? {} : { baseSequence: batch.baseSequence }),
    transactional: batch.transactionalId !== undefined,
  })
  for (const value of values) builder.append(client.clock.wall(), null, Buffer.from(value))
  for (const { key, value } of batch.records ?? [])
    builder.append(client.clock.wall(), Buffer.from(key), value === null ? null : Buffer.from(value))
  const result = await client.call(
    leader,
    'Produce',
    {
      transactionalId: batch.transactionalId ?? null,
      acks,
      timeout: 1500,
      topicData: [{ topic, data: [{ partition, recordSet: builder.build() }] }],
    },
    ({ responses }) => {
      const answer = responses[0]!.partitionResponses[0]!
      return { error: answer.errorCode, offset: answer.baseOffset }
    },
  )
  if (result === NO_ANSWER || result.error !== 0) client.forgetLeader(topic, partition)
  return result
}

/** Sends numbered values until it is over. */
export async function runProducer(client: SimClient, history: History, options: ProducerOptions): Promise<void> {
  const rng = client.world.rng.fork(client.name)
  if (options.kind === 'idempotent') return runIdempotent(client, history, options)
  let number = 0
  while (!client.isOver) {
    await client.sleep(rng.next() * options.pauseMs)
    const partition = rng.int(0, options.partitions)
    if ((await client.leader(options.topic, partition)) === undefined) continue
    const values = Array.from({ length: rng.int(1, 4) }, () => {
      const value = `${client.name}:${number}`
      history.send(value, { topic: options.topic, partition, producer: client.name, kind: options.kind, number: number++ })
      return value
    })
    const result = await produceTo(client, options.topic, options.kind === 'all' && !options.breaks.has('weakAcks') ? -1 : 1, {
      partition,
      values,
    })
    if (result === NO_ANSWER || result.error !== 0) history.counts.failures++
    else history.ackBatch(values, result.offset)
  }
}

/** An id without a transactional id; undefined when it is over before one is given. */
export async function initProducerId(client: SimClient): Promise<{ readonly id: number; readonly epoch: number } | undefined> {
  while (!client.isOver) {
    const answer = await client.call(
      client.anyBroker(),
      'InitProducerId',
      { transactionalId: null, transactionTimeoutMs: 0 },
      ({ errorCode, producerId, producerEpoch }) => ({ errorCode, producerId, producerEpoch }),
    )
    if (answer !== NO_ANSWER && answer.errorCode === 0) return { id: answer.producerId, epoch: answer.producerEpoch }
    await client.sleep(100)
  }
  return undefined
}

interface Stream {
  sequence: number
}

/** Retries each batch under its sequence numbers until it is told the outcome. */
async function runIdempotent(client: SimClient, history: History, options: ProducerOptions): Promise<void> {
  const rng = client.world.rng.fork(client.name)
  const producer = await initProducerId(client)
  if (producer === undefined) return
  const streams: Stream[] = Array.from({ length: options.partitions }, () => ({ sequence: 0 }))
  let number = 0
  while (!client.isOver) {
    await client.sleep(rng.next() * options.pauseMs)
    const partition = rng.int(0, options.partitions)
    const stream = streams[partition]!
    const values = Array.from({ length: rng.int(1, 4) }, () => {
      const value = `${client.name}:${number}`
      history.send(value, { topic: options.topic, partition, producer: client.name, kind: 'idempotent', number: number++ })
      return value
    })
    const batch = { partition, values, producerId: producer.id, producerEpoch: producer.epoch, baseSequence: stream.sequence }
    const offset = await untilTold(client, options, batch)
    if (offset === undefined) return
    stream.sequence += values.length
    history.ackBatch(values, offset)
  }
}

/** Offset of the batch; undefined when the producer may not go on (reported). */
export async function untilTold(
  client: SimClient,
  { topic, breaks, trueLeader }: Pick<ProducerOptions, 'topic' | 'breaks' | 'trueLeader'>,
  batch: Batch,
): Promise<number | undefined> {
  let attempt = batch
  for (;;) {
    const asked = await client.leader(topic, batch.partition)
    const wasLeader = asked === trueLeader(batch.partition)
    const result = await produceTo(client, topic, -1, attempt)
    if (result !== NO_ANSWER) {
      if (result.error === 0) return result.offset
      if (result.error === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) return -1
      const isUnseen = result.error === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER || result.error === ErrorCode.UNKNOWN_PRODUCER_ID
      if (isUnseen && !(wasLeader && asked === trueLeader(batch.partition))) {
        // A deposed leader that does not know it yet has not seen the last batches; 1.1 has no means against that.
        client.world.reached('sequence refused by a deposed leader')
      } else if (!RETRIABLE.has(result.error)) {
        client.world.violation(
          'idempotence',
          `${client.name} ${topic}-${batch.partition} sequence ${batch.baseSequence}: ${errorName(result.error)}`,
        )
        return undefined
      }
    }
    client.world.reached('idempotent retry')
    await client.sleep(100)
    if (breaks.has('plainRetries')) attempt = { partition: batch.partition, values: batch.values }
    if (client.isOver) return undefined
  }
}

export const RETRIABLE: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_FOR_PARTITION,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.CONCURRENT_TRANSACTIONS,
])
