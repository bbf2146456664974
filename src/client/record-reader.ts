/** Reading what a broker sent for one partition: a cursor over its record set. */

import { ErrorCode } from '../protocol/errors.ts'
import {
  codecOf,
  controlTypeOf,
  isControlBatch,
  isLogAppendTime,
  isTransactional,
  isValidBatch,
  lastOffset,
  magicOf,
  nextBatch,
  producerId,
  RecordCursor,
  type RecordHeader,
  type RecordRun,
} from '../protocol/records/index.ts'
import { ApiException, type KafkaException } from './errors.ts'

/** One aborted transaction of a Fetch response: records of the producer from `firstOffset` on, up to its abort marker. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export interface RecordSetOptions {
  readonly topic: string
  readonly partition: number
  /** Records below are passed over: a compressed batch may begin before it. */
  readonly fetchOffset: number
  readonly checkCrcs: boolean
  /** Not null: leave out what these transactions wrote (read_committed). */
  readonly aborted?: readonly AbortedTransaction[] | null
}

/** One record, on its own: key and value are views, made when asked for, that keep the record set alive. */
export class RecordView {
  readonly offset: number
  /** -1: none. */
  readonly timestamp: number
  readonly #buffer: Buffer
  readonly #keyPosition: number
  readonly #keyLength: number
  readonly #valuePosition: number
  readonly #valueLength: number
  readonly #headers: readonly RecordHeader[]

  constructor(cursor: RecordCursor) {
    this.offset = cursor.offset
    this.timestamp = cursor.timestamp
    this.#buffer = cursor.buffer
    this.#keyPosition = cursor.keyPosition
    this.#keyLength = cursor.keyLength
    this.#valuePosition = cursor.valuePosition
    this.#valueLength = cursor.valueLength
    this.#headers = cursor.headerCount === 0 ? NO_HEADERS : cursor.headers()
  }

  get key(): Buffer | null {
    return this.#keyLength < 0 ? null : this.#buffer.subarray(this.#keyPosition, this.#keyPosition + this.#keyLength)
  }

  get value(): Buffer | null {
    return this.#valueLength < 0 ? null : this.#buffer.subarray(this.#valuePosition, this.#valuePosition + this.#valueLength)
  }

  /** Bytes; -1: null. */
  get keyLength(): number {
    return this.#keyLength
  }

  /** Bytes; -1: null. */
  get valueLength(): number {
    return this.#valueLength
  }

  get headers(): readonly RecordHeader[] {
    return this.#headers
  }
}

const NO_HEADERS: readonly RecordHeader[] = []

/**
 * Walks a record set. `next` moves to a record that the consumer shall see; `record` (the cursor) describes it without an object, `view`
 * makes one. `position` is where to fetch next: behind what was returned, and over markers, aborted records and gaps. A record set that
 * cannot be read throws a KafkaException naming the partition and the offset, and throws it again: the position stays.
 */
export class RecordSetReader {
  readonly record = new RecordCursor()
  /** Offset of the next record to fetch. */
  position: number
  /** Of the current record. */
  timestampType: 'CreateTime' | 'LogAppendTime' | 'NoTimestampType' = 'CreateTime'
  readonly #buffer: Buffer
  readonly #options: RecordSetOptions
  #at = 0
  #open = false
  /** Where the current record begins. */
  #start = 0
  #batchLast = -1
  #broken: KafkaException | undefined
  /** Aborted transactions that may begin later, by first offset. */
  readonly #aborted: AbortedTransaction[]
  readonly #abortedProducers = new Set<number>()

