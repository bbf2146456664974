import { getInt16, getInt32, getInt64, int64Add, int64Subtract } from '../../base/bytes.ts'
import { crc32 } from '../../base/crc.ts'
import { readVarint, readVarlong } from '../../base/varint.ts'
import { ErrorCode } from '../errors.ts'
import {
  ATTRIBUTE_LOG_APPEND_TIME,
  BATCH_OVERHEAD,
  baseSequence,
  batchSize,
  codecOf,
  firstTimestamp,
  incrementSequence,
  isLogAppendTime,
  LOG_OVERHEAD,
  magicOf,
  maxTimestamp,
  messageTimestamp,
  NO_TIMESTAMP,
  recordsCount,
} from './batch.ts'
import { decompress, decompressSteps, MAX_DECOMPRESSED_BYTES } from './compression.ts'
import { RecordsError } from './errors.ts'
import { extendByPlain, PLAIN_FIELDS, RecordRun } from './run.ts'
import type { Steps } from './steps.ts'

export { RecordsError } from './errors.ts'

export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** One record as an object: for tools, tests and coordinators, not for the hot path. */
export interface RecordData {
  readonly offset: number
  /** -1: none. An int64 carrier (base/int64.ts). */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
  /** -1: none. */
  readonly sequence: number
}

/** As it is written (zigzag), in two or three bytes and not in more than it must be; else -1. */
function shortVarint(buffer: Buffer, at: number): number {
  const first = buffer[at]!
  const second = buffer[at + 1]!
  if (second < 128) return second > 0 ? (first & 127) | (second << 7) : -1
  const third = buffer[at + 2]!
  return third < 128 && third > 0 ? (first & 127) | ((second & 127) << 7) | (third << 14) : -1
}

function shortSize(written: number): number {
  return written < 16384 ? 2 : 3
}

function unzigzag(written: number): number {
  return (written >> 1) ^ -(written & 1)
}

function isFarFromLimits(carrier: number): boolean {
  return Math.abs(carrier) < 2 ** 52
}

/** Header of a message of format 0 or 1 up to the key length, without the 12 bytes in front. */
const LEGACY_KEY_LENGTH = [6, 14] as const

/**
 * Walks the records of one batch or message, without an object per record: fields describe the current record until the next call of
 * `next`, and positions refer to `buffer`, which is the caller's or the decompressed text. Throws `RecordsError` for records that cannot
 * be read. CRCs of inner messages are not checked unless `hasValidCrc` is called.
 */
export class RecordCursor {
  buffer: Buffer = Buffer.alloc(0)
  /** For the varint readers: next byte, and end of the records. */
  position = 0
  end = 0

  offset = 0
  timestamp = NO_TIMESTAMP
  sequence = -1
  /** -1: null. */
  keyLength = -1
  keyPosition = 0
  /** -1: null. */
  valueLength = -1
  valuePosition = 0
  /** Format 2: headers are the bytes [headersPosition, recordEnd), the count included. */
  headersPosition = 0
  headerCount = 0
  recordEnd = 0
  /** Format of the current record itself; inside a wrapper it ought to be the wrapper's. */
  recordMagic = 2
  /** Codec bits of an inner message; anything but 0 is not allowed. */
  recordCodec = 0

  magic = 2
  codec = 0
  private logAppendTime = false
  private left = 0
  private atStart = true
  private lastInner = 0
  private base = 0
  private baseTimestamp = 0
  /** Sums with `base` and `baseTimestamp` stay exact. */
  private isExact = false
  private firstSequence = -1
  private messageStart = 0
  private firstPosition = 0
  private count = 0

  /** Starts at the batch or message at `position`, which `nextBatch` has found whole. */
  open(buffer: Buffer, position: number, limit: number = MAX_DECOMPRESSED_BYTES): this {
    this.openHeader(buffer, position)
    if (this.codec !== 0) this.openText(decompress(this.codec, this.magic, buffer, this.position, this.end, limit))
    return this.opened()
  }

  /** `open` in pieces of work that none holds up others for long, whatever the size of the batch. */
  *openSteps(buffer: Buffer, position: number, limit: number = MAX_DECOMPRESSED_BYTES): Steps<this> {
    this.openHeader(buffer, position)
    if (this.codec !== 0) this.openText(yield* decompressSteps(this.codec, this.magic, buffer, this.position, this.end, limit))
    return this.opened()
  }

  private opened(): this {
    this.firstPosition = this.position
    this.count = this.left
    return this
  }

