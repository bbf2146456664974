import type { KafkaZk } from '../../zk/store/types.ts'
import type { BrokerRegistration, Endpoint } from '../../zk/znodes/types.ts'
import { AssertionError } from '../base/assert.ts'
import { parseKafkaVersion } from '../base/kafka-version.ts'
import type { Logger } from '../base/logger.ts'
import type { ControllerConfig, ControllerLog } from '../controller/types.ts'
import type { CleanerOptions } from '../log/cleaner/cleaner-options.ts'
import type { LogCleaner } from '../log/cleaner/log-cleaner.ts'
import { LogStartError } from '../log/log-directory.ts'
import type { LogManagerOptions } from '../log/log-manager-options.ts'
import type { LogConfig } from '../log/types.ts'
import type { MetricRegistry } from '../metrics/registry.ts'
import type { IsrStore, ReplicationConfig } from '../replication/types.ts'
import type { BrokerConfig } from './config/broker-config.ts'

/** First run of the log's periodic tasks, as 1.1. */
const INITIAL_TASK_DELAY_MS = 30_000

/** How the settings reach the parts that the broker is made of; `now` gives those that may change while it runs (KIP-226). */

export function replicationConfig(config: BrokerConfig, brokerId: number, now: () => BrokerConfig): ReplicationConfig {
  const { values } = config
  return {
    brokerId,
    replicaLagTimeMaxMs: values.number('replica.lag.time.max.ms'),
    replicaFetchWaitMaxMs: values.number('replica.fetch.wait.max.ms'),
    replicaFetchMinBytes: values.number('replica.fetch.min.bytes'),
    replicaFetchMaxBytes: values.number('replica.fetch.max.bytes'),
    replicaFetchResponseMaxBytes: values.number('replica.fetch.response.max.bytes'),
    replicaFetchBackoffMs: values.number('replica.fetch.backoff.ms'),
    get leaderReplicationThrottledRate() {
      return rateOf(now(), 'leader.replication.throttled.rate')
    },
    get followerReplicationThrottledRate() {
      return rateOf(now(), 'follower.replication.throttled.rate')
    },
    get replicaAlterLogDirsMaxBytesPerSecond() {
      return rateOf(now(), 'replica.alter.log.dirs.io.max.bytes.per.second')
    },
    replicationQuotaWindow: quotaWindow(config, 'replication.quota.window'),
    alterLogDirsQuotaWindow: quotaWindow(config, 'alter.log.dirs.replication.quota.window'),
    get numReplicaFetchers() {
      return now().values.number('num.replica.fetchers')
    },
    replicaHighWatermarkCheckpointIntervalMs: values.number('replica.high.watermark.checkpoint.interval.ms'),
    faithful: config.faithful,
  }
}

/** Bytes per second, from `/config/brokers/<id>`; infinite when it is not set there. */
function rateOf({ values }: BrokerConfig, name: string): number {
  return Number(values.originals.get(name) ?? Number.POSITIVE_INFINITY)
}

function quotaWindow({ values }: BrokerConfig, prefix: string): { number: number; seconds: number } {
  return { number: values.number(`${prefix}.num`), seconds: values.number(`${prefix}.size.seconds`) }
}

export function controllerConfig(config: BrokerConfig, brokerId: number, now: () => BrokerConfig): ControllerConfig {
  const { values } = config
  return {
    brokerId,
    autoLeaderRebalanceEnable: values.boolean('auto.leader.rebalance.enable'),
    leaderImbalancePerBrokerPercentage: values.number('leader.imbalance.per.broker.percentage'),
    leaderImbalanceCheckIntervalSeconds: values.number('leader.imbalance.check.interval.seconds'),
    get uncleanLeaderElectionEnable() {
      return now().values.boolean('unclean.leader.election.enable')
    },
    deleteTopicEnable: values.boolean('delete.topic.enable'),
    interBrokerProtocolVersion: config.interBrokerProtocolVersion.name,
    interBrokerListenerName: config.interBrokerListenerName,
  }
}

export function isrStoreOn(zk: KafkaZk): IsrStore {
  return {
    get trusted() {
      return zk.session.trusted
    },
    updateIsr: (change) => zk.updateIsr(change),
    async readState({ topic, partition }) {
      return (await zk.getPartitionStates([{ topic, partition }])).get(`${topic}-${partition}`)
    },
    notifyIsrChange: async (partitions) => (await zk.createIsrChangeNotification(partitions)) === 'ok',
  }
}

