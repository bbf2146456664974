/**
 * Orders in which Kafka 1.1 writes the keys of its JSON objects. They are accidents of the collections behind them and mean nothing to
 * a reader, but equal bytes make our znodes comparable with genuine ones.
 */

/** `String.hashCode` */
function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** More than a znode has room for; 32 bits of a hash and a place are exact in a number. */
const MAX_KEYS = 2 ** 21

/** An immutable Scala map: up to four keys in order of insertion, more in that of a trie of mixed hashes, five bits a level. */
export function scalaMapOrder(keys: readonly string[]): string[] {
  if (keys.length <= 4) return [...keys]
  // Numbers, because a topic of ten thousand partitions would take 30 ms to sort with a function.
  const places = Float64Array.from(keys, (key, i) => levels(mix(javaHash(key))) * MAX_KEYS + i).sort()
  return Array.from(places, (place) => keys[place % MAX_KEYS]!)
}

/** The lowest five bits, which are the first level, in front. */
function levels(hash: number): number {
  let path = 0
  for (let shift = 0; shift < 30; shift += 5) path = path * 32 + ((hash >>> shift) & 31)
  return path * 4 + (hash >>> 30)
}

function mix(hash: number): number {
  let h = (hash + ~(hash << 9)) | 0
  h ^= h >>> 14
  h = (h + (h << 4)) | 0
  return h ^ (h >>> 10)
}

/** `java.util.Properties` of Java 9 and later, a ConcurrentHashMap inside; 16 bins at first, twice as many when three quarters full. */
export function javaPropertiesOrder(keys: readonly string[]): string[] {
  let bins: string[][] = Array.from({ length: 16 }, () => [])
  let count = 0
  for (const key of keys) {
    bins[binOf(key, bins.length)]!.push(key)
    count++
    if (count >= bins.length * 0.75) bins = doubled(bins)
  }
  return bins.flat()
}

function binOf(key: string, bins: number): number {
  const hash = javaHash(key)
  return (hash ^ (hash >>> 16)) & (bins - 1)
}

/** A split bin keeps its longest tail that goes one way as it is; the entries before it are put in front one by one. */
function doubled(bins: readonly string[][]): string[][] {
  const size = bins.length * 2
  const result: string[][] = Array.from({ length: size }, () => [])
  for (const bin of bins) {
    let tail = bin.length - 1
    while (tail > 0 && binOf(bin[tail - 1]!, size) === binOf(bin[tail]!, size)) tail--
    for (const key of bin.slice(Math.max(tail, 0))) result[binOf(key, size)]!.push(key)
    for (const key of bin.slice(0, Math.max(tail, 0))) result[binOf(key, size)]!.unshift(key)
  }
  return result
}
