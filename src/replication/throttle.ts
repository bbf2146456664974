import type { BrokerId, Millis, PartitionId } from '../base/ids.ts'
import type { ReplicationConfig } from './types.ts'

/** Bytes per second over the last windows, as Kafka's `SimpleRate` counts them: whole windows and the current one, never less than one. */
export class WindowedRate {
  readonly #windows: number
  readonly #windowMs: Millis
  /** A ring of windows: when each began, and the bytes in it. */
  readonly #began: Float64Array
  readonly #bytes: Float64Array
  #current = 0

  /** `replication.quota.window.num` windows of `replication.quota.window.size.seconds`. */
  constructor(windows: number, windowSeconds: number) {
    this.#windows = windows
    this.#windowMs = windowSeconds * 1000
    this.#began = new Float64Array(windows).fill(Number.NEGATIVE_INFINITY)
    this.#bytes = new Float64Array(windows)
  }

  record(bytes: number, now: Millis): void {
    if (now - this.#began[this.#current]! >= this.#windowMs) {
      this.#current = (this.#current + 1) % this.#windows
      this.#began[this.#current] = now
      this.#bytes[this.#current] = 0
    }
    this.#bytes[this.#current]! += bytes
  }

  /** Bytes per second. */
  value(now: Millis): number {
    const oldestAllowed = now - this.#windows * this.#windowMs
    let total = 0
    let oldest = now
    for (let i = 0; i < this.#windows; i++) {
      const began = this.#began[i]!
      if (began <= oldestAllowed) continue
      total += this.#bytes[i]!
      if (began < oldest) oldest = began
    }
    return (total * 1000) / Math.max(now - oldest, this.#windowMs)
  }
}

/** One of a broker's replication quotas (KIP-73): as leader, as follower, for moves between log directories. */
export class ReplicationQuota {
  readonly #rate: WindowedRate
  readonly #now: () => Millis
  readonly #limit: () => number

  /** `limit`: bytes per second as configured now; infinite = none. */
  constructor(windows: { readonly number: number; readonly seconds: number }, now: () => Millis, limit: () => number) {
    this.#rate = new WindowedRate(windows.number, windows.seconds)
    this.#now = now
    this.#limit = limit
  }

  record(bytes: number): void {
    this.#rate.record(bytes, this.#now())
  }

  get isExceeded(): boolean {
    const limit = this.#limit()
    return limit !== Number.POSITIVE_INFINITY && this.#rate.value(this.#now()) > limit
  }

  /** `byte-rate` of kafka.server:type=LeaderReplication and its like. */
  get byteRate(): number {
    return this.#rate.value(this.#now())
  }
}

/** Of one broker: what it sends as leader, what it takes as follower, what it copies between its log directories. */
export interface ReplicationQuotas {
  readonly leader: ReplicationQuota
  readonly follower: ReplicationQuota
  readonly alterLogDirs: ReplicationQuota
}

export function makeQuotas(config: ReplicationConfig, now: () => Millis): ReplicationQuotas {
  return {
    leader: new ReplicationQuota(config.replicationQuotaWindow, now, () => config.leaderReplicationThrottledRate),
    follower: new ReplicationQuota(config.replicationQuotaWindow, now, () => config.followerReplicationThrottledRate),
    alterLogDirs: new ReplicationQuota(config.alterLogDirsQuotaWindow, now, () => config.replicaAlterLogDirsMaxBytesPerSecond),
  }
}

const parsed = new Map<string, ReadonlyMap<PartitionId, readonly BrokerId[]> | 'all'>()

/** Is the broker's replica listed in a topic's `leader.` or `follower.replication.throttled.replicas`: `*`, or `partition:broker,...`? */
export function isThrottledReplica(setting: string, partition: PartitionId, broker: BrokerId): boolean {
  if (setting === '') return false
  let replicas = parsed.get(setting)
  if (replicas === undefined) {
    // One entry per value in use; a cluster that changes them all day long starts over.
    if (parsed.size >= 1000) parsed.clear()
    parsed.set(setting, (replicas = parseReplicas(setting)))
  }
  return replicas === 'all' || (replicas.get(partition)?.includes(broker) ?? false)
}

function parseReplicas(setting: string): ReadonlyMap<PartitionId, readonly BrokerId[]> | 'all' {
  if (setting.trim() === '*') return 'all'
  const replicas = new Map<PartitionId, BrokerId[]>()
  for (const entry of setting.split(',')) {
    const [partition = '', broker = ''] = entry.trim().split(':')
    const brokers = replicas.get(Number(partition))
    if (brokers === undefined) replicas.set(Number(partition), [Number(broker)])
    else brokers.push(Number(broker))
  }
  return replicas
}
