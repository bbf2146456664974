import { int64Compare, int64Subtract, putInt16, putInt32, putInt64 } from '../../base/bytes.ts'
import { crc32, crc32c } from '../../base/crc.ts'
import { putVarint, putVarlong, sizeOfVarint, sizeOfVarlong } from '../../base/varint.ts'
import { ErrorCode } from '../errors.ts'
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_LOG_APPEND_TIME,
  ATTRIBUTE_TRANSACTIONAL,
  BATCH_OVERHEAD,
  LOG_OVERHEAD,
  type Magic,
  NO_TIMESTAMP,
  type TimestampType,
} from './batch.ts'
import { compress, compressSteps } from './compression.ts'
import { RecordsError } from './errors.ts'
import type { RecordCursor, RecordHeader } from './record.ts'
import type { Steps } from './steps.ts'
import type { CodecName } from './types.ts'
import { codecNames } from './types.ts'

export const NO_PRODUCER_ID = -1
export const NO_PRODUCER_EPOCH = -1
export const NO_SEQUENCE = -1

export interface BatchOptions {
  readonly magic?: Magic
  readonly codec?: CodecName | number
  readonly timestampType?: TimestampType
  /** Offset of the first record. */
  readonly baseOffset?: number
  /** With LogAppendTime: the time. */
  readonly logAppendTime?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
  readonly control?: boolean
  readonly leaderEpoch?: number
  /** First guess of the size of the text. */
  readonly sizeHint?: number
}

interface Source {
  readonly buffer: Uint8Array
  readonly position: number
  /** -1: null. */
  readonly length: number
}

const NULL_SOURCE: Source = { buffer: new Uint8Array(0), position: 0, length: -1 }

function sourceOf(bytes: Uint8Array | null): Source {
  return bytes === null ? NULL_SOURCE : { buffer: bytes, position: 0, length: bytes.length }
}

/**
 * Writes one batch of format 2, one wrapper of format 0 or 1, or (format 0 or 1 without a codec) one message per record. Throws
 * `RecordsError` with UNKNOWN_SERVER_ERROR for what the format cannot carry: headers or transactions below format 2, a timestamp
 * below -1.
 */
export class BatchBuilder {
  readonly magic: Magic
  readonly codec: number
  readonly timestampType: TimestampType
  readonly baseOffset: number
  private readonly options: BatchOptions
  private readonly logAppendTime: number
  private text: Buffer
  private used: number
  private firstTimestamp = NO_TIMESTAMP
  private maxTimestampSeen = NO_TIMESTAMP
  private offsetOfMax = -1
  private lastOffset = -1
  private records = 0

  constructor(options: BatchOptions = {}) {
    this.options = options
    this.magic = options.magic ?? 2
    this.codec = typeof options.codec === 'number' ? options.codec : codecNames.indexOf(options.codec ?? 'none')
    this.timestampType = options.timestampType ?? 'CreateTime'
    this.baseOffset = options.baseOffset ?? 0
    this.logAppendTime = options.logAppendTime ?? NO_TIMESTAMP
    if (this.magic < 2 && options.transactional === true) unsupported(`transactional records in format ${this.magic}`)
    if (this.magic < 2 && options.control === true) unsupported(`control records in format ${this.magic}`)
    // Format 2 without a codec is written behind its header at once.
    this.used = this.magic === 2 && this.codec === 0 ? BATCH_OVERHEAD : 0
    this.text = Buffer.allocUnsafe(Math.max(256, this.used + (options.sizeHint ?? 0)))
  }

  get count(): number {
    return this.records
  }

  /** Bytes of text so far, not compressed. */
  get size(): number {
    return this.used
  }

  /** The next offset; the first record gets `baseOffset`. */
  append(timestamp: number, key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[] = []): this {
    const offset = this.records === 0 ? this.baseOffset : this.lastOffset + 1
    return this.appendWithOffset(offset, timestamp, key, value, headers)
  }

  appendWithOffset(
    offset: number,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = [],
  ): this {
    this.checkRecord(timestamp, headers.length)
    if (this.magic === 2) this.putRecord(offset, timestamp, sourceOf(key), sourceOf(value), encodeHeaders(headers))
    else this.putMessage(offset, timestamp, sourceOf(key), sourceOf(value))
    return this
  }

  /** Copies the cursor's record under another offset; headers too unless `dropHeaders`. */
  appendFrom(cursor: RecordCursor, offset: number, dropHeaders = false): void {
    this.checkRecord(cursor.timestamp, dropHeaders ? 0 : cursor.headerCount)
    const { buffer, timestamp } = cursor
    const key = { buffer, position: cursor.keyPosition, length: cursor.keyLength }
    const value = { buffer, position: cursor.valuePosition, length: cursor.valueLength }
    if (this.magic < 2) {
      this.putMessage(offset, timestamp, key, value)
    } else {
      const { headersPosition, recordEnd } = cursor
      const none = cursor.headerCount === 0
      const headers = none ? NO_HEADERS : { buffer, position: headersPosition, length: recordEnd - headersPosition }
      this.putRecord(offset, timestamp, key, value, headers)
    }
  }

