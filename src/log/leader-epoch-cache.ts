import type { Disk } from '../ports/disk.ts'
import { formatCheckpoint, readCheckpoint, writeCheckpoint } from './checkpoints.ts'

/** Answer for an epoch about which nothing is known. */
export const UNDEFINED_EPOCH = -1
export const UNDEFINED_EPOCH_OFFSET = -1

/**
 * First offset of every leader epoch of one log (KIP-101), kept in `leader-epoch-checkpoint`. Rules of 1.1.1: an entry is added only
 * when its epoch is above the latest and its offset not below the latest one. Beside them there may be one *pending* epoch: it has begun
 * (this broker became leader) but nothing has been appended. It lives in memory only, so that the file is what 1.1.1 writes.
 */
export class LeaderEpochCache {
  readonly #disk: Disk
  readonly #path: string
  #exists: boolean
  readonly #epochs: number[] = []
  readonly #offsets: number[] = []
  #pendingEpoch = UNDEFINED_EPOCH
  #pendingOffset = UNDEFINED_EPOCH_OFFSET
  /** Entries that are not in the file. A crash loses nothing by that: recovery reads them from the batches that were not flushed. */
  #isUnsaved = false
  #saving: Promise<void> | undefined
  /** Changes with every synchronous write, so that a slower asynchronous one steps back. */
  #generation = 0
  /** Called when there is something to save; without it the owner calls `save`. */
  onUnsaved: (() => void) | undefined

  /** Reads the file. When there is none, `ensureFile` or the first entry makes it. Throws `DiskError` when it is malformed. */
  constructor(disk: Disk, path: string, exists: boolean) {
    this.#disk = disk
    this.#path = path
    this.#exists = exists
    for (const [epoch, offset] of exists ? readCheckpoint(disk, path, parseEntry) : []) {
      this.#epochs.push(epoch)
      this.#offsets.push(offset)
    }
  }

  get latestEpoch(): number {
    return this.#pendingEpoch >= 0 ? this.#pendingEpoch : (this.#epochs.at(-1) ?? UNDEFINED_EPOCH)
  }

  /** Oldest epoch in which something was appended; -1: none. */
  get firstEpoch(): number {
    return this.#epochs[0] ?? UNDEFINED_EPOCH
  }

  /** The latest epoch has begun, but nothing was appended in it. */
  get isPending(): boolean {
    return this.#pendingEpoch >= 0
  }

  /** What the file holds: epoch and its first offset, ascending. */
  get entries(): readonly (readonly [epoch: number, startOffset: number])[] {
    return this.#epochs.map((epoch, i) => [epoch, this.#offsets[i]!])
  }

