import { crc32, crc32c } from '../base/crc.ts'
import type { Logger } from '../base/logger.ts'
import { baseOffset, lastOffset, magicOf, partitionLeaderEpoch, producerId, storedCrc } from '../protocol/records/batch.ts'
import { batchMaxTimestamp, firstOffsetOf } from './batch-fields.ts'
import { BatchScanner } from './batch-scanner.ts'
import type { LogEnvironment } from './environment.ts'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  INDEX_SUFFIX,
  isIndexName,
  LEADER_EPOCH_FILE,
  LOG_SUFFIX,
  offsetOfFileName,
  SWAP_SUFFIX,
  segmentFileName,
  TIME_INDEX_SUFFIX,
  TXN_INDEX_SUFFIX,
} from './file-names.ts'
import { CorruptIndexError, InvalidOffsetError } from './index-file.ts'
import { LeaderEpochCache } from './leader-epoch-cache.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { LogSegment } from './segment.ts'
import { SegmentList } from './segment-list.ts'
import { NO_TIMESTAMP } from './time-index.ts'
import type { LogConfig } from './types.ts'

/** Bytes read at a time when whole batches are checked. */
const RECOVERY_CHUNK_BYTES = 1024 * 1024
/** The loader lets others run after this many bytes. */
const BYTES_PER_STEP = 8 * 1024 * 1024
/** A long recovery says so this often. */
const PROGRESS_MS = 10_000
const INDEX_SUFFIXES = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX]

/** Nothing, or bytes that are wanted in the page cache before the next step: the read is done off the loop, beside those of other logs. */
export type LoadStep = (() => Promise<void>) | undefined | void

/** One log as it is to be loaded. */
export interface LogSpec {
  readonly topic: string
  readonly partition: number
  /** Absolute path of its folder, which must exist. */
  readonly directory: string
  readonly config: LogConfig
  /** From the checkpoint, else 0. */
  readonly logStartOffset: number
  /** From the checkpoint; undefined when there was none. */
  readonly recoveryPoint: number | undefined
  /** The directory was left by a clean shutdown: nothing is scanned. */
  readonly hadCleanShutdown: boolean
  /** The folder was made a moment ago: nothing is in it. */
  readonly isNewFolder?: boolean
}

export interface LoadedLog {
  readonly segments: SegmentList
  readonly epochs: LeaderEpochCache
  readonly producers: ProducerSnapshots
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly recoveryPoint: number
  /** Segments that were replaced while loading; their files carry `.deleted`. */
  readonly replaced: readonly LogSegment[]
}

/**
 * Loads a log (log-and-replication 3.2, 3.3). A generator, so that long recoveries can be done in steps: every `yield` is a place to let
 * others run. Throws `DiskError`, or `CorruptSegmentError` where 1.1 does not start.
 */
export function* loadLog(environment: LogEnvironment, spec: LogSpec, logger: Logger): Generator<LoadStep, LoadedLog> {
  const loader = new Loader(environment, spec, logger)
  const swaps = loader.removeLeftovers()
  yield* loader.loadSegments()
  yield* loader.completeSwaps(swaps)
  const logEndOffset = yield* loader.recoverUnflushed()
  return yield* loader.finish(logEndOffset)
}

class Loader {
  readonly #environment: LogEnvironment
  readonly #spec: LogSpec
  readonly #logger: Logger
  readonly #names: Set<string>
  readonly #segments = new SegmentList()
  readonly #replaced: LogSegment[] = []
  readonly #producers: ProducerSnapshots
  #epochs: LeaderEpochCache | undefined
  #scanner: BatchScanner | undefined
  #recoveryPoint = 0
  /** Base offsets of segments that were taken out of the log not long before the end. */
  readonly #removed = new Set<number>()
  #progressAt = 0

  constructor(environment: LogEnvironment, spec: LogSpec, logger: Logger) {
    this.#environment = environment
    this.#spec = spec
    this.#logger = logger
    const entries = spec.isNewFolder === true ? [] : environment.disk.list(spec.directory)
    this.#names = new Set(entries.filter((entry) => !entry.isDirectory).map((entry) => entry.name))
    const producerLogger = logger.child(
      `[ProducerStateManager partition=${spec.topic}-${spec.partition}]`,
      'kafka.log.ProducerStateManager',
    )
    const { producerIdExpirationMs } = environment
    this.#producers = new ProducerSnapshots(environment.disk, spec.directory, this.#names, producerLogger, producerIdExpirationMs)
  }

