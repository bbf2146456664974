/** Moments as the tools that reset offsets take them. */
import { ToolError } from './tool.ts'

const DATE_TIME = /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)(Z|[+-]\d\d(?::?\d\d)?)/

/**
 * `2018-01-31T10:15:00.000`, UTC unless a zone stands behind it. Fields may overflow into the next, as in Java's lenient calendar. Throws
 * `ToolError` with 1.1's words.
 */
export function parseDateTime(text: string): number {
  const [, time] = text.split('T')
  if (time === undefined) throw new ToolError('java.lang.ArrayIndexOutOfBoundsException', 'Index 1 out of bounds for length 1')
  const zoned = /[+\-Z]/.test(time) ? text : `${text}Z`
  const match = DATE_TIME.exec(zoned)
  if (match === null) throw new ToolError('java.text.ParseException', `Unparseable date: "${zoned}"`)
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0, ms = 0] = match
    .slice(1, 8)
    .map((field) => Number(field ?? 0))
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.setUTCHours(hour, minute, second, ms) - zoneOffsetMs(match[8] ?? 'Z')
}

function zoneOffsetMs(zone: string): number {
  if (zone === 'Z') return 0
  const [hours = 0, minutes = 0] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(':', ''))]
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

const DURATION = /^(-?)P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d*)?|\.\d+)S)?)?$/

/** The moment that lies an XML Schema duration (`P1DT2H`) before `now`. Throws `ToolError` with 1.1's words. */
export function beforeNow(text: string, now: number): number {
  const match = DURATION.exec(text)
  if (match === null) throw new ToolError('java.lang.IllegalArgumentException', text)
  const sign = match[1] === '-' ? 1 : -1
  const [years = 0, months = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(2).map((field) => Number(field ?? 0))
  const date = new Date(now)
  addMonths(date, sign * (years * 12 + months))
  date.setDate(date.getDate() + sign * days)
  return date.getTime() + sign * Math.trunc((hours * 3600 + minutes * 60 + seconds) * 1000)
}

/** The same day of another month, or that month's last. */
function addMonths(date: Date, months: number): void {
  const day = date.getDate()
  date.setDate(1)
  date.setMonth(date.getMonth() + months)
  const last = new Date(date.getFullYear(), date.getMonth() + 1, 0).getDate()
  date.setDate(Math.min(day, last))
}
