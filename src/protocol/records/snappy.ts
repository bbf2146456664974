import { getInt32, putInt32 } from '../../base/bytes.ts'
import { ErrorCode } from '../errors.ts'
import { RecordsError } from './errors.ts'
import { finish, STEP_BYTES, type Steps } from './steps.ts'

/**
 * Snappy with the stream framing of snappy-java ("xerial"), as Kafka's clients write it: a 16 byte header, then blocks, each with an
 * int32 length and one raw snappy block of at most 32 KiB of text. Readers take a single raw block without the header as well.
 */

const XERIAL_MAGIC: readonly number[] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]
const XERIAL_HEADER = 16
/** Blocks of a later version would not be understood. */
const XERIAL_VERSION = 1
const WRITE_BLOCK = 32768
const HASH_BITS = 14

function broken(what: string): never {
  throw new RecordsError(`snappy: ${what}`, ErrorCode.UNKNOWN_SERVER_ERROR)
}

function tooLarge(limit: number): never {
  throw new RecordsError(`more than ${limit} bytes when decompressed`, ErrorCode.MESSAGE_TOO_LARGE)
}

/** Uncompressed length of a raw block; `position` is set behind it. */
const preamble = { length: 0, position: 0 }

function readPreamble(source: Uint8Array, start: number, end: number): void {
  let length = 0
  let position = start
  for (let shift = 0; ; shift += 7) {
    if (position >= end || shift > 28) broken('length of a block')
    const byte = source[position++]!
    length += (byte & 0x7f) * 2 ** shift
    if (byte < 128) break
  }
  // The densest element is a 3 byte copy of 64 bytes.
  if (length > (end - position) * 22 + 64) broken(`a block of ${end - start} bytes that claims ${length}`)
  preamble.length = length
  preamble.position = position
}

/** How far a raw block is decoded: next byte to read, next byte to write. */
interface Progress {
  from: number
  to: number
}

/** More of the raw block `source[.., end)` into `target[at, limit)`, until its end or `pause`. */
function decodeBlock(
  source: Uint8Array,
  end: number,
  target: Buffer,
  at: number,
  limit: number,
  progress: Progress,
  pause: number,
): void {
  let { from, to } = progress
  while (from < end && to < pause) {
    const tag = source[from++]!
    const kind = tag & 3
    if (kind === 0) {
      let count = tag >>> 2
      if (count >= 60) {
        const extra = count - 59
        if (extra > end - from) broken('literal length is cut')
        count = 0
        for (let i = 0; i < extra; i++) count += source[from + i]! * 2 ** (8 * i)
        from += extra
      }
      count++
      if (count > end - from || count > limit - to) broken('literal runs past the block')
      if (count > 32) target.set(source.subarray(from, from + count), to)
      else for (let i = 0; i < count; i++) target[to + i] = source[from + i]!
      from += count
      to += count
      continue
    }
    const extra = kind === 3 ? 4 : kind
    if (extra > end - from) broken('copy is cut')
    const count = kind === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2)
    let distance = source[from]!
    if (kind === 1) distance += (tag >>> 5) << 8
    else distance += source[from + 1]! << 8
    if (kind === 3) distance += source[from + 2]! * 65536 + source[from + 3]! * 16777216
    from += extra
    if (distance === 0 || distance > to - at || count > limit - to) broken(`copy of ${count} bytes from ${distance} back`)
    if (distance >= count && count > 32) target.copyWithin(to, to - distance, to - distance + count)
    else for (let i = 0; i < count; i++) target[to + i] = target[to - distance + i]!
    to += count
  }
  progress.from = from
  progress.to = to
}

/** One raw block into `target[at, at + length)`. */
function* decodeSteps(source: Uint8Array, start: number, end: number, target: Buffer, at: number, length: number): Steps<void> {
  const limit = at + length
  const progress: Progress = { from: start, to: at }
  for (;;) {
    decodeBlock(source, end, target, at, limit, progress, progress.to + STEP_BYTES)
    if (progress.from === end) break
    yield
  }
  if (progress.to !== limit) broken(`block of ${length} bytes ends after ${progress.to - at}`)
}

function hasHeader(source: Uint8Array, start: number, end: number): boolean {
  if (end - start < XERIAL_HEADER) return false
  for (let i = 0; i < XERIAL_MAGIC.length; i++) if (source[start + i] !== XERIAL_MAGIC[i]) return false
  return true
}

interface Block {
  readonly from: number
  readonly end: number
}

/** The raw blocks of a framed stream. */
function framedBlocks(source: Uint8Array, start: number, end: number): Block[] {
  const blocks: Block[] = []
  let from = start
  while (from < end) {
    if (hasHeader(source, from, end)) {
      if (getInt32(source, from + 12) > XERIAL_VERSION) broken(`stream version ${getInt32(source, from + 12)}`)
      from += XERIAL_HEADER
      continue
    }
    if (end - from < 4) broken('block length is cut')
    const size = getInt32(source, from)
    from += 4
    if (size < 0 || size > end - from) broken(`block of ${size} bytes, ${end - from} left`)
    blocks.push({ from, end: from + size })
    from += size
  }
  return blocks
}

