import type { Millis } from '../base/ids.ts'

/** A rate per second and totals over the last one to two windows. */
export class Windowed {
  #currentSum = 0
  #currentCount = 0
  #currentMax = 0
  #currentFrom: Millis
  #before = { sum: 0, count: 0, max: 0, from: 0 }
  readonly #now: () => Millis
  readonly #windowMs: Millis
  /** Sum and number of everything since the beginning. */
  total = 0
  events = 0

  constructor(now: () => Millis, windowMs: Millis = 30_000) {
    this.#now = now
    this.#windowMs = windowMs
    this.#currentFrom = now()
    this.#before.from = this.#currentFrom
  }

  add(value: number): void {
    this.#turn()
    this.total += value
    this.events++
    this.#currentSum += value
    this.#currentCount++
    if (value > this.#currentMax) this.#currentMax = value
  }

  #turn(): void {
    const now = this.#now()
    if (now - this.#currentFrom < this.#windowMs) return
    const isRecent = now - this.#currentFrom < 2 * this.#windowMs
    this.#before = isRecent
      ? { sum: this.#currentSum, count: this.#currentCount, max: this.#currentMax, from: this.#currentFrom }
      : { sum: 0, count: 0, max: 0, from: now }
    this.#currentSum = 0
    this.#currentCount = 0
    this.#currentMax = 0
    this.#currentFrom = now
  }

  get perSecond(): number {
    this.#turn()
    const seconds = Math.max(1000, this.#now() - this.#before.from) / 1000
    return (this.#currentSum + this.#before.sum) / seconds
  }

  get eventsPerSecond(): number {
    this.#turn()
    const seconds = Math.max(1000, this.#now() - this.#before.from) / 1000
    return (this.#currentCount + this.#before.count) / seconds
  }

  /** NaN when nothing was seen. */
  get average(): number {
    this.#turn()
    return (this.#currentSum + this.#before.sum) / (this.#currentCount + this.#before.count)
  }

  get max(): number {
    this.#turn()
    return Math.max(this.#currentMax, this.#before.max)
  }
}
