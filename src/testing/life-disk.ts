import type { DirectoryEntry, Disk, DiskFile } from '../ports/disk.ts'
import { DiskError } from '../ports/disk.ts'
import type { Life } from './life.ts'

/**
 * A disk that knows the broker only as long as it lives: asynchronous calls of a dead one never come back, its files are closed and its locks
 * released. (Synchronous calls of a dead one are refused; there should be none.)
 */
export function diskOf(life: Life, disk: Disk): Disk {
  return new LifeDisk(life, disk)
}

function checkAlive(life: Life, path: string): void {
  if (!life.isAlive) throw new DiskError('EIO', path, `EIO: the broker was killed: ${path}`)
}

class LifeDisk implements Disk {
  readonly #life: Life
  readonly #disk: Disk

  constructor(life: Life, disk: Disk) {
    this.#life = life
    this.#disk = disk
  }

  #at(path: string): Disk {
    checkAlive(this.#life, path)
    return this.#disk
  }

  open(path: string, mode: 'read' | 'readWrite' | 'create' | 'truncate'): DiskFile {
    return new LifeFile(this.#life, this.#at(path).open(path, mode))
  }
  exists(path: string): boolean {
    return this.#at(path).exists(path)
  }
  list(directory: string): DirectoryEntry[] {
    return this.#at(directory).list(directory)
  }
  makeDirectory(path: string): boolean {
    return this.#at(path).makeDirectory(path)
  }
  rename(from: string, to: string): void {
    this.#at(from).rename(from, to)
  }
  remove(path: string, missingOk?: boolean): void {
    this.#at(path).remove(path, missingOk)
  }
  async removeAsync(path: string): Promise<void> {
    return this.#life.settle(this.#at(path).removeAsync(path))
  }
  async removeTree(path: string): Promise<void> {
    return this.#life.settle(this.#at(path).removeTree(path))
  }
  readFile(path: string): Buffer {
    return this.#at(path).readFile(path)
  }
  writeFileAtomic(path: string, data: Uint8Array | string): void {
    this.#at(path).writeFileAtomic(path, data)
  }
  syncDirectory(path: string): void {
    this.#at(path).syncDirectory(path)
  }
  async syncDirectoryAsync(path: string): Promise<void> {
    return this.#life.settle(this.#at(path).syncDirectoryAsync(path))
  }
  fileSize(path: string): number {
    return this.#at(path).fileSize(path)
  }
  modifiedTime(path: string): number {
    return this.#at(path).modifiedTime(path)
  }
  setModifiedTime(path: string, epochMillis: number): void {
    this.#at(path).setModifiedTime(path, epochMillis)
  }
  isUsable(directory: string): boolean {
    return this.#at(directory).isUsable(directory)
  }
  lock(path: string): { release(): void } | undefined {
    const lock = this.#at(path).lock(path)
    if (lock === undefined) return undefined
    const forget = this.#life.onRelease(() => lock.release())
    return {
      release: () => {
        if (!this.#life.isAlive) return
        forget()
        lock.release()
      },
    }
  }
}

class LifeFile implements DiskFile {
  readonly path: string
  readonly #life: Life
  readonly #file: DiskFile
  readonly #forget: () => void

  constructor(life: Life, file: DiskFile) {
    this.path = file.path
    this.#life = life
    this.#file = file
    this.#forget = life.onRelease(() => file.close())
  }

  #open(): DiskFile {
    checkAlive(this.#life, this.path)
    return this.#file
  }

  size(): number {
    return this.#open().size()
  }
  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#open().writeSync(buffer, offset, length, position)
  }
  writevSync(buffers: readonly Uint8Array[], position: number): number {
    return this.#open().writevSync(buffers, position)
  }
  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#open().readSync(buffer, offset, length, position)
  }
  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#life.settle(this.#open().read(buffer, offset, length, position))
  }
  truncateSync(length: number): void {
    this.#open().truncateSync(length)
  }
  async datasync(): Promise<void> {
    return this.#life.settle(this.#open().datasync())
  }
  fsyncSync(): void {
    this.#open().fsyncSync()
  }
  close(): void {
    if (!this.#life.isAlive) return
    this.#forget()
    this.#file.close()
  }
}
