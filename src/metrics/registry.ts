import { Histogram } from './histogram.ts'

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

/** One value at the time of asking; `kind` says whether it only grows. */
export interface Sample {
  /** JMX object name, e.g. `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,topic=t`. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  readonly value: number
}

export type AddSample = (name: string, value: number, kind?: Sample['kind']) => void

/** Adds values whose names are only known when they are asked for (per partition, per broker). */
export type Collector = (add: AddSample) => void

/** One with much to tell: between its steps others may have their turn. */
export type SteppedCollector = (add: AddSample) => Iterable<unknown>

/** Metrics by their JMX object name, e.g. `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec`. */
export class MetricRegistry {
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, () => number>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #collectors: Collector[] = []
  readonly #stepped: SteppedCollector[] = []

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

  /** The distribution of that name, made at the first call. */
  histogram(name: string): Histogram {
    let histogram = this.#histograms.get(name)
    if (!histogram) this.#histograms.set(name, (histogram = new Histogram()))
    return histogram
  }

  /** A distribution that its owner keeps. */
  adoptHistogram(name: string, histogram: Histogram): void {
    this.#histograms.set(name, histogram)
  }

  /** For whoever knows durations, in milliseconds, but not the time. */
  timer(name: string, now: () => number): (ms: number) => void {
    const histogram = this.histogram(name)
    return (ms) => histogram.record(ms, now())
  }

  collect(collector: Collector): void {
    this.#collectors.push(collector)
  }

  collectInSteps(collector: SteppedCollector): void {
    this.#stepped.push(collector)
  }

  get histograms(): ReadonlyMap<string, Histogram> {
    return this.#histograms
  }

  /** All single values now. */
  samples(): Sample[] {
    const samples: Sample[] = []
    for (const _ of this.collectSteps((name, value, kind = 'gauge') => samples.push({ name, kind, value })));
    return samples
  }

  /** The same in steps. */
  *collectSteps(add: AddSample): Generator<unknown, void> {
    for (const [name, counter] of this.#counters) add(name, counter.value, 'counter')
    // One of them may count all partitions.
    for (const [name, read] of this.#gauges) {
      add(name, read())
      yield
    }
    for (const collector of this.#collectors) {
      collector(add)
      yield
    }
    for (const collector of this.#stepped) yield* collector(add)
  }
}
