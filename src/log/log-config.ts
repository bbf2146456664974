import type { ConfigKey, ConfigType, ConfigValues, Validator } from '../base/config-def.ts'
import { atLeast, between, ConfigDef, ConfigException, invalidValue, oneOf } from '../base/config-def.ts'
import type { KafkaVersion } from '../base/kafka-version.ts'
import { parseKafkaVersion } from '../base/kafka-version.ts'
import type { LogConfig } from './types.ts'

/** A topic-level key together with the broker key that gives its default (undefined: none). */
export interface TopicConfigKey extends ConfigKey {
  readonly serverDefault: string | undefined
}

/** A name that is not a topic config: INVALID_CONFIG (40) on the wire. */
export class UnknownTopicConfigError extends Error {
  override readonly name = 'org.apache.kafka.common.errors.InvalidConfigurationException'
}

const throttledReplicas: Validator = {
  text: '[partitionId],[brokerId]:[partitionId],[brokerId]:...',
  check(key, value) {
    const list = value as readonly string[]
    if (list[0]?.trim() === '*' || list.every((item) => /^([0-9]+:[0-9]+)?$/.test(item.trim()))) return undefined
    return invalidValue(
      key,
      value,
      `${key} must be the literal '*' or a list of replicas in the following format: [partitionId],[brokerId]:[partitionId],[brokerId]:...`,
    )
  },
}

function key(
  name: string,
  type: ConfigType,
  value: string,
  serverDefault: string | undefined,
  valid?: Validator,
): TopicConfigKey {
  return { name, type, default: value, importance: 'MEDIUM', serverDefault, ...(valid && { valid }) }
}

/** The 24 topic configs of 1.1. */
export const TOPIC_CONFIG_KEYS: readonly TopicConfigKey[] = [
  key('segment.bytes', 'INT', '1073741824', 'log.segment.bytes', atLeast(14)),
  key('segment.ms', 'LONG', '604800000', 'log.roll.ms', atLeast(0)),
  key('segment.jitter.ms', 'LONG', '0', 'log.roll.jitter.ms', atLeast(0)),
  key('segment.index.bytes', 'INT', '10485760', 'log.index.size.max.bytes', atLeast(0)),
  key('flush.messages', 'LONG', '9223372036854775807', 'log.flush.interval.messages', atLeast(0)),
  key('flush.ms', 'LONG', '9223372036854775807', 'log.flush.interval.ms', atLeast(0)),
  key('retention.bytes', 'LONG', '-1', 'log.retention.bytes'),
  key('retention.ms', 'LONG', '604800000', 'log.retention.ms'),
  key('max.message.bytes', 'INT', '1000012', 'message.max.bytes', atLeast(0)),
  key('index.interval.bytes', 'INT', '4096', 'log.index.interval.bytes', atLeast(0)),
  key('delete.retention.ms', 'LONG', '86400000', 'log.cleaner.delete.retention.ms', atLeast(0)),
  key('min.compaction.lag.ms', 'LONG', '0', 'log.cleaner.min.compaction.lag.ms', atLeast(0)),
  key('file.delete.delay.ms', 'LONG', '60000', 'log.segment.delete.delay.ms', atLeast(0)),
  key('min.cleanable.dirty.ratio', 'DOUBLE', '0.5', 'log.cleaner.min.cleanable.ratio', between(0, 1)),
  key('cleanup.policy', 'LIST', 'delete', 'log.cleanup.policy', oneOf('compact', 'delete')),
  key('unclean.leader.election.enable', 'BOOLEAN', 'false', 'unclean.leader.election.enable'),
  key('min.insync.replicas', 'INT', '1', 'min.insync.replicas', atLeast(1)),
  key('compression.type', 'STRING', 'producer', 'compression.type', oneOf('uncompressed', 'snappy', 'lz4', 'gzip', 'producer')),
  key('preallocate', 'BOOLEAN', 'false', 'log.preallocate'),
  key('message.format.version', 'STRING', '1.1-IV0', 'log.message.format.version'),
  key('message.timestamp.type', 'STRING', 'CreateTime', 'log.message.timestamp.type'),
  key(
    'message.timestamp.difference.max.ms',
    'LONG',
    '9223372036854775807',
    'log.message.timestamp.difference.max.ms',
    atLeast(0),
  ),
  key('leader.replication.throttled.replicas', 'LIST', '', undefined, throttledReplicas),
  key('follower.replication.throttled.replicas', 'LIST', '', undefined, throttledReplicas),
]

