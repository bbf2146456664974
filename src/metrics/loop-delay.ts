import type { Clock, Timer } from '../ports/clock.ts'

const INTERVAL_MS = 100
/** Weight of a new sample in the mean. */
const WEIGHT = 0.1

/** How late the event loop runs its timers: the time that a request may wait behind other work. */
export class LoopDelay {
  readonly #clock: Clock
  #timer: Timer | undefined
  #meanMs = 0
  #maxMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  start(): void {
    this.#next()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Running mean in milliseconds. */
  get meanMs(): number {
    return this.#meanMs
  }

  /** Largest delay in milliseconds since the last call. */
  takeMaxMs(): number {
    const max = this.#maxMs
    this.#maxMs = 0
    return max
  }

  #next(): void {
    const due = this.#clock.now() + INTERVAL_MS
    this.#timer = this.#clock.timer(
      INTERVAL_MS,
      () => {
        const late = Math.max(0, this.#clock.now() - due)
        this.#meanMs += (late - this.#meanMs) * WEIGHT
        this.#maxMs = Math.max(this.#maxMs, late)
        this.#next()
      },
      true,
    )
  }
}
