import { ErrorCode } from '../errors.ts'
import { baseOffset, CORRUPT, lastOffset, magicOf, maxTimestamp, nextBatch } from './batch.ts'
import { isValidBatch } from './validate-batch.ts'

/** What a follower learns about fetched bytes before it appends them. */
export interface FollowerCheck {
  /** 0; CORRUPT_MESSAGE; OFFSET_OUT_OF_RANGE when offsets do not rise or start below `logEndOffset`; MESSAGE_TOO_LARGE. */
  readonly error: number
  readonly message: string | undefined
  /** Bytes of whole entries; a cut one at the end is left out. */
  readonly validBytes: number
  readonly batches: number
  /** Of a first entry of format 0 or 1 this is its last offset. -1 without entries. */
  readonly firstOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  /** Last offset of the entry with the greatest timestamp. */
  readonly offsetOfMaxTimestamp: number
}

/** Fetched bytes keep their offsets: CRC of each entry, rising offsets, first offset at or after `logEndOffset`. */
export function checkFollowerAppend(
  buffer: Buffer,
  logEndOffset: number,
  maxMessageBytes = Number.POSITIVE_INFINITY,
): FollowerCheck {
  let at = 0
  let size = 0
  let first = -1
  let last = -1
  let batches = 0
  let max = -1
  let offsetOfMax = -1
  const end = (error: number, message?: string): FollowerCheck => {
    return {
      error,
      message,
      validBytes: at,
      batches,
      firstOffset: first,
      lastOffset: last,
      maxTimestamp: max,
      offsetOfMaxTimestamp: offsetOfMax,
    }
  }
  while ((size = nextBatch(buffer, at, buffer.length)) > 0) {
    const from = baseOffset(buffer, at)
    const to = lastOffset(buffer, at)
    if (size > maxMessageBytes)
      return end(ErrorCode.MESSAGE_TOO_LARGE, `batch of ${size} bytes exceeds max.message.bytes ${maxMessageBytes}`)
    if (!isValidBatch(buffer, at)) return end(ErrorCode.CORRUPT_MESSAGE, `batch of ${size} bytes at byte ${at} is corrupt`)
    if (!Number.isSafeInteger(to) || to < from || (batches > 0 && (magicOf(buffer, at) === 2 ? from : to) <= last)) {
      return end(ErrorCode.OFFSET_OUT_OF_RANGE, `offsets ${from} to ${to} do not follow ${last}`)
    }
    if (batches === 0) {
      first = from
      if (from < logEndOffset) return end(ErrorCode.OFFSET_OUT_OF_RANGE, `offset ${from} is below the log end ${logEndOffset}`)
    }
    const timestamp = maxTimestamp(buffer, at)
    if (timestamp > max) {
      max = timestamp
      offsetOfMax = to
    }
    last = to
    batches++
    at += size
  }
  return size === CORRUPT
    ? end(ErrorCode.CORRUPT_MESSAGE, `no record set: bad size or format of the entry at byte ${at}`)
    : end(0)
}
