import { ErrorCode } from '../errors.ts'
import { RecordsError } from './errors.ts'
import { finish, STEP_BYTES, type Steps } from './steps.ts'
import { xxHash32 } from './xxhash32.ts'

/**
 * LZ4 frames as Kafka uses them: independent blocks, no content checksum on write, one frame. Format 0 of messages has a wrong
 * header checksum: it is taken over the frame's magic as well. It must be written so (old clients check it) and not be checked.
 */

const FRAME_MAGIC = 0x184d2204
const MIN_MATCH = 4
/** The last match starts this many bytes before the end, and the last 5 bytes are literals. */
const MATCH_LIMIT = 12
const LAST_LITERALS = 5
const HASH_BITS = 14
const WRITE_BLOCK = 65536

function broken(what: string): never {
  throw new RecordsError(`lz4: ${what}`, ErrorCode.UNKNOWN_SERVER_ERROR)
}

function word(b: Uint8Array, i: number): number {
  return b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)
}

function putWord(b: Uint8Array, i: number, value: number): void {
  b[i] = value
  b[i + 1] = value >>> 8
  b[i + 2] = value >>> 16
  b[i + 3] = value >>> 24
}

function copyMatch(target: Buffer, from: number, to: number, length: number): void {
  if (to - from >= length && length > 32) {
    target.copyWithin(to, from, from + length)
    return
  }
  for (let i = 0; i < length; i++) target[to + i] = target[from + i]!
}

/** One block into `target[at, limit)`; returns the position after its last byte. */
function decodeBlock(source: Uint8Array, start: number, end: number, target: Buffer, at: number, limit: number): number {
  let from = start
  let to = at
  while (from < end) {
    const token = source[from++]!
    let length = token >>> 4
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (from >= end) broken('literal length runs past the block')
        more = source[from++]!
        length += more
      }
    }
    if (length > end - from || length > limit - to) broken('literals run past the block')
    if (length > 32) target.set(source.subarray(from, from + length), to)
    else for (let i = 0; i < length; i++) target[to + i] = source[from + i]!
    from += length
    to += length
    if (from === end) return to
    if (end - from < 2) broken('match offset runs past the block')
    const distance = source[from]! | (source[from + 1]! << 8)
    from += 2
    if (distance === 0 || distance > to - at) broken(`match offset ${distance} at output byte ${to - at}`)
    length = token & 15
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (from >= end) broken('match length runs past the block')
        more = source[from++]!
        length += more
      }
    }
    length += MIN_MATCH
    if (length > limit - to) broken('match runs past the block size')
    copyMatch(target, to - distance, to, length)
    to += length
  }
  return to
}

interface FrameHeader {
  readonly blockSize: number
  readonly blockChecksum: boolean
  /** Position of the first block. */
  readonly body: number
}

function readHeader(source: Uint8Array, start: number, end: number, checkHeader: boolean): FrameHeader {
  if (end - start < 7) broken('frame header is cut')
  if (word(source, start) >>> 0 !== FRAME_MAGIC) broken('no frame magic')
  const flags = source[start + 4]!
  const descriptor = source[start + 5]!
  if (flags >>> 6 !== 1) broken(`frame version ${flags >>> 6}`)
  if ((flags & 3) !== 0) broken('reserved flag bits set')
  if ((flags & 0x20) === 0) broken('dependent blocks')
  const sizeCode = (descriptor >>> 4) & 7
  if ((descriptor & 0x8f) !== 0 || sizeCode < 4) broken(`block descriptor ${descriptor}`)
  const headerEnd = start + 6 + ((flags & 0x08) !== 0 ? 8 : 0)
  if (headerEnd >= end) broken('frame header is cut')
  if (checkHeader && ((xxHash32(source, start + 4, headerEnd) >>> 8) & 0xff) !== source[headerEnd]) broken('header checksum')
  return { blockSize: 1 << (2 * sizeCode + 8), blockChecksum: (flags & 0x10) !== 0, body: headerEnd + 1 }
}

/** Bytes of the first frame in `source[start, end)`. Throws `RecordsError`; `limit` bounds the result. */
export function lz4Decompress(source: Buffer, start: number, end: number, checkHeader: boolean, limit: number): Buffer {
  return finish(lz4DecompressSteps(source, start, end, checkHeader, limit))
}

