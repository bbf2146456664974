/** `--property` and its kin: `key=value` words as 1.1 splits them. */
import { ToolError } from '../tool.ts'

/** Words of which at least one has more than one `=`; exit 1. */
export class InvalidPropertiesError extends Error {
  constructor(words: readonly string[]) {
    super(`Invalid command line properties: ${words.join(' ')}`)
  }
}

/** Java's `String.split("=")`: empty parts at the end are left out. */
function split(word: string): string[] {
  const parts = word.split('=')
  while (parts.length > 1 && parts.at(-1) === '') parts.pop()
  return parts
}

/** A key without a value has an empty one; later ones win. Throws `InvalidPropertiesError`. */
export function keyValues(words: readonly string[]): Map<string, string> {
  const values = new Map<string, string>()
  for (const word of words) {
    const [key = '', value = '', ...rest] = split(word)
    if (rest.length > 0) throw new InvalidPropertiesError(words)
    values.set(key, value)
  }
  return values
}

/** The same for the tools that refuse a key without a value. Throws `ToolError`. */
export function strictKeyValues(words: readonly string[]): Map<string, string> {
  const values = new Map<string, string>()
  for (const word of words) {
    const parts = split(word)
    if (parts.length !== 2) throw new ToolError('java.lang.IllegalArgumentException', `Invalid property: ${word}`)
    values.set(parts[0] ?? '', parts[1] ?? '')
  }
  return values
}

/** A property that is on when it says `true` in any case; `absent` when it was not given. */
export function isTrue(properties: ReadonlyMap<string, string>, key: string, absent = false): boolean {
  const text = properties.get(key)
  return text === undefined ? absent : text.trim().toLowerCase() === 'true'
}
