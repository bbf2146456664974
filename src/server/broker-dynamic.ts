import type { KafkaZk } from '../../zk/store/types.ts'
import type { ConfigProperties } from '../../zk/znodes/types.ts'
import { ConfigException } from '../base/config-def.ts'
import type { Logger } from '../base/logger.ts'
import type { LogCleaner } from '../log/cleaner/log-cleaner.ts'
import { TOPIC_CONFIG_KEYS } from '../log/log-config.ts'
import type { Clock } from '../ports/clock.ts'
import type { ReplicaManager } from '../replication/types.ts'
import { cleanerOptions } from './broker-parts.ts'
import type { ClientQuotaConfigs } from './client-quota-configs.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import type { ConfigFollower, DynamicBrokerConfig } from './config/dynamic-broker-config.ts'
import { DEFAULT_BROKERS_ENTITY } from './config/dynamic-broker-config.ts'
import { isPassword } from './config/dynamic-keys.ts'
import { topicDefaultsOfBroker } from './config/topic-defaults.ts'
import { ConfigChangeListener } from './config-change-listener.ts'
import type { TopicConfigs } from './topic-configs.ts'

/** What follows changes of the broker's configuration while it runs (KIP-226). */
export interface DynamicParts {
  readonly replicas: ReplicaManager
  readonly topicConfigs: TopicConfigs
  /** The log cleaner, when there is one. */
  cleaner?(): LogCleaner | undefined
  /** Opens and closes listeners by name, then registers what is advertised now. */
  changeListeners(next: BrokerConfig, previous: BrokerConfig): Promise<void>
}

const CLEANER_SETTINGS: ReadonlySet<string> = new Set([
  'log.cleaner.threads',
  'log.cleaner.dedupe.buffer.size',
  'log.cleaner.io.buffer.load.factor',
  'log.cleaner.io.buffer.size',
  'log.cleaner.io.max.bytes.per.second',
  'log.cleaner.backoff.ms',
  'message.max.bytes',
])

const THREADS: ReadonlySet<string> = new Set([
  'num.io.threads',
  'num.network.threads',
  'num.replica.fetchers',
  'num.recovery.threads.per.data.dir',
  'background.threads',
])

/** 1.1 resizes its pools step by step: at most double, at least half. */
function checkThreads(next: BrokerConfig, now: BrokerConfig): void {
  for (const name of THREADS) {
    const [wanted, current] = [next.values.number(name), now.values.number(name)]
    if (wanted === current) continue
    const problem = `Dynamic thread count update validation failed for ${name}=${wanted}`
    if (wanted <= 0) throw new ConfigException(`${problem}, value should be at least 1`)
    if (wanted < Math.floor(current / 2)) {
      throw new ConfigException(`${problem}, value should be at least half the current value ${current}`)
    }
    if (wanted > current * 2) {
      throw new ConfigException(`${problem}, value should not be greater than double the current value ${current}`)
    }
  }
}

function checkCleanerThreads(next: BrokerConfig, now: BrokerConfig): void {
  const name = 'log.cleaner.threads'
  const [wanted, current] = [next.values.number(name), now.values.number(name)]
  if (wanted < 1) throw new ConfigException('Log cleaner threads should be at least 1')
  if (wanted < Math.floor(current / 2)) {
    throw new ConfigException(`Log cleaner threads cannot be reduced to less than half the current value ${current}`)
  }
  if (wanted > current * 2) {
    throw new ConfigException(`Log cleaner threads cannot be increased to more than double the current value ${current}`)
  }
}

/** A listener that stays keeps its protocol; what brokers talk over must stay advertised. */
function checkListeners(next: BrokerConfig, now: BrokerConfig): void {
  for (const { listenerName, securityProtocol } of next.listeners) {
    const known = now.listeners.find((listener) => listener.listenerName === listenerName)
    if (known && known.securityProtocol !== securityProtocol) {
      throw new ConfigException(`Security protocol cannot be updated for existing listener ${listenerName}`)
    }
  }
  if (next.interBrokerListenerName !== now.interBrokerListenerName) {
    throw new ConfigException(`Advertised listener must be specified for inter-broker listener ${now.interBrokerListenerName}`)
  }
}

