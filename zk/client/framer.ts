/** No reply of a ZooKeeper comes near this; a length beyond it is garbage. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024

/**
 * Cuts the byte stream of one connection into frames (length prefix included). The package cuts frames itself, by concatenating what
 * is left over with what arrives (quadratic, D17), recursively, and across reconnects (D3); so it is fed one whole frame at a time.
 */
export class Framer {
  #chunks: Buffer[] = []
  #held = 0
  #wanted = 4

  /** Throws on a length that cannot be. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => boolean): void {
    this.#chunks.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#wanted) return
    const data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#held)
    let start = 0
    let wanted = 4
    while (data.length - start >= 4) {
      const length = data.readInt32BE(start)
      if (length < 0 || length > MAX_FRAME_BYTES) throw new Error(`frame length ${length} is impossible`)
      wanted = length + 4
      if (data.length - start < wanted) break
      if (!onFrame(data.subarray(start, start + wanted))) return
      start += wanted
      wanted = 4
    }
    this.#chunks = start === data.length ? [] : [data.subarray(start)]
    this.#held = data.length - start
    this.#wanted = wanted
  }

  reset(): void {
    this.#chunks = []
    this.#held = 0
    this.#wanted = 4
  }
}
