import type { GroupCoordinator } from '../coordinator/group/coordinator.ts'
import type { GroupState } from '../coordinator/group/types.ts'
import type { TransactionCoordinator } from '../coordinator/transaction/coordinator.ts'
import type { MetricRegistry } from '../metrics/registry.ts'

const STATES: readonly GroupState[] = ['PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead', 'Empty']

/** The group coordinator's gauges, by 1.1's names. */
export function registerGroupMetrics(metrics: MetricRegistry, groups: GroupCoordinator): void {
  const name = (what: string): string => `kafka.coordinator.group:type=GroupMetadataManager,name=${what}`
  metrics.gauge(name('NumOffsets'), () => groups.numOffsets)
  metrics.gauge(name('NumGroups'), () => groups.numGroups)
  for (const state of STATES) metrics.gauge(name(`NumGroups${state}`), () => groups.numGroupsIn(state))
}

/** The transaction coordinator's gauges, by 1.1's names. */
export function registerTransactionMetrics(metrics: MetricRegistry, transactions: TransactionCoordinator): void {
  const name = (what: string): string => `kafka.coordinator.transaction:type=TransactionMarkerChannelManager,name=${what}`
  metrics.gauge(name('UnknownDestinationQueueSize'), () => transactions.unknownDestinations)
  metrics.gauge(name('LogAppendRetryQueueSize'), () => transactions.completionRetries)
}
