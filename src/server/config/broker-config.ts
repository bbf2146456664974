import type { ConfigValues } from '../../base/config-def.ts'
import { ConfigException, IllegalConfigError } from '../../base/config-def.ts'
import type { KafkaVersion } from '../../base/kafka-version.ts'
import { parseKafkaVersion } from '../../base/kafka-version.ts'
import { BROKER_CONFIG_DEF } from './broker-config-defs.ts'
import type { ListenerSettings } from './listeners.ts'
import { parseListenerSettings, parseNamedValues, splitList } from './listeners.ts'

/**
 * `server.properties`, validated. What several modules need or what follows from several keys is a field; everything else is read
 * by its Kafka name from `values`.
 */
export interface BrokerConfig extends ListenerSettings {
  readonly values: ConfigValues
  /** -1: generate one. */
  readonly brokerId: number
  readonly rack: string | undefined
  readonly zookeeperConnect: string
  readonly zookeeperSessionTimeoutMs: number
  readonly zookeeperConnectionTimeoutMs: number
  readonly logDirs: readonly string[]
  /** -1: unlimited. */
  readonly logRetentionMs: number
  readonly logRollMs: number
  readonly logRollJitterMs: number
  readonly logFlushIntervalMs: number
  readonly interBrokerProtocolVersion: KafkaVersion
  readonly logMessageFormatVersion: KafkaVersion
  readonly maxConnectionsPerIp: number
  /** Host name or address -> limit. */
  readonly maxConnectionsPerIpOverrides: ReadonlyMap<string, number>
  /** Historic holes to keep open; empty = strict. */
  readonly faithful: ReadonlySet<string>
}

/** The holes of 0.8 - 1.1 that a switch can bring back. */
export const FAITHFUL_HOLES: readonly string[] = ['H3', 'H4', 'H5', 'H6', 'H7', 'H8', 'H11', 'H12']

const MINUTE = 60_000
const HOUR = 3_600_000

function require(condition: boolean, message: string): void {
  if (!condition) throw new IllegalConfigError(`requirement failed: ${message}`)
}

function retentionMs(values: ConfigValues): number {
  const minutes = values.numberOrNull('log.retention.minutes')
  const ms =
    values.numberOrNull('log.retention.ms') ?? (minutes !== null ? minutes * MINUTE : values.number('log.retention.hours') * HOUR)
  if (ms < 0) return -1
  require(ms !== 0, 'log.retention.ms must be unlimited (-1) or, equal or greater than 1')
  return ms
}

function connectionOverrides(values: ConfigValues): Map<string, number> {
  const name = 'max.connections.per.ip.overrides'
  const text = values.string(name)
  return new Map(
    parseNamedValues(name, text).map(([host, count]) => {
      if (!/^\d+$/.test(count))
        throw new ConfigException(`Invalid value ${text} for configuration ${name}: ${count} is not a number`)
      return [host, Number(count)]
    }),
  )
}

function faithfulHoles(values: ConfigValues): Set<string> {
  const listed = values.list('samsa.faithful')
  const wrong = listed.find((name) => name !== 'all' && !FAITHFUL_HOLES.includes(name))
  if (wrong !== undefined) {
    throw new ConfigException(
      `Invalid value ${wrong} for configuration samsa.faithful: String must be one of: all, ${FAITHFUL_HOLES.join(', ')}`,
    )
  }
  return new Set(listed.includes('all') ? FAITHFUL_HOLES : listed)
}

function validateIdsAndLogs(config: BrokerConfig): void {
  const { values, brokerId } = config
  if (values.boolean('broker.id.generation.enable')) {
    require(brokerId >= -1 &&
      brokerId <=
        values.number(
          'reserved.broker.max.id',
        ), `broker.id ${brokerId} must be between -1 and reserved.broker.max.id (${values.number('reserved.broker.max.id')})`)
  } else {
    require(brokerId >= 0, `broker.id ${brokerId} must be 0 or greater when broker.id.generation.enable is false`)
  }
  require(config.logRollMs >= 1, `log.roll.ms must be 1 or greater, not ${config.logRollMs}`)
  require(config.logRollJitterMs >= 0, `log.roll.jitter.ms must be 0 or greater, not ${config.logRollJitterMs}`)
  require(config.logDirs.length > 0, 'log.dirs names no directory')
  require(values.number('log.cleaner.dedupe.buffer.size') / values.number('log.cleaner.threads') > 1024 * 1024 &&
    values.number('log.cleaner.threads') > 0, 'log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.')
}

function validateReplication({ values }: BrokerConfig): void {
  const wait = values.number('replica.fetch.wait.max.ms')
  require(wait <=
    values.number('replica.socket.timeout.ms'), 'replica.fetch.wait.max.ms must not exceed replica.socket.timeout.ms')
  require(wait <= values.number('replica.lag.time.max.ms'), 'replica.fetch.wait.max.ms must not exceed replica.lag.time.max.ms')
  const acks = values.number('offsets.commit.required.acks')
  require(acks >= -1 &&
    acks <=
      values.number(
        'offsets.topic.replication.factor',
      ), 'offsets.commit.required.acks must be between -1 and offsets.topic.replication.factor')
  const compression = values.string('compression.type')
  const options = ['uncompressed', 'snappy', 'lz4', 'gzip', 'producer']
  require(options.includes(compression), `compression.type : ${compression} is not valid. Valid options are ${options.join(',')}`)
}