  /** [position, end) are then the records, or the compressed payload. */
  private openHeader(buffer: Buffer, position: number): void {
    this.magic = magicOf(buffer, position)
    this.codec = codecOf(buffer, position)
    this.logAppendTime = isLogAppendTime(buffer, position)
    if (this.magic === 2) this.openBatch(buffer, position)
    else if (this.codec === 0) this.openMessage(buffer, position)
    else this.openWrapper(buffer, position)
  }

  private openText(text: Buffer): void {
    this.buffer = text
    this.position = 0
    this.end = text.length
    if (this.magic === 2) return
    this.left = this.countInner()
    if (this.left === 0) throw new RecordsError('wrapper message with nothing in it')
    this.base = this.magic === 0 ? 0 : this.innerBase(this.offset)
  }

  /** Back to before the first record of the batch that was opened last; what was decompressed is kept. */
  rewind(): this {
    this.position = this.firstPosition
    this.left = this.count
    this.atStart = true
    return this
  }

  /** Moves to the next record; false at the end. */
  next(): boolean {
    if (this.magic === 2) return this.nextRecord()
    return this.nextMessage()
  }

  private openBatch(buffer: Buffer, position: number): void {
    const size = batchSize(buffer, position)
    if (size < BATCH_OVERHEAD) throw new RecordsError(`batch of ${size} bytes is shorter than its header`)
    this.base = getInt64(buffer, position)
    this.baseTimestamp = this.logAppendTime ? maxTimestamp(buffer, position) : firstTimestamp(buffer, position)
    this.isExact = isFarFromLimits(this.base) && isFarFromLimits(this.baseTimestamp)
    this.firstSequence = baseSequence(buffer, position)
    this.left = recordsCount(buffer, position)
    if (this.left < 0) throw new RecordsError(`record count ${this.left} in a batch`)
    this.headerCount = 0
    this.recordMagic = 2
    this.recordCodec = 0
    this.buffer = buffer
    this.position = position + BATCH_OVERHEAD
    this.end = position + size
    this.atStart = true
  }

  private nextRecord(): boolean {
    if (this.left === 0) {
      // Kafka looks for bytes behind the last record when it has read it; an empty batch is not looked at.
      if (!this.atStart && this.position !== this.end) throw new RecordsError('bytes behind the last record of a batch')
      return false
    }
    this.atStart = false
    this.left--
    if (this.isExact && this.nextPlain()) return true
    if (this.position >= this.end) throw new RecordsError('batch ends before its last record')
    const length = this.recordLength()
    const start = this.position
    if (length < 0 || length > this.end - start) {
      const code = length < 0 && this.codec !== 0 ? ErrorCode.UNKNOWN_SERVER_ERROR : ErrorCode.CORRUPT_MESSAGE
      throw new RecordsError(`record of ${length} bytes at byte ${start}, ${this.end - start} left`, code)
    }
    this.recordEnd = start + length
    const batchEnd = this.end
    this.end = this.recordEnd
    this.readRecord(start)
    this.end = batchEnd
    this.position = this.recordEnd
    return true
  }

  /** The usual record: short varints, no headers. False: it is none, or a broken one, and nothing was read. */
  private nextPlain(): boolean {
    const { buffer, end } = this
    let at = this.position
    if (end - at < PLAIN_FIELDS) return false
    let length = buffer[at++]!
    if (length > 127) at += shortSize((length = shortVarint(buffer, at - 1))) - 1
    const recordEnd = at + (length >> 1)
    // Attributes mean nothing.
    let delta = buffer[++at]!
    if (delta > 127) at += shortSize((delta = shortVarint(buffer, at))) - 1
    let offsetDelta = buffer[++at]!
    if (offsetDelta > 127) at += shortSize((offsetDelta = shortVarint(buffer, at))) - 1
    let key = buffer[++at]!
    if (key > 127) at += shortSize((key = shortVarint(buffer, at))) - 1
    const keyPosition = at + 1
    // Null is written as 1, and half of that is 0.
    at = keyPosition + (key >> 1)
    if (length < 0 || (length & 1) === 1 || delta < 0 || offsetDelta < 0 || recordEnd > end) return false
    let value = buffer[at++]!
    if (value > 127) at += shortSize((value = shortVarint(buffer, at - 1))) - 1
    const valuePosition = at
    at += value >> 1
    if (((key & 1) === 1 && key !== 1) || ((value & 1) === 1 && value !== 1) || at + 1 !== recordEnd || buffer[at] !== 0)
      return false
    const stamp = this.baseTimestamp
    this.timestamp = this.logAppendTime ? stamp : stamp + unzigzag(delta)
    const place = unzigzag(offsetDelta)
    this.offset = this.base + place
    this.sequence = this.firstSequence < 0 ? -1 : incrementSequence(this.firstSequence, place)
    this.keyLength = unzigzag(key)
    this.keyPosition = keyPosition
    this.valueLength = unzigzag(value)
    this.valuePosition = valuePosition
    this.headersPosition = at
    this.headerCount = 0
    this.recordEnd = recordEnd
    this.position = recordEnd
    return true
  }

