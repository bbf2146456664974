/** Configurations of the clients: Kafka's dotted keys, typed, with the defaults and the rules of 1.1.1. */
import { ConfigException } from '../errors.ts'
import { adminKeys } from './admin-defs.ts'
import { commonKeys } from './common-defs.ts'
import { consumerKeys } from './consumer-defs.ts'
import type { KeyDefs, OptionsOf, ValuesOf } from './keys.ts'
import { parseOptions } from './parse.ts'
import { producerKeys } from './producer-defs.ts'

export {
  commonOfOldConsumer,
  commonOfOldProducer,
  type OldConsumerConfig,
  type OldConsumerOptions,
  type OldProducerConfig,
  type OldProducerOptions,
  oldConsumerConfig,
  oldProducerConfig,
} from './classic.ts'
export { oldConsumerKeys } from './classic-consumer-defs.ts'
export { oldProducerKeys } from './classic-producer-defs.ts'
export type { KeyDef, KeyDefs, OptionsOf, ValuesOf } from './keys.ts'
export { parseOptions } from './parse.ts'
export { adminKeys, commonKeys, consumerKeys, producerKeys }

export type CommonConfig = ValuesOf<typeof commonKeys>
/** Keys and values as users of the producer write them. */
export type ProducerOptions = OptionsOf<typeof producerKeys>
export type ProducerConfig = ValuesOf<typeof producerKeys>
export type ConsumerOptions = OptionsOf<typeof consumerKeys>
export type ConsumerConfig = ValuesOf<typeof consumerKeys>
export type AdminOptions = OptionsOf<typeof adminKeys>
export type AdminConfig = ValuesOf<typeof adminKeys>

const clients: Readonly<Record<string, KeyDefs>> = { producer: producerKeys, consumer: consumerKeys, 'admin client': adminKeys }

/** Throws `ConfigException`. Idempotence fills in acks, retries as 1.1 does. */
export function producerConfig(options: ProducerOptions): ProducerConfig {
  const config = parseOptions(producerKeys, options, 'producer', clients)
  checkCommon(config)
  return withIdempotence(config, options)
}

/** Throws `ConfigException`. */
export function consumerConfig(options: ConsumerOptions): ConsumerConfig {
  const config = parseOptions(consumerKeys, options, 'consumer', clients)
  checkCommon(config)
  const timeout = config['request.timeout.ms']
  for (const key of ['session.timeout.ms', 'fetch.max.wait.ms'] as const) {
    if (timeout <= config[key])
      throw new ConfigException(`request.timeout.ms should be greater than ${key}: ${timeout} <= ${config[key]}`)
  }
  const { 'heartbeat.interval.ms': heartbeat, 'session.timeout.ms': session } = config
  if (heartbeat >= session)
    throw new ConfigException(`heartbeat.interval.ms must be less than session.timeout.ms: ${heartbeat} >= ${session}`)
  return config
}

/** Throws `ConfigException`. */
export function adminConfig(options: AdminOptions): AdminConfig {
  const config = parseOptions(adminKeys, options, 'admin client', clients)
  checkCommon(config)
  return config
}

function checkCommon(config: CommonConfig): void {
  const bootstrap = config['bootstrap.servers']
  const zookeeper = config['zookeeper.connect']
  if (bootstrap.length === 0 && zookeeper === '')
    throw new ConfigException('Either bootstrap.servers or zookeeper.connect must be given: where is the cluster?')
  if (bootstrap.length > 0 && zookeeper !== '')
    throw new ConfigException(
      'bootstrap.servers and zookeeper.connect are both given; give the one that brokers shall be found by',
    )
  parseAddresses(bootstrap)
  if (config['security.protocol'] !== 'PLAINTEXT')
    throw new ConfigException(
      `Invalid value ${config['security.protocol']} for configuration security.protocol: these clients speak PLAINTEXT only`,
    )
}

function withIdempotence(config: ProducerConfig, options: ProducerOptions): ProducerConfig {
  const transactional = config['transactional.id'] !== null
  if (transactional && options['enable.idempotence'] !== undefined && !config['enable.idempotence'])
    throw new ConfigException('Cannot set a transactional.id without also enabling idempotence.')
  if (!transactional && !config['enable.idempotence']) return config
  if (options.retries !== undefined && config.retries === 0)
    throw new ConfigException('Must set retries to non-zero when using the idempotent producer.')
  if (options.acks !== undefined && config.acks !== 'all' && config.acks !== '-1')
    throw new ConfigException(
      'Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.',
    )
  if (config['max.in.flight.requests.per.connection'] > 5)
    throw new ConfigException('Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.')
  return {
    ...config,
    'enable.idempotence': true,
    acks: 'all',
    retries: options.retries === undefined ? 2_147_483_647 : config.retries,
  }
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** `host:port`, `[v6]:port`, each also with `LISTENER://` in front. Throws `ConfigException` naming the entry. */
export function parseAddresses(servers: readonly string[]): HostPort[] {
  return servers
    .filter((text) => text !== '')
    .map((text) => {
      const match = /^(?:[A-Za-z_]+:\/\/)?(?:\[([0-9a-zA-Z\-%._:]+)\]|([0-9a-zA-Z\-%._]+)):(\d{1,5})$/.exec(text.trim())
      const port = Number(match?.[3])
      if (match === null || port < 1 || port > 65_535) throw new ConfigException(`Invalid url in bootstrap.servers: ${text}`)
      return { host: match[1] ?? match[2] ?? '', port }
    })
}
