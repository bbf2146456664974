import type { EmbeddedZooKeeperOptions } from './index.ts'

/** Options of a `zookeeper.properties` file, and what there is to say about its keys. */
export interface ParsedProperties {
  readonly options: EmbeddedZooKeeperOptions
  readonly warnings: readonly string[]
}

const NUMBERS = ['clientPort', 'tickTime', 'minSessionTimeout', 'maxSessionTimeout', 'maxClientCnxns', 'snapCount'] as const
/** Keys of the genuine server that mean nothing to a single server of this kind; accepted silently. */
const MEANINGLESS =
  /^(initLimit|syncLimit|dataLogDir|admin\..*|4lw\.commands\.whitelist|autopurge\..*|standaloneEnabled|metricsProvider\..*)$/

/**
 * Reads the `key=value` lines of a ZooKeeper configuration. Throws an Error that names key and value for a wrong value, a missing
 * `dataDir` or `clientPort`, and for an ensemble, which this server cannot be part of.
 */
export function parseZooKeeperProperties(text: string, overrides: readonly string[] = []): ParsedProperties {
  const values = new Map<string, string>()
  for (const line of [...joinLines(text), ...overrides]) addLine(values, line)
  const warnings: string[] = []
  const numbers: Partial<Record<(typeof NUMBERS)[number], number>> = {}
  for (const [key, value] of values) {
    const number = NUMBERS.find((name) => name === key)
    if (number !== undefined) numbers[number] = parseNumber(key, value)
    else if (
      !['dataDir', 'clientPortAddress', 'forceSync'].includes(key) &&
      !key.startsWith('server.') &&
      !MEANINGLESS.test(key)
    ) {
      warnings.push(`unknown configuration key ${key} (value ${value}) is ignored`)
    }
  }
  const servers = [...values.keys()].filter((key) => key.startsWith('server.'))
  if (servers.length > 1)
    throw new Error(`${servers.join(', ')}: this server is always a single one; use a real ZooKeeper ensemble`)
  const dataDir = values.get('dataDir')
  if (dataDir === undefined || dataDir === '') throw new Error('dataDir is not set')
  if (numbers.clientPort === undefined) throw new Error('clientPort is not set')
  const { clientPort, ...rest } = numbers
  const fsync = values.get('forceSync') !== 'no'
  return { options: { ...rest, port: clientPort, host: values.get('clientPortAddress'), dataDir, fsync }, warnings }
}

/** A line that ends with a backslash goes on in the next one. */
function joinLines(text: string): string[] {
  return text.replace(/\\\r?\n\s*/g, '').split(/\r?\n/)
}

function addLine(values: Map<string, string>, line: string): void {
  const trimmed = line.trim()
  if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) return
  const match = /^([^=:\s]+)\s*[=:\s]\s*(.*)$/.exec(trimmed)
  if (match === null) throw new Error(`line without a value: ${trimmed}`)
  values.set(match[1]!, match[2]!)
}

function parseNumber(key: string, value: string): number {
  const number = Number(value)
  if (!/^-?\d+$/.test(value) || number < (key.endsWith('SessionTimeout') ? -1 : 0))
    throw new Error(`${key}: not a valid number: ${value}`)
  if (key === 'clientPort' && number > 65535) throw new Error(`clientPort: not a port: ${value}`)
  if (key === 'tickTime' && number === 0) throw new Error('tickTime: must be larger than 0')
  return number
}