  /** The current record, which begins at `start`, as the first of a run. */
  beginRun(start: number): RecordRun {
    const { buffer, magic, offset, position, base } = this
    const isExact = magic === 2 && this.isExact
    const hasOneStamp = this.logAppendTime && (magic === 2 || this.codec !== 0)
    const bytes = Math.max(0, this.keyLength) + Math.max(0, this.valueLength)
    const stamp = this.baseTimestamp
    return new RecordRun({ buffer, magic, firstOffset: offset, start, end: position, bytes, base, stamp, hasOneStamp, isExact })
  }

  /** The current record as the next one of the run. */
  addTo(run: RecordRun): void {
    run.count++
    run.bytes += Math.max(0, this.keyLength) + Math.max(0, this.valueLength)
    run.end = this.position
  }

  /**
   * Adds to a run what follows, as far as it is usual (short varints, no headers, rising offsets), until the run has `max` records. What is
   * passed over leaves nothing but its `offset` behind. It stops before what is not usual, or broken: `next` tells.
   */
  passPlain(run: RecordRun, max: number): void {
    if (this.magic !== 2 || !this.isExact) return
    const before = run.count
    this.offset = this.base + extendByPlain(run, this.end, Math.min(max - before, this.left), this.offset - this.base)
    this.left -= run.count - before
    this.position = run.end
  }

  /** The length of a record has its own error in 1.1 when it is no varint at all. */
  private recordLength(): number {
    try {
      return readVarint(this)
    } catch (error) {
      const cut = this.end - this.position < 5
      throw new RecordsError((error as Error).message, cut ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.UNKNOWN_SERVER_ERROR)
    }
  }

  private readRecord(start: number): void {
    this.position = start + 1
    const delta = readVarlong(this)
    this.timestamp = this.logAppendTime ? this.baseTimestamp : int64Add(this.baseTimestamp, delta)
    const offsetDelta = readVarint(this)
    this.offset = int64Add(this.base, offsetDelta)
    this.sequence = this.firstSequence < 0 ? -1 : incrementSequence(this.firstSequence, offsetDelta)
    this.keyLength = readVarint(this)
    this.keyPosition = this.skip(this.keyLength)
    this.valueLength = readVarint(this)
    this.valuePosition = this.skip(this.valueLength)
    this.headersPosition = this.position
    this.headerCount = readVarint(this)
    if (this.headerCount < 0) throw new RecordsError(`header count ${this.headerCount}`)
    for (let i = 0; i < this.headerCount; i++) {
      const keyLength = readVarint(this)
      if (keyLength < 0) throw new RecordsError(`header key length ${keyLength}`)
      this.skip(keyLength)
      this.skip(readVarint(this))
    }
    if (this.position !== this.recordEnd)
      throw new RecordsError(`record ends at byte ${this.position} instead of ${this.recordEnd}`)
  }

  /** Position before `length` bytes; negative lengths are null. */
  private skip(length: number): number {
    const at = this.position
    if (length <= 0) return at
    if (length > this.end - at)
      throw new RecordsError(`field of ${length} bytes at byte ${at}, ${this.end - at} left in the record`)
    this.position = at + length
    return at
  }

  // ---------------------------------------------------------------- formats 0 and 1

  private openMessage(buffer: Buffer, position: number): void {
    this.buffer = buffer
    this.position = position
    this.end = position + batchSize(buffer, position)
    this.base = 0
    this.left = 1
  }

  private openWrapper(buffer: Buffer, position: number): void {
    this.openMessage(buffer, position)
    this.readMessage()
    if (this.valueLength < 0) throw new RecordsError('wrapper message without a value')
    this.baseTimestamp = messageTimestamp(buffer, position)
    this.position = this.valuePosition
    this.end = this.valuePosition + this.valueLength
  }

  /** Whole inner messages; a cut one at the end is ignored, as Kafka does. */
  private countInner(): number {
    let count = 0
    let at = 0
    while (this.end - at >= LOG_OVERHEAD) {
      const size = getInt32(this.buffer, at + 8)
      if (size < 14) throw new RecordsError(`inner message of ${size} bytes`)
      if (size > this.end - at - LOG_OVERHEAD) break
      this.lastInner = getInt64(this.buffer, at)
      at += size + LOG_OVERHEAD
      count++
    }
    return count
  }

