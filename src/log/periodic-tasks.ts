import { nextSlice } from '../base/loop-slice.ts'
import type { Clock, Timer } from '../ports/clock.ts'

/** Timers of the log manager: background ones, cancelled together. */
export class PeriodicTasks {
  readonly #clock: Clock
  readonly #timers = new Set<Timer>()
  #isCancelled = false
  readonly #due: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Once, after `delayMs`. */
  after(delayMs: number, work: () => void): void {
    const timer = this.#clock.timer(
      delayMs,
      () => {
        this.#timers.delete(timer)
        if (!this.#isCancelled) work()
      },
      true,
    )
    this.#timers.add(timer)
  }

  /**
   * After `firstMs`, then every `periodMs` counted from the end of the run before; Infinity or 2^63: no second time. What falls due at the same
   * time is done in turns of its own, one after the other: with thousands of logs each is long enough.
   */
  every(firstMs: number, periodMs: number, work: () => void): void {
    this.after(firstMs, () => {
      this.#due.push(() => {
        work()
        if (periodMs < 2 ** 53) this.every(periodMs, periodMs, work)
      })
      if (this.#due.length === 1) nextSlice(this.#clock, () => this.#doNext())
    })
  }

  #doNext(): void {
    const work = this.#due[0]
    if (this.#isCancelled || work === undefined) return
    try {
      work()
    } finally {
      this.#due.shift()
      if (this.#due.length > 0) nextSlice(this.#clock, () => this.#doNext())
    }
  }

  cancel(): void {
    this.#isCancelled = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
  }
}

/** A period as Java prints it, also one that stands for "never". */
export function javaLong(value: number): string {
  return value >= 2 ** 63 || value === Number.POSITIVE_INFINITY ? '9223372036854775807' : String(value)
}
