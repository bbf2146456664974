import type { BrokerId, PartitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { TimerWheel } from '../base/timer-wheel.ts'
import type { Clock } from '../ports/clock.ts'
import type { IsrExpansions } from './isr-expansions.ts'
import type { Partition } from './partition.ts'
import type { ReplicationQuotas } from './throttle.ts'
import type { Traffic } from './traffic.ts'
import type { IsrStore, ReplicationConfig } from './types.ts'

/** Counters for metrics; gauges are computed from `partitions()`. */
export interface ReplicationCounters {
  /** IsrShrinksPerSec, IsrExpandsPerSec, FailedIsrUpdatesPerSec of kafka.server:type=ReplicaManager. */
  isrShrinks: number
  isrExpands: number
  failedIsrUpdates: number
  /** Waits that ended with their time: entries of produces and of DeleteRecords, whole fetches. */
  expiredProduces: number
  readonly expiredProducesByPartition: Map<PartitionKey, number>
  expiredDeletions: number
  expiredFollowerFetches: number
  expiredConsumerFetches: number
  /** Follower truncations that removed records below the high watermark: never with clean elections. */
  truncationsBelowHighWatermark: number
}

export function noCounts(): ReplicationCounters {
  return {
    isrShrinks: 0,
    isrExpands: 0,
    failedIsrUpdates: 0,
    expiredProduces: 0,
    expiredProducesByPartition: new Map(),
    expiredDeletions: 0,
    expiredFollowerFetches: 0,
    expiredConsumerFetches: 0,
    truncationsBelowHighWatermark: 0,
  }
}

/** What the partitions of a broker share. */
export interface ReplicationEnvironment {
  readonly brokerId: BrokerId
  readonly config: ReplicationConfig
  readonly clock: Clock
  readonly timers: TimerWheel
  readonly isrStore: IsrStore
  readonly logger: Logger
  readonly counters: ReplicationCounters
  readonly quotas: ReplicationQuotas
  readonly traffic: Traffic
  /** Brokers whose followers are known to ask for epoch ends whenever they begin to follow: ours do, a genuine 1.1.1 not always. */
  readonly probing: Set<BrokerId>
  readonly expansions: IsrExpansions
  /** The ISR in ZooKeeper changed by our hand: tell the controller. */
  isrChanged(partition: Partition): void
  /** Something of the partition changed outside of a request: complete what waits for it. */
  settle(partition: Partition): void
  /** The partition found out that another leader or epoch is in ZooKeeper and stopped leading. */
  steppedDown(partition: Partition): void
}

/** For metrics: what cannot be seen in `partitions()`. */
export interface ReplicationFigures {
  readonly counters: ReplicationCounters
  readonly quotas: ReplicationQuotas
  readonly traffic: Traffic
  fetchers(): Iterable<FetcherFigures>
  /** Entries of produces that wait for the high watermark, and of fetches that wait for data; DeleteRecords that wait for followers. In steps. */
  waiting(): Generator<void, { readonly produces: number; readonly fetches: number; readonly deletions: number }>
}

/** One follower connection: `kafka.server:type=FetcherStats` and `FetcherLagMetrics`. */
export interface FetcherFigures {
  /** `ReplicaFetcherThread-<i>-<leader>`, 1.1's client id in these metrics. */
  readonly threadName: string
  readonly leader: BrokerId
  readonly requests: number
  readonly bytes: number
  /** Messages that a partition lacks; -1: not known yet. */
  lags(): Iterable<{ readonly topic: string; readonly partition: number; readonly lag: number }>
}
