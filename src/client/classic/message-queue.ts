/** The queue of an asynchronous old producer, and what empties it. */
import type { Timer } from '../../ports/clock.ts'
import type { OldProducerConfig } from '../config/index.ts'
import type { Environment } from '../environment.ts'
import { QueueFullException } from './errors.ts'
import type { EventHandler, Outgoing } from './event-handler.ts'

interface Waiting {
  readonly message: Outgoing
  readonly done: (error?: QueueFullException) => void
}

/**
 * Holds at most `queue.buffering.max.messages`. A batch leaves when there are `batch.num.messages`, or `queue.buffering.max.ms` after the first
 * one came; one batch is under way at a time. What cannot be sent is logged and dropped.
 */
export class MessageQueue {
  readonly #environment: Environment
  readonly #config: OldProducerConfig
  readonly #handler: EventHandler
  readonly #messages: Outgoing[] = []
  /** Senders for whom there was no place, oldest first. */
  readonly #waiting: Waiting[] = []
  #timer: Timer | undefined
  #isDue = false
  #isSending = false
  #sending: Promise<void> = Promise.resolve()
  #closed = false

  constructor(environment: Environment, config: OldProducerConfig, handler: EventHandler) {
    this.#environment = environment
    this.#config = config
    this.#handler = handler
  }

  /** In order. Rejects with QueueFullException at the first message that finds no place in time; those before it are queued. */
  async put(messages: readonly Outgoing[]): Promise<void> {
    for (const message of messages) {
      if (this.#waiting.length === 0 && this.#messages.length < this.#config['queue.buffering.max.messages']) this.#add(message)
      else await this.#wait(message)
    }
  }

  #add(message: Outgoing): void {
    this.#messages.push(message)
    this.#arm()
    this.#drain()
  }

  #arm(): void {
    this.#timer ??= this.#environment.clock.timer(this.#config['queue.buffering.max.ms'], () => {
      this.#isDue = true
      this.#drain()
    })
  }

  #wait(message: Outgoing): Promise<void> {
    const timeoutMs = this.#config['queue.enqueue.timeout.ms']
    const full = () => new QueueFullException('Event queue is full of unsent messages, could not send event')
    if (timeoutMs === 0) return Promise.reject(full())
    return new Promise((resolve, reject) => {
      const timer = timeoutMs < 0 ? undefined : this.#environment.clock.timer(timeoutMs, () => waiting.done(full()))
      const waiting: Waiting = {
        message,
        done: (error) => {
          timer?.cancel()
          this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
          if (error !== undefined) return reject(error)
          this.#add(message)
          resolve()
        },
      }
      this.#waiting.push(waiting)
    })
  }

  #drain(): void {
    if (this.#isSending || this.#messages.length === 0) return
    const size = this.#config['batch.num.messages']
    if (this.#messages.length < size && !this.#isDue && !this.#closed) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#isDue = false
    this.#isSending = true
    this.#sending = this.#send(this.#messages.splice(0, size))
  }

  async #send(batch: readonly Outgoing[]): Promise<void> {
    while (this.#waiting.length > 0 && this.#messages.length < this.#config['queue.buffering.max.messages'])
      this.#waiting[0]!.done()
    try {
      await this.#handler.handle(batch)
    } catch (error) {
      this.#environment.log.error(`Error in handling batch of ${batch.length} events`, error)
    }
    this.#isSending = false
    if (this.#messages.length > 0) this.#arm()
    this.#drain()
  }

  /** Resolves when all has been sent, or given up. */
  async close(): Promise<void> {
    this.#closed = true
    this.#drain()
    while (this.#isSending) await this.#sending
    this.#timer?.cancel()
  }
}
