/** Standard input as records: 1.1's `LineMessageReader`. */
import { StringDecoder } from 'node:string_decoder'
import { ToolError } from '../tool.ts'
import { isTrue } from './key-values.ts'

export interface LineRecord {
  readonly topic: string
  /** Null: none. */
  readonly key: string | null
  readonly value: string
}

/** Texts in pieces to lines: a line ends with a line feed, a carriage return, or both. What follows the last one is a line, too. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''
  /** The last piece ended with a carriage return: a line feed that follows belongs to it. */
  #afterReturn = false

  push(bytes: Buffer): string[] {
    let text = this.#decoder.write(bytes)
    if (text === '') return []
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1)
    this.#afterReturn = false
    if (text === '') return []
    this.#afterReturn = text.endsWith('\r')
    const lines = (this.#rest + text).split(text.includes('\r') ? /\r\n|\r|\n/ : '\n')
    this.#rest = lines.pop() ?? ''
    return lines
  }

  /** The line that nothing ended. */
  end(): string[] {
    const text = this.#rest + this.#decoder.end()
    this.#rest = ''
    return text === '' ? [] : [text]
  }
}

export class LineParser {
  readonly #topic: string
  readonly #parsesKey: boolean
  readonly #separator: string
  readonly #ignoresErrors: boolean
  #number = 0

  /** `properties`: `--property`, which may also name another topic. */
  constructor(topic: string, properties: ReadonlyMap<string, string>) {
    this.#topic = properties.get('topic') ?? topic
    this.#parsesKey = isTrue(properties, 'parse.key')
    this.#separator = properties.get('key.separator') ?? '\t'
    this.#ignoresErrors = isTrue(properties, 'ignore.error')
  }

  /** Throws `ToolError` for a line without a key, unless `ignore.error` says that it has none. */
  parse(line: string): LineRecord {
    this.#number++
    const topic = this.#topic
    if (!this.#parsesKey) return { topic, key: null, value: line }
    const at = line.indexOf(this.#separator)
    if (at >= 0) return { topic, key: line.slice(0, at), value: line.slice(at + this.#separator.length) }
    if (this.#ignoresErrors) return { topic, key: null, value: line }
    throw new ToolError('kafka.common.KafkaException', `No key found on line ${this.#number}: ${line}`)
  }
}
