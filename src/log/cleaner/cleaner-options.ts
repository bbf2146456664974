/** Settings of the log cleaner, by their names in 1.1; all but `enable` may change while the broker runs. */
export interface CleanerOptions {
  /** `log.cleaner.threads`: logs that are cleaned at the same time. */
  readonly threads: number
  /** `log.cleaner.dedupe.buffer.size`: memory of all offset maps. */
  readonly dedupeBufferBytes: number
  /** `log.cleaner.io.buffer.load.factor`: how full an offset map may get. */
  readonly loadFactor: number
  /** `log.cleaner.io.buffer.size`: half of it is read, half written at a time, over all threads. */
  readonly ioBufferBytes: number
  /** `log.cleaner.io.max.bytes.per.second`: reads and writes together. */
  readonly maxBytesPerSecond: number
  /** `log.cleaner.backoff.ms`: pause when nothing is dirty enough. */
  readonly backoffMs: number
  /** `message.max.bytes`: how far a read may grow for a batch that does not fit, unless the topic says more. */
  readonly maxMessageBytes: number
}

export const DEFAULT_CLEANER_OPTIONS: CleanerOptions = {
  threads: 1,
  dedupeBufferBytes: 134217728,
  loadFactor: 0.9,
  ioBufferBytes: 524288,
  maxBytesPerSecond: Number.MAX_VALUE,
  backoffMs: 15000,
  maxMessageBytes: 1000012,
}
