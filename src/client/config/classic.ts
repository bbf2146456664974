/** Configurations of the classic clients, checked as 1.1.1 checks them. */
import { ConfigException } from '../errors.ts'
import { oldConsumerKeys } from './classic-consumer-defs.ts'
import { oldProducerKeys } from './classic-producer-defs.ts'
import { commonKeys } from './common-defs.ts'
import { consumerKeys } from './consumer-defs.ts'
import type { CommonConfig } from './index.ts'
import type { OptionsOf, ValuesOf } from './keys.ts'
import { parseOptions } from './parse.ts'
import { producerKeys } from './producer-defs.ts'

export type OldConsumerOptions = OptionsOf<typeof oldConsumerKeys>
type DerivedKey = 'zookeeper.connection.timeout.ms' | 'rebalance.backoff.ms' | 'client.id' | 'dual.commit.enabled'
type OldConsumerValues = ValuesOf<typeof oldConsumerKeys>
/** With the defaults that depend on other keys filled in. */
export type OldConsumerConfig = Omit<OldConsumerValues, DerivedKey> & {
  readonly [K in DerivedKey]: NonNullable<OldConsumerValues[K]>
}
export type OldProducerOptions = OptionsOf<typeof oldProducerKeys>
export type OldProducerConfig = ValuesOf<typeof oldProducerKeys>

const LEGAL = /^[a-zA-Z0-9._-]*$/

function checkName(key: string, value: string): void {
  if (!LEGAL.test(value)) {
    throw new ConfigException(
      `Invalid value ${value} for configuration ${key}: it has a character other than ASCII alphanumerics, '.', '_' and '-'`,
    )
  }
}

/** Throws `ConfigException`. */
export function oldConsumerConfig(options: OldConsumerOptions): OldConsumerConfig {
  const values = parseOptions(oldConsumerKeys, options, 'old consumer', { consumer: consumerKeys })
  for (const key of ['zookeeper.connect', 'group.id'] as const)
    if (values[key] === '') throw new ConfigException(`Missing required configuration "${key}" of the old consumer`)
  checkName('group.id', values['group.id'])
  checkName('client.id', values['client.id'] ?? '')
  const { 'fetch.wait.max.ms': wait, 'socket.timeout.ms': timeout } = values
  if (timeout < wait)
    throw new ConfigException(`socket.timeout.ms should always be at least fetch.wait.max.ms: ${timeout} < ${wait}`)
  return {
    ...values,
    'zookeeper.connection.timeout.ms': values['zookeeper.connection.timeout.ms'] ?? values['zookeeper.session.timeout.ms'],
    'rebalance.backoff.ms': values['rebalance.backoff.ms'] ?? values['zookeeper.sync.time.ms'],
    'client.id': values['client.id'] ?? values['group.id'],
    'dual.commit.enabled': values['dual.commit.enabled'] ?? values['offsets.storage'] === 'kafka',
  }
}

/** Throws `ConfigException`. */
export function oldProducerConfig(options: OldProducerOptions): OldProducerConfig {
  const config = parseOptions(oldProducerKeys, options, 'old producer', { producer: producerKeys })
  if (config['metadata.broker.list'].length === 0)
    throw new ConfigException('Missing required configuration "metadata.broker.list" of the old producer')
  checkName('client.id', config['client.id'])
  const { 'batch.num.messages': batch, 'queue.buffering.max.messages': queue } = config
  if (config['producer.type'] === 'async' && batch > queue)
    throw new ConfigException(`batch.num.messages = ${batch} can't be larger than queue.buffering.max.messages = ${queue}`)
  return config
}

/** What `ClusterClient` needs to know, out of an old consumer's configuration. */
export function commonOfOldConsumer(config: OldConsumerConfig): CommonConfig {
  return parseOptions(
    commonKeys,
    {
      'zookeeper.connect': config['zookeeper.connect'],
      'zookeeper.session.timeout.ms': config['zookeeper.session.timeout.ms'],
      'zookeeper.connection.timeout.ms': config['zookeeper.connection.timeout.ms'],
      'client.id': config['client.id'],
      'retry.backoff.ms': config['refresh.leader.backoff.ms'],
      'request.timeout.ms': config['socket.timeout.ms'],
    },
    'old consumer',
  )
}

/** A response may take longer than the broker's own wait for acknowledgements: its answer to a wait in vain must still be read. */
const ANSWER_MS = 1000

/** What `ClusterClient` needs to know, out of an old producer's configuration. */
export function commonOfOldProducer(config: OldProducerConfig): CommonConfig {
  const interval = config['topic.metadata.refresh.interval.ms']
  return parseOptions(
    commonKeys,
    {
      'bootstrap.servers': config['metadata.broker.list'],
      'client.id': config['client.id'],
      'retry.backoff.ms': config['retry.backoff.ms'],
      'request.timeout.ms': config['request.timeout.ms'] + ANSWER_MS,
      'metadata.max.age.ms': interval <= 0 ? Number.POSITIVE_INFINITY : interval,
    },
    'old producer',
  )
}
