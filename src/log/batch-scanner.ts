import { getInt32 } from '../base/bytes.ts'
import { BATCH_OVERHEAD, LOG_OVERHEAD, MAGIC_POSITION, MIN_MESSAGE_SIZE, magicOf } from '../protocol/records/batch.ts'

/** Where a scan reads from: a segment. Returns the bytes read. */
export interface ByteSource {
  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number
}

/** Why `next` returned false: all batches seen or the last one is incomplete, or what follows cannot be a batch. */
export type ScanEnd = 'end' | 'corrupt'

/** A segment whose bytes cannot be walked over although the last stop was clean: 1.1 does not start then. */
export class CorruptSegmentError extends Error {
  override readonly name = 'org.apache.kafka.common.errors.CorruptRecordException'
}

/** Bytes that hold every fixed field of a batch, and the whole of a transaction marker. */
export const HEADER_WINDOW = 128

/**
 * Walks over the batches of a segment through one buffer, without an object per batch. After `next()` returned true the batch begins at
 * file position `position`, is `size` bytes long, and the first min(size, HEADER_WINDOW) of them lie in `buffer` from `at` on.
 * Not reentrant: who holds a scanner uses it up before anybody else starts one on it.
 */
export class BatchScanner {
  buffer: Buffer
  at = 0
  position = 0
  size = 0
  outcome: ScanEnd = 'end'
  /** Why the scan ended as corrupt. */
  problem = ''
  #source: ByteSource | undefined
  #end = 0
  /** File position of buffer[0], and how many bytes of the file the buffer holds. */
  #origin = 0
  #held = 0

  constructor(chunkBytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(chunkBytes, HEADER_WINDOW))
  }

  /** Begins at file position `from`; bytes at or behind `end` do not exist. */
  start(source: ByteSource, from: number, end: number): this {
    this.#source = source
    this.#end = end
    this.position = from
    this.size = 0
    this.at = 0
    this.#origin = from
    this.#held = 0
    this.outcome = 'end'
    return this
  }

  /** Moves to the next whole batch; false at the end (see `outcome`). `position` is then where valid data end. */
  next(): boolean {
    this.position += this.size
    this.size = 0
    const left = this.#end - this.position
    // 1.1 looks at a header only when there is something behind its magic byte.
    if (left <= MAGIC_POSITION + 1) return false
    if (!this.#hold(Math.min(left, HEADER_WINDOW))) return false
    const size = getInt32(this.buffer, this.at + 8)
    if (size < MIN_MESSAGE_SIZE)
      return this.#corrupt(`Record size is smaller than minimum record overhead (${MIN_MESSAGE_SIZE}).`)
    const total = size + LOG_OVERHEAD
    if (total > left) return false
    if (total < BATCH_OVERHEAD && magicOf(this.buffer, this.at) >= 2) {
      return this.#corrupt(`Record batch of ${total} bytes is smaller than its header (${BATCH_OVERHEAD}).`)
    }
    this.size = total
    return true
  }

  /** Brings the whole batch into `buffer`; false when the file is shorter than it said. */
  loadBody(): boolean {
    return this.#hold(this.size)
  }

  /** Frees a buffer that had to grow for a large batch. */
  shrink(chunkBytes: number): void {
    if (this.buffer.length > chunkBytes) this.buffer = Buffer.allocUnsafeSlow(chunkBytes)
    this.#held = 0
    this.#source = undefined
  }

  #corrupt(problem: string): boolean {
    this.outcome = 'corrupt'
    this.problem = problem
    return false
  }

  /** Makes buffer[at .. at + bytes) the file's bytes from `position` on. */
  #hold(bytes: number): boolean {
    const within = this.position - this.#origin
    if (within >= 0 && within + bytes <= this.#held) {
      this.at = within
      return true
    }
    if (bytes > this.buffer.length)
      this.buffer = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(this.buffer.length * 2, 16 * 1024 * 1024)))
    const wanted = Math.min(this.buffer.length, this.#end - this.position)
    this.#origin = this.position
    this.at = 0
    this.#held = this.#source!.readSync(this.buffer, 0, wanted, this.position)
    return this.#held >= bytes
  }
}
