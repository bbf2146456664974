import type { Millis, PartitionKey, TopicPartition } from '../base/ids.ts'
import type { Clock, Timer } from '../ports/clock.ts'
import type { IsrStore } from './types.ts'

const INTERVAL_MS: Millis = 2500
const QUIET_MS: Millis = 5000
const LONGEST_MS: Millis = 60_000

/**
 * Tells the controller which ISRs changed, by a node under `/isr_change_notification`. Every 2.5 s, when something changed and either
 * nothing changed in the last 5 s or nothing was told for 60 s; both clocks start with the broker. What could not be told is told later.
 */
export class IsrPropagation {
  readonly #clock: Clock
  readonly #store: IsrStore
  readonly #changed = new Map<PartitionKey, TopicPartition>()
  #lastChange: Millis
  #lastTold: Millis
  #telling = false
  #timer: Timer | undefined

  constructor(clock: Clock, store: IsrStore) {
    this.#clock = clock
    this.#store = store
    this.#lastChange = this.#lastTold = clock.now()
  }

  add(key: PartitionKey, partition: TopicPartition): void {
    this.#changed.set(key, { topic: partition.topic, partition: partition.partition })
    this.#lastChange = this.#clock.now()
  }

  start(): void {
    this.#timer = this.#clock.timer(INTERVAL_MS, () => {
      this.#maybeTell()
      this.start()
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #maybeTell(): void {
    const now = this.#clock.now()
    if (this.#telling || this.#changed.size === 0) return
    if (this.#lastChange + QUIET_MS >= now && this.#lastTold + LONGEST_MS >= now) return
    const telling = [...this.#changed]
    this.#changed.clear()
    this.#telling = true
    const ended = (told: boolean) => {
      this.#telling = false
      if (told) this.#lastTold = this.#clock.now()
      else for (const [key, partition] of telling) this.#changed.set(key, partition)
    }
    this.#store.notifyIsrChange(telling.map(([, partition]) => partition)).then(ended, () => ended(false))
  }
}
