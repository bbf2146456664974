import type { KafkaZk } from '../../zk/store/types.ts'
import type { BrokerRegistration, Endpoint } from '../../zk/znodes/types.ts'
import { AssertionError } from '../base/assert.ts'
import type { Logger } from '../base/logger.ts'
import type { ControllerConfig, ControllerLog } from '../controller/types.ts'
import { LogStartError } from '../log/log-directory.ts'
import type { LogManagerOptions } from '../log/log-manager-options.ts'
import type { LogConfig } from '../log/types.ts'
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
    get replicaAlterLogDirsMaxBytesPerSecond() {
      return Number(now().values.originals.get('replica.alter.log.dirs.io.max.bytes.per.second') ?? Number.POSITIVE_INFINITY)
    },
    get numReplicaFetchers() {
      return now().values.number('num.replica.fetchers')
    },
    replicaHighWatermarkCheckpointIntervalMs: values.number('replica.high.watermark.checkpoint.interval.ms'),
    faithful: config.faithful,
  }
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
  }
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

/** JSON version of `/brokers/ids/<id>` by inter.broker.protocol.version. */
export function brokerJsonVersion(config: BrokerConfig): 2 | 3 | 4 {
  const { name } = config.interBrokerProtocolVersion
  if (name.startsWith('0.8') || name.startsWith('0.9') || name === '0.10.0-IV0') return 2
  return name.startsWith('0.10.0') || name.startsWith('0.10.1') ? 3 : 4
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
