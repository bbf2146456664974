import { DecodeError, int64FromBigInt, int64ToBigInt } from './bytes.ts'

/**
 * Zigzag varints of format 2 records: n >= 0 becomes 2n, n < 0 becomes -2n - 1, then 7 bits per byte, least significant first.
 * A varint is an int32 in at most 5 bytes, a varlong an int64 (carrier, see int64.ts) in at most 10.
 */

/** A place to read from; `readVarint` moves `position`. A ByteReader is one. */
export interface VarintSource {
  readonly buffer: Uint8Array
  position: number
  readonly end: number
}

function truncated(at: number): never {
  throw new DecodeError(`varint at byte ${at} runs past the end`)
}

/** Throws `DecodeError` past the end or beyond 5 bytes. */
export function readVarint(source: VarintSource): number {
  const { buffer, end } = source
  const start = source.position
  let at = start
  let raw = 0
  for (let shift = 0; shift <= 28; shift += 7) {
    if (at >= end) truncated(start)
    const byte = buffer[at++]!
    raw |= (byte & 0x7f) << shift
    if (byte < 128) {
      source.position = at
      return (raw >>> 1) ^ -(raw & 1)
    }
  }
  throw new DecodeError(`varint at byte ${start} is longer than 5 bytes`)
}

/** Throws `DecodeError` past the end or beyond 10 bytes. */
export function readVarlong(source: VarintSource): number {
  const { buffer, end } = source
  const start = source.position
  let at = start
  let low = 0
  for (let shift = 0; shift <= 21; shift += 7) {
    if (at >= end) truncated(start)
    const byte = buffer[at++]!
    low |= (byte & 0x7f) << shift
    if (byte < 128) {
      source.position = at
      return (low >>> 1) ^ -(low & 1)
    }
  }
  let factor = 268435456
  let raw = low
  for (let group = 5; group <= 7; group++) {
    if (at >= end) truncated(start)
    const byte = buffer[at++]!
    raw += (byte & 0x7f) * factor
    factor *= 128
    if (byte < 128) {
      source.position = at
      return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2
    }
  }
  return readLongVarlong(source, start)
}

function readLongVarlong(source: VarintSource, start: number): number {
  let at = start
  let raw = 0n
  for (let shift = 0n; shift <= 63n; shift += 7n) {
    if (at >= source.end) truncated(start)
    const byte = source.buffer[at++]!
    raw |= BigInt(byte & 0x7f) << shift
    if (byte < 128) {
      source.position = at
      raw = BigInt.asUintN(64, raw)
      return int64FromBigInt((raw >> 1n) ^ -(raw & 1n))
    }
  }
  throw new DecodeError(`varlong at byte ${start} is longer than 10 bytes`)
}

export function sizeOfVarint(value: number): number {
  const raw = ((value << 1) ^ (value >> 31)) >>> 0
  if (raw < 0x80) return 1
  if (raw < 0x4000) return 2
  if (raw < 0x200000) return 3
  return raw < 0x10000000 ? 4 : 5
}

/** Beyond this zigzag is done in BigInt: 2n must stay exact. */
const ZIGZAG_SAFE = 2 ** 52

export function sizeOfVarlong(value: number): number {
  if (value === (value | 0)) return sizeOfVarint(value)
  if (!(value < ZIGZAG_SAFE && value >= -ZIGZAG_SAFE)) return sizeOfLongVarlong(value)
  let raw = value < 0 ? -2 * value - 1 : 2 * value
  let size = 1
  for (; raw >= 128; raw = Math.floor(raw / 128)) size++
  return size
}

function zigzagBig(value: number): bigint {
  const exact = int64ToBigInt(value)
  return BigInt.asUintN(64, (exact << 1n) ^ (exact >> 63n))
}

function sizeOfLongVarlong(value: number): number {
  let size = 1
  for (let raw = zigzagBig(value); raw >= 128n; raw >>= 7n) size++
  return size
}

/** Writes where there is room for 5 bytes; returns the position after. */
export function putVarint(buffer: Uint8Array, at: number, value: number): number {
  let raw = ((value << 1) ^ (value >> 31)) >>> 0
  let position = at
  for (; raw >= 128; raw >>>= 7) buffer[position++] = (raw & 0x7f) | 0x80
  buffer[position++] = raw
  return position
}

/** Writes where there is room for 10 bytes; returns the position after. */
export function putVarlong(buffer: Uint8Array, at: number, value: number): number {
  if (value === (value | 0)) return putVarint(buffer, at, value)
  let position = at
  if (!(value < ZIGZAG_SAFE && value >= -ZIGZAG_SAFE)) {
    let big = zigzagBig(value)
    for (; big >= 128n; big >>= 7n) buffer[position++] = Number(big & 0x7fn) | 0x80
    buffer[position++] = Number(big)
    return position
  }
  let raw = value < 0 ? -2 * value - 1 : 2 * value
  for (; raw >= 128; raw = Math.floor(raw / 128)) buffer[position++] = (raw % 128) | 0x80
  buffer[position++] = raw
  return position
}
