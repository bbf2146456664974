import type { FileRange, RecordPieces } from '../base/bytes.ts'
import { FROM_FILE_BYTES } from '../base/bytes.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { RecordCursor } from '../protocol/records/record.ts'
import { batchMaxTimestamp } from './batch-fields.ts'
import { BatchScanner } from './batch-scanner.ts'
import type { PartitionLog } from './log.ts'
import { RecordsCutError } from './records-cut.ts'
import type { LogSegment } from './segment.ts'
import { found } from './segment.ts'
import type { TailRing } from './tail-cache.ts'
import type { AbortedTransaction, ReadResult, RecordsSlice, TimestampOffset } from './types.ts'

const LATEST = -1
const EARLIEST = -2
/** Bytes at the end of a log that this process wrote: surely still in the page cache. */
const SURELY_CACHED_BYTES = 32 * 1024 * 1024
/** A cold read brings in this much, so that the next ones find it cached. */
const READ_AHEAD_BYTES = 1024 * 1024
/** Of more than this a part could be cold again before it is sent. */
const MAX_WARMED_BYTES = 4 * 1024 * 1024

const NO_ABORTED: readonly AbortedTransaction[] = []
const NOTHING: ReadResult = { error: 0, records: undefined, firstEntryIncomplete: false }
const NOTHING_COMMITTED: ReadResult = { ...NOTHING, abortedTransactions: NO_ABORTED }
/** A negative limit has no code of its own in 1.1. */
const INVALID_LIMIT: ReadResult = { ...NOTHING, error: ErrorCode.UNKNOWN_SERVER_ERROR }
const OUT_OF_RANGE: ReadResult = { ...NOTHING, error: ErrorCode.OFFSET_OUT_OF_RANGE }

const scanner = new BatchScanner(64 * 1024)
const cursor = new RecordCursor()

/** Reads of one log: translation of offsets to positions, slices, timestamps, aborted transactions. */
export class LogReader {
  readonly #log: PartitionLog
  readonly #tail: TailRing
  /** The active segment when the log was opened, and how much of it was there: older bytes may be cold. */
  #warmSegment: LogSegment
  #warmFrom: number
  /** Range that the last cold read brought in. */
  #loadedSegment: LogSegment | undefined
  #loadedFrom = 0
  #loadedTo = 0
  /** Bytes of the batch that the present read begins with; 0: not known. */
  #firstSize = 0

  constructor(log: PartitionLog, tail: TailRing) {
    this.#log = log
    this.#tail = tail
    this.#warmSegment = log.segments.active
    this.#warmFrom = this.#warmSegment.size
  }

