import { getInt32, putInt32 } from '../base/bytes.ts'
import type { Disk } from '../ports/disk.ts'
import { CorruptIndexError, IndexFile, InvalidOffsetError, putRelative } from './index-file.ts'

export const OFFSET_INDEX_ENTRY_BYTES = 8

/** `.index`: int32 offset relative to the segment's base, int32 file position; offsets strictly ascend. */
export class OffsetIndex extends IndexFile {
  #lastOffset = Number.NaN

  constructor(disk: Disk, path: string, baseOffset: number, maxBytes: number, fileBytes: number | undefined) {
    super(disk, path, baseOffset, OFFSET_INDEX_ENTRY_BYTES, maxBytes, fileBytes)
  }

  /** Offset of the last entry, the segment's base when there is none. */
  get lastOffset(): number {
    if (Number.isNaN(this.#lastOffset)) {
      this.#lastOffset =
        this.entries === 0 ? this.baseOffset : this.baseOffset + getInt32(this.outerEntries(), OFFSET_INDEX_ENTRY_BYTES)
    }
    return this.#lastOffset
  }

  get isFull(): boolean {
    return this.entries >= this.maxEntries
  }

  /** Throws `InvalidOffsetError` unless `offset` is above the last one. */
  append(offset: number, position: number): void {
    if (this.entries > 0 && offset <= this.lastOffset) {
      throw new InvalidOffsetError(
        `Attempt to append an offset (${offset}) to position ${this.entries} no larger than the last offset appended (${this.lastOffset}) to ${this.path}.`,
      )
    }
    const at = this.entries * OFFSET_INDEX_ENTRY_BYTES
    const buffer = this.extend()
    putRelative(buffer, at, offset, this.baseOffset)
    putInt32(buffer, at + 4, position)
    this.#lastOffset = offset
  }

  /** File position of the last entry at or below `offset`; 0 when there is none. */
  positionFor(offset: number): number {
    const slot = this.#floor(offset)
    return slot < 0 ? 0 : getInt32(this.bytes(), slot * OFFSET_INDEX_ENTRY_BYTES + 4)
  }

  /** Offset of the first entry at or behind file position `position`; -1 when there is none. */
  firstOffsetAtOrAfter(position: number): number {
    const buffer = this.bytes()
    let [low, high] = [0, this.entries]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (getInt32(buffer, middle * OFFSET_INDEX_ENTRY_BYTES + 4) < position) low = middle + 1
      else high = middle
    }
    return low === this.entries ? -1 : this.baseOffset + getInt32(buffer, low * OFFSET_INDEX_ENTRY_BYTES)
  }

  /** Drops the entries at or above `offset`. */
  truncateTo(offset: number): void {
    const slot = this.#floor(offset)
    const exact = slot >= 0 && this.baseOffset + getInt32(this.bytes(), slot * OFFSET_INDEX_ENTRY_BYTES) === offset
    this.keep(exact ? slot : slot + 1)
    this.#lastOffset = Number.NaN
  }

  /** Throws `CorruptIndexError` with 1.1's message. */
  sanityCheck(): void {
    if (this.entries > 0 && this.lastOffset <= this.baseOffset) {
      throw new CorruptIndexError(
        `Corrupt index found, index file (${this.path}) has non-zero size but the last offset is ${this.lastOffset} which is no greater than the base offset ${this.baseOffset}.`,
      )
    }
    if (this.fileBytes % OFFSET_INDEX_ENTRY_BYTES !== 0) {
      throw new CorruptIndexError(
        `Index file ${this.path} is corrupt, found ${this.fileBytes} bytes which is neither positive nor a multiple of ${OFFSET_INDEX_ENTRY_BYTES}.`,
      )
    }
  }

  protected override onReset(): void {
    this.#lastOffset = this.baseOffset
  }

  #floor(offset: number): number {
    if (this.entries === 0) return -1
    const buffer = this.bytes()
    const relative = offset - this.baseOffset
    let [low, high] = [0, this.entries]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (getInt32(buffer, middle * OFFSET_INDEX_ENTRY_BYTES) <= relative) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
