import { getInt16, getInt32, getInt64, getUint32, putInt32, putInt64 } from '../../base/bytes.ts'

/**
 * Header fields of a batch at `position` of a buffer: no objects, no bounds checks (`nextBatch` has checked the size). "Batch" is an
 * entry of a record set in any format: a message of format 0 or 1 (plain or wrapper), or a batch of format 2. int64 fields are carriers
 * as base/int64.ts says.
 */

/** Offset and size fields: what every entry starts with. */
export const LOG_OVERHEAD = 12
/** Header of a format 2 batch, up to the first record. */
export const BATCH_OVERHEAD = 61
/** Least `size` field of a message: crc, magic, attributes, key and value lengths. */
export const MIN_MESSAGE_SIZE = 14
/** Bytes needed before an entry's format is known. */
export const MAGIC_POSITION = 16

export type Magic = 0 | 1 | 2
export type TimestampType = 'CreateTime' | 'LogAppendTime'

export const NO_TIMESTAMP = -1

export const ATTRIBUTE_CODEC = 0x07
export const ATTRIBUTE_LOG_APPEND_TIME = 0x08
export const ATTRIBUTE_TRANSACTIONAL = 0x10
export const ATTRIBUTE_CONTROL = 0x20

/** `nextBatch`: fewer bytes left than the entry needs; normal at the end of a fetched record set. */
export const INCOMPLETE = 0
/** `nextBatch`: size below the minimum or unknown format: nothing behind it can be read. */
export const CORRUPT = -1

/**
 * Size in bytes of the entry at `position`, INCOMPLETE or CORRUPT. The loop over a record set:
 * `for (let size; (size = nextBatch(buffer, at, end)) > 0; at += size)`.
 */
export function nextBatch(buffer: Uint8Array, position: number, end: number): number {
  const left = end - position
  if (left < LOG_OVERHEAD) return INCOMPLETE
  const size = getInt32(buffer, position + 8)
  if (size < MIN_MESSAGE_SIZE) return CORRUPT
  if (left <= MAGIC_POSITION) return INCOMPLETE
  if (buffer[position + MAGIC_POSITION]! > 2) return CORRUPT
  return left < size + LOG_OVERHEAD ? INCOMPLETE : size + LOG_OVERHEAD
}

/** Bytes of whole entries at the front of a record set. */
export function validBytes(buffer: Uint8Array, position = 0, end: number = buffer.length): number {
  let at = position
  for (let size = 0; (size = nextBatch(buffer, at, end)) > 0; ) at += size
  return at - position
}

/** Total size of the entry, as its size field says. */
export function batchSize(buffer: Uint8Array, position: number): number {
  return getInt32(buffer, position + 8) + LOG_OVERHEAD
}

export function magicOf(buffer: Uint8Array, position: number): number {
  return buffer[position + MAGIC_POSITION]!
}

/** The offset field: base offset (format 2), last offset (formats 0 and 1). */
export function offsetField(buffer: Uint8Array, position: number): number {
  return getInt64(buffer, position)
}

/** First offset that a format 2 batch covers; of a message or wrapper its last. */
export function baseOffset(buffer: Uint8Array, position: number): number {
  return getInt64(buffer, position)
}

export function lastOffset(buffer: Uint8Array, position: number): number {
  const offset = getInt64(buffer, position)
  return buffer[position + MAGIC_POSITION]! < 2 ? offset : offset + getInt32(buffer, position + 23)
}

/** -1 below format 2. */
export function partitionLeaderEpoch(buffer: Uint8Array, position: number): number {
  return buffer[position + MAGIC_POSITION]! < 2 ? -1 : getInt32(buffer, position + 12)
}

export function storedCrc(buffer: Uint8Array, position: number): number {
  return getUint32(buffer, position + (buffer[position + MAGIC_POSITION]! < 2 ? 12 : 17))
}

/** int8 in formats 0 and 1, int16 in format 2. */
export function attributesOf(buffer: Uint8Array, position: number): number {
  return buffer[position + MAGIC_POSITION]! < 2 ? (buffer[position + 17]! << 24) >> 24 : getInt16(buffer, position + 21)
}

/** 0 none, 1 gzip, 2 snappy, 3 lz4; 4 - 7 are unknown to 1.1. */
export function codecOf(buffer: Uint8Array, position: number): number {
  return attributesOf(buffer, position) & ATTRIBUTE_CODEC
}

export function isLogAppendTime(buffer: Uint8Array, position: number): boolean {
  return magicOf(buffer, position) > 0 && (attributesOf(buffer, position) & ATTRIBUTE_LOG_APPEND_TIME) !== 0
}

export function isTransactional(buffer: Uint8Array, position: number): boolean {
  return magicOf(buffer, position) > 1 && (attributesOf(buffer, position) & ATTRIBUTE_TRANSACTIONAL) !== 0
}

export function isControlBatch(buffer: Uint8Array, position: number): boolean {
  return magicOf(buffer, position) > 1 && (attributesOf(buffer, position) & ATTRIBUTE_CONTROL) !== 0
}

/** Timestamp of a message or wrapper of format 1; -1 in format 0. */
export function messageTimestamp(buffer: Uint8Array, position: number): number {
  return magicOf(buffer, position) === 0 ? NO_TIMESTAMP : getInt64(buffer, position + 18)
}

/** Greatest timestamp of the batch as its header says; -1 in format 0. */
export function maxTimestamp(buffer: Uint8Array, position: number): number {
  return magicOf(buffer, position) === 2 ? getInt64(buffer, position + 35) : messageTimestamp(buffer, position)
}

// Format 2 only.

export function lastOffsetDelta(buffer: Uint8Array, position: number): number {
  return getInt32(buffer, position + 23)
}

export function firstTimestamp(buffer: Uint8Array, position: number): number {
  return getInt64(buffer, position + 27)
}

/** -1: none. */
export function producerId(buffer: Uint8Array, position: number): number {
  return magicOf(buffer, position) < 2 ? -1 : getInt64(buffer, position + 43)
}

/** -1: none. */
export function producerEpoch(buffer: Uint8Array, position: number): number {
  return magicOf(buffer, position) < 2 ? -1 : getInt16(buffer, position + 51)
}

/** -1: none. */
export function baseSequence(buffer: Uint8Array, position: number): number {
  return magicOf(buffer, position) < 2 ? -1 : getInt32(buffer, position + 53)
}

export function recordsCount(buffer: Uint8Array, position: number): number {
  return getInt32(buffer, position + 57)
}

/** Sequence numbers run from 0 to 2^31 - 1 and start again at 0. */
export function incrementSequence(sequence: number, by: number): number {
  const next = sequence + by
  return next > 2147483647 ? next - 2147483648 : next
}

/** -1: none. */
export function lastSequence(buffer: Uint8Array, position: number): number {
  const first = baseSequence(buffer, position)
  return first < 0 ? -1 : incrementSequence(first, lastOffsetDelta(buffer, position))
}

/** Stamps the first offset; outside the CRC. For formats 0 and 1 it is the (last) offset of the entry. */
export function putBaseOffset(buffer: Uint8Array, position: number, offset: number): void {
  putInt64(buffer, position, offset)
}

/** Stamps the leader epoch of a format 2 batch; outside the CRC. */
export function putLeaderEpoch(buffer: Uint8Array, position: number, leaderEpoch: number): void {
  putInt32(buffer, position + 12, leaderEpoch)
}
