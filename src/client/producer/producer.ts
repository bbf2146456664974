import type { Millis } from '../../base/ids.ts'
import { codecNames } from '../../protocol/records/index.ts'
import { ClusterClient } from '../cluster-client.ts'
import { type ProducerConfig, type ProducerOptions, producerConfig } from '../config/index.ts'
import type { Environment } from '../environment.ts'
import {
  IllegalArgumentException,
  IllegalStateException,
  KafkaException,
  RecordTooLargeException,
  SerializationException,
} from '../errors.ts'
import type { PartitionMetadata, TopicMetadata } from '../metadata/types.ts'
import { DefaultPartitioner, type Partitioner } from '../partitioning.ts'
import { byteLength, type HeaderInput, PLAIN_DATA, recordSizeBound, SHORT } from '../records.ts'
import { type Bytes, bytesOf, partitionerOf, type Serializer, serializerOf } from '../serialization.ts'
import { Accumulator, type PendingRecord, Placed } from './accumulator.ts'
import type { PartitionQueue } from './batch.ts'
import { ProducerIdentity } from './identity.ts'
import { Interceptors } from './interceptors.ts'
import { ProducerMetrics } from './metrics.ts'
import { checkedTimestamp, invalidPartition } from './record-checks.ts'
import { Sender } from './sender.ts'
import { Transaction } from './transaction.ts'
import type { MetricValue, Producer, ProducerRecord, RecordMetadata, SendCallback, TopicPartitionOffset } from './types.ts'
import { UnplacedRecords } from './unplaced.ts'

const NO_HEADERS: readonly HeaderInput[] = []
const WALL_USES = 63
/** What is imported is looked at with every use, what is of this file V8 knows. */
const MAX_DELTA = SHORT

/** Of the promise that was made last: so that none needs a function of its own to be made. */
let resolveNext: (metadata: RecordMetadata) => void
let rejectNext: (error: unknown) => void
const settlersOfNext = (resolve: typeof resolveNext, reject: typeof rejectNext): void => {
  resolveNext = resolve
  rejectNext = reject
}

/**
 * A producer with the keys of 1.1's ProducerConfig. Throws `ConfigException`. Connects with the first record.
 * @example
 * const producer = createProducer({ 'bootstrap.servers': ['localhost:9092'], acks: 'all' })
 * await producer.send({ topic: 'greetings', key: 'en', value: 'hello' })
 * await producer.close()
 */
export function createProducer<K = Uint8Array | string | null, V = Uint8Array | string | null>(
  options: ProducerOptions,
  environment: Partial<Environment> = {},
): Producer<K, V> {
  return new KafkaProducer<K, V>(producerConfig(options), environment)
}

