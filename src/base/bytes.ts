import { BufferPool } from './buffer-pool.ts'
import { EncodeError, getInt16, getInt32, getInt64, getUint32, putInt16, putInt32, putInt64 } from './int64.ts'

export * from './int64.ts'

/** Big-endian byte reader and writer over Buffers. int64 values are carriers: see int64.ts. */

/** Bytes that are no valid message. The only error that decoders throw for bad input. */
export class DecodeError extends Error {
  override readonly name: string = 'DecodeError'

  /** Without a stack: strangers' bytes make these by the thousand, and a stack costs more than the rest of a refusal. */
  constructor(message?: string, options?: ErrorOptions) {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(message, options)
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Record bytes that are copied only when they are written, for example from a log segment. */
export interface RecordsSource {
  readonly size: number
  copyTo(target: Buffer, offset: number): void
  /** Set where the bytes can also be copied in pieces and later. */
  readonly pieces?: RecordPieces | undefined
  /** Set where a message that ends with these bytes can be completed around them. */
  readonly tail?: FrameTail | undefined
}

/** Bytes with room in front of them in their memory: a frame that ends with them is completed there, and they are not copied. */
export interface FrameTail {
  readonly size: number
  /** Bytes of room; 0 while a frame is there that is still being written. */
  readonly room: number
  /** The frame that `head` and these bytes are, for one write. They stay as they are until `letGo`. */
  frame(head: Uint8Array): Buffer
  letGo(): void
}

/** Bytes that stay within reach from `hold` to `letGo`. */
export interface RecordPieces {
  readonly size: number
  hold(): void
  letGo(): void
  /** Bytes [from, from + length) to `target[offset ...]`. False: they are gone. */
  copyPart(target: Buffer, offset: number, from: number, length: number): boolean
  /** Where these bytes lie in a file; undefined: to be copied. */
  inFile?(from: number, length: number): FileRange | undefined
}

/** Bytes of an open file, for the system to send from there. Good for this turn. */
export interface FileRange {
  readonly fd: number
  readonly position: number
  readonly length: number
}

/** Fewer bytes are copied: that is cheaper than calls of their own. */
export const FROM_FILE_BYTES: number = 96 * 1024

/** Smaller sets are copied: what is saved is not worth a second write. */
const DEFERRED_FROM_BYTES = 96 * 1024

/** What a `records` field takes on encode; null is written as an empty set. */
export type RecordsInput = Buffer | RecordsSource | null

/** Reads big-endian values. Every read is checked against `end` and throws `DecodeError` before it allocates anything. */
export class ByteReader {
  buffer: Buffer
  position: number
  end: number

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  /** Points the reader at other bytes, so that one reader serves a whole connection. */
  reset(buffer: Buffer, position: number, end: number): this {
    this.buffer = buffer
    this.position = position
    this.end = end
    return this
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Moves on by `bytes` and returns the position before. */
  private advance(bytes: number): number {
    const at = this.position
    if (bytes > this.end - at) throw new DecodeError(`${bytes} bytes wanted at byte ${at}, ${this.end - at} left`)
    this.position = at + bytes
    return at
  }

  boolean(): boolean {
    return this.buffer[this.advance(1)] !== 0
  }

  int8(): number {
    return (this.buffer[this.advance(1)]! << 24) >> 24
  }

  int16(): number {
    return getInt16(this.buffer, this.advance(2))
  }

  int32(): number {
    return getInt32(this.buffer, this.advance(4))
  }

  uint32(): number {
    return getUint32(this.buffer, this.advance(4))
  }

  /** An int64 carrier; see int64.ts. */
  int64(): number {
    return getInt64(this.buffer, this.advance(8))
  }

  string(): string {
    const length = this.int16()
    if (length < 0) throw new DecodeError(`string length ${length} at byte ${this.position - 2}`)
    return this.text(length)
  }

  /** Any negative length is null. */
  nullableString(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.text(length)
  }

  private text(length: number): string {
    const at = this.advance(length)
    return utf8At(this.buffer, at, length)
  }

  /** A copy, since these bytes outlive the receive buffer. */
  bytes(): Buffer {
    const length = this.int32()
    if (length < 0) throw new DecodeError(`bytes length ${length} at byte ${this.position - 4}`)
    const at = this.advance(length)
    return Buffer.from(this.buffer.subarray(at, at + length))
  }

  /** A copy; any negative length is null. */
  nullableBytes(): Buffer | null {
    const length = this.int32()
    if (length < 0) return null
    const at = this.advance(length)
    return Buffer.from(this.buffer.subarray(at, at + length))
  }

  /** A slice, not a copy: valid as long as the receive buffer is. A null set is refused, as Kafka 1.1 refuses it. */
  records(): Buffer {
    const length = this.int32()
    if (length < 0) throw new DecodeError(`record set length ${length} at byte ${this.position - 4}`)
    const at = this.advance(length)
    return this.buffer.subarray(at, at + length)
  }

  /** Count of an array whose elements take at least `elementSize` bytes each. */
  arrayLength(elementSize: number): number {
    const count = this.int32()
    if (count < 0) throw new DecodeError(`array count ${count} at byte ${this.position - 4}`)
    return this.checkedCount(count, elementSize)
  }

  /** -1 for null (any negative count). */
  nullableArrayLength(elementSize: number): number {
    const count = this.int32()
    return count < 0 ? -1 : this.checkedCount(count, elementSize)
  }

  private checkedCount(count: number, elementSize: number): number {
    const left = this.end - this.position
    if (count * elementSize > left || count > left) {
      throw new DecodeError(`array count ${count} at byte ${this.position - 4}, only ${left} bytes left`)
    }
    return count
  }
}

const INTERNED = 512
const LONGEST_INTERNED = 64
const internedText: (string | undefined)[] = new Array(INTERNED)

/**
 * UTF-8 text; invalid bytes become replacement characters, as in Java. Short ASCII names (topics, client ids) come back as the
 * same string object while they stay in a small direct-mapped table: no allocation and cheap map lookups.
 */
export function utf8At(buffer: Buffer, at: number, length: number): string {
  if (length === 0) return ''
  if (length > LONGEST_INTERNED) return buffer.toString('utf8', at, at + length)
  let hash = length
  let bits = 0
  for (let i = at, end = at + length; i < end; i++) {
    const byte = buffer[i]!
    bits |= byte
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  if (bits > 127) return buffer.toString('utf8', at, at + length)
  const slot = (hash ^ (hash >>> 15)) & (INTERNED - 1)
  const known = internedText[slot]
  if (known !== undefined && known.length === length && isTextAt(known, buffer, at)) return known
  const text = buffer.toString('latin1', at, at + length)
  internedText[slot] = text
  return text
}

function isTextAt(text: string, buffer: Buffer, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== buffer[at + i]) return false
  return true
}

/** Memory of writers that were not given a pool. */
export const sharedPool: BufferPool = new BufferPool()

/** What a writer begins with; the pool leaves such small memory to the runtime. */
const FIRST_BYTES = 4096

/** Up to here a loop is faster than a call into native code. */
const SHORT_TEXT = 48

function outOfRange(type: string, value: unknown): never {
  throw new EncodeError(`not an ${type}: ${String(value)}`)
}

/**
 * Writes big-endian values into a buffer from a pool that grows as needed. One writer may take several messages; `take` hands the
 * bytes over, and whoever got them gives `owner` back to the pool when they are sent.
 */
export class ByteWriter {
  buffer: Buffer
  position = 0
  readonly pool: BufferPool
  /** Large record sets may be left out of `buffer`: see `parts`. */
  defers = false
  /** Those that were, each with the position that it belongs to. */
  private readonly deferred: { readonly at: number; readonly pieces: RecordPieces }[] = []
  /** Their size. */
  deferredBytes = 0
  /** Whoever takes the message asks for `tail`: the last record set of a message may be that. */
  takesTail = false
  /** Record bytes that end the message and were left where they lie, with room in front for what is in `buffer`. Nothing is written behind. */
  tail: FrameTail | undefined
  /** Where `tail` follows. */
  tailAt = 0
  /** The small buffer that it began with, while a larger one is in use. */
  private first: Buffer | undefined

  constructor(initialSize = FIRST_BYTES, pool: BufferPool = sharedPool) {
    this.pool = pool
    this.buffer = pool.acquire(initialSize)
  }

  /** Forgets what was written; the memory stays. */
  reset(): this {
    this.position = 0
    this.tail = undefined
    if (this.deferredBytes > 0) this.forget(0)
    return this
  }

  /** Back to an earlier position: what was written since is forgotten. */
  rewind(position: number): void {
    this.position = position
    if (this.deferredBytes > 0) this.forget(position)
  }

  private forget(from: number): void {
    while (this.deferred.length > 0 && this.deferred[this.deferred.length - 1]!.at > from) {
      const { pieces } = this.deferred.pop()!
      this.deferredBytes -= pieces.size
      pieces.letGo()
    }
  }

  /** All that was written, in order, when something was deferred. Valid until the next write, `reset` or `close`. */
  parts(): (Buffer | RecordPieces)[] {
    const list: (Buffer | RecordPieces)[] = []
    let from = 0
    for (const { at, pieces } of this.deferred) {
      list.push(this.buffer.subarray(from, at), pieces)
      from = at
    }
    if (from < this.position) list.push(this.view(from))
    return list
  }

  /** View of what was written, valid until the next write, reset or take. */
  view(start = 0): Buffer {
    return this.buffer.subarray(start, this.position)
  }

  /** A copy of what was written. */
  copy(start = 0): Buffer {
    return Buffer.from(this.buffer.subarray(start, this.position))
  }

  /** Hands over what was written. `owner` goes back to `pool.release` when nobody uses the bytes any more. */
  take(nextSize = 4096): { readonly bytes: Buffer; readonly owner: Buffer } {
    const owner = this.buffer
    const bytes = owner.subarray(0, this.position)
    this.buffer = this.pool.acquire(nextSize)
    this.position = 0
    return { bytes, owner }
  }

  /** Gives the memory back; the writer is dead afterwards. */
  close(): void {
    this.reset()
    this.pool.release(this.buffer)
    this.buffer = Buffer.alloc(0)
    this.position = 0
  }

  /** `reset`, and back to the buffer that it began with: no new one for the next use. */
  shrink(): this {
    this.reset()
    if (this.first === undefined) return this
    this.pool.release(this.buffer)
    this.buffer = this.first
    this.first = undefined
    return this
  }

  /** Room for `bytes` more; returns the position before and moves on. */
  reserve(bytes: number): number {
    const at = this.position
    if (at + bytes > this.buffer.length) this.grow(at + bytes)
    this.position = at + bytes
    return at
  }

  private grow(needed: number): void {
    const larger = this.pool.acquire(Math.max(needed, Math.min(this.buffer.length * 2, this.buffer.length + 16 * 1024 * 1024)))
    this.buffer.copy(larger, 0, 0, this.position)
    if (this.first === undefined && this.buffer.length <= FIRST_BYTES) this.first = this.buffer
    else this.pool.release(this.buffer)
    this.buffer = larger
  }

  boolean(value: boolean): void {
    if (value !== true && value !== false) outOfRange('boolean', value)
    const at = this.reserve(1)
    this.buffer[at] = value ? 1 : 0
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) outOfRange('int8', value)
    const at = this.reserve(1)
    this.buffer[at] = value
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) outOfRange('int16', value)
    const at = this.reserve(2)
    putInt16(this.buffer, at, value)
  }

  int32(value: number): void {
    if ((value | 0) !== value) outOfRange('int32', value)
    const at = this.reserve(4)
    putInt32(this.buffer, at, value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) outOfRange('uint32', value)
    const at = this.reserve(4)
    putInt32(this.buffer, at, value)
  }

  /** An int64 carrier; see int64.ts. */
  int64(value: number): void {
    const at = this.reserve(8)
    putInt64(this.buffer, at, value)
  }

  /** Overwrites an int32 written (or reserved) before. */
  patchInt32(at: number, value: number): void {
    putInt32(this.buffer, at, value)
  }

  string(value: string): void {
    const at = this.reserve(2 + value.length * 3)
    const length = this.text(at + 2, value)
    if (length > 32767) throw new EncodeError(`string of ${length} bytes is longer than 32767: ${value.slice(0, 40)}...`)
    putInt16(this.buffer, at, length)
    this.position = at + 2 + length
  }

  /** UTF-8 at `at`, where there is room; returns the number of bytes. */
  private text(at: number, value: string): number {
    const length = value.length
    if (length > SHORT_TEXT) return this.buffer.write(value, at, 'utf8')
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return this.buffer.write(value, at, 'utf8')
      this.buffer[at + i] = code
    }
    return length
  }

