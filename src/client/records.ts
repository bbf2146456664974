/**
 * What producer and consumer share about records: a writer that appends them to pooled memory as one batch, and a reader that walks what a
 * broker sent. No object per record is made by either.
 */
import { assert } from '../base/assert.ts'
import type { BufferPool } from '../base/buffer-pool.ts'
import { putInt16, putInt32, putInt64, type RecordsSource } from '../base/bytes.ts'
import { crc32c } from '../base/crc.ts'
import { putVarint, putVarlong, sizeOfVarint } from '../base/varint.ts'
import { BatchBuilder, codecNames, compress, type Magic, RecordCursor } from '../protocol/records/index.ts'
import { BatchMemory, FRAME_ROOM } from './batch-memory.ts'
import type { Bytes } from './serialization.ts'

const BATCH_OVERHEAD = 61
/** Where the first record of a batch lies in its memory. */
const RECORDS_AT = FRAME_ROOM + BATCH_OVERHEAD
/** Length, attributes, delta of time and offset, key and value lengths, header count: at most. */
const MAX_RECORD_OVERHEAD = 5 + 1 + 10 + 5 + 5 + 5 + 5
/** Attributes, delta of time and offset, key and value lengths, header count: at least. */
const LEAST_RECORD_OVERHEAD = 6
const SHORT_TEXT = 48
/** Numbers from 0 to below this take at most two bytes. */
export const SHORT = 8192
/** Key and value below this: the length of the record with all its fields is such a number too. */
export const PLAIN_DATA: number = SHORT - MAX_RECORD_OVERHEAD

export interface HeaderInput {
  readonly key: string
  readonly value: Bytes
}

export interface BatchSeal {
  /** Index in `codecNames`: 0 none, 1 gzip, 2 snappy, 3 lz4. */
  readonly codec?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
}

const NO_HEADERS: readonly HeaderInput[] = []
/** `target.set` through a Buffer is looked up anew with every call: V8 gives up on what Node has put between it and typed arrays. */
const setBytes = Uint8Array.prototype.set

/** Bytes of UTF-8 text, or of bytes; 0 for null. */
export function byteLength(data: Bytes): number {
  if (data === null) return 0
  if (typeof data !== 'string') return data.length
  if (data.length > SHORT_TEXT) return Buffer.byteLength(data)
  for (let i = 0; i < data.length; i++) if (data.charCodeAt(i) > 127) return Buffer.byteLength(data)
  return data.length
}

/** An upper bound of the bytes that a record takes in a batch of its own, header included: compared with `max.request.size`. */
export function recordSizeBound(keyBytes: number, valueBytes: number, headers: readonly HeaderInput[] = NO_HEADERS): number {
  return BATCH_OVERHEAD + MAX_RECORD_OVERHEAD + keyBytes + valueBytes + headersSize(headers)
}

function headersSize(headers: readonly HeaderInput[]): number {
  let size = 0
  for (let i = 0; i < headers.length; i++) {
    const { key, value } = headers[i]!
    const keyBytes = byteLength(key)
    const valueBytes = byteLength(value)
    size += sizeOfVarint(keyBytes) + keyBytes + sizeOfVarint(value === null ? -1 : valueBytes) + valueBytes
  }
  return size
}

/**
 * One batch of format 2 under construction, in memory of a pool. Life: `append` while `hasRoom`, `seal` once, `bytes` as often as it is
 * sent, `restamp` when the producer's identity changes, `release` at the end. For brokers that know older formats only, `legacy` gives
 * the same records as a message set.
 */
export class RecordBatchWriter {
  readonly #pool: BufferPool
  /** Room for the head of a request, the batch's header, records. */
  #memory: BatchMemory
  /** Of `#memory`. */
  #buffer: Buffer
  /** Position behind the last record. */
  #used = RECORDS_AT
  #count = 0
  /** Where small fields, key and value of a record may end up with `join`; 0: nothing joins any more. */
  #joinEnd: number
  #firstTimestamp = -1
  /** Greatest timestamp, relative to the first. */
  #maxDelta = 0
  #sealed: Buffer | undefined
  #released = false

