import type { Steps } from '../../protocol/records/steps.ts'
import { digest, md5 } from './md5.ts'

/** Bytes per slot, as in 1.1: the hash of a key and its last offset. */
const SLOT_BYTES = 24
const FIRST_CAPACITY = 1 << 12
const GROWTH = 4
/** Entries moved between two places to let others run. */
const STEP_ENTRIES = 1 << 13

/**
 * The last offset of every key in the dirty part of a log. Keys are told apart by their MD5; slots are probed one after the other. The
 * memory, none before the first key, grows with the number of keys up to the given limit (while it grows, a quarter more): how many keys fit is decided by the limit alone.
 */
export class OffsetMap {
  /** Entries that the memory has room for. */
  readonly slots: number
  /** Keys in it. */
  size = 0
  /** Everything up to this offset is accounted for; -1: nothing. */
  latestOffset = -1
  #capacity = 0
  #hashes = new Int32Array(0)
  /** Offset + 1; 0: free. */
  #offsets = new Float64Array(0)

  constructor(memoryBytes: number) {
    this.slots = Math.floor(memoryBytes / SLOT_BYTES)
  }

  get utilization(): number {
    return this.size / this.slots
  }

  /** Forgets everything and gives its memory back, but for what it takes first. */
  clear(): void {
    this.size = 0
    this.latestOffset = -1
    // Hashes of free slots mean nothing.
    if (this.#capacity <= FIRST_CAPACITY) this.#offsets.fill(0)
    else this.#allocate(Math.min(this.slots, FIRST_CAPACITY))
  }

  #allocate(capacity: number): void {
    this.#capacity = capacity
    this.#hashes = new Int32Array(capacity * 4)
    this.#offsets = new Float64Array(capacity)
  }

  /** To be asked before every `put`. */
  get mustGrow(): boolean {
    return this.#capacity < this.slots && this.size * 4 >= this.#capacity * 3
  }

  /** Yields where others may run. */
  *grow(): Steps<void> {
    const [hashes, offsets] = [this.#hashes, this.#offsets]
    this.#allocate(Math.min(this.slots, Math.max(this.#capacity * GROWTH, FIRST_CAPACITY)))
    for (let slot = 0; slot < offsets.length; slot++) {
      if (slot % STEP_ENTRIES === STEP_ENTRIES - 1) yield undefined
      if (offsets[slot] === 0) continue
      for (let word = 0; word < 4; word++) digest[word] = hashes[slot * 4 + word]!
      const target = this.#find()
      this.#store(target)
      this.#offsets[target] = offsets[slot]!
    }
  }

  #store(slot: number): void {
    for (let word = 0; word < 4; word++) this.#hashes[slot * 4 + word] = digest[word]!
  }

  /** There must be a free slot. */
  put(bytes: Uint8Array, position: number, length: number, offset: number): void {
    md5(bytes, position, length)
    const slot = this.#find()
    if (this.#offsets[slot] === 0) {
      this.#store(slot)
      this.size++
    }
    this.#offsets[slot] = offset + 1
    this.latestOffset = offset
  }

  /** The last offset of the key, -1 when it is not here. */
  get(bytes: Uint8Array, position: number, length: number): number {
    if (this.size === 0) return -1
    md5(bytes, position, length)
    return this.#offsets[this.#find()]! - 1
  }

  /** Slot of the key whose hash is in `digest`, or the free one where it would be. */
  #find(): number {
    const [a, b, c, d] = [digest[0]!, digest[1]!, digest[2]!, digest[3]!]
    const hashes = this.#hashes
    let slot = (a >>> 0) % this.#capacity
    // A full map is never asked for a key that it does not have: it always keeps a free slot.
    while (this.#offsets[slot] !== 0) {
      const at = slot * 4
      if (hashes[at] === a && hashes[at + 1] === b && hashes[at + 2] === c && hashes[at + 3] === d) return slot
      slot = slot + 1 === this.#capacity ? 0 : slot + 1
    }
    return slot
  }
}