class KafkaProducer<K, V> implements Producer<K, V> {
  readonly #config: ProducerConfig
  readonly #cluster: ClusterClient
  readonly #accumulator: Accumulator
  readonly #sender: Sender
  readonly #metrics: ProducerMetrics
  readonly #transaction: Transaction | undefined
  readonly #partitioner: Partitioner
  readonly #keySerializer: Serializer<never> | null
  readonly #valueSerializer: Serializer<never> | null
  readonly #interceptors: Interceptors
  readonly #isIntercepted: boolean
  readonly #unplaced: UnplacedRecords
  readonly #drainListeners = new Set<() => void>()
  /** Bytes that a record may have. */
  readonly #maxRecordBytes: number
  /** Of key and value: records up to here may join a batch without a closer look. */
  readonly #maxJoinBytes: number
  /** Time of the present turn; -1: not asked yet. The clock costs as much as the rest of an append. */
  #turnAt: Millis = -1
  /** Wall time, and how many records more it is good for in this turn. */
  #wallAt = 0
  #wallUses = 0
  /** What was looked up last in this turn; undefined while records wait, for their topic or for memory. */
  #turnTopic: string | undefined
  #turnMetadata: TopicMetadata | undefined
  #turnQueues: readonly (PartitionQueue | undefined)[] = []
  readonly #endTurn = (): void => {
    this.#turnAt = -1
    this.#turnTopic = undefined
  }
  /** `produce` has returned false and nobody was told since. */
  #isBlocked = false
  #closing: Promise<void> | undefined

  constructor(config: ProducerConfig, environment: Partial<Environment>) {
    this.#config = config
    this.#cluster = new ClusterClient({
      config,
      role: 'producer',
      maxInFlight: config['max.in.flight.requests.per.connection'],
      allowAutoTopicCreation: true,
      environment,
    })
    const { clock, rng } = this.#cluster.environment
    const random = (): number => rng.next()
    this.#keySerializer = serializerOf(config['key.serializer'])
    this.#valueSerializer = serializerOf(config['value.serializer'])
    this.#partitioner = partitionerOf(config['partitioner.class'], random) ?? new DefaultPartitioner(random)
    this.#interceptors = new Interceptors(config['interceptor.classes'], this.#cluster.environment.log)
    this.#isIntercepted = config['interceptor.classes'].length > 0
    this.#maxRecordBytes = Math.min(config['max.request.size'], config['buffer.memory'])
    this.#maxJoinBytes = Math.min(PLAIN_DATA - 1, this.#maxRecordBytes - recordSizeBound(0, 0))
    const identity = config['enable.idempotence'] ? new ProducerIdentity(() => this.#accumulator.queues()) : undefined
    this.#accumulator = new Accumulator({
      pool: this.#cluster.pool,
      batchSize: config['batch.size'],
      bufferMemory: config['buffer.memory'],
      codec: codecNames.indexOf(config['compression.type']),
      maxBlockMs: config['max.block.ms'],
      sealsWhenFull: identity === undefined,
    })
    this.#metrics = new ProducerMetrics(
      this.#cluster.clientId,
      () => clock.now(),
      () => this.#gauges(),
    )
    const transactionalId = config['transactional.id']
    const cluster = this.#cluster
    const onProgress = (): void => this.#sender.wake()
    if (identity !== undefined && transactionalId !== null)
      this.#transaction = new Transaction({
        cluster,
        identity,
        transactionalId,
        timeoutMs: config['transaction.timeout.ms'],
        onProgress,
      })
    this.#sender = new Sender({
      cluster,
      config,
      accumulator: this.#accumulator,
      metrics: this.#metrics,
      identity,
      transaction: this.#transaction,
      onMemory: () => this.#noteMemory(),
    })
    this.#unplaced = new UnplacedRecords({
      cluster,
      maxBlockMs: config['max.block.ms'],
      place: (record, metadata) => this.#place(record, metadata),
      fail: ({ callback, partition }, error) => this.#later(callback, partition, error),
      onPlaced: () => this.#noteMemory(),
    })
    cluster.metadata.onChange(() => {
      this.#turnTopic = undefined
      this.#partitioner.onNewMetadata?.()
    })
  }

  get clientId(): string {
    return this.#cluster.clientId
  }

  // ---- records

  send(record: ProducerRecord<K, V>): Promise<RecordMetadata> {
    const promise = new Promise<RecordMetadata>(settlersOfNext)
    const [resolve, reject] = [resolveNext, rejectNext]
    try {
      const { topic } = record
      this.produce(record, (error, partition, offset, timestamp) => {
        if (error === null) resolve({ topic, partition, offset, timestamp })
        else reject(error)
      })
    } catch (error) {
      reject(error)
    }
    return promise
  }

  produce(given: ProducerRecord<K, V>, callback?: SendCallback): boolean {
    if (this.#closing !== undefined || this.#transaction !== undefined) this.#checkMaySend()
    if (!this.#isIntercepted) return this.#produce(given, callback)
    const record = this.#interceptors.onSend(given)
    return this.#produce(record, this.#interceptors.acknowledging(record.topic, callback))
  }

  /** Runs once per record: what is rare is elsewhere, so that the rest is compiled into one piece, and makes nothing on the heap. */
  #produce(record: ProducerRecord<K, V>, callback: SendCallback | undefined): boolean {
    const { topic, partition } = record
    if (partition !== undefined && partition < 0) throw invalidPartition(partition)
    const key =
      record.key === undefined || record.key === null ? null : this.#bytes(this.#keySerializer, topic, record.key, 'key')
    const value = this.#bytes(this.#valueSerializer, topic, record.value, 'value')
    const length = key === null ? 0 : byteLength(key)
    const size = length + byteLength(value)
    const metadata = this.#turnMetadata
    if (
      topic !== this.#turnTopic ||
      metadata === undefined ||
      record.headers !== undefined ||
      size > this.#maxJoinBytes ||
      (partition !== undefined && partition >= metadata.count)
    )
      return this.#produceAny(record, key, value, callback)
    // Small integers from here on: the zeros tell V8.
    const keyBytes = length | 0
    const valueBytes = (size - length) | 0
    const stamp = record.timestamp
    if (stamp !== undefined) checkedTimestamp(stamp)
    else if (--this.#wallUses < 0) this.#askWallTime()
    const place = partition === undefined ? this.#partitioner.partition(topic, key, value, metadata) : partition
    const queues = this.#turnQueues
    const queue = (place < queues.length ? queues[place] : undefined) ?? this.#accumulator.queue(topic, place)
    const { batches } = queue
    if (batches.length > 0) {
      const batch = batches[batches.length - 1]!
      let delta = this.#wallAt - batch.writer.firstTimestamp
      if (stamp !== undefined) delta = stamp - batch.writer.firstTimestamp
      if (delta >= 0 && delta < MAX_DELTA && batch.join(delta | 0, key, keyBytes, value, valueBytes, callback) === true) {
        batch.lastAppendAt = this.#turnAt
        return true
      }
    }
    return this.#append(queue, key, keyBytes, value, valueBytes, NO_HEADERS, stamp ?? this.#wallAt, callback)
  }

  /** `#produce` for the first record of a turn or of another topic, for one with headers or of unusual size. */
  #produceAny(record: ProducerRecord<K, V>, key: Bytes, value: Bytes, callback: SendCallback | undefined): boolean {
    const { topic, partition } = record
    const headers = record.headers ?? NO_HEADERS
    const [keyBytes, valueBytes] = [byteLength(key), byteLength(value)]
    if (this.#turnAt < 0) this.#beginTurn()
    const timestamp = record.timestamp === undefined ? this.#wallTime() : checkedTimestamp(record.timestamp)
    const size = recordSizeBound(keyBytes, valueBytes, headers)
    if (size > this.#maxRecordBytes) return this.#refuse(callback, partition, size)
    const metadata = topic === this.#turnTopic ? this.#turnMetadata : this.#lookUp(topic)
    if (metadata === undefined || (partition !== undefined && partition >= metadata.count)) {
      return this.#awaitTopic(this.#pending(topic, partition, key, value, headers, timestamp, callback), size)
    }
    const place = partition === undefined ? this.#partitioner.partition(topic, key, value, metadata) : partition
    const queue = this.#accumulator.queue(topic, place)
    return this.#append(queue, key, keyBytes, value, valueBytes, headers, timestamp, callback)
  }

  #append(
    queue: PartitionQueue,
    key: Bytes,
    keyBytes: number,
    value: Bytes,
    valueBytes: number,
    headers: readonly HeaderInput[],
    timestamp: number,
    callback: SendCallback | undefined,
  ): boolean {
    const placed = this.#accumulator.append(queue, key, keyBytes, value, valueBytes, headers, timestamp, callback, this.#turnAt)
    if (placed === Placed.NO_ROOM) {
      this.#accumulator.wait(this.#pending(queue.topic, queue.partition, key, value, headers, timestamp, callback))
      this.#turnTopic = undefined
    } else if (placed === Placed.JOINED && this.#unplaced.isEmpty) return true
    this.#appended(placed, this.#turnAt)
    return this.#noteBlocked()
  }

  #checkMaySend(): void {
    this.#checkOpen('send')
    this.#transaction?.checkSend()
  }

  #beginTurn(): void {
    const { clock } = this.#cluster.environment
    this.#turnAt = clock.now()
    this.#wallUses = 0
    clock.soon(this.#endTurn)
  }

  /**
   * Undefined: records of the topic wait, until it is known. What is found holds for this turn, or until it changes, or a record must wait for
   * memory; not while others wait for their topic: each record may be the one that is too many then.
   */
  #lookUp(topic: string): TopicMetadata | undefined {
    const isAnyUnplaced = !this.#unplaced.isEmpty
    if (isAnyUnplaced && this.#unplaced.has(topic)) return undefined
    const metadata = this.#cluster.metadata.topic(topic)
    if (metadata === undefined || isAnyUnplaced) return metadata
    this.#turnTopic = topic
    this.#turnMetadata = metadata
    this.#turnQueues = this.#accumulator.queuesOf(topic)
    return metadata
  }

  #noteBlocked(): boolean {
    this.#isBlocked = this.#accumulator.hasWaiters || this.#unplaced.bytes > this.#config['buffer.memory']
    return !this.#isBlocked
  }

  #refuse(callback: SendCallback | undefined, partition: number | undefined, size: number): boolean {
    this.#later(callback, partition, this.#tooLarge(size))
    return true
  }

  #turnTime(): Millis {
    if (this.#turnAt < 0) this.#beginTurn()
    return this.#turnAt
  }

  /** Now, to within what the records of a turn before it took: the clock is asked by every 64th. */
  #wallTime(): number {
    if (--this.#wallUses < 0) this.#askWallTime()
    return this.#wallAt
  }

  #askWallTime(): void {
    this.#wallUses = WALL_USES
    this.#wallAt = this.#cluster.environment.clock.wall()
  }

  #pending(
    topic: string,
    partition: number | undefined,
    key: Bytes,
    value: Bytes,
    headers: readonly HeaderInput[],
    timestamp: number,
    callback: SendCallback | undefined,
  ): PendingRecord {
    const deadline = this.#turnTime() + this.#config['max.block.ms']
    return { topic, partition, key, value, headers, timestamp, callback, deadline }
  }

  #bytes(serializer: Serializer<never> | null, topic: string, data: unknown, what: 'key' | 'value'): Bytes {
    if (data === undefined || data === null || serializer === null) return bytesOf(data, what)
    try {
      return serializer.serialize(topic, data as never)
    } catch (error) {
      if (error instanceof KafkaException) throw error
      throw new SerializationException(`Can't serialize the ${what} for topic ${topic}: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  #appended(placed: Placed, now: Millis): void {
    if (placed === Placed.JOINED) return
    const linger = this.#config['linger.ms']
    if (placed !== Placed.BEGUN || linger === 0) this.#sender.wake()
    else this.#sender.wakeAt(now + linger)
  }

  #tooLarge(size: number): RecordTooLargeException {
    const [limit, what] =
      size > this.#config['max.request.size']
        ? (['max.request.size', 'the maximum request size'] as const)
        : (['buffer.memory', 'the total memory buffer'] as const)
    return new RecordTooLargeException(
      `The message is ${size} bytes when serialized which is larger than ${what} you have configured with the ${limit} configuration.`,
    )
  }

  /** Callbacks never come within `produce`. */
  #later(callback: SendCallback | undefined, partition: number | undefined, error: KafkaException): void {
    this.#metrics.failed(1)
    if (callback !== undefined) this.#cluster.environment.clock.soon(() => callback(error, partition ?? -1, -1, -1))
  }

  // ---- records of unknown topics

  #awaitTopic(pending: PendingRecord, bytes: number): boolean {
    this.#turnTopic = undefined
    this.#unplaced.add(pending, bytes)
    return this.#noteBlocked()
  }

  #place(record: PendingRecord, metadata: TopicMetadata): void {
    record.partition ??= this.#partitioner.partition(record.topic, record.key, record.value, metadata)
    this.#appendPending(record, this.#cluster.environment.clock.now())
  }

  #appendPending(record: PendingRecord, now: Millis): void {
    const { topic, partition, key, value, headers, timestamp, callback } = record
    const [keyBytes, valueBytes] = [byteLength(key), byteLength(value)]
    const queue = this.#accumulator.queue(topic, partition!)
    const placed = this.#accumulator.append(queue, key, keyBytes, value, valueBytes, headers, timestamp, callback, now)
    if (placed === Placed.NO_ROOM) {
      this.#accumulator.wait(record)
      this.#turnTopic = undefined
    }
    this.#appended(placed, now)
  }

  #noteMemory(): void {
    if (!this.#isBlocked || this.#accumulator.hasWaiters || this.#unplaced.bytes > this.#config['buffer.memory']) return
    this.#isBlocked = false
    for (const listener of [...this.#drainListeners]) this.#cluster.environment.clock.soon(listener)
  }

  onDrain(listener: () => void): () => void {
    this.#drainListeners.add(listener)
    return () => void this.#drainListeners.delete(listener)
  }

  // ---- the rest

  async flush(): Promise<void> {
    await this.#unplaced.settled()
    await this.#sender.flush()
    // Refusals are told in a later turn.
    await new Promise<void>((resolve) => this.#cluster.environment.clock.soon(resolve))
  }

  async partitionsFor(topic: string): Promise<readonly PartitionMetadata[]> {
    this.#checkOpen('partitionsFor')
    const known = this.#cluster.metadata.topic(topic)
    return (known ?? (await this.#cluster.metadata.waitForTopic(topic, this.#config['max.block.ms']))).partitions
  }

  #transactional(): Transaction {
    this.#checkOpen('use a transaction')
    if (this.#transaction === undefined)
      throw new IllegalStateException(
        'Cannot use transactional methods without enabling transactions by setting the transactional.id configuration property',
      )
    return this.#transaction
  }

  async initTransactions(): Promise<void> {
    await this.#transactional().initialize(this.#config['max.block.ms'])
  }

  beginTransaction(): void {
    this.#transactional().begin()
  }

  async sendOffsetsToTransaction(offsets: readonly TopicPartitionOffset[], groupId: string): Promise<void> {
    await this.#transactional().sendOffsets(offsets, groupId)
  }

  async commitTransaction(): Promise<void> {
    await this.#transactional().commit(() => this.flush())
  }

  async abortTransaction(): Promise<void> {
    await this.#transactional().abort(async () => {
      const error = new KafkaException('Failing batch since transaction was aborted')
      this.#unplaced.drop(error)
      this.#sender.failAll(error)
      await this.#sender.idle()
    })
  }

  #gauges(): Readonly<Record<string, number>> {
    return {
      'buffer-available-bytes': this.#accumulator.availableBytes,
      'buffer-total-bytes': this.#config['buffer.memory'],
      'waiting-threads': this.#accumulator.waiters,
      'requests-in-flight': this.#sender.underWay,
    }
  }

  metrics(): MetricValue[] {
    return this.#metrics.values()
  }

  #checkOpen(what: string): void {
    if (this.#closing !== undefined) throw new IllegalStateException(`Cannot ${what} after the producer is closed.`)
  }

  close(timeoutMs?: Millis): Promise<void> {
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) throw new IllegalArgumentException('The timeout cannot be negative.')
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  /** With acks=0, brokers drop what they have not read when the connection ends: an answer to what is asked behind it says that they have. */
  async #unacknowledged(): Promise<void> {
    if (this.#config.acks !== '0') return
    const cluster = this.#cluster
    const ask = (node: number) => cluster.request(node, 'Metadata', { topics: [], allowAutoTopicCreation: false })
    await Promise.allSettled(cluster.network.readyNodes().map(ask))
  }

  async #close(timeoutMs: Millis | undefined): Promise<void> {
    const { clock } = this.#cluster.environment
    this.#sender.beginClose()
    if (timeoutMs !== 0) {
      let timer: { cancel(): void } | undefined
      const late = new Promise<void>((resolve) => {
        if (timeoutMs !== undefined) timer = clock.timer(timeoutMs, resolve)
      })
      await Promise.race([this.flush().then(() => this.#unacknowledged()), late])
      timer?.cancel()
    }
    const error = new KafkaException('Producer is closed forcefully.')
    this.#unplaced.drop(error)
    this.#sender.failAll(error)
    // What is under way fails with the connections, and is not repeated any more.
    await this.#cluster.close()
    this.#sender.failAll(error)
    this.#sender.stop()
    this.#partitioner.close?.()
    this.#keySerializer?.close?.()
    this.#valueSerializer?.close?.()
    this.#interceptors.close()
  }
}
