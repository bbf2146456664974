import type { KafkaZk } from '../../zk/store/types.ts'
import { parseKafkaVersion } from '../base/kafka-version.ts'
import type { Logger } from '../base/logger.ts'
import { GroupCoordinator } from '../coordinator/group/coordinator.ts'
import type { GroupConfig } from '../coordinator/group/types.ts'
import { TransactionCoordinator } from '../coordinator/transaction/coordinator.ts'
import type { TransactionConfig } from '../coordinator/transaction/types.ts'
import type { MetricRegistry } from '../metrics/registry.ts'
import type { Clock } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import type { Rng } from '../ports/rng.ts'
import type { ReplicaManager } from '../replication/types.ts'
import { interBrokerVersions } from '../rpc/versions.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { registerGroupMetrics, registerTransactionMetrics } from './coordinator-metrics.ts'
import { GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC } from './internal-topics.ts'
import type { MetadataCache } from './metadata-cache.ts'
import type { ProducerIds } from './producer-ids.ts'
import { followLeadership, ReplicatedStateTopic, statePartitionCount } from './state-topics.ts'
import { MarkerChannels } from './transaction-markers.ts'

export interface CoordinatorParts {
  readonly brokerId: number
  readonly config: BrokerConfig
  readonly metrics: MetricRegistry
  readonly clock: Clock
  readonly rng: Rng
  readonly net: Net
  readonly logger: Logger
  readonly zk: KafkaZk
  readonly replicas: ReplicaManager
  readonly metadataCache: MetadataCache
  readonly producerIds: ProducerIds
}

export interface Coordinators {
  readonly groups: GroupCoordinator
  readonly transactions: TransactionCoordinator
  stop(): void
}

/** Both coordinators, serving. Before the controller hears of this broker's sockets, so that no election is missed. */
export async function startCoordinators(parts: CoordinatorParts): Promise<Coordinators> {
  const { brokerId, config, clock, rng, net, logger, zk, replicas, metadataCache, producerIds } = parts
  const { values } = config
  const topicOf = async (name: string, countKey: string): Promise<ReplicatedStateTopic> =>
    new ReplicatedStateTopic(name, await statePartitionCount(zk, name, values.number(countKey)), replicas, clock)
  const [offsetsTopic, transactionsTopic] = await Promise.all([
    topicOf(GROUP_METADATA_TOPIC, 'offsets.topic.num.partitions'),
    topicOf(TRANSACTION_STATE_TOPIC, 'transaction.state.log.num.partitions'),
  ])
  const groups = new GroupCoordinator({
    topic: offsetsTopic,
    config: groupConfig(config),
    clock,
    rng,
    log: logger.child(`[GroupCoordinator ${brokerId}]:`, 'kafka.coordinator.group.GroupCoordinator'),
  })
  const requestTimeoutMs = values.number('request.timeout.ms')
  const markers = new MarkerChannels({
    brokerId,
    writer: { replicaManager: replicas, clock, offsets: groups, requestTimeoutMs },
    metadataCache,
    zk,
    net,
    versions: interBrokerVersions(config.interBrokerProtocolVersion),
    listenerName: config.interBrokerListenerName,
    requestTimeoutMs,
  })
  const transactions = new TransactionCoordinator({
    config: transactionConfig(config),
    topic: transactionsTopic,
    clock,
    logger: logger.child(`[TransactionCoordinator id=${brokerId}]`, 'kafka.coordinator.transaction.TransactionCoordinator'),
    producerIds,
    markers,
  })
  followLeadership(replicas, GROUP_METADATA_TOPIC, groups)
  followLeadership(replicas, TRANSACTION_STATE_TOPIC, transactions)
  registerGroupMetrics(parts.metrics, groups)
  registerTransactionMetrics(parts.metrics, transactions)
  groups.startup()
  transactions.start()
  return {
    groups,
    transactions,
    stop: () => {
      transactions.stop()
      markers.close()
      groups.shutdown()
    },
  }
}

function transactionConfig({ values }: BrokerConfig): TransactionConfig {
  return {
    maxTimeoutMs: values.number('transaction.max.timeout.ms'),
    idExpirationMs: values.number('transactional.id.expiration.ms'),
    abortTimedOutIntervalMs: values.number('transaction.abort.timed.out.transaction.cleanup.interval.ms'),
    removeExpiredIntervalMs: values.number('transaction.remove.expired.transaction.cleanup.interval.ms'),
    loadBufferBytes: values.number('transaction.state.log.load.buffer.size'),
    requestTimeoutMs: values.number('request.timeout.ms'),
  }
}

function groupConfig({ values, interBrokerProtocolVersion }: BrokerConfig): GroupConfig {
  return {
    minSessionTimeoutMs: values.number('group.min.session.timeout.ms'),
    maxSessionTimeoutMs: values.number('group.max.session.timeout.ms'),
    initialRebalanceDelayMs: values.number('group.initial.rebalance.delay.ms'),
    offsetMetadataMaxLength: values.number('offset.metadata.max.bytes'),
    loadBufferBytes: values.number('offsets.load.buffer.size'),
    compressionCodec: values.number('offsets.topic.compression.codec'),
    offsetsRetentionMs: values.number('offsets.retention.minutes') * 60_000,
    retentionCheckIntervalMs: values.number('offsets.retention.check.interval.ms'),
    commitTimeoutMs: values.number('offsets.commit.timeout.ms'),
    commitRequiredAcks: values.number('offsets.commit.required.acks'),
    groupValueVersion: interBrokerProtocolVersion.id < parseKafkaVersion('0.10.1-IV0').id ? 0 : 1,
  }
}
