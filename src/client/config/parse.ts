/** Options to values: one parser for all clients. */
import { type ConfigValue, type ConfigException as DefinitionError, parseConfigValue } from '../../base/config-def.ts'
import { ConfigException } from '../errors.ts'
import type { KeyDef, KeyDefs, OptionsOf, ValuesOf } from './keys.ts'

/**
 * Fills in defaults, takes text for numbers, booleans and lists (as from a properties file), checks types and ranges. Undefined counts as
 * left out. Throws `ConfigException` that names the key and, for an unknown key or word, the nearest known one. `elsewhere` are the keys
 * of the other clients, for the message about one that is in the wrong place.
 */
export function parseOptions<D extends KeyDefs>(
  defs: D,
  options: OptionsOf<D>,
  what: string,
  elsewhere: Readonly<Record<string, KeyDefs>> = {},
): ValuesOf<D> {
  const values: Record<string, unknown> = {}
  for (const [key, def] of Object.entries(defs)) values[key] = def.default
  for (const [key, given] of Object.entries(options)) {
    if (given === undefined) continue
    const def = Object.hasOwn(defs, key) ? defs[key] : undefined
    if (def === undefined) throw unknownKey(key, defs, what, elsewhere)
    values[key] = parseValue(key, def, given)
  }
  return values as ValuesOf<D>
}

function unknownKey(key: string, defs: KeyDefs, what: string, elsewhere: Readonly<Record<string, KeyDefs>>): ConfigException {
  const owner = Object.keys(elsewhere).find((name) => Object.hasOwn(elsewhere[name] ?? {}, key))
  const near = nearest(key, Object.keys(defs))
  const hint = owner !== undefined ? ` It is a key of the ${owner}.` : near === undefined ? '' : ` Did you mean "${near}"?`
  return new ConfigException(`Unknown ${what} configuration "${key}".${hint}`)
}

function parseValue(key: string, def: KeyDef<unknown, unknown>, given: unknown): unknown {
  if (def.type === 'OBJECT') {
    const fault = given === null && def.default === null ? undefined : def.check?.(given)
    if (fault !== undefined) throw new ConfigException(`Invalid value ${show(given)} for configuration ${key}: ${fault}`)
    return given
  }
  const value = typed(key, def, given)
  const error = def.valid?.check(key, value)
  if (error !== undefined) throw refused(error, def, given)
  return value
}

function typed(key: string, def: KeyDef<unknown, unknown>, given: unknown): ConfigValue {
  if (given === null) {
    if (def.default === null) return null
    throw new ConfigException(`Invalid value null for configuration ${key}: ${def.type} expected`)
  }
  if (typeof given === 'string' && def.type !== 'OBJECT') {
    try {
      return parseConfigValue(key, def.type, given)
    } catch (error) {
      throw refused(error as DefinitionError, def, given)
    }
  }
  const value = plain(def, given)
  if (value === undefined) {
    throw new ConfigException(
      `Invalid value ${show(given)} for configuration ${key}: ${def.type} expected, not ${Array.isArray(given) ? 'an array' : typeof given}`,
    )
  }
  return value
}

/** A JavaScript value of the right type; undefined for any other. */
function plain(def: KeyDef<unknown, unknown>, given: unknown): ConfigValue | undefined {
  switch (def.type) {
    case 'INT':
    case 'SHORT':
      return typeof given === 'number' && (given | 0) === given ? given : undefined
    case 'LONG':
      // Infinity is how JavaScript says Long.MAX_VALUE.
      if (given === Number.POSITIVE_INFINITY) return Number.MAX_SAFE_INTEGER
      return typeof given === 'number' && Number.isSafeInteger(given) ? given : undefined
    case 'DOUBLE':
      return typeof given === 'number' ? given : undefined
    case 'BOOLEAN':
      return typeof given === 'boolean' ? given : undefined
    case 'LIST':
      return Array.isArray(given) && given.every((one) => typeof one === 'string') ? given : undefined
    default:
      // acks: 1
      return typeof given === 'number' && def.allowed?.includes(String(given)) ? String(given) : undefined
  }
}

function refused(error: Error, def: KeyDef<unknown, unknown>, given: unknown): ConfigException {
  const near = def.allowed === undefined ? undefined : nearest(String(given), def.allowed)
  return new ConfigException(near === undefined ? error.message : `${error.message}. Did you mean "${near}"?`)
}

function show(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? `[${value.join(', ')}]` : 'object'
  return String(value)
}

/** The candidate with the fewest edits from `text`, if these are at most a third of it (at least two) and leave something of it. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let fewest = Math.min(Math.max(2, Math.floor(text.length / 3)) + 1, Math.max(1, text.length))
  for (const candidate of candidates) {
    const edits = editDistance(normal(text), normal(candidate))
    if (edits >= fewest) continue
    fewest = edits
    best = candidate
  }
  return best
}

/** `lingerMs`, `linger_ms` and `linger-ms` are all near to `linger.ms`. */
function normal(text: string): string {
  return text
    .replace(/([a-z])([A-Z])/g, '$1.$2')
    .replace(/[_-]/g, '.')
    .toLowerCase()
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let k = 1; k <= b.length; k++) {
      const change = row[k - 1]! + (a[i - 1] === b[k - 1] ? 0 : 1)
      next.push(Math.min(change, row[k]! + 1, next[k - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
