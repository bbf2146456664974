import type { BufferPool } from '../base/buffer-pool.ts'
import type { FrameTail, RecordsSource } from '../base/bytes.ts'

/** For the head of a Produce request with one batch: 40 bytes of numbers, the topic (249 at most), the ids of client and transaction. */
export const FRAME_ROOM = 512

/**
 * Memory of a pool for one batch, with room in front where a request with this batch alone is completed. It goes back to the pool when the
 * batch needs it no more and nothing of it is being written to a connection.
 */
export class BatchMemory implements RecordsSource, FrameTail {
  /** The batch lies at `FRAME_ROOM`. */
  readonly buffer: Buffer
  /** Of the batch, once it is complete. */
  size = 0
  readonly #pool: BufferPool
  #writes = 0
  #isReleased = false

  constructor(pool: BufferPool, bytes: number) {
    this.#pool = pool
    this.buffer = pool.acquire(FRAME_ROOM + bytes)
  }

  get isBeingWritten(): boolean {
    return this.#writes > 0
  }

  get tail(): this {
    return this
  }

  get room(): number {
    return this.#writes === 0 ? FRAME_ROOM : 0
  }

  copyTo(target: Buffer, offset: number): void {
    this.buffer.copy(target, offset, FRAME_ROOM, FRAME_ROOM + this.size)
  }

  frame(head: Uint8Array): Buffer {
    this.#writes++
    const start = FRAME_ROOM - head.length
    this.buffer.set(head, start)
    return this.buffer.subarray(start, FRAME_ROOM + this.size)
  }

  letGo(): void {
    this.#writes--
    this.#giveBack()
  }

  /** The batch needs it no more. Once. */
  release(): void {
    this.#isReleased = true
    this.#giveBack()
  }

  #giveBack(): void {
    if (this.#isReleased && this.#writes === 0) this.#pool.release(this.buffer)
  }
}
