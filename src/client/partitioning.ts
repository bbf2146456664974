/** Which partition a record goes to when its sender names none. */
import { murmur2, stringHash } from '../base/murmur2.ts'

/** Partitions of a topic as a partitioner sees them. */
export interface PartitionsOf {
  /** Ids are 0 .. count - 1. */
  readonly count: number
  /** Ids of those that have a leader, ascending. */
  readonly available: readonly number[]
}

export interface Partitioner {
  /** `key` and `value` are serialized. Returns an id in [0, count). */
  partition(topic: string, key: Uint8Array | string | null, value: Uint8Array | string | null, partitions: PartitionsOf): number
  /** The producer's metadata were renewed. */
  onNewMetadata?(): void
  close?(): void
}

/** Keys up to here are hashed without a buffer of their own. */
const SCRATCH_BYTES = 4096

/**
 * 1.1's: murmur2 of the key over all partitions; without a key round robin over those that have a leader (over all when none has),
 * each topic beginning at a random place.
 */
export class DefaultPartitioner implements Partitioner {
  readonly #counters = new Map<string, { next: number }>()
  #lastTopic: string | undefined
  #lastCounter: { next: number } | undefined
  readonly #scratch = Buffer.allocUnsafe(SCRATCH_BYTES)
  readonly #random: () => number

  /** `random` is uniform in [0, 1). */
  constructor(random: () => number) {
    this.#random = random
  }

  partition(topic: string, key: Uint8Array | string | null, _value: unknown, partitions: PartitionsOf): number {
    if (key !== null) return (this.#hash(key) & 0x7fffffff) % partitions.count
    const next = this.#next(topic)
    const { available } = partitions
    return available.length > 0 ? available[next % available.length]! : next % partitions.count
  }

  #hash(key: Uint8Array | string): number {
    if (typeof key !== 'string') return murmur2(key)
    if (key.length * 3 > SCRATCH_BYTES) return murmur2(Buffer.from(key))
    const scratch = this.#scratch
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i)
      if (code > 127) return murmur2(scratch, 0, scratch.write(key, 0, 'utf8'))
      scratch[i] = code
    }
    return murmur2(scratch, 0, key.length)
  }

  #next(topic: string): number {
    let counter = topic === this.#lastTopic ? this.#lastCounter : this.#counters.get(topic)
    if (counter === undefined) {
      counter = { next: Math.floor(this.#random() * 0x80000000) }
      this.#counters.set(topic, counter)
    }
    this.#lastTopic = topic
    this.#lastCounter = counter
    const next = counter.next
    counter.next = (next + 1) & 0x7fffffff
    return next
  }
}

/**
 * The old producer's (0.8): Java's hash code of the key over all partitions; that of text for a string, of the array for bytes. Without a key one
 * random available partition per topic, kept until the metadata are renewed.
 */
export class LegacyPartitioner implements Partitioner {
  readonly #random: () => number
  readonly #kept = new Map<string, number>()

  constructor(random: () => number) {
    this.#random = random
  }

  partition(topic: string, key: Uint8Array | string | null, _value: unknown, partitions: PartitionsOf): number {
    if (key !== null) return javaAbs(typeof key === 'string' ? stringHash(key) : arrayHash(key)) % partitions.count
    const { available, count } = partitions
    const kept = this.#kept.get(topic)
    if (kept !== undefined && (available.length === 0 ? kept < count : available.includes(kept))) return kept
    const drawn =
      available.length > 0 ? available[Math.floor(this.#random() * available.length)]! : Math.floor(this.#random() * count)
    this.#kept.set(topic, drawn)
    return drawn
  }

  onNewMetadata(): void {
    this.#kept.clear()
  }
}

/** The absolute value of -2^31 counts as 0, as the old producer had it. */
function javaAbs(hash: number): number {
  return hash === -2147483648 ? 0 : Math.abs(hash)
}

/** `java.util.Arrays.hashCode(byte[])` */
export function arrayHash(bytes: Uint8Array): number {
  let hash = 1
  for (let i = 0; i < bytes.length; i++) hash = (Math.imul(hash, 31) + ((bytes[i]! << 24) >> 24)) | 0
  return hash
}
