/** Times as Java's `SimpleDateFormat` prints them, in English and local time. */
import { ToolError } from '../tool.ts'

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

type Field = (time: Date, width: number) => string

const number =
  (value: (time: Date) => number): Field =>
  (time, width) =>
    String(value(time)).padStart(width, '0')

const text =
  (names: readonly string[], value: (time: Date) => number): Field =>
  (time, width) => {
    const name = names[value(time)] ?? ''
    return width >= 4 ? name : name.slice(0, 3)
  }

const month = (time: Date): number => time.getMonth()

function zone(time: Date): string {
  const minutes = -time.getTimezoneOffset()
  const two = (n: number): string => String(Math.trunc(n)).padStart(2, '0')
  return `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}${two(Math.abs(minutes) % 60)}`
}

const year: Field = (time, width) =>
  width === 2 ? String(time.getFullYear() % 100).padStart(2, '0') : String(time.getFullYear()).padStart(width, '0')

const fields: Readonly<Record<string, Field>> = {
  G: () => 'AD',
  y: year,
  Y: year,
  M: (time, width) => (width >= 3 ? text(MONTHS, month)(time, width) : number((t) => month(t) + 1)(time, width)),
  d: number((time) => time.getDate()),
  D: number(
    (time) =>
      Math.round((new Date(time).setHours(12, 0, 0, 0) - new Date(time.getFullYear(), 0, 1, 12).getTime()) / 86_400_000) + 1,
  ),
  E: text(DAYS, (time) => time.getDay()),
  u: number((time) => time.getDay() || 7),
  a: (time) => (time.getHours() < 12 ? 'AM' : 'PM'),
  H: number((time) => time.getHours()),
  k: number((time) => time.getHours() || 24),
  K: number((time) => time.getHours() % 12),
  h: number((time) => time.getHours() % 12 || 12),
  m: number((time) => time.getMinutes()),
  s: number((time) => time.getSeconds()),
  S: number((time) => time.getMilliseconds()),
  z: (time) => `GMT${zone(time).slice(0, 3)}:${zone(time).slice(3)}`,
  Z: zone,
  X: (time, width) => {
    const offset = zone(time)
    if (offset === '+0000') return 'Z'
    return width === 1 ? offset.slice(0, 3) : width === 2 ? offset : `${offset.slice(0, 3)}:${offset.slice(3)}`
  },
}

/** Throws `ToolError` for a letter that is none of Java's, and for those of weeks, which are not known here. */
export function dateFormat(pattern: string): (wall: number) => string {
  const parts = [...pattern.matchAll(/'((?:[^']|'')*)'|([a-zA-Z])\2*|[^a-zA-Z']+/g)].map(([part, quoted, letter]) => {
    if (quoted !== undefined) return () => (quoted === '' ? "'" : quoted.replaceAll("''", "'"))
    if (letter === undefined) return () => part
    const field = fields[letter]
    if (field === undefined) {
      throw new ToolError('java.lang.IllegalArgumentException', `Illegal pattern character '${letter}'`)
    }
    return (time: Date) => field(time, part.length)
  })
  return (wall) => {
    const time = new Date(wall)
    return parts.map((part) => part(time)).join('')
  }
}
