/** A count that only grows. */
export class Counter {
  #value = 0

  get value(): number {
    return this.#value
  }

  add(amount: number): void {
    this.#value += amount
  }
}

/** Metrics by their JMX object name, e.g. `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec`. */
export class MetricRegistry {
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, () => number>()

  /** The counter of that name, made at the first call. */
  counter(name: string): Counter {
    let counter = this.#counters.get(name)
    if (!counter) this.#counters.set(name, (counter = new Counter()))
    return counter
  }

  /** A value read when it is asked for; a later one of the same name replaces it. */
  gauge(name: string, read: () => number): void {
    this.#gauges.set(name, read)
  }

  /** All values now. */
  snapshot(): Map<string, number> {
    const values = new Map<string, number>()
    for (const [name, counter] of this.#counters) values.set(name, counter.value)
    for (const [name, read] of this.#gauges) values.set(name, read())
    return values
  }
}
