import type { Millis } from './ids.ts'

/** What a slice needs of `ports/clock.ts`. */
interface SliceClock {
  now(): Millis
  soon(fn: () => void): void
}

/** Long pieces of work that wait for their next slice: one of them goes on in each turn of the loop, or a turn would hold a slice of each. */
class WaitingLine {
  readonly #clock: SliceClock
  readonly #waiting: (() => void)[] = []

  constructor(clock: SliceClock) {
    this.#clock = clock
  }

  join(goOn: () => void): void {
    this.#waiting.push(goOn)
    if (this.#waiting.length === 1) this.#clock.soon(this.#next)
  }

  readonly #next = (): void => {
    const goOn = this.#waiting.shift()!
    if (this.#waiting.length > 0) this.#clock.soon(this.#next)
    goOn()
  }
}

const lines = new WeakMap<SliceClock, WaitingLine>()

/** Calls `goOn` in a later turn of the loop, in which no other long work on this clock has a slice. */
export function nextSlice(clock: SliceClock, goOn: () => void): void {
  let line = lines.get(clock)
  if (line === undefined) lines.set(clock, (line = new WaitingLine(clock)))
  line.join(goOn)
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
    await new Promise<void>((resolve) => nextSlice(this.#clock, resolve))
    this.restart()
  }
}

/**
 * Takes all steps; wherever it yields others have their turn, if it has held the loop for `limitMs`. The first slice is taken now: what needs no other
 * is done when this returns, without a promise.
 */
export function inSlices<T>(clock: SliceClock, limitMs: Millis, steps: Generator<void, T>): T | Promise<T> {
  const slice = new LoopSlice(clock, limitMs)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (slice.isDue) return goOn(slice, steps)
  }
}

/** All steps now: for what is known to be short. */
export function runToEnd<T>(steps: Generator<unknown, T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

async function goOn<T>(slice: LoopSlice, steps: Generator<void, T>): Promise<T> {
  for (;;) {
    if (slice.isDue) await slice.turn()
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