/** Throws `RecordsError`; `limit` bounds the result. */
export function snappyDecompress(source: Buffer, start: number, end: number, limit: number): Buffer {
  return finish(snappyDecompressSteps(source, start, end, limit))
}

export function* snappyDecompressSteps(source: Buffer, start: number, end: number, limit: number): Steps<Buffer> {
  if (start === end) return Buffer.alloc(0)
  const blocks = hasHeader(source, start, end) ? framedBlocks(source, start, end) : [{ from: start, end }]
  let total = 0
  for (const block of blocks) {
    readPreamble(source, block.from, block.end)
    total += preamble.length
    if (total > limit) tooLarge(limit)
  }
  const target = Buffer.allocUnsafe(total)
  let at = 0
  let pause = STEP_BYTES
  for (const block of blocks) {
    readPreamble(source, block.from, block.end)
    const { length, position } = preamble
    yield* decodeSteps(source, position, block.end, target, at, length)
    at += length
    if (at < pause) continue
    yield
    pause = at + STEP_BYTES
  }
  return target
}

function word(b: Uint8Array, i: number): number {
  return b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)
}

function putLiteral(source: Uint8Array, from: number, end: number, target: Uint8Array, at: number): number {
  const count = end - from
  if (count === 0) return at
  let to = at
  const least = count - 1
  if (least < 60) {
    target[to++] = least << 2
  } else if (least < 256) {
    target[to++] = 60 << 2
    target[to++] = least
  } else {
    target[to++] = 61 << 2
    target[to++] = least
    target[to++] = least >>> 8
  }
  target.set(source.subarray(from, end), to)
  return to + count
}

function putCopy(target: Uint8Array, at: number, distance: number, length: number): number {
  let to = at
  let left = length
  while (left >= 68) {
    to = putLongCopy(target, to, distance, 64)
    left -= 64
  }
  if (left > 64) {
    to = putLongCopy(target, to, distance, 60)
    left -= 60
  }
  if (left >= 12 || distance >= 2048 || left < 4) return putLongCopy(target, to, distance, left)
  target[to++] = 1 | ((left - 4) << 2) | ((distance >>> 8) << 5)
  target[to++] = distance
  return to
}

function putLongCopy(target: Uint8Array, at: number, distance: number, length: number): number {
  target[at] = 2 | ((length - 1) << 2)
  target[at + 1] = distance
  target[at + 2] = distance >>> 8
  return at + 3
}

let hashTable: Int32Array | undefined

/** One raw block of at most 64 KiB; `target` has room for the worst case. Returns the position after it. */
function encodeBlock(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  hashTable ??= new Int32Array(1 << HASH_BITS)
  const table = hashTable.fill(-1)
  let to = at
  let length = end - start
  for (; length >= 128; length >>>= 7) target[to++] = (length & 0x7f) | 0x80
  target[to++] = length
  let literals = start
  let i = start
  let misses = 0
  while (i + 15 < end) {
    const here = word(source, i)
    const slot = Math.imul(here, 0x1e35a7bd) >>> (32 - HASH_BITS)
    const candidate = table[slot]!
    table[slot] = i
    if (candidate < 0 || word(source, candidate) !== here) {
      i += 1 + (misses++ >> 5)
      continue
    }
    misses = 0
    let match = 4
    while (i + match < end && source[candidate + match] === source[i + match]) match++
    to = putLiteral(source, literals, i, target, to)
    to = putCopy(target, to, i - candidate, match)
    i += match
    literals = i
  }
  return putLiteral(source, literals, end, target, to)
}

/** Framed as snappy-java does, in blocks of 32 KiB. */
export function snappyCompress(source: Buffer): Buffer {
  return finish(snappyCompressSteps(source))
}

export function* snappyCompressSteps(source: Buffer): Steps<Buffer> {
  const blocks = Math.ceil(source.length / WRITE_BLOCK)
  const target = Buffer.allocUnsafe(XERIAL_HEADER + source.length + Math.ceil(source.length / 6) + 48 * (blocks + 1))
  target.set(XERIAL_MAGIC, 0)
  putInt32(target, 8, XERIAL_VERSION)
  putInt32(target, 12, XERIAL_VERSION)
  let to = XERIAL_HEADER
  for (let from = 0; from < source.length; from += WRITE_BLOCK) {
    const next = encodeBlock(source, from, Math.min(source.length, from + WRITE_BLOCK), target, to + 4)
    putInt32(target, to, next - to - 4)
    to = next
    if ((from + WRITE_BLOCK) % STEP_BYTES === 0) yield
  }
  return target.subarray(0, to)
}
