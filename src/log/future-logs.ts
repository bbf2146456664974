import type { PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import { DiskError } from '../ports/disk.ts'
import type { LogEnvironment } from './environment.ts'
import { futureFolderName, logFolderName } from './file-names.ts'
import type { PartitionLog } from './log.ts'
import { LogMap } from './log-map.ts'
import type { FutureLogManager, LogConfig } from './types.ts'

/** Where a log lies. */
export interface LogPlace {
  readonly topic: string
  readonly partition: number
  readonly logDir: string
  readonly directory: string
}

/** What the future logs need of their manager. */
export interface FutureLogHost {
  readonly environment: LogEnvironment
  /** The manager's logs; replaced ones are put here. */
  readonly current: Map<PartitionKey, PartitionLog>
  /** Opens what is in the folder. `isClean`: nothing has to be recovered. Throws `DiskError`. */
  open(place: LogPlace, config: LogConfig, logStartOffset: number, isClean: boolean): PartitionLog
  /** Renames the folder of a log that nobody uses any more; it is removed later. Throws `DiskError`. */
  discard(log: PartitionLog): void
  /** `log` has taken the place of the one that lay in the directory `from`. */
  moved(from: string, log: PartitionLog): void
  fail(logDir: string, error: DiskError): void
  checkpointSoon(logDir: string): void
}

/** Logs that are to replace others, in another log directory of the broker (KIP-113): `<topic>-<partition>.<uuid>-future`. */
export class FutureLogs implements FutureLogManager {
  readonly logs = new LogMap()
  /** Chosen directories of logs that do not exist yet. */
  readonly #preferred = new Map<PartitionKey, string>()
  readonly #host: FutureLogHost

  constructor(host: FutureLogHost) {
    this.#host = host
  }

  all(): Iterable<PartitionLog> {
    return this.logs.values()
  }

  get(topic: string, partition: number): PartitionLog | undefined {
    return this.logs.get(partitionKey(topic, partition))
  }

  prefer(topic: string, partition: number, logDir: string): void {
    this.#preferred.set(partitionKey(topic, partition), logDir)
  }

  /** The choice for a log that is about to be made; it holds once. */
  takePreferred(key: PartitionKey): string | undefined {
    const logDir = this.#preferred.get(key)
    this.#preferred.delete(key)
    return logDir
  }

  create(topic: string, partition: number, logDir: string, config: LogConfig): PartitionLog {
    const { environment } = this.#host
    const uuid = environment.rng.bytes(16).toString('hex')
    const directory = `${logDir}/${futureFolderName(topic, partition, uuid)}`
    return this.#guard(logDir, () => {
      environment.disk.makeDirectory(directory)
      const log = this.#host.open({ topic, partition, logDir, directory }, config, 0, false)
      this.logs.set(partitionKey(topic, partition), log)
      environment.logger.info(`Created future log for partition ${topic}-${partition} in ${logDir}.`)
      return log
    })
  }

  remove(topic: string, partition: number): void {
    const log = this.get(topic, partition)
    if (log === undefined) return
    this.logs.delete(partitionKey(topic, partition))
    this.#host.discard(log)
  }

  /**
   * The future log, which must hold everything that the current one has, takes its place. As in 1.1 the new folder gets its name before
   * the old one loses it: after a crash in between the broker does not start rather than choose. Throws `DiskError`.
   */
  replaceCurrent(topic: string, partition: number): PartitionLog {
    const key = partitionKey(topic, partition)
    const { current, environment } = this.#host
    const source = current.get(key)!
    const future = this.logs.get(key)!
    const place: LogPlace = {
      topic,
      partition,
      logDir: future.logDir,
      directory: `${future.logDir}/${logFolderName(topic, partition)}`,
    }
    return this.#guard(future.logDir, () => {
      future.flushSync()
      future.close()
      this.logs.delete(key)
      environment.disk.rename(future.directory, place.directory)
      environment.disk.syncDirectory(place.logDir)
      current.delete(key)
      this.#host.discard(source)
      const log = this.#host.open(place, source.config, future.logStartOffset, true)
      current.set(key, log)
      this.#host.checkpointSoon(place.logDir)
      this.#host.moved(source.logDir, log)
      environment.logger.info(`The current replica of ${key} in ${source.logDir} is replaced with the one in ${place.logDir}`)
      return log
    })
  }

  #guard<T>(logDir: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (error instanceof DiskError) this.#host.fail(logDir, error)
      throw error
    }
  }
}
