/**
 * Kafka's configuration language: typed keys with defaults and validators, read from Java properties. Error texts equal those of 1.1,
 * since tools and operators match on them.
 */
export type ConfigType = 'BOOLEAN' | 'STRING' | 'INT' | 'SHORT' | 'LONG' | 'DOUBLE' | 'LIST' | 'CLASS' | 'PASSWORD'
export type Importance = 'HIGH' | 'MEDIUM' | 'LOW'

/** Parsed value. LONG beyond 2^53 - 1 is clamped to it (`Long.MAX_VALUE` means "no limit" everywhere in Kafka). */
export type ConfigValue = string | number | boolean | readonly string[] | null

/** A refused configuration. The name is what a genuine broker prints before the message. */
export class ConfigException extends Error {
  override readonly name: string = 'org.apache.kafka.common.config.ConfigException'
}

/** A refused combination of settings; what 1.1 reports as a failed requirement. */
export class IllegalConfigError extends Error {
  override readonly name: string = 'java.lang.IllegalArgumentException'
}

/** `Invalid value V for configuration K: why` */
export function invalidValue(key: string, value: unknown, why: string): ConfigException {
  return new ConfigException(`Invalid value ${showValue(value)} for configuration ${key}: ${why}`)
}

function showValue(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value)
}

export interface Validator {
  /** As DescribeConfigs and the documentation print it, e.g. `[1,...]`. */
  readonly text: string
  /** Why the value is refused, or undefined. */
  check(key: string, value: ConfigValue): ConfigException | undefined
}

export function atLeast(low: number): Validator {
  return {
    text: `[${low},...]`,
    check: (key, value) => rangeError(key, value, low, Number.POSITIVE_INFINITY),
  }
}

export function between(low: number, high: number): Validator {
  return { text: `[${low},...,${high}]`, check: (key, value) => rangeError(key, value, low, high) }
}

function rangeError(key: string, value: ConfigValue, low: number, high: number): ConfigException | undefined {
  if (typeof value !== 'number') return invalidValue(key, value, 'Value must be non-null')
  if (value < low) return invalidValue(key, value, `Value must be at least ${low}`)
  if (value > high) return invalidValue(key, value, `Value must be no more than ${high}`)
  return undefined
}

/** A string out of a fixed set; of a LIST every element. */
export function oneOf(...allowed: readonly string[]): Validator {
  return {
    text: `[${allowed.join(', ')}]`,
    check(key, value) {
      for (const item of Array.isArray(value) ? value : [value]) {
        if (!allowed.includes(item as string)) return invalidValue(key, item, `String must be one of: ${allowed.join(', ')}`)
      }
      return undefined
    },
  }
}

export interface ConfigKey {
  readonly name: string
  readonly type: ConfigType
  /** As written in a properties file; null = not set; undefined = required. */
  readonly default: string | null | undefined
  readonly importance: Importance
  readonly valid?: Validator
}

const INTEGER_LIMITS: Record<'INT' | 'SHORT' | 'LONG', readonly [bigint, bigint]> = {
  SHORT: [-32768n, 32767n],
  INT: [-2147483648n, 2147483647n],
  LONG: [-9223372036854775808n, 9223372036854775807n],
}

const JAVA_DOUBLE = /^[+-]?(NaN|Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?)$/

function parseInteger(key: string, type: 'INT' | 'SHORT' | 'LONG', raw: string, text: string): number {
  const [low, high] = INTEGER_LIMITS[type]
  const whole = /^[+-]?\d+$/.test(text) ? BigInt(text.replace(/^\+/, '')) : undefined
  if (whole === undefined || whole < low || whole > high) throw invalidValue(key, raw, `Not a number of type ${type}`)
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Number(whole)))
}

function parseBoolean(key: string, raw: string, text: string): boolean {
  const lower = text.toLowerCase()
  if (lower !== 'true' && lower !== 'false') throw invalidValue(key, raw, 'Expected value to be either true or false')
  return lower === 'true'
}

