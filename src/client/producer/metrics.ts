import type { Millis } from '../../base/ids.ts'
import type { MetricValue } from './types.ts'

/** `metrics.sample.window.ms` by `metrics.num.samples` of the Java clients' defaults. */
const WINDOW_MS = 30_000

/** A rate per second and totals over the last one to two windows. */
class Windowed {
  #currentSum = 0
  #currentCount = 0
  #currentMax = 0
  #currentFrom: Millis
  #before = { sum: 0, count: 0, max: 0, from: 0 }
  readonly #now: () => Millis
  total = 0

  constructor(now: () => Millis) {
    this.#now = now
    this.#currentFrom = now()
    this.#before.from = this.#currentFrom
  }

  add(value: number): void {
    this.#turn()
    this.total += value
    this.#currentSum += value
    this.#currentCount++
    if (value > this.#currentMax) this.#currentMax = value
  }

  #turn(): void {
    const now = this.#now()
    if (now - this.#currentFrom < WINDOW_MS) return
    const isRecent = now - this.#currentFrom < 2 * WINDOW_MS
    this.#before = isRecent
      ? { sum: this.#currentSum, count: this.#currentCount, max: this.#currentMax, from: this.#currentFrom }
      : { sum: 0, count: 0, max: 0, from: now }
    this.#currentSum = 0
    this.#currentCount = 0
    this.#currentMax = 0
    this.#currentFrom = now
  }

  get perSecond(): number {
    this.#turn()
    const seconds = Math.max(1000, this.#now() - this.#before.from) / 1000
    return (this.#currentSum + this.#before.sum) / seconds
  }

  /** NaN when nothing was seen. */
  get average(): number {
    this.#turn()
    return (this.#currentSum + this.#before.sum) / (this.#currentCount + this.#before.count)
  }

  get max(): number {
    this.#turn()
    return Math.max(this.#currentMax, this.#before.max)
  }
}

/** The producer's figures under Kafka's names, group `producer-metrics`. */
export class ProducerMetrics {
  readonly #clientId: string
  readonly #records: Windowed
  readonly #bytes: Windowed
  readonly #requests: Windowed
  readonly #batchSize: Windowed
  readonly #recordsPerRequest: Windowed
  readonly #latency: Windowed
  readonly #errors: Windowed
  readonly #retries: Windowed
  readonly #gauges: () => Readonly<Record<string, number>>

  constructor(clientId: string, now: () => Millis, gauges: () => Readonly<Record<string, number>>) {
    const windowed = (): Windowed => new Windowed(now)
    this.#clientId = clientId
    this.#gauges = gauges
    this.#records = windowed()
    this.#bytes = windowed()
    this.#requests = windowed()
    this.#batchSize = windowed()
    this.#recordsPerRequest = windowed()
    this.#latency = windowed()
    this.#errors = windowed()
    this.#retries = windowed()
  }

  sent(batches: number, records: number, bytes: number): void {
    this.#records.add(records)
    this.#bytes.add(bytes)
    this.#requests.add(1)
    this.#batchSize.add(bytes / batches)
    this.#recordsPerRequest.add(records)
  }

  answered(ms: Millis): void {
    this.#latency.add(ms)
  }

  failed(records: number): void {
    this.#errors.add(records)
  }

  retried(records: number): void {
    this.#retries.add(records)
  }

  values(): MetricValue[] {
    const values: Record<string, number> = {
      'record-send-rate': this.#records.perSecond,
      'record-send-total': this.#records.total,
      'byte-rate': this.#bytes.perSecond,
      'outgoing-byte-total': this.#bytes.total,
      'request-rate': this.#requests.perSecond,
      'request-total': this.#requests.total,
      'batch-size-avg': this.#batchSize.average,
      'batch-size-max': this.#batchSize.max,
      'records-per-request-avg': this.#recordsPerRequest.average,
      'request-latency-avg': this.#latency.average,
      'request-latency-max': this.#latency.max,
      'record-error-rate': this.#errors.perSecond,
      'record-error-total': this.#errors.total,
      'record-retry-rate': this.#retries.perSecond,
      'record-retry-total': this.#retries.total,
      ...this.#gauges(),
    }
    const tags = { 'client-id': this.#clientId }
    return Object.entries(values).map(([name, value]) => ({ name, group: 'producer-metrics', tags, value }))
  }
}
