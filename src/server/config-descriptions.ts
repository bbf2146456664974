import type { ConfigProperties } from '../../zk/znodes/types.ts'
import type { ConfigType } from '../base/config-def.ts'
import { TOPIC_CONFIG_DEF, TOPIC_CONFIG_KEYS } from '../log/log-config.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { BROKER_CONFIG_KEYS } from './config/broker-config-defs.ts'
import type { DynamicBrokerConfig } from './config/dynamic-broker-config.ts'
import { isDynamic, synonymsOf } from './config/dynamic-keys.ts'
import { showConfigText } from './config/dynamic-texts.ts'
import type { ResponseInput } from './request-types.ts'

export type DescribedConfig = ResponseInput<'DescribeConfigs'>['resources'][number]['configEntries'][number]
type Synonym = NonNullable<DescribedConfig['configSynonyms']>[number]

/** Where a value comes from (DescribeConfigs v1 and later). */
const Source = { TOPIC: 1, DYNAMIC_BROKER: 2, DYNAMIC_DEFAULT_BROKER: 3, STATIC_BROKER: 4, DEFAULT: 5 } as const

const BROKER_TYPES: ReadonlyMap<string, ConfigType> = new Map(BROKER_CONFIG_KEYS.map(({ name, type }) => [name, type]))
const BROKER_DEFAULTS: ReadonlyMap<string, string> = new Map(
  BROKER_CONFIG_KEYS.flatMap(({ name, type, default: value }) =>
    value === null || value === undefined ? [] : [[name, showConfigText(type, value)]],
  ),
)

/**
 * Every place that gives a value for a broker setting, first the one that wins. 1.1 drops what stands before the first place that uses the
 * asked name itself: a setting that holds by a synonym only has no synonyms.
 */
function brokerSynonyms(config: DynamicBrokerConfig, name: string, isSensitive: boolean): Synonym[] {
  const names = synonymsOf(name)
  const found: Synonym[] = []
  const places = [
    [config.ofBroker, Source.DYNAMIC_BROKER],
    [config.clusterDefaults, Source.DYNAMIC_DEFAULT_BROKER],
    [config.fromFile, Source.STATIC_BROKER],
    [BROKER_DEFAULTS, Source.DEFAULT],
  ] as const
  for (const [values, configSource] of places) {
    for (const configName of names) {
      const value = values.get(configName)
      if (value !== undefined) found.push({ configName, configValue: isSensitive ? null : value, configSource })
    }
  }
  const first = found.findIndex(({ configName }) => configName === name)
  return first < 0 ? [] : found.slice(first)
}

function described(
  configName: string,
  value: string | null,
  readOnly: boolean,
  isSensitive: boolean,
  synonyms: readonly Synonym[],
  withSynonyms: boolean,
): DescribedConfig {
  const configSource = synonyms[0]?.configSource ?? Source.DEFAULT
  return {
    configName,
    configValue: isSensitive ? null : value,
    readOnly,
    configSource,
    isDefault: configSource === Source.DEFAULT,
    isSensitive,
    configSynonyms: withSynonyms ? synonyms : [],
  }
}

/** Type of a broker setting; undefined for names that are not Kafka's, which count as sensitive. */
function brokerType(name: string): ConfigType | undefined {
  for (const synonym of synonymsOf(name)) {
    const type = BROKER_TYPES.get(synonym)
    if (type !== undefined) return type
  }
  return undefined
}

function describeBrokerKey(
  config: DynamicBrokerConfig,
  name: string,
  value: string | null,
  perBroker: boolean,
  withSynonyms: boolean,
): DescribedConfig {
  const type = brokerType(name)
  const isSensitive = type === undefined || type === 'PASSWORD'
  const synonyms = brokerSynonyms(config, name, isSensitive).filter(
    ({ configSource }) => perBroker || configSource === Source.DYNAMIC_DEFAULT_BROKER,
  )
  const readOnly = !synonymsOf(name).some(isDynamic)
  return described(name, value, readOnly, isSensitive, synonyms, withSynonyms)
}

/** All settings of this broker, those of its file that are not Kafka's too. */
export function describeBroker(config: DynamicBrokerConfig, withSynonyms: boolean): DescribedConfig[] {
  const { originals } = config.current.values
  const values = new Map<string, string | null>(originals)
  for (const { name, type } of BROKER_CONFIG_KEYS) {
    const raw = originals.get(name)
    values.set(name, raw === undefined ? (BROKER_DEFAULTS.get(name) ?? null) : showConfigText(type, raw))
  }
  return [...values].map(([name, value]) => describeBrokerKey(config, name, value, true, withSynonyms))
}

/** The cluster-wide defaults in ZooKeeper. */
export function describeClusterDefaults(config: DynamicBrokerConfig, withSynonyms: boolean): DescribedConfig[] {
  return [...config.clusterDefaults].map(([name, value]) => describeBrokerKey(config, name, value, false, withSynonyms))
}

/** What a topic without a setting of its own gets from this broker; undefined: 1.1's own default. */
function inheritedText(config: BrokerConfig, brokerKey: string): string | undefined {
  const { originals } = config.values
  switch (brokerKey) {
    case 'log.roll.ms':
      return String(config.logRollMs)
    case 'log.roll.jitter.ms':
      return String(config.logRollJitterMs)
    case 'log.retention.ms':
      return String(config.logRetentionMs)
    case 'log.message.format.version':
      return config.logMessageFormatVersion.name
    case 'log.flush.interval.ms':
      return inheritedFlushInterval(originals)
    default: {
      const raw = originals.get(brokerKey)
      return raw === undefined ? BROKER_DEFAULTS.get(brokerKey) : showConfigText(BROKER_TYPES.get(brokerKey) ?? 'STRING', raw)
    }
  }
}

function inheritedFlushInterval(originals: ReadonlyMap<string, string>): string | undefined {
  const raw = originals.get('log.flush.interval.ms') ?? originals.get('log.flush.scheduler.interval.ms')
  return raw === undefined ? BROKER_DEFAULTS.get('log.flush.scheduler.interval.ms') : showConfigText('LONG', raw)
}

/** A topic's settings; whether the topic exists is not asked, as in 1.1. Throws `ConfigException` for a wrong value in ZooKeeper. */
export function describeTopic(
  config: DynamicBrokerConfig,
  overrides: ConfigProperties,
  withSynonyms: boolean,
): DescribedConfig[] {
  const entries = TOPIC_CONFIG_KEYS.map((key): DescribedConfig => {
    const { name, type, serverDefault } = key
    const own = overrides[name]
    if (own !== undefined) TOPIC_CONFIG_DEF.parseOne(key, own)
    const inherited = serverDefault === undefined ? undefined : inheritedText(config.current, serverDefault)
    const value = own === undefined ? (inherited ?? key.default ?? null) : showConfigText(type, own)
    const synonyms = serverDefault === undefined ? [] : brokerSynonyms(config, serverDefault, false)
    return described(
      name,
      value,
      false,
      false,
      own === undefined ? synonyms : [topicSynonym(name, value), ...synonyms],
      withSynonyms,
    )
  })
  const others = Object.entries(overrides).filter(([name]) => !TOPIC_CONFIG_DEF.key(name))
  return [
    ...entries,
    ...others.map(([name, value]) => described(name, value, false, false, [topicSynonym(name, value)], withSynonyms)),
  ]
}

function topicSynonym(configName: string, configValue: string | null): Synonym {
  return { configName, configValue, configSource: Source.TOPIC }
}
