import { assert } from './assert.ts'

/** Below this size the runtime's own slab is cheaper than a pool. */
const UNPOOLED_BYTES = 4096
const KIB = 1024
const MIB = 1024 * KIB

/**
 * Sizes a little above the batch and fetch sizes people configure (16 KiB, 64 KiB, 1 MiB, 10 MiB), so that the protocol
 * around the records still fits.
 */
export const DEFAULT_SIZE_CLASSES: readonly number[] = [
  17 * KIB,
  80 * KIB,
  256 * KIB,
  MIB + 64 * KIB,
  4 * MIB + 64 * KIB,
  10 * MIB + 256 * KIB,
]

export interface BufferPoolOptions {
  /** Bytes of the buffers kept, ascending, all above 4096. */
  readonly sizeClasses?: readonly number[]
  /** Most bytes kept for reuse over all classes; what is released beyond is left to the garbage collector. Default 32 MiB. */
  readonly maxRetainedBytes?: number
}

export interface BufferPoolStats {
  /** Buffers and bytes acquired and not yet released (those above 4096 bytes). */
  readonly outstanding: number
  readonly outstandingBytes: number
  readonly retained: number
  readonly retainedBytes: number
  /** Acquisitions answered from the pool, and those that had to allocate. */
  readonly hits: number
  readonly misses: number
}

interface SizeClass {
  readonly bytes: number
  /** Last in, first out: the most recently used memory is the warmest. */
  readonly free: Buffer[]
  /** Fewest that lay free since the last `trim`: nobody needed those. */
  lowWater: number
}

/**
 * Reuses buffers above 4 KiB. Fresh large memory costs several times more than warm memory (page faults), so every big
 * buffer on the hot path comes from here. The content of an acquired buffer is undefined.
 */
export class BufferPool {
  readonly #classes: readonly SizeClass[]
  readonly #maxRetainedBytes: number
  readonly #acquired = new WeakSet<Buffer>()
  #outstanding = 0
  #outstandingBytes = 0
  #retainedBytes = 0
  #hits = 0
  #misses = 0

  constructor(options: BufferPoolOptions = {}) {
    const sizes = options.sizeClasses ?? DEFAULT_SIZE_CLASSES
    for (const [i, bytes] of sizes.entries()) {
      assert(bytes > (sizes[i - 1] ?? UNPOOLED_BYTES), `size class ${bytes} is not above the one before`)
    }
    this.#classes = sizes.map((bytes) => ({ bytes, free: [], lowWater: 0 }))
    this.#maxRetainedBytes = options.maxRetainedBytes ?? 32 * MIB
  }

  /** A buffer of at least `minBytes`: of its size class, or of exactly that size above the largest class. */
  acquire(minBytes: number): Buffer {
    if (minBytes <= UNPOOLED_BYTES) return Buffer.allocUnsafe(minBytes)
    const sizeClass = this.#classOf(minBytes)
    let buffer = sizeClass?.free.pop()
    if (sizeClass !== undefined && buffer !== undefined) {
      this.#hits++
      this.#retainedBytes -= sizeClass.bytes
      if (sizeClass.free.length < sizeClass.lowWater) sizeClass.lowWater = sizeClass.free.length
    } else {
      this.#misses++
      buffer = Buffer.allocUnsafeSlow(sizeClass?.bytes ?? minBytes)
    }
    this.#acquired.add(buffer)
    this.#outstanding++
    this.#outstandingBytes += buffer.length
    return buffer
  }

  /** Gives back what `acquire` returned (that object, not a part of it). Its memory must not be touched any more. */
  release(buffer: Buffer): void {
    if (buffer.length <= UNPOOLED_BYTES) return
    this.#takeBack(buffer)
    const sizeClass = this.#classOf(buffer.length)
    if (sizeClass === undefined || this.#retainedBytes + buffer.length > this.#maxRetainedBytes) return
    sizeClass.free.push(buffer)
    this.#retainedBytes += buffer.length
  }

  /** What `acquire` returned is never given back: it is left to the garbage collector, with those who look at it. */
  disown(buffer: Buffer): void {
    if (buffer.length <= UNPOOLED_BYTES) return
    this.#takeBack(buffer)
  }

  #takeBack(buffer: Buffer): void {
    if (!this.#acquired.delete(buffer))
      assert(false, `a buffer of ${buffer.length} bytes was released twice or is not of this pool`)
    this.#outstanding--
    this.#outstandingBytes -= buffer.length
  }

  /** Drops the buffers that nobody needed since the last call; to be called now and then (once a minute). */
  trim(): void {
    for (const sizeClass of this.#classes) {
      const dropped = sizeClass.free.splice(0, sizeClass.lowWater)
      this.#retainedBytes -= dropped.length * sizeClass.bytes
      sizeClass.lowWater = sizeClass.free.length
    }
  }

  stats(): BufferPoolStats {
    return {
      outstanding: this.#outstanding,
      outstandingBytes: this.#outstandingBytes,
      retained: this.#classes.reduce((sum, sizeClass) => sum + sizeClass.free.length, 0),
      retainedBytes: this.#retainedBytes,
      hits: this.#hits,
      misses: this.#misses,
    }
  }

  #classOf(bytes: number): SizeClass | undefined {
    for (const sizeClass of this.#classes) if (bytes <= sizeClass.bytes) return sizeClass
    return undefined
  }
}
