import { getInt16, getInt32, getInt64, getUint32, putInt16, putInt32, putInt64 } from '../base/bytes.ts'
import { crc32c } from '../base/crc.ts'
import type { Logger } from '../base/logger.ts'
import type { Disk } from '../ports/disk.ts'
import { offsetOfFileName, SNAPSHOT_SUFFIX, segmentFileName } from './file-names.ts'
import type { ProducerEntry } from './producer-state.ts'
import { ProducerState } from './producer-state.ts'

const VERSION = 1
const HEADER_BYTES = 10
const ENTRY_BYTES = 46

/** A snapshot that cannot be used: it is deleted and an older one is tried. */
export class CorruptSnapshotError extends Error {
  override readonly name = 'CorruptSnapshotError'
}

/** Bytes of a `.snapshot`: int16 version, crc, int32 count, then 46 bytes per producer. */
export function encodeSnapshot(state: ProducerState): Buffer {
  const buffer = Buffer.alloc(HEADER_BYTES + state.size * ENTRY_BYTES)
  let at = HEADER_BYTES
  for (const entry of state.entries()) {
    putInt64(buffer, at, entry.producerId)
    putInt16(buffer, at + 8, entry.producerEpoch)
    putInt32(buffer, at + 10, entry.lastSequence)
    putInt64(buffer, at + 14, entry.lastOffset)
    putInt32(buffer, at + 22, entry.offsetDelta)
    putInt64(buffer, at + 26, entry.timestamp)
    putInt32(buffer, at + 34, entry.coordinatorEpoch)
    putInt64(buffer, at + 38, entry.currentTxnFirstOffset)
    at += ENTRY_BYTES
  }
  putInt16(buffer, 0, VERSION)
  putInt32(buffer, 6, state.size)
  putInt32(buffer, 2, crc32c(buffer.subarray(6)))
  return buffer
}

/** Throws `CorruptSnapshotError`. */
export function decodeSnapshot(buffer: Buffer): ProducerEntry[] {
  if (buffer.length < HEADER_BYTES) throw new CorruptSnapshotError(`Snapshot has only ${buffer.length} bytes`)
  const version = getInt16(buffer, 0)
  if (version !== VERSION) throw new CorruptSnapshotError(`Snapshot contained an unknown file version ${version}`)
  const stored = getUint32(buffer, 2)
  const computed = crc32c(buffer.subarray(6)) >>> 0
  if (stored !== computed) {
    throw new CorruptSnapshotError(
      `Snapshot is corrupt (CRC is no longer valid). Stored crc: ${stored}. Computed crc: ${computed}`,
    )
  }
  const count = getInt32(buffer, 6)
  if (count < 0 || HEADER_BYTES + count * ENTRY_BYTES > buffer.length) {
    throw new CorruptSnapshotError(`Snapshot failed schema validation: ${count} entries in ${buffer.length} bytes`)
  }
  return Array.from({ length: count }, (_, i) => decodeEntry(buffer, HEADER_BYTES + i * ENTRY_BYTES))
}

function decodeEntry(buffer: Buffer, at: number): ProducerEntry {
  return {
    producerId: getInt64(buffer, at),
    producerEpoch: getInt16(buffer, at + 8),
    lastSequence: getInt32(buffer, at + 10),
    lastOffset: getInt64(buffer, at + 14),
    offsetDelta: getInt32(buffer, at + 22),
    timestamp: getInt64(buffer, at + 26),
    coordinatorEpoch: getInt32(buffer, at + 34),
    currentTxnFirstOffset: getInt64(buffer, at + 38),
  }
}

/**
 * Producer state together with its snapshot files. `mapEndOffset` is the offset (exclusive) up to which the state knows the log; a snapshot
 * is named after it.
 */
export class ProducerSnapshots {
  readonly state = new ProducerState()
  mapEndOffset = 0
  readonly #disk: Disk
  readonly #directory: string
  readonly #logger: Logger
  readonly #expirationMs: number
  /** Offsets of the snapshot files, ascending. */
  readonly #offsets: number[]
  #lastSnapshotOffset = 0

  /** `fileNames`: what the partition's folder holds. */
  constructor(disk: Disk, directory: string, fileNames: Iterable<string>, logger: Logger, expirationMs: number) {
    this.#disk = disk
    this.#directory = directory
    this.#logger = logger
    this.#expirationMs = expirationMs
    this.#offsets = []
    for (const name of fileNames) {
      const offset = name.endsWith(SNAPSHOT_SUFFIX) ? offsetOfFileName(name) : undefined
      if (offset !== undefined) this.#offsets.push(offset)
    }
    this.#offsets.sort((a, b) => a - b)
  }

