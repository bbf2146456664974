import type { BufferPool } from '../../base/buffer-pool.ts'
import type { EpochMillis, Millis } from '../../base/ids.ts'
import { BufferExhaustedException, type KafkaException } from '../errors.ts'
import { byteLength, type HeaderInput, RecordBatchWriter, recordSizeBound } from '../records.ts'
import type { Bytes } from '../serialization.ts'
import { PartitionQueue, ProducerBatch } from './batch.ts'
import { CompressionRatio } from './compression-ratio.ts'
import { Fifo } from './fifo.ts'
import type { SendCallback } from './types.ts'

/** A record as bytes that waits, for its topic or for memory. */
export interface PendingRecord {
  readonly topic: string
  /** Undefined until the partitioner has chosen. */
  partition: number | undefined
  readonly key: Bytes
  readonly value: Bytes
  readonly headers: readonly HeaderInput[]
  readonly timestamp: EpochMillis
  readonly callback: SendCallback | undefined
  /** When its sender no longer waits (`max.block.ms`). */
  readonly deadline: Millis
}

/** What became of a record: none of the memory was left; it joined a batch; it began one; by it a batch or the memory is full. */
export const Placed = { NO_ROOM: 0, JOINED: 1, BEGUN: 2, READY: 3 } as const
export type Placed = (typeof Placed)[keyof typeof Placed]

export interface AccumulatorOptions {
  readonly pool: BufferPool
  /** `batch.size` */
  readonly batchSize: number
  /** `buffer.memory` */
  readonly bufferMemory: number
  /** Index in `codecNames`. */
  readonly codec: number
  readonly maxBlockMs: Millis
  /** A batch that is full is sealed at once, while its bytes are still near the processor; not where sealing waits for a producer id. */
  readonly sealsWhenFull: boolean
}

/**
 * Records by partition, batch after batch, within `buffer.memory`. What does not fit waits in line, so that order holds. Knows no
 * time and no network: the sender asks, and is told by `append` whether something became ready.
 */
export class Accumulator {
  readonly #options: AccumulatorOptions
  /** Of the options: asked with every record. */
  readonly #codec: number
  readonly #batchSize: number
  readonly #queues = new Map<string, PartitionQueue[]>()
  /** Those with batches. */
  readonly active = new Set<PartitionQueue>()
  readonly #ratios = new Map<string, CompressionRatio>()
  readonly #line = new Fifo<PendingRecord>()
  #used = 0
  /** Of the record before. */
  #lastTopic: string | undefined
  #lastQueues: PartitionQueue[] = []

  constructor(options: AccumulatorOptions) {
    this.#options = options
    this.#codec = options.codec
    this.#batchSize = options.batchSize
  }

  /** Of `buffer.memory`. */
  get availableBytes(): number {
    return this.#options.bufferMemory - this.#used
  }

  get hasWaiters(): boolean {
    return this.#line.length > 0
  }

  get waiters(): number {
    return this.#line.length
  }

  /** Batches that are not under way. */
  get isEmpty(): boolean {
    return this.active.size === 0 && this.#line.length === 0
  }

  /** By partition, as far as they were asked for: the array stays the topic's. */
  queuesOf(topic: string): readonly (PartitionQueue | undefined)[] {
    return this.#queuesOf(topic)
  }

  #queuesOf(topic: string): PartitionQueue[] {
    if (topic === this.#lastTopic) return this.#lastQueues
    let queues = this.#queues.get(topic)
    if (queues === undefined) {
      queues = []
      this.#queues.set(topic, queues)
    }
    this.#lastTopic = topic
    this.#lastQueues = queues
    return queues
  }

  queue(topic: string, partition: number): PartitionQueue {
    const queues = this.#queuesOf(topic)
    return (partition < queues.length ? queues[partition] : undefined) ?? this.#newQueue(queues, topic, partition)
  }

