/**
 * The orders in which 1.1 goes through partitions: those of its hash maps. They mean nothing, but they make our transactions comparable
 * one by one with genuine ones.
 */
interface Ordered {
  readonly topic: string
  readonly partition: number
  /** `trieOrder` of the two. */
  readonly order: number
}

/** What an immutable Scala map would do: more than four follow the trie of hashes, up to four keep the order they came in. */
export function inMapOrder<T extends Ordered>(partitions: readonly T[]): readonly T[] {
  return partitions.length <= 4 ? partitions : inOrder(partitions, (one) => one)
}

/** The same for what was picked out of a mutable map before: up to four come in the order of such a map's bins. */
export function inPickedOrder<T>(items: readonly T[], partitionOf: (item: T) => Ordered): readonly T[] {
  if (items.length > 4) return inOrder(items, partitionOf)
  if (items.length < 2) return items
  const bin = (item: T): number => binOf(hashOf(partitionOf(item).topic, partitionOf(item).partition))
  return items.toSorted((a, b) => bin(b) - bin(a))
}

/** Orders have 35 bits: with the place behind them they are distinct numbers below 2^53, which are sorted much sooner than objects. */
const PLACES = 2 ** 18

function inOrder<T>(items: readonly T[], partitionOf: (item: T) => Ordered): readonly T[] {
  if (items.length > PLACES) return items.toSorted((a, b) => partitionOf(a).order - partitionOf(b).order)
  const keys = new Float64Array(items.length)
  for (let place = 0; place < items.length; place++) keys[place] = partitionOf(items[place]!).order * PLACES + place
  return Array.from(keys.sort(), (key) => items[key % PLACES]!)
}

/** Sort key in a trie: five-bit digits of the mixed hash, lowest first. */
export function trieOrder(topic: string, partition: number): number {
  let mixed = hashOf(topic, partition)
  mixed = (mixed + ~(mixed << 9)) | 0
  mixed ^= mixed >>> 14
  mixed = (mixed + (mixed << 4)) | 0
  mixed ^= mixed >>> 10
  let key = 0
  for (let shift = 0; shift < 35; shift += 5) key = key * 32 + (shift < 32 ? (mixed >>> shift) & 31 : 0)
  return key
}

/** Order of up to four partition ids in a mutable Scala map, which is what 1.1 computes assignments in. */
export function scalaIntOrder(ids: readonly number[]): number[] {
  return ids.toSorted((a, b) => binOf(b) - binOf(a))
}

/** `TopicPartition.hashCode` */
function hashOf(topic: string, partition: number): number {
  let hash = 0
  for (let i = 0; i < topic.length; i++) hash = (Math.imul(hash, 31) + topic.charCodeAt(i)) | 0
  return (Math.imul(31, 31 + partition) + hash) | 0
}

/** Bin of a hash in a table of 16, rotated by its seed 4. Such a table is gone through backwards. */
function binOf(hashCode: number): number {
  const first = Math.imul(hashCode, 0x9e3775cd)
  const swapped = ((first & 255) << 24) | ((first & 0xff00) << 8) | ((first >>> 8) & 0xff00) | (first >>> 24)
  const hash = Math.imul(swapped, 0x9e3775cd)
  return ((hash >>> 4) | (hash << 28)) >>> 28
}