  /** The batch covers offsets up to this one although its last records are gone: what compaction keeps for sequence numbers. */
  overrideLastOffset(offset: number): void {
    this.lastOffset = offset
  }

  private checkRecord(timestamp: number, headers: number): void {
    if (timestamp < 0 && timestamp !== NO_TIMESTAMP) unsupported(`negative timestamp ${timestamp}`)
    if (this.magic < 2 && headers > 0) unsupported(`record headers in format ${this.magic}`)
    if (this.records === 0) this.firstTimestamp = timestamp
  }

  private room(bytes: number): number {
    const at = this.used
    const needed = at + bytes
    if (needed > this.text.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.text.length * 2))
      this.text.copy(larger, 0, 0, at)
      this.text = larger
    }
    this.used = needed
    return at
  }

  private putRecord(offset: number, timestamp: number, key: Source, value: Source, headers: Source): void {
    const offsetDelta = offset - this.baseOffset
    const timestampDelta = int64Subtract(timestamp, this.firstTimestamp)
    const keyBytes = Math.max(0, key.length)
    const valueBytes = Math.max(0, value.length)
    const body =
      1 +
      sizeOfVarlong(timestampDelta) +
      sizeOfVarint(offsetDelta) +
      sizeOfVarint(key.length) +
      keyBytes +
      sizeOfVarint(value.length) +
      valueBytes +
      headers.length
    let at = this.room(sizeOfVarint(body) + body)
    const { text } = this
    at = putVarint(text, at, body)
    text[at++] = 0
    at = putVarlong(text, at, timestampDelta)
    at = putVarint(text, at, offsetDelta)
    at = putVarint(text, at, key.length)
    at = putBytes(text, at, key)
    at = putVarint(text, at, value.length)
    at = putBytes(text, at, value)
    putBytes(text, at, headers)
    this.written(offset, timestamp)
  }

  private putMessage(offset: number, timestamp: number, key: Source, value: Source): void {
    const stamped = this.timestampType === 'LogAppendTime' ? this.logAppendTime : timestamp
    const size = (this.magic === 0 ? 14 : 22) + Math.max(0, key.length) + Math.max(0, value.length)
    const start = this.room(LOG_OVERHEAD + size)
    const { text } = this
    putInt64(text, start, this.magic > 0 && this.codec !== 0 ? offset - this.baseOffset : offset)
    const at = putMessageHead(text, start, size, this.magic, this.attributes(0), stamped)
    putInt32(text, at, key.length)
    const valueAt = putBytes(text, at + 4, key)
    putInt32(text, valueAt, value.length)
    putBytes(text, valueAt + 4, value)
    putInt32(text, start + 12, crc32(text, start + 16, start + LOG_OVERHEAD + size))
    this.written(offset, stamped)
  }

  private written(offset: number, timestamp: number): void {
    this.records++
    this.lastOffset = offset
    if (this.magic > 0 && int64Compare(timestamp, this.maxTimestampSeen) > 0) {
      this.maxTimestampSeen = timestamp
      this.offsetOfMax = offset
    }
  }

  private attributes(codec: number): number {
    const type = this.magic > 0 && this.timestampType === 'LogAppendTime' ? ATTRIBUTE_LOG_APPEND_TIME : 0
    if (this.magic < 2) return codec | type
    const { transactional, control } = this.options
    return codec | type | (transactional === true ? ATTRIBUTE_TRANSACTIONAL : 0) | (control === true ? ATTRIBUTE_CONTROL : 0)
  }

  private get headerTimestamp(): number {
    return this.timestampType === 'LogAppendTime' ? this.logAppendTime : this.maxTimestampSeen
  }

  /** The bytes; empty without records. The builder is used up. */
  build(): Buffer {
    if (this.records === 0) return Buffer.alloc(0)
    const text = this.text.subarray(0, this.used)
    return this.assemble(this.codec === 0 ? text : compress(this.codec, this.magic, text))
  }

  /** `build` in pieces of work that none holds up others for long, whatever the size. */
  *buildSteps(): Steps<Buffer> {
    if (this.records === 0) return Buffer.alloc(0)
    const text = this.text.subarray(0, this.used)
    return this.assemble(this.codec === 0 ? text : yield* compressSteps(this.codec, this.magic, text))
  }

  private assemble(payload: Buffer): Buffer {
    if (this.magic === 2) return this.buildBatch(payload)
    return this.codec === 0 ? payload : this.buildWrapper(payload)
  }

  private buildBatch(payload: Buffer): Buffer {
    let bytes = payload
    if (this.codec !== 0) {
      bytes = Buffer.allocUnsafe(BATCH_OVERHEAD + payload.length)
      payload.copy(bytes, BATCH_OVERHEAD)
    }
    const { producerId, producerEpoch, baseSequence, leaderEpoch } = this.options
    putInt64(bytes, 0, this.baseOffset)
    putInt32(bytes, 8, bytes.length - LOG_OVERHEAD)
    putInt32(bytes, 12, leaderEpoch ?? -1)
    bytes[16] = 2
    putInt16(bytes, 21, this.attributes(this.codec))
    putInt32(bytes, 23, this.lastOffset - this.baseOffset)
    putInt64(bytes, 27, this.firstTimestamp)
    putInt64(bytes, 35, this.headerTimestamp)
    putInt64(bytes, 43, producerId ?? NO_PRODUCER_ID)
    putInt16(bytes, 51, producerEpoch ?? NO_PRODUCER_EPOCH)
    putInt32(bytes, 53, baseSequence ?? NO_SEQUENCE)
    putInt32(bytes, 57, this.records)
    putInt32(bytes, 17, crc32c(bytes, 21, bytes.length))
    return bytes
  }

  private buildWrapper(payload: Buffer): Buffer {
    const size = (this.magic === 0 ? 14 : 22) + payload.length
    const bytes = Buffer.allocUnsafe(LOG_OVERHEAD + size)
    putInt64(bytes, 0, this.lastOffset)
    const at = putMessageHead(bytes, 0, size, this.magic, this.attributes(this.codec), this.headerTimestamp)
    putInt32(bytes, at, -1)
    putInt32(bytes, at + 4, payload.length)
    payload.copy(bytes, at + 8)
    putInt32(bytes, 12, crc32(bytes, 16, bytes.length))
    return bytes
  }

  /** Greatest timestamp, and the offset that the time index gets for it. */
  info(): { readonly maxTimestamp: number; readonly offsetOfMaxTimestamp: number } {
    const batched = this.codec !== 0 || this.magic === 2
    if (this.timestampType === 'LogAppendTime') {
      return { maxTimestamp: this.logAppendTime, offsetOfMaxTimestamp: batched ? this.lastOffset : this.baseOffset }
    }
    if (this.maxTimestampSeen === NO_TIMESTAMP) return { maxTimestamp: NO_TIMESTAMP, offsetOfMaxTimestamp: this.lastOffset }
    return { maxTimestamp: this.maxTimestampSeen, offsetOfMaxTimestamp: batched ? this.lastOffset : this.offsetOfMax }
  }
}

