import type { Histogram } from '../../metrics/histogram.ts'
import type { Counter, MetricRegistry } from '../../metrics/registry.ts'
import { ApiKey, apis } from '../../protocol/apis/index.ts'
import { ErrorCounts } from './error-counts.ts'

/** Milliseconds of one request's life, by the names of 1.1's histograms. Their sum is its total. */
export interface RequestTimes {
  /** Until its handler began: it waits for requests that its connection sent before it. */
  readonly queueMs: number
  /** Until the handler had done what it could without waiting. */
  readonly localMs: number
  /** Until the answer was there. */
  readonly remoteMs: number
  /** Until the answers to earlier requests were there. */
  readonly responseQueueMs: number
  /** Until it was given to the socket, together with others of the same turn. */
  readonly sendMs: number
}

/** The names of a row's metrics, made once for all brokers of a process. */
interface RowNames {
  readonly requests: string
  readonly bytes: string
  readonly queue: string
  readonly local: string
  readonly remote: string
  readonly throttle: string
  readonly responseQueue: string
  readonly send: string
  readonly total: string
}

const NAMES = new Map<string, RowNames>()

function namesOf(request: string): RowNames {
  let names = NAMES.get(request)
  if (names === undefined) {
    const name = (what: string): string => `kafka.network:type=RequestMetrics,name=${what},request=${request}`
    names = {
      requests: name('RequestsPerSec'),
      bytes: name('RequestBytes'),
      queue: name('RequestQueueTimeMs'),
      local: name('LocalTimeMs'),
      remote: name('RemoteTimeMs'),
      throttle: name('ThrottleTimeMs'),
      responseQueue: name('ResponseQueueTimeMs'),
      send: name('ResponseSendTimeMs'),
      total: name('TotalTimeMs'),
    }
    NAMES.set(request, names)
  }
  return names
}

/** One row of `kafka.network:type=RequestMetrics`. Times are in milliseconds. */
export class RequestMeter {
  readonly #requests: Counter
  readonly #bytes: Histogram
  readonly #queue: Histogram
  readonly #local: Histogram
  readonly #remote: Histogram
  readonly #throttle: Histogram
  readonly #responseQueue: Histogram
  readonly #send: Histogram
  readonly #total: Histogram
  readonly #sum: RequestMeter | undefined

  /** `sum`: another row in which its requests are counted too. */
  constructor(registry: MetricRegistry, request: string, sum?: RequestMeter) {
    this.#sum = sum
    const names = namesOf(request)
    this.#requests = registry.counter(names.requests)
    this.#bytes = registry.histogram(names.bytes)
    this.#queue = registry.histogram(names.queue)
    this.#local = registry.histogram(names.local)
    this.#remote = registry.histogram(names.remote)
    this.#throttle = registry.histogram(names.throttle)
    this.#responseQueue = registry.histogram(names.responseQueue)
    this.#send = registry.histogram(names.send)
    this.#total = registry.histogram(names.total)
  }

  came(bytes: number, now: number): void {
    this.#requests.add(1)
    this.#bytes.record(bytes, now)
    this.#sum?.came(bytes, now)
  }

  answered(times: RequestTimes, now: number): void {
    const { queueMs, localMs, remoteMs, responseQueueMs, sendMs } = times
    put(this.#queue, queueMs, now)
    this.#local.record(localMs, now)
    put(this.#remote, remoteMs, now)
    this.#throttle.recordZero(now)
    put(this.#responseQueue, responseQueueMs, now)
    put(this.#send, sendMs, now)
    this.#total.record(queueMs + localMs + remoteMs + responseQueueMs + sendMs, now)
    this.#sum?.answered(times, now)
  }
}

/** Most requests wait for nothing. */
function put(histogram: Histogram, ms: number, now: number): void {
  if (ms === 0) histogram.recordZero(now)
  else histogram.record(ms, now)
}

export class RequestMetrics {
  readonly bytesOut: Counter
  readonly connectionsRefused: Counter
  /** By API key. */
  readonly #meters: RequestMeter[] = []
  readonly #consumerFetch: RequestMeter
  readonly #followerFetch: RequestMeter
  readonly #errors: ErrorCounts[] = []

  constructor(registry: MetricRegistry) {
    for (const api of Object.values(apis)) {
      this.#meters[api.key] = new RequestMeter(registry, api.name)
      const errors = new ErrorCounts(api)
      this.#errors[api.key] = errors
      registry.collect((add) => {
        for (const [error, count] of errors.nonZero())
          add(`kafka.network:type=RequestMetrics,name=ErrorsPerSec,request=${api.name},error=${error}`, count, 'counter')
      })
    }
    const fetch = this.#meters[ApiKey.Fetch]
    this.#consumerFetch = new RequestMeter(registry, 'FetchConsumer', fetch)
    this.#followerFetch = new RequestMeter(registry, 'FetchFollower', fetch)
    this.bytesOut = registry.counter('kafka.server:type=socket-server-metrics,name=outgoing-byte-total')
    this.connectionsRefused = registry.counter('kafka.server:type=socket-server-metrics,name=connection-refused-total')
  }

  /** Of every answer, `NONE` too. */
  errorsOf(apiKey: number): ErrorCounts {
    return this.#errors[apiKey]!
  }

  /** Fetches of consumers and of followers are counted apart and together, as in 1.1. */
  meterOf(apiKey: number, request: object): RequestMeter {
    if (apiKey !== ApiKey.Fetch) return this.#meters[apiKey]!
    return 'replicaId' in request && (request.replicaId as number) >= 0 ? this.#followerFetch : this.#consumerFetch
  }
}
