import type { PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import { LoopSlice, nextSlice } from '../base/loop-slice.ts'
import type { Timer } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import { DEFAULT_CLEANER_OPTIONS } from './cleaner/cleaner-options.ts'
import { LogCleaner } from './cleaner/log-cleaner.ts'
import type { LogEnvironment } from './environment.ts'
import { deleteFolderName, logFolderName } from './file-names.ts'
import { FutureLogs } from './future-logs.ts'
import type { LogOwner, PartitionLog } from './log.ts'
import { closeLogs } from './log-closing.ts'
import type { HighWatermark, LogDirectory } from './log-directory.ts'
import { LogStartError, openDirectories } from './log-directory.ts'
import { LogLoading } from './log-loading.ts'
import type { LogEnvironmentOptions, LogManagerOptions } from './log-manager-options.ts'
import { LogMap } from './log-map.ts'
import { javaLong, PeriodicTasks } from './periodic-tasks.ts'
import { TailCache } from './tail-cache.ts'
import type { Log, LogConfig, LogManager } from './types.ts'

/** Index entries of active segments reach their files at least this often. */
const INDEX_PERSIST_MS = 2000
/** How long work on all logs may hold the loop before others get a turn. */
const SLICE_MS = 3
/** Segments that retention takes out of a log in one turn: each is several renames. */
const DELETED_AT_ONCE = 20
/** After the last of several new logs. */
const FINISH_AFTER_MS = 200
const PRODUCER_EXPIRATION_CHECK_MS = 600_000

/**
 * The logs of a broker. Creating it validates and locks the log directories; `start` loads the logs. Throws `LogStartError` where 1.1 does
 * not start: no usable directory, one locked by another process, a folder that is no partition, one partition in two directories.
 */
export function createLogManager(environment: LogEnvironmentOptions, options: LogManagerOptions): BrokerLogManager {
  return new BrokerLogManager(environment, options)
}

export class BrokerLogManager implements LogManager, LogOwner {
  readonly #environment: LogEnvironment
  readonly #options: LogManagerOptions
  readonly #directories: LogDirectory[]
  readonly #logs = new LogMap()
  readonly futures: FutureLogs
  readonly #listeners: ((logDir: string) => void)[] = []
  readonly #failing = new Set<string>()
  readonly #tasks: PeriodicTasks
  readonly #loading: LogLoading
  readonly cleaner: LogCleaner | undefined
  /** Directories whose checkpoints are to be written at the end of the turn. */
  readonly #dirty = new Set<string>()
  /** New logs that have no index files yet. */
  readonly #unfinished: PartitionLog[] = []
  #finishing: Timer | undefined
  /** When the last of them was made. */
  #lastMade = 0
  #isStopped = false

  constructor(environment: LogEnvironmentOptions, options: LogManagerOptions) {
    this.#options = options
    this.#environment = {
      disk: environment.disk,
      clock: environment.clock,
      rng: environment.rng,
      logger: environment.logger.child('', 'kafka.log.LogManager'),
      tailCache: environment.tailCache ?? new TailCache(),
      producerIdExpirationMs: options.producerIdExpirationMs,
      onFlush: environment.onFlush ?? (() => {}),
      onDiskFailure: (logDir, error) => this.#onDiskFailure(logDir, error),
    }
    this.#tasks = new PeriodicTasks(environment.clock)
    this.#loading = new LogLoading({
      environment: this.#environment,
      options,
      owner: this,
      logs: this.#logs,
      futures: () => this.futures.logs,
      removeLater: (path) => this.#removeFolderLater(path),
      fail: (logDir, error) => this.#onDiskFailure(logDir, error),
    })
    this.futures = new FutureLogs({
      environment: this.#environment,
      current: this.#logs,
      open: (place, config, start, isClean) => this.#loading.openNow(place, config, start, isClean),
      discard: (log) => this.#discard(log),
      moved: (from, log) => this.cleaner?.onMoved(from, log),
      fail: (logDir, error) => this.#onDiskFailure(logDir, error),
      checkpointSoon: (logDir) => this.#checkpointSoon(logDir),
    })
    this.#directories = openDirectories(environment.disk, this.#environment.logger, options)
    if (!options.cleanerEnable) return
    const host = {
      environment: this.#environment,
      logs: this.#logs,
      liveDirectories: () => this.liveDirectories.filter((path) => !this.#failing.has(path)),
      checkpointRecoveryPoint: (log: PartitionLog) => this.#checkpointNow(log.logDir),
      isMoving: (topic: string, partition: number) => this.futures.get(topic, partition) !== undefined,
    }
    this.cleaner = new LogCleaner(host, options.cleaner ?? DEFAULT_CLEANER_OPTIONS)
  }

  get liveDirectories(): readonly string[] {
    return this.#directories.filter((directory) => directory.isLive).map((directory) => directory.path)
  }

  get offlineDirectories(): readonly string[] {
    return this.#directories.filter((directory) => !directory.isLive).map((directory) => directory.path)
  }

  // ---------------------------------------------------------------- start

  async start(topicConfigs: ReadonlyMap<string, LogConfig>): Promise<void> {
    const { logger, clock } = this.#environment
    const started = clock.now()
    logger.info('Loading logs.')
    try {
      await this.#loading.loadAll(
        this.#directories.filter((directory) => directory.isLive),
        topicConfigs,
      )
    } catch (error) {
      if (error instanceof LogStartError)
        logger.error(`There was an error in one of the threads during logs loading: ${error.message}`)
      this.abandon()
      throw error
    }
    logger.info(`Logs loading complete in ${Math.round(clock.now() - started)} ms.`)
    this.#startTimers()
    this.cleaner?.start()
    this.#flushRecovered().catch(ignoreDiskError)
  }

  /** What recovery found is made durable, one log after the other, beside everything else. */
  async #flushRecovered(): Promise<void> {
    for (const log of [...this.#logs.values()]) if (log.recoveryPoint < log.logEndOffset) await log.flush().catch(ignoreDiskError)
  }

  #startTimers(): void {
    const { logger } = this.#environment
    const options = this.#options
    logger.info(`Starting log cleanup with a period of ${options.retentionCheckMs} ms.`)
    this.#tasks.every(options.initialTaskDelayMs, options.retentionCheckMs, () => this.cleanupLogs())
    logger.info(`Starting log flusher with a default period of ${javaLong(options.flushCheckMs)} ms.`)
    this.#tasks.every(options.initialTaskDelayMs, options.flushCheckMs, () => this.#flushDirtyLogs())
    this.#tasks.every(options.initialTaskDelayMs, options.flushRecoveryOffsetCheckpointMs, () => this.checkpointRecoveryPoints())
    this.#tasks.every(options.initialTaskDelayMs, options.flushStartOffsetCheckpointMs, () => this.checkpointLogStartOffsets())
    this.#tasks.every(INDEX_PERSIST_MS, INDEX_PERSIST_MS, () => this.#inSlices(persistIndexes))
    this.#tasks.every(PRODUCER_EXPIRATION_CHECK_MS, PRODUCER_EXPIRATION_CHECK_MS, () =>
      this.#inSlices((log) => log.removeExpiredProducers()),
    )
  }

  /**
   * With breaks for others: there may be thousands of logs, and one may have much to do (`work` answers true then, and gets it again). A disk error
   * of one must not keep the others from their turn; its directory is marked by then.
   */
  #inSlices(
    work: (log: PartitionLog) => unknown,
    logs: Iterator<PartitionLog> = [...this.#logs.values(), ...this.futures.logs.values()].values(),
    again?: PartitionLog,
  ): void {
    const { clock } = this.#environment
    const slice = new LoopSlice(clock, SLICE_MS)
    for (let log = again ?? logs.next().value; log !== undefined; ) {
      let isLeft = false
      try {
        isLeft = !log.isClosed && work(log) === true
      } catch (error) {
        ignoreDiskError(error)
      }
      const next = isLeft ? log : logs.next().value
      if (slice.isDue) {
        nextSlice(clock, () => {
          if (!this.#isStopped) this.#inSlices(work, logs, next)
        })
        return
      }
      log = next
    }
  }

  /** One round of retention, as its timer does it. */
  cleanupLogs(): void {
    this.#inSlices(cleanUp)
  }

  #flushDirtyLogs(): void {
    const now = this.#environment.clock.now()
    this.#inSlices((log) => {
      if (now - log.lastFlushed >= log.config.flushMs) log.flush().catch(ignoreDiskError)
    })
  }

  // ---------------------------------------------------------------- logs

  get(topic: string, partition: number): Log | undefined {
    return this.#logs.get(partitionKey(topic, partition))
  }

  all(): Iterable<PartitionLog> {
    return this.#logs.values()
  }

  getOrCreate(topic: string, partition: number, config: LogConfig, isNew: boolean): PartitionLog {
    const key = partitionKey(topic, partition)
    const existing = this.#logs.get(key)
    if (existing !== undefined) return existing
    const offline = this.offlineDirectories
    if (!isNew && offline.length > 0) {
      throw new DiskError(
        'EIO',
        offline[0]!,
        `Can not create log for ${key} because log directories ${offline.join(',')} are offline`,
      )
    }
    const directory = this.#emptiestDirectory(key)
    try {
      const place = {
        topic,
        partition,
        logDir: directory.path,
        directory: `${directory.path}/${logFolderName(topic, partition)}`,
      }
      const isNewFolder = this.#environment.disk.makeDirectory(place.directory)
      const log = this.#loading.openNow(place, config, 0, false, isNewFolder)
      this.#logs.set(key, log)
      this.#finishSoon(log)
      this.#environment.logger.info(`Created log for partition ${key} in ${directory.path}.`)
      return log
    } catch (error) {
      if (error instanceof DiskError) this.#onDiskFailure(directory.path, error)
      throw error
    }
  }

  /** What can wait of a new log, its indexes, is done when no more of them have come for a while: whoever makes many waits for leaders. */
  #finishSoon(log: PartitionLog): void {
    this.#unfinished.push(log)
    this.#lastMade = this.#environment.clock.now()
    if (this.#finishing === undefined) this.#finishIn(FINISH_AFTER_MS)
  }

  #finishIn(delayMs: number): void {
    const { clock } = this.#environment
    this.#finishing = clock.timer(
      delayMs,
      () => {
        this.#finishing = undefined
        const left = this.#lastMade + FINISH_AFTER_MS - clock.now()
        if (left >= 1) this.#finishIn(left)
        else this.#inSlices(persistIndexes, this.#unfinished.splice(0).values())
      },
      true,
    )
  }

  #emptiestDirectory(key: PartitionKey): LogDirectory {
    const preferred = this.futures.takePreferred(key)
    const chosen = this.#directories.find(({ path, isLive }) => path === preferred && isLive && !this.#failing.has(path))
    if (chosen !== undefined) return chosen
    let best: LogDirectory | undefined
    let least = Number.POSITIVE_INFINITY
    for (const directory of this.#directories) {
      if (!directory.isLive || this.#failing.has(directory.path)) continue
      const count = this.#logs.countIn(directory.path) + this.futures.logs.countIn(directory.path)
      if (count < least) [best, least] = [directory, count]
    }
    if (best === undefined) throw new DiskError('EIO', this.#directories[0]!.path, `No log directory is live to hold ${key}`)
    return best
  }

  updateTopicConfig(topic: string, config: LogConfig): void {
    for (const log of this.#logs.values()) if (log.topic === topic) log.config = config
    for (const log of this.futures.logs.values()) if (log.topic === topic) log.config = config
  }

  delete(topic: string, partition: number): void {
    this.futures.remove(topic, partition)
    const key = partitionKey(topic, partition)
    const log = this.#logs.get(key)
    if (log === undefined) return
    this.#logs.delete(key)
    this.#discard(log)
    this.cleaner?.onDeleted(log)
  }

  /** The folder of a log that is out of use gets a name that says so, and goes later. */
  #discard(log: PartitionLog): void {
    const uuid = this.#environment.rng.bytes(16).toString('hex')
    const target = `${log.logDir}/${deleteFolderName(log.topic, log.partition, uuid)}`
    log.abandon()
    try {
      this.#environment.disk.rename(log.directory, target)
    } catch (error) {
      if (error instanceof DiskError) this.#onDiskFailure(log.logDir, error)
      throw error
    }
    const key = partitionKey(log.topic, log.partition)
    this.#environment.logger.info(`Log for partition ${key} is renamed to ${target} and is scheduled for deletion`)
    this.#checkpointSoon(log.logDir)
    this.#removeFolderLater(target)
  }

  #removeFolderLater(path: string): void {
    const { disk, logger } = this.#environment
    this.#tasks.after(this.#options.defaultConfig.fileDeleteDelayMs, () => {
      disk.removeTree(path).then(
        () => logger.info(`Deleted log in ${path}.`),
        (error: unknown) => logger.error(`Exception while deleting ${path} in kafka-delete-logs.`, error),
      )
    })
  }

  // ---------------------------------------------------------------- checkpoints

  /** Many partitions are deleted in one request: their directory's checkpoints are written once, at the end of the turn. */
  #checkpointSoon(logDir: string): void {
    if (this.#dirty.size === 0) this.#environment.clock.soon(() => this.#checkpointDirty())
    this.#dirty.add(logDir)
  }

  #checkpointDirty(): void {
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    if (this.#isStopped) return
    for (const logDir of dirty) this.#checkpointNow(logDir)
  }

  #checkpointNow(logDir: string): boolean {
    const directory = this.#directories.find(({ path }) => path === logDir)
    if (directory === undefined) return false
    return this.#attempt(directory, () => {
      directory.writeRecoveryPoints(this.#logsIn(logDir))
      directory.writeLogStartOffsets(this.#logsIn(logDir))
    })
  }

  onTruncated(log: PartitionLog): void {
    const directory = this.#directories.find((candidate) => candidate.path === log.logDir)
    if (directory === undefined || !directory.isLive) return
    if (directory.isBehind(log)) directory.writeRecoveryPoints(this.#logsIn(log.logDir))
    if (log.config.compact && this.#logs.get(partitionKey(log.topic, log.partition)) === log) this.cleaner?.onTruncated(log)
  }

  checkpointRecoveryPoints(): void {
    this.#writeRecoveryPoints()
    this.#inSlices((log) => log.deleteOldSnapshots())
  }

  #writeRecoveryPoints(): void {
    for (const directory of this.#directories)
      this.#attempt(directory, () => directory.writeRecoveryPoints(this.#logsIn(directory.path)))
  }

  checkpointLogStartOffsets(): void {
    for (const directory of this.#directories) {
      this.#attempt(directory, () => directory.writeLogStartOffsets(this.#logsIn(directory.path)))
    }
  }

  #attempt(directory: LogDirectory, work: () => void): boolean {
    if (!directory.isLive || this.#failing.has(directory.path)) return false
    try {
      work()
      return true
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#onDiskFailure(directory.path, error)
      return false
    }
  }

  #logsIn(logDir: string): PartitionLog[] {
    const result: PartitionLog[] = []
    for (const log of this.#logs.values()) if (log.logDir === logDir) result.push(log)
    return result
  }

  readHighWatermarks(): Map<string, number> {
    const result = new Map<string, number>()
    for (const directory of this.#directories) {
      this.#attempt(directory, () => {
        for (const [key, offset] of directory.readHighWatermarks()) result.set(key, offset)
      })
    }
    return result
  }

  checkpointHighWatermarks(values: Iterable<{ log: Log; highWatermark: number }>): void {
    const byDirectory = new Map<string, HighWatermark[]>()
    for (const value of values) {
      const { logDir } = value.log
      const ofDirectory = byDirectory.get(logDir)
      if (ofDirectory === undefined) byDirectory.set(logDir, [value])
      else ofDirectory.push(value)
    }
    for (const directory of this.#directories) {
      const ofDirectory = byDirectory.get(directory.path)
      if (ofDirectory !== undefined) this.#attempt(directory, () => directory.writeHighWatermarks(ofDirectory))
    }
  }

  // ---------------------------------------------------------------- failure

  onDirectoryFailure(listener: (logDir: string) => void): void {
    this.#listeners.push(listener)
  }

  /** Called from inside a failing operation: the directory is out of use at once, its logs are closed in a turn of its own. */
  #onDiskFailure(logDir: string, error: DiskError): void {
    const directory = this.#directories.find((candidate) => candidate.path === logDir)
    if (directory === undefined || !directory.isLive || this.#failing.has(logDir) || this.#isStopped) return
    this.#failing.add(logDir)
    directory.reportFailure(error)
    this.#environment.clock.soon(() => this.#takeOffline(directory))
  }

  #takeOffline(directory: LogDirectory): void {
    if (this.#isStopped || !directory.isLive) return
    const { logger } = this.#environment
    logger.info(`Stopping serving logs in dir ${directory.path}`)
    directory.takeOffline()
    this.cleaner?.onDirectoryFailure(directory.path)
    const offline: string[] = []
    for (const logs of [this.#logs, this.futures.logs]) {
      for (const [key, log] of logs) {
        if (log.logDir !== directory.path) continue
        logs.delete(key)
        log.abandon()
        offline.push(key)
      }
    }
    if (this.liveDirectories.length === 0) {
      logger.error(`Shutdown broker because all log dirs in ${this.#directories.map((one) => one.path).join(', ')} have failed`)
    } else logger.warn(`Logs for partitions ${offline.join(',')} are offline due to failure on log directory ${directory.path}`)
    for (const listener of this.#listeners) listener(directory.path)
  }

  // ---------------------------------------------------------------- shutdown

  async shutdown(): Promise<void> {
    const { logger } = this.#environment
    logger.info('Shutting down.')
    await this.cleaner?.stop()
    this.#tasks.cancel()
    const all = [...this.#logs.values(), ...this.futures.logs.values()]
    const host = {
      clock: this.#environment.clock,
      directories: this.#directories,
      logsIn: (logDir: string) => this.#logsIn(logDir),
      attempt: (directory: LogDirectory, work: () => void) => this.#attempt(directory, work),
    }
    await closeLogs(host, all)
    this.#isStopped = true
    for (const directory of this.#directories) directory.unlock()
    logger.info('Shutdown complete.')
  }

  /** Ends without a clean shutdown: files stay as they are, locks are released. */
  abandon(): void {
    this.#isStopped = true
    this.#tasks.cancel()
    this.cleaner?.abandon()
    for (const log of [...this.#logs.values(), ...this.futures.logs.values()]) log.abandon()
    for (const directory of this.#directories) directory.unlock()
  }
}

/** Logs with both policies are the cleaner's to delete from. True: there may be more of them. */
function cleanUp(log: PartitionLog): boolean {
  return !log.config.compact && log.deleteOldSegments(DELETED_AT_ONCE) >= DELETED_AT_ONCE
}

/** After a start every active index is still to get its full length. */
function persistIndexes(log: PartitionLog): void {
  log.persistIndexes()
}

/** The directory was marked where the error came up. */
function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}
