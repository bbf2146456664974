import type { EpochMillis, Millis } from '../base/ids.ts'
import type { Clock, Timer } from '../ports/clock.ts'

/**
 * One life of a broker inside a process that goes on after it. Everything that could enter the broker comes through here: timers, bytes of
 * sockets, answers of the disk and of ZooKeeper. After `end` nothing enters it any more, so that its promises stand still for ever, as those
 * of a process that was killed.
 */
export class Life implements Clock {
  readonly #clock: Clock
  readonly #timers = new Set<Timer>()
  readonly #cuts = new Set<() => void>()
  readonly #releases = new Set<() => void>()
  readonly #underWay = new Set<Promise<unknown>>()
  #isAlive = true
  #ending: Promise<void> | undefined
  readonly #ended: Promise<void>
  #tellEnded!: () => void

  constructor(clock: Clock) {
    this.#clock = clock
    this.#ended = new Promise((resolve) => {
      this.#tellEnded = resolve
    })
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** Resolves when the life is over. */
  get ended(): Promise<void> {
    return this.#ended
  }

  // ---- Clock

  now(): Millis {
    return this.#clock.now()
  }

  wall(): EpochMillis {
    return this.#clock.wall()
  }

  timer(delayMs: Millis, fn: () => void, background?: boolean): Timer {
    if (!this.#isAlive) return { cancel: () => {} }
    const timer = this.#clock.timer(
      delayMs,
      () => {
        this.#timers.delete(timer)
        if (this.#isAlive) fn()
      },
      background,
    )
    this.#timers.add(timer)
    return {
      cancel: () => {
        this.#timers.delete(timer)
        timer.cancel()
      },
    }
  }

  soon(fn: () => void): void {
    if (this.#isAlive) this.#clock.soon(this.guard(fn))
  }

  // ---- for the other ports

  /** `fn`, as long as the life lasts; nothing afterwards. */
  guard<A extends readonly unknown[]>(fn: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      if (this.#isAlive) fn(...args)
    }
  }

  /** The same outcome, unless the life ends before: then never. What is under way is waited for by `end`. */
  settle<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    return new Promise((resolve, reject) => {
      work.then(this.guard(resolve), this.guard(reject)).finally(() => this.#underWay.delete(work))
    })
  }

  /** To be done at the very moment of the end: connections are cut. Returns how to forget it. */
  onCut(cut: () => void): () => void {
    this.#cuts.add(cut)
    return () => void this.#cuts.delete(cut)
  }

  /** To be done when nothing is under way any more: files are closed. Returns how to forget it. */
  onRelease(release: () => void): () => void {
    this.#releases.add(release)
    return () => void this.#releases.delete(release)
  }

  /**
   * Ends the life between two turns of the event loop, where no promise of the broker waits to run. Resolves when its sockets are cut, what
   * the system was still doing for it is done, and its files are closed.
   */
  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    await new Promise<void>((resolve) =>
      this.#clock.soon(() => {
        this.#isAlive = false
        for (const timer of this.#timers) timer.cancel()
        this.#timers.clear()
        for (const cut of this.#cuts) cut()
        this.#cuts.clear()
        resolve()
      }),
    )
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    for (const release of this.#releases) release()
    this.#releases.clear()
    this.#tellEnded()
  }
}