  #newQueue(queues: PartitionQueue[], topic: string, partition: number): PartitionQueue {
    const queue = new PartitionQueue(topic, partition)
    queues[partition] = queue
    return queue
  }

  *queues(): Iterable<PartitionQueue> {
    for (const queues of this.#queues.values()) for (const queue of queues) if (queue !== undefined) yield queue
  }

  /**
   * Batches a record. Not when others wait in line (NO_ROOM): `wait` is for it then. `keyBytes` and `valueBytes` are those of `byteLength`.
   * No object is made for it.
   */
  append(
    queue: PartitionQueue,
    key: Bytes,
    keyBytes: number,
    value: Bytes,
    valueBytes: number,
    headers: readonly HeaderInput[],
    timestamp: EpochMillis,
    callback: SendCallback | undefined,
    now: Millis,
  ): Placed {
    if (this.#line.length > 0) return Placed.NO_ROOM
    return this.#place(queue, key, keyBytes, value, valueBytes, headers, timestamp, callback, now)
  }

  /** Puts a record in line. */
  wait(record: PendingRecord): void {
    this.#line.push(record)
  }

  #place(
    queue: PartitionQueue,
    key: Bytes,
    keyBytes: number,
    value: Bytes,
    valueBytes: number,
    headers: readonly HeaderInput[],
    timestamp: EpochMillis,
    callback: SendCallback | undefined,
    now: Millis,
  ): Placed {
    const { batches } = queue
    let batch = batches.length > 0 ? batches[batches.length - 1] : undefined
    let placed: Placed = Placed.JOINED
    const limit = this.#codec === 0 ? this.#batchSize : this.#limit(queue.topic)
    if (batch === undefined || batch.isFull || !batch.writer.hasRoom(keyBytes, valueBytes, headers, limit)) {
      placed = batch === undefined || batch.isFull ? Placed.BEGUN : Placed.READY
      if (batch !== undefined) this.#close(batch)
      batch = this.#begin(queue, recordSizeBound(keyBytes, valueBytes, headers), now)
      if (batch === undefined) return Placed.NO_ROOM
    }
    batch.writer.append(timestamp, key, keyBytes, value, valueBytes, headers)
    batch.expect(callback, timestamp)
    batch.lastAppendAt = now
    if (this.#batchSize > 0) return placed
    batch.isFull = true
    return Placed.READY
  }

  /** Nothing more comes. */
  #close(batch: ProducerBatch): void {
    if (!batch.isFull && this.#options.sealsWhenFull) this.seal(batch, false)
    batch.isFull = true
  }

  /** A new batch, for at least one record; undefined when there is no memory for it. */
  #begin(queue: PartitionQueue, recordBytes: number, now: Millis): ProducerBatch | undefined {
    const size = Math.max(this.#batchSize, recordBytes)
    // A record larger than the memory that is left goes alone, once nothing else is held.
    if (size > this.availableBytes && this.#used > 0) return undefined
    const batch = this.#newBatch(queue, size, now)
    queue.batches.push(batch)
    this.active.add(queue)
    return batch
  }

  #newBatch(queue: PartitionQueue, size: number, now: Millis): ProducerBatch {
    // What a compressed batch may grow to changes with those before it.
    const joinLimit = this.#codec === 0 ? this.#batchSize : 0
    const batch = new ProducerBatch(queue, new RecordBatchWriter(this.#options.pool, size, joinLimit), now)
    batch.reservedBytes = size
    this.#used += size
    return batch
  }

  /** Bytes before compression that become `batch.size` after it, as far as earlier batches of the topic tell. */
  #limit(topic: string): number {
    return this.#ratio(topic).uncompressedLimit(this.#batchSize)
  }

  #ratio(topic: string): CompressionRatio {
    let ratio = this.#ratios.get(topic)
    if (ratio === undefined) {
      ratio = new CompressionRatio()
      this.#ratios.set(topic, ratio)
    }
    return ratio
  }

  /** Closes and compresses a batch before its first attempt. */
  seal(batch: ProducerBatch, transactional: boolean): void {
    const { codec } = this.#options
    const { writer } = batch
    batch.isFull = true
    const before = writer.size
    writer.seal({ codec, transactional })
    if (codec !== 0) this.#ratio(batch.queue.topic).observe(writer.bytes.length / before)
  }

  /** A broker found the batch too large: its topic compresses worse than believed. */
  foundTooLarge(batch: ProducerBatch): void {
    this.#ratio(batch.queue.topic).reset(batch.writer.bytes.length / batch.writer.size)
  }

  /** Gives the memory of a batch back. True when others may go on by it. */
  release(batch: ProducerBatch): boolean {
    batch.writer.release()
    this.#used -= batch.reservedBytes
    batch.reservedBytes = 0
    return this.#line.length > 0
  }

  /** Takes over the records of `batch`, which was too large, in batches of at most `batch.size` and half of its own. */
  split(batch: ProducerBatch, now: Millis): ProducerBatch[] {
    const parts: ProducerBatch[] = []
    const cursor = batch.writer.cursor()
    // Half at most: a broker whose limit is below batch.size would find the same batch too large again, for ever (as in Java).
    const limit = Math.min(this.#options.batchSize, batch.writer.size >> 1)
    for (let i = 0; cursor.next(); i++) {
      const key = cursor.key()
      const value = cursor.value()
      const headers = cursor.headers()
      const keyBytes = key?.length ?? 0
      const valueBytes = value?.length ?? 0
      let part = parts.at(-1)
      if (part === undefined || !part.writer.hasRoom(keyBytes, valueBytes, headers, limit)) {
        const size = Math.max(this.#options.batchSize, recordSizeBound(keyBytes, valueBytes, headers))
        part = this.#newBatch(batch.queue, size, now)
        parts.push(part)
      }
      part.writer.append(cursor.timestamp, key, keyBytes, value, valueBytes, headers)
      part.expect(batch.expectation(i), cursor.timestamp)
      part.isFull = true
    }
    return parts
  }

  /** Lets records in line in, as many as fit. */
  serveLine(now: Millis): void {
    for (let record = this.#line.first(); record !== undefined; record = this.#line.first()) {
      const { topic, partition, key, value, headers, timestamp, callback } = record
      const [keyBytes, valueBytes] = [byteLength(key), byteLength(value)]
      const queue = this.queue(topic, partition!)
      const placed = this.#place(queue, key, keyBytes, value, valueBytes, headers, timestamp, callback, now)
      if (placed === Placed.NO_ROOM) return
      this.#line.shift()
    }
  }

  /** Takes out of the line what has waited for too long. */
  expireLine(now: Millis): { record: PendingRecord; error: KafkaException }[] {
    const late: { record: PendingRecord; error: KafkaException }[] = []
    while (this.lineDeadline <= now) {
      const error = new BufferExhaustedException(
        `Failed to allocate memory within the configured max blocking time ${this.#options.maxBlockMs} ms.`,
      )
      late.push({ record: this.#line.shift()!, error })
    }
    return late
  }

  /** When the first in line stops waiting. */
  get lineDeadline(): Millis {
    return this.#line.first()?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** Everything in line, taken out. */
  takeLine(): PendingRecord[] {
    return this.#line.takeAll()
  }
}