function unsupported(what: string): never {
  throw new RecordsError(`${what} cannot be written`, ErrorCode.UNKNOWN_SERVER_ERROR)
}

const NO_HEADERS: Source = { buffer: new Uint8Array([0]), position: 0, length: 1 }

function encodeHeaders(headers: readonly RecordHeader[]): Source {
  if (headers.length === 0) return NO_HEADERS
  let room = 5
  for (const { key, value } of headers) room += 10 + key.length * 3 + (value?.length ?? 0)
  const buffer = Buffer.allocUnsafe(room)
  let at = putVarint(buffer, 0, headers.length)
  for (const { key, value } of headers) {
    at = putVarint(buffer, at, Buffer.byteLength(key))
    at += buffer.write(key, at, 'utf8')
    at = putVarint(buffer, at, value === null ? -1 : value.length)
    at = putBytes(buffer, at, sourceOf(value))
  }
  return { buffer, position: 0, length: at }
}

function putBytes(target: Buffer, at: number, { buffer, position, length }: Source): number {
  if (length <= 0) return at
  if (length > 24) target.set(buffer.subarray(position, position + length), at)
  else for (let i = 0; i < length; i++) target[at + i] = buffer[position + i]!
  return at + length
}

/** Size, format, attributes, timestamp of a message at `start`; returns where the key length goes. */
function putMessageHead(
  target: Buffer,
  start: number,
  size: number,
  magic: number,
  attributes: number,
  timestamp: number,
): number {
  putInt32(target, start + 8, size)
  target[start + 16] = magic
  target[start + 17] = attributes
  if (magic === 0) return start + 18
  putInt64(target, start + 18, timestamp)
  return start + 26
}

/** The control batch that ends a transaction in a partition (KIP-98). */
export function endTransactionMarker(marker: {
  readonly commit: boolean
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly timestamp: number
  readonly offset?: number
  readonly leaderEpoch?: number
}): Buffer {
  const key = Buffer.from([0, 0, 0, marker.commit ? 1 : 0])
  const value = Buffer.alloc(6)
  putInt32(value, 2, marker.coordinatorEpoch)
  const { producerId, producerEpoch } = marker
  const options = {
    producerId,
    producerEpoch,
    transactional: true,
    control: true,
    baseOffset: marker.offset ?? 0,
    leaderEpoch: marker.leaderEpoch ?? -1,
  }
  return new BatchBuilder(options).append(marker.timestamp, key, value).build()
}
