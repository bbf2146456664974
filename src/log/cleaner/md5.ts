/** MD5 (RFC 1321) of short byte strings into four words: what the cleaner tells keys apart by. No object per key. */

const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 4294967296))
const BLOCK_BYTES = 64
/** The message's length in bits stands in the last 8 bytes of the last block. */
const LENGTH_AT = 56

const words = new Int32Array(16)
const block = new Uint8Array(BLOCK_BYTES)

/** The words of the last digest, as they stand in it (little-endian). */
export const digest = new Int32Array(4)

/** Sets `digest` to that of [start, start + length). */
export function md5(bytes: Uint8Array, start: number, length: number): void {
  digest[0] = 0x67452301
  digest[1] = 0xefcdab89
  digest[2] = 0x98badcfe
  digest[3] = 0x10325476
  let at = start
  const end = start + length
  for (; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
    loadWords(bytes, at)
    mix()
  }
  const rest = end - at
  block.fill(0)
  for (let i = 0; i < rest; i++) block[i] = bytes[at + i]!
  block[rest] = 0x80
  if (rest >= LENGTH_AT) {
    loadWords(block, 0)
    mix()
    block.fill(0)
  }
  loadWords(block, 0)
  words[14] = length << 3
  words[15] = length >>> 29
  mix()
}

function loadWords(bytes: Uint8Array, from: number): void {
  let at = from
  for (let i = 0; i < 16; i++, at += 4) {
    words[i] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  }
}

/** Four rounds of sixteen steps, four steps at a time, so that no value has to change its name. */
function mix(): void {
  let a = digest[0]!
  let b = digest[1]!
  let c = digest[2]!
  let d = digest[3]!
  let t = 0
  for (let i = 0; i < 16; i += 4) {
    t = (a + (d ^ (b & (c ^ d))) + SINES[i]! + words[i]!) | 0
    a = (b + ((t << 7) | (t >>> 25))) | 0
    t = (d + (c ^ (a & (b ^ c))) + SINES[i + 1]! + words[i + 1]!) | 0
    d = (a + ((t << 12) | (t >>> 20))) | 0
    t = (c + (b ^ (d & (a ^ b))) + SINES[i + 2]! + words[i + 2]!) | 0
    c = (d + ((t << 17) | (t >>> 15))) | 0
    t = (b + (a ^ (c & (d ^ a))) + SINES[i + 3]! + words[i + 3]!) | 0
    b = (c + ((t << 22) | (t >>> 10))) | 0
  }
  for (let i = 16; i < 32; i += 4) {
    t = (a + (c ^ (d & (b ^ c))) + SINES[i]! + words[(5 * i + 1) & 15]!) | 0
    a = (b + ((t << 5) | (t >>> 27))) | 0
    t = (d + (b ^ (c & (a ^ b))) + SINES[i + 1]! + words[(5 * i + 6) & 15]!) | 0
    d = (a + ((t << 9) | (t >>> 23))) | 0
    t = (c + (a ^ (b & (d ^ a))) + SINES[i + 2]! + words[(5 * i + 11) & 15]!) | 0
    c = (d + ((t << 14) | (t >>> 18))) | 0
    t = (b + (d ^ (a & (c ^ d))) + SINES[i + 3]! + words[(5 * i) & 15]!) | 0
    b = (c + ((t << 20) | (t >>> 12))) | 0
  }
  for (let i = 32; i < 48; i += 4) {
    t = (a + (b ^ c ^ d) + SINES[i]! + words[(3 * i + 5) & 15]!) | 0
    a = (b + ((t << 4) | (t >>> 28))) | 0
    t = (d + (a ^ b ^ c) + SINES[i + 1]! + words[(3 * i + 8) & 15]!) | 0
    d = (a + ((t << 11) | (t >>> 21))) | 0
    t = (c + (d ^ a ^ b) + SINES[i + 2]! + words[(3 * i + 11) & 15]!) | 0
    c = (d + ((t << 16) | (t >>> 16))) | 0
    t = (b + (c ^ d ^ a) + SINES[i + 3]! + words[(3 * i + 14) & 15]!) | 0
    b = (c + ((t << 23) | (t >>> 9))) | 0
  }
  for (let i = 48; i < 64; i += 4) {
    t = (a + (c ^ (b | ~d)) + SINES[i]! + words[(7 * i) & 15]!) | 0
    a = (b + ((t << 6) | (t >>> 26))) | 0
    t = (d + (b ^ (a | ~c)) + SINES[i + 1]! + words[(7 * i + 7) & 15]!) | 0
    d = (a + ((t << 10) | (t >>> 22))) | 0
    t = (c + (a ^ (d | ~b)) + SINES[i + 2]! + words[(7 * i + 14) & 15]!) | 0
    c = (d + ((t << 15) | (t >>> 17))) | 0
    t = (b + (d ^ (c | ~a)) + SINES[i + 3]! + words[(7 * i + 5) & 15]!) | 0
    b = (c + ((t << 21) | (t >>> 11))) | 0
  }
  digest[0] = digest[0]! + a
  digest[1] = digest[1]! + b
  digest[2] = digest[2]! + c
  digest[3] = digest[3]! + d
}
