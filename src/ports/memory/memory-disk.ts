import type { Clock } from '../clock.ts'
import type { DirectoryEntry, Disk, DiskFile } from '../disk.ts'
import { DiskError } from '../disk.ts'
import type { Rng } from '../rng.ts'
import type { Node } from './memory-files.ts'
import { DirectoryNode, FileNode } from './memory-files.ts'
import { SeededRng } from './seeded-rng.ts'

/** Kinds of operation that can be made to fail or be watched. */
export type DiskOperation =
  | 'open'
  | 'write'
  | 'read'
  | 'truncate'
  | 'sync'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'stat'
  | 'syncDirectory'

export interface MemoryDiskOptions {
  /** For modification times and delays; without one, times are 0 and asynchronous calls end in a microtask. */
  readonly clock?: Clock
  /** Chance for power losses and torn writes. */
  readonly rng?: Rng
  /** Writes beyond this many bytes over all files fail with ENOSPC, after what fits. */
  readonly capacityBytes?: number
  /** How long asynchronous reads and syncs take, milliseconds. */
  readonly readDelayMs?: number
  readonly syncDelayMs?: number
}

export interface Failure {
  /** POSIX code, e.g. `EIO`. */
  readonly code: string
  /** Only this kind of operation; default any. */
  readonly operation?: DiskOperation
  /** Only paths that contain it; default any. */
  readonly path?: string
  /** How many operations fail; default 1. */
  readonly times?: number
  /** A failing write leaves a random first part of its bytes behind. */
  readonly torn?: boolean
}

/**
 * A file system in memory with the page cache's semantics: what was written is there for every reader and survives
 * `processCrash`; only what was synced is sure to survive `powerLoss`.
 */
export class MemoryDisk implements Disk {
  /** Called before every operation, with its number from 1. What it throws goes to the caller: the way to crash at one. */
  onOperation: ((operation: DiskOperation, path: string, number: number) => void) | undefined
  capacityBytes: number
  /** Asynchronous calls take up to so much longer, each its own time: those that began later may end earlier. */
  jitterMs = 0
  operations = 0
  readonly #options: MemoryDiskOptions
  readonly #rng: Rng
  readonly #root: DirectoryNode
  #failures: { readonly failure: Failure; left: number }[] = []
  #locks = new Set<FileNode>()
  /** Files opened before the last crash no longer work. */
  #incarnation = 0

  constructor(options: MemoryDiskOptions = {}) {
    this.#options = options
    this.#rng = options.rng ?? new SeededRng('memory-disk')
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY
    this.#root = new DirectoryNode(this.#now())
  }

  // ------------------------------------------------------------------ faults

  /** The process died (kill -9): open files and locks are gone, everything written stays. */
  processCrash(): void {
    this.#incarnation++
    this.#locks.clear()
  }

  /** The machine lost power: unsynced pages, lengths and directory entries may be lost, kept or torn. */
  powerLoss(): void {
    this.processCrash()
    this.#root.losePower(this.#rng)
  }

  /** Makes the next matching operation (or `times` of them) fail. */
  fail(failure: Failure): void {
    this.#failures.push({ failure, left: failure.times ?? 1 })
  }

  clearFailures(): void {
    this.#failures = []
  }

  /** Takes or gives back the right to read, write and search a directory. */
  setUsable(path: string, usable: boolean): void {
    this.#directory(path).usable = usable
  }

  /** Flips bits of a stored byte, on the medium and in the cache. */
  corrupt(path: string, position: number, mask = 0xff): void {
    const file = this.#file(path)
    file.write(Buffer.from([file.content()[position]! ^ mask]), position)
    file.beginSync()()
  }