  get hasSnapshots(): boolean {
    return this.#offsets.length > 0
  }

  /** Offsets of the snapshot files, ascending. */
  get snapshotOffsets(): readonly number[] {
    return this.#offsets
  }

  /** Another state over the same files, for the recovery of a segment; the files stay shared. */
  fork(): ProducerSnapshots {
    const names = this.#offsets.map((offset) => segmentFileName(offset, SNAPSHOT_SUFFIX))
    return new ProducerSnapshots(this.#disk, this.#directory, names, this.#logger, this.#expirationMs)
  }

  /** Takes over which files there are now, after a fork worked on them. */
  adoptFiles(fork: ProducerSnapshots): void {
    this.#offsets.splice(0, this.#offsets.length, ...fork.#offsets)
  }

  /** Drops snapshots outside (logStartOffset, logEndOffset], then loads the newest good one, unless the state is already there. */
  truncateAndReload(logStartOffset: number, logEndOffset: number, wall: number): void {
    this.#deleteWhere((offset) => offset > logEndOffset || offset <= logStartOffset)
    if (logEndOffset === this.mapEndOffset) {
      this.truncateHead(logStartOffset)
      return
    }
    this.state.clear()
    this.#load(logStartOffset, wall)
  }

  /** Writes a snapshot at `mapEndOffset`, unless there is nothing new since the last one. */
  take(): void {
    if (this.mapEndOffset <= this.#lastSnapshotOffset) return
    this.#logger.info(`Writing producer snapshot at offset ${this.mapEndOffset}`)
    const file = this.#disk.open(this.#path(this.mapEndOffset), 'truncate')
    try {
      const bytes = encodeSnapshot(this.state)
      file.writeSync(bytes, 0, bytes.length, 0)
    } finally {
      file.close()
    }
    this.#lastSnapshotOffset = this.mapEndOffset
    if (!this.#offsets.includes(this.mapEndOffset)) {
      this.#offsets.push(this.mapEndOffset)
      this.#offsets.sort((a, b) => a - b)
    }
  }

  truncateHead(logStartOffset: number): void {
    this.state.truncateHead(logStartOffset)
    if (this.mapEndOffset < logStartOffset) this.mapEndOffset = logStartOffset
    this.deleteBefore(logStartOffset)
    this.#lastSnapshotOffset = this.#offsets.at(-1) ?? logStartOffset
  }

  /** The log is empty now. */
  truncateFully(): void {
    this.state.clear()
    this.#deleteWhere(() => true)
    this.#lastSnapshotOffset = 0
    this.mapEndOffset = 0
  }

  deleteBefore(offset: number): void {
    this.#deleteWhere((snapshot) => snapshot < offset)
  }

  removeExpired(wall: number): void {
    if (this.state.size > 0) this.state.removeExpired(wall, this.#expirationMs)
  }

  #load(logStartOffset: number, wall: number): void {
    for (let offset = this.#offsets.at(-1); offset !== undefined; offset = this.#offsets.at(-1)) {
      const path = this.#path(offset)
      try {
        this.#logger.info(`Loading producer state from snapshot file '${path}'`)
        for (const entry of decodeSnapshot(this.#disk.readFile(path)))
          if (this.#isWanted(entry, logStartOffset, wall)) this.state.load(entry, wall)
        this.#lastSnapshotOffset = this.mapEndOffset = offset
        return
      } catch (error) {
        if (!(error instanceof CorruptSnapshotError)) throw error
        this.#logger.warn(`Failed to load producer snapshot from '${path}': ${error.message}`)
        this.#deleteWhere((snapshot) => snapshot === offset)
      }
    }
    this.#lastSnapshotOffset = this.mapEndOffset = logStartOffset
  }

  #isWanted(entry: ProducerEntry, logStartOffset: number, wall: number): boolean {
    // Without a batch, all it says is that a marker raised the epoch. 1.1 drops it, and the fenced producer writes again after a restart.
    if (entry.lastOffset < 0 && entry.coordinatorEpoch >= 0) return true
    if (entry.lastOffset < logStartOffset) return false
    return entry.currentTxnFirstOffset >= 0 || wall - entry.timestamp < this.#expirationMs
  }

  #deleteWhere(gone: (offset: number) => boolean): void {
    let kept = 0
    for (const offset of this.#offsets) {
      if (gone(offset)) this.#disk.remove(this.#path(offset), true)
      else this.#offsets[kept++] = offset
    }
    this.#offsets.length = kept
  }

  #path(offset: number): string {
    return `${this.#directory}/${segmentFileName(offset, SNAPSHOT_SUFFIX)}`
  }
}