  /** Something was appended. */
  wrote(): void {
    const { active } = this.#log.segments
    if (active.size - this.#warmFrom > 2 * SURELY_CACHED_BYTES && active === this.#warmSegment)
      this.#warmFrom = active.size - SURELY_CACHED_BYTES
  }

  /** A new active segment. */
  rolled(): void {
    this.#warmSegment = this.#log.segments.active
    this.#warmFrom = 0
  }

  truncated(): void {
    const { active } = this.#log.segments
    if (active !== this.#warmSegment) {
      this.#warmSegment = active
      this.#warmFrom = active.size
    }
    this.#warmFrom = Math.min(this.#warmFrom, active.size)
    this.#loadedSegment = undefined
  }

  /** `canTell`: the segment may be asked. */
  isCold(segment: LogSegment, position: number, size: number, canTell: boolean): boolean {
    if (segment === this.#warmSegment && position >= this.#warmFrom) return false
    if (segment === this.#loadedSegment && position >= this.#loadedFrom && position + size <= this.#loadedTo) return false
    return !(canTell && segment.isResident(position, size))
  }

  loaded(segment: LogSegment, from: number, to: number): void {
    const extends_ = segment === this.#loadedSegment && from >= this.#loadedFrom && from <= this.#loadedTo
    if (!extends_) {
      this.#loadedSegment = segment
      this.#loadedFrom = from
      this.#loadedTo = to
    } else if (to > this.#loadedTo) this.#loadedTo = to
  }

  failed(work: () => unknown): void {
    this.#log.guard(work)
  }

  read(from: number, maxBytes: number, upTo: number, minOneMessage: boolean, withAborted: boolean): ReadResult {
    const log = this.#log
    if (from === log.logEndOffset) return withAborted ? NOTHING_COMMITTED : NOTHING
    const { segments } = log
    let index = segments.floorIndex(from)
    if (from > log.logEndOffset || from < log.logStartOffset || index < 0) return OUT_OF_RANGE
    for (; index < segments.length; index++) {
      const segment = segments.at(index)!
      const start = this.#startPosition(segment, from)
      if (start < 0) continue
      // Known when it had to be looked for: no second look at the file.
      this.#firstSize = found.size
      return this.#slice(segment, index, start, from, maxBytes, upTo, minOneMessage, withAborted)
    }
    return withAborted ? NOTHING_COMMITTED : NOTHING
  }

  #startPosition(segment: LogSegment, from: number): number {
    return segment.positionOf(from)
  }

  #slice(
    segment: LogSegment,
    index: number,
    start: number,
    from: number,
    maxBytes: number,
    upTo: number,
    minOneMessage: boolean,
    withAborted: boolean,
  ): ReadResult {
    const empty = withAborted ? NOTHING_COMMITTED : NOTHING
    if (maxBytes < 0) return INVALID_LIMIT
    if (upTo < from) return empty
    const log = this.#log
    const isLast = index === log.segments.length - 1
    const nextBase = isLast ? log.logEndOffset : log.segments.at(index + 1)!.baseOffset
    const end = upTo >= nextBase ? segment.size : this.#endPosition(segment, start, upTo)
    const available = end - start
    let limit = maxBytes
    let incomplete = false
    if (available > maxBytes) {
      const first = this.#firstSize > 0 ? this.#firstSize : this.#batchSizeAt(segment, start)
      if (minOneMessage && first > limit) limit = first
      incomplete = limit < first
    }
    // With no room at all 1.1 says nothing of the first entry either.
    if (limit <= 0) return empty
    const size = Math.min(available, limit)
    if (size <= 0) return empty
    const fromFile = size >= FROM_FILE_BYTES && segment.isSendable
    // What is sent from the file needs no other copy.
    if (isLast && !fromFile && !this.#tail.has(start, size)) this.#tail.missed(segment.size - start, segment.size)
    const records = new SegmentSlice(this, segment, start, size, fromFile, this.isCold(segment, start, size, fromFile))
    if (!withAborted) return { error: 0, records, firstEntryIncomplete: incomplete }
    const abortedTransactions = this.#aborted(index, from, start + size)
    return { error: 0, records, firstEntryIncomplete: incomplete, abortedTransactions }
  }

  /** Where the data below `upTo` ends; the segment's end when all of it does. */
  #endPosition(segment: LogSegment, start: number, upTo: number): number {
    const position = segment.positionOf(upTo, start)
    return position < 0 ? segment.size : position
  }

  #batchSizeAt(segment: LogSegment, position: number): number {
    return scanner.start(segment, position, segment.size).next() ? scanner.size : 0
  }

  /** Transactions whose abort a reader of [from, upper bound of the bytes below `endPosition`) must know of. */
  #aborted(index: number, from: number, endPosition: number): readonly AbortedTransaction[] {
    const { segments } = this.#log
    const bound = segments.at(index)!.offsetIndex.firstOffsetAtOrAfter(endPosition)
    const upper = bound >= 0 ? bound : (segments.at(index + 1)?.baseOffset ?? this.#log.logEndOffset)
    const result: AbortedTransaction[] = []
    for (let i = index; i < segments.length; i++) {
      for (const { producerId, firstOffset, lastOffset: marker, lastStableOffset } of segments.at(i)!.txnIndex.entries) {
        if (marker >= from && firstOffset < upper) result.push({ producerId, firstOffset })
        if (lastStableOffset >= upper) return result
      }
    }
    return result
  }

  bytesBetween(from: number, upTo: number): number {
    const { segments, logEndOffset } = this.#log
    if (from >= upTo) return 0
    const first = segments.floorIndex(from)
    const last = upTo >= logEndOffset ? segments.length - 1 : segments.floorIndex(upTo)
    if (first !== last) return -1
    const segment = segments.at(first)!
    const start = segment.positionOf(from)
    if (start < 0) return 0
    const end = upTo >= logEndOffset ? segment.size : this.#endPosition(segment, start, upTo)
    return Math.max(0, end - start)
  }

  offsetForTimestamp(timestamp: number): TimestampOffset | undefined {
    const log = this.#log
    for (const segment of log.segments) {
      // An empty one, all compacted away, passes for as young as its file: 1.1 looks no further then.
      if (segment.size === 0 || segment.largestTimestamp() < timestamp) continue
      const found = this.#searchTimestamp(segment, timestamp, log.logStartOffset)
      if (found !== undefined) return found
    }
    return undefined
  }

  #searchTimestamp(segment: LogSegment, timestamp: number, startOffset: number): TimestampOffset | undefined {
    const from = Math.max(segment.timeIndex.offsetFor(timestamp), startOffset)
    const scan = scanner.start(segment, segment.offsetIndex.positionFor(from), segment.size)
    try {
      while (scan.next()) {
        if (batchMaxTimestamp(scan.buffer, scan.at) < timestamp || !scan.loadBody()) continue
        cursor.open(scan.buffer, scan.at)
        while (cursor.next()) {
          if (cursor.timestamp >= timestamp && cursor.offset >= startOffset)
            return { timestamp: cursor.timestamp, offset: cursor.offset }
        }
      }
      return undefined
    } finally {
      scan.shrink(64 * 1024)
    }
  }

  legacyOffsetsBefore(timestamp: number, maxOffsets: number, wall: number): number[] {
    const log = this.#log
    const entries: [offset: number, time: number][] = []
    for (const segment of log.segments) entries.push([Math.max(segment.baseOffset, log.logStartOffset), segment.modifiedTime()])
    if (log.segments.active.size > 0) entries.push([log.logEndOffset, wall])
    let last = entries.length - 1
    if (timestamp === EARLIEST) last = 0
    else if (timestamp !== LATEST) while (last >= 0 && entries[last]![1] > timestamp) last--
    const result: number[] = []
    for (let i = last; i >= 0 && result.length < maxOffsets; i--) result.push(entries[i]![0])
    return result.sort((a, b) => b - a)
  }
}