function parseDouble(key: string, raw: string, text: string): number {
  if (!JAVA_DOUBLE.test(text)) throw invalidValue(key, raw, 'Not a number of type DOUBLE')
  return Number(text.replace(/[fFdD]$/, ''))
}

/** Text of a properties file to a value. Throws `ConfigException`. */
export function parseConfigValue(key: string, type: ConfigType, raw: string): ConfigValue {
  const text = raw.trim()
  switch (type) {
    case 'BOOLEAN':
      return parseBoolean(key, raw, text)
    case 'INT':
    case 'SHORT':
    case 'LONG':
      return parseInteger(key, type, raw, text)
    case 'DOUBLE':
      return parseDouble(key, raw, text)
    case 'LIST':
      return text === '' ? [] : text.split(/\s*,\s*/)
    case 'PASSWORD':
    case 'STRING':
    case 'CLASS':
      return text
  }
}

/** Parsed settings; the getters throw on a name or type that the definition does not have (a bug of the caller). */
export class ConfigValues {
  /** The properties as given. */
  readonly originals: ReadonlyMap<string, string>
  readonly #values: ReadonlyMap<string, ConfigValue>

  constructor(originals: ReadonlyMap<string, string>, values: ReadonlyMap<string, ConfigValue>) {
    this.originals = originals
    this.#values = values
  }

  get(name: string): ConfigValue {
    const value = this.#values.get(name)
    if (value === undefined) throw new TypeError(`no such configuration: ${name}`)
    return value
  }

  number(name: string): number {
    const value = this.get(name)
    if (typeof value !== 'number') throw new TypeError(`${name} is not a number: ${String(value)}`)
    return value
  }

  numberOrNull(name: string): number | null {
    return this.get(name) === null ? null : this.number(name)
  }

  boolean(name: string): boolean {
    const value = this.get(name)
    if (typeof value !== 'boolean') throw new TypeError(`${name} is not a boolean: ${String(value)}`)
    return value
  }

  string(name: string): string {
    const value = this.get(name)
    if (typeof value !== 'string') throw new TypeError(`${name} is not a string: ${String(value)}`)
    return value
  }

  stringOrNull(name: string): string | null {
    return this.get(name) === null ? null : this.string(name)
  }

  list(name: string): readonly string[] {
    const value = this.get(name)
    if (!Array.isArray(value)) throw new TypeError(`${name} is not a list: ${String(value)}`)
    return value as readonly string[]
  }

  isSet(name: string): boolean {
    return this.originals.has(name)
  }
}

/** A set of keys. Keys are parsed in the order of definition, so that of several wrong values the same one is reported as in 1.1. */
export class ConfigDef {
  readonly keys: readonly ConfigKey[]
  readonly #byName: ReadonlyMap<string, ConfigKey>

  constructor(keys: readonly ConfigKey[]) {
    this.keys = keys
    this.#byName = new Map(keys.map((key) => [key.name, key]))
  }

  key(name: string): ConfigKey | undefined {
    return this.#byName.get(name)
  }

  unknownNames(properties: ReadonlyMap<string, string>): string[] {
    return [...properties.keys()].filter((name) => !this.#byName.has(name))
  }

  /** One value, parsed and validated. */
  parseOne(key: ConfigKey, raw: string | null): ConfigValue {
    const value = raw === null ? null : parseConfigValue(key.name, key.type, raw)
    const error = key.valid?.check(key.name, value)
    if (error) throw error
    return value
  }

  /** All keys, defaults filled in. Throws `ConfigException`. */
  parse(properties: ReadonlyMap<string, string>): ConfigValues {
    const missing = this.keys.filter((key) => key.default === undefined && !properties.has(key.name))
    if (missing.length > 0) {
      throw new ConfigException(`Missing required configuration "${missing[0]!.name}" which has no default value.`)
    }
    const values = new Map<string, ConfigValue>()
    for (const key of this.keys) values.set(key.name, this.parseOne(key, properties.get(key.name) ?? key.default ?? null))
    return new ConfigValues(properties, values)
  }
}
