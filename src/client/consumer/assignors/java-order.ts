/**
 * The order in which Java's HashMap gives its entries back. Kafka's sticky assignor and the order of topics in its user data depend on it,
 * so equal assignments need it. Bins of eight and more, which Java turns into trees, keep this order too unless entries are removed.
 */

/** `String.hashCode`: UTF-16 units, int32. */
export function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0
  return hash
}

/** `TopicPartition.hashCode` */
export function topicPartitionHash(topic: string, partition: number): number {
  return (Math.imul(31, 31 + partition) + javaHash(topic)) | 0
}

/** A map of `size` entries that grew by single puts. */
function tableSize(size: number): number {
  let table = 16
  while (size > table * 0.75) table *= 2
  return table
}

function bin(hash: number, table: number): number {
  return (hash ^ (hash >>> 16)) & (table - 1)
}

/**
 * `items`, in the order of insertion, to the order of a map or set of them. `most`: the largest size it ever had, which is what its table
 * was made for.
 */
export function javaOrder<T>(items: readonly T[], hashOf: (item: T) => number, most: number = items.length): T[] {
  const table = tableSize(most)
  return items
    .map((item, at) => ({ item, at, bin: bin(hashOf(item), table) }))
    .sort((a, b) => a.bin - b.bin || a.at - b.at)
    .map(({ item }) => item)
}

/** `String.compareTo`: by UTF-16 units, as JavaScript's `<`. */
export function compareStrings(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
