import type { Millis } from '../../base/ids.ts'
import type { Clock, Timer } from '../../ports/clock.ts'

/** Timers of Node go no further; who waits looks again and waits on. */
const MAX_TIMER_MS = 0x7fffffff

interface Waiter {
  readonly deadline: Millis
  readonly resolve: () => void
}

/** "Something has changed, look again": what a waiting call waits for, whatever it waits for. */
export class Signal {
  readonly #clock: Clock
  #waiters: Waiter[] = []
  #count = 0
  /** Of the earliest deadline, or one that is over: a timer for each wait would cost as much as the rest of it. */
  #timer: Timer | undefined
  #timerAt: Millis = Number.POSITIVE_INFINITY

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
    for (const { resolve } of this.#waiters.splice(0)) resolve()
  }

  /** Resolves at the next `notify` (at once when there was one since `count` was `seen`), or when the time is up. */
  wait(timeoutMs: Millis, seen: number): Promise<void> {
    if (seen !== this.#count) return Promise.resolve()
    return new Promise((resolve) => {
      const deadline = this.#clock.now() + timeoutMs
      this.#waiters.push({ deadline, resolve })
      this.#watch(deadline)
    })
  }

  #watch(deadline: Millis): void {
    if (deadline >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = deadline
    const leftMs = Math.max(0, deadline - this.#clock.now())
    this.#timer = this.#clock.timer(Math.min(leftMs, MAX_TIMER_MS), () => this.#expire())
  }

  #expire(): void {
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    const waiters = this.#waiters
    this.#waiters = waiters.filter(({ deadline }) => deadline > now)
    for (const { deadline, resolve } of waiters) {
      if (deadline <= now) resolve()
      else this.#watch(deadline)
    }
  }

  /** Nobody waits any more. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  /** Lets waiting calls look again after a pause. */
  later(delayMs: Millis): void {
    this.#clock.timer(delayMs, () => this.notify(), true)
  }
}
