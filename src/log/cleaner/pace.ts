import type { Clock } from '../../ports/clock.ts'

/** Work that may hold the event loop this long before others get a turn. A single batch that is compressed may take longer. */
export const SLICE_MS = 4

/** Gives the event loop back again and again during long work. */
export class Pace {
  /** The longest time that the loop was held, milliseconds. */
  longestMs = 0
  readonly #clock: Clock
  #since: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.now()
  }

  /** To be called when something else than this work ran. */
  restart(): void {
    this.#since = this.#clock.now()
  }

  get isDue(): boolean {
    return this.#clock.now() - this.#since >= SLICE_MS
  }

  async turn(): Promise<void> {
    this.hold()
    await new Promise<void>((resolve) => this.#clock.soon(resolve))
    this.restart()
  }

  /** Notes how long the loop was held up to now. */
  hold(): void {
    this.longestMs = Math.max(this.longestMs, this.#clock.now() - this.#since)
  }

  /** Does all steps; `check` may throw after every pause. */
  async run<T>(steps: Generator<void, T>, check: () => void): Promise<T> {
    for (;;) {
      const step = steps.next()
      if (step.done) return step.value
      if (!this.isDue) continue
      await this.turn()
      check()
    }
  }
}
