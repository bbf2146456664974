import { getInt16, getInt64, putInt16, putInt64 } from '../base/bytes.ts'
import type { Disk } from '../ports/disk.ts'
import { CorruptIndexError } from './index-file.ts'

export const TXN_INDEX_ENTRY_BYTES = 34
const VERSION = 0

/** An aborted transaction as `.txnindex` keeps it; all offsets absolute. */
export interface AbortedTxnEntry {
  readonly producerId: number
  readonly firstOffset: number
  /** Offset of the ABORT marker. */
  readonly lastOffset: number
  /** What the last stable offset became with this marker. */
  readonly lastStableOffset: number
}

/**
 * `.txnindex` of one segment: transactions whose ABORT marker lies in it. The file exists only when there is one. Entries are kept in
 * memory once they were needed; every append goes to the file at once (aborts are rare).
 */
export class TransactionIndex {
  path: string
  readonly baseOffset: number
  readonly #disk: Disk
  #entries: AbortedTxnEntry[] | undefined
  #bytes: number

  /** `fileBytes` undefined: there is no file. */
  constructor(disk: Disk, path: string, baseOffset: number, fileBytes: number | undefined) {
    this.#disk = disk
    this.path = path
    this.baseOffset = baseOffset
    this.#bytes = fileBytes ?? -1
    if (fileBytes === undefined) this.#entries = []
  }

  get exists(): boolean {
    return this.#bytes >= 0
  }

  /** Ascending by `lastOffset`. Throws `CorruptIndexError` when the file is of another version. */
  get entries(): readonly AbortedTxnEntry[] {
    return this.#load()
  }

  append(entry: AbortedTxnEntry): void {
    const entries = this.#load()
    const bytes = Buffer.alloc(TXN_INDEX_ENTRY_BYTES)
    putInt16(bytes, 0, VERSION)
    putInt64(bytes, 2, entry.producerId)
    putInt64(bytes, 10, entry.firstOffset)
    putInt64(bytes, 18, entry.lastOffset)
    putInt64(bytes, 26, entry.lastStableOffset)
    this.#withFile((file) => file.writeSync(bytes, 0, bytes.length, entries.length * TXN_INDEX_ENTRY_BYTES))
    entries.push(entry)
    this.#bytes = entries.length * TXN_INDEX_ENTRY_BYTES
  }

  /** Drops the markers at or above `offset`. */
  truncateTo(offset: number): void {
    if (!this.exists) return
    const entries = this.#load()
    const keep = entries.findIndex((entry) => entry.lastOffset >= offset)
    if (keep < 0) return
    this.#withFile((file) => file.truncateSync(keep * TXN_INDEX_ENTRY_BYTES))
    entries.length = keep
    this.#bytes = keep * TXN_INDEX_ENTRY_BYTES
  }

  /** Before a rebuild. */
  reset(): void {
    if (this.exists) this.#withFile((file) => file.truncateSync(0))
    this.#entries = []
    if (this.exists) this.#bytes = 0
  }

  sanityCheck(): void {
    if (!this.exists) return
    for (const entry of this.#load()) {
      if (entry.lastOffset < this.baseOffset) {
        throw new CorruptIndexError(
          `Last offset of aborted transaction ${JSON.stringify(entry)} is less than start offset ${this.baseOffset}`,
        )
      }
    }
  }

  fsyncSync(): void {
    if (this.exists) this.#withFile((file) => file.fsyncSync())
  }

  async datasync(): Promise<void> {
    if (!this.exists) return
    const file = this.#disk.open(this.path, 'readWrite')
    try {
      await file.datasync()
    } finally {
      file.close()
    }
  }

  #withFile(use: (file: ReturnType<Disk['open']>) => void): void {
    const file = this.#disk.open(this.path, 'create')
    try {
      use(file)
    } finally {
      file.close()
    }
  }

  #load(): AbortedTxnEntry[] {
    if (this.#entries !== undefined) return this.#entries
    const bytes = this.#disk.readFile(this.path)
    const entries: AbortedTxnEntry[] = []
    for (let at = 0; at + TXN_INDEX_ENTRY_BYTES <= bytes.length; at += TXN_INDEX_ENTRY_BYTES) {
      const version = getInt16(bytes, at)
      if (version > VERSION) {
        throw new CorruptIndexError(
          `Unexpected aborted transaction version ${version} in transaction index ${this.path}, current version is ${VERSION}`,
        )
      }
      entries.push({
        producerId: getInt64(bytes, at + 2),
        firstOffset: getInt64(bytes, at + 10),
        lastOffset: getInt64(bytes, at + 18),
        lastStableOffset: getInt64(bytes, at + 26),
      })
    }
    this.#entries = entries
    return entries
  }
}