/** Follows `/config/changes`: what has changed is read again. */
export function configChangeListener(
  zk: KafkaZk,
  dynamic: DynamicBrokerConfig,
  brokerId: number,
  { replicas, topicConfigs, quotas }: Pick<DynamicParts, 'replicas' | 'topicConfigs'> & { readonly quotas: ClientQuotaConfigs },
  host: { readonly clock: Clock; readonly logger: Logger },
): ConfigChangeListener {
  const log = host.logger.child('', 'kafka.server.DynamicConfigManager')
  return new ConfigChangeListener({
    zk,
    clock: host.clock,
    log,
    apply: async ({ type, entity }) => {
      let properties: ConfigProperties
      if (type === 'brokers') {
        properties = (await zk.getConfigs('brokers', [entity])).get(entity) ?? {}
        await readDynamicConfig(zk, dynamic, brokerId, [entity])
      } else if (type === 'topics') {
        const config = (await topicConfigs.read([entity])).get(entity)
        if (config) replicas.updateTopicConfig(entity, config)
        properties = topicConfigs.overrides(entity)
      } else {
        await quotas.read(type, [entity])
        properties = quotas.get(`${type}/${entity}`)
      }
      log.info(`Processing override for entityPath: ${type}/${entity} with config: ${shown(properties)}`)
    },
  })
}

/** As a Scala map; what may be a secret is hidden. */
function shown(properties: ConfigProperties): string {
  const isHidden = (name: string): boolean => isPassword(name) || name.startsWith('SCRAM-')
  const entries = Object.entries(properties).map(([name, value]) => `${name} -> ${isHidden(name) ? '[hidden]' : value}`)
  return `Map(${entries.join(', ')})`
}

/** What `/config/brokers` says of all brokers and of this one; `entities`: what has changed. */
export async function readDynamicConfig(
  zk: Pick<KafkaZk, 'getConfigs'>,
  dynamic: DynamicBrokerConfig,
  brokerId: number,
  entities: readonly string[] = [DEFAULT_BROKERS_ENTITY, String(brokerId)],
): Promise<void> {
  const configs = await zk.getConfigs('brokers', entities)
  for (const entity of entities) {
    const properties = configs.get(entity) ?? {}
    if (entity === DEFAULT_BROKERS_ENTITY) await dynamic.setClusterDefaults(properties)
    else if (entity === String(brokerId)) await dynamic.setOfBroker(properties)
  }
}

/**
 * Threads, cleaner, topic defaults, listeners: each told of the settings that concern it. `unclean.leader.election.enable` needs no telling:
 * the controller looks at it in every election (and, as in 1.1, begins none because of it).
 */
export function followConfigChanges(dynamic: DynamicBrokerConfig, parts: DynamicParts): void {
  const { replicas, topicConfigs } = parts
  const followers: ConfigFollower[] = [
    {
      names: THREADS,
      validate: checkThreads,
      apply: (next, previous) => {
        const name = 'num.replica.fetchers'
        if (next.values.number(name) !== previous.values.number(name)) replicas.resizeFetchers()
      },
    },
    {
      names: CLEANER_SETTINGS,
      validate: checkCleanerThreads,
      apply: (next) => parts.cleaner?.()?.reconfigure(cleanerOptions(next)),
    },
    {
      names: new Set(TOPIC_CONFIG_KEYS.flatMap(({ serverDefault }) => serverDefault ?? [])),
      validate: () => {},
      apply: (next) => {
        topicConfigs.changeDefaults(topicDefaultsOfBroker(next))
        const topics = new Set([...replicas.partitions()].map(({ topic }) => topic))
        for (const topic of topics) replicas.updateTopicConfig(topic, topicConfigs.get(topic))
      },
    },
    {
      names: new Set(['listeners', 'advertised.listeners', 'listener.security.protocol.map']),
      validate: checkListeners,
      apply: parts.changeListeners,
    },
  ]
  for (const follower of followers) dynamic.follow(follower)
}
