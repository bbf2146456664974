import type { FileRange } from '../base/bytes.ts'
import type { Disk, DiskFile } from '../ports/disk.ts'
import { lastOffset } from '../protocol/records/batch.ts'
import { batchMaxTimestamp } from './batch-fields.ts'
import type { ByteSource } from './batch-scanner.ts'
import { BatchScanner, CorruptSegmentError } from './batch-scanner.ts'
import type { LogEnvironment } from './environment.ts'
import {
  DELETED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  SEGMENT_SUFFIXES,
  segmentFileName,
  TIME_INDEX_SUFFIX,
  TXN_INDEX_SUFFIX,
} from './file-names.ts'
import { OffsetIndex } from './offset-index.ts'
import { ReadPositions } from './read-positions.ts'
import type { TailRing } from './tail-cache.ts'
import { NO_TIMESTAMP, TimeIndex } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'
import type { LogConfig } from './types.ts'

const INT32_MAX = 2147483647
/** Looking for a batch reads this much at a time; index entries are at least `index.interval.bytes` (4096) apart. */
const LOOKUP_BYTES = 4096
/** Appends whose positions are remembered, so that a reader at the tail needs neither index nor scan. */
const RECENT = 32
const NOTHING_RECENT = new Float64Array(0)

const lookup = new BatchScanner(LOOKUP_BYTES)
/** Where bytes go that nobody looks at. */
const WARMING = Buffer.allocUnsafeSlow(1024 * 1024)

/**
 * Position of the batch that the last successful `translate` found, and its size (0: `positionOf` knew the place without looking). Valid
 * until the next call on any segment.
 */
export const found = { position: 0, size: 0 }

/**
 * One segment: the `.log` file and its indexes. Knows sizes and positions; the log decides what is appended, rolled, flushed and deleted.
 * The file is opened when it is first needed. Bytes are appended in two steps, `stage` (accounting, index entries) and `write`.
 */
export class LogSegment implements ByteSource {
  readonly baseOffset: number
  readonly offsetIndex: OffsetIndex
  readonly timeIndex: TimeIndex
  readonly txnIndex: TransactionIndex
  /** Bytes of valid data. */
  size: number
  /** Wall clock when it was opened or emptied; what rolling goes by when records have no timestamps. */
  created: number
  /** Greatest timestamp, -1 without one. */
  maxTimestamp: number
  offsetOfMaxTimestamp: number
  rollJitterMs = 0
  /** Its indexes were found corrupt, or it may hold data that were never flushed. */
  needsRecovery = false
  /** How often bytes were cut off its end. */
  cuts = 0
  /** The folder was not synced since the file was made. */
  isNewInFolder: boolean
  /** Set while it is the active segment. */
  tail: TailRing | undefined
  path: string
  readonly #disk: Disk
  readonly #directory: string
  #file: DiskFile | undefined
  #fileBytes: number
  #bytesSinceIndexEntry = 0
  /** Timestamp that time-based rolling starts from; undefined when not known. */
  #rollingTimestamp: number | undefined
  #recentOffsets = NOTHING_RECENT
  #recentPositions = NOTHING_RECENT
  #recentCount = 0
  #stops: ReadPositions | undefined
  #pins = 0
  #closing = false
  #isRemoved = false

  /** `names`: files in the folder. The `.log` file must be there, or is created when `isNew`. */
  constructor(
    environment: LogEnvironment,
    directory: string,
    baseOffset: number,
    config: LogConfig,
    names: ReadonlySet<string>,
    isNew: boolean,
    suffix = '',
  ) {
    const { disk, clock, rng } = environment
    this.#disk = disk
    this.#directory = directory
    this.baseOffset = baseOffset
    const pathOf = (kind: string) => `${directory}/${segmentFileName(baseOffset, kind)}${suffix}`
    const sizeOf = (kind: string) =>
      names.has(segmentFileName(baseOffset, kind) + suffix) ? disk.fileSize(pathOf(kind)) : undefined
    this.path = pathOf(LOG_SUFFIX)
    this.isNewInFolder = isNew
    if (isNew) {
      this.#file = disk.open(this.path, 'create')
      this.#fileBytes = config.preallocate ? config.segmentBytes : 0
      if (config.preallocate) this.#file.truncateSync(this.#fileBytes)
      this.size = 0
    } else {
      this.size = this.#fileBytes = disk.fileSize(this.path)
    }
    const indexBytes = config.segmentIndexBytes
    this.offsetIndex = new OffsetIndex(
      disk,
      pathOf(INDEX_SUFFIX),
      baseOffset,
      indexBytes,
      isNew ? undefined : sizeOf(INDEX_SUFFIX),
    )
    this.timeIndex = new TimeIndex(
      disk,
      pathOf(TIME_INDEX_SUFFIX),
      baseOffset,
      indexBytes,
      isNew ? undefined : sizeOf(TIME_INDEX_SUFFIX),
    )
    this.txnIndex = new TransactionIndex(disk, pathOf(TXN_INDEX_SUFFIX), baseOffset, isNew ? undefined : sizeOf(TXN_INDEX_SUFFIX))
    this.created = clock.wall()
    this.maxTimestamp = NO_TIMESTAMP
    this.offsetOfMaxTimestamp = baseOffset
    if (config.segmentJitterMs > 0)
      this.rollJitterMs = rng.int(0, Math.max(1, Math.min(config.segmentJitterMs, config.segmentMs)))
  }