function validateListeners(config: BrokerConfig): void {
  const names = config.listeners.map((endpoint) => endpoint.listenerName)
  const advertised = config.advertisedListeners.map((endpoint) => endpoint.listenerName)
  require(advertised.includes(
    config.interBrokerListenerName,
  ), `inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are ${advertised.join(',')}`)
  require(advertised.every((name) =>
    names.includes(name),
  ), `advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found ${advertised.join(',')}. The valid options based on the current configuration are ${names.join(',')}`)
  require(config.advertisedListeners.every(
    (endpoint) => endpoint.host !== '0.0.0.0',
  ), 'advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.')
}

function validateVersionsAndLimits({ values, interBrokerProtocolVersion, logMessageFormatVersion }: BrokerConfig): void {
  require(logMessageFormatVersion.magic <=
    interBrokerProtocolVersion.magic, `log.message.format.version ${logMessageFormatVersion.name} needs an inter.broker.protocol.version of its message format, not ${interBrokerProtocolVersion.name}`)
  const queued = values.number('queued.max.request.bytes')
  require(queued <= 0 ||
    queued >=
      values.number('socket.request.max.bytes'), 'queued.max.request.bytes must be larger or equal to socket.request.max.bytes')
}

/**
 * What a genuine broker would do and this one cannot yet (or never will: Java classes) is refused by name: a broker that silently ran without
 * its authorizer or in clear text would be worse than none.
 */
function refuseUnsupported(config: BrokerConfig): void {
  const { values } = config
  for (const name of ['create.topic.policy.class.name', 'alter.config.policy.class.name', 'principal.builder.class']) {
    const value = values.stringOrNull(name)
    if (value) throw new ConfigException(`Invalid value ${value} for configuration ${name}: Class ${value} could not be found.`)
  }
  const authorizer = values.string('authorizer.class.name')
  if (authorizer) {
    throw new ConfigException(
      `Invalid value ${authorizer} for configuration authorizer.class.name: authorizers are not supported by this version`,
    )
  }
  if (values.boolean('zookeeper.set.acl')) {
    throw new ConfigException(
      'Invalid value true for configuration zookeeper.set.acl: secured znodes are not supported by this version',
    )
  }
  const secured = config.listeners.find((endpoint) => endpoint.securityProtocol !== 'PLAINTEXT')
  if (secured) {
    throw new ConfigException(
      `Invalid value ${secured.listenerName} for configuration listeners: security protocol ${secured.securityProtocol} is not supported by this version`,
    )
  }
}

/** Throws `ConfigException` or `IllegalConfigError` naming the key and the value. */
export function parseBrokerConfig(properties: ReadonlyMap<string, string>): BrokerConfig {
  const values = BROKER_CONFIG_DEF.parse(properties)
  const sessionTimeoutMs = values.number('zookeeper.session.timeout.ms')
  const maxConnectionsPerIpOverrides = connectionOverrides(values)
  const config: BrokerConfig = {
    values,
    brokerId: values.number('broker.id'),
    rack: values.stringOrNull('broker.rack') ?? undefined,
    zookeeperConnect: values.string('zookeeper.connect'),
    zookeeperSessionTimeoutMs: sessionTimeoutMs,
    zookeeperConnectionTimeoutMs: values.numberOrNull('zookeeper.connection.timeout.ms') ?? sessionTimeoutMs,
    logDirs: splitList(values.stringOrNull('log.dirs') ?? values.string('log.dir')),
    logRetentionMs: retentionMs(values),
    logRollMs: values.numberOrNull('log.roll.ms') ?? values.number('log.roll.hours') * HOUR,
    logRollJitterMs: values.numberOrNull('log.roll.jitter.ms') ?? values.number('log.roll.jitter.hours') * HOUR,
    logFlushIntervalMs: values.numberOrNull('log.flush.interval.ms') ?? values.number('log.flush.scheduler.interval.ms'),
    interBrokerProtocolVersion: parseKafkaVersion(values.string('inter.broker.protocol.version')),
    logMessageFormatVersion: parseKafkaVersion(values.string('log.message.format.version')),
    maxConnectionsPerIp: values.number('max.connections.per.ip'),
    maxConnectionsPerIpOverrides,
    faithful: faithfulHoles(values),
    ...parseListenerSettings(values),
  }
  validateIdsAndLogs(config)
  validateReplication(config)
  validateListeners(config)
  validateVersionsAndLimits(config)
  refuseUnsupported(config)
  return config
}

/** Keys that no part of the broker knows: warned about, otherwise ignored. Listener-scoped keys count as known. */
export function unknownBrokerKeys(properties: ReadonlyMap<string, string>): string[] {
  return BROKER_CONFIG_DEF.unknownNames(properties).filter((name) => {
    const scoped = /^listener\.name\.[^.]+\.(.+)$/.exec(name)?.[1]
    return scoped === undefined || (!BROKER_CONFIG_DEF.key(scoped) && !scoped.endsWith('.sasl.jaas.config'))
  })
}
