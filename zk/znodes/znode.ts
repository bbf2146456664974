import { type JsonObject, type JsonValue, parseJson } from './json.ts'

/** A znode whose content is not what Kafka puts there. Names the path and, where there is one, the field. */
export class ZnodeError extends Error {
  override readonly name = 'ZnodeError'
  readonly path: string
  readonly field: string | undefined
  constructor(path: string, field: string | undefined, problem: string) {
    super(field === undefined ? `${path}: ${problem}` : `${path}: field "${field}" ${problem}`)
    this.path = path
    this.field = field
  }
}

const INT32_MIN = -0x8000_0000
const INT32_MAX = 0x7fff_ffff

function shown(value: JsonValue | undefined): string {
  if (value === undefined) return 'is missing'
  const plain = value instanceof Map ? 'an object' : JSON.stringify(value)
  return `is ${plain.length > 60 ? `${plain.slice(0, 60)}...` : plain}`
}

/** Fields of a JSON object by the rules of 1.1's readers: exact types, unknown fields ignored, a missing required field is an error. */
export class Fields {
  readonly path: string
  readonly #object: JsonObject
  readonly #prefix: string

  constructor(path: string, object: JsonObject, prefix = '') {
    this.path = path
    this.#object = object
    this.#prefix = prefix
  }

  /** Throws ZnodeError unless `data` is a JSON object. Null data (never written) is not an empty object. */
  static of(path: string, data: Buffer | null): Fields {
    return new Fields(path, objectOf(path, undefined, jsonOf(path, data)))
  }

  /** JSON null counts as absent. */
  has(name: string): boolean {
    return (this.#object.get(name) ?? null) !== null
  }

  keys(): string[] {
    return [...this.#object.keys()]
  }

  int(name: string): number {
    return int(this.path, this.#prefix + name, this.#object.get(name))
  }

  /** An integer within 2^53. */
  long(name: string): number {
    const value = this.#object.get(name)
    if (typeof value !== 'number') throw this.error(name, `${shown(value)}, not an integer`)
    return value
  }

  /** An integer written as a string of digits. */
  longText(name: string): number {
    const text = this.text(name)
    const value = Number(text)
    if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
      throw this.error(name, `is ${JSON.stringify(text)}, not an integer within 2^53`)
    return value
  }

  text(name: string): string {
    const value = this.#object.get(name)
    if (typeof value !== 'string') throw this.error(name, `${shown(value)}, not a string`)
    return value
  }

  ints(name: string): readonly number[] {
    const list = this.#list(name)
    if (list.every(isInt)) return list
    return list.map((item, i) => int(this.path, `${this.#prefix}${name}[${i}]`, item))
  }

  texts(name: string): string[] {
    return this.#list(name).map((item, i) => {
      if (typeof item === 'string') return item
      throw this.error(`${name}[${i}]`, `${shown(item)}, not a string`)
    })
  }

  object(name: string): Fields {
    const field = this.#prefix + name
    return new Fields(this.path, objectOf(this.path, field, this.#object.get(name)), `${field}.`)
  }

  objects(name: string): Fields[] {
    return this.#list(name).map((item, i) => {
      const field = `${this.#prefix}${name}[${i}]`
      return new Fields(this.path, objectOf(this.path, field, item), `${field}.`)
    })
  }

  error(name: string, problem: string): ZnodeError {
    return new ZnodeError(this.path, this.#prefix + name, problem)
  }

  #list(name: string): readonly JsonValue[] {
    const value = this.#object.get(name)
    if (!Array.isArray(value)) throw this.error(name, `${shown(value)}, not an array`)
    return value as readonly JsonValue[]
  }
}

export function jsonOf(path: string, data: Buffer | null): JsonValue {
  if (data === null) throw new ZnodeError(path, undefined, 'has no data')
  try {
    return parseJson(data.toString('utf8'))
  } catch (error) {
    throw new ZnodeError(path, undefined, `${(error as Error).message}: ${JSON.stringify(data.toString('utf8', 0, 80))}`)
  }
}

function objectOf(path: string, field: string | undefined, value: JsonValue | undefined): JsonObject {
  if (value instanceof Map) return value as JsonObject
  throw new ZnodeError(path, field, `${shown(value)}, not an object`)
}

function isInt(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && value >= INT32_MIN && value <= INT32_MAX
}

function int(path: string, field: string, value: JsonValue | undefined): number {
  if (!isInt(value)) throw new ZnodeError(path, field, `${shown(value)}, not a 32-bit integer`)
  return value
}

/** The data of a znode that holds plain text. */
export function textOf(path: string, data: Buffer | null): string {
  if (data === null) throw new ZnodeError(path, undefined, 'has no data')
  return data.toString('utf8')
}

/** The data of a znode that holds one decimal integer as text. */
export function integerOf(path: string, data: Buffer | null): number {
  const text = textOf(path, data)
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new ZnodeError(path, undefined, `holds ${JSON.stringify(text.slice(0, 40))}, not a decimal integer`)
  return value
}

/** The number that ZooKeeper appended to the name of a sequential node. Throws when `name` is not `prefix` and digits. */
export function sequenceOf(directory: string, prefix: string, name: string): number {
  const digits = name.slice(prefix.length)
  if (!name.startsWith(prefix) || !/^-?\d+$/.test(digits))
    throw new ZnodeError(`${directory}/${name}`, undefined, `is not ${prefix} and a number`)
  return Number(digits)
}
