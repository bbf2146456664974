import { getInt32, getInt64, int64Add } from '../../base/bytes.ts'
import type { EpochMillis } from '../../base/ids.ts'
import { readVarint, readVarlong } from '../../base/varint.ts'
import { batchSize, NO_TIMESTAMP } from './batch.ts'

/**
 * Records that lie one behind the other in a buffer and that a cursor has found readable: what is needed to read them again, one by one,
 * without a note per record. The *place* of a record is behind its length (format 2), or where its message begins.
 */
export class RecordRun {
  readonly buffer: Buffer
  readonly magic: number
  readonly firstOffset: number
  /** The first record: where its length, or its message, begins. */
  readonly start: number
  /** Behind the last record. */
  end: number
  count = 1
  /** Of keys and values. */
  bytes: number
  /** Is added to what stands for the offset with each record. */
  readonly base: number
  /** Format 2: the timestamp that those of records are relative to. */
  readonly stamp: number
  /** `stamp` is the timestamp of every record (LogAppendTime). */
  readonly hasOneStamp: boolean
  /** Format 2, and sums with `base` and `stamp` are exact. */
  readonly isExact: boolean

  constructor(first: RunStart) {
    this.buffer = first.buffer
    this.magic = first.magic
    this.firstOffset = first.firstOffset
    this.start = first.start
    this.end = first.end
    this.bytes = first.bytes
    this.base = first.base
    this.stamp = first.stamp
    this.hasOneStamp = first.hasOneStamp
    this.isExact = first.isExact
  }

  /** True when `next` was joined on: plain messages of formats 0 and 1 follow each other without a batch around them. */
  absorb(next: RecordRun): boolean {
    if (this.magic === 2 || next.magic === 2 || next.buffer !== this.buffer || next.start !== this.end) return false
    if (next.base !== this.base || next.hasOneStamp || this.hasOneStamp) return false
    this.end = next.end
    this.count += next.count
    this.bytes += next.bytes
    return true
  }
}

/** Bytes of the small fields of a record up to the key, at three per varint. */
export const PLAIN_FIELDS = 16
/** The most that three bytes say. */
const MAX_PLAIN = 2097151

/**
 * Adds at most `most` records that lie between the end of the run and `end`, as far as they are usual: varints of up to three bytes, no headers,
 * offsets that rise from `lastDelta` on. Returns the last offset delta. Stops before what is not usual, or broken.
 */
export function extendByPlain(run: RecordRun, end: number, most: number, lastDelta: number): number {
  const { buffer } = run
  let start = run.end
  let last = lastDelta * 2
  let bytes = 0
  let count = 0
  for (; count < most && end - start >= PLAIN_FIELDS; count++) {
    let at = start
    let length = buffer[at++]!
    if (length > 127) {
      length = (length & 127) | (buffer[at++]! << 7)
      if (length > 16383 && (length = (length & 16383) | (buffer[at++]! << 14)) > MAX_PLAIN) break
    }
    const recordEnd = at + (length >> 1)
    // Attributes mean nothing, and the timestamp can be any.
    if (buffer[++at]! > 127 && buffer[++at]! > 127 && buffer[++at]! > 127) break
    let delta = buffer[++at]!
    if (delta > 127) {
      delta = (delta & 127) | (buffer[++at]! << 7)
      if (delta > 16383 && (delta = (delta & 16383) | (buffer[++at]! << 14)) > MAX_PLAIN) break
    }
    let key = buffer[++at]!
    if (key > 127) {
      key = (key & 127) | (buffer[++at]! << 7)
      if (key > 16383 && (key = (key & 16383) | (buffer[++at]! << 14)) > MAX_PLAIN) break
    }
    at += 1 + (key >> 1)
    // Zigzag: odd is negative, and null is written as 1.
    if (recordEnd > end || at >= recordEnd || (length & 1) === 1 || (delta & 1) === 1 || delta <= last) break
    let value = buffer[at++]!
    if (value > 127) {
      value = (value & 127) | (buffer[at++]! << 7)
      if (value > 16383 && (value = (value & 16383) | (buffer[at++]! << 14)) > MAX_PLAIN) break
    }
    at += value >> 1
    if (at + 1 !== recordEnd || buffer[at] !== 0 || ((key & 1) === 1 && key !== 1) || ((value & 1) === 1 && value !== 1)) break
    bytes += (key >> 1) + (value >> 1)
    last = delta
    start = recordEnd
  }
  run.count += count
  run.bytes += bytes
  run.end = start
  return last / 2
}

export interface RunStart {
  readonly buffer: Buffer
  readonly magic: number
  readonly firstOffset: number
  readonly start: number
  readonly end: number
  readonly bytes: number
  readonly base: number
  readonly stamp: number
  readonly hasOneStamp: boolean
  readonly isExact: boolean
}

/** Zigzag; of a varint that was found whole. */
function varintAt(buffer: Buffer, at: number): number {
  let raw = buffer[at]!
  if (raw > 127) {
    raw = (raw & 127) | (buffer[at + 1]! << 7)
    if (raw > 16383) return readVarint({ buffer, position: at, end: buffer.length })
  }
  return (raw >> 1) ^ -(raw & 1)
}

/** The same of a varlong, which may be as long as a record that waited for minutes makes it. */
function varlongAt(buffer: Buffer, at: number): number {
  if (buffer[at]! < 128 || buffer[at + 1]! < 128) return varintAt(buffer, at)
  return readVarlong({ buffer, position: at, end: buffer.length })
}