  private innerBase(wrapperOffset: number): number {
    // Some librdkafka releases leave the outer offset at 0: then the inner ones stand for themselves.
    if (wrapperOffset === 0) return 0
    if (wrapperOffset < this.lastInner) {
      throw new RecordsError(`wrapper offset ${wrapperOffset} is less than its last inner offset ${this.lastInner}`)
    }
    return int64Subtract(wrapperOffset, this.lastInner)
  }

  private nextMessage(): boolean {
    if (this.left === 0) return false
    this.left--
    this.readMessage()
    if (this.codec !== 0) {
      this.offset = int64Add(this.base, this.offset)
      if (this.logAppendTime && this.recordMagic > 0) this.timestamp = this.baseTimestamp
    }
    return true
  }

  private readMessage(): void {
    const { buffer } = this
    const at = this.position
    const end = at + LOG_OVERHEAD + getInt32(buffer, at + 8)
    const magic = buffer[at + 16]!
    if (magic > 1) throw new RecordsError(`inner message of format ${magic}`)
    const keyField = at + LOG_OVERHEAD + LEGACY_KEY_LENGTH[magic]!
    if (end - keyField < 8) throw new RecordsError(`message of ${end - at} bytes is shorter than its header`)
    this.messageStart = at
    this.recordMagic = magic
    this.recordCodec = buffer[at + 17]! & 7
    this.offset = getInt64(buffer, at)
    this.timestamp = magic === 0 ? NO_TIMESTAMP : getInt64(buffer, at + 18)
    this.keyLength = getInt32(buffer, keyField)
    this.keyPosition = keyField + 4
    const valueField = this.keyPosition + Math.max(0, this.keyLength)
    if (valueField + 4 > end) throw new RecordsError(`key of ${this.keyLength} bytes runs past the message`)
    this.valueLength = getInt32(buffer, valueField)
    this.valuePosition = valueField + 4
    if (this.valuePosition + Math.max(0, this.valueLength) > end)
      throw new RecordsError(`value of ${this.valueLength} bytes runs past the message`)
    this.headerCount = 0
    this.recordEnd = end
    this.position = end
  }

  // ---------------------------------------------------------------- the current record

  /** Formats 0 and 1: the CRC of the current (inner) message. */
  hasValidCrc(): boolean {
    const { buffer, messageStart } = this
    return crc32(buffer, messageStart + 16, this.recordEnd) === getInt32(buffer, messageStart + 12) >>> 0
  }

  /** The inner message says LogAppendTime itself. */
  innerLogAppendTime(): boolean {
    return this.recordMagic === 1 && (this.buffer[this.messageStart + 17]! & ATTRIBUTE_LOG_APPEND_TIME) !== 0
  }

  /** Bytes of the batch that are left unread, after the last record. */
  get hasMore(): boolean {
    return this.left > 0
  }

  /** A slice, not a copy. */
  key(): Buffer | null {
    return this.keyLength < 0 ? null : this.buffer.subarray(this.keyPosition, this.keyPosition + this.keyLength)
  }

  /** A slice, not a copy. */
  value(): Buffer | null {
    return this.valueLength < 0 ? null : this.buffer.subarray(this.valuePosition, this.valuePosition + this.valueLength)
  }

  headers(): RecordHeader[] {
    const headers: RecordHeader[] = []
    if (this.headerCount === 0) return headers
    const source = { buffer: this.buffer, position: this.headersPosition, end: this.recordEnd }
    readVarint(source)
    for (let i = 0; i < this.headerCount; i++) {
      const keyLength = readVarint(source)
      const key = this.buffer.toString('utf8', source.position, (source.position += keyLength))
      const length = readVarint(source)
      const value = length < 0 ? null : this.buffer.subarray(source.position, (source.position += length))
      headers.push({ key, value })
    }
    return headers
  }

  data(): RecordData {
    const { offset, timestamp, sequence } = this
    return { offset, timestamp, key: this.key(), value: this.value(), headers: this.headers(), sequence }
  }
}

/** The records of the batch at `position`; keys and values are slices. Throws `RecordsError`. */
export function* recordsOf(buffer: Buffer, position: number): Generator<RecordData> {
  const cursor = new RecordCursor().open(buffer, position)
  while (cursor.next()) yield cursor.data()
}

/** Meaning of a control record by its key; `undefined` for types that readers must ignore. Throws `RecordsError`. */
export function controlTypeOf(key: Buffer | null): 'commit' | 'abort' | undefined {
  if (key === null || key.length < 4) throw new RecordsError('control record without a key')
  if (getInt16(key, 0) < 0) throw new RecordsError(`control record of version ${getInt16(key, 0)}`)
  const type = getInt16(key, 2)
  return type === 0 ? 'abort' : type === 1 ? 'commit' : undefined
}