  /** `sizeBytes`: what the batch may grow to (`batch.size`), or more for one big record. `joinLimit`: the size that `join` keeps to; 0: none joins. */
  constructor(pool: BufferPool, sizeBytes: number, joinLimit = 0) {
    this.#pool = pool
    this.#memory = new BatchMemory(pool, Math.max(sizeBytes, BATCH_OVERHEAD + MAX_RECORD_OVERHEAD))
    this.#buffer = this.#memory.buffer
    this.#joinEnd = Math.min(FRAME_ROOM + joinLimit, this.#buffer.length) - MAX_RECORD_OVERHEAD
  }

  /** Records. */
  get count(): number {
    return this.#count
  }

  /** Bytes so far, not compressed, header included. */
  get size(): number {
    return this.#used - FRAME_ROOM
  }

  /** Bytes of memory for the batch. */
  get capacity(): number {
    return this.#buffer.length - FRAME_ROOM
  }

  /** Greatest timestamp; -1 without records. */
  get maxTimestamp(): number {
    return this.#count === 0 ? -1 : this.#firstTimestamp + this.#maxDelta
  }

  /** What deltas of timestamps are relative to; -1 without records. */
  get firstTimestamp(): number {
    return this.#firstTimestamp
  }

  get isSealed(): boolean {
    return this.#sealed !== undefined
  }

  /** Whether a record of that size surely fits below `limit` (default: the memory at hand). The sizes are those of `byteLength`. */
  hasRoom(
    keyBytes: number,
    valueBytes: number,
    headers: readonly HeaderInput[] = NO_HEADERS,
    limit: number = this.#buffer.length - FRAME_ROOM,
  ): boolean {
    return this.size + MAX_RECORD_OVERHEAD + keyBytes + valueBytes + (headers.length === 0 ? 0 : headersSize(headers)) <= limit
  }