export const TOPIC_CONFIG_DEF: ConfigDef = new ConfigDef(TOPIC_CONFIG_KEYS)

/**
 * Checks overrides as 1.1 does at topic creation and alteration. Throws `UnknownTopicConfigError` or `ConfigException`.
 * (`message.format.version` and `message.timestamp.type` are not checked here by 1.1.)
 */
export function validateTopicConfig(overrides: Readonly<Record<string, string>>): void {
  const properties = new Map(Object.entries(overrides))
  const unknown = TOPIC_CONFIG_DEF.unknownNames(properties)[0]
  if (unknown !== undefined) throw new UnknownTopicConfigError(`Unknown topic config name: ${unknown}`)
  TOPIC_CONFIG_DEF.parse(properties)
}

function magicOf(text: string, limit: KafkaVersion | undefined): 0 | 1 | 2 {
  const magic = parseKafkaVersion(text).magic
  return limit && magic > limit.magic ? limit.magic : magic
}

function timestampType(value: string): LogConfig['messageTimestampType'] {
  if (value !== 'CreateTime' && value !== 'LogAppendTime') {
    throw new ConfigException(
      `Invalid value ${value} for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime`,
    )
  }
  return value
}

function toLogConfig(values: ConfigValues, limit: KafkaVersion | undefined): LogConfig {
  const policy = values.list('cleanup.policy')
  return Object.freeze({
    segmentBytes: values.number('segment.bytes'),
    segmentMs: values.number('segment.ms'),
    segmentJitterMs: values.number('segment.jitter.ms'),
    segmentIndexBytes: values.number('segment.index.bytes'),
    flushMessages: values.number('flush.messages'),
    flushMs: values.number('flush.ms'),
    retentionBytes: values.number('retention.bytes'),
    retentionMs: values.number('retention.ms'),
    maxMessageBytes: values.number('max.message.bytes'),
    indexIntervalBytes: values.number('index.interval.bytes'),
    deleteRetentionMs: values.number('delete.retention.ms'),
    fileDeleteDelayMs: values.number('file.delete.delay.ms'),
    minCompactionLagMs: values.number('min.compaction.lag.ms'),
    minCleanableDirtyRatio: values.number('min.cleanable.dirty.ratio'),
    compact: policy.includes('compact'),
    delete: policy.includes('delete'),
    uncleanLeaderElectionEnable: values.boolean('unclean.leader.election.enable'),
    minInSyncReplicas: values.number('min.insync.replicas'),
    compressionType: values.string('compression.type') as LogConfig['compressionType'],
    preallocate: values.boolean('preallocate'),
    messageFormatMagic: magicOf(values.string('message.format.version'), limit),
    messageTimestampType: timestampType(values.string('message.timestamp.type')),
    messageTimestampDifferenceMaxMs: values.number('message.timestamp.difference.max.ms'),
    leaderReplicationThrottledReplicas: values.list('leader.replication.throttled.replicas').join(','),
    followerReplicationThrottledReplicas: values.list('follower.replication.throttled.replicas').join(','),
  })
}

/**
 * A topic's configuration: overrides over the broker's defaults over 1.1's. `brokerDefaults`: topic key -> value as text
 * (see `topicDefaultsOfBroker` of the server). `formatLimit`: a message format above the broker's inter.broker.protocol.version is lowered
 * to it. Throws `ConfigException`, `IllegalConfigError`.
 */
export function makeLogConfig(
  brokerDefaults: Readonly<Record<string, string>>,
  overrides: Readonly<Record<string, string>>,
  formatLimit?: KafkaVersion,
): LogConfig {
  const known = Object.entries(overrides).filter(([name]) => TOPIC_CONFIG_DEF.key(name))
  return toLogConfig(TOPIC_CONFIG_DEF.parse(new Map([...Object.entries(brokerDefaults), ...known])), formatLimit)
}