  nullableString(value: string | null): void {
    if (value === null) this.int16(-1)
    else this.string(value)
  }

  bytes(value: Uint8Array): void {
    this.int32(value.length)
    this.raw(value)
  }

  nullableBytes(value: Uint8Array | null): void {
    if (value === null) this.int32(-1)
    else this.bytes(value)
  }

  records(value: RecordsInput): void {
    if (value === null) {
      this.int32(0)
    } else if (value instanceof Uint8Array) {
      this.bytes(value)
    } else {
      this.int32(value.size)
      if (this.takesTail && value.tail !== undefined && value.tail.room >= this.position) {
        this.tail = value.tail
        this.tailAt = this.position
        return
      }
      if (this.defers && value.size >= DEFERRED_FROM_BYTES && value.pieces !== undefined) {
        value.pieces.hold()
        this.deferred.push({ at: this.position, pieces: value.pieces })
        this.deferredBytes += value.size
        return
      }
      const at = this.reserve(value.size)
      value.copyTo(this.buffer, at)
    }
  }

  /** Bytes without a length. */
  raw(value: Uint8Array): void {
    const at = this.reserve(value.length)
    this.buffer.set(value, at)
  }

  /** An array count: written as -1 when `count` is negative. */
  arrayLength(count: number): void {
    this.int32(count)
  }
}
