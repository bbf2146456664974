import type { ConfigKey } from '../../base/config-def.ts'
import { atLeast, ConfigDef } from '../../base/config-def.ts'
import { BROKER_CONFIG_KEYS } from './broker-config-defs.ts'

/** Which settings may change while the broker runs, and under which names a setting can be given (KIP-226). */

const LONG_MAX = '9223372036854775807'

/** Settings of a broker that stand only in ZooKeeper. */
const DYNAMIC_ONLY_KEYS: readonly ConfigKey[] = [
  'leader.replication.throttled.rate',
  'follower.replication.throttled.rate',
  'replica.alter.log.dirs.io.max.bytes.per.second',
].map((name) => ({ name, type: 'LONG', default: LONG_MAX, importance: 'MEDIUM', valid: atLeast(0) }))

const PER_BROKER_KEYS: ReadonlySet<string> = new Set(
  BROKER_CONFIG_KEYS.filter(({ updateMode }) => updateMode === 'perBroker').map(({ name }) => name),
)
const DYNAMIC_KEYS = BROKER_CONFIG_KEYS.filter(({ updateMode }) => updateMode !== 'readOnly')
const DYNAMIC_NAMES: ReadonlySet<string> = new Set(DYNAMIC_KEYS.map(({ name }) => name))
const READ_ONLY_NAMES: ReadonlySet<string> = new Set(
  BROKER_CONFIG_KEYS.filter(({ updateMode }) => updateMode === 'readOnly').map(({ name }) => name),
)

/** To be changed with a listener's prefix only: the stores that a listener reads again. All other security settings pass without one. */
const SECURITY_NAMES: ReadonlySet<string> = new Set([
  'ssl.keystore.type',
  'ssl.keystore.location',
  'ssl.keystore.password',
  'ssl.key.password',
])

/** What AlterConfigs checks types and ranges of. */
export const DYNAMIC_BROKER_CONFIG_DEF: ConfigDef = new ConfigDef(
  // None is required, and defaults are not looked at.
  [...DYNAMIC_KEYS, ...DYNAMIC_ONLY_KEYS].map((key) => ({ ...key, default: key.default ?? null })),
)

const LISTENER_PREFIX = /^listener\.name\.[^.]*\.(.*)$/

/** The name without `listener.name.<listener>.`; undefined when it has no such prefix. */
export function withoutListener(name: string): string | undefined {
  return LISTENER_PREFIX.exec(name)?.[1]
}

export function isDynamic(name: string): boolean {
  return DYNAMIC_NAMES.has(name)
}

export function isReadOnly(name: string): boolean {
  return READ_ONLY_NAMES.has(name)
}

export function isSecurity(name: string): boolean {
  return SECURITY_NAMES.has(name)
}

/** Is it kept encrypted? */
export function isPassword(name: string): boolean {
  return DYNAMIC_BROKER_CONFIG_DEF.key(withoutListener(name) ?? name)?.type === 'PASSWORD'
}

/** May it only be given for one broker? */
export function isPerBroker(name: string): boolean {
  return PER_BROKER_KEYS.has(name) || withoutListener(name) !== undefined
}

const SYNONYM_GROUPS: readonly (readonly string[])[] = [
  ['log.roll.ms', 'log.roll.hours'],
  ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
]

/** All names that may give this setting, first the one that wins. */
export function synonymsOf(name: string): readonly string[] {
  if (name === 'log.flush.interval.ms') return [name, 'log.flush.scheduler.interval.ms']
  const base = withoutListener(name)
  return SYNONYM_GROUPS.find((group) => group.includes(name)) ?? (base === undefined ? [name] : [name, base])
}