/** Bytes of one segment. */
class SegmentSlice implements RecordsSlice, RecordPieces {
  readonly size: number
  readonly cold: boolean
  readonly #reader: LogReader
  readonly #segment: LogSegment
  readonly #position: number
  readonly #fromFile: boolean
  readonly #cuts: number

  constructor(reader: LogReader, segment: LogSegment, position: number, size: number, fromFile: boolean, cold: boolean) {
    this.#reader = reader
    this.#segment = segment
    this.#position = position
    this.#fromFile = fromFile
    this.#cuts = segment.cuts
    this.size = size
    this.cold = cold
  }

  copyTo(target: Buffer, offset: number): void {
    if (this.#segment.cuts !== this.#cuts) throw new Error(`${this.#segment.path} was cut while its bytes were held`)
    const read = this.#readInto(target, offset, this.size, this.#position)
    if (read < this.size) this.#reader.failed(() => this.#tooShort(read))
    this.#segment.noteRead(target, offset, offset + this.size, this.#position)
  }

  get pieces(): RecordPieces | undefined {
    return this.cold ? undefined : this
  }

  hold(): void {
    // Opened now: under its path there may be nothing, or another file, later.
    this.#reader.failed(() => this.#segment.file())
    this.#segment.pin()
  }

  letGo(): void {
    this.#segment.unpin()
  }

  /** Bytes that were cut off meanwhile may be others by now: half an old batch and half a new one must not be sent. */
  copyPart(target: Buffer, offset: number, from: number, length: number): boolean {
    if (this.#segment.cuts !== this.#cuts) return false
    try {
      return this.#readInto(target, offset, length, this.#position + from) === length
    } catch (error) {
      if (error instanceof DiskError) return false
      throw error
    }
  }

  inFile(from: number, length: number): FileRange | undefined {
    if (!this.#fromFile || this.#segment.cuts !== this.#cuts) return undefined
    try {
      return this.#segment.range(this.#position + from, length)
    } catch (error) {
      // The copy that is made instead finds out.
      if (error instanceof DiskError) return undefined
      throw error
    }
  }

  get warmUp(): (() => Promise<RecordsSlice>) | undefined {
    return this.#fromFile && this.size <= MAX_WARMED_BYTES ? () => this.#warmUp() : undefined
  }

  async #warmUp(): Promise<RecordsSlice> {
    const segment = this.#segment
    const length = Math.min(Math.max(this.size, READ_AHEAD_BYTES), segment.size - this.#position)
    const warm = new SegmentSlice(this.#reader, segment, this.#position, this.size, true, false)
    warm.hold()
    try {
      await segment.warm(this.#position, length)
      this.#checkCuts()
      this.#reader.loaded(segment, this.#position, this.#position + length)
      return warm
    } catch (error) {
      warm.letGo()
      this.#failedLater(error)
    }
  }

  #readInto(target: Buffer, offset: number, length: number, position: number): number {
    let read = 0
    try {
      read = this.#segment.readSync(target, offset, length, position)
    } catch (error) {
      this.#reader.failed(() => {
        throw error
      })
    }
    return read
  }

  #checkCuts(): void {
    if (this.#segment.cuts !== this.#cuts) throw new RecordsCutError(this.#segment.path)
  }

  /** A read off the loop has failed. Only that of a log which is still as it was says anything about the disk. */
  #failedLater(error: unknown): never {
    this.#checkCuts()
    this.#reader.failed(() => {
      throw error
    })
    throw error
  }

  #tooShort(read: number): never {
    const { path } = this.#segment
    throw new DiskError('EIO', path, `${path} ends ${this.size - read} bytes before position ${this.#position + this.size}`)
  }

  async load(): Promise<RecordsSlice> {
    const segment = this.#segment
    const length = Math.min(Math.max(this.size, READ_AHEAD_BYTES), segment.size - this.#position)
    const buffer = Buffer.allocUnsafe(length)
    segment.pin()
    try {
      const read = await segment.file().read(buffer, 0, length, this.#position)
      this.#checkCuts()
      if (read < this.size) this.#tooShort(read)
      this.#reader.loaded(segment, this.#position, this.#position + read)
      return new MemorySlice(buffer, this.size)
    } catch (error) {
      this.#failedLater(error)
    } finally {
      segment.unpin()
    }
  }
}

class MemorySlice implements RecordsSlice {
  readonly size: number
  readonly bytes: Buffer
  readonly cold = false

  constructor(buffer: Buffer, size: number) {
    this.bytes = buffer.subarray(0, size)
    this.size = size
  }

  copyTo(target: Buffer, offset: number): void {
    this.bytes.copy(target, offset)
  }

  load(): Promise<RecordsSlice> {
    return Promise.resolve(this)
  }
}