  get usedBytes(): number {
    return usedBytes(this.#root)
  }

  // ------------------------------------------------------------------ Disk

  open(path: string, mode: 'read' | 'readWrite' | 'create' | 'truncate'): DiskFile {
    this.begin('open', path)
    const parent = this.#parent(path)
    let node = parent.entries.get(baseName(path))
    if (node === undefined) {
      if (mode === 'read' || mode === 'readWrite') throw diskError('ENOENT', path)
      node = new FileNode(this.#now())
      parent.change([[baseName(path), node]])
    }
    if (node.kind === 'directory') throw diskError('EISDIR', path)
    if (mode === 'truncate') node.truncate(0)
    return new MemoryFile(this, path, node, mode !== 'read', this.#incarnation)
  }

  exists(path: string): boolean {
    this.begin('stat', path)
    return this.#find(path) !== undefined
  }

  list(directory: string): DirectoryEntry[] {
    this.begin('list', directory)
    const node = this.#directory(directory)
    if (!node.usable) throw diskError('EACCES', directory)
    return [...node.entries]
      .map(([name, entry]) => ({ name, isDirectory: entry.kind === 'directory' }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  makeDirectory(path: string): boolean {
    this.begin('makeDirectory', path)
    let node = this.#root
    let isMade = false
    for (const name of namesOf(path)) {
      let next = node.entries.get(name)
      if (next?.kind === 'file') throw diskError('EEXIST', path)
      if (next === undefined) {
        next = new DirectoryNode(this.#now())
        node.change([[name, next]])
        isMade = true
      }
      node = next
    }
    return isMade
  }

  rename(from: string, to: string): void {
    this.begin('rename', from)
    const [source, target] = [this.#parent(from), this.#parent(to)]
    const node = source.entries.get(baseName(from))
    if (node === undefined) throw diskError('ENOENT', from)
    const old = target.entries.get(baseName(to))
    if (old === node) return
    if (old?.kind === 'directory' && (node.kind === 'file' || old.entries.size > 0)) {
      throw diskError(node.kind === 'file' ? 'EISDIR' : 'ENOTEMPTY', to)
    }
    if (old?.kind === 'file' && node.kind === 'directory') throw diskError('ENOTDIR', to)
    const removed = [baseName(from), undefined] as const
    const added = [baseName(to), node] as const
    if (source === target) {
      source.change([removed, added])
    } else {
      target.change([added])
      source.change([removed])
    }
  }

  remove(path: string, missingOk = false): void {
    this.begin('remove', path)
    const parent = this.#parentIfAny(path)
    const node = parent?.entries.get(baseName(path))
    if (parent === undefined || node === undefined) {
      if (missingOk) return
      throw diskError('ENOENT', path)
    }
    if (node.kind === 'directory') throw diskError('EISDIR', path)
    parent.change([[baseName(path), undefined]])
  }

  async removeTree(path: string): Promise<void> {
    this.begin('remove', path)
    const parent = this.#parentIfAny(path)
    if (parent?.entries.has(baseName(path))) parent.change([[baseName(path), undefined]])
  }

  readFile(path: string): Buffer {
    this.begin('read', path)
    return Buffer.from(this.#file(path).content())
  }

  writeFileAtomic(path: string, data: Uint8Array | string): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    const file = this.open(`${path}.tmp`, 'truncate')
    file.writeSync(bytes, 0, bytes.length, 0)
    file.fsyncSync()
    file.close()
    this.rename(`${path}.tmp`, path)
    this.syncDirectory(path.slice(0, path.lastIndexOf('/')) || '/')
  }

  syncDirectory(path: string): void {
    this.begin('syncDirectory', path)
    this.#directory(path).sync()
  }

  async removeAsync(path: string): Promise<void> {
    const incarnation = this.#incarnation
    await this.after('sync')
    if (!this.isCurrent(incarnation)) throw diskError('EBADF', path)
    this.remove(path, true)
  }

  async syncDirectoryAsync(path: string): Promise<void> {
    this.begin('syncDirectory', path)
    const incarnation = this.#incarnation
    const directory = this.#directory(path)
    await this.after('sync')
    if (!this.isCurrent(incarnation)) throw diskError('EBADF', path)
    directory.sync()
  }

  fileSize(path: string): number {
    this.begin('stat', path)
    const node = this.#find(path)
    if (node === undefined) throw diskError('ENOENT', path)
    return node.kind === 'file' ? node.size : 4096
  }

  modifiedTime(path: string): number {
    this.begin('stat', path)
    const node = this.#find(path)
    if (node === undefined) throw diskError('ENOENT', path)
    return node.modifiedTime
  }

  setModifiedTime(path: string, epochMillis: number): void {
    this.begin('stat', path)
    const node = this.#find(path)
    if (node === undefined) throw diskError('ENOENT', path)
    node.modifiedTime = epochMillis
  }

  isUsable(directory: string): boolean {
    const node = this.#find(directory)
    return node?.kind === 'directory' && node.usable
  }

  lock(path: string): { release(): void } | undefined {
    const incarnation = this.#incarnation
    this.open(path, 'create').close()
    const file = this.#file(path)
    if (this.#locks.has(file)) return undefined
    this.#locks.add(file)
    return {
      release: () => {
        if (incarnation === this.#incarnation) this.#locks.delete(file)
      },
    }
  }

  // ------------------------------------------------------------------ for MemoryFile

  /** @internal Counts an operation and lets it fail when that was asked for. */
  begin(operation: DiskOperation, path: string): void {
    const failure = this.takeFailure(operation, path)
    if (failure !== undefined) throw diskError(failure.code, path)
  }

  /** @internal */
  takeFailure(operation: DiskOperation, path: string): Failure | undefined {
    this.operations++
    this.onOperation?.(operation, path, this.operations)
    const found = this.#failures.find(
      ({ failure }) => (failure.operation ?? operation) === operation && path.includes(failure.path ?? ''),
    )
    if (found !== undefined && --found.left === 0) this.#failures = this.#failures.filter((other) => other !== found)
    return found?.failure
  }

  /** @internal */
  isCurrent(incarnation: number): boolean {
    return incarnation === this.#incarnation
  }

  /** @internal Writes as much as the failure and the capacity allow, then throws if that is not all. */
  write(file: FileNode, path: string, bytes: Uint8Array, position: number): void {
    const failure = this.takeFailure('write', path)
    const growth = Math.max(0, position + bytes.length - file.size)
    const room = this.capacityBytes === Number.POSITIVE_INFINITY ? growth : this.capacityBytes - this.usedBytes
    let allowed = growth <= room ? bytes.length : Math.max(0, bytes.length - growth + Math.max(0, room))
    if (failure !== undefined) allowed = failure.torn ? this.#rng.int(0, Math.max(1, allowed)) : 0
    file.write(bytes.subarray(0, allowed), position)
    file.modifiedTime = this.#now()
    if (failure !== undefined) throw diskError(failure.code, path)
    if (allowed < bytes.length) throw diskError('ENOSPC', path)
  }

  /** @internal Resolves after the delay, in a microtask when there is none. */
  after(kind: 'read' | 'sync'): Promise<void> {
    const delay = kind === 'read' ? this.#options.readDelayMs : this.#options.syncDelayMs
    const { clock } = this.#options
    if (clock === undefined || delay === undefined) return Promise.resolve()
    const late = this.jitterMs > 0 ? this.#rng.next() * this.jitterMs : 0
    return new Promise((resolve) => void clock.timer(delay + late, resolve))
  }

  #now(): number {
    return this.#options.clock?.wall() ?? 0
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const name of namesOf(path)) {
      if (node?.kind !== 'directory') return undefined
      node = node.entries.get(name)
    }
    return node
  }

  #file(path: string): FileNode {
    const node = this.#find(path)
    if (node === undefined) throw diskError('ENOENT', path)
    if (node.kind === 'directory') throw diskError('EISDIR', path)
    return node
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path)
    if (node === undefined) throw diskError('ENOENT', path)
    if (node.kind === 'file') throw diskError('ENOTDIR', path)
    return node
  }

  #parent(path: string): DirectoryNode {
    const parent = this.#directory(path.slice(0, path.lastIndexOf('/')))
    if (!parent.usable) throw diskError('EACCES', path)
    return parent
  }

  #parentIfAny(path: string): DirectoryNode | undefined {
    return this.#find(path.slice(0, path.lastIndexOf('/')))?.kind === 'directory' ? this.#parent(path) : undefined
  }
}

class MemoryFile implements DiskFile {
  readonly path: string
  readonly #disk: MemoryDisk
  readonly #node: FileNode
  readonly #writable: boolean
  readonly #incarnation: number
  #closed = false

  constructor(disk: MemoryDisk, path: string, node: FileNode, writable: boolean, incarnation: number) {
    this.#disk = disk
    this.path = path
    this.#node = node
    this.#writable = writable
    this.#incarnation = incarnation
  }

  size(): number {
    return this.#usable().size
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#disk.write(this.#forWriting(), this.path, buffer.subarray(offset, offset + length), position)
  }

  writevSync(buffers: readonly Uint8Array[], position: number): number {
    const bytes = Buffer.concat(buffers)
    if (bytes.length > 0) this.#disk.write(this.#forWriting(), this.path, bytes, position)
    return bytes.length
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const node = this.#usable()
    this.#disk.begin('read', this.path)
    return node.read(buffer, offset, length, position)
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const node = this.#usable()
    this.#disk.begin('read', this.path)
    await this.#disk.after('read')
    return node.read(buffer, offset, length, position)
  }

  truncateSync(length: number): void {
    const node = this.#forWriting()
    this.#disk.begin('truncate', this.path)
    node.truncate(length)
  }

  async datasync(): Promise<void> {
    const node = this.#usable()
    this.#disk.begin('sync', this.path)
    const complete = node.beginSync()
    await this.#disk.after('sync')
    if (!this.#disk.isCurrent(this.#incarnation)) throw diskError('EBADF', this.path)
    complete()
  }

  fsyncSync(): void {
    const node = this.#usable()
    this.#disk.begin('sync', this.path)
    node.beginSync()()
  }

  close(): void {
    this.#closed = true
  }

  #usable(): FileNode {
    if (this.#closed || !this.#disk.isCurrent(this.#incarnation)) throw diskError('EBADF', this.path)
    return this.#node
  }

  #forWriting(): FileNode {
    if (!this.#writable) throw diskError('EBADF', this.path)
    return this.#usable()
  }
}

function usedBytes(node: Node): number {
  if (node.kind === 'file') return node.size
  let sum = 0
  for (const entry of node.entries.values()) sum += usedBytes(entry)
  return sum
}

/** Paths that were cut before: the same few hundred come again and again. */
const cut = new Map<string, readonly string[]>()
const MOST_CUT = 10_000

function namesOf(path: string): readonly string[] {
  let names = cut.get(path)
  if (names === undefined) {
    names = path.split('/').filter((name) => name !== '' && name !== '.')
    if (cut.size >= MOST_CUT) cut.clear()
    cut.set(path, names)
  }
  return names
}

function baseName(path: string): string {
  return namesOf(path).at(-1) ?? ''
}

function diskError(code: string, path: string): DiskError {
  return new DiskError(code, path, `${code}: ${path}`)
}
