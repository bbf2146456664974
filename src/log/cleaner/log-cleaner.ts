import type { PartitionKey } from '../../base/ids.ts'
import { partitionKey } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import { DiskError } from '../../ports/disk.ts'
import type { LogEnvironment } from '../environment.ts'
import type { PartitionLog } from '../log.ts'
import { CleanerCheckpoints } from './cleaner-checkpoints.ts'
import type { CleanerOptions } from './cleaner-options.ts'
import { CleanerThread } from './cleaner-thread.ts'
import type { Cleanable } from './cleaning-plan.ts'
import { cleanableOf } from './cleaning-plan.ts'
import type { CleaningStats } from './cleaning-stats.ts'
import { CleaningAborted } from './log-cleaning.ts'
import { Throttle } from './throttle.ts'

/** What the cleaner needs of the log manager. */
export interface CleanerHost {
  readonly environment: LogEnvironment
  readonly logs: ReadonlyMap<PartitionKey, PartitionLog>
  liveDirectories(): readonly string[]
  /** Writes the recovery points of the log's directory; false when that failed. */
  checkpointRecoveryPoint(log: PartitionLog): boolean
  /** The log is being moved to another directory. */
  isMoving(topic: string, partition: number): boolean
}

/**
 * Compacts the logs of a broker (log-and-replication 4.3 - 4.5): some at a time, the dirtiest first. Whoever truncates, deletes or moves
 * a log just does it: a cleaning of it that is under way notices, and gives up.
 */
export class LogCleaner {
  readonly #host: CleanerHost
  readonly #logger: Logger
  readonly #managerLogger: Logger
  readonly #checkpoints: CleanerCheckpoints
  readonly #throttle: Throttle
  #options: CleanerOptions
  #threads: CleanerThread[] = []
  /** Logs that a thread works on. */
  readonly #busy = new Set<PartitionLog>()
  readonly #uncleanable = new WeakSet<PartitionLog>()
  #lastRun: number
  #dirtiestRatio = 0
  #lastStats: CleaningStats[] = []

  constructor(host: CleanerHost, options: CleanerOptions) {
    this.#host = host
    this.#options = options
    this.#logger = host.environment.logger.child('', 'kafka.log.LogCleaner')
    this.#managerLogger = host.environment.logger.child('', 'kafka.log.LogCleanerManager')
    this.#checkpoints = new CleanerCheckpoints(host.environment.disk)
    this.#throttle = new Throttle(host.environment.clock, options.maxBytesPerSecond)
    this.#lastRun = host.environment.clock.wall()
  }

  // ---------------------------------------------------------------- life

