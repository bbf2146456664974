/**
 * Java's properties format: `key=value`, `key:value` or `key value`; `#` and `!` comments; a backslash at the end of a line continues it;
 * `\t \n \r \f \uXXXX` escapes, any other escaped character stands for itself. Later keys win.
 */
export function parseProperties(text: string): Map<string, string> {
  const result = new Map<string, string>()
  for (const line of logicalLines(text)) {
    const [key, value] = splitLine(line)
    result.set(unescapeText(key), unescapeText(value))
  }
  return result
}

/** Lines without comments and blank ones, continuations joined. */
function* logicalLines(text: string): Generator<string> {
  let pending: string | undefined
  for (const natural of text.split(/\r\n|\n|\r/)) {
    const line = natural.replace(/^[ \t\f]+/, '')
    if (pending === undefined && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    const joined = (pending ?? '') + line
    if (endsWithOddBackslashes(line)) {
      pending = joined.slice(0, -1)
      continue
    }
    pending = undefined
    yield joined
  }
  if (pending !== undefined && pending !== '') yield pending
}

function endsWithOddBackslashes(line: string): boolean {
  let count = 0
  while (count < line.length && line[line.length - 1 - count] === '\\') count++
  return count % 2 === 1
}

function splitLine(line: string): [string, string] {
  let at = 0
  while (at < line.length && !'=: \t\f'.includes(line[at]!)) at += line[at] === '\\' ? 2 : 1
  const key = line.slice(0, at)
  const rest = line.slice(at).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '')
  return [key, rest]
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescapeText(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(u([0-9a-fA-F]{4})|[\s\S])/g, (_, escaped: string, hex: string | undefined) =>
    hex === undefined ? (ESCAPES[escaped] ?? escaped) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
