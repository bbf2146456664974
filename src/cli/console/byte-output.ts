/** Bytes to a stream through one buffer, no faster than the reader takes them. */

const INITIAL_BYTES = 64 * 1024
/** UTF-8 needs at most so many bytes for a unit of a JavaScript string. */
const BYTES_PER_UNIT = 3

export class ByteOutput {
  readonly #stream: NodeJS.WritableStream
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES)
  #length = 0
  #isBroken = false

  constructor(stream: NodeJS.WritableStream, onBroken: () => void = () => {}) {
    this.#stream = stream
    stream.on('error', () => {
      this.#isBroken = true
      onBroken()
    })
  }

  /** The reader went away: what is written is lost. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Worth a `flush`. */
  get isFull(): boolean {
    return this.#length >= INITIAL_BYTES
  }

  text(text: string): void {
    this.#reserve(text.length * BYTES_PER_UNIT)
    this.#length += this.#buffer.write(text, this.#length, 'utf8')
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }

  /** Resolves when the buffer may be used again. */
  async flush(): Promise<void> {
    if (this.#length === 0) return
    const chunk = this.#buffer.subarray(0, this.#length)
    this.#length = 0
    if (this.#isBroken) return
    await new Promise<void>((resolve) => void this.#stream.write(chunk, () => resolve()))
  }
}
