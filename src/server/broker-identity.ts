import type { Logger } from '../base/logger.ts'
import { readMetaProperties, writeMetaProperties } from '../log/meta-properties.ts'
import type { Disk } from '../ports/disk.ts'
import { DiskError } from '../ports/disk.ts'
import type { BrokerConfig } from './config/broker-config.ts'

/** The ids in the log directories contradict each other or the configuration. */
export class InconsistentBrokerIdError extends Error {
  override readonly name = 'kafka.common.InconsistentBrokerIdException'
}

export interface StoredIdentity {
  /** Of all readable directories; undefined: none has one. */
  readonly brokerId: number | undefined
  /** Directories without a `meta.properties`. */
  readonly unmarked: readonly string[]
  /** Directories whose file is not readable: offline from the start. */
  readonly offline: readonly string[]
}

/** Reads `meta.properties` of every log directory. Throws `InconsistentBrokerIdError`. */
export function readStoredIdentity(disk: Disk, config: BrokerConfig, log: Logger): StoredIdentity {
  const ids = new Set<number>()
  const unmarked: string[] = []
  const offline: string[] = []
  for (const logDir of config.logDirs) {
    try {
      const id = readMetaProperties(disk, logDir)
      if (id !== undefined) {
        ids.add(id)
        continue
      }
      log.warn(`No meta.properties file under dir ${logDir}/meta.properties`)
      unmarked.push(logDir)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      log.error(`Fail to read meta.properties under log directory ${logDir}: ${error.message}`)
      offline.push(logDir)
    }
  }
  if (ids.size > 1) {
    throw new InconsistentBrokerIdError(
      `Failed to match broker.id across log.dirs. This could happen if multiple brokers shared a log directory (log.dirs) or partial data was manually copied from another broker. Found ${[...ids].join(', ')}`,
    )
  }
  const [stored] = ids
  if (stored !== undefined && config.brokerId >= 0 && stored !== config.brokerId) {
    throw new InconsistentBrokerIdError(
      `Configured broker.id ${config.brokerId} doesn't match stored broker.id ${stored} in meta.properties. If you moved your data, make sure your configured broker.id matches. If you intend to create a new broker, you should remove all data in your data directories (log.dirs).`,
    )
  }
  return { brokerId: stored, unmarked, offline }
}

/** Marks directories with the broker's id; one that cannot be written is told in the log. */
export function markDirectories(disk: Disk, logDirs: readonly string[], brokerId: number, wall: number, log: Logger): void {
  for (const logDir of logDirs) {
    try {
      writeMetaProperties(disk, logDir, brokerId, wall)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      log.error(`Failed to write meta.properties under log directory ${logDir}: ${error.message}`)
    }
  }
}
