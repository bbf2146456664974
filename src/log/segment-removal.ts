import { DiskError } from '../ports/disk.ts'
import type { LogEnvironment } from './environment.ts'
import { CLEANED_SUFFIX, DELETED_SUFFIX, SWAP_SUFFIX } from './file-names.ts'
import type { PartitionLog } from './log.ts'
import type { LogSegment } from './segment.ts'

/** How segments leave a log: out of its list at once, their files under `.deleted` until `file.delete.delay.ms` is over. */
export class SegmentRemover {
  /** Segments removed so far, not counting those that a cleaned one took the place of. */
  count = 0
  readonly #log: PartitionLog
  readonly #environment: LogEnvironment

  constructor(log: PartitionLog, environment: LogEnvironment) {
    this.#log = log
    this.#environment = environment
  }

  /** From the last one on: what a crash leaves is a log that ends earlier, never one with a hole. */
  removeFromEnd(gone: (segment: LogSegment) => boolean): boolean {
    const segments = [...this.#log.segments].filter(gone).reverse()
    for (const segment of segments) this.remove(segment)
    return segments.length > 0
  }

  remove(segment: LogSegment): void {
    this.count++
    this.#takeOut(segment)
  }

  #takeOut(segment: LogSegment): void {
    this.#log.logger.info(`Scheduling log segment [baseOffset ${segment.baseOffset}, size ${segment.size}] for deletion.`)
    this.#log.segments.remove(segment)
    segment.tail = undefined
    segment.changeSuffix('', DELETED_SUFFIX)
    this.removeFilesLater(segment)
  }

  removeFilesLater(segment: LogSegment): void {
    const log = this.#log
    const remove = () => {
      if (log.isClosed) return
      log.logger.info(`Deleting segment ${segment.baseOffset}`)
      segment.removeFiles().catch((error: unknown) => {
        if (!log.isClosed && !(log.failed(error) instanceof DiskError)) throw error
      })
    }
    this.#environment.clock.timer(log.config.fileDeleteDelayMs, remove, true)
  }

  /**
   * Puts a cleaned segment in the place of others. A crash before the first rename leaves the old ones, one behind it a `.swap` that the next
   * start takes, beside old ones that begin where it ends: no offset is there twice, none is missing.
   */
  replace(cleaned: LogSegment, olds: readonly LogSegment[]): void {
    cleaned.changeSuffix(CLEANED_SUFFIX, SWAP_SUFFIX)
    for (const old of olds) this.#takeOut(old)
    this.#log.segments.add(cleaned)
    cleaned.changeSuffix(SWAP_SUFFIX, '')
  }
}
