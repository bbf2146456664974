import type { Clock, Timer } from '../ports/clock.ts'
import type { MetadataCache } from './metadata-cache.ts'

interface Waiter {
  readonly isDone: () => boolean
  readonly finish: () => void
  timer: Timer | undefined
}

/** Requests that wait until the metadata cache shows what they asked for (CreateTopics, DeleteTopics), or until their timeout. */
export class TopicPurgatory {
  readonly #waiters = new Set<Waiter>()
  readonly #clock: Clock

  constructor(clock: Clock, cache: MetadataCache) {
    this.#clock = clock
    cache.onUpdate(() => this.#recheck())
  }

  get size(): number {
    return this.#waiters.size
  }

  /** Calls `finish` once: at once when done already or `timeoutMs` <= 0, else at the update that does it, or after the timeout. */
  wait(timeoutMs: number, isDone: () => boolean, finish: () => void): void {
    if (timeoutMs <= 0 || isDone()) {
      finish()
      return
    }
    const waiter: Waiter = { isDone, finish, timer: undefined }
    waiter.timer = this.#clock.timer(timeoutMs, () => this.#complete(waiter))
    this.#waiters.add(waiter)
  }

  /** Answers all that wait. */
  shutdown(): void {
    for (const waiter of [...this.#waiters]) this.#complete(waiter)
  }

  #recheck(): void {
    for (const waiter of [...this.#waiters]) if (waiter.isDone()) this.#complete(waiter)
  }

  #complete(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return
    waiter.timer?.cancel()
    waiter.finish()
  }
}
