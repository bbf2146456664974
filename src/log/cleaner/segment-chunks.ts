import type { Disk, DiskFile } from '../../ports/disk.ts'
import { CORRUPT, nextBatch } from '../../protocol/records/batch.ts'
import type { LogSegment } from '../segment.ts'
import { CleaningError } from './batch-filter.ts'

/** Reads a segment in pieces, off the loop. The piece grows for a batch that does not fit, until the next segment. */
export class SegmentChunks {
  /** [0, length) are whole batches; [0, read) was read. */
  buffer: Buffer
  length = 0
  read = 0
  readonly #firstBytes: number
  readonly #mostBytes: number
  readonly #disk: Disk
  #file: DiskFile | undefined
  #segment: LogSegment | undefined

  constructor(disk: Disk, firstBytes: number, mostBytes: number) {
    this.#disk = disk
    this.#firstBytes = firstBytes
    this.#mostBytes = Math.max(firstBytes, mostBytes)
    this.buffer = Buffer.allocUnsafeSlow(firstBytes)
  }

  open(segment: LogSegment): void {
    this.close()
    // A handle of its own: the cleaner goes on reading where the log may have closed its own one.
    this.#file = this.#disk.open(segment.path, 'read')
    this.#segment = segment
    if (this.buffer.length !== this.#firstBytes) this.buffer = Buffer.allocUnsafeSlow(this.#firstBytes)
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
  }

  /** Brings in whole batches from `position` on, at least one. Throws `CleaningError` when there is none, `DiskError`. */
  async load(position: number): Promise<void> {
    const segment = this.#segment!
    for (;;) {
      const wanted = Math.min(this.buffer.length, segment.size - position)
      this.read = await this.#file!.read(this.buffer, 0, wanted, position)
      this.length = wholeBatches(this.buffer, this.read)
      if (this.length > 0) return
      this.#grow(segment, position)
    }
  }

  #grow(segment: LogSegment, position: number): void {
    const size = this.read >= 12 ? this.buffer.readInt32BE(8) + 12 : 0
    if (size <= this.buffer.length || size > segment.size - position)
      throw new CleaningError(`no whole batch at position ${position} of ${segment.path}`)
    // 1.1 stops cleaning at a batch above the limit; here the last step is as large as the batch.
    const next = Math.min(this.buffer.length * 2, this.#mostBytes)
    this.buffer = Buffer.allocUnsafeSlow(next > this.buffer.length ? next : size)
  }
}

function wholeBatches(buffer: Buffer, end: number): number {
  let at = 0
  for (let size = 0; (size = nextBatch(buffer, at, end)) !== 0; at += size) {
    if (size === CORRUPT) throw new CleaningError(`no batch can begin at byte ${at} of what was read`)
  }
  return at
}
