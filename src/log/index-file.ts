import { putInt32 } from '../base/bytes.ts'
import type { Disk, DiskFile } from '../ports/disk.ts'

/** An index whose content cannot be right: the segment is recovered and its indexes are rebuilt. */
export class CorruptIndexError extends Error {
  override readonly name = 'CorruptIndexError'
}

/** An entry that would go back: the offsets of the segment do not ascend. */
export class InvalidOffsetError extends Error {
  override readonly name = 'InvalidOffsetError'
}

const FIRST_CAPACITY = 512
const NOTHING = Buffer.alloc(0)

/**
 * What the offset and the time index have in common: entries of one size, big-endian as in the file, held in memory from the first lookup
 * on. The file of an active segment has its full preallocated length, zeros after the last entry, as 1.1's memory map leaves it; it is
 * trimmed when the segment is rolled or closed. Entries reach the file with `persist`, not one by one: an untrimmed file is never
 * trusted after a crash, so nothing is lost by that.
 */
export abstract class IndexFile {
  path: string
  readonly baseOffset: number
  /** Entries that fit; at that number the segment must be rolled. */
  maxEntries: number
  entries: number
  protected readonly entryBytes: number
  readonly #disk: Disk
  #file: DiskFile | undefined
  #fileBytes: number
  /** Length that the file is to have; it gets it with the next `persist`, so that a start with thousands of logs need not wait for it. */
  #wantedBytes: number
  #buffer: Buffer | undefined
  #persisted: number
  /** A new file is made when it is first needed, at the latest with `persist`: a thousand new logs do not wait for theirs. */
  #exists: boolean
  /** Entries in the file that a power loss could take away or bring back. */
  #isUnsynced = false
  /** Under way: the file must stay open meanwhile. */
  #syncs = 0
  #closesAfterSync = false

