import type { Rng } from '../rng.ts'

/** The cache writes back in pages; a torn page is cut at a multiple of the sector. */
const PAGE_BYTES = 4096
const SECTOR_BYTES = 512

/** A file's content as the running system sees it, and what of it would survive a power loss. */
export class FileNode {
  readonly kind = 'file'
  #cache = Buffer.alloc(0)
  #size = 0
  #durable = Buffer.alloc(0)
  /** Pages that differ from what is durable, with the number of the write that touched them last. */
  readonly #dirty = new Map<number, number>()
  #writes = 0
  /** Writes that were part of the newest sync. */
  #durableWrites = 0
  modifiedTime: number

  constructor(now: number) {
    this.modifiedTime = now
  }

  get size(): number {
    return this.#size
  }

  get hasUnsyncedPages(): boolean {
    return this.#dirty.size > 0
  }

  /** The first `size` bytes; not a copy. */
  content(): Buffer {
    return this.#cache.subarray(0, this.#size)
  }

  durableContent(): Buffer {
    return this.#durable
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    this.#reserve(end)
    this.#cache.set(bytes, position)
    this.#touch(Math.min(position, this.#size), end)
    this.#size = Math.max(this.#size, end)
  }

  read(into: Uint8Array, offset: number, length: number, position: number): number {
    const bytes = Math.max(0, Math.min(length, this.#size - position))
    into.set(this.#cache.subarray(position, position + bytes), offset)
    return bytes
  }

  truncate(length: number): void {
    this.#reserve(length)
    this.#touch(Math.min(length, this.#size), Math.max(length, this.#size))
    this.#cache.fill(0, Math.min(length, this.#size))
    this.#size = length
  }

  /** Notes what is to be made durable; the returned function does it. Later writes are not part of it. */
  beginSync(): () => void {
    const snapshot = Buffer.from(this.content())
    const writes = this.#writes
    return () => {
      // A sync that began earlier and ends later takes nothing back.
      if (writes < this.#durableWrites) return
      this.#durableWrites = writes
      this.#durable = snapshot
      for (const [page, write] of this.#dirty) if (write <= writes) this.#dirty.delete(page)
    }
  }

  /** The power went: each page that was not synced is kept, lost, torn, or (where the file grew) zero; so is the length. */
  losePower(rng: Rng): void {
    const size = this.#sizeAfterPowerLoss(rng)
    const after = Buffer.alloc(size)
    this.#durable.copy(after, 0, 0, size)
    for (const page of [...this.#dirty.keys()].sort((a, b) => a - b)) {
      const start = page * PAGE_BYTES
      const end = Math.min(start + PAGE_BYTES, size, this.#size)
      if (end <= start) continue
      const fate = rng.int(0, 4)
      if (fate === 0) this.#cache.copy(after, start, start, end)
      else if (fate === 1)
        this.#cache.copy(after, start, start, Math.min(end, start + SECTOR_BYTES * rng.int(0, PAGE_BYTES / SECTOR_BYTES + 1)))
      else if (fate === 2) after.fill(0, Math.max(start, Math.min(this.#durable.length, end)), end)
    }
    this.#cache = after
    this.#size = size
    this.#durable = Buffer.from(after)
    this.#dirty.clear()
  }

  #sizeAfterPowerLoss(rng: Rng): number {
    if (this.#dirty.size === 0) return this.#size
    const low = Math.min(this.#size, this.#durable.length)
    const high = Math.max(this.#size, this.#durable.length)
    const fate = rng.int(0, 3)
    if (fate === 0) return this.#durable.length
    return fate === 1 ? this.#size : rng.int(low, high + 1)
  }

  #touch(start: number, end: number): void {
    this.#writes++
    for (let page = Math.floor(start / PAGE_BYTES); page * PAGE_BYTES < end; page++) this.#dirty.set(page, this.#writes)
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#cache.length) return
    const larger = Buffer.alloc(Math.max(bytes, this.#cache.length * 2, 1024))
    this.#cache.copy(larger, 0, 0, this.#size)
    this.#cache = larger
  }
}

export type Node = FileNode | DirectoryNode

/** Names set or (undefined) removed in one atomic step. */
type Change = readonly (readonly [name: string, node: Node | undefined])[]

/** A directory: its entries now, and those that a power loss would leave. */
export class DirectoryNode {
  readonly kind = 'directory'
  readonly entries = new Map<string, Node>()
  modifiedTime: number
  usable = true
  #durable = new Map<string, Node>()
  /** Changes since the last sync, in order. A power loss keeps some first ones of them. */
  #pending: Change[] = []

  constructor(now: number) {
    this.modifiedTime = now
  }

  change(change: Change): void {
    apply(this.entries, change)
    this.#pending.push(change)
  }

  sync(): void {
    if (this.#pending.length === 0) return
    this.#durable = new Map(this.entries)
    this.#pending = []
  }

  losePower(rng: Rng): void {
    const kept = this.#pending.slice(0, rng.int(0, this.#pending.length + 1))
    const after = new Map(this.#durable)
    for (const change of kept) apply(after, change)
    this.entries.clear()
    for (const [name, node] of after) this.entries.set(name, node)
    this.sync()
    for (const node of this.entries.values()) node.losePower(rng)
  }
}

function apply(entries: Map<string, Node>, change: Change): void {
  for (const [name, node] of change) {
    if (node === undefined) entries.delete(name)
    else entries.set(name, node)
  }
}
