import { partitionKey } from '../../base/ids.ts'
import type { Disk } from '../../ports/disk.ts'
import type { OffsetEntry } from '../checkpoints.ts'
import { CLEANER_OFFSET_CHECKPOINT, readOffsetCheckpoint, writeOffsetCheckpoint } from '../checkpoints.ts'

/** `cleaner-offset-checkpoint` of every log directory: where the dirty part of each compacted log begins. Methods throw `DiskError`. */
export class CleanerCheckpoints {
  readonly #disk: Disk
  /** Per directory, as on disk. */
  readonly #entries = new Map<string, Map<string, OffsetEntry>>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  read(logDir: string): void {
    const entries = new Map<string, OffsetEntry>()
    this.#entries.set(logDir, entries)
    for (const entry of readOffsetCheckpoint(this.#disk, path(logDir)))
      entries.set(partitionKey(entry.topic, entry.partition), entry)
  }

  get(logDir: string, topic: string, partition: number): number | undefined {
    return this.#entries.get(logDir)?.get(partitionKey(topic, partition))?.offset
  }

  /** Writes one entry; those of logs that are no more (`exists`) are left out. */
  set(logDir: string, entry: OffsetEntry, exists: (key: string) => boolean): void {
    const entries = this.#entries.get(logDir) ?? new Map<string, OffsetEntry>()
    const next = new Map([...entries].filter(([key]) => exists(key)))
    next.set(partitionKey(entry.topic, entry.partition), entry)
    this.#write(logDir, next)
  }

  remove(logDir: string, topic: string, partition: number): void {
    const entries = this.#entries.get(logDir)
    const key = partitionKey(topic, partition)
    if (entries?.has(key) !== true) return
    const next = new Map(entries)
    next.delete(key)
    this.#write(logDir, next)
  }

  forget(logDir: string): void {
    this.#entries.delete(logDir)
  }

  #write(logDir: string, entries: Map<string, OffsetEntry>): void {
    writeOffsetCheckpoint(this.#disk, path(logDir), entries.values())
    this.#entries.set(logDir, entries)
  }
}

function path(logDir: string): string {
  return `${logDir}/${CLEANER_OFFSET_CHECKPOINT}`
}
