import { once } from 'node:events'

const CHUNK_CHARACTERS = 64 * 1024

/** Much text to a stream in large pieces, no faster than the reader takes it; for nobody when the reader is gone. */
export class TextWriter {
  readonly #stream: NodeJS.WritableStream
  #text = ''

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
  }

  /** Takes what the generator gives until it ends; its error passes through, with what came before still to be flushed. */
  async writeAll(texts: Iterable<string>): Promise<void> {
    for (const text of texts) {
      this.#text += text
      if (this.#text.length >= CHUNK_CHARACTERS) await this.flush()
    }
  }

  async flush(): Promise<void> {
    if (this.#text === '') return
    const text = this.#text
    this.#text = ''
    if (!this.#stream.writable || this.#stream.write(text)) return
    await once(this.#stream, 'drain').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}
