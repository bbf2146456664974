import type { Clock } from '../../ports/clock.ts'

/** Reckoned over at least this long; a nap brings the rate back to what is allowed. */
const INTERVAL_MS = 300

/** Holds back all cleaners together: `log.cleaner.io.max.bytes.per.second`. */
export class Throttle {
  bytesPerSecond: number
  readonly #clock: Clock
  #since: number
  #bytes = 0

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock
    this.bytesPerSecond = bytesPerSecond
    this.#since = clock.now()
  }

  /** Counts bytes read or written; returns how many milliseconds to wait before the next ones. */
  count(bytes: number): number {
    this.#bytes += bytes
    const now = this.#clock.now()
    const elapsed = now - this.#since
    const wait = (this.#bytes / this.bytesPerSecond) * 1000 - elapsed
    if (elapsed <= INTERVAL_MS && wait < INTERVAL_MS) return 0
    this.#since = now + Math.max(0, wait)
    this.#bytes = 0
    return Math.max(0, Math.round(wait))
  }
}
