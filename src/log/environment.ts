import type { Logger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'
import type { Disk, DiskError } from '../ports/disk.ts'
import type { Rng } from '../ports/rng.ts'
import type { TailCache } from './tail-cache.ts'

/** What every log of a broker shares. */
export interface LogEnvironment {
  readonly disk: Disk
  readonly clock: Clock
  readonly rng: Rng
  /** Lines as 1.1 prints them; its category is `kafka.log.LogManager`, children are made per log. */
  readonly logger: Logger
  readonly tailCache: TailCache
  /** `transactional.id.expiration.ms`: idle producers are forgotten after it. */
  readonly producerIdExpirationMs: number
  /** Milliseconds that a flush of one log took. */
  onFlush(ms: number): void
  /** A disk operation failed: the whole log directory goes offline (KIP-112). May be called more than once per directory. */
  onDiskFailure(logDir: string, error: DiskError): void
}
