import type { Millis } from '../../base/ids.ts'
import type { Clock } from '../../ports/clock.ts'

/** Timers of Node go no further; who waits looks again and waits on. */
const MAX_TIMER_MS = 0x7fffffff

/** "Something has changed, look again": what a waiting call waits for, whatever it waits for. */
export class Signal {
  readonly #clock: Clock
  #waiters: (() => void)[] = []
  #count = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How often there was something, to be given to `wait`. */
  get count(): number {
    return this.#count
  }

  notify(): void {
    this.#count++
    if (this.#waiters.length === 0) return
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  /** Resolves at the next `notify` (at once when there was one since `count` was `seen`), or when the time is up. */
  wait(timeoutMs: Millis, seen: number): Promise<void> {
    if (seen !== this.#count) return Promise.resolve()
    return new Promise((resolve) => {
      const waiter = () => {
        timer.cancel()
        resolve()
      }
      const timer = this.#clock.timer(Math.min(timeoutMs, MAX_TIMER_MS), () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        resolve()
      })
      this.#waiters.push(waiter)
    })
  }

  /** Lets waiting calls look again after a pause. */
  later(delayMs: Millis): void {
    this.#clock.timer(delayMs, () => this.notify(), true)
  }
}
