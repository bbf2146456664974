import type { Millis } from '../../base/ids.ts'
import { Windowed } from '../windowed.ts'
import type { MetricValue } from './types.ts'

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
