import { assert } from '../base/assert.ts'
import type { Logger } from '../base/logger.ts'
import { DiskError } from '../ports/disk.ts'
import { LogAppender } from './appender.ts'
import type { LogEnvironment } from './environment.ts'
import { DELETED_SUFFIX, LOG_SUFFIX, SEGMENT_SUFFIXES, segmentFileName } from './file-names.ts'
import { LogFlusher } from './flusher.ts'
import type { LeaderEpochCache } from './leader-epoch-cache.ts'
import type { LoadedLog } from './log-loader.ts'
import { loadProducerState } from './log-loader.ts'
import { LogReader } from './log-reader.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerEntry } from './producer-state.ts'
import { findDeletable } from './retention.ts'
import { LogSegment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import { SegmentRemover } from './segment-removal.ts'
import { TailRing } from './tail-cache.ts'
import type { AppendResult, Log, LogConfig, ReadResult, TimestampOffset } from './types.ts'

const NO_NAMES: ReadonlySet<string> = new Set()

/** What a log tells its manager. */
export interface LogOwner {
  /** The recovery point went back: its checkpoint must be rewritten before new data can be taken for flushed. */
  onTruncated(log: PartitionLog): void
}

/** One partition's log: see `Log`. */
export class PartitionLog implements Log {
  readonly topic: string
  readonly partition: number
  readonly logDir: string
  readonly segments: SegmentList
  readonly epochs: LeaderEpochCache
  readonly producers: ProducerSnapshots
  readonly logger: Logger
  directory: string
  onStartMoved: (() => void) | undefined
  readonly #environment: LogEnvironment
  readonly #owner: LogOwner
  readonly #reader: LogReader
  readonly #tail: TailRing
  readonly #appender: LogAppender
  readonly #flusher: LogFlusher
  readonly #remover: SegmentRemover
  #config: LogConfig
  #logStartOffset: number
  #logEndOffset: number
  #highWatermark: number
  #isHighWatermarkKnown = false
  #isClosed = false
  #isBroken = false

  constructor(
    environment: LogEnvironment,
    owner: LogOwner,
    place: { readonly topic: string; readonly partition: number; readonly logDir: string; readonly directory: string },
    config: LogConfig,
    loaded: LoadedLog,
    logger: Logger,
  ) {
    this.#environment = environment
    this.#owner = owner
    this.topic = place.topic
    this.partition = place.partition
    this.logDir = place.logDir
    this.directory = place.directory
    this.logger = logger
    this.#config = config
    this.segments = loaded.segments
    this.epochs = loaded.epochs
    this.producers = loaded.producers
    this.#logStartOffset = loaded.logStartOffset
    this.#logEndOffset = loaded.logEndOffset
    this.#highWatermark = loaded.logStartOffset
    this.#tail = new TailRing(environment.tailCache)
    this.segments.active.tail = this.#tail
    this.#appender = new LogAppender(this, environment.clock)
    this.#flusher = new LogFlusher(this, environment, loaded.recoveryPoint)
    this.#reader = new LogReader(this, this.#tail)
    this.#remover = new SegmentRemover(this, environment)
    this.epochs.onUnsaved = () => environment.clock.soon(() => this.#saveEpochs())
    for (const segment of loaded.replaced) this.#remover.removeFilesLater(segment)
  }

  get config(): LogConfig {
    return this.#config
  }

  set config(config: LogConfig) {
    this.#config = config
    this.#appender.configure(config)
  }

  get logStartOffset(): number {
    return this.#logStartOffset
  }

  get logEndOffset(): number {
    return this.#logEndOffset
  }

  get recoveryPoint(): number {
    return this.#flusher.recoveryPoint
  }

  /** When it was last flushed or loaded; monotonic milliseconds. */
  get lastFlushed(): number {
    return this.#flusher.lastFlushed
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get highWatermark(): number {
    return this.#highWatermark
  }

  set highWatermark(offset: number) {
    if (offset > this.#logEndOffset)
      assert(false, `high watermark ${offset} above the log end ${this.#logEndOffset} of ${this.directory}`)
    this.#highWatermark = offset
    this.#isHighWatermarkKnown = true
    this.producers.state.onHighWatermark(offset)
  }

  get lastStableOffset(): number {
    const unstable = this.producers.state.firstUnstableOffset
    if (unstable < 0) return this.#highWatermark
    return Math.min(Math.max(unstable, this.#logStartOffset), this.#highWatermark)
  }

  get size(): number {
    let bytes = 0
    for (const segment of this.segments) bytes += segment.size
    return bytes
  }

  get latestEpoch(): number {
    return this.epochs.latestEpoch
  }

  /** Idempotence and transaction state of a producer; undefined when the log knows nothing of it. */
  producerState(id: number): ProducerEntry | undefined {
    return this.producers.state.get(id)
  }

  /** For the reader's and retention's disk work: a failure takes the log directory offline. */
  guard<T>(work: () => T): T {
    try {
      this.#assertOpen()
      return work()
    } catch (error) {
      throw this.failed(error)
    }
  }

  /** And whatever is staged is in the file: nothing but more staging may find it missing there. */
  #assertOpen(): void {
    this.#assertUsable()
    if (this.#appender.hasStaged) this.#appender.write()
  }

  #assertUsable(): void {
    if (this.#isBroken || this.#isClosed)
      throw new DiskError('EBADF', this.directory, `The log for partition ${this.topic}-${this.partition} is closed`)
  }

  /** Marks the directory of a `DiskError`; returns the error, to be thrown. */
  failed(error: unknown): unknown {
    if (error instanceof DiskError && !this.#isClosed) {
      // What is in memory may be ahead of the file: nothing may be built on it.
      this.#isBroken = true
      this.#environment.onDiskFailure(this.logDir, error)
    }
    return error
  }

  // ---------------------------------------------------------------- append

  appendAsLeader(records: Buffer, leaderEpoch: number, isFromClient: boolean): AppendResult {
    try {
      this.#assertOpen()
      const result = this.#appender.leader(records, leaderEpoch, isFromClient)
      this.#appender.write()
      this.#flushIfDue()
      return result
    } catch (error) {
      throw this.failed(error)
    }
  }

  stageAsLeader(records: Buffer, leaderEpoch: number, isFromClient: boolean): AppendResult {
    try {
      this.#assertUsable()
      return this.#appender.leader(records, leaderEpoch, isFromClient)
    } catch (error) {
      throw this.failed(error)
    }
  }

  writeStaged(): void {
    try {
      this.#assertOpen()
      this.#flushIfDue()
    } catch (error) {
      throw this.failed(error)
    }
  }

  appendAsFollower(records: Buffer): AppendResult {
    try {
      this.#assertOpen()
      const result = this.#appender.follower(records)
      this.#appender.write()
      this.#flushIfDue()
      return result
    } catch (error) {
      throw this.failed(error)
    }
  }

  /** For the appender: the log end after what it staged. */
  advanceTo(offset: number): void {
    this.#logEndOffset = offset
    this.producers.mapEndOffset = offset
  }

  /** For the appender: staged bytes are in the file. */
  wrote(): void {
    this.#reader.wrote()
  }

  #flushIfDue(): void {
    if (this.#logEndOffset - this.#flusher.recoveryPoint >= this.#config.flushMessages)
      this.#flusher.flushSync(this.#logEndOffset)
  }

  // ---------------------------------------------------------------- roll, flush

  /** Begins a new active segment at the log end, or further on when relative offsets would overflow. */
  roll(expectedNextOffset: number): LogSegment {
    const { clock, disk } = this.#environment
    const started = clock.now()
    const next = Math.max(expectedNextOffset, this.#logEndOffset)
    for (const suffix of SEGMENT_SUFFIXES) {
      const path = `${this.directory}/${segmentFileName(next, suffix)}`
      if (!disk.exists(path)) continue
      this.logger.warn(`Newly rolled segment file ${path} already exists; deleting it first`)
      disk.remove(path)
    }
    // Else it would look as if this segment had been compacted (`log-loader.ts`).
    if (this.#config.compact) disk.remove(`${this.directory}/${segmentFileName(next, LOG_SUFFIX)}${DELETED_SUFFIX}`, true)
    const active = this.segments.active
    active.becomeInactive()
    this.producers.mapEndOffset = next
    this.producers.take()
    if (active.size === 0 && active.baseOffset === next) {
      this.segments.remove(active)
      active.abandon()
    }
    const segment = this.#newSegment(next)
    clock.soon(() => this.#flusher.flushInBackground(next))
    this.logger.info(`Rolled new log segment at offset ${next} in ${Math.round(clock.now() - started)} ms.`)
    return segment
  }

  #newSegment(baseOffset: number): LogSegment {
    const segment = new LogSegment(this.#environment, this.directory, baseOffset, this.#config, NO_NAMES, true)
    segment.ensureFiles()
    this.#tail.restart()
    segment.tail = this.#tail
    this.segments.add(segment)
    this.#reader.rolled()
    return segment
  }

  flush(): Promise<void> {
    return this.#flusher.flushTo(this.#logEndOffset)
  }

  /** The same on the loop. */
  flushSync(): void {
    this.guard(() => this.#flusher.flushSync(this.#logEndOffset))
  }

  // ---------------------------------------------------------------- read

  read(from: number, maxBytes: number, upTo: number, minOneMessage: boolean, withAborted = false): ReadResult {
    try {
      this.#assertOpen()
      return this.#reader.read(from, maxBytes, upTo, minOneMessage, withAborted)
    } catch (error) {
      throw this.failed(error)
    }
  }

  bytesBetween(from: number, upTo: number): number {
    return this.guard(() => this.#reader.bytesBetween(from, upTo))
  }

  offsetForTimestamp(timestamp: number): TimestampOffset | undefined {
    return this.guard(() => this.#reader.offsetForTimestamp(timestamp))
  }

  legacyOffsetsBefore(timestamp: number, maxOffsets: number): number[] {
    return this.guard(() => this.#reader.legacyOffsetsBefore(timestamp, maxOffsets, this.#environment.clock.wall()))
  }

  // ---------------------------------------------------------------- epochs

  endOffsetForEpoch(epoch: number, withPending = true): number {
    return this.epochs.endOffsetFor(epoch, this.#logEndOffset, withPending)
  }

  startEpoch(epoch: number): void {
    this.epochs.begin(epoch, this.#logEndOffset)
  }

  #saveEpochs(): void {
    if (this.#isClosed || this.#isBroken) return
    this.epochs.saveAsync().catch((error: unknown) => {
      if (!(this.failed(error) instanceof DiskError)) throw error
    })
  }

  // ---------------------------------------------------------------- truncate, delete

  truncateTo(offset: number): void {
    assert(offset >= 0, `cannot truncate to a negative offset ${offset}`)
    this.guard(() => {
      if (offset >= this.#logEndOffset) {
        this.logger.info(`Truncating to ${offset} has no effect as the largest offset in the log is ${this.#logEndOffset - 1}`)
        return
      }
      this.logger.info(`Truncating to offset ${offset}`)
      if (this.segments.first.baseOffset > offset) this.restartAt(offset)
      else this.#cutAt(offset)
      this.#owner.onTruncated(this)
    })
  }

  #cutAt(offset: number): void {
    if (this.#remover.removeFromEnd((segment) => segment.baseOffset > offset)) {
      // The order on the medium matters: a power loss must not bring later segments back behind a shorter one.
      this.#environment.disk.syncDirectory(this.directory)
      this.#tail.restart()
    }
    const active = this.segments.active
    active.tail = this.#tail
    const cut = active.truncateTo(offset, this.#config, this.#environment.clock.wall())
    // Else a power loss could bring old batches back behind new ones.
    if (cut > 0) active.file().fsyncSync()
    this.#setEnd(offset)
    this.#logStartOffset = Math.min(offset, this.#logStartOffset)
    this.epochs.truncateFromEnd(offset)
    const { logger, segments } = this
    const place = { logger, segments, logStartOffset: this.#logStartOffset }
    const context = { ...place, environment: this.#environment, config: this.#config }
    // The steps are for long loads at start; here nobody may see the log half way.
    for (const _ of loadProducerState(context, this.producers, offset, false));
    // What was loaded does not know which transactions end below it, and it may stay where it is.
    this.producers.state.onHighWatermark(this.#highWatermark)
  }

  truncateFullyAndStartAt(offset: number): void {
    this.guard(() => {
      this.restartAt(offset)
      this.#owner.onTruncated(this)
    })
  }

  /** Drops every segment; the log starts and ends at `offset`. */
  restartAt(offset: number): void {
    this.logger.debug(`Truncate and start at offset ${offset}`)
    this.#remover.removeFromEnd(() => true)
    this.#newSegment(offset)
    this.#environment.disk.syncDirectory(this.directory)
    this.#setEnd(offset)
    this.#logStartOffset = offset
    this.epochs.clear()
    this.producers.truncateFully()
    this.producers.mapEndOffset = offset
  }

  #setEnd(offset: number): void {
    this.#logEndOffset = offset
    this.#flusher.truncated(offset)
    this.#highWatermark = Math.min(offset, this.#highWatermark)
    this.#reader.truncated()
  }

  /** Puts a cleaned segment in the place of those it was made of. */
  replaceSegments(cleaned: LogSegment, olds: readonly LogSegment[]): void {
    this.guard(() => this.#remover.replace(cleaned, olds))
  }

  /** Counts segments that went, but for those that were replaced: who goes through the segments in several turns looks at it. */
  get removals(): number {
    return this.#remover.count
  }

  maybeIncrementLogStartOffset(offset: number): void {
    const start = Math.min(offset, this.#highWatermark)
    if (start > this.#logStartOffset) this.guard(() => this.#incrementLogStart(start))
  }

  #incrementLogStart(offset: number): void {
    this.logger.info(`Incrementing log start offset to ${offset}`)
    this.#logStartOffset = offset
    this.epochs.truncateFromStart(offset)
    this.producers.truncateHead(offset)
    this.onStartMoved?.()
  }

  /** Retention (log-and-replication 4.1) by time, size and log start. Deleted segments; as many as `limit`: call again, there may be more. */
  deleteOldSegments(limit = Number.POSITIVE_INFINITY): number {
    if (!this.#isHighWatermarkKnown || !this.#config.delete) return 0
    return this.guard(() => {
      const now = this.#environment.clock.wall()
      let deleted = 0
      for (const { segments, reason } of findDeletable(this, now, limit)) {
        this.logger.info(
          `Found deletable segments with base offsets [${segments.map((segment) => segment.baseOffset).join(',')}] due to ${reason}`,
        )
        if (segments.length === this.segments.length) this.roll(0)
        for (const segment of segments) this.#remover.remove(segment)
        const first = this.segments.first.baseOffset
        if (first > this.#logStartOffset) this.#incrementLogStart(first)
        deleted += segments.length
        if (deleted >= limit) break
      }
      return deleted
    })
  }

  /** Drops snapshots that no recovery can need, once the recovery point is on disk. Works on a closed log too. */
  deleteOldSnapshots(): void {
    const active = this.segments.active
    const twoSegments = this.segments.lower(active.baseOffset) ?? active
    const recovery = this.segments.lower(this.recoveryPoint)?.baseOffset ?? this.recoveryPoint
    this.producers.deleteBefore(Math.min(recovery, twoSegments.baseOffset))
  }

  removeExpiredProducers(): void {
    this.producers.removeExpired(this.#environment.clock.wall())
  }

  /** Index entries that are only in memory reach their files, for whoever looks at a live folder; files that are not there yet are made. */
  persistIndexes(): void {
    if (this.#isClosed) return
    this.guard(() => {
      const { offsetIndex, timeIndex } = this.segments.active
      for (const index of [offsetIndex, timeIndex]) index.persist()
      this.epochs.ensureFile()
      this.#appender.rest()
    })
  }

  // ---------------------------------------------------------------- close

  /** Everything that a clean close leaves behind is made durable, off the loop; nothing may be appended after it. */
  async prepareClose(): Promise<void> {
    this.guard(() => {
      this.producers.take()
      this.segments.active.becomeInactive()
    })
    await this.flush()
    try {
      await this.epochs.saveAsync()
      for (const segment of this.segments) await segment.datasyncIndexes()
    } catch (error) {
      throw this.failed(error)
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.guard(() => {
      this.producers.take()
      this.epochs.save()
      this.epochs.ensureFile()
      for (const segment of this.segments) segment.close()
    })
    this.#isClosed = true
    this.#tail.drop()
  }

  /** Closes the files as they are: the directory failed, or the log is being deleted. */
  abandon(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.epochs.abandon()
    for (const segment of this.segments) segment.abandon()
    this.#tail.drop()
  }
}
