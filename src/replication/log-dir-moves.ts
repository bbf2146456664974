import type { PartitionId, PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import { nextSlice } from '../base/loop-slice.ts'
import { nothingIfCut } from '../log/records-cut.ts'
import type { Log, LogManager, RecordsSlice } from '../log/types.ts'
import type { Clock } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { baseOffset } from '../protocol/records/index.ts'
import type { Partition } from './partition.ts'
import type { ReplicationQuota } from './throttle.ts'
import type { LogDirMove } from './types.ts'

/** Copied in one turn of the loop. */
const CHUNK_BYTES = 1024 * 1024
/** How often a move that used up its quota looks whether it may go on. */
const QUOTA_CHECK_MS = 100
/** Chunks that may follow in the turn of the exchange, when the log has grown while the copy was flushed. */
const LAST_CHUNKS = 4

export interface LogDirMovesOptions {
  readonly logs: LogManager
  readonly clock: Clock
  readonly logger: Logger
  find(topic: string, partition: PartitionId): Partition | undefined
  /** `replica.alter.log.dirs.io.max.bytes.per.second`: of all moves together. */
  readonly quota: ReplicationQuota
}

interface Move {
  readonly partition: Partition
  readonly source: Log
  readonly future: Log
}

/**
 * Replicas on their way to another log directory of this broker (KIP-113): a future log is filled from the current one, chunk by chunk;
 * when both end at the same offset it takes the current one's place, between two turns of the loop, so nobody notices.
 */
export class LogDirMoves {
  readonly #options: LogDirMovesOptions
  readonly #moves = new Map<PartitionKey, Move>()
  #isClosed = false

  constructor(options: LogDirMovesOptions) {
    this.#options = options
  }

  /** Error code of one partition of AlterReplicaLogDirs. */
  start({ topic, partition, logDir }: LogDirMove): number {
    const { logs } = this.#options
    if (!logs.liveDirectories.includes(logDir)) {
      return logs.offlineDirectories.includes(logDir) ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.LOG_DIR_NOT_FOUND
    }
    const replica = this.#options.find(topic, partition)
    if (replica?.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    try {
      // Somewhere else is wanted now, or nothing any more.
      const future = logs.futures.get(topic, partition)
      if (future !== undefined && future.logDir !== logDir) this.#cancel(topic, partition)
      const source = replica?.log
      if (source === undefined) {
        logs.futures.prefer(topic, partition, logDir)
        return ErrorCode.REPLICA_NOT_AVAILABLE
      }
      if (source.logDir === logDir || logs.futures.get(topic, partition) !== undefined) return ErrorCode.NONE
      this.#begin(replica!, source, logs.futures.create(topic, partition, logDir, source.config))
      return ErrorCode.NONE
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      return ErrorCode.KAFKA_STORAGE_ERROR
    }
  }

  /** A future log from before a restart: what it holds was copied from a log that may have been cut since, so it is filled anew. */
  resume(replica: Partition): void {
    const { topic, partition, log } = replica
    const future = this.#options.logs.futures.get(topic, partition)
    if (future === undefined || log === undefined || this.#moves.has(replica.key)) return
    this.#begin(replica, log, future)
  }

  close(): void {
    this.#isClosed = true
    this.#moves.clear()
  }

  #cancel(topic: string, partition: PartitionId): void {
    this.#moves.delete(partitionKey(topic, partition))
    this.#options.logs.futures.remove(topic, partition)
  }

  #begin(partition: Partition, source: Log, future: Log): void {
    const move: Move = { partition, source, future }
    this.#moves.set(partition.key, move)
    partition.logger.info(`Moving the replica from ${source.logDir} to ${future.logDir}`)
    future.truncateFullyAndStartAt(source.logStartOffset)
    partition.lowestCut = Number.POSITIVE_INFINITY
    this.#copy(move).catch((error: unknown) => {
      this.#moves.delete(partition.key)
      // The directory that failed is marked; the partition stays where it is.
      if (error instanceof DiskError) partition.logger.error(`Moving the replica to ${future.logDir} failed`, error)
      else
        this.#options.clock.soon(() => {
          throw error
        })
    })
  }

  /** False: stopped, deleted, cancelled, or its directory failed. */
  #isCurrent(move: Move): boolean {
    const { partition, source, future } = move
    if (this.#isClosed || this.#moves.get(partition.key) !== move || partition.log !== source) return false
    return this.#options.logs.futures.get(partition.topic, partition.partition) === future
  }

  async #copy(move: Move): Promise<void> {
    const { clock } = this.#options
    while (this.#isCurrent(move)) {
      this.#followCuts(move)
      const slice = this.#next(move)
      if (slice === undefined) {
        if (await this.#finish(move)) return
        continue
      }
      const warm = slice.cold ? await slice.load().catch(nothingIfCut) : slice
      if (!this.#isCurrent(move)) break
      if (warm === undefined) continue
      if (move.partition.lowestCut === Number.POSITIVE_INFINITY) append(move, warm)
      this.#options.quota.record(warm.size)
      await new Promise<void>((resolve) => this.#whenAllowed(clock, move, resolve))
    }
    if (this.#moves.get(move.partition.key) === move) this.#moves.delete(move.partition.key)
  }

  /** In another turn of the loop, once the quota has room again; it may be changed meanwhile. */
  #whenAllowed(clock: Clock, move: Move, resume: () => void): void {
    if (this.#options.quota.isExceeded && this.#isCurrent(move))
      clock.timer(QUOTA_CHECK_MS, () => this.#whenAllowed(clock, move, resume))
    else nextSlice(clock, resume)
  }

  /** Where the current log was cut since the last look, the future one is cut too. */
  #followCuts({ partition, source, future }: Move): void {
    const cut = partition.lowestCut
    partition.lowestCut = Number.POSITIVE_INFINITY
    if (future.logEndOffset < source.logStartOffset || cut <= future.logStartOffset) {
      future.truncateFullyAndStartAt(source.logStartOffset)
    } else if (cut < future.logEndOffset) future.truncateTo(cut)
  }

  #next({ source, future }: Move): RecordsSlice | undefined {
    if (future.logEndOffset >= source.logEndOffset) return undefined
    return source.read(future.logEndOffset, CHUNK_BYTES, source.logEndOffset, true).records
  }

  /** True: the future log is the current one now. */
  async #finish(move: Move): Promise<boolean> {
    const { partition, source, future } = move
    await future.flush()
    if (!this.#isCurrent(move) || partition.lowestCut !== Number.POSITIVE_INFINITY) return false
    for (let chunk = 0; chunk < LAST_CHUNKS; chunk++) {
      const slice = this.#next(move)
      if (slice === undefined || slice.cold) break
      append(move, slice)
    }
    if (future.logEndOffset !== source.logEndOffset) return false
    future.highWatermark = Math.max(future.logStartOffset, source.highWatermark)
    future.maybeIncrementLogStartOffset(source.logStartOffset)
    this.#moves.delete(partition.key)
    partition.exchangeLog(this.#options.logs.futures.replaceCurrent(partition.topic, partition.partition))
    return true
  }
}

function append({ partition, future }: Move, slice: RecordsSlice): void {
  const records = Buffer.allocUnsafe(slice.size)
  slice.copyTo(records, 0)
  // A log that starts inside a batch (after DeleteRecords) begins with the whole batch.
  if (future.logEndOffset === future.logStartOffset && baseOffset(records, 0) < future.logEndOffset) {
    future.truncateFullyAndStartAt(baseOffset(records, 0))
  }
  const { error, message } = future.appendAsFollower(records)
  if (error !== ErrorCode.NONE) {
    throw new DiskError(
      'EIO',
      future.directory,
      `Copying ${partition.key} at offset ${future.logEndOffset} failed: ${message ?? error}`,
    )
  }
}
