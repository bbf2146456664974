import type { EpochMillis, Millis } from '../base/ids.ts'

/** A pending timer. `cancel` is idempotent and may be called from inside the callback. */
export interface Timer {
  cancel(): void
}

/** Time. Nobody outside `ports/node` touches `Date`, `performance` or `setTimeout`. */
export interface Clock {
  /** Monotonic milliseconds, fractional. Never goes back. */
  now(): Millis
  /** Wall clock; may jump either way. */
  wall(): EpochMillis
  /** Calls `fn` once after at least `delayMs`. Does not keep the process alive by itself when `background` is set. */
  timer(delayMs: Millis, fn: () => void, background?: boolean): Timer
  /** Calls `fn` in a later turn of the event loop, after pending input was handled. */
  soon(fn: () => void): void
}
