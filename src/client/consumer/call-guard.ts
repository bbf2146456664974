/** One caller at a time, `wakeup` and `close` at any time, and listeners that may call back into the consumer. */
import type { Logger } from '../../base/logger.ts'
import { ConcurrentModificationException, IllegalStateException, WakeupException } from '../errors.ts'
import type { Signal } from './signal.ts'

export class CallGuard {
  readonly #signal: Signal
  readonly #log: Logger
  #isBusy = false
  #listening = 0
  #isWoken = false
  #isClosing = false
  #onWakeup: ((error: WakeupException) => void) | undefined
  #onIdle: (() => void) | undefined

  constructor(signal: Signal, log: Logger) {
    this.#signal = signal
    this.#log = log
  }

  get isClosing(): boolean {
    return this.#isClosing
  }

  /** A listener of this consumer is running. */
  get isListening(): boolean {
    return this.#listening > 0
  }

  /** Throws when the call may not be made now. A listener may call, also while the consumer closes. */
  check(): void {
    if (this.#listening > 0) return
    if (this.#isClosing) throw new IllegalStateException('This consumer has already been closed.')
    if (this.#isBusy)
      throw new ConcurrentModificationException('KafkaConsumer is not safe for overlapping calls: one has not ended yet')
  }

  enter(): void {
    this.check()
    this.#isBusy = true
  }

  leave(): void {
    this.#isBusy = false
    this.#onIdle?.()
  }

  /** A call that waits, until `wakeup`. Within a listener it is part of the call that runs the listener. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.check()
    const isOutermost = !this.#isBusy
    this.#isBusy = true
    try {
      if (this.#listening === 0) this.throwIfWoken()
      return await this.#orWakeup(work())
    } finally {
      if (isOutermost) this.leave()
    }
  }

  async #orWakeup<T>(work: Promise<T>): Promise<T> {
    const woken = new Promise<never>((_, reject) => {
      this.#onWakeup = reject
    })
    try {
      return await Promise.race([work, woken])
    } finally {
      this.#onWakeup = undefined
    }
  }

  wakeup(): void {
    if (this.#onWakeup !== undefined) this.#onWakeup(new WakeupException())
    else this.#isWoken = true
    this.#signal.notify()
  }

  throwIfWoken(): void {
    if (this.#isClosing) throw new WakeupException('the consumer was closed')
    if (!this.#isWoken) return
    this.#isWoken = false
    throw new WakeupException()
  }

  /** Calls a listener. What it throws is logged; a wakeup goes on to the call that runs it. */
  async listen(call: () => void | Promise<void>): Promise<void> {
    this.#listening++
    try {
      await call()
    } catch (error) {
      if (error instanceof WakeupException) this.#isWoken = true
      else this.#log.error('a rebalance listener failed', error)
    } finally {
      this.#listening--
    }
  }

  /** From now on calls are refused; the one that waits is woken. Resolves when it has ended. */
  close(): Promise<void> {
    this.#isClosing = true
    if (!this.#isBusy) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
      this.#onWakeup?.(new WakeupException('the consumer was closed'))
      this.#signal.notify()
    })
  }
}
