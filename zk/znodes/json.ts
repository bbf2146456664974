/**
 * JSON as Kafka needs it, which `JSON` is not: objects keep the order of their keys (`{"1":..,"0":..}` is a partition map that must be
 * written back as it was), and an integer is told from `1.0` and `1e0`, which Kafka's readers refuse.
 */

/** A number that is not an integer within 2^53: only its text is kept. */
export interface OtherNumber {
  readonly number: string
}
export type JsonObject = ReadonlyMap<string, JsonValue>
export type JsonValue = string | number | boolean | null | OtherNumber | readonly JsonValue[] | JsonObject

/** Throws a SyntaxError that says where. A repeated key keeps its last value, as Jackson does. */
export function parseJson(text: string): JsonValue {
  const parser = new Parser(text)
  const value = parser.value(0)
  parser.end()
  return value
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y
const MAX_DEPTH = 100
/** So many digits are an integer within 2^53 whatever they are. */
const SAFE_DIGITS = 15

const TAB = 9
const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const SPACE = 32
const QUOTE = 34
const MINUS = 45
const DOT = 46
const ZERO = 48
const NINE = 57
const BACKSLASH = 92

class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw this.#error('is nested too deep')
    this.#space()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  end(): void {
    this.#space()
    if (this.#at < this.#text.length) throw this.#error('goes on after its end')
  }

  #object(depth: number): JsonObject {
    const object = new Map<string, JsonValue>()
    this.#at++
    this.#space()
    if (this.#take('}')) return object
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') throw this.#error('lacks a key')
      const key = this.#string()
      this.#space()
      if (!this.#take(':')) throw this.#error('lacks a colon')
      object.set(key, this.value(depth + 1))
      this.#space()
    } while (this.#take(','))
    if (!this.#take('}')) throw this.#error('lacks }')
    return object
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = []
    this.#at++
    this.#space()
    if (this.#take(']')) return array
    do {
      array.push(this.value(depth + 1))
      this.#space()
    } while (this.#take(','))
    if (!this.#take(']')) throw this.#error('lacks ]')
    return array
  }

  #string(): string {
    const start = this.#at + 1
    let plain = start
    let code = this.#text.charCodeAt(plain)
    while (code >= SPACE && code !== QUOTE && code !== BACKSLASH) code = this.#text.charCodeAt(++plain)
    if (code === QUOTE) {
      this.#at = plain + 1
      return this.#text.slice(start, plain)
    }
    // Something is escaped: find the end, and let the platform unescape.
    let end = this.#at + 1
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1
    try {
      const value = JSON.parse(this.#text.slice(this.#at, end + 1)) as string
      this.#at = end + 1
      return value
    } catch {
      throw this.#error('has a broken string')
    }
  }

  #number(): number | OtherNumber {
    return this.#shortInteger() ?? this.#anyNumber()
  }

  /** Nearly every number in a znode is one. */
  #shortInteger(): number | undefined {
    const isNegative = this.#text.charCodeAt(this.#at) === MINUS
    const start = isNegative ? this.#at + 1 : this.#at
    let end = start
    let value = 0
    let code = this.#text.charCodeAt(end)
    while (code >= ZERO && code <= NINE) {
      value = 10 * value + code - ZERO
      code = this.#text.charCodeAt(++end)
    }
    const digits = end - start
    const hasZeroAhead = digits > 1 && this.#text.charCodeAt(start) === ZERO
    if (digits === 0 || digits > SAFE_DIGITS || hasZeroAhead || code === DOT || (code | 32) === 0x65) return undefined
    this.#at = end
    return isNegative ? -value : value
  }

  #anyNumber(): number | OtherNumber {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (match === null) throw this.#error('has an unexpected character')
    this.#at = NUMBER.lastIndex
    const number = Number(match[0])
    return match[1] === undefined && match[2] === undefined && Number.isSafeInteger(number) ? number : { number: match[0] }
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#error('has an unexpected word')
    this.#at += word.length
    return value
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== SPACE && code !== LINE_FEED && code !== TAB && code !== CARRIAGE_RETURN) return
      this.#at++
    }
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #error(what: string): SyntaxError {
    return new SyntaxError(`the JSON ${what} at position ${this.#at}`)
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

function quoted(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be escaped
  return `"${text.replace(/["\\\u0000-\u001f]/g, (c) => ESCAPES[c] ?? `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`)}"`
}

/** Compact, keys in the order of the maps, escaped as Jackson escapes. */
export function writeJson(value: JsonValue): string {
  if (typeof value === 'string') return quoted(value)
  if (value === null || typeof value !== 'object') return String(value)
  if (value instanceof Map) {
    const fields = [...(value as JsonObject)].map(([key, item]) => `${quoted(key)}:${writeJson(item)}`)
    return `{${fields.join(',')}}`
  }
  if (Array.isArray(value)) return `[${(value as readonly JsonValue[]).map(writeJson).join(',')}]`
  return (value as OtherNumber).number
}

export function jsonBytes(value: JsonValue): Buffer {
  return Buffer.from(writeJson(value))
}

/** An object from pairs; an undefined value leaves its key out. */
export function jsonObject(...pairs: readonly (readonly [string, JsonValue | undefined])[]): JsonObject {
  return new Map(pairs.filter((pair): pair is [string, JsonValue] => pair[1] !== undefined))
}
