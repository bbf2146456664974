import type { Histogram } from '../../metrics/histogram.ts'
import type { Counter, MetricRegistry } from '../../metrics/registry.ts'
import { ApiKey, apis } from '../../protocol/apis/index.ts'

/** One row of `kafka.network:type=RequestMetrics`. Times are in milliseconds, from the frame's arrival to the encoded answer. */
export class RequestMeter {
  readonly #requests: Counter
  readonly #bytes: Histogram
  readonly #local: Histogram
  readonly #remote: Histogram
  readonly #total: Histogram
  readonly #sum: RequestMeter | undefined

  /** `sum`: another row in which its requests are counted too. */
  constructor(registry: MetricRegistry, request: string, sum?: RequestMeter) {
    this.#sum = sum
    const name = (what: string): string => `kafka.network:type=RequestMetrics,name=${what},request=${request}`
    this.#requests = registry.counter(name('RequestsPerSec'))
    this.#bytes = registry.histogram(name('RequestBytes'))
    this.#local = registry.histogram(name('LocalTimeMs'))
    this.#remote = registry.histogram(name('RemoteTimeMs'))
    this.#total = registry.histogram(name('TotalTimeMs'))
  }

  came(bytes: number, now: number): void {
    this.#requests.add(1)
    this.#bytes.record(bytes, now)
    this.#sum?.came(bytes, now)
  }

  /** `localMs`: until the handler had done what it could without waiting. */
  answered(localMs: number, totalMs: number, now: number): void {
    this.#local.record(localMs, now)
    this.#remote.record(totalMs - localMs, now)
    this.#total.record(totalMs, now)
    this.#sum?.answered(localMs, totalMs, now)
  }
}

export class RequestMetrics {
  readonly bytesOut: Counter
  readonly connectionsRefused: Counter
  /** By API key. */
  readonly #meters: RequestMeter[] = []
  readonly #consumerFetch: RequestMeter
  readonly #followerFetch: RequestMeter

  constructor(registry: MetricRegistry) {
    for (const api of Object.values(apis)) this.#meters[api.key] = new RequestMeter(registry, api.name)
    const fetch = this.#meters[ApiKey.Fetch]
    this.#consumerFetch = new RequestMeter(registry, 'FetchConsumer', fetch)
    this.#followerFetch = new RequestMeter(registry, 'FetchFollower', fetch)
    this.bytesOut = registry.counter('kafka.server:type=socket-server-metrics,name=outgoing-byte-total')
    this.connectionsRefused = registry.counter('kafka.server:type=socket-server-metrics,name=connection-refused-total')
  }

  /** Fetches of consumers and of followers are counted apart and together, as in 1.1. */
  meterOf(apiKey: number, request: object): RequestMeter {
    if (apiKey !== ApiKey.Fetch) return this.#meters[apiKey]!
    return 'replicaId' in request && (request.replicaId as number) >= 0 ? this.#followerFetch : this.#consumerFetch
  }
}
