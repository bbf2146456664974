import { TOPIC_CONFIG_KEYS } from '../../log/log-config.ts'
import type { BrokerConfig } from './broker-config.ts'

/** Broker keys whose effective value follows from several settings. */
function derived(config: BrokerConfig): Readonly<Record<string, number>> {
  return {
    'log.roll.ms': config.logRollMs,
    'log.roll.jitter.ms': config.logRollJitterMs,
    'log.retention.ms': config.logRetentionMs,
    'log.flush.interval.ms': config.logFlushIntervalMs,
  }
}

/** Defaults of the topic configs by this broker's settings: topic key -> value as text. */
export function topicDefaultsOfBroker(config: BrokerConfig): Record<string, string> {
  const byRule = derived(config)
  const defaults: Record<string, string> = {}
  for (const { name, serverDefault } of TOPIC_CONFIG_KEYS) {
    if (serverDefault === undefined) continue
    const value = byRule[serverDefault] ?? config.values.get(serverDefault)
    if (value !== null) defaults[name] = Array.isArray(value) ? value.join(',') : String(value)
  }
  return defaults
}
