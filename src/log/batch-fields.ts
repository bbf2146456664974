import { getInt16, getInt32, getInt64 } from '../base/bytes.ts'
import { BATCH_OVERHEAD, codecOf, magicOf, messageTimestamp } from '../protocol/records/batch.ts'
import { RecordCursor, RecordsError } from '../protocol/records/record.ts'

/**
 * Greatest timestamp by the header. Data on disk may say magic 3 and above (the magic byte is outside the CRC); 1.1 reads it as format 2,
 * and so do the log's own scans.
 */
export function batchMaxTimestamp(buffer: Uint8Array, position: number): number {
  return magicOf(buffer, position) < 2 ? messageTimestamp(buffer, position) : getInt64(buffer, position + 35)
}

export interface EndTxnMarker {
  readonly commit: boolean
  readonly coordinatorEpoch: number
}

/** The marker in a control batch; undefined when the batch is empty (compacted) or holds something else. */
export function readEndTxnMarker(buffer: Uint8Array, position: number): EndTxnMarker | undefined {
  const end = Math.min(buffer.length, position + getInt32(buffer, position + 8) + 12)
  if (getInt32(buffer, position + 57) < 1) return undefined
  let at = position + BATCH_OVERHEAD
  // Length, attributes, timestamp and offset delta; a varint ends with a byte below 128.
  at = skipVarint(buffer, at, end) + 1
  at = skipVarint(buffer, skipVarint(buffer, at, end), end)
  const keyLength = zigZag(buffer[at] ?? 1)
  if (keyLength < 4 || at + 1 + keyLength >= end) return undefined
  const type = getInt16(buffer, at + 3)
  at += 1 + keyLength
  const valueLength = zigZag(buffer[at] ?? 1)
  if ((type !== 0 && type !== 1) || valueLength < 6 || at + 1 + valueLength > end) return undefined
  return { commit: type === 1, coordinatorEpoch: getInt32(buffer, at + 3) }
}

function skipVarint(buffer: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && buffer[at]! >= 0x80) at++
  return at + 1
}

/** A one-byte varint. */
function zigZag(byte: number): number {
  return byte >= 0x80 ? -1 : (byte >>> 1) ^ -(byte & 1)
}

const cursor = new RecordCursor()

/** Offset of the first record: in the header, but for a wrapper of format 0 or 1, whose header has the last one. */
export function firstOffsetOf(buffer: Buffer, position: number): number {
  const inHeader = getInt64(buffer, position)
  if (magicOf(buffer, position) >= 2 || codecOf(buffer, position) === 0) return inHeader
  try {
    return cursor.open(buffer, position).next() ? cursor.offset : inHeader
  } catch (error) {
    if (error instanceof RecordsError) return inHeader
    throw error
  }
}