/** The position behind a varint that was found whole. */
function afterVarint(buffer: Buffer, at: number): number {
  let last = at
  while (buffer[last]! > 127) last++
  return last + 1
}

/** The place of the record that begins at `start`. */
export function placeOf(run: RecordRun, start: number): number {
  return run.magic < 2 ? start : afterVarint(run.buffer, start)
}

/** Where the record behind it begins. */
export function afterRecord(run: RecordRun, start: number, place: number): number {
  return run.magic < 2 ? batchSize(run.buffer, start) + start : place + varintAt(run.buffer, start)
}

/** The offset of the record at `place`. */
export function offsetAt(run: RecordRun, place: number): number {
  if (run.isExact) return run.base + varintAt(run.buffer, afterVarint(run.buffer, place + 1))
  if (run.magic < 2) return int64Add(run.base, getInt64(run.buffer, place))
  return int64Add(run.base, varintAt(run.buffer, afterVarint(run.buffer, place + 1)))
}

/** -1: none. */
export function timestampAt(run: RecordRun, place: number): number {
  if (run.isExact) return run.hasOneStamp ? run.stamp : run.stamp + varlongAt(run.buffer, place + 1)
  if (run.magic < 2 && run.buffer[place + 16] === 0) return NO_TIMESTAMP
  if (run.hasOneStamp) return run.stamp
  if (run.magic < 2) return getInt64(run.buffer, place + 18)
  return int64Add(run.stamp, varlongAt(run.buffer, place + 1))
}

/** Where the length of the key stands. */
export function keyFieldAt(run: RecordRun, place: number): number {
  if (run.magic < 2) return place + (run.buffer[place + 16] === 0 ? 18 : 26)
  return afterVarint(run.buffer, afterVarint(run.buffer, place + 1))
}

/** The length that stands at `field`, negative for null. */
export function lengthAt(run: RecordRun, field: number): number {
  return run.magic < 2 ? getInt32(run.buffer, field) : varintAt(run.buffer, field)
}

/** Where what is so long begins. */
export function dataAt(run: RecordRun, field: number): number {
  return run.magic < 2 ? field + 4 : afterVarint(run.buffer, field)
}

/** Where the length of the value stands. */
export function valueFieldAt(run: RecordRun, place: number): number {
  const { buffer } = run
  const keyField = keyFieldAt(run, place)
  const short = buffer[keyField]!
  // Zigzag in one byte; odd is null.
  if (run.magic === 2 && short < 128) return keyField + 1 + ((short & 1) === 1 ? 0 : short >> 1)
  return dataAt(run, keyField) + Math.max(0, lengthAt(run, keyField))
}

/** Key and value are bytes `[start, end)` of the buffer, -1 for null. */
export type RawVisitor = (
  buffer: Buffer,
  keyStart: number,
  keyEnd: number,
  valueStart: number,
  valueEnd: number,
  offset: number,
  timestamp: EpochMillis,
) => void

/** All records of a run, in one piece for the usual one: calls would cost as much again. */
export function visitRun(run: RecordRun, visit: RawVisitor): void {
  if (!run.isExact) return visitUnusual(run, visit)
  const { buffer, count, base, stamp, hasOneStamp } = run
  let at = run.start
  for (let i = 0; i < count; i++) {
    while (buffer[at]! > 127) at++
    // Behind the length, which the fields say again, and the attributes.
    at += 2
    let time = buffer[at]!
    time = time < 128 ? (time >> 1) ^ -(time & 1) : varlongAt(buffer, at)
    while (buffer[at]! > 127) at++
    const offset = varintAt(buffer, ++at)
    while (buffer[at]! > 127) at++
    const keyLength = varintAt(buffer, ++at)
    while (buffer[at]! > 127) at++
    const key = ++at
    if (keyLength > 0) at += keyLength
    const keyEnd = at
    const valueLength = varintAt(buffer, at)
    while (buffer[at]! > 127) at++
    const value = ++at
    if (valueLength > 0) at += valueLength
    const valueEnd = at
    if (buffer[at] !== 0) at = afterHeaders(buffer, at)
    else at++
    const timestamp = hasOneStamp ? stamp : stamp + time
    visit(
      buffer,
      keyLength < 0 ? -1 : key,
      keyLength < 0 ? -1 : keyEnd,
      valueLength < 0 ? -1 : value,
      valueLength < 0 ? -1 : valueEnd,
      base + offset,
      timestamp,
    )
  }
}

function afterHeaders(buffer: Buffer, position: number): number {
  const source = { buffer, position, end: buffer.length }
  // A key and a value each.
  for (let left = readVarint(source) * 2; left > 0; left--) {
    const length = readVarint(source)
    if (length > 0) source.position += length
  }
  return source.position
}

function visitUnusual(run: RecordRun, visit: RawVisitor): void {
  const { buffer } = run
  let next = run.start
  for (let i = 0; i < run.count; i++) {
    const place = placeOf(run, next)
    next = afterRecord(run, next, place)
    const keyField = keyFieldAt(run, place)
    const keyLength = lengthAt(run, keyField)
    const key = dataAt(run, keyField)
    const valueField = valueFieldAt(run, place)
    const valueLength = lengthAt(run, valueField)
    const value = dataAt(run, valueField)
    visit(
      buffer,
      keyLength < 0 ? -1 : key,
      keyLength < 0 ? -1 : key + keyLength,
      valueLength < 0 ? -1 : value,
      valueLength < 0 ? -1 : value + valueLength,
      offsetAt(run, place),
      timestampAt(run, place),
    )
  }
}