export function logManagerOptions(
  config: BrokerConfig,
  defaultConfig: LogConfig,
  initialOfflineDirs: readonly string[],
): LogManagerOptions {
  const { values } = config
  return {
    logDirs: config.logDirs,
    initialOfflineDirs,
    defaultConfig,
    producerIdExpirationMs: values.number('transactional.id.expiration.ms'),
    retentionCheckMs: values.number('log.retention.check.interval.ms'),
    flushCheckMs: values.number('log.flush.scheduler.interval.ms'),
    flushRecoveryOffsetCheckpointMs: values.number('log.flush.offset.checkpoint.interval.ms'),
    flushStartOffsetCheckpointMs: values.number('log.flush.start.offset.checkpoint.interval.ms'),
    initialTaskDelayMs: INITIAL_TASK_DELAY_MS,
    cleanerEnable: values.boolean('log.cleaner.enable'),
    cleaner: cleanerOptions(config),
    recoveryThreads: values.number('num.recovery.threads.per.data.dir'),
  }
}

export function cleanerOptions({ values }: BrokerConfig): CleanerOptions {
  return {
    threads: values.number('log.cleaner.threads'),
    dedupeBufferBytes: values.number('log.cleaner.dedupe.buffer.size'),
    loadFactor: values.number('log.cleaner.io.buffer.load.factor'),
    ioBufferBytes: values.number('log.cleaner.io.buffer.size'),
    maxBytesPerSecond: values.number('log.cleaner.io.max.bytes.per.second'),
    backoffMs: values.number('log.cleaner.backoff.ms'),
    maxMessageBytes: values.number('message.max.bytes'),
  }
}

/** By 1.1's names; the number of partitions that cannot be cleaned is 2.0's. */
export function registerCleanerMetrics(metrics: MetricRegistry, cleaner: LogCleaner | undefined): void {
  if (cleaner === undefined) return
  metrics.gauge('kafka.log:type=LogCleaner,name=max-buffer-utilization-percent', () => cleaner.maxBufferUtilizationPercent)
  metrics.gauge('kafka.log:type=LogCleaner,name=cleaner-recopy-percent', () => cleaner.recopyPercent)
  metrics.gauge('kafka.log:type=LogCleaner,name=max-clean-time-secs', () => cleaner.maxCleanTimeSecs)
  metrics.gauge('kafka.log:type=LogCleanerManager,name=max-dirty-percent', () => cleaner.maxDirtyPercent)
  metrics.gauge('kafka.log:type=LogCleanerManager,name=time-since-last-run-ms', () => cleaner.timeSinceLastRunMs)
  metrics.gauge('kafka.log:type=LogCleanerManager,name=uncleanable-partitions-count', () => cleaner.uncleanablePartitions)
  metrics.gauge('samsa:type=LogCleaner,name=LongestSliceMs', () => cleaner.longestSliceMs)
}

/** Where clients find this broker: advertised hosts and ports, an empty host being this machine's name, port 0 the port that was bound. */
export function registrationOf(
  config: BrokerConfig,
  brokerId: number,
  bound: readonly Endpoint[],
  hostName: string,
): BrokerRegistration {
  const endpoints = config.advertisedListeners.map((endpoint): Endpoint => {
    const listener = bound.find(({ listenerName }) => listenerName === endpoint.listenerName)
    return {
      ...endpoint,
      host: endpoint.host === '' ? hostName : endpoint.host,
      port: endpoint.port === 0 ? (listener?.port ?? 0) : endpoint.port,
    }
  })
  return { brokerId, endpoints, jmxPort: -1, ...(config.rack !== undefined && { rack: config.rack }) }
}

/** JSON version of `/brokers/ids/<id>` by inter.broker.protocol.version. A genuine 1.1.1 never writes 3. */
export function brokerJsonVersion(config: BrokerConfig): 2 | 4 {
  return config.interBrokerProtocolVersion.id >= parseKafkaVersion('0.10.0-IV1').id ? 4 : 2
}

/** The controller's log lines go to `kafka.controller.KafkaController`. */
export function controllerLog(log: Logger): ControllerLog {
  return log.child('', 'kafka.controller.KafkaController')
}

/** How the log shows why a start failed: an operating error by name and text alone, a bug with its stack. */
export function shownStartError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof AssertionError || error instanceof TypeError || error instanceof RangeError)
    return error
  return `${error instanceof LogStartError ? `kafka.common.${error.kind}` : error.name}: ${error.message}`
}

/** A cluster id as 1.1 makes it: 16 random bytes of a version 4 UUID, URL-safe base64 without padding. */
export function clusterIdFrom(random: Buffer): string {
  const bytes = Buffer.from(random)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('base64url')
}
