import type { BufferPool } from '../../base/buffer-pool.ts'
import type { EpochMillis, Millis } from '../../base/ids.ts'
import { BufferExhaustedException, type KafkaException } from '../errors.ts'
import { byteLength, type HeaderInput, RecordBatchWriter, recordSizeBound } from '../records.ts'
import type { Bytes } from '../serialization.ts'
import { PartitionQueue, ProducerBatch } from './batch.ts'
import { CompressionRatio } from './compression-ratio.ts'
import type { SendCallback } from './types.ts'

/** A record as bytes, on its way into a batch. */
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

export interface AccumulatorOptions {
  readonly pool: BufferPool
  /** `batch.size` */
  readonly batchSize: number
  /** `buffer.memory` */
  readonly bufferMemory: number
  /** Index in `codecNames`. */
  readonly codec: number
  readonly maxBlockMs: Millis
}

/**
 * Records by partition, batch after batch, within `buffer.memory`. What does not fit waits in line, so that order holds. Knows no
 * time and no network: the sender asks, and is told by `append` whether something became ready.
 */
export class Accumulator {
  readonly #options: AccumulatorOptions
  readonly #queues = new Map<string, PartitionQueue[]>()
  /** Those with batches. */
  readonly active = new Set<PartitionQueue>()
  readonly #ratios = new Map<string, CompressionRatio>()
  readonly #line: PendingRecord[] = []
  #used = 0

  constructor(options: AccumulatorOptions) {
    this.#options = options
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

  queue(topic: string, partition: number): PartitionQueue {
    let queues = this.#queues.get(topic)
    if (queues === undefined) {
      queues = []
      this.#queues.set(topic, queues)
    }
    queues[partition] ??= new PartitionQueue(topic, partition)
    return queues[partition]
  }

  *queues(): Iterable<PartitionQueue> {
    for (const queues of this.#queues.values()) for (const queue of queues) if (queue !== undefined) yield queue
  }

  /** Batches a record, or puts it in line. True when something has become ready by it: a batch is full, or the memory. */
  append(record: PendingRecord, now: Millis): boolean {
    const isReady = this.#line.length > 0 ? undefined : this.#place(record, now)
    if (isReady === undefined) this.#line.push(record)
    return isReady ?? true
  }

  /** Undefined: no memory. */
  #place(record: PendingRecord, now: Millis): boolean | undefined {
    const { key, value, headers } = record
    const keyBytes = byteLength(key)
    const valueBytes = byteLength(value)
    const queue = this.queue(record.topic, record.partition!)
    const last = queue.batches.at(-1)
    let hasFilled = false
    if (last !== undefined && !last.isFull) {
      if (this.#options.batchSize > 0 && last.writer.hasRoom(keyBytes, valueBytes, headers, this.#limit(record.topic))) {
        this.#write(last, record, keyBytes, valueBytes, now)
        return false
      }
      last.isFull = true
      hasFilled = true
    }
    const size = Math.max(this.#options.batchSize, recordSizeBound(keyBytes, valueBytes, headers))
    // A record larger than the memory that is left goes alone, once nothing else is held.
    if (size > this.availableBytes && this.#used > 0) return undefined
    const batch = this.#newBatch(queue, size, now)
    queue.batches.push(batch)
    this.active.add(queue)
    this.#write(batch, record, keyBytes, valueBytes, now)
    if (this.#options.batchSize === 0) batch.isFull = true
    return hasFilled || batch.isFull
  }

  #newBatch(queue: PartitionQueue, size: number, now: Millis): ProducerBatch {
    const batch = new ProducerBatch(queue, new RecordBatchWriter(this.#options.pool, size), now)
    batch.reservedBytes = size
    this.#used += size
    return batch
  }

  #write(batch: ProducerBatch, record: PendingRecord, keyBytes: number, valueBytes: number, now: Millis): void {
    batch.writer.append(record.timestamp, record.key, keyBytes, record.value, valueBytes, record.headers)
    batch.expect(record.callback, record.timestamp)
    batch.lastAppendAt = now
  }

  /** Bytes before compression that become `batch.size` after it, as far as earlier batches of the topic tell. */
  #limit(topic: string): number {
    const { codec, batchSize } = this.#options
    return codec === 0 ? batchSize : this.#ratio(topic).uncompressedLimit(batchSize)
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
    while (this.#line.length > 0) {
      if (this.#place(this.#line[0]!, now) === undefined) return
      this.#line.shift()
    }
  }

  /** Takes out of the line what has waited for too long. */
  expireLine(now: Millis): { record: PendingRecord; error: KafkaException }[] {
    const late: { record: PendingRecord; error: KafkaException }[] = []
    while (this.#line.length > 0 && this.#line[0]!.deadline <= now) {
      const error = new BufferExhaustedException(
        `Failed to allocate memory within the configured max blocking time ${this.#options.maxBlockMs} ms.`,
      )
      late.push({ record: this.#line.shift()!, error })
    }
    return late
  }

  /** When the first in line stops waiting. */
  get lineDeadline(): Millis {
    return this.#line[0]?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** Everything in line, taken out. */
  takeLine(): PendingRecord[] {
    return this.#line.splice(0)
  }
}
