import { allOf } from '../base/all-of.ts'
import type { PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import { LoopSlice, runToEnd } from '../base/loop-slice.ts'
import { DiskError } from '../ports/disk.ts'
import { CorruptSegmentError } from './batch-scanner.ts'
import type { LogEnvironment } from './environment.ts'
import type { LogPlace } from './future-logs.ts'
import type { LogOwner } from './log.ts'
import { PartitionLog } from './log.ts'
import type { LoadPlan, LogDirectory, Pause } from './log-directory.ts'
import { LogStartError } from './log-directory.ts'
import type { LoadStep } from './log-loader.ts'
import { loadLog } from './log-loader.ts'
import type { LogManagerOptions } from './log-manager-options.ts'
import type { LogMap } from './log-map.ts'
import type { LogConfig } from './types.ts'

/** How long loading may hold the event loop before others get a turn. */
const SLICE_MS = 6
/** A long start says how far it is this often. */
const PROGRESS_MS = 10_000

/** What loading needs of the log manager. */
export interface LoadingHost {
  readonly environment: LogEnvironment
  readonly options: LogManagerOptions
  readonly owner: LogOwner
  readonly logs: LogMap
  futures(): Map<PartitionKey, PartitionLog>
  /** Removes a folder that is out of use, after a while. */
  removeLater(path: string): void
  fail(logDir: string, error: DiskError): void
}

type Folder = LoadPlan['folders'][number]

/** One directory on its way; all of its loaders share it. */
interface Progress {
  readonly directory: LogDirectory
  readonly plan: LoadPlan
  readonly folders: Folder[]
  done: number
  reportedAt: number
  readonly slice: LoopSlice
}

/** Brings logs into memory: all directories at once, in each of them `num.recovery.threads.per.data.dir` logs at a time. */
export class LogLoading {
  readonly #host: LoadingHost
  #isGivenUp = false

  constructor(host: LoadingHost) {
    this.#host = host
  }

  /** Throws `LogStartError` where 1.1 does not start. */
  async loadAll(directories: readonly LogDirectory[], configs: ReadonlyMap<string, LogConfig>): Promise<void> {
    await allOf(directories.map((directory) => this.#loadDirectory(directory, configs)))
  }

  async #loadDirectory(directory: LogDirectory, configs: ReadonlyMap<string, LogConfig>): Promise<void> {
    try {
      await this.#loadFolders(directory, configs)
      // Recovery may have found less than the checkpoint promised.
      const logs = [...this.#host.logs.values()].filter((log) => log.logDir === directory.path)
      if (await directory.isBehindAny(logs, this.#pauses())) directory.writeRecoveryPoints(logs)
      await directory.prefetchHighWatermarks(this.#pauses())
      await directory.removeCleanMarker()
      if (directory.malformed !== undefined) this.#host.fail(directory.path, directory.malformed)
    } catch (error) {
      this.#isGivenUp = !(error instanceof DiskError) || directory.isFatal(error)
      if (error instanceof CorruptSegmentError)
        throw new LogStartError('CorruptRecordException', `${error.name}: ${error.message}`)
      if (!(error instanceof DiskError)) throw error
      if (directory.isFatal(error)) throw directory.fatal(error)
      this.#host.environment.logger.error(`Error while loading log dir ${directory.path}`, error)
      this.#host.fail(directory.path, error)
    }
  }

  async #loadFolders(directory: LogDirectory, configs: ReadonlyMap<string, LogConfig>): Promise<void> {
    const plan = await this.#readPlan(directory)
    const folders = [...plan.folders]
    const { clock } = this.#host.environment
    const slice = new LoopSlice(clock, SLICE_MS)
    const progress: Progress = { directory, plan, folders, done: 0, reportedAt: clock.now(), slice }
    const threads = Math.max(1, this.#host.options.recoveryThreads ?? 1)
    await allOf(Array.from({ length: Math.min(threads, folders.length) }, () => this.#loadNext(progress, configs)))
  }

  async #loadNext(progress: Progress, configs: ReadonlyMap<string, LogConfig>): Promise<void> {
    const { directory, folders } = progress
    for (let folder = folders.shift(); folder !== undefined && !this.#isGivenUp; folder = folders.shift()) {
      try {
        if (folder.kind === 'delete') this.#host.removeLater(`${directory.path}/${folder.name}`)
        else await this.#loadFolder(progress, folder, configs.get(folder.topic) ?? this.#host.options.defaultConfig)
      } catch (error) {
        // Nobody takes another one of this directory.
        folders.length = 0
        throw error
      }
      progress.done++
      this.#report(progress)
    }
  }

  async #loadFolder(progress: Progress, folder: Folder, config: LogConfig): Promise<void> {
    const { directory, plan } = progress
    const { topic, partition, name } = folder
    const key = partitionKey(topic, partition)
    const place = { topic, partition, logDir: directory.path, directory: `${directory.path}/${name}` }
    const recoveryPoint = plan.recoveryPoints.get(key) ?? (plan.knowsRecoveryPoints ? 0 : undefined)
    const loading = this.#load(place, config, plan.logStartOffsets.get(key) ?? 0, recoveryPoint, plan.wasClean)
    let step = loading.next()
    while (!step.done) {
      if (step.value !== undefined && (this.#host.options.recoveryThreads ?? 1) > 1) {
        await step.value()
        progress.slice.restart()
      } else if (progress.slice.isDue) await progress.slice.turn()
      step = loading.next()
    }
    this.#adopt(key, step.value, folder.kind === 'future')
  }

  #readPlan(directory: LogDirectory): Promise<LoadPlan> {
    return directory.readPlan(this.#pauses())
  }

  /** For loops over all logs: a turn for others where the slice has been long. */
  #pauses(): Pause {
    const slice = new LoopSlice(this.#host.environment.clock, SLICE_MS)
    return async (isSure = false) => {
      if (isSure || slice.isDue) await slice.turn()
    }
  }

  #report(progress: Progress): void {
    const { clock, logger } = this.#host.environment
    if (clock.now() - progress.reportedAt < PROGRESS_MS) return
    progress.reportedAt = clock.now()
    const { directory, plan, done } = progress
    logger.info(`Loaded ${done} of ${plan.folders.length} logs in ${directory.path}.`)
  }

  /** One log in one go: new ones, and those that were moved. Throws `DiskError`. */
  openNow(place: LogPlace, config: LogConfig, logStartOffset: number, isClean: boolean, isNewFolder = false): PartitionLog {
    return runToEnd(this.#load(place, config, logStartOffset, undefined, isClean, isNewFolder))
  }

  *#load(
    place: LogPlace,
    config: LogConfig,
    logStartOffset: number,
    recoveryPoint: number | undefined,
    hadCleanShutdown: boolean,
    isNewFolder = false,
  ): Generator<LoadStep, PartitionLog> {
    const { environment, owner } = this.#host
    const started = environment.clock.now()
    const logger = environment.logger.child(
      `[Log partition=${place.topic}-${place.partition}, dir=${place.logDir}]`,
      'kafka.log.Log',
    )
    const spec = { ...place, config, logStartOffset, recoveryPoint, hadCleanShutdown, isNewFolder }
    const loaded = yield* loadLog(environment, spec, logger)
    const { segments, logEndOffset } = loaded
    logger.info(
      `Completed load of log with ${segments.length} segments, log start offset ${loaded.logStartOffset} and log end offset ${logEndOffset} in ${Math.round(environment.clock.now() - started)} ms`,
    )
    yield
    return new PartitionLog(environment, owner, place, config, loaded, logger)
  }

  #adopt(key: PartitionKey, log: PartitionLog, isFuture: boolean): void {
    const logs = isFuture ? this.#host.futures() : this.#host.logs
    const previous = logs.get(key)
    if (previous !== undefined) {
      throw new LogStartError(
        'IllegalStateException',
        `Duplicate log directories for ${key} found in both ${log.directory} and ${previous.directory}. It is likely because log directory failure happened while broker was replacing current replica with future replica. Recover broker from this failure by manually deleting one of the two directories for this partition. It is recommended to delete the partition in the log directory that is known to have failed recently.`,
      )
    }
    logs.set(key, log)
  }
}
