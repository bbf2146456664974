import type { RecordsInput } from '../base/bytes.ts'
import { downConvert, needsDownConversion } from '../protocol/records/index.ts'

/** Newest message format that a reader of a Fetch version knows. */
export function magicForFetch(apiVersion: number): 0 | 1 | 2 {
  if (apiVersion <= 1) return 0
  return apiVersion <= 3 ? 1 : 2
}

/**
 * The records in the format of an older reader; undefined when they can go out as they are. A slice of which nothing remains (only markers)
 * is sent unchanged, so that the reader notices. Throws `RecordsError` for records that cannot be read.
 */
export function convertForFetch(records: RecordsInput, toMagic: 0 | 1 | 2, fetchOffset: number): Buffer | undefined {
  if (records === null) return undefined
  const bytes = records instanceof Uint8Array ? records : Buffer.allocUnsafe(records.size)
  if (!(records instanceof Uint8Array)) records.copyTo(bytes, 0)
  if (!needsDownConversion(bytes, toMagic)) return undefined
  const converted = downConvert(bytes, toMagic, fetchOffset)
  return converted.length === 0 ? undefined : converted
}
