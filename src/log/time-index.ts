import { getInt32, getInt64, putInt64 } from '../base/bytes.ts'
import type { Disk } from '../ports/disk.ts'
import { CorruptIndexError, IndexFile, InvalidOffsetError, putRelative } from './index-file.ts'

export const TIME_INDEX_ENTRY_BYTES = 12
export const NO_TIMESTAMP = -1

/**
 * `.timeindex`: int64 timestamp, int32 offset relative to the segment's base: the greatest timestamp seen so far and the offset that had
 * it. Timestamps strictly ascend, offsets never descend.
 */
export class TimeIndex extends IndexFile {
  #lastTimestamp = Number.NaN
  #lastOffset = Number.NaN
  /** Known once the file was looked at. */
  #first: number | undefined

  constructor(disk: Disk, path: string, baseOffset: number, maxBytes: number, fileBytes: number | undefined) {
    super(disk, path, baseOffset, TIME_INDEX_ENTRY_BYTES, maxBytes, fileBytes)
  }

  /** -1 when there is no entry. */
  get lastTimestamp(): number {
    this.#loadLast()
    return this.#lastTimestamp
  }

  /** The segment's base when there is no entry. */
  get lastOffset(): number {
    this.#loadLast()
    return this.#lastOffset
  }

  /** One slot is kept for the entry that is written when the segment is rolled. */
  get isFull(): boolean {
    return this.entries >= this.maxEntries - 1
  }

  /** Adds an entry when `timestamp` is above the last one. Throws `InvalidOffsetError` when either goes back. */
  maybeAppend(timestamp: number, offset: number): void {
    if (this.entries > 0 && (offset < this.lastOffset || timestamp < this.lastTimestamp)) {
      throw new InvalidOffsetError(
        `Attempt to append an offset (${offset}, timestamp ${timestamp}) to slot ${this.entries} below the last one (${this.lastOffset}, timestamp ${this.lastTimestamp}) to ${this.path}.`,
      )
    }
    if (timestamp <= this.lastTimestamp) return
    const at = this.entries * TIME_INDEX_ENTRY_BYTES
    const buffer = this.extend()
    putInt64(buffer, at, timestamp)
    putRelative(buffer, at + 8, offset, this.baseOffset)
    this.#lastTimestamp = timestamp
    this.#lastOffset = offset
  }

  /** Offset of the last entry with a timestamp at or below `timestamp`; the segment's base when there is none. */
  offsetFor(timestamp: number): number {
    const slot = this.#floor(timestamp)
    return slot < 0 ? this.baseOffset : this.#offsetAt(slot)
  }

  /** Drops the entries at or above `offset`. */
  truncateTo(offset: number): void {
    let keep = this.entries
    while (keep > 0 && this.#offsetAt(keep - 1) >= offset) keep--
    this.keep(keep)
    this.onReset()
    this.#lastTimestamp = Number.NaN
  }

  /** Throws `CorruptIndexError` with 1.1's message. */
  sanityCheck(): void {
    if (this.entries > 0) {
      const first = this.#firstTimestamp()
      if (this.lastTimestamp < first) {
        throw new CorruptIndexError(
          `Corrupt time index found, time index file (${this.path}) has non-zero size but the last timestamp is ${this.lastTimestamp} which is less than the first timestamp ${first}`,
        )
      }
      if (this.lastOffset < this.baseOffset) {
        throw new CorruptIndexError(
          `Corrupt time index found, time index file (${this.path}) has non-zero size but the last offset is ${this.lastOffset} which is less than the first offset ${this.baseOffset}`,
        )
      }
    }
    if (this.fileBytes % TIME_INDEX_ENTRY_BYTES !== 0) {
      throw new CorruptIndexError(
        `Time index file ${this.path} is corrupt, found ${this.fileBytes} bytes which is neither positive nor a multiple of ${TIME_INDEX_ENTRY_BYTES}.`,
      )
    }
  }

  protected override onReset(): void {
    this.#lastTimestamp = NO_TIMESTAMP
    this.#lastOffset = this.baseOffset
    this.#first = undefined
  }

  #loadLast(): void {
    if (!Number.isNaN(Number(this.#lastTimestamp))) return
    this.onReset()
    if (this.entries === 0) return
    const outer = this.outerEntries()
    this.#first = getInt64(outer, 0)
    this.#lastTimestamp = getInt64(outer, TIME_INDEX_ENTRY_BYTES)
    this.#lastOffset = this.baseOffset + getInt32(outer, TIME_INDEX_ENTRY_BYTES + 8)
  }

  #firstTimestamp(): number {
    this.#loadLast()
    return this.#first ?? getInt64(this.outerEntries(), 0)
  }

  #offsetAt(slot: number): number {
    return this.baseOffset + getInt32(this.bytes(), slot * TIME_INDEX_ENTRY_BYTES + 8)
  }

  #floor(timestamp: number): number {
    const buffer = this.bytes()
    let [low, high] = [0, this.entries]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (getInt64(buffer, middle * TIME_INDEX_ENTRY_BYTES) <= timestamp) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
