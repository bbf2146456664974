import type { Millis } from '../../base/ids.ts'
import type { MetricValue } from '../producer/types.ts'
import { Windowed } from '../windowed.ts'
import type { AssignedPartition } from './subscription.ts'

const FETCH = 'consumer-fetch-manager-metrics'
const GROUP = 'consumer-coordinator-metrics'

/** The consumer's figures under the names of 1.1. Times are in ms, rates per second over `metrics.sample.window.ms`. */
export class ConsumerMetrics {
  readonly fetchBytes: Windowed
  readonly fetchRecords: Windowed
  readonly fetchLatency: Windowed
  readonly commitLatency: Windowed
  readonly heartbeats: Windowed
  readonly joins: Windowed
  readonly syncs: Windowed
  readonly #clientId: string
  readonly #now: () => Millis
  #heartbeatAt: Millis | undefined

  constructor(clientId: string, now: () => Millis, windowMs: Millis) {
    const windowed = () => new Windowed(now, windowMs)
    this.#clientId = clientId
    this.#now = now
    this.fetchBytes = windowed()
    this.fetchRecords = windowed()
    this.fetchLatency = windowed()
    this.commitLatency = windowed()
    this.heartbeats = windowed()
    this.joins = windowed()
    this.syncs = windowed()
  }

  heartbeatAnswered(tookMs: Millis): void {
    this.heartbeats.add(tookMs)
    this.#heartbeatAt = this.#now()
  }

  values(partitions: Iterable<AssignedPartition>): MetricValue[] {
    const all = [...partitions]
    const lags = all.map((one) => ({ one, lag: lagOf(one) })).filter(({ lag }) => lag >= 0)
    const lagMax = lags.length === 0 ? Number.NEGATIVE_INFINITY : Math.max(...lags.map(({ lag }) => lag))
    return [
      ...this.#group(FETCH, { ...this.#fetchValues(), 'records-lag-max': lagMax }),
      ...this.#group(GROUP, { ...this.#groupValues(), 'assigned-partitions': all.length }),
      ...lags.map(({ one, lag }) => ({
        name: 'records-lag',
        group: FETCH,
        tags: { 'client-id': this.#clientId, topic: one.topic, partition: String(one.partition) },
        value: lag,
      })),
    ]
  }

  #group(group: string, values: Readonly<Record<string, number>>): MetricValue[] {
    const tags = { 'client-id': this.#clientId }
    return Object.entries(values).map(([name, value]) => ({ name, group, tags, value }))
  }

  #fetchValues(): Record<string, number> {
    const { fetchBytes, fetchRecords, fetchLatency } = this
    return {
      'fetch-size-avg': fetchBytes.average,
      'fetch-size-max': fetchBytes.max,
      'bytes-consumed-rate': fetchBytes.perSecond,
      'bytes-consumed-total': fetchBytes.total,
      'records-per-request-avg': fetchRecords.average,
      'records-consumed-rate': fetchRecords.perSecond,
      'records-consumed-total': fetchRecords.total,
      'fetch-latency-avg': fetchLatency.average,
      'fetch-latency-max': fetchLatency.max,
      'fetch-rate': fetchLatency.eventsPerSecond,
      'fetch-total': fetchLatency.events,
    }
  }

  #groupValues(): Record<string, number> {
    const { commitLatency, heartbeats, joins, syncs } = this
    return {
      'commit-latency-avg': commitLatency.average,
      'commit-latency-max': commitLatency.max,
      'commit-rate': commitLatency.eventsPerSecond,
      'commit-total': commitLatency.events,
      'heartbeat-rate': heartbeats.eventsPerSecond,
      'heartbeat-total': heartbeats.events,
      'heartbeat-response-time-max': heartbeats.max,
      'last-heartbeat-seconds-ago': this.#heartbeatAt === undefined ? -1 : Math.floor((this.#now() - this.#heartbeatAt) / 1000),
      'join-time-avg': joins.average,
      'join-time-max': joins.max,
      'join-rate': joins.eventsPerSecond,
      'join-total': joins.events,
      'sync-time-avg': syncs.average,
      'sync-time-max': syncs.max,
      'sync-rate': syncs.eventsPerSecond,
      'sync-total': syncs.events,
    }
  }
}

/** Records that are there and were not returned yet; -1: not known. */
function lagOf({ position, highWatermark, lastStableOffset }: AssignedPartition): number {
  const end = lastStableOffset >= 0 ? lastStableOffset : highWatermark
  return position < 0 || end < 0 ? -1 : Math.max(0, end - position)
}
