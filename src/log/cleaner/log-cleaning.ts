import type { Logger } from '../../base/logger.ts'
import { baseOffset, isControlBatch, lastOffset, nextBatch, recordsCount } from '../../protocol/records/batch.ts'
import { RecordCursor } from '../../protocol/records/record.ts'
import type { Steps } from '../../protocol/records/steps.ts'
import { firstOffsetOf } from '../batch-fields.ts'
import type { LogEnvironment } from '../environment.ts'
import { CLEANED_SUFFIX, SEGMENT_SUFFIXES, segmentFileName } from '../file-names.ts'
import type { PartitionLog } from '../log.ts'
import { isIntact } from '../log-loader.ts'
import { LogSegment } from '../segment.ts'
import { CleaningError, filterBatches, nothingFiltered } from './batch-filter.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import type { Cleanable } from './cleaning-plan.ts'
import { abortedBetween, groupSegments } from './cleaning-plan.ts'
import { CleaningStats, javaDate } from './cleaning-stats.ts'
import type { OffsetMap } from './offset-map.ts'
import type { Pace } from './pace.ts'
import { RetentionRules, seeData, seeMarker } from './retention-rules.ts'
import { SegmentChunks } from './segment-chunks.ts'

const STEP_RECORDS = 64
const NO_NAMES: ReadonlySet<string> = new Set()

/** The cleaning was given up: the log was truncated, deleted or moved, or the cleaner stops. The log is as it was. */
export class CleaningAborted extends Error {
  override readonly name = 'CleaningAborted'
}

/** What one cleaner thread works with. */
export interface CleaningTools {
  readonly id: number
  /** Of its log lines. */
  readonly prefix: string
  readonly environment: LogEnvironment
  readonly logger: Logger
  readonly map: OffsetMap
  /** Keys that the map may hold. */
  readonly maxKeys: number
  /** Read at a time. */
  readonly chunkBytes: number
  /** `message.max.bytes` */
  readonly maxMessageBytes: number
  readonly pace: Pace
  /** Counts bytes read or written and waits when there were too many. */
  throttle(bytes: number): Promise<void>
  /** All of the log is on the medium. */
  flushed(log: PartitionLog): void
  /** Throws `CleaningAborted` when the cleaner stops or the log must be left alone. */
  check(log: PartitionLog): void
}

/** One cleaning of one log (log-and-replication 4.4), off the loop where it reads and in slices where it computes. */
export class LogCleaning {
  readonly stats: CleaningStats
  readonly #tools: CleaningTools
  readonly #target: Cleanable
  readonly #log: PartitionLog
  readonly #chunks: SegmentChunks
  /** Segments that were there at the start and are no more, by anybody else than this cleaning. */
  readonly #removals: number
  readonly #cursor = new RecordCursor()

  constructor(tools: CleaningTools, target: Cleanable) {
    this.#tools = tools
    this.#target = target
    this.#log = target.log
    this.#removals = target.log.removals
    this.stats = new CleaningStats(tools.environment.clock.now())
    const mostBytes = Math.max(tools.maxMessageBytes, target.log.config.maxMessageBytes)
    this.#chunks = new SegmentChunks(tools.environment.disk, tools.chunkBytes, mostBytes)
  }