  /** `buffer` must stay as it is while the reader and its views live: not a receive buffer. */
  constructor(buffer: Buffer, options: RecordSetOptions) {
    this.#buffer = buffer
    this.#options = options
    this.position = options.fetchOffset
    this.#aborted = [...(options.aborted ?? [])].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** False at the end of the record set (a cut last batch is left out). */
  next(): boolean {
    if (this.#broken !== undefined) throw this.#broken
    for (;;) {
      if (!this.#open && !this.#openBatch()) return false
      if (!this.#nextInBatch()) {
        this.#open = false
        this.position = Math.max(this.position, this.#batchLast + 1)
      } else if (this.record.offset >= this.#options.fetchOffset && this.record.offset >= this.position) {
        this.position = this.record.offset + 1
        return true
      }
    }
  }

  /**
   * As `next`, with all records behind that one that lie in a row, at most `max`: found readable, and nothing kept of each. Undefined at the
   * end of the record set. What cannot be read behind them is thrown by the next call.
   */
  nextRun(max: number): RecordRun | undefined {
    if (!this.next()) return undefined
    const { record } = this
    const run = record.beginRun(this.#start)
    while (run.count < max) {
      record.passPlain(run, max)
      this.position = record.offset + 1
      if (run.count === max || !this.#extend(run)) break
    }
    return run
  }

  /** By a record that is not a usual one. False: there is none that could be added. */
  #extend(run: RecordRun): boolean {
    const { record } = this
    try {
      if (!record.next()) {
        this.#open = false
        this.position = Math.max(this.position, this.#batchLast + 1)
        return false
      }
    } catch (error) {
      this.#failure(error)
      return false
    }
    // Offsets do not rise: passed over.
    if (record.offset < this.position) return false
    record.addTo(run)
    this.position = record.offset + 1
    return true
  }

  /** The current record as an object of its own. */
  view(): RecordView {
    return new RecordView(this.record)
  }

  /** The set begins with a batch that did not fit into the fetch: the next one must be larger (below Fetch v3). */
  get isCut(): boolean {
    return this.#at === 0 && this.#buffer.length > 0 && nextBatch(this.#buffer, 0, this.#buffer.length) === 0
  }

  #nextInBatch(): boolean {
    this.#start = this.record.position
    try {
      return this.record.next()
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** Goes on to the next batch with records for us. */
  #openBatch(): boolean {
    const buffer = this.#buffer
    for (;;) {
      const size = nextBatch(buffer, this.#at, buffer.length)
      if (size === 0) return false
      if (size < 0) throw this.#failure(new Error('bad size or format of a batch'))
      const at = this.#at
      if (this.#options.checkCrcs && !isValidBatch(buffer, at)) throw this.#failure(new Error('the CRC is wrong'))
      const last = lastOffset(buffer, at)
      if (magicOf(buffer, at) === 2 && this.#isHidden(at, last)) {
        this.position = Math.max(this.position, last + 1)
        this.#at += size
        continue
      }
      try {
        this.record.open(buffer, at)
      } catch (error) {
        throw this.#failure(error)
      }
      this.#at += size
      this.timestampType =
        magicOf(buffer, at) === 0 ? 'NoTimestampType' : isLogAppendTime(buffer, at) ? 'LogAppendTime' : 'CreateTime'
      this.#batchLast = last
      this.#open = true
      return true
    }
  }

  /** Markers always, and with read_committed what an aborted transaction wrote. */
  #isHidden(at: number, last: number): boolean {
    const control = isControlBatch(this.#buffer, at)
    if (this.#options.aborted != null) {
      while (this.#aborted.length > 0 && this.#aborted[0]!.firstOffset <= last)
        this.#abortedProducers.add(this.#aborted.shift()!.producerId)
      const id = producerId(this.#buffer, at)
      if (control) {
        if (this.#isAbortMarker(at)) this.#abortedProducers.delete(id)
      } else if (isTransactional(this.#buffer, at) && this.#abortedProducers.has(id)) return true
    }
    return control
  }

  #isAbortMarker(at: number): boolean {
    if (codecOf(this.#buffer, at) !== 0) return false
    const marker = new RecordCursor().open(this.#buffer, at)
    return marker.next() && controlTypeOf(marker.key()) === 'abort'
  }

  #failure(error: unknown): KafkaException {
    const { topic, partition } = this.#options
    const message = `Received exception when fetching the next record from ${topic}-${partition} at offset ${this.position}. If needed, please seek past the record to continue consumption. (${(error as Error).message})`
    this.#broken = new ApiException(ErrorCode.CORRUPT_MESSAGE, message, error)
    return this.#broken
  }
}