  /** `maxBytes`: `segment.index.bytes`, the length of a new file. A file that is there is taken as full of entries. */
  constructor(disk: Disk, path: string, baseOffset: number, entryBytes: number, maxBytes: number, fileBytes: number | undefined) {
    this.#disk = disk
    this.path = path
    this.baseOffset = baseOffset
    this.entryBytes = entryBytes
    this.#exists = fileBytes !== undefined
    if (fileBytes === undefined) {
      this.#fileBytes = 0
      this.#wantedBytes = maxBytes - (maxBytes % entryBytes)
      this.entries = 0
      this.#buffer = NOTHING
    } else {
      this.#fileBytes = this.#wantedBytes = fileBytes
      this.entries = Math.floor(fileBytes / entryBytes)
    }
    this.#persisted = this.entries
    this.maxEntries = Math.floor(this.#wantedBytes / entryBytes)
  }

  /** Length of the file on disk. */
  get fileBytes(): number {
    return this.#fileBytes
  }

  /** Bytes of the entries, as they are after trimming. */
  get sizeInBytes(): number {
    return this.entries * this.entryBytes
  }

  /** The entries' bytes; read from the file on first use. Entry i begins at i * entryBytes. */
  protected bytes(): Buffer {
    if (this.#buffer !== undefined) return this.#buffer
    const buffer = Buffer.alloc(this.sizeInBytes)
    if (buffer.length > 0) {
      const file = this.#file ?? this.#disk.open(this.path, 'read')
      try {
        file.readSync(buffer, 0, buffer.length, 0)
      } finally {
        if (file !== this.#file) file.close()
      }
    }
    this.#buffer = buffer
    return buffer
  }

  /** First and last entry without loading the rest: they stand in the result one after the other. */
  protected outerEntries(): Buffer {
    const { entryBytes } = this
    const result = Buffer.alloc(2 * entryBytes)
    const last = (this.entries - 1) * entryBytes
    if (this.#buffer !== undefined) {
      this.#buffer.copy(result, 0, 0, entryBytes)
      this.#buffer.copy(result, entryBytes, last, last + entryBytes)
      return result
    }
    const file = this.#file ?? this.#disk.open(this.path, 'read')
    try {
      file.readSync(result, 0, entryBytes, 0)
      if (last === 0) result.copy(result, entryBytes, 0, entryBytes)
      else file.readSync(result, entryBytes, entryBytes, last)
    } finally {
      if (file !== this.#file) file.close()
    }
    return result
  }

  /** Room for one more entry; returns the buffer and counts the entry. */
  protected extend(): Buffer {
    let buffer = this.bytes()
    const end = (this.entries + 1) * this.entryBytes
    if (end > buffer.length) {
      const larger = Buffer.alloc(Math.max(FIRST_CAPACITY - (FIRST_CAPACITY % this.entryBytes), buffer.length * 2, end))
      buffer.copy(larger, 0, 0, this.sizeInBytes)
      buffer = this.#buffer = larger
    }
    this.entries++
    return buffer
  }

  /** Keeps the first `entries`; the file keeps its length, what stands behind them is worthless. */
  protected keep(entries: number): void {
    if (entries > this.entries) return
    this.bytes()
    if (entries < this.#persisted) this.#isUnsynced = true
    this.entries = entries
    this.#persisted = Math.min(this.#persisted, entries)
  }

  /** Makes the file, empty, when there is none. */
  ensureFile(): void {
    if (this.#exists) return
    this.#disk.open(this.path, 'create').close()
    this.#exists = true
  }

  /** Gives the file its length and the entries that it does not have yet. One that got none is idle: thousands of them are not kept open. */
  persist(): void {
    const isIdle = this.#persisted >= this.entries
    if (!this.#exists || this.#fileBytes < this.#wantedBytes) this.#setLength(this.#wantedBytes)
    this.#writeEntries()
    if (isIdle) this.#closeFile()
  }

  #writeEntries(): void {
    if (this.#persisted >= this.entries) return
    const from = this.#persisted * this.entryBytes
    this.#open().writeSync(this.bytes(), from, this.sizeInBytes - from, from)
    this.#persisted = this.entries
    this.#isUnsynced = true
    if (this.sizeInBytes > this.#fileBytes) this.#fileBytes = this.sizeInBytes
  }

  /** Cuts the file to its entries; no more can be added until `resize`. */
  trim(): void {
    this.#writeEntries()
    if (!this.#exists || this.#fileBytes !== this.sizeInBytes) this.#setLength(this.sizeInBytes)
    this.#wantedBytes = this.sizeInBytes
    this.maxEntries = this.entries
    this.#closeFile()
  }

  /** Makes room for entries up to `maxBytes` in all. */
  resize(maxBytes: number): void {
    const length = Math.max(maxBytes - (maxBytes % this.entryBytes), this.sizeInBytes)
    if (this.#fileBytes > length) this.#setLength(length)
    this.#wantedBytes = length
    this.maxEntries = Math.floor(length / this.entryBytes)
  }

  /**
   * Forgets everything and makes room for a rebuild. After a clean shutdown (`emptyFile`) the file is emptied first: should the rebuild
   * be cut short, the next start must not take the old entries for good ones. Else the next start rebuilds it again anyway.
   */
  reset(maxBytes: number, emptyFile: boolean): void {
    this.#buffer = NOTHING
    this.entries = this.#persisted = 0
    this.#isUnsynced = true
    if (emptyFile && this.#fileBytes !== 0) this.#setLength(0)
    this.#wantedBytes = 0
    this.maxEntries = Math.floor(maxBytes / this.entryBytes)
    this.onReset()
  }

  protected abstract onReset(): void

  /** Frees the entries of an index that will not change; the next lookup reads them again. */
  unload(): void {
    if (this.#persisted === this.entries && this.#fileBytes === this.sizeInBytes) this.#buffer = undefined
  }

  async datasync(): Promise<void> {
    this.#writeEntries()
    if (!this.#isUnsynced) return
    this.#isUnsynced = false
    this.#syncs++
    try {
      await this.#open().datasync()
    } finally {
      if (--this.#syncs === 0 && this.#closesAfterSync) this.#closeFile()
    }
  }

  fsyncSync(): void {
    this.#writeEntries()
    if (!this.#isUnsynced) return
    this.#isUnsynced = false
    this.#open().fsyncSync()
  }

  renamed(path: string): void {
    this.path = path
  }

  /** Closes without trimming or writing. */
  abandon(): void {
    this.#closeFile()
  }

  #open(): DiskFile {
    this.#closesAfterSync = false
    if (this.#file !== undefined) return this.#file
    this.#file = this.#disk.open(this.path, this.#exists ? 'readWrite' : 'create')
    this.#exists = true
    return this.#file
  }

  #setLength(length: number): void {
    this.#open().truncateSync(length)
    this.#fileBytes = length
  }

  #closeFile(): void {
    this.#closesAfterSync = this.#syncs > 0
    if (this.#closesAfterSync) return
    this.#file?.close()
    this.#file = undefined
  }
}

/** Writes `offset - baseOffset` as int32 at `position`. */
export function putRelative(buffer: Uint8Array, position: number, offset: number, baseOffset: number): void {
  putInt32(buffer, position, offset - baseOffset)
}