  /** Checks the indexes as 1.1 does at start; throws `CorruptIndexError`. A time index that was not there stays empty. */
  sanityCheck(timeIndexIsNew: boolean): void {
    this.offsetIndex.sanityCheck()
    if (timeIndexIsNew) this.timeIndex.resize(0)
    this.timeIndex.sanityCheck()
    this.txnIndex.sanityCheck()
    this.takeTimestampFromIndex()
  }

  takeTimestampFromIndex(): void {
    this.maxTimestamp = this.timeIndex.lastTimestamp
    this.offsetOfMaxTimestamp = this.timeIndex.lastOffset
  }

  // ---------------------------------------------------------------- append

  canHold(offset: number): boolean {
    const relative = offset - this.baseOffset
    return relative >= 0 && relative <= INT32_MAX
  }

  /** Must a new segment be begun before this append? */
  shouldRoll(bytes: number, maxTimestamp: number, lastOffset: number, config: LogConfig, wall: number): boolean {
    if (this.size > config.segmentBytes - bytes) return true
    if (this.size > 0 && this.#waitedForRoll(wall, maxTimestamp) > config.segmentMs - this.rollJitterMs) return true
    return this.offsetIndex.isFull || this.timeIndex.isFull || !this.canHold(lastOffset)
  }

  #waitedForRoll(wall: number, maxTimestamp: number): number {
    if (this.#rollingTimestamp === undefined && lookup.start(this, 0, this.size).next()) {
      this.#rollingTimestamp = batchMaxTimestamp(lookup.buffer, lookup.at)
    }
    const from = this.#rollingTimestamp
    return from !== undefined && from >= 0 ? maxTimestamp - from : wall - this.created
  }

  /** Accounts for an append and adds its index entries; the bytes follow with `write`, at the size before the first stage. */
  stage(
    bytes: number,
    firstOffset: number,
    maxTimestamp: number,
    offsetOfMaxTimestamp: number,
    indexIntervalBytes: number,
  ): void {
    const position = this.size
    if (position === 0) this.#rollingTimestamp = maxTimestamp
    if (maxTimestamp > this.maxTimestamp) {
      this.maxTimestamp = maxTimestamp
      this.offsetOfMaxTimestamp = offsetOfMaxTimestamp
    }
    if (this.#bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex.append(firstOffset, position)
      this.timeIndex.maybeAppend(this.maxTimestamp, this.offsetOfMaxTimestamp)
      this.#bytesSinceIndexEntry = 0
    }
    this.#bytesSinceIndexEntry += bytes
    // Most segments are never appended to again.
    if (this.#recentOffsets === NOTHING_RECENT) {
      this.#recentOffsets = new Float64Array(RECENT)
      this.#recentPositions = new Float64Array(RECENT)
    }
    const slot = this.#recentCount++ % RECENT
    this.#recentOffsets[slot] = firstOffset
    this.#recentPositions[slot] = position
    this.size = position + bytes
  }

  /** Writes staged bytes at `position`. */
  write(buffer: Uint8Array, position: number): void {
    this.file().writeSync(buffer, 0, buffer.length, position)
    this.#fileBytes = Math.max(this.#fileBytes, position + buffer.length)
    this.tail?.append(buffer, position)
  }

  /** The same for several buffers, with one gathered write. */
  writeAll(buffers: readonly Uint8Array[], position: number): void {
    this.file().writevSync(buffers, position)
    let at = position
    for (const buffer of buffers) {
      this.tail?.append(buffer, at)
      at += buffer.length
    }
    this.#fileBytes = Math.max(this.#fileBytes, at)
  }

  /** Has the file system set space aside up to `end`; false: it did not. */
  reserve(end: number): boolean {
    const from = this.#fileBytes
    if (end <= from || this.file().reserve?.(from, end - from) !== true) return false
    this.#fileBytes = end
    return true
  }

  // ---------------------------------------------------------------- read

