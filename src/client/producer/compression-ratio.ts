/** What a topic's records shrink to, learnt from its batches (as the Java producer: slowly down, fast up). */
const STEP_DOWN = 0.005
const STEP_UP = 0.05
/** Room for batches that compress a little worse than expected. */
const SAFETY = 1.05

export class CompressionRatio {
  #ratio = 1

  /** `actual`: bytes after compression by bytes before. */
  observe(actual: number): void {
    if (actual > this.#ratio) this.#ratio = Math.max(this.#ratio + STEP_UP, actual)
    else if (actual < this.#ratio) this.#ratio = Math.max(this.#ratio - STEP_DOWN, actual)
  }

  /** A batch came out too large. */
  reset(actual: number): void {
    this.#ratio = Math.max(1, actual)
  }

  /** Bytes that may be gathered so that about `bytes` remain. */
  uncompressedLimit(bytes: number): number {
    return Math.floor(bytes / (this.#ratio * SAFETY))
  }
}
