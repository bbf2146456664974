import { batchSize, lastOffset } from '../protocol/records/batch.ts'

/** Readers of one segment that are remembered, a power of two. */
const READERS = 16
/** Batches of one read that are stepped over: of many small ones a look at the file costs no more. */
const MOST_BATCHES = 16
const SIZE_BYTES = 12
const SMALLEST_BATCH = 26

/**
 * Where reads of a segment stopped in the middle of a batch: the offset of that batch is what the same reader asks for next, and its place is
 * then known without a look at index and file. The oldest is forgotten first.
 */
export class ReadPositions {
  readonly #offsets = new Float64Array(READERS).fill(-1)
  readonly #positions = new Float64Array(READERS)
  readonly #sizes = new Float64Array(READERS)
  #count = 0

  /** `bytes[start, end)` was read from `position` on, a batch boundary. */
  learn(bytes: Buffer, start: number, end: number, position: number): void {
    let next = -1
    for (let at = start, batches = 0; batches < MOST_BATCHES && at + SIZE_BYTES <= end; batches++) {
      const size = batchSize(bytes, at)
      if (size < SMALLEST_BATCH) return
      if (at + size > end) return this.#add(next, position + at - start, size)
      next = lastOffset(bytes, at) + 1
      at += size
    }
  }

  #add(offset: number, position: number, size: number): void {
    if (offset < 0 || this.find(offset) >= 0) return
    const slot = this.#count++ & (READERS - 1)
    this.#offsets[slot] = offset
    this.#positions[slot] = position
    this.#sizes[slot] = size
  }

  /** The slot of the batch that begins where a reader of `offset` goes on, or -1. */
  find(offset: number): number {
    return this.#offsets.indexOf(offset)
  }

  positionAt(slot: number): number {
    return this.#positions[slot]!
  }

  sizeAt(slot: number): number {
    return this.#sizes[slot]!
  }

  /** Bytes were cut off the file. */
  clear(): void {
    this.#offsets.fill(-1)
  }
}