  /** The open file. */
  file(): DiskFile {
    return (this.#file ??= this.#disk.open(this.path, 'readWrite'))
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const { tail } = this
    if (tail?.has(position, length)) {
      tail.copyTo(buffer, offset, length, position)
      return length
    }
    return this.file().readSync(buffer, offset, length, position)
  }

  /** The system can send its bytes from the file. */
  get isSendable(): boolean {
    return this.file().descriptor !== undefined
  }

  isResident(position: number, length: number): boolean {
    return this.file().isResident?.(position, length) === true
  }

  range(position: number, length: number): FileRange | undefined {
    const fd = this.file().descriptor
    return fd === undefined ? undefined : { fd, position, length }
  }

  /** Brings bytes into the page cache, off the loop. */
  async warm(position: number, bytes: number): Promise<void> {
    this.pin()
    try {
      const end = Math.min(this.size, position + bytes)
      for (let at = position; at < end; at += WARMING.length)
        await this.file().read(WARMING, 0, Math.min(WARMING.length, end - at), at)
    } finally {
      this.unpin()
    }
  }

  /** Finds the first batch at or behind `from` whose last offset is at least `offset`: see `found`. */
  translate(offset: number, from = 0): boolean {
    const start = Math.max(this.#startFor(offset), from)
    const scan = lookup.start(this, start, this.size)
    while (scan.next()) {
      if (lastOffset(scan.buffer, scan.at) < offset) continue
      found.position = scan.position
      found.size = scan.size
      return true
    }
    return false
  }

  /** File position of the first batch with offsets at or above `offset`, -1 when there is none. No scan where an append began. */
  positionOf(offset: number, from = 0): number {
    for (let i = 1; i <= RECENT && i <= this.#recentCount; i++) {
      const slot = (this.#recentCount - i) % RECENT
      if (this.#recentOffsets[slot]! > offset) continue
      if (this.#recentOffsets[slot] === offset) {
        found.size = 0
        return this.#recentPositions[slot]!
      }
      break
    }
    const stop = from === 0 && this.#stops !== undefined ? this.#stops.find(offset) : -1
    if (stop >= 0) {
      found.size = this.#stops!.sizeAt(stop)
      return this.#stops!.positionAt(stop)
    }
    return this.translate(offset, from) ? found.position : -1
  }

  /** `bytes[start, end)` was read from `position` on, a batch boundary: whoever got them asks next for the batch that they end in. */
  noteRead(bytes: Buffer, start: number, end: number, position: number): void {
    this.#stops ??= new ReadPositions()
    this.#stops.learn(bytes, start, end, position)
  }

  /** A batch boundary at or before the batch that holds `offset`. */
  #startFor(offset: number): number {
    for (let i = 1; i <= RECENT && i <= this.#recentCount; i++) {
      const slot = (this.#recentCount - i) % RECENT
      if (this.#recentOffsets[slot]! <= offset) return this.#recentPositions[slot]!
    }
    return this.offsetIndex.positionFor(offset)
  }

  /** Offset after the last batch, walking from the last index entry. Throws `Error` for a header that cannot be one: fatal in 1.1. */
  readNextOffset(): number {
    const scan = lookup.start(this, this.offsetIndex.positionFor(this.offsetIndex.lastOffset), this.size)
    let next = this.baseOffset
    while (scan.next()) next = lastOffset(scan.buffer, scan.at) + 1
    if (scan.outcome === 'corrupt') throw new CorruptSegmentError(scan.problem)
    return next
  }

  // ---------------------------------------------------------------- truncate, roll, close

  /** Cuts the batches that reach to `offset` or beyond. Returns the bytes cut. */
  truncateTo(offset: number, config: LogConfig, wall: number): number {
    const position = this.translate(offset) ? found.position : this.size
    this.offsetIndex.truncateTo(offset)
    this.timeIndex.truncateTo(offset)
    this.txnIndex.truncateTo(offset)
    this.offsetIndex.resize(config.segmentIndexBytes)
    this.timeIndex.resize(config.segmentIndexBytes)
    const cut = this.size - position
    if (cut > 0) this.cutFile(position)
    if (this.size === 0) {
      this.created = wall
      this.#rollingTimestamp = undefined
    }
    this.#bytesSinceIndexEntry = 0
    if (this.maxTimestamp >= 0) this.#reloadMaxTimestamp()
    return cut
  }

  /** Cuts the file to `size` bytes, a batch boundary. */
  cutFile(size: number): void {
    this.file().truncateSync(size)
    this.size = this.#fileBytes = size
    this.cuts++
    this.#recentCount = 0
    this.#stops?.clear()
    this.tail?.truncate(size)
  }

  #reloadMaxTimestamp(): void {
    this.takeTimestampFromIndex()
    const scan = lookup.start(this, this.offsetIndex.positionFor(this.timeIndex.lastOffset), this.size)
    while (scan.next()) {
      const timestamp = batchMaxTimestamp(scan.buffer, scan.at)
      if (timestamp <= this.maxTimestamp) continue
      this.maxTimestamp = timestamp
      this.offsetOfMaxTimestamp = lastOffset(scan.buffer, scan.at)
    }
  }

  /** After a rebuild: what `recoverSegment` counted. */
  setMaxTimestamp(timestamp: number, offset: number): void {
    this.maxTimestamp = timestamp
    this.offsetOfMaxTimestamp = offset
  }

  /** It will not be appended to any more: last time index entry, files cut to what is used. */
  becomeInactive(): void {
    this.timeIndex.maybeAppend(this.maxTimestamp, this.offsetOfMaxTimestamp)
    this.offsetIndex.trim()
    this.timeIndex.trim()
    this.giveBack()
    this.tail = undefined
    this.#recentCount = 0
  }

  /** Cuts the file to what is used; space that was set aside goes with that. */
  giveBack(): void {
    if (this.#fileBytes <= this.size) return
    this.file().truncateSync(this.size)
    this.#fileBytes = this.size
  }

  /** Clean close: as `becomeInactive`, and the files are closed. */
  close(): void {
    this.becomeInactive()
    this.abandon()
  }

  /** Closes the files as they are, once no pending read or sync needs them. */
  abandon(): void {
    this.#closing = true
    this.tail = undefined
    if (this.#pins > 0) return
    const file = this.#file
    this.#file = undefined
    if (this.#isRemoved && file?.closeOffLoop !== undefined) file.closeOffLoop()
    else file?.close()
    this.offsetIndex.abandon()
    this.timeIndex.abandon()
  }

  /** Keeps the files open across an asynchronous operation. */
  pin(): void {
    this.#pins++
  }

  unpin(): void {
    this.#pins--
    if (this.#pins === 0 && this.#closing) this.abandon()
  }

  // ---------------------------------------------------------------- flush, delete

  /** fdatasync of all its files, off the loop. */
  datasync(): Promise<void> {
    return this.#datasync(() => [this.file(), this.offsetIndex, this.timeIndex, this.txnIndex])
  }

  /** Index entries that were written since the last sync; what `datasync` does beside the data. */
  datasyncIndexes(): Promise<void> {
    return this.#datasync(() => [this.offsetIndex, this.timeIndex])
  }

  async #datasync(files: () => readonly Pick<DiskFile, 'datasync'>[]): Promise<void> {
    this.pin()
    try {
      for (const file of files()) await file.datasync()
    } catch (error) {
      // Retention took the files away meanwhile: nothing is left to be made durable.
      if (!this.#isRemoved) throw error
    } finally {
      this.unpin()
    }
  }

  fsyncSync(): void {
    this.file().fsyncSync()
    this.offsetIndex.fsyncSync()
    this.timeIndex.fsyncSync()
    this.txnIndex.fsyncSync()
  }

  /** Makes the index files of a new segment. */
  ensureFiles(): void {
    this.offsetIndex.ensureFile()
    this.timeIndex.ensureFile()
  }

  /** Gives its files other names, e.g. from `.swap` to none. */
  changeSuffix(from: string, to: string): void {
    for (const kind of SEGMENT_SUFFIXES) {
      const name = `${this.#directory}/${segmentFileName(this.baseOffset, kind)}`
      if (this.#disk.exists(name + from)) this.#disk.rename(name + from, name + to)
    }
    const stem = `${this.#directory}/${segmentFileName(this.baseOffset, '')}`
    this.path = `${stem}${LOG_SUFFIX}${to}`
    this.offsetIndex.renamed(`${stem}${INDEX_SUFFIX}${to}`)
    this.timeIndex.renamed(`${stem}${TIME_INDEX_SUFFIX}${to}`)
    this.txnIndex.path = `${stem}${TXN_INDEX_SUFFIX}${to}`
  }

  /** Removes its files for good, under the `.deleted` names they have by now. */
  async removeFiles(): Promise<void> {
    this.#isRemoved = true
    this.abandon()
    for (const kind of SEGMENT_SUFFIXES) {
      // Most segments have none.
      if (kind === TXN_INDEX_SUFFIX && !this.txnIndex.exists) continue
      await this.#disk.removeAsync(`${this.#directory}/${segmentFileName(this.baseOffset, kind)}${DELETED_SUFFIX}`)
    }
  }

  modifiedTime(): number {
    return this.#disk.modifiedTime(this.path)
  }

  /** Of the `.log` and the two indexes; milliseconds since 1970. */
  setModifiedTime(epochMillis: number): void {
    for (const path of [this.path, this.offsetIndex.path, this.timeIndex.path]) this.#disk.setModifiedTime(path, epochMillis)
  }

  /** What time-based retention goes by. */
  largestTimestamp(): number {
    return this.maxTimestamp >= 0 ? this.maxTimestamp : this.modifiedTime()
  }
}
