import { DiskError } from '../ports/disk.ts'
import type { LogEnvironment } from './environment.ts'
import type { PartitionLog } from './log.ts'
import type { LogSegment } from './segment.ts'

/** fsync of one log: off the loop, one at a time; owns the recovery point. */
export class LogFlusher {
  /** Everything below it is on the medium. */
  recoveryPoint: number
  /** Monotonic milliseconds. */
  lastFlushed: number
  readonly #log: PartitionLog
  readonly #environment: LogEnvironment
  #flushing: Promise<void> | undefined
  /** The folder itself may be new too. */
  #isFirst = true
  /** Where the log was cut while a flush was under way. */
  #limit = Number.POSITIVE_INFINITY

  constructor(log: PartitionLog, environment: LogEnvironment, recoveryPoint: number) {
    this.#log = log
    this.#environment = environment
    this.recoveryPoint = recoveryPoint
    this.lastFlushed = environment.clock.now()
  }

  /** A flush that nobody waits for. A disk error has taken the directory offline, which is all there is to do about it. */
  flushInBackground(offset: number): void {
    if (this.#log.isClosed) return
    this.flushTo(offset).catch((error: unknown) => {
      if (!(error instanceof DiskError)) throw error
    })
  }

  /** Makes everything below `offset` durable. Later calls wait for the running flush and go on from there. */
  async flushTo(offset: number): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing
    // The log may have been cut since the flush was asked for.
    const end = Math.min(offset, this.#log.logEndOffset)
    if (end <= this.recoveryPoint || this.#log.isClosed) return
    const run = this.#run(end)
    // Who waits for this one meets the error in a flush of its own.
    this.#flushing = run.catch(() => {})
    try {
      await run
    } finally {
      this.#flushing = undefined
    }
  }

  async #run(offset: number): Promise<void> {
    this.#limit = Number.POSITIVE_INFINITY
    const began = this.#environment.clock.now()
    try {
      const unflushed = this.#log.segments.between(this.recoveryPoint, offset)
      for (const segment of unflushed) await segment.datasync()
      await this.#log.epochs.saveAsync()
      await this.#syncFolder(unflushed)
    } catch (error) {
      if (this.#log.isClosed) return
      throw this.#log.failed(error)
    }
    this.#flushed(Math.min(offset, this.#limit), began)
  }

  /** The same on the loop: `flush.messages`. */
  flushSync(offset: number): void {
    if (offset <= this.recoveryPoint) return
    const began = this.#environment.clock.now()
    const unflushed = this.#log.segments.between(this.recoveryPoint, offset)
    for (const segment of unflushed) segment.fsyncSync()
    this.#log.epochs.save()
    for (const folder of this.#newFolders(unflushed)) this.#environment.disk.syncDirectory(folder)
    this.#flushed(offset, began)
  }

  /** The log ends at `offset` now: what is appended there again is not flushed. */
  truncated(offset: number): void {
    this.recoveryPoint = Math.min(offset, this.recoveryPoint)
    this.#limit = Math.min(offset, this.#limit)
  }

  async #syncFolder(segments: readonly LogSegment[]): Promise<void> {
    for (const folder of this.#newFolders(segments)) await this.#environment.disk.syncDirectoryAsync(folder)
  }

  /** New files are safe only when their folder is: the folders to be synced for `segments`. */
  #newFolders(segments: readonly LogSegment[]): string[] {
    if (!segments.some((segment) => segment.isNewInFolder)) return []
    for (const segment of segments) segment.isNewInFolder = false
    const folders = this.#isFirst ? [this.#log.directory, this.#log.logDir] : [this.#log.directory]
    this.#isFirst = false
    return folders
  }

  #flushed(offset: number, began: number): void {
    if (offset > this.recoveryPoint) this.recoveryPoint = offset
    this.lastFlushed = this.#environment.clock.now()
    this.#environment.onFlush(this.lastFlushed - began)
  }
}
