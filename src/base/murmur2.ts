/** 32-bit MurmurHash2 with the seed of Kafka's default partitioner over `bytes[start .. end)`; a signed result. */
export function murmur2(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const length = end - start
  let hash = 0x9747b28c ^ length
  let i = start
  for (; i + 4 <= end; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    k = Math.imul(k, 0x5bd1e995)
    k ^= k >>> 24
    hash = Math.imul(hash, 0x5bd1e995) ^ Math.imul(k, 0x5bd1e995)
  }
  const left = end - i
  if (left === 3) hash ^= bytes[i + 2]! << 16
  if (left >= 2) hash ^= bytes[i + 1]! << 8
  if (left >= 1) hash = Math.imul(hash ^ bytes[i]!, 0x5bd1e995)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0x5bd1e995)
  return hash ^ (hash >>> 15)
}

/** The partition of a key as Kafka's producers choose it: the sign bit dropped, then modulo. */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

/** Hash of a group or transactional id, as it chooses the coordinator's partition: 31 * h + c over UTF-16 units, in 32 bits. */
export function stringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** Partition of `__consumer_offsets` or `__transaction_state` for an id; the absolute value of -2^31 counts as 0. */
export function coordinatorPartition(id: string, partitions: number): number {
  const hash = stringHash(id)
  return (hash === -2147483648 ? 0 : Math.abs(hash)) % partitions
}
