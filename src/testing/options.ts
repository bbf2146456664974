import type { ConfigType } from '../base/config-def.ts'
import { ConfigException } from '../base/config-def.ts'
import type { LogLevel } from '../base/logger.ts'
import { nearest } from '../client/config/parse.ts'
import type { BrokerConfig } from '../server/config/broker-config.ts'
import { parseBrokerConfig, unknownBrokerKeys } from '../server/config/broker-config.ts'
import type { BrokerKeyOf } from '../server/config/broker-config-defs.ts'
import { BROKER_CONFIG_KEYS, SAMSA_CONFIG_KEYS } from '../server/config/broker-config-defs.ts'

/** What a key of a type may be given as; text is taken for every type, as a properties file has it. */
type Given<T extends ConfigType> = T extends 'INT' | 'LONG' | 'SHORT' | 'DOUBLE'
  ? number | string
  : T extends 'BOOLEAN'
    ? boolean | 'true' | 'false'
    : T extends 'LIST'
      ? readonly string[] | string
      : string

/** What the cluster sets by itself, since the brokers would not find each other otherwise. */
type OwnKey = 'broker.id' | 'zookeeper.connect' | 'log.dir' | 'log.dirs'

/** `server.properties` of a 1.1 broker, by Kafka's names. */
export type BrokerProperties = {
  readonly [K in BrokerKeyOf as Exclude<K['name'], OwnKey>]?: Given<K['type']> | undefined
}

export interface ClusterOptions {
  /** How many brokers; their ids are 0, 1, 2, ... Default 1. */
  readonly brokers?: number | undefined
  /** For all brokers. A wrong key or value makes `startCluster` reject with an error that names it. */
  readonly properties?: BrokerProperties | undefined
  /** What differs from `properties`, by broker id. */
  readonly brokerProperties?: { readonly [id: number]: BrokerProperties } | undefined
  /**
   * Where logs and ZooKeeper's data are kept; a later cluster goes on with them. Default: in memory, gone with `stop`. (A relative path is
   * that of the process.)
   */
  readonly directory?: string | undefined
  /** Sessions of the brokers at ZooKeeper, milliseconds; default 2000. Matters only where a session is left to lapse. */
  readonly sessionTimeoutMs?: number | undefined
  /** From which level on the brokers' log is printed; default `off`. */
  readonly logLevel?: LogLevel | undefined
  /** Gets the log instead of standard output: whole lines with their newline, each beginning with `broker <id> `. */
  readonly onLog?: ((line: string) => void) | undefined
}

export const DEFAULT_SESSION_TIMEOUT_MS = 2000

/** A cluster option that is not of its kind. */
function refuse(option: string, value: unknown, why: string): never {
  throw new ConfigException(`Invalid value ${String(value)} for option ${option}: ${why}`)
}

const OPTION_NAMES: readonly string[] = [
  'brokers',
  'properties',
  'brokerProperties',
  'directory',
  'sessionTimeoutMs',
  'logLevel',
  'onLog',
] satisfies readonly (keyof ClusterOptions)[]

const LOG_LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error', 'off'] satisfies readonly LogLevel[]

/** Throws a ConfigException that names the option and its value. */
export function checkOptions(options: ClusterOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!OPTION_NAMES.includes(name)) refuse(name, value, `no such option; there are ${OPTION_NAMES.join(', ')}`)
  }
  const { brokers, sessionTimeoutMs, directory, logLevel, brokerProperties } = options
  if (brokers !== undefined && (!Number.isInteger(brokers) || brokers < 1)) refuse('brokers', brokers, 'a whole number from 1 on')
  if (
    sessionTimeoutMs !== undefined &&
    !(sessionTimeoutMs >= 2 * ZOOKEEPER_TICK_MS && sessionTimeoutMs <= MAX_SESSION_TIMEOUT_MS)
  ) {
    refuse('sessionTimeoutMs', sessionTimeoutMs, `from ${2 * ZOOKEEPER_TICK_MS} to ${MAX_SESSION_TIMEOUT_MS} milliseconds`)
  }
  if (directory === '') refuse('directory', directory, 'a path, or leave it out for a cluster in memory')
  if (logLevel !== undefined && !LOG_LEVELS.includes(logLevel)) refuse('logLevel', logLevel, `one of ${LOG_LEVELS.join(', ')}`)
  for (const id of Object.keys(brokerProperties ?? {})) {
    if (!(Number(id) < (brokers ?? 1))) refuse('brokerProperties', id, `no such broker; there are ${brokers ?? 1}, from 0 on`)
  }
}

export const ZOOKEEPER_TICK_MS = 100
export const MAX_SESSION_TIMEOUT_MS = 3_600_000

/** Where a broker of the cluster lives. */
export interface BrokerPlace {
  readonly id: number
  readonly zookeeperConnect: string
  readonly logDir: string
  /** 0: any free one. */
  readonly port: number
}

/**
 * Kafka's defaults, except where they are made for large clusters that start slowly: as many replicas of the state topics as there are brokers
 * (three at most), few partitions of them, no wait for the first members of a group, short pauses while leaders are moved away.
 */
export function brokerConfig(options: ClusterOptions, place: BrokerPlace): BrokerConfig {
  const replicas = Math.min(3, options.brokers ?? 1)
  const properties = new Map<string, string>([
    ['listeners', `PLAINTEXT://127.0.0.1:${place.port}`],
    ['offsets.topic.replication.factor', `${replicas}`],
    ['offsets.topic.num.partitions', '5'],
    ['transaction.state.log.replication.factor', `${replicas}`],
    ['transaction.state.log.min.isr', `${Math.min(2, replicas)}`],
    ['transaction.state.log.num.partitions', '5'],
    ['group.initial.rebalance.delay.ms', '0'],
    ['controlled.shutdown.retry.backoff.ms', '200'],
    ['zookeeper.session.timeout.ms', `${options.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS}`],
    ['zookeeper.connection.timeout.ms', '10000'],
  ])
  for (const given of [options.properties ?? {}, options.brokerProperties?.[place.id] ?? {}]) {
    for (const [key, value] of Object.entries(given)) if (value !== undefined) properties.set(key, textOf(key, value))
  }
  refuseOwnKeys(properties)
  properties.set('broker.id', `${place.id}`)
  properties.set('zookeeper.connect', place.zookeeperConnect)
  properties.set('log.dirs', place.logDir)
  refuseUnknownKeys(properties)
  return parseBrokerConfig(properties)
}

function textOf(key: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(',')
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return `${value}`
  throw new ConfigException(
    `Invalid value ${String(value)} for configuration ${key}: text, a number, true or false, or a list of texts`,
  )
}

function refuseOwnKeys(properties: ReadonlyMap<string, string>): void {
  for (const key of ['broker.id', 'zookeeper.connect', 'log.dir', 'log.dirs'] satisfies OwnKey[]) {
    if (properties.has(key)) {
      throw new ConfigException(
        `Invalid value ${properties.get(key)} for configuration ${key}: the test cluster sets it by itself`,
      )
    }
  }
}

/** A genuine broker warns of them; in a test nobody reads warnings. */
function refuseUnknownKeys(properties: ReadonlyMap<string, string>): void {
  for (const key of unknownBrokerKeys(properties)) {
    const known = [...BROKER_CONFIG_KEYS, ...SAMSA_CONFIG_KEYS].map(({ name }) => name)
    const near = nearest(key, known)
    throw new ConfigException(
      `Unknown configuration "${key}" of a broker.${near === undefined ? '' : ` Did you mean "${near}"?`}`,
    )
  }
}
