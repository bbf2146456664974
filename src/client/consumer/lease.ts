import type { BufferPool } from '../../base/buffer-pool.ts'

/**
 * Pooled memory of a record set. It goes back when the set is read to its end and every batch made of it is retired; when one of them never
 * is, because records of it may be held, the garbage collector has it.
 */
export class Lease {
  /** Batches handed out and not retired. */
  #users = 0
  #isRead = false
  readonly #pool: BufferPool
  readonly #owner: Buffer

  /** Of what was acquired from `pool`. */
  constructor(pool: BufferPool, owner: Buffer) {
    this.#pool = pool
    this.#owner = owner
  }

  use(): void {
    this.#users++
  }

  unuse(): void {
    this.#users--
    this.#settle()
  }

  /** No further batch is made of it. */
  read(): void {
    this.#isRead = true
    this.#settle()
  }

  #settle(): void {
    if (this.#isRead && this.#users === 0) this.#pool.release(this.#owner)
  }
}
