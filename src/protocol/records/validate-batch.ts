import { crc32, crc32c } from '../../base/crc.ts'
import { BATCH_OVERHEAD, batchSize, magicOf, storedCrc } from './batch.ts'

/** The least total size that the fields of a format need. */
const LEAST_SIZE = [26, 34, BATCH_OVERHEAD] as const

/** Whether the CRC is right and the size holds the header; `nextBatch` has found the entry whole. Inner records are not looked at. */
export function isValidBatch(buffer: Uint8Array, position: number): boolean {
  const size = batchSize(buffer, position)
  const magic = magicOf(buffer, position)
  if (size < LEAST_SIZE[magic]!) return false
  const computed = magic === 2 ? crc32c(buffer, position + 21, position + size) : crc32(buffer, position + 16, position + size)
  return computed === storedCrc(buffer, position)
}
