/** A waiting job was dropped by `clear` or `close`. */
export class QueueClearedError extends Error {
  override readonly name = 'QueueClearedError'
}

interface Job {
  readonly work: () => unknown
  readonly settle: (failed: boolean, value: unknown) => void
}

/**
 * Runs jobs one after another, first in first out; a job that returns a promise is over when the promise is. A job never
 * starts inside the call that adds it: whoever adds may hold half-changed state.
 */
export class SerialQueue {
  readonly #onError: (error: unknown) => void
  #jobs: Job[] = []
  #head = 0
  #running = false
  #scheduled = false
  #closed = false
  #idleWaiters: (() => void)[] = []

  /** `onError` receives the failures of posted jobs (those of `run` go to its caller). */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Jobs waiting, without the running one. */
  get size(): number {
    return this.#jobs.length - this.#head
  }

  get isBusy(): boolean {
    return this.#running || this.size > 0
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Adds a job whose result nobody waits for. False when the queue is closed. */
  post(work: () => unknown): boolean {
    if (this.#closed) return false
    this.#add({
      work,
      settle: (failed, value) => {
        if (failed && !(value instanceof QueueClearedError)) this.#onError(value)
      },
    })
    return true
  }

  /** Adds a job and passes on its outcome. Rejects with `QueueClearedError` when it is dropped or the queue is closed. */
  run<T>(work: () => Promise<T> | T): Promise<T> {
    if (this.#closed) return Promise.reject(new QueueClearedError('the queue is closed'))
    return new Promise<T>((resolve, reject) => {
      this.#add({ work, settle: (failed, value) => (failed ? reject(value) : resolve(value as T)) })
    })
  }

  /** Drops all waiting jobs and returns their number; the running one goes on. */
  clear(): number {
    const dropped = this.#jobs.slice(this.#head)
    this.#jobs = []
    this.#head = 0
    for (const job of dropped) job.settle(true, new QueueClearedError('dropped before it ran'))
    this.#reportIdle()
    return dropped.length
  }

  /** Resolves when nothing runs or waits. */
  idle(): Promise<void> {
    if (!this.isBusy) return Promise.resolve()
    return new Promise((resolve) => void this.#idleWaiters.push(resolve))
  }

  /** Takes no more jobs, drops the waiting ones, resolves when the running one is over. Not to be awaited inside a job. */
  close(): Promise<void> {
    this.#closed = true
    this.clear()
    return this.idle()
  }

  #add(job: Job): void {
    this.#jobs.push(job)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#running || this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      void this.#drain()
    })
  }

  async #drain(): Promise<void> {
    if (this.#running) return
    this.#running = true
    for (let job = this.#take(); job !== undefined; job = this.#take()) {
      let failed = false
      let value: unknown
      try {
        value = job.work()
        if (value instanceof Promise) value = await value
      } catch (error) {
        failed = true
        value = error
      }
      job.settle(failed, value)
    }
    this.#running = false
    this.#reportIdle()
  }

  #take(): Job | undefined {
    const job = this.#jobs[this.#head]
    if (job === undefined) return undefined
    this.#head++
    if (this.#head >= 1024 && this.#head * 2 >= this.#jobs.length) {
      this.#jobs = this.#jobs.slice(this.#head)
      this.#head = 0
    } else if (this.#head === this.#jobs.length) {
      this.#jobs = []
      this.#head = 0
    }
    return job
  }

  #reportIdle(): void {
    if (this.isBusy || this.#idleWaiters.length === 0) return
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const resolve of waiters) resolve()
  }
}