  #path(name: string): string {
    return `${this.#spec.directory}/${name}`
  }

  #remove(name: string): void {
    this.#environment.disk.remove(this.#path(name), true)
    this.#names.delete(name)
  }

  /** Removes `.deleted` and `.cleaned` files; returns the base offsets of interrupted swaps, whose indexes are removed. */
  removeLeftovers(): number[] {
    const swaps: number[] = []
    for (const name of [...this.#names].sort()) {
      if (name.endsWith(`${LOG_SUFFIX}${DELETED_SUFFIX}`)) this.#removed.add(offsetOfFileName(name) ?? -1)
      if (name.endsWith(DELETED_SUFFIX) || name.endsWith(CLEANED_SUFFIX)) {
        this.#remove(name)
        continue
      }
      const plain = name.endsWith(SWAP_SUFFIX) ? name.slice(0, -SWAP_SUFFIX.length) : undefined
      const offset = plain === undefined ? undefined : offsetOfFileName(plain)
      if (plain === undefined || offset === undefined) continue
      const isLog = plain.endsWith(LOG_SUFFIX)
      if (!isLog && !isIndexName(plain)) continue
      this.#logger.info(
        `Found ${isLog ? 'log' : 'index'} file ${this.#path(name)} from interrupted swap operation. Deleting index files (if they exist).`,
      )
      for (const suffix of INDEX_SUFFIXES) this.#remove(segmentFileName(offset, suffix))
      if (isLog) swaps.push(offset)
    }
    return swaps
  }

  *loadSegments(): Generator<LoadStep> {
    for (const name of [...this.#names].sort()) {
      const offset = offsetOfFileName(name)
      if (offset === undefined) continue
      if (isIndexName(name) && !this.#names.has(segmentFileName(offset, LOG_SUFFIX))) {
        this.#logger.warn(`Found an orphaned index file ${this.#path(name)}, with no corresponding log file.`)
        this.#remove(name)
      } else if (name.endsWith(LOG_SUFFIX)) {
        this.#segments.add(this.#openSegment(offset))
      }
    }
    const { recoveryPoint = 0, hadCleanShutdown } = this.#spec
    // A segment that is recovered anyway is not recovered twice.
    const unflushed = hadCleanShutdown
      ? Number.POSITIVE_INFINITY
      : (this.#segments.at(this.#segments.floorIndex(recoveryPoint))?.baseOffset ?? 0)
    for (const segment of [...this.#segments]) {
      if (!segment.needsRecovery || segment.baseOffset >= unflushed) continue
      yield* this.#recoverSegment(segment, undefined)
    }
  }

  #openSegment(offset: number): LogSegment {
    const { directory, config } = this.#spec
    const segment = new LogSegment(this.#environment, directory, offset, config, this.#names, false)
    segment.ensureFiles()
    try {
      segment.sanityCheck(!this.#names.has(segmentFileName(offset, TIME_INDEX_SUFFIX)))
    } catch (error) {
      if (!(error instanceof CorruptIndexError)) throw error
      this.#logger.warn(
        `Found a corrupted index file corresponding to log file ${segment.path} due to ${error.message}}, recovering segment and rebuilding index files...`,
      )
      segment.needsRecovery = true
    }
    return segment
  }

  *completeSwaps(swaps: readonly number[]): Generator<LoadStep> {
    const { directory, config } = this.#spec
    for (const offset of swaps) {
      const swapped = new LogSegment(this.#environment, directory, offset, config, this.#names, false, SWAP_SUFFIX)
      swapped.ensureFiles()
      this.#logger.info(`Found log file ${swapped.path} from interrupted swap operation, repairing.`)
      yield* this.#recoverSegment(swapped, undefined)
      const next = swapped.readNextOffset()
      // An empty one covers no offsets, but it stands for the segment that began where it does. One that ends in front of it stays; 1.1 drops it.
      for (const old of this.#segments.between(offset, Math.max(next, offset + 1))) {
        if (old.baseOffset < offset && old.readNextOffset() <= offset) continue
        this.#segments.remove(old)
        old.offsetIndex.persist()
        old.offsetIndex.abandon()
        old.timeIndex.abandon()
        old.changeSuffix('', DELETED_SUFFIX)
        this.#replaced.push(old)
      }
      swapped.changeSuffix(SWAP_SUFFIX, '')
      this.#segments.add(swapped)
    }
  }

  /** Recovers what may not have been flushed; returns the log end. */
  *recoverUnflushed(): Generator<LoadStep, number> {
    const { config, directory, recoveryPoint = 0, hadCleanShutdown } = this.#spec
    this.#epochs = new LeaderEpochCache(this.#environment.disk, this.#path(LEADER_EPOCH_FILE), this.#names.has(LEADER_EPOCH_FILE))
    // What is found in a folder is made complete; a new log gets these files when there is time.
    if (this.#spec.isNewFolder !== true) this.#epochs.ensureFile()
    if (this.#segments.length === 0) {
      const { logStartOffset } = this.#spec
      this.#segments.add(new LogSegment(this.#environment, directory, logStartOffset, config, this.#names, true))
      if (this.#spec.isNewFolder !== true) this.#segments.active.ensureFiles()
      return logStartOffset
    }
    if (!hadCleanShutdown) yield* this.#recoverFrom(recoveryPoint)
    this.#startAgainBehindDeleted()
    const { active } = this.#segments
    const logEndOffset = active.readNextOffset()
    // What was found after a crash may be in the page cache only; 1.1 takes it for flushed.
    this.#recoveryPoint = hadCleanShutdown ? logEndOffset : Math.min(recoveryPoint, logEndOffset)
    active.offsetIndex.resize(config.segmentIndexBytes)
    active.timeIndex.resize(config.segmentIndexBytes)
    return logEndOffset
  }

  /** All that is there was deleted by DeleteRecords: what is appended next must not be taken for deleted too. (1.1 does that.) */
  #startAgainBehindDeleted(): void {
    const { config, directory, logStartOffset } = this.#spec
    const end = this.#segments.active.readNextOffset()
    if (end >= logStartOffset) return
    this.#logger.warn(`Deleting all segments because logEndOffset (${end}) is smaller than logStartOffset (${logStartOffset})`)
    for (const segment of [...this.#segments]) {
      this.#segments.remove(segment)
      segment.abandon()
      segment.changeSuffix('', DELETED_SUFFIX)
      this.#replaced.push(segment)
    }
    this.#segments.add(new LogSegment(this.#environment, directory, logStartOffset, config, this.#names, true))
    this.#segments.active.ensureFiles()
  }

  *#recoverFrom(recoveryPoint: number): Generator<LoadStep> {
    const unflushed = this.#segments.between(recoveryPoint, Number.POSITIVE_INFINITY)
    for (const [i, segment] of unflushed.entries()) {
      this.#logger.info(`Recovering unflushed segment ${segment.baseOffset}`)
      const cut = yield* this.#recoverOrEmpty(segment)
      const next = unflushed[i + 1]
      if (cut === 0 && (next === undefined || !this.#isTorn(segment, next))) continue
      this.#logger.warn(`Corruption found in segment ${segment.baseOffset}, truncating to offset ${segment.readNextOffset()}`)
      for (const later of unflushed.slice(i + 1)) {
        this.#segments.remove(later)
        later.abandon()
        later.changeSuffix('', DELETED_SUFFIX)
        this.#replaced.push(later)
      }
      return
    }
  }

  /**
   * A power loss can cut an unflushed segment between two batches while the next one is there: a hole that no CRC shows. 1.1 keeps what
   * is behind it. Where nothing is known of what was flushed we keep it too, and where compaction may have made the hole: our cleaner
   * keeps below the recovery point, 1.1's may have been ahead of its checkpoint for a minute, as long as the old files are there.
   */
  #isTorn(segment: LogSegment, next: LogSegment): boolean {
    if (this.#spec.recoveryPoint === undefined) return false
    if (this.#spec.config.compact && this.#removed.has(segment.baseOffset)) return false
    return segment.readNextOffset() < next.baseOffset
  }

  *#recoverOrEmpty(segment: LogSegment): Generator<LoadStep, number> {
    try {
      return yield* this.#recoverSegment(segment, this.#epochs)
    } catch (error) {
      if (!(error instanceof InvalidOffsetError)) throw error
      this.#logger.warn(
        `Found invalid offset during recovery. Deleting the corrupt segment and creating an empty one with starting offset ${segment.baseOffset}`,
      )
      return segment.truncateTo(segment.baseOffset, this.#spec.config, this.#environment.clock.wall())
    }
  }

  /** Rebuilds a segment's indexes and cuts it after its last valid batch. Returns the bytes cut. */
  *#recoverSegment(segment: LogSegment, epochs: LeaderEpochCache | undefined): Generator<LoadStep, number> {
    const producers = this.#producers.fork()
    try {
      producers.truncateAndReload(this.#spec.logStartOffset, segment.baseOffset, this.#environment.clock.wall())
      for (const earlier of this.#segments.between(producers.mapEndOffset, segment.baseOffset)) {
        replayProducers(producers, earlier, Math.max(earlier.baseOffset, producers.mapEndOffset), Number.POSITIVE_INFINITY)
        yield
      }
      producers.mapEndOffset = segment.baseOffset
      producers.take()
      const cut = yield* this.#rebuild(segment, producers, epochs)
      producers.take()
      return cut
    } finally {
      this.#producers.adoptFiles(producers)
    }
  }

  *#rebuild(
    segment: LogSegment,
    producers: ProducerSnapshots,
    epochs: LeaderEpochCache | undefined,
  ): Generator<LoadStep, number> {
    const { segmentIndexBytes, indexIntervalBytes } = this.#spec.config
    const { offsetIndex, timeIndex, txnIndex } = segment
    offsetIndex.reset(segmentIndexBytes, this.#spec.hadCleanShutdown)
    timeIndex.reset(segmentIndexBytes, this.#spec.hadCleanShutdown)
    txnIndex.reset()
    segment.setMaxTimestamp(NO_TIMESTAMP, segment.baseOffset)
    const scan = this.#scannerFor(segment).start(segment, 0, segment.size)
    let [lastIndexed, steps] = [0, 0]
    this.#progressAt = this.#environment.clock.now()
    if (segment.size > RECOVERY_CHUNK_BYTES) yield () => segment.warm(0, BYTES_PER_STEP)
    while (scan.next()) {
      if (!scan.loadBody() || !isIntact(scan.buffer, scan.at, scan.size)) {
        this.#logger.warn(
          `Found invalid messages in log segment ${segment.path} at byte offset ${scan.position}: Record is corrupt.`,
        )
        break
      }
      const { buffer, at, position } = scan
      const timestamp = batchMaxTimestamp(buffer, at)
      const last = lastOffset(buffer, at)
      if (timestamp > segment.maxTimestamp) segment.setMaxTimestamp(timestamp, last)
      if (position - lastIndexed > indexIntervalBytes) {
        offsetIndex.append(firstOffsetOf(buffer, at), position)
        timeIndex.maybeAppend(segment.maxTimestamp, segment.offsetOfMaxTimestamp)
        lastIndexed = position
      }
      if (magicOf(buffer, at) >= 2) {
        if (epochs !== undefined) epochs.assign(partitionLeaderEpoch(buffer, at), baseOffset(buffer, at))
        this.#recoverProducer(segment, producers, buffer, at)
        producers.mapEndOffset = last + 1
      }
      if (position + scan.size > (steps + 1) * BYTES_PER_STEP) {
        steps++
        this.#reportProgress(segment, position)
        yield () => segment.warm(position, BYTES_PER_STEP)
      }
    }
    const cut = segment.size - scan.position
    if (scan.outcome === 'corrupt') {
      this.#logger.warn(`Found invalid messages in log segment ${segment.path} at byte offset ${scan.position}: ${scan.problem}`)
    }
    // The process before may have died over space that it had set aside.
    if (cut > 0 || this.#environment.disk.hasSpaceBehind?.(segment.path)) segment.cutFile(scan.position)
    offsetIndex.trim()
    timeIndex.maybeAppend(segment.maxTimestamp, segment.offsetOfMaxTimestamp)
    timeIndex.trim()
    segment.needsRecovery = false
    return cut
  }

  #reportProgress(segment: LogSegment, position: number): void {
    const now = this.#environment.clock.now()
    if (now - this.#progressAt < PROGRESS_MS) return
    this.#progressAt = now
    const mib = (bytes: number) => Math.round(bytes / 1048576)
    this.#logger.info(`Recovering segment ${segment.baseOffset}: ${mib(position)} of ${mib(segment.size)} MB`)
  }

  /** A buffer of the size that is needed: most logs that are recovered are small, and there are many. */
  #scannerFor(segment: LogSegment): BatchScanner {
    const wanted = Math.min(segment.size, RECOVERY_CHUNK_BYTES)
    if (this.#scanner === undefined || this.#scanner.buffer.length < wanted) this.#scanner = new BatchScanner(wanted)
    return this.#scanner
  }

  #recoverProducer(segment: LogSegment, producers: ProducerSnapshots, buffer: Buffer, at: number): void {
    if (producerId(buffer, at) < 0) return
    producers.state.apply(buffer, at)
    producers.state.takeCompleted((completed, lastStableOffset) => {
      if (!completed.aborted) return
      const { producerId: id, firstOffset, lastOffset: markerOffset } = completed
      segment.txnIndex.append({ producerId: id, firstOffset, lastOffset: markerOffset, lastStableOffset })
    })
  }

  /** Epoch cache, log start and producer state, now that the log end is known. */
  *finish(logEndOffset: number): Generator<LoadStep, LoadedLog> {
    const segments = this.#segments
    const epochs = this.#epochs!
    epochs.truncateFromEnd(logEndOffset)
    const logStartOffset = Math.max(this.#spec.logStartOffset, segments.first.baseOffset)
    epochs.truncateFromStart(logStartOffset)
    epochs.save()
    const context: ProducerContext = {
      environment: this.#environment,
      logger: this.#logger,
      config: this.#spec.config,
      segments,
      logStartOffset,
    }
    yield* loadProducerState(context, this.#producers, logEndOffset, this.#spec.hadCleanShutdown)
    const [producers, recoveryPoint, replaced] = [this.#producers, this.#recoveryPoint, this.#replaced]
    return { segments, epochs, producers, logStartOffset, logEndOffset, recoveryPoint, replaced }
  }
}

/** CRC and least size. Magic 3 and above is read as format 2, as 1.1 does. */
export function isIntact(buffer: Buffer, at: number, size: number): boolean {
  const magic = magicOf(buffer, at)
  if (magic >= 2) return crc32c(buffer, at + 21, at + size) === storedCrc(buffer, at)
  return size >= (magic === 0 ? 26 : 34) && crc32(buffer, at + 16, at + size) === storedCrc(buffer, at)
}

/** What loading producer state needs to know of a log. */
export interface ProducerContext {
  readonly environment: LogEnvironment
  readonly logger: Logger
  readonly config: LogConfig
  readonly segments: SegmentList
  readonly logStartOffset: number
}

const replay = new BatchScanner(64 * 1024)

/** Feeds `producers` with the batches of a segment from offset `from` on that end below `to`. */
export function replayProducers(producers: ProducerSnapshots, segment: LogSegment, from: number, to: number): void {
  const start = segment.positionOf(from)
  if (start < 0) return
  const scan = replay.start(segment, start, segment.size)
  while (scan.next() && lastOffset(scan.buffer, scan.at) < to) {
    if (producerId(scan.buffer, scan.at) >= 0) producers.state.apply(scan.buffer, scan.at)
  }
  producers.state.takeCompleted(() => {})
}

/**
 * Brings producer state to `lastOffset`, from the newest snapshot and the batches behind it. Without any snapshot a log of an old format,
 * or one that was closed cleanly, is taken to have no producers: empty snapshots are written instead of a scan.
 */
export function* loadProducerState(
  context: ProducerContext,
  producers: ProducerSnapshots,
  lastOffset: number,
  fromCleanShutdown: boolean,
): Generator<void> {
  const { config, segments, logStartOffset, environment, logger } = context
  logger.info(`Loading producer state from offset ${lastOffset} with message format version ${config.messageFormatMagic}`)
  if (!producers.hasSnapshots && (config.messageFormatMagic < 2 || fromCleanShutdown)) {
    const { active } = segments
    const lower = segments.lower(active.baseOffset)
    const offsets = lower === undefined ? [active.baseOffset, lastOffset] : [lower.baseOffset, active.baseOffset, lastOffset]
    for (const offset of offsets) {
      producers.mapEndOffset = offset
      producers.take()
    }
    return
  }
  const nothingBefore = producers.state.isEmpty && producers.mapEndOffset >= lastOffset
  producers.truncateAndReload(logStartOffset, lastOffset, environment.clock.wall())
  if (lastOffset > producers.mapEndOffset && !nothingBefore) {
    for (const segment of segments.between(producers.mapEndOffset, lastOffset)) {
      const start = Math.max(segment.baseOffset, producers.mapEndOffset, logStartOffset)
      producers.mapEndOffset = start
      producers.take()
      replayProducers(producers, segment, start, lastOffset)
      yield
    }
  }
  producers.mapEndOffset = lastOffset
}
