const KIB = 1024
const MIB = 1024 * KIB

export interface TailCacheOptions {
  /** Most bytes of all rings together; default 32 MiB. */
  readonly maxBytes?: number
  /** First and greatest size of one ring, powers of two; default 256 KiB and 4 MiB. */
  readonly firstRingBytes?: number
  readonly maxRingBytes?: number
}

/** A ring that was not read while this many times its size went through it is given back. */
const IDLE_TURNS = 8

/**
 * The last bytes of the logs that somebody reads at their end, bounded over the whole broker. A log gets a ring with its first read at the
 * tail and loses it when nobody reads any more, or to a log that was read later. Rings mirror file positions of the active segment.
 */
export class TailCache {
  readonly #maxBytes: number
  readonly firstRingBytes: number
  readonly maxRingBytes: number
  /** In order of their last read. */
  readonly #rings = new Set<TailRing>()
  /** Ring memory by size, for reuse. */
  readonly #free = new Map<number, Buffer[]>()
  #bytes = 0

  constructor(options: TailCacheOptions = {}) {
    this.#maxBytes = options.maxBytes ?? 32 * MIB
    this.firstRingBytes = options.firstRingBytes ?? 256 * KIB
    this.maxRingBytes = options.maxRingBytes ?? 4 * MIB
  }

  /** Bytes of ring memory in use. */
  get bytes(): number {
    return this.#bytes
  }

  /** Memory for a ring; the rings that were read longest ago make room. undefined when it can never fit. */
  acquire(ring: TailRing, bytes: number): Buffer | undefined {
    if (bytes > this.#maxBytes) return undefined
    for (const oldest of this.#rings) {
      if (this.#bytes + bytes <= this.#maxBytes) break
      if (oldest !== ring) oldest.drop()
    }
    if (this.#bytes + bytes > this.#maxBytes) return undefined
    this.#bytes += bytes
    this.#rings.add(ring)
    return this.#free.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes)
  }

  release(ring: TailRing, memory: Buffer): void {
    this.#rings.delete(ring)
    this.#bytes -= memory.length
    const free = this.#free.get(memory.length) ?? []
    if (free.length < 4) free.push(memory)
    this.#free.set(memory.length, free)
  }

  /** `ring` was read: it is the last to go. */
  touch(ring: TailRing): void {
    this.#rings.delete(ring)
    this.#rings.add(ring)
  }
}

/** The ring of one log: the bytes [start, end) of its active segment's file. */
export class TailRing {
  readonly #cache: TailCache
  #memory: Buffer | undefined
  #start = 0
  #end = 0
  #sinceRead = 0
  #reads = 0

  constructor(cache: TailCache) {
    this.#cache = cache
  }

  get isActive(): boolean {
    return this.#memory !== undefined
  }

  /** Appended bytes at file position `position`; copied only while somebody reads. */
  append(bytes: Uint8Array, position: number): void {
    const memory = this.#memory
    if (memory === undefined) return
    const capacity = memory.length
    this.#sinceRead += bytes.length
    if (this.#sinceRead > capacity * IDLE_TURNS) {
      this.drop()
      return
    }
    if (position !== this.#end) this.#start = position
    const end = position + bytes.length
    const skip = Math.max(0, bytes.length - capacity)
    const at = (position + skip) % capacity
    const first = Math.min(bytes.length - skip, capacity - at)
    memory.set(bytes.subarray(skip, skip + first), at)
    if (first < bytes.length - skip) memory.set(bytes.subarray(skip + first), 0)
    this.#end = end
    this.#start = Math.max(this.#start, end - capacity)
  }

  /** Does it hold all of these bytes? Counts as a read at the tail. */
  has(position: number, length: number): boolean {
    if (this.#memory === undefined || position < this.#start || position + length > this.#end) return false
    this.#sinceRead = 0
    // The order among rings matters only when memory is short: no need to keep it exact.
    if ((++this.#reads & 63) === 0) this.#cache.touch(this)
    return true
  }

  /** The bytes must be there (`has`). */
  copyTo(target: Uint8Array, offset: number, length: number, position: number): void {
    const memory = this.#memory!
    const at = position % memory.length
    const first = Math.min(length, memory.length - at)
    memory.copy(target, offset, at, at + first)
    if (first < length) memory.copy(target, offset + first, 0, length - first)
  }

  /** Somebody read `distance` bytes before the end and they were not here: begin, or grow when that would have helped. */
  missed(distance: number, end: number): void {
    const capacity = this.#memory?.length ?? 0
    let wanted = Math.max(this.#cache.firstRingBytes, capacity)
    while (wanted < distance && wanted < this.#cache.maxRingBytes) wanted *= 2
    if (distance > wanted || wanted === capacity) return
    this.drop()
    this.#memory = this.#cache.acquire(this, wanted)
    this.#start = this.#end = end
    this.#sinceRead = 0
  }

  /** The file was cut at `position`. */
  truncate(position: number): void {
    this.#end = Math.min(this.#end, position)
    this.#start = Math.min(this.#start, this.#end)
  }

  /** Another segment is the active one now. */
  restart(): void {
    this.#start = this.#end = 0
  }

  drop(): void {
    const memory = this.#memory
    this.#memory = undefined
    this.#start = this.#end = 0
    if (memory !== undefined) this.#cache.release(this, memory)
  }
}
