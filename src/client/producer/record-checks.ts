/** What the sender of a record may say of it. */
import { IllegalArgumentException } from '../errors.ts'

export function invalidPartition(partition: number): IllegalArgumentException {
  return new IllegalArgumentException(`Invalid partition: ${partition}. Partition number should always be non-negative or null.`)
}

export function checkedTimestamp(given: number): number {
  if (!(given >= 0) || !Number.isSafeInteger(given))
    throw new IllegalArgumentException(`Invalid timestamp: ${given}. Timestamp should always be non-negative or null.`)
  return given
}
