import type { Logger } from '../../base/logger.ts'
import type { Timer } from '../../ports/clock.ts'
import type { LogEnvironment } from '../environment.ts'
import type { PartitionLog } from '../log.ts'
import type { CleanerOptions } from './cleaner-options.ts'
import type { Cleanable } from './cleaning-plan.ts'
import type { CleaningStats } from './cleaning-stats.ts'
import { CleaningAborted, LogCleaning } from './log-cleaning.ts'
import { OffsetMap } from './offset-map.ts'
import { Pace } from './pace.ts'
import type { Throttle } from './throttle.ts'

/** 1.1 takes no more for one map. */
const MOST_MAP_BYTES = 2147483647

/** Whose logs the threads clean. */
export interface CleanerWork {
  takeFilthiest(): Cleanable | undefined
  flushed(log: PartitionLog): void
  check(log: PartitionLog): void
  cleaned(log: PartitionLog, nextDirtyOffset: number, stats: CleaningStats, thread: number): void
  failed(log: PartitionLog, error: unknown): void
  release(log: PartitionLog): void
  deleteOldSegments(): void
}

/** What is a thread in 1.1: cleans one log after the other, and pauses when there is none. */
export class CleanerThread {
  readonly #id: number
  readonly #environment: LogEnvironment
  readonly #logger: Logger
  readonly #options: CleanerOptions
  readonly #throttle: Throttle
  readonly #work: CleanerWork
  readonly #map: OffsetMap
  readonly #pace: Pace
  #isStopped = false
  #running: Promise<void> = Promise.resolve()
  #wake: (() => void) | undefined

  constructor(
    id: number,
    environment: LogEnvironment,
    logger: Logger,
    options: CleanerOptions,
    throttle: Throttle,
    work: CleanerWork,
  ) {
    this.#id = id
    this.#environment = environment
    this.#logger = logger
    this.#options = options
    this.#throttle = throttle
    this.#work = work
    this.#map = new OffsetMap(Math.min(Math.floor(options.dedupeBufferBytes / options.threads), MOST_MAP_BYTES))
    this.#pace = new Pace(environment.clock)
  }

  get longestSliceMs(): number {
    return this.#pace.longestMs
  }

  start(): void {
    this.#logger.info(`[kafka-log-cleaner-thread-${this.#id}]: Starting`)
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#wake?.()
    await this.#running
  }

  async #run(): Promise<void> {
    // The first look is taken in a turn of its own: what started the cleaner goes on first.
    await new Promise<void>((resolve) => this.#environment.clock.soon(resolve))
    while (!this.#isStopped) {
      const target = this.#work.takeFilthiest()
      if (target !== undefined) await this.#clean(target)
      if (this.#isStopped) break
      this.#work.deleteOldSegments()
      // Also between two logs: a directory that failed is taken out of use in a turn of its own.
      await this.#pause(target === undefined ? Math.max(1, this.#options.backoffMs) : 0)
    }
    this.#logger.info(`[kafka-log-cleaner-thread-${this.#id}]: Stopped`)
  }

  async #clean(target: Cleanable): Promise<void> {
    const { log, firstDirtyOffset } = target
    const name = `${log.topic}-${log.partition}`
    try {
      const cleaning = new LogCleaning(this.#tools(), target)
      const next = await cleaning.run()
      this.#work.cleaned(log, next, cleaning.stats, this.#id)
      const prefix = `[kafka-log-cleaner-thread-${this.#id}]: `
      this.#logger.info(prefix + cleaning.stats.describe(this.#id, name, firstDirtyOffset, next))
      const { invalidMessages } = cleaning.stats
      if (invalidMessages > 0) this.#logger.warn(`${prefix}\tFound ${invalidMessages} invalid messages during compaction.`)
    } catch (error) {
      this.#work.failed(log, error)
    } finally {
      this.#work.release(log)
    }
  }

  #tools() {
    const { chunkBytes, maxKeys } = this.#limits()
    return {
      id: this.#id,
      environment: this.#environment,
      prefix: `Cleaner ${this.#id}: `,
      logger: this.#logger,
      map: this.#map,
      maxKeys,
      chunkBytes,
      maxMessageBytes: this.#options.maxMessageBytes,
      pace: this.#pace,
      throttle: (bytes: number) => this.#hold(bytes),
      flushed: (log: PartitionLog) => this.#work.flushed(log),
      check: (log: PartitionLog) => this.#check(log),
    }
  }

  #limits(): { chunkBytes: number; maxKeys: number } {
    const { ioBufferBytes, threads, loadFactor } = this.#options
    // One slot stays free: a search ends there.
    const maxKeys = Math.min(Math.trunc(this.#map.slots * loadFactor), this.#map.slots - 1)
    return { chunkBytes: Math.max(1, Math.floor(ioBufferBytes / threads / 2)), maxKeys }
  }

  #check(log: PartitionLog): void {
    if (this.#isStopped) throw new CleaningAborted('the cleaner stops')
    this.#work.check(log)
  }

  async #hold(bytes: number): Promise<void> {
    const wait = this.#throttle.count(bytes)
    if (wait <= 0) return
    this.#pace.hold()
    await this.#pause(wait)
    this.#pace.restart()
  }

  /** Ends early when the thread is told to stop. */
  async #pause(milliseconds: number): Promise<void> {
    if (this.#isStopped) return
    let timer: Timer | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = this.#environment.clock.timer(milliseconds, resolve, true)
    })
    timer?.cancel()
    this.#wake = undefined
  }
}
