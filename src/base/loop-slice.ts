import type { Millis } from './ids.ts'

/** What a slice needs of `ports/clock.ts`. */
interface SliceClock {
  now(): Millis
  soon(fn: () => void): void
}

/** Long work on the event loop in slices: between two of them others have their turn. The first begins when it is made. */
export class LoopSlice {
  readonly #clock: SliceClock
  readonly #limitMs: Millis
  #since: Millis

  constructor(clock: SliceClock, limitMs: Millis) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#since = clock.now()
  }

  get heldMs(): Millis {
    return this.#clock.now() - this.#since
  }

  get isDue(): boolean {
    return this.heldMs >= this.#limitMs
  }

  /** To be called when something else than this work ran. */
  restart(): void {
    this.#since = this.#clock.now()
  }

  /** Resolves when others had their turn; the next slice begins. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.soon(resolve))
    this.restart()
  }
}