  /**
   * Appends and returns the record's place in the batch, from 0. `keyBytes`, `valueBytes` are those of `byteLength` (0 for null). Grows
   * beyond the memory at hand when the record does not fit: ask `hasRoom` first.
   */
  append(
    timestamp: number,
    key: Bytes,
    keyBytes: number,
    value: Bytes,
    valueBytes: number,
    headers: readonly HeaderInput[] = NO_HEADERS,
  ): number {
    assert(this.#sealed === undefined && !this.#released, 'append to a batch that is sealed')
    const index = this.#count
    if (index === 0) this.#firstTimestamp = timestamp
    const delta = timestamp - this.#firstTimestamp
    if (delta > this.#maxDelta) this.#maxDelta = delta
    this.#count = index + 1
    const isPlain = headers.length === 0 && delta >= 0 && delta < SHORT && index < SHORT && keyBytes + valueBytes < PLAIN_DATA
    if (isPlain && this.#used + MAX_RECORD_OVERHEAD + keyBytes + valueBytes <= this.#buffer.length) {
      this.#appendPlain(delta, index, key, keyBytes, value, valueBytes)
    } else this.#appendAny(delta, index, key, keyBytes, value, valueBytes, headers)
    return index
  }

  /**
   * `append` for a record without headers, `delta` (0 to below `SHORT`) after `firstTimestamp`, of less than `PLAIN_DATA` bytes, behind a first
   * one, as long as the batch stays within `joinLimit`. False, and nothing done: `append` is for it. Small integers and objects are all that it
   * takes: V8 passes them on without a box on the heap.
   */
  join(delta: number, key: Bytes, keyBytes: number, value: Bytes, valueBytes: number): boolean {
    const index = this.#count
    if (this.#used + keyBytes + valueBytes > this.#joinEnd || index >= SHORT) return false
    this.#count = index + 1
    if (delta > this.#maxDelta) this.#maxDelta = delta
    this.#appendPlain(delta, index, key, keyBytes, value, valueBytes)
    return true
  }

  /** No headers, and numbers of at most two bytes: they are what `putShort` writes, without its calls, and lengths are known beforehand. */
  #appendPlain(delta: number, index: number, key: Bytes, keyBytes: number, value: Bytes, valueBytes: number): void {
    const buffer = this.#buffer
    let at = this.#used
    // Attributes, the number of headers, and one byte at least for each of the four fields.
    let length = 6 + keyBytes + valueBytes
    if (delta > 63) length++
    if (index > 63) length++
    if (keyBytes > 63) length++
    if (valueBytes > 63) length++
    at = putSmall(buffer, at, length)
    buffer[at++] = 0
    at = putSmall(buffer, at, delta)
    at = putSmall(buffer, at, index)
    if (key === null) buffer[at++] = 1
    else {
      at = putSmall(buffer, at, keyBytes)
      if (keyBytes > 0) at = putBytes(buffer, at, key, keyBytes)
    }
    if (value === null) buffer[at++] = 1
    else {
      at = putSmall(buffer, at, valueBytes)
      if (valueBytes > 24 && typeof value !== 'string') {
        setBytes.call(buffer, value, at)
        at += valueBytes
      } else if (valueBytes > 0) at = putBytes(buffer, at, value, valueBytes)
    }
    buffer[at++] = 0
    this.#used = at
  }

  #appendAny(
    delta: number,
    index: number,
    key: Bytes,
    keyBytes: number,
    value: Bytes,
    valueBytes: number,
    headers: readonly HeaderInput[],
  ): void {
    const headerBytes = headers.length === 0 ? 0 : headersSize(headers)
    const start = this.#used
    const room = MAX_RECORD_OVERHEAD + keyBytes + valueBytes + headerBytes
    if (start + room > this.#buffer.length) this.#grow(start + room)
    const buffer = this.#buffer
    // The length comes first and is known last: it is given the bytes that it takes unless the small fields are unusually large.
    const reserved = sizeOfVarint(LEAST_RECORD_OVERHEAD + keyBytes + valueBytes + headerBytes)
    const body = start + reserved
    buffer[body] = 0
    let at = body + 1
    at = delta === (delta | 0) ? putShort(buffer, at, delta) : putVarlong(buffer, at, delta)
    at = putShort(buffer, at, index)
    at = putShort(buffer, at, key === null ? -1 : keyBytes)
    if (keyBytes > 0) at = putBytes(buffer, at, key, keyBytes)
    at = putShort(buffer, at, value === null ? -1 : valueBytes)
    if (valueBytes > 0) at = putBytes(buffer, at, value, valueBytes)
    at = putShort(buffer, at, headers.length)
    if (headers.length > 0) at = putHeaders(buffer, at, headers)
    const length = at - body
    const excess = sizeOfVarint(length) - reserved
    if (excess > 0) {
      buffer.copyWithin(body + excess, body, at)
      at += excess
    }
    putShort(buffer, start, length)
    this.#used = at
  }

  #grow(needed: number): void {
    const larger = new BatchMemory(this.#pool, Math.max(needed, this.#buffer.length * 2) - FRAME_ROOM)
    this.#buffer.copy(larger.buffer, FRAME_ROOM, FRAME_ROOM, this.#used)
    this.#moveTo(larger)
  }

  #moveTo(memory: BatchMemory): void {
    this.#memory.release()
    this.#memory = memory
    this.#buffer = memory.buffer
  }

  /** Compresses, writes the header. Once, and only with records. Returns `bytes`. */
  seal(seal: BatchSeal = {}): Buffer {
    assert(this.#count > 0 && this.#sealed === undefined && !this.#released, 'a batch is sealed once, with records')
    const codec = seal.codec ?? 0
    this.#joinEnd = 0
    let size = this.#used - FRAME_ROOM
    if (codec !== 0) {
      const payload = compress(codec, 2, this.#buffer.subarray(RECORDS_AT, this.#used))
      size = BATCH_OVERHEAD + payload.length
      const memory = new BatchMemory(this.#pool, size)
      payload.copy(memory.buffer, RECORDS_AT)
      this.#moveTo(memory)
    }
    const bytes = this.#takeUp(size)
    putInt64(bytes, 0, 0)
    putInt32(bytes, 8, bytes.length - 12)
    putInt32(bytes, 12, -1)
    bytes[16] = 2
    putInt16(bytes, 21, codec | (seal.transactional === true ? 0x10 : 0))
    putInt32(bytes, 23, this.#count - 1)
    putInt64(bytes, 27, this.#firstTimestamp)
    putInt64(bytes, 35, this.maxTimestamp)
    putInt32(bytes, 57, this.#count)
    this.restamp(seal.producerId ?? -1, seal.producerEpoch ?? -1, seal.baseSequence ?? -1)
    return bytes
  }

  /** The batch is what the memory holds, in so many bytes. */
  #takeUp(size: number): Buffer {
    this.#memory.size = size
    this.#sealed = this.#buffer.subarray(FRAME_ROOM, FRAME_ROOM + size)
    return this.#sealed
  }

  /** What is sent: valid until `release`. */
  get bytes(): Buffer {
    assert(this.#sealed !== undefined && !this.#released, 'the bytes of a batch that is not sealed')
    return this.#sealed
  }

  /** `bytes` for a request that ends with them: it is completed around them, without a copy. The memory stays until that is written. */
  get source(): RecordsSource {
    assert(this.#sealed !== undefined && !this.#released, 'the bytes of a batch that is not sealed')
    return this.#memory
  }

  /** Another producer id, epoch or sequence for a sealed batch (after a producer id was reset). What is being written stays as it is. */
  restamp(producerId: number, producerEpoch: number, baseSequence: number): void {
    if (this.#memory.isBeingWritten) {
      const { size } = this.#memory
      const memory = new BatchMemory(this.#pool, size)
      this.bytes.copy(memory.buffer, FRAME_ROOM)
      this.#moveTo(memory)
      this.#takeUp(size)
    }
    const { bytes } = this
    putInt64(bytes, 43, producerId)
    putInt16(bytes, 51, producerEpoch)
    putInt32(bytes, 53, baseSequence)
    putInt32(bytes, 17, crc32c(bytes, 21, bytes.length))
  }

  /** The records as a message set of format 0 or 1. Throws `RecordsError` when they have headers. The writer stays as it is. */
  legacy(magic: 0 | 1): Buffer {
    return toMessageSet(this.bytes, magic)
  }

  /** The records again, to split a batch that a broker found too large. Views: valid until `release`. */
  cursor(): RecordCursor {
    return new RecordCursor().open(this.bytes, 0)
  }

  /** Gives the memory back, when it is written where it is under way. Idempotent; nobody may use `bytes` any more. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#memory.release()
  }
}

/** A batch of format 2 as a message set of an older format, same codec, offsets from 0. */
export function toMessageSet(batch: Buffer, magic: Exclude<Magic, 2>): Buffer {
  const cursor = new RecordCursor().open(batch, 0)
  const builder = new BatchBuilder({ magic, codec: codecNames[cursor.codec]!, sizeHint: batch.length * 2 })
  for (let offset = 0; cursor.next(); offset++) builder.appendFrom(cursor, offset)
  return builder.build()
}

/** `putVarint` for numbers from 0 to below `SHORT`. */
function putSmall(target: Buffer, at: number, value: number): number {
  if (value < 64) {
    target[at] = value << 1
    return at + 1
  }
  target[at] = ((value << 1) & 0x7f) | 0x80
  target[at + 1] = value >> 6
  return at + 2
}

/** `putVarint` for what mostly takes one byte or two. */
function putShort(target: Buffer, at: number, value: number): number {
  if (value < -1 || value >= 8192) return putVarint(target, at, value)
  const raw = value < 0 ? 1 : value << 1
  if (raw < 128) {
    target[at] = raw
    return at + 1
  }
  target[at] = (raw & 0x7f) | 0x80
  target[at + 1] = raw >> 7
  return at + 2
}

function putBytes(target: Buffer, at: number, data: Bytes, length: number): number {
  if (typeof data === 'string') {
    if (length !== data.length) return at + target.write(data, at, length, 'utf8')
    if (length > SHORT_TEXT) return at + target.write(data, at, length, 'latin1')
    // As many bytes as characters: ASCII.
    for (let i = 0; i < length; i++) target[at + i] = data.charCodeAt(i)
  } else if (data !== null) {
    if (length > 24) setBytes.call(target, data, at)
    else for (let i = 0; i < length; i++) target[at + i] = data[i]!
  }
  return at + length
}

function putHeaders(target: Buffer, start: number, headers: readonly HeaderInput[]): number {
  let at = start
  for (let i = 0; i < headers.length; i++) {
    const { key, value } = headers[i]!
    const keyBytes = byteLength(key)
    at = putVarint(target, at, keyBytes)
    at = putBytes(target, at, key, keyBytes)
    const valueBytes = byteLength(value)
    at = putVarint(target, at, value === null ? -1 : valueBytes)
    at = putBytes(target, at, value, valueBytes)
  }
  return at
}
