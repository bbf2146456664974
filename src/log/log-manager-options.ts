import type { Logger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'
import type { Disk } from '../ports/disk.ts'
import type { Rng } from '../ports/rng.ts'
import type { CleanerOptions } from './cleaner/cleaner-options.ts'
import type { TailCache } from './tail-cache.ts'
import type { LogConfig } from './types.ts'

export interface LogEnvironmentOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly rng: Rng
  readonly logger: Logger
  /** Default: one of 32 MiB. */
  readonly tailCache?: TailCache
  /** Is told how many milliseconds each flush took. */
  readonly onFlush?: (ms: number) => void
}

/** Broker configs of the log manager, by their names in 1.1. Times in milliseconds; "never" is Infinity or 2^63. */
export interface LogManagerOptions {
  /** `log.dirs`, absolute. */
  readonly logDirs: readonly string[]
  /** Directories whose `meta.properties` could not be read: they stay offline. */
  readonly initialOfflineDirs?: readonly string[]
  /** Config of topics that have none of their own. */
  readonly defaultConfig: LogConfig
  /** `transactional.id.expiration.ms` (604800000). */
  readonly producerIdExpirationMs: number
  /** `log.retention.check.interval.ms` (300000). */
  readonly retentionCheckMs: number
  /** `log.flush.scheduler.interval.ms` (never). */
  readonly flushCheckMs: number
  /** `log.flush.offset.checkpoint.interval.ms` (60000). */
  readonly flushRecoveryOffsetCheckpointMs: number
  /** `log.flush.start.offset.checkpoint.interval.ms` (60000). */
  readonly flushStartOffsetCheckpointMs: number
  /** First run of the periodic tasks (30000). */
  readonly initialTaskDelayMs: number
  /** `log.cleaner.enable` (true). */
  readonly cleanerEnable: boolean
  /** Default: 1.1's. */
  readonly cleaner?: CleanerOptions
  /** `num.recovery.threads.per.data.dir` (1): logs of one directory that are loaded at the same time. */
  readonly recoveryThreads?: number
}