  /** A batch of `epoch` was appended at `offset`. */
  assign(epoch: number, offset: number): void {
    this.#pendingEpoch = UNDEFINED_EPOCH
    if (!this.#isNext(epoch, offset)) return
    this.#epochs.push(epoch)
    this.#offsets.push(offset)
    this.#changed()
  }

  /** `epoch` begins at `offset`, the log end, though nothing was appended yet (become leader, KAFKA-7415). */
  begin(epoch: number, offset: number): void {
    if (this.latestEpoch === epoch || !this.#isNext(epoch, offset)) return
    this.#pendingEpoch = epoch
    this.#pendingOffset = offset
  }

  /**
   * First offset after `epoch`; `logEndOffset` for the latest one, -1 when it cannot be told (1.1.1: also for one before the first).
   * `withPending` false: by what was appended alone, as 1.1.1 answers.
   */
  endOffsetFor(epoch: number, logEndOffset: number, withPending = true): number {
    if (epoch === UNDEFINED_EPOCH) return UNDEFINED_EPOCH_OFFSET
    if (epoch === (withPending ? this.latestEpoch : (this.#epochs.at(-1) ?? UNDEFINED_EPOCH))) return logEndOffset
    if (this.#epochs.length === 0 || epoch < this.#epochs[0]!) return UNDEFINED_EPOCH_OFFSET
    for (let i = 0; i < this.#epochs.length; i++) if (this.#epochs[i]! > epoch) return this.#offsets[i]!
    return withPending && this.#pendingEpoch > epoch ? this.#pendingOffset : UNDEFINED_EPOCH_OFFSET
  }

  /** First offset of an epoch of this log; -1: it has none. */
  startOf(epoch: number): number {
    if (epoch >= 0 && epoch === this.#pendingEpoch) return this.#pendingOffset
    const at = this.#epochs.indexOf(epoch)
    return at < 0 ? UNDEFINED_EPOCH_OFFSET : this.#offsets[at]!
  }

  /** The log now ends at `offset`: entries at or above it go. */
  truncateFromEnd(offset: number): void {
    if (this.#pendingOffset >= offset) this.#pendingEpoch = UNDEFINED_EPOCH
    let keep = this.#epochs.length
    while (keep > 0 && this.#offsets[keep - 1]! >= offset) keep--
    if (keep === this.#epochs.length) return
    this.#epochs.length = keep
    this.#offsets.length = keep
    this.#saveNow()
  }

  /** The log now starts at `offset`: the epoch in force there starts at it, earlier ones go. */
  truncateFromStart(offset: number): void {
    let below = 0
    while (below < this.#epochs.length && this.#offsets[below]! < offset) below++
    if (below === 0) return
    const epoch = this.#epochs[below - 1]!
    this.#epochs.splice(0, below)
    this.#offsets.splice(0, below)
    if (this.#offsets[0] !== offset) {
      this.#epochs.unshift(epoch)
      this.#offsets.unshift(offset)
    }
    this.#changed()
  }

  clear(): void {
    this.#epochs.length = 0
    this.#offsets.length = 0
    this.#pendingEpoch = UNDEFINED_EPOCH
    this.#saveNow()
  }

  #isNext(epoch: number, offset: number): boolean {
    const last = this.#epochs.length - 1
    return epoch >= 0 && (last < 0 || (epoch > this.#epochs[last]! && offset >= this.#offsets[last]!))
  }

  #changed(): void {
    if (this.#isUnsaved) return
    this.#isUnsaved = true
    this.onUnsaved?.()
  }

  /** 1.1 has an empty file from the beginning. */
  ensureFile(): void {
    if (!this.#exists) this.#disk.open(this.#path, 'create').close()
    this.#exists = true
  }

  /** Writes the file, if there is something to write, durably and at once. */
  save(): void {
    if (this.#isUnsaved) this.#saveNow()
  }

  #saveNow(): void {
    this.#generation++
    this.#isUnsaved = false
    writeCheckpoint(this.#disk, this.#path, this.#lines())
    this.#exists = true
  }

  /** The same with the waiting done off the loop. Single-flight; resolves when all that was there at the call is durable. */
  async saveAsync(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving
    if (!this.#isUnsaved) return
    const run = this.#write()
    this.#saving = run.catch(() => {})
    try {
      await run
    } finally {
      this.#saving = undefined
    }
  }

  async #write(): Promise<void> {
    const generation = ++this.#generation
    this.#isUnsaved = false
    const temporary = `${this.#path}.tmp`
    const bytes = Buffer.from(formatCheckpoint(this.#lines()))
    const file = this.#disk.open(temporary, 'truncate')
    try {
      file.writeSync(bytes, 0, bytes.length, 0)
      await file.datasync()
    } finally {
      file.close()
    }
    if (generation !== this.#generation) return
    this.#disk.rename(temporary, this.#path)
    this.#exists = true
    await this.#disk.syncDirectoryAsync(this.#path.slice(0, this.#path.lastIndexOf('/')))
  }

  /** Nothing may be written any more: the folder is being deleted, or its directory failed. */
  abandon(): void {
    this.#generation++
    this.#isUnsaved = false
    this.onUnsaved = undefined
  }

  #lines(): string[] {
    return this.#epochs.map((epoch, i) => `${epoch} ${this.#offsets[i]}`)
  }
}

function parseEntry(fields: readonly string[]): [number, number] | undefined {
  if (fields.length !== 2 || !fields.every((field) => /^[+-]?\d+$/.test(field))) return undefined
  return [Number(fields[0]), Number(fields[1])]
}
