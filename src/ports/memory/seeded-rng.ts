import { assert } from '../../base/assert.ts'
import type { Rng } from '../rng.ts'

/**
 * Repeatable chance: the 32-bit generator sfc32 (Doty-Humphrey's "small fast counting", period at least 2^32), seeded by
 * a hash of a number or text. A fork depends on the seed and the name only, not on what was drawn before.
 */
export class SeededRng implements Rng {
  readonly #seed: string
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number | string) {
    this.#seed = String(seed)
    this.#a = hash32(`${this.#seed}/a`)
    this.#b = hash32(`${this.#seed}/b`)
    this.#c = hash32(`${this.#seed}/c`)
    for (let i = 0; i < 15; i++) this.uint32()
  }

  /** Uniform in [0, 2^32). */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  next(): number {
    return (this.uint32() * 2 ** 21 + (this.uint32() >>> 11)) / 2 ** 53
  }

  int(low: number, high: number): number {
    if (!(high > low)) assert(false, `empty range [${low}, ${high})`)
    return low + Math.floor(this.next() * (high - low))
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.uint32() & 0xff
    return bytes
  }

  fork(name: string): SeededRng {
    return new SeededRng(`${this.#seed}/${name}`)
  }
}

/** FNV-1a over UTF-16 units with a final avalanche. */
function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) | 0
}
