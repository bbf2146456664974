import { partitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import { runToEnd } from '../base/loop-slice.ts'
import type { Disk } from '../ports/disk.ts'
import { DiskError } from '../ports/disk.ts'
import type { OffsetEntry } from './checkpoints.ts'
import {
  CLEANER_OFFSET_CHECKPOINT,
  ensureCheckpoint,
  LOG_START_OFFSET_CHECKPOINT,
  MALFORMED,
  offsetSteps,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_OFFSET_CHECKPOINT,
  writeOffsetCheckpoint,
} from './checkpoints.ts'
import type { LogFolder } from './file-names.ts'
import { LEADER_EPOCH_FILE, parseLogFolder } from './file-names.ts'
import type { PartitionLog } from './log.ts'
import type { LogManagerOptions } from './log-manager-options.ts'
import type { Log } from './types.ts'

const LOCK_FILE = '.lock'
const CLEAN_SHUTDOWN_FILE = '.kafka_cleanshutdown'

/** The broker cannot start with these log directories: exit code 1. `kind` is the simple name of 1.1's exception. */
export class LogStartError extends Error {
  override readonly name = 'LogStartError'
  readonly kind: string
  constructor(kind: string, message: string) {
    super(message)
    this.kind = kind
  }
}

export interface HighWatermark {
  readonly log: Log
  readonly highWatermark: number
}

/** What there is to load in a directory. */
export interface LoadPlan {
  readonly folders: readonly (LogFolder & { readonly name: string })[]
  readonly recoveryPoints: ReadonlyMap<string, number>
  /** There was a recovery point checkpoint: a log that it does not name has not been flushed at all. */
  readonly knowsRecoveryPoints: boolean
  readonly logStartOffsets: ReadonlyMap<string, number>
  /** The last shutdown was clean. */
  readonly wasClean: boolean
}

/** Lets others have their turn, if it is time for that or `isSure`. */
export type Pause = (isSure?: boolean) => Promise<void>

/** Logs or folders between two looks at the clock. */
const FOLDERS_AT_ONCE = 256

/** One entry of `log.dirs`: its lock, marker and checkpoint files. */
export class LogDirectory {
  readonly path: string
  isLive = true
  readonly #disk: Disk
  readonly #logger: Logger
  /** For what takes the directory offline. */
  readonly #failures: Logger
  #lock: { release(): void } | undefined
  /** Recovery points as they are on disk, and whether this process wrote them. */
  readonly #recoveryPoints = new Map<string, number>()
  #wroteRecoveryPoints = false
  #hadRecoveryPoints = false
  #writtenStartOffsets: string | undefined
  #highWatermarks: readonly HighWatermark[] | undefined
  /** High watermarks in the file, read while there was time; until somebody takes them or writes new ones. */
  #prefetched: ReadonlyMap<string, number> | undefined

  constructor(disk: Disk, logger: Logger, path: string) {
    this.#disk = disk
    this.#logger = logger
    this.#failures = logger.child('', 'kafka.server.LogDirFailureChannel')
    this.path = path
  }

  /** Creates it when it is missing; a directory that cannot be used is offline from the start. */
  validate(isOffline: boolean): void {
    try {
      if (isOffline) throw new DiskError('EIO', this.path, `Failed to load ${this.path} during broker startup`)
      if (!this.#disk.exists(this.path)) {
        this.#logger.info(`Log directory ${this.path} not found, creating it.`)
        this.#disk.makeDirectory(this.path)
        this.#disk.syncDirectory(this.path.slice(0, this.path.lastIndexOf('/')) || '/')
      }
      if (!this.#disk.isUsable(this.path))
        throw new DiskError('EACCES', this.path, `${this.path} is not a readable log directory.`)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#failures.error(`Failed to create or validate data directory ${this.path}`, error)
      this.isLive = false
    }
  }

  /** Throws `LogStartError` when another process holds it; a disk error puts the directory offline. */
  lock(): void {
    try {
      this.#lock = this.#disk.lock(`${this.path}/${LOCK_FILE}`)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#failures.error(`Disk error while locking directory ${this.path}`, error)
      this.isLive = false
      return
    }
    if (this.#lock !== undefined) return
    throw new LogStartError(
      'KafkaException',
      `Failed to acquire lock on file .lock in ${this.path}. A Kafka instance in another process or thread is using this directory.`,
    )
  }

  unlock(): void {
    this.#lock?.release()
    this.#lock = undefined
  }

  /** Says why it goes offline. */
  reportFailure(error: DiskError): void {
    // What was wrong with a checkpoint file has been said when it was read.
    if (error !== this.malformed) this.#failures.error(`Disk error in log directory ${this.path}`, error)
  }

  takeOffline(): void {
    this.isLive = false
    try {
      this.unlock()
    } catch (error) {
      this.#logger.warn(`Error while unlocking ${this.path}`, error)
    }
  }

  /** Empty checkpoint files where there are none, as 1.1 makes them. */
  createCheckpoints(withCleaner: boolean): void {
    const names = [RECOVERY_POINT_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, REPLICATION_OFFSET_CHECKPOINT]
    if (withCleaner) names.push(CLEANER_OFFSET_CHECKPOINT)
    try {
      this.#hadRecoveryPoints = this.#disk.exists(`${this.path}/${RECOVERY_POINT_CHECKPOINT}`)
      for (const name of names) ensureCheckpoint(this.#disk, `${this.path}/${name}`)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#failures.error(`Error while creating the checkpoint files of ${this.path}`, error)
      this.isLive = false
      this.unlock()
    }
  }

  // ---------------------------------------------------------------- start

  /** Throws `DiskError`, and `LogStartError` for a folder that is no partition. */
  async readPlan(pause: Pause): Promise<LoadPlan> {
    const wasClean = this.#disk.exists(`${this.path}/${CLEAN_SHUTDOWN_FILE}`)
    const recoveryPoints = await this.#readOffsets(RECOVERY_POINT_CHECKPOINT, pause)
    const logStartOffsets = await this.#readOffsets(LOG_START_OFFSET_CHECKPOINT, pause)
    for (const [key, offset] of recoveryPoints) this.#recoveryPoints.set(key, offset)
    // One call, which of ten thousand folders is a turn's work.
    await pause(recoveryPoints.size > FOLDERS_AT_ONCE)
    const entries = this.#disk.list(this.path)
    await pause(entries.length > FOLDERS_AT_ONCE)
    const folders: (LogFolder & { name: string })[] = []
    for (const [i, entry] of entries.entries()) {
      if (i % FOLDERS_AT_ONCE === FOLDERS_AT_ONCE - 1) await pause()
      if (!entry.isDirectory) continue
      const folder = parseLogFolder(entry.name)
      if (folder === undefined) {
        throw new LogStartError(
          'KafkaException',
          `kafka.common.KafkaException: Found directory ${this.path}/${entry.name}, '${entry.name}' is not in the form of topic-partition or topic-partition.uniqueId-delete (if marked for deletion).\nKafka's log directories (and children) should only contain Kafka topic data.`,
        )
      }
      folders.push({ ...folder, name: entry.name })
    }
    const knowsRecoveryPoints = this.#hadRecoveryPoints && this.malformed === undefined
    return { folders, recoveryPoints, knowsRecoveryPoints, logStartOffsets, wasClean }
  }

  /** An unreadable file is logged, then it is as if it were empty; the directory fails as soon as everything is loaded. */
  async #readOffsets(name: string, pause: Pause): Promise<Map<string, number>> {
    try {
      return await this.#offsets(name, pause)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#failures.error(`Error while reading checkpoint file ${this.path}/${name}`, error)
      this.#logger.warn(`Error occurred while reading ${name} file of directory ${this.path}`)
      if (name === RECOVERY_POINT_CHECKPOINT) this.#logger.warn('Resetting the recovery checkpoint to 0')
      this.malformed = error
      return new Map()
    }
  }

  async #offsets(name: string, pause: Pause): Promise<Map<string, number>> {
    const steps = offsetSteps(this.#disk, `${this.path}/${name}`)
    for (;;) {
      const { done, value } = steps.next()
      if (done === true) return value
      await pause()
    }
  }

  /**
   * What `replication-offset-checkpoint` says, to be taken later. A file that cannot be read is read again by who asks for it, who has the
   * directory fail then.
   */
  async prefetchHighWatermarks(pause: Pause): Promise<void> {
    try {
      this.#prefetched = await this.#offsets(REPLICATION_OFFSET_CHECKPOINT, pause)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
    }
  }

  /** As the file says. Throws `DiskError`. */
  readHighWatermarks(): ReadonlyMap<string, number> {
    const prefetched = this.#prefetched
    this.#prefetched = undefined
    return prefetched ?? runToEnd(offsetSteps(this.#disk, `${this.path}/${REPLICATION_OFFSET_CHECKPOINT}`))
  }

  /** Set by a checkpoint file that could not be read at start. */
  malformed: DiskError | undefined

  /** A malformed file of one partition stops the start. */
  isFatal(error: DiskError): boolean {
    return error.code === MALFORMED && error.path.endsWith(`/${LEADER_EPOCH_FILE}`)
  }

  fatal(error: DiskError): LogStartError {
    this.#failures.error(`Error while reading checkpoint file ${error.path}`, error)
    return new LogStartError(
      'KafkaStorageException',
      `org.apache.kafka.common.errors.KafkaStorageException: Error while reading checkpoint file ${error.path}`,
    )
  }

  /** A marker that came back after a power loss would hide that logs were not closed: resolves when that cannot be any more. */
  async removeCleanMarker(): Promise<void> {
    const marker = `${this.path}/${CLEAN_SHUTDOWN_FILE}`
    const wasThere = this.#disk.exists(marker)
    this.#disk.remove(marker, true)
    const synced = this.#disk.syncDirectoryAsync(this.path)
    if (wasThere) return synced
    // An earlier life may have been killed between the two, so it is synced again; on a busy disk that takes a second, and a first start
    // does not wait for it. A disk that fails is noticed by whoever appends next.
    synced.catch(() => {})
  }

  markClean(): void {
    this.#disk.open(`${this.path}/${CLEAN_SHUTDOWN_FILE}`, 'create').close()
    this.#disk.syncDirectory(this.path)
  }

  // ---------------------------------------------------------------- checkpoints

  /** `isBehind` of any of them. */
  async isBehindAny(logs: readonly PartitionLog[], pause: Pause): Promise<boolean> {
    for (const [i, log] of logs.entries()) {
      if (i % FOLDERS_AT_ONCE === FOLDERS_AT_ONCE - 1) await pause()
      if (this.isBehind(log)) return true
    }
    return false
  }

  /** Does the file say more than is true of this log now? */
  isBehind(log: PartitionLog): boolean {
    return (this.#recoveryPoints.get(partitionKey(log.topic, log.partition)) ?? 0) > log.recoveryPoint
  }

  writeRecoveryPoints(logs: readonly PartitionLog[]): void {
    const entries = logs.map(({ topic, partition, recoveryPoint }) => ({ topic, partition, offset: recoveryPoint }))
    if (this.#wroteRecoveryPoints && this.#isWritten(entries)) return
    writeOffsetCheckpoint(this.#disk, `${this.path}/${RECOVERY_POINT_CHECKPOINT}`, entries)
    this.#wroteRecoveryPoints = true
    this.#recoveryPoints.clear()
    for (const entry of entries) this.#recoveryPoints.set(partitionKey(entry.topic, entry.partition), entry.offset)
  }

  #isWritten(entries: readonly OffsetEntry[]): boolean {
    if (entries.length !== this.#recoveryPoints.size) return false
    return entries.every(({ topic, partition, offset }) => this.#recoveryPoints.get(partitionKey(topic, partition)) === offset)
  }

  /** Only logs that start behind their first segment. */
  writeLogStartOffsets(logs: readonly PartitionLog[]): void {
    const entries: OffsetEntry[] = []
    for (const { topic, partition, logStartOffset, segments } of logs) {
      if (logStartOffset > segments.first.baseOffset) entries.push({ topic, partition, offset: logStartOffset })
    }
    const text = JSON.stringify(entries)
    if (text === this.#writtenStartOffsets) return
    writeOffsetCheckpoint(this.#disk, `${this.path}/${LOG_START_OFFSET_CHECKPOINT}`, entries)
    this.#writtenStartOffsets = text
  }

  writeHighWatermarks(values: readonly HighWatermark[]): void {
    this.#prefetched = undefined
    if (this.#areWritten(values)) {
      // 1.1 writes all the same, and so finds out that an idle directory has failed.
      if (!this.#disk.isUsable(this.path))
        throw new DiskError('EIO', this.path, `Log directory ${this.path} cannot be used any more`)
      return
    }
    const entries = values.map(({ log: { topic, partition }, highWatermark }) => ({ topic, partition, offset: highWatermark }))
    writeOffsetCheckpoint(this.#disk, `${this.path}/${REPLICATION_OFFSET_CHECKPOINT}`, entries)
    this.#highWatermarks = values
  }

  /** One by one, without making a text of thousands of lines to find out. */
  #areWritten(values: readonly HighWatermark[]): boolean {
    const written = this.#highWatermarks
    if (values.length !== written?.length) return false
    for (let i = 0; i < values.length; i++) {
      const [value, before] = [values[i]!, written[i]!]
      if (value.log !== before.log || value.highWatermark !== before.highWatermark) return false
    }
    return true
  }
}

/** Validates and locks the directories, makes missing checkpoint files. Throws `LogStartError` when none can be used. */
export function openDirectories(disk: Disk, logger: Logger, options: LogManagerOptions): LogDirectory[] {
  if (new Set(options.logDirs).size < options.logDirs.length) {
    throw new LogStartError('KafkaException', `Duplicate log directory found: ${options.logDirs.join(', ')}`)
  }
  const offline = new Set(options.initialOfflineDirs ?? [])
  const directories = options.logDirs.map((path) => new LogDirectory(disk, logger, path))
  for (const directory of directories) directory.validate(offline.has(directory.path))
  if (!directories.some((directory) => directory.isLive)) {
    const message = `Shutdown broker because none of the specified log dirs from ${options.logDirs.join(', ')} can be created or validated`
    logger.error(message)
    throw new LogStartError('KafkaException', message)
  }
  try {
    for (const directory of directories) if (directory.isLive) directory.lock()
    for (const directory of directories) if (directory.isLive) directory.createCheckpoints(options.cleanerEnable)
  } catch (error) {
    for (const directory of directories) directory.unlock()
    throw error
  }
  return directories
}
