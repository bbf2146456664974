import type { EpochMillis, Millis } from '../../base/ids.ts'
import type { RecordBatchWriter } from '../records.ts'
import type { Bytes } from '../serialization.ts'
import type { SendCallback } from './types.ts'

/** Records for one partition that travel together, and who waits for their fate. */
export class ProducerBatch {
  readonly queue: PartitionQueue
  readonly writer: RecordBatchWriter
  readonly createdAt: Millis
  /** Begins as a fraction, so that V8 keeps its bare number: each record sets it. */
  lastAppendAt: Millis = 0.5
  /** Nothing more is appended. */
  isFull = false
  attempts = 0
  lastAttemptAt: Millis = 0
  isInFlight = false
  /** Node of the last attempt. */
  sentTo = -1
  /** With idempotence, from the first attempt on; -1 before. */
  producerId = -1
  producerEpoch = -1
  baseSequence = -1
  /** The sequence numbers of its partition began anew while it waited for a further attempt. */
  wasResequenced = false
  /** Of `buffer.memory`. */
  reservedBytes = 0
  isDone = false
  /** Records so far; the callback of all of them, until one has another: then they are in `#callbacks`. */
  #expected = 0
  #shared: SendCallback | undefined
  #callbacks: (SendCallback | undefined)[] | undefined
  /** Timestamps as runs: the index of the first record that has another than the one before, and that timestamp. */
  readonly #runStarts: number[] = []
  readonly #runTimestamps: EpochMillis[] = []
  #lastTimestamp: EpochMillis = -1
  /** The same relative to the first. */
  #lastDelta = 0

  constructor(queue: PartitionQueue, writer: RecordBatchWriter, now: Millis) {
    this.queue = queue
    this.writer = writer
    this.createdAt = now
    this.lastAppendAt = now
  }

  get count(): number {
    return this.writer.count
  }

  /**
   * Appends a record as `RecordBatchWriter.join` does, and notes who waits for it. False, and nothing done, when that is not for this record
   * or the batch is full. `delta`: of its timestamp from that of the first.
   */
  join(
    delta: number,
    key: Bytes,
    keyBytes: number,
    value: Bytes,
    valueBytes: number,
    callback: SendCallback | undefined,
  ): boolean {
    const { writer } = this
    if (this.isFull || !writer.join(delta, key, keyBytes, value, valueBytes)) return false
    if (delta !== this.#lastDelta || this.#callbacks !== undefined || callback !== this.#shared)
      this.expect(callback, writer.firstTimestamp + delta)
    else this.#expected++
    return true
  }

  get hasSequence(): boolean {
    return this.baseSequence >= 0
  }

  get isRetry(): boolean {
    return this.attempts > 0
  }

  expect(callback: SendCallback | undefined, timestamp: EpochMillis): void {
    const index = this.#expected++
    if (timestamp !== this.#lastTimestamp || index === 0) {
      this.#lastTimestamp = timestamp
      this.#lastDelta = index === 0 ? 0 : timestamp - this.#runTimestamps[0]!
      this.#runStarts.push(index)
      this.#runTimestamps.push(timestamp)
    }
    if (this.#callbacks !== undefined) this.#callbacks.push(callback)
    else if (index === 0) this.#shared = callback
    else if (callback !== this.#shared) {
      this.#callbacks = new Array<SendCallback | undefined>(index).fill(this.#shared)
      this.#callbacks.push(callback)
    }
  }

  /** Whoever waits for the record at `index`, to move it to another batch. */
  expectation(index: number): SendCallback | undefined {
    return this.#callbacks === undefined ? this.#shared : this.#callbacks[index]
  }

  /** Calls each callback once, in order. `baseOffset`: -1 with acks=0; `logAppendTime`: -1 where the records keep their own. */
  settle(
    error: Parameters<SendCallback>[0],
    baseOffset: number,
    logAppendTime: EpochMillis,
    onThrow: (thrown: unknown) => void,
  ): void {
    if (this.isDone) return
    this.isDone = true
    const { partition } = this.queue
    const starts = this.#runStarts
    let i = 0
    for (let run = 0; run < starts.length; run++) {
      const end = run + 1 < starts.length ? starts[run + 1]! : this.#expected
      const timestamp = error !== null ? -1 : logAppendTime >= 0 ? logAppendTime : this.#runTimestamps[run]!
      for (; i < end; i++) {
        const callback = this.#callbacks === undefined ? this.#shared : this.#callbacks[i]
        if (callback === undefined) continue
        try {
          callback(error, partition, error !== null || baseOffset < 0 ? -1 : baseOffset + i, timestamp)
        } catch (thrown) {
          onThrow(thrown)
        }
      }
    }
  }
}

/** What waits for one partition, and the sequence numbers it is at. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** In the order of sending; the last one may still grow. */
  readonly batches: ProducerBatch[] = []
  /** Batches that have a sequence number and no final answer, by sequence; without idempotence those under way. */
  readonly unanswered: ProducerBatch[] = []
  nextSequence = 0
  lastAckedSequence = -1
  lastAckedOffset = -1
  /** The node that accepted the last batch that was accepted. */
  provenLeader = -1
  /** A batch was given up whose records may have been written: no sequence number can be right until the others are answered. */
  isUnresolved = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get name(): string {
    return `${this.topic}-${this.partition}`
  }

  /** Puts a batch back: by sequence if it has one, else in front. */
  putBack(batch: ProducerBatch): void {
    let at = 0
    if (batch.hasSequence) {
      while (at < this.batches.length && this.batches[at]!.hasSequence && this.batches[at]!.baseSequence < batch.baseSequence)
        at++
    }
    this.batches.splice(at, 0, batch)
  }

  /** Removes from those without an answer. */
  answered(batch: ProducerBatch): void {
    const at = this.unanswered.indexOf(batch)
    if (at >= 0) this.unanswered.splice(at, 1)
  }

  /** Begins at 0, as a new producer id or epoch does. */
  restartSequences(): void {
    this.nextSequence = 0
    this.lastAckedSequence = -1
    this.lastAckedOffset = -1
    this.isUnresolved = false
  }
}
