/**
 * What producer and consumer share about records: a writer that appends them to pooled memory as one batch, and a reader that walks what a
 * broker sent. No object per record is made by either.
 */
import { assert } from '../base/assert.ts'
import type { BufferPool } from '../base/buffer-pool.ts'
import { putInt16, putInt32, putInt64 } from '../base/bytes.ts'
import { crc32c } from '../base/crc.ts'
import { putVarint, putVarlong, sizeOfVarint } from '../base/varint.ts'
import { BatchBuilder, codecNames, compress, type Magic, RecordCursor } from '../protocol/records/index.ts'
import type { Bytes } from './serialization.ts'

const BATCH_OVERHEAD = 61
/** Length, attributes, delta of time and offset, key and value lengths, header count: at most. */
const MAX_RECORD_OVERHEAD = 5 + 1 + 10 + 5 + 5 + 5 + 5
/** Attributes, delta of time and offset, key and value lengths, header count: at least. */
const LEAST_RECORD_OVERHEAD = 6
const SHORT_TEXT = 48
/** Numbers from 0 to below this take at most two bytes. */
const SHORT = 8192
/** Key and value below this: the length of the record with all its fields is such a number too. */
const PLAIN_DATA = SHORT - MAX_RECORD_OVERHEAD

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
  /** The batch: header, then records. */
  #buffer: Buffer
  #used = BATCH_OVERHEAD
  #count = 0
  #firstTimestamp = -1
  #maxTimestamp = -1
  #sealed: Buffer | undefined
  #sealedOwner: Buffer | undefined
  #released = false

  /** `sizeBytes`: what the batch may grow to (`batch.size`), or more for one big record. */
  constructor(pool: BufferPool, sizeBytes: number) {
    this.#pool = pool
    this.#buffer = pool.acquire(Math.max(sizeBytes, BATCH_OVERHEAD + MAX_RECORD_OVERHEAD))
  }

  /** Records. */
  get count(): number {
    return this.#count
  }

  /** Bytes so far, not compressed, header included. */
  get size(): number {
    return this.#used
  }

  /** Bytes of memory taken from the pool. */
  get capacity(): number {
    return this.#buffer.length
  }

  /** Greatest timestamp; -1 without records. */
  get maxTimestamp(): number {
    return this.#maxTimestamp
  }

  get isSealed(): boolean {
    return this.#sealed !== undefined
  }

  /** Whether a record of that size surely fits below `limit` (default: the memory at hand). The sizes are those of `byteLength`. */
  hasRoom(
    keyBytes: number,
    valueBytes: number,
    headers: readonly HeaderInput[] = NO_HEADERS,
    limit: number = this.#buffer.length,
  ): boolean {
    return this.#used + MAX_RECORD_OVERHEAD + keyBytes + valueBytes + (headers.length === 0 ? 0 : headersSize(headers)) <= limit
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
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    this.#count = index + 1
    const isPlain = headers.length === 0 && delta >= 0 && delta < SHORT && index < SHORT && keyBytes + valueBytes < PLAIN_DATA
    if (isPlain && this.#used + MAX_RECORD_OVERHEAD + keyBytes + valueBytes <= this.#buffer.length) {
      this.#appendPlain(delta, index, key, keyBytes, value, valueBytes)
    } else this.#appendAny(delta, index, key, keyBytes, value, valueBytes, headers)
    return index
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
    if (length < 64) buffer[at++] = length << 1
    else {
      buffer[at++] = ((length << 1) & 0x7f) | 0x80
      buffer[at++] = length >> 6
    }
    buffer[at++] = 0
    if (delta < 64) buffer[at++] = delta << 1
    else {
      buffer[at++] = ((delta << 1) & 0x7f) | 0x80
      buffer[at++] = delta >> 6
    }
    if (index < 64) buffer[at++] = index << 1
    else {
      buffer[at++] = ((index << 1) & 0x7f) | 0x80
      buffer[at++] = index >> 6
    }
    if (key === null) buffer[at++] = 1
    else {
      at = putShort(buffer, at, keyBytes)
      if (keyBytes > 0) at = putBytes(buffer, at, key, keyBytes)
    }
    if (value === null) buffer[at++] = 1
    else {
      if (valueBytes < 64) buffer[at++] = valueBytes << 1
      else {
        buffer[at++] = ((valueBytes << 1) & 0x7f) | 0x80
        buffer[at++] = valueBytes >> 6
      }
      if (valueBytes > 24 && typeof value !== 'string') {
        buffer.set(value, at)
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
    const larger = this.#pool.acquire(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#used)
    this.#pool.release(this.#buffer)
    this.#buffer = larger
  }

  /** Compresses, writes the header. Once, and only with records. Returns `bytes`. */
  seal(seal: BatchSeal = {}): Buffer {
    assert(this.#count > 0 && this.#sealed === undefined && !this.#released, 'a batch is sealed once, with records')
    const codec = seal.codec ?? 0
    let bytes = this.#buffer.subarray(0, this.#used)
    if (codec !== 0) {
      const payload = compress(codec, 2, bytes.subarray(BATCH_OVERHEAD))
      this.#sealedOwner = this.#pool.acquire(BATCH_OVERHEAD + payload.length)
      bytes = this.#sealedOwner.subarray(0, BATCH_OVERHEAD + payload.length)
      payload.copy(bytes, BATCH_OVERHEAD)
    }
    putInt64(bytes, 0, 0)
    putInt32(bytes, 8, bytes.length - 12)
    putInt32(bytes, 12, -1)
    bytes[16] = 2
    putInt16(bytes, 21, codec | (seal.transactional === true ? 0x10 : 0))
    putInt32(bytes, 23, this.#count - 1)
    putInt64(bytes, 27, this.#firstTimestamp)
    putInt64(bytes, 35, this.#maxTimestamp)
    putInt32(bytes, 57, this.#count)
    this.#sealed = bytes
    this.restamp(seal.producerId ?? -1, seal.producerEpoch ?? -1, seal.baseSequence ?? -1)
    return bytes
  }

  /** What is sent: valid until `release`. */
  get bytes(): Buffer {
    assert(this.#sealed !== undefined && !this.#released, 'the bytes of a batch that is not sealed')
    return this.#sealed
  }

  /** Another producer id, epoch or sequence for a sealed batch (after a producer id was reset). */
  restamp(producerId: number, producerEpoch: number, baseSequence: number): void {
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

  /** Gives the memory back. Idempotent; nobody may use `bytes` any more. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#pool.release(this.#buffer)
    if (this.#sealedOwner !== undefined) this.#pool.release(this.#sealedOwner)
  }
}

/** A batch of format 2 as a message set of an older format, same codec, offsets from 0. */
export function toMessageSet(batch: Buffer, magic: Exclude<Magic, 2>): Buffer {
  const cursor = new RecordCursor().open(batch, 0)
  const builder = new BatchBuilder({ magic, codec: codecNames[cursor.codec]!, sizeHint: batch.length * 2 })
  for (let offset = 0; cursor.next(); offset++) builder.appendFrom(cursor, offset)
  return builder.build()
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
    if (length > 24) target.set(data, at)
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