  /** Returns where the dirty part begins now. Throws `CleaningAborted`, `CleaningError`, `RecordsError`, `DiskError`. */
  async run(): Promise<number> {
    const { map, pace, environment } = this.#tools
    const { clock } = environment
    const log = this.#log
    pace.restart()
    try {
      this.#info(`Beginning cleaning of log ${this.#name}.`)
      // What makes other records go must not be lost in a power failure itself.
      await log.flush()
      this.#check()
      this.#tools.flushed(log)
      this.#check()
      const isFull = await this.#buildMap()
      this.stats.indexDone(clock.now())
      const { firstUncleanableOffset } = this.#target
      const endOffset = isFull ? map.latestOffset + 1 : firstUncleanableOffset
      const horizon = log.segments.between(-1, firstUncleanableOffset).at(-1)?.modifiedTime() ?? 0
      const deleteHorizon = this.#deleteHorizon()
      this.#info(
        `Cleaning log ${this.#name} (cleaning prior to ${javaDate(horizon)}, discarding tombstones prior to ${javaDate(deleteHorizon)})...`,
      )
      const rules = new RetentionRules(log, map, this.stats, new CleanedTransactions([]))
      const { segmentBytes, segmentIndexBytes } = log.config
      const segments = log.segments.between(-1, endOffset)
      for (const group of groupSegments(segments, segmentBytes, segmentIndexBytes, firstUncleanableOffset))
        await this.#cleanGroup(group, rules, deleteHorizon)
      this.stats.bufferUtilization = map.utilization
      this.stats.allDone(clock.now())
      return endOffset
    } finally {
      pace.hold()
      this.#chunks.close()
      map.clear()
    }
  }

  get #name(): string {
    return `${this.#log.topic}-${this.#log.partition}`
  }

  #info(line: string): void {
    this.#tools.logger.info(this.#tools.prefix + line)
  }

  #check(): void {
    this.#tools.check(this.#log)
    if (this.#log.removals !== this.#removals) throw new CleaningAborted(`${this.#name} has lost segments meanwhile`)
  }

  /** Tombstones of segments that were last written before it may go; 0: none. */
  #deleteHorizon(): number {
    const { log, firstDirtyOffset } = this.#target
    const last = log.segments.between(-1, firstDirtyOffset).at(-1)
    return last === undefined ? 0 : last.modifiedTime() - log.config.deleteRetentionMs
  }

  // ---------------------------------------------------------------- first pass

  /** True when the map was full before the end was reached. */
  async #buildMap(): Promise<boolean> {
    const { map } = this.#tools
    const { log, firstDirtyOffset: start, firstUncleanableOffset: end } = this.#target
    map.clear()
    this.#info(`Building offset map for ${this.#name}...`)
    const dirty = log.segments.between(start, end)
    this.#info(`Building offset map for log ${this.#name} for ${dirty.length} segments in offset range [${start}, ${end}).`)
    const transactions = new CleanedTransactions(
      abortedBetween(log, log.segments.at(Math.max(0, log.segments.floorIndex(start)))!.baseOffset, end),
    )
    let isFull = false
    for (const segment of dirty) {
      this.#check()
      isFull = await this.#mapSegment(segment, start, transactions)
      if (isFull) break
    }
    this.#info(`Offset map for log ${this.#name} complete.`)
    return isFull
  }

  /** True when the map is full. */
  async #mapSegment(segment: LogSegment, start: number, transactions: CleanedTransactions): Promise<boolean> {
    const { pace, throttle } = this.#tools
    this.#chunks.open(segment)
    let position = segment.offsetIndex.positionFor(start)
    while (position < segment.size) {
      pace.hold()
      await this.#chunks.load(position)
      pace.restart()
      this.#check()
      await throttle(this.#chunks.read)
      this.#check()
      const isFull = await pace.run(this.#mapChunk(start, transactions), () => this.#check())
      if (isFull) return true
      position += this.#chunks.length
      this.stats.mapBytesRead += this.#chunks.length
    }
    return false
  }

  *#mapChunk(start: number, transactions: CleanedTransactions): Steps<boolean> {
    const { map } = this.#tools
    const { buffer, length } = this.#chunks
    for (let at = 0, size = 0; (size = nextBatch(buffer, at, length)) > 0; at += size) {
      if (!isIntact(buffer, at, size)) throw corrupt(buffer, at)
      if (isControlBatch(buffer, at)) {
        seeMarker(transactions, buffer, at)
        this.stats.mapMessagesRead++
      } else if (seeData(transactions, buffer, at)) this.stats.mapMessagesRead += recordsCount(buffer, at)
      else if (yield* this.#mapBatch(buffer, at, start)) return true
      const last = lastOffset(buffer, at)
      if (last >= start) map.latestOffset = last
    }
    return false
  }

  *#mapBatch(buffer: Buffer, at: number, start: number): Steps<boolean> {
    const { map, maxKeys } = this.#tools
    const cursor = yield* this.#cursor.openSteps(buffer, at)
    for (let count = 1; cursor.next(); count++) {
      if (count % STEP_RECORDS === 0) yield undefined
      if (cursor.keyLength >= 0 && cursor.offset >= start) {
        if (map.size >= maxKeys) return true
        if (map.mustGrow) yield* map.grow()
        map.put(cursor.buffer, cursor.keyPosition, cursor.keyLength, cursor.offset)
      }
      this.stats.mapMessagesRead++
    }
    yield undefined
    return false
  }

  // ---------------------------------------------------------------- second pass

  async #cleanGroup(group: readonly LogSegment[], rules: RetentionRules, deleteHorizon: number): Promise<void> {
    const { environment } = this.#tools
    const log = this.#log
    this.#check()
    const baseOffset = group[0]!.baseOffset
    removeCleaned(environment, log.directory, baseOffset)
    const cleaned = new LogSegment(environment, log.directory, baseOffset, log.config, NO_NAMES, true, CLEANED_SUFFIX)
    try {
      cleaned.ensureFiles()
      for (const [i, segment] of group.entries()) {
        const end = group[i + 1]?.baseOffset ?? this.#tools.map.latestOffset + 1
        const aborted = abortedBetween(log, segment.baseOffset, end)
        rules.transactions = new CleanedTransactions(aborted, (entry) => cleaned.txnIndex.append(entry))
        rules.retainDeletes = segment.modifiedTime() > deleteHorizon
        this.#info(
          `Cleaning segment ${segment.baseOffset} in log ${this.#name} (largest timestamp ${javaDate(segment.largestTimestamp())}) into ${baseOffset}, ${rules.retainDeletes ? 'retaining' : 'discarding'} deletes.`,
        )
        await this.#cleanInto(segment, cleaned, rules)
      }
      await this.#finish(cleaned, group)
    } catch (error) {
      cleaned.abandon()
      if (!log.isClosed) removeCleaned(environment, log.directory, baseOffset)
      throw error
    }
    // The checkpoint must not be ahead of the folder.
    await environment.disk.syncDirectoryAsync(log.directory)
    this.#check()
  }

  async #finish(cleaned: LogSegment, group: readonly LogSegment[]): Promise<void> {
    const { pace } = this.#tools
    cleaned.becomeInactive()
    const modified = group.at(-1)!.modifiedTime()
    pace.hold()
    await cleaned.datasync()
    pace.restart()
    this.#check()
    cleaned.setModifiedTime(modified)
    const from = group.map((segment) => segment.baseOffset).join(',')
    this.#info(`Swapping in cleaned segment ${cleaned.baseOffset} for segment(s) ${from} in log ${this.#name}`)
    this.#log.replaceSegments(cleaned, group)
  }

  async #cleanInto(segment: LogSegment, cleaned: LogSegment, rules: RetentionRules): Promise<void> {
    const { pace, throttle, chunkBytes } = this.#tools
    this.#chunks.open(segment)
    let output = Buffer.allocUnsafeSlow(chunkBytes)
    for (let position = 0; position < segment.size; ) {
      this.#check()
      pace.hold()
      await this.#chunks.load(position)
      pace.restart()
      this.#check()
      await throttle(this.#chunks.read)
      if (output.length < this.#chunks.buffer.length) output = Buffer.allocUnsafeSlow(this.#chunks.buffer.length)
      const result = nothingFiltered(output)
      await pace.run(filterBatches(this.#chunks.buffer, this.#chunks.length, rules, result), () => this.#check())
      this.#check()
      this.stats.messagesRead += result.messagesRead
      this.stats.bytesRead += result.bytesRead
      this.stats.messagesWritten += result.messagesRetained
      this.stats.bytesWritten += result.bytesRetained
      position += result.bytesRead
      if (result.length === 0) continue
      this.#write(cleaned, result.output.subarray(0, result.length), result.maxTimestamp, result.offsetOfMaxTimestamp)
      await throttle(result.length)
    }
  }

  /** As 1.1 one index entry at most for all that was read at once. */
  #write(cleaned: LogSegment, bytes: Buffer, maxTimestamp: number, offsetOfMaxTimestamp: number): void {
    const position = cleaned.size
    const interval = this.#log.config.indexIntervalBytes
    cleaned.stage(bytes.length, firstOffsetOf(bytes, 0), maxTimestamp, offsetOfMaxTimestamp, interval)
    cleaned.write(bytes, position)
  }
}

/** A batch with a wrong CRC written anew would look like a good one; 1.1 does that. */
export function corrupt(buffer: Buffer, at: number): CleaningError {
  return new CleaningError(`the batch at offset ${baseOffset(buffer, at)} does not have the CRC that it says`)
}

/** What an earlier cleaning left unfinished. */
function removeCleaned({ disk }: LogEnvironment, directory: string, baseOffset: number): void {
  for (const suffix of SEGMENT_SUFFIXES) disk.remove(`${directory}/${segmentFileName(baseOffset, suffix)}${CLEANED_SUFFIX}`, true)
}
