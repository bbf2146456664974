import { readVarlong } from '../../base/varint.ts'

/**
 * The quick look over the records of a format 2 batch: one loop, no calls for the common sizes. It says yes only to what is beyond
 * doubt; whatever is unusual or wrong is left to the slow path, which finds the exact answer.
 */

/** Results of the last scan that said yes. */
export const scanned = { maxTimestamp: -1, indexOfMax: -1 }

/** Deltas and base within this range have exact sums. */
const EXACT = 2 ** 52

const source: { buffer: Uint8Array; position: number; end: number } = { buffer: new Uint8Array(0), position: 0, end: 0 }

/**
 * Whether `[start, end)` is exactly `count` well-formed records with timestamps at most `most` ms from `now` (Infinity: any), with keys
 * when `compacted`, and with offset deltas 0, 1, 2, ... when `dense`.
 */
export function scanRecords(
  b: Uint8Array,
  start: number,
  end: number,
  count: number,
  firstTimestamp: number,
  dense: boolean,
  compacted: boolean,
  now: number,
  most: number,
): boolean {
  if (!(firstTimestamp < EXACT && firstTimestamp > -EXACT)) return false
  let maxTimestamp = -1
  let indexOfMax = -1
  let p = start
  // x is always a zigzag varint: twice the number, odd when negative. One and two bytes are read here, more by `wide`.
  for (let i = 0; i < count; i++) {
    let x = b[p++]!
    if (x > 127 && (x = (x & 127) | (b[p++]! << 7)) > 16383) p = behind((x = wide(b, p - 2, end)))
    const recordEnd = p + (x >>> 1)
    if ((x & 1) === 1 || recordEnd > end) return false
    p++ // attributes
    x = b[p++]!
    if (x > 127) x = (x & 127) | (b[p++]! << 7)
    let delta = (x >>> 1) ^ -(x & 1)
    if (x > 16383) {
      delta = wideDelta(b, p - 2, end)
      p = source.position
    }
    const timestamp = firstTimestamp + delta
    if (timestamp > maxTimestamp) {
      maxTimestamp = timestamp
      indexOfMax = i
    }
    // Also false for the NaN of a delta that is no exact number.
    if (timestamp !== -1 && !(timestamp - now <= most && now - timestamp <= most)) return false
    x = b[p++]!
    if (x > 127 && (x = (x & 127) | (b[p++]! << 7)) > 16383) p = behind((x = wide(b, p - 2, end)))
    if (dense && x !== i << 1) return false
    x = b[p++]!
    if (x > 127 && (x = (x & 127) | (b[p++]! << 7)) > 16383) p = behind((x = wide(b, p - 2, end)))
    if ((x & 1) === 0) p += x >>> 1
    else if (compacted || x !== 1) return false
    x = b[p++]!
    if (x > 127 && (x = (x & 127) | (b[p++]! << 7)) > 16383) p = behind((x = wide(b, p - 2, end)))
    if ((x & 1) === 0) p += x >>> 1
    else if (x !== 1) return false
    x = b[p++]!
    if (x !== 0) p = skipHeaders(b, p, recordEnd, x)
    if (p !== recordEnd) return false
  }
  if (p !== end) return false
  scanned.maxTimestamp = maxTimestamp
  scanned.indexOfMax = indexOfMax
  return true
}

/** A zigzag varint of 2 to 4 bytes, as it stands; -1 (odd: no record has it) for a longer one. `source.position` is set behind it. */
function wide(b: Uint8Array, position: number, end: number): number {
  let raw = b[position]! & 127
  let p = position + 1
  for (let shift = 7; shift <= 21 && p < end; shift += 7) {
    const byte = b[p++]!
    raw |= (byte & 127) << shift
    if (byte < 128) {
      source.position = p
      return raw
    }
  }
  source.position = end
  return -1
}

/** The position behind the varint that `wide` has just read. */
function behind(_raw: number): number {
  return source.position
}

/** A timestamp delta of 2 bytes or more; NaN when it is broken or its sum would not be exact. */
function wideDelta(b: Uint8Array, position: number, end: number): number {
  source.buffer = b
  source.position = position
  source.end = end
  try {
    const delta = readVarlong(source)
    return delta < EXACT && delta > -EXACT ? delta : Number.NaN
  } catch {
    return Number.NaN
  }
}

/** Position behind the headers, -1 for a count or length of more than one byte, or anything out of place. */
function skipHeaders(b: Uint8Array, position: number, end: number, zigzagCount: number): number {
  if (zigzagCount > 127 || (zigzagCount & 1) === 1) return -1
  let p = position
  for (let left = zigzagCount >>> 1; left > 0; left--) {
    if (p >= end) return -1
    let x = b[p++]!
    if (x > 127 || (x & 1) === 1) return -1
    p += x >>> 1
    if (p >= end) return -1
    x = b[p++]!
    if (x > 127) return -1
    if ((x & 1) === 0) p += x >>> 1
    else if (x !== 1) return -1
  }
  return p
}
