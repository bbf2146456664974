import type { EpochMillis, Millis } from '../base/ids.ts'
import type { Clock, Timer } from '../ports/clock.ts'

/**
 * The time of one simulated process, and the only way into it: timers, bytes of the net, answers of the disk and of ZooKeeper all come
 * through here. A stopped process (SIGSTOP) finds everything waiting when it goes on; a dead one is never entered again, so that its promises
 * stand still for ever.
 */
export class ProcessClock implements Clock {
  readonly #world: Clock
  readonly #onEnter: (run: () => void) => void
  #alive = true
  #paused = false
  #waiting: (() => void)[] = []
  /** Milliseconds by which this machine's wall clock is wrong. */
  wallSkew = 0
  /** Milliseconds of this machine's clocks in one of the world's. */
  readonly rate: number

  readonly #late: () => number

  /**
   * `onEnter` runs what is handed to it as this process. `drift` in 64ths: 1 goes 1.6 % fast. Sums of time stay exact with such rates. `late`
   * draws by how many milliseconds the next timer rings after its time, as on a machine with other work.
   */
  constructor(world: Clock, onEnter: (run: () => void) => void = (run) => run(), drift = 0, late: () => number = () => 0) {
    this.#late = late
    this.rate = 1 + drift / 64
    this.#world = world
    this.#onEnter = onEnter
  }

  get isAlive(): boolean {
    return this.#alive
  }

  get isPaused(): boolean {
    return this.#paused
  }

  now(): Millis {
    return this.#world.now() * this.rate
  }

  wall(): EpochMillis {
    return Math.floor(this.#world.wall() + this.#world.now() * (this.rate - 1) + this.wallSkew)
  }

  timer(delayMs: Millis, fn: () => void): Timer {
    if (!this.#alive) return { cancel: () => {} }
    let cancelled = false
    const timer = this.#world.timer(delayMs / this.rate + this.#late(), () =>
      this.enter(() => {
        if (!cancelled) fn()
      }),
    )
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }

  soon(fn: () => void): void {
    if (this.#alive) this.#world.soon(() => this.enter(fn))
  }

  /** Runs `fn` as this process: now, or when it goes on, or never. */
  enter(fn: () => void): void {
    if (!this.#alive) return
    if (this.#paused) this.#waiting.push(fn)
    else this.#onEnter(fn)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    for (const fn of this.#waiting.splice(0)) this.#world.soon(() => this.enter(fn))
  }

  kill(): void {
    this.#alive = false
    this.#waiting = []
  }
}
