import { parseProperties } from '../base/properties.ts'
import type { Disk } from '../ports/disk.ts'
import { DiskError } from '../ports/disk.ts'
import { MALFORMED } from './checkpoints.ts'

export const META_PROPERTIES = 'meta.properties'

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const

/**
 * The broker id stored in a log directory; undefined when there is no `meta.properties`. Throws `DiskError` when it is unreadable, of
 * another version or without an id: 1.1 starts with that directory offline.
 */
export function readMetaProperties(disk: Disk, logDir: string): number | undefined {
  const path = `${logDir}/${META_PROPERTIES}`
  if (!disk.exists(path)) return undefined
  const properties = parseProperties(disk.readFile(path).toString('latin1'))
  const version = properties.get('version')
  if (version !== '0') {
    throw new DiskError(MALFORMED, path, `Unrecognized version of the server meta.properties file: ${version ?? 'none'}`)
  }
  const id = properties.get('broker.id')
  if (id === undefined || !/^[+-]?\d+$/.test(id)) {
    throw new DiskError(MALFORMED, path, `broker.id in the server meta.properties file is not a number: ${id ?? 'none'}`)
  }
  return Number(id)
}

/** Writes it as Java's `Properties.store` does; `wall` is milliseconds since 1970. */
export function writeMetaProperties(disk: Disk, logDir: string, brokerId: number, wall: number): void {
  disk.writeFileAtomic(`${logDir}/${META_PROPERTIES}`, `#\n#${javaDate(wall)}\nversion=0\nbroker.id=${brokerId}\n`)
}

/** `Sat Nov 21 11:04:32 UTC 2026`. */
function javaDate(wall: number): string {
  const seconds = Math.floor(wall / 1000)
  const days = Math.floor(seconds / 86_400)
  const [year, month, day] = civilDate(days)
  const two = (value: number) => String(value).padStart(2, '0')
  const ofDay = seconds - days * 86_400
  const time = `${two(Math.floor(ofDay / 3600))}:${two(Math.floor(ofDay / 60) % 60)}:${two(ofDay % 60)}`
  return `${DAYS[(days + 4) % 7]} ${MONTHS[month - 1]} ${two(day)} ${time} UTC ${year}`
}

/** Year, month, day of a day number since 1970-01-01, by walking years and months: this runs once per start. */
function civilDate(days: number): [number, number, number] {
  let [year, left] = [1970, days]
  for (let length = 0; left >= (length = isLeap(year) ? 366 : 365); left -= length) year++
  let month = 1
  for (let length = 0; left >= (length = daysInMonth(year, month)); left -= length) month++
  return [year, month, left + 1]
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}
