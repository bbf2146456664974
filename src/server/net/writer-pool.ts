import { ByteWriter } from '../../base/bytes.ts'

/** Larger memory goes back to the buffer pool instead of staying with an idle writer. */
const KEEP_BYTES = 16 * 1024
const KEEP_WRITERS = 128

/** Writers for answers; a connection has one only from its first unsent answer until the write was taken. */
export class WriterPool {
  readonly #free: ByteWriter[] = []

  acquire(): ByteWriter {
    return this.#free.pop() ?? new ByteWriter()
  }

  release(writer: ByteWriter): void {
    if (this.#free.length >= KEEP_WRITERS) writer.close()
    else this.#free.push(writer.buffer.length > KEEP_BYTES ? writer.shrink() : writer.reset())
  }
}