export function* lz4DecompressSteps(
  source: Buffer,
  start: number,
  end: number,
  checkHeader: boolean,
  limit: number,
): Steps<Buffer> {
  const header = readHeader(source, start, end, checkHeader)
  const compressed = end - start
  let output: Buffer = Buffer.allocUnsafe(Math.min(limit, Math.max(header.blockSize, Math.min(compressed * 4, 8 * 1024 * 1024))))
  let from = header.body
  let to = 0
  let pause = STEP_BYTES
  for (;;) {
    if (to >= pause) {
      yield
      pause = to + STEP_BYTES
    }
    if (end - from < 4) broken('block size is cut')
    const field = word(source, from)
    from += 4
    const size = field & 0x7fffffff
    if (size === 0) return output.subarray(0, to)
    if (size > header.blockSize) broken(`block of ${size} bytes`)
    const checksum = header.blockChecksum ? 4 : 0
    if (size + checksum > end - from) broken('block is cut')
    output = withRoom(output, to, header.blockSize, limit)
    const room = Math.min(output.length, to + header.blockSize)
    if (field < 0) {
      if (size > room - to) tooLarge(limit)
      output.set(source.subarray(from, from + size), to)
      to += size
    } else {
      to = decodeBlock(source, from, from + size, output, to, room)
    }
    if (checksum > 0 && xxHash32(source, from, from + size) !== word(source, from + size) >>> 0) broken('block checksum')
    from += size + checksum
  }
}

function tooLarge(limit: number): never {
  throw new RecordsError(`more than ${limit} bytes when decompressed`, ErrorCode.MESSAGE_TOO_LARGE)
}

function withRoom(output: Buffer, used: number, wanted: number, limit: number): Buffer {
  if (output.length - used >= wanted) return output
  if (used >= limit) tooLarge(limit)
  const size = Math.min(limit, Math.max(output.length * 2, used + wanted))
  if (size === output.length) return output
  const larger = Buffer.allocUnsafe(size)
  output.copy(larger, 0, 0, used)
  return larger
}

let hashTable: Int32Array | undefined

function putLength(target: Uint8Array, at: number, rest: number): number {
  let to = at
  let left = rest
  for (; left >= 255; left -= 255) target[to++] = 255
  target[to++] = left
  return to
}

function putSequence(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  literals: number,
  end: number,
  matchLength: number,
): number {
  const count = end - literals
  const match = matchLength - MIN_MATCH
  let to = at + 1
  target[at] = (Math.min(count, 15) << 4) | (matchLength === 0 ? 0 : Math.min(match, 15))
  if (count >= 15) to = putLength(target, to, count - 15)
  if (count > 24) target.set(source.subarray(literals, end), to)
  else for (let i = 0; i < count; i++) target[to + i] = source[literals + i]!
  return to + count
}

/** One block of at most 64 KiB into `target`, which has room for the worst case; returns the position after it. */
function encodeBlock(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  hashTable ??= new Int32Array(1 << HASH_BITS)
  const table = hashTable.fill(-1)
  const lastMatch = end - MATCH_LIMIT
  let to = at
  let literals = start
  let i = start
  let misses = 0
  while (i <= lastMatch) {
    const here = word(source, i)
    const slot = Math.imul(here, 0x9e3779b1) >>> (32 - HASH_BITS)
    const candidate = table[slot]!
    table[slot] = i
    if (candidate < 0 || i - candidate > 65535 || word(source, candidate) !== here) {
      i += 1 + (misses++ >> 6)
      continue
    }
    misses = 0
    let length = MIN_MATCH
    const most = end - LAST_LITERALS - i
    while (length < most && source[candidate + length] === source[i + length]) length++
    to = putSequence(target, to, source, literals, i, length)
    target[to++] = i - candidate
    target[to++] = (i - candidate) >>> 8
    if (length - MIN_MATCH >= 15) to = putLength(target, to, length - MIN_MATCH - 15)
    i += length
    literals = i
  }
  return putSequence(target, to, source, literals, end, 0)
}

/** One frame with 64 KiB blocks. `legacyChecksum`: the checksum that format 0 wants. */
export function lz4Compress(source: Buffer, legacyChecksum: boolean): Buffer {
  return finish(lz4CompressSteps(source, legacyChecksum))
}

export function* lz4CompressSteps(source: Buffer, legacyChecksum: boolean): Steps<Buffer> {
  const blocks = Math.ceil(source.length / WRITE_BLOCK)
  const target = Buffer.allocUnsafe(7 + blocks * 4 + source.length + Math.ceil(source.length / 200) + 64 * (blocks + 1))
  putWord(target, 0, FRAME_MAGIC)
  target[4] = 0x60
  target[5] = 0x40
  target[6] = xxHash32(target, legacyChecksum ? 0 : 4, 6) >>> 8
  let to = 7
  for (let from = 0; from < source.length; from += WRITE_BLOCK) {
    const end = Math.min(source.length, from + WRITE_BLOCK)
    let next = encodeBlock(source, from, end, target, to + 4)
    if (next - to - 4 >= end - from) {
      target.set(source.subarray(from, end), to + 4)
      next = to + 4 + end - from
      putWord(target, to, (end - from) | 0x80000000)
    } else {
      putWord(target, to, next - to - 4)
    }
    to = next
    if (end % STEP_BYTES === 0) yield
  }
  putWord(target, to, 0)
  return target.subarray(0, to + 4)
}
