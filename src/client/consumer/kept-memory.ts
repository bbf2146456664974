const MIB = 1024 * 1024
/** glibc's own limit is 32 MiB. */
const MOST_BYTES = 31 * MIB
const LEAST_BYTES = 8 * MIB

let keptBytes = 0

/**
 * Record sets lie in fresh blocks, since records that a user holds keep them. glibc gives such blocks back to the system as soon as they are
 * freed, and every page of the next one costs a fault: a quarter of all that a consumer does. It does so for blocks larger than the
 * largest that was ever freed (mallopt(3), M_MMAP_THRESHOLD, M_TRIM_THRESHOLD): so one larger block is taken here, never
 * touched, and left to the garbage collector. Elsewhere this does nothing.
 */
export function keepFreedMemory(blockBytes: number): void {
  const bytes = Math.min(MOST_BYTES, Math.max(LEAST_BYTES, 2 * blockBytes))
  if (bytes <= keptBytes) return
  keptBytes = bytes
  Buffer.allocUnsafeSlow(bytes)
}