  /** To be called once all logs are loaded. */
  start(): void {
    for (const logDir of this.#host.liveDirectories()) this.#guard(logDir, () => this.#checkpoints.read(logDir))
    this.#startThreads()
  }

  #startThreads(): void {
    this.#logger.info('Starting the log cleaner')
    const { environment } = this.#host
    this.#threads = Array.from(
      { length: this.#options.threads },
      (_, id) => new CleanerThread(id, environment, this.#logger, this.#options, this.#throttle, this),
    )
    for (const thread of this.#threads) thread.start()
  }

  /** Ends when no thread touches a log any more. */
  async stop(): Promise<void> {
    if (this.#threads.length === 0) return
    this.#logger.info('Shutting down the log cleaner.')
    const threads = this.#threads
    this.#threads = []
    await Promise.all(threads.map((thread) => thread.stop()))
  }

  /** The same without waiting. */
  abandon(): void {
    for (const thread of this.#threads) void thread.stop()
    this.#threads = []
  }

  /** Other settings: as in 1.1 what is under way is given up and begun again with them. */
  async reconfigure(options: CleanerOptions): Promise<void> {
    if (JSON.stringify(options) === JSON.stringify(this.#options)) return
    const wasRunning = this.#threads.length > 0
    await this.stop()
    this.#options = options
    this.#throttle.bytesPerSecond = options.maxBytesPerSecond
    if (wasRunning) this.#startThreads()
  }

  // ---------------------------------------------------------------- for the threads

  /** The log that is most worth it, which is then taken; undefined when none is dirty enough. */
  takeFilthiest(): Cleanable | undefined {
    const { environment } = this.#host
    const now = environment.clock.wall()
    this.#lastRun = now
    let dirtiest: Cleanable | undefined
    let best: Cleanable | undefined
    for (const log of this.#host.logs.values()) {
      if (!log.config.compact || !this.#isFree(log)) continue
      const cleanable = cleanableOf(log, this.#checkpoints.get(log.logDir, log.topic, log.partition), now)
      if (cleanable.wasReset && !log.config.delete) this.#warnReset(cleanable)
      if (cleanable.bytes === 0) continue
      if (dirtiest === undefined || cleanable.ratio > dirtiest.ratio) dirtiest = cleanable
      if (cleanable.ratio > log.config.minCleanableDirtyRatio && cleanable.ratio > (best?.ratio ?? 0)) best = cleanable
    }
    this.#dirtiestRatio = dirtiest?.ratio ?? 0
    if (best !== undefined) this.#busy.add(best.log)
    return best
  }

  #isFree(log: PartitionLog): boolean {
    if (log.isClosed || this.#busy.has(log) || this.#uncleanable.has(log)) return false
    return !this.#host.isMoving(log.topic, log.partition)
  }

  #warnReset({ log, firstDirtyOffset }: Cleanable): void {
    const checkpoint = this.#checkpoints.get(log.logDir, log.topic, log.partition)
    this.#managerLogger.warn(
      `Resetting first dirty offset of ${log.topic}-${log.partition} to log start offset ${firstDirtyOffset} since the checkpointed offset ${checkpoint} is invalid.`,
    )
  }

  /** The log was flushed and segments are about to be replaced: no recovery may take the gaps in them for holes. */
  flushed(log: PartitionLog): void {
    if (!this.#host.checkpointRecoveryPoint(log)) throw new CleaningAborted(`${log.logDir} has failed`)
  }

  /** Throws `CleaningAborted` when a cleaning of the log must end. */
  check(log: PartitionLog): void {
    if (log.isClosed || this.#host.logs.get(partitionKey(log.topic, log.partition)) !== log)
      throw new CleaningAborted(`the log of ${log.topic}-${log.partition} is closed`)
    if (this.#host.isMoving(log.topic, log.partition))
      throw new CleaningAborted(`${log.topic}-${log.partition} moves to another directory`)
  }

  /** The log was cleaned up to `nextDirtyOffset`. */
  cleaned(log: PartitionLog, nextDirtyOffset: number, stats: CleaningStats, thread: number): void {
    this.#lastStats[thread] = stats
    this.check(log)
    this.#guard(log.logDir, () => this.#setCheckpoint(log, nextDirtyOffset))
  }

  release(log: PartitionLog): void {
    this.#busy.delete(log)
  }

  /** What went wrong with a cleaning; others are not concerned. */
  failed(log: PartitionLog, error: unknown): void {
    const name = `${log.topic}-${log.partition}`
    if (error instanceof CleaningAborted) {
      this.#managerLogger.info(`The cleaning for partition ${name} is aborted: ${error.message}`)
    } else if (error instanceof DiskError) {
      if (log.isClosed) return
      this.#logger.error(`Failed to clean up log for ${name} in dir ${log.logDir} due to IOException`, error)
      log.failed(error)
    } else {
      this.#uncleanable.add(log)
      this.#logger.warn(
        `Unexpected exception thrown when cleaning log ${log.directory}. Marking its partition (${name}) as uncleanable`,
        error,
      )
    }
  }

  /** Retention of logs with both policies. */
  deleteOldSegments(): void {
    for (const log of [...this.#host.logs.values()]) {
      if (!log.config.compact || !log.config.delete || log.isClosed || this.#busy.has(log)) continue
      try {
        log.deleteOldSegments()
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
      }
    }
  }

  // ---------------------------------------------------------------- for the log manager

  /** After a truncation: what comes behind the end is dirty again. */
  onTruncated(log: PartitionLog): void {
    const checkpoint = this.#checkpoints.get(log.logDir, log.topic, log.partition) ?? 0
    const { baseOffset } = log.segments.active
    if (checkpoint > baseOffset) this.#guard(log.logDir, () => this.#setCheckpoint(log, baseOffset))
  }

  onDeleted(log: PartitionLog): void {
    this.#guard(log.logDir, () => this.#checkpoints.remove(log.logDir, log.topic, log.partition))
  }

  /** `log` has taken the place of another one, in another directory. */
  onMoved(from: string, log: PartitionLog): void {
    const offset = this.#checkpoints.get(from, log.topic, log.partition)
    if (offset === undefined) return
    this.#guard(log.logDir, () => this.#setCheckpoint(log, offset))
    this.#guard(from, () => this.#checkpoints.remove(from, log.topic, log.partition))
  }

  onDirectoryFailure(logDir: string): void {
    this.#checkpoints.forget(logDir)
  }

  #setCheckpoint({ logDir, topic, partition }: PartitionLog, offset: number): void {
    this.#checkpoints.set(logDir, { topic, partition, offset }, (key) => this.#host.logs.has(key))
  }

  #guard(logDir: string, work: () => void): void {
    if (!this.#host.liveDirectories().includes(logDir)) return
    try {
      work()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#host.environment.onDiskFailure(logDir, error)
    }
  }

  // ---------------------------------------------------------------- metrics

  /** kafka.log:type=LogCleanerManager,name=max-dirty-percent: of the dirtiest log at the last look. */
  get maxDirtyPercent(): number {
    return Math.trunc(100 * this.#dirtiestRatio)
  }

  get timeSinceLastRunMs(): number {
    return this.#host.environment.clock.wall() - this.#lastRun
  }

  /** kafka.log:type=LogCleaner: of the last cleaning of each thread. */
  get maxBufferUtilizationPercent(): number {
    return this.#maxOf((stats) => Math.trunc(100 * stats.bufferUtilization))
  }

  get recopyPercent(): number {
    let [read, written] = [0, 0]
    for (const stats of this.#lastStats) {
      read += stats?.bytesRead ?? 0
      written += stats?.bytesWritten ?? 0
    }
    return Math.trunc((100 * written) / Math.max(read, 1))
  }

  get maxCleanTimeSecs(): number {
    return this.#maxOf((stats) => Math.trunc(stats.elapsedSecs))
  }

  get uncleanablePartitions(): number {
    let count = 0
    for (const log of this.#host.logs.values()) if (this.#uncleanable.has(log)) count++
    return count
  }

  /** Longest time that cleaning held the event loop, milliseconds. */
  get longestSliceMs(): number {
    return Math.max(0, ...this.#threads.map((thread) => thread.longestSliceMs))
  }

  #maxOf(value: (stats: CleaningStats) => number): number {
    let max = 0
    for (const stats of this.#lastStats) if (stats !== undefined) max = Math.max(max, value(stats))
    return max
  }
}
