import * as fs from 'node:fs'
import { dirname } from 'node:path'
import type { DirectoryEntry, Disk, DiskFile } from '../disk.ts'
import { DiskError } from '../disk.ts'
import { lockFile } from './file-lock.ts'
import type { FileSender } from './file-sender.ts'
import type { SpaceReserver } from './space-reserver.ts'
import { hasSpaceBehind } from './space-reserver.ts'

/** Most buffers the system takes in one gathered write. */
const MAX_GATHERED = 1024

const OPEN_FLAGS = {
  read: fs.constants.O_RDONLY,
  readWrite: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
  truncate: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
} as const

/** Any failure of the platform as a `DiskError` with the system's code. */
function diskError(error: unknown, path: string): DiskError {
  if (error instanceof DiskError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return new DiskError(code ?? 'EIO', path, message ?? String(error))
}

function attempt<T>(path: string, operation: () => T): T {
  try {
    return operation()
  } catch (error) {
    throw diskError(error, path)
  }
}

/** What Node has no calls for. */
export interface DiskHelpers {
  readonly sender?: FileSender | undefined
  readonly reserver?: SpaceReserver | undefined
}

class NodeFile implements DiskFile {
  readonly path: string
  readonly #fd: number
  readonly #sender: FileSender | undefined
  readonly #reserver: SpaceReserver | undefined
  #canReserve: boolean | undefined
  #closed = false

  constructor(path: string, fd: number, helpers: DiskHelpers) {
    this.path = path
    this.#fd = fd
    this.#sender = helpers.sender
    this.#reserver = helpers.reserver
  }

  get descriptor(): number | undefined {
    return this.#closed || this.#sender?.isAvailable !== true ? undefined : this.#fd
  }

  isResident(position: number, length: number): boolean {
    return !this.#closed && this.#sender?.isResident({ fd: this.#fd, position, length }) === true
  }

  size(): number {
    return attempt(this.path, () => fs.fstatSync(this.#open()).size)
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    try {
      let written = fs.writeSync(this.#open(), buffer, offset, length, position)
      while (written < length) {
        written += this.#progress(fs.writeSync(this.#fd, buffer, offset + written, length - written, position + written))
      }
    } catch (error) {
      throw diskError(error, this.path)
    }
  }

  writevSync(buffers: readonly Uint8Array[], position: number): number {
    try {
      let total = 0
      for (let i = 0; i < buffers.length; i += MAX_GATHERED) {
        const some = buffers.length <= MAX_GATHERED ? buffers : buffers.slice(i, i + MAX_GATHERED)
        total += this.#writeGathered(some, position + total)
      }
      return total
    } catch (error) {
      throw diskError(error, this.path)
    }
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    try {
      let bytes = fs.readSync(this.#open(), buffer, offset, length, position)
      while (bytes < length) {
        const more = fs.readSync(this.#fd, buffer, offset + bytes, length - bytes, position + bytes)
        if (more === 0) break
        bytes += more
      }
      return bytes
    } catch (error) {
      throw diskError(error, this.path)
    }
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    let bytes = 0
    while (bytes < length) {
      const more = await new Promise<number>((resolve, reject) => {
        attempt(this.path, () =>
          fs.read(this.#open(), buffer, offset + bytes, length - bytes, position + bytes, (error, count) =>
            error === null ? resolve(count) : reject(diskError(error, this.path)),
          ),
        )
      })
      if (more === 0) break
      bytes += more
    }
    return bytes
  }

  reserve(position: number, length: number): boolean {
    if (this.#closed || this.#reserver === undefined) return false
    this.#canReserve ??= this.#reserver.canReserve(this.path)
    return this.#canReserve && this.#reserver.reserve(this.#fd, position, length)
  }

  truncateSync(length: number): void {
    attempt(this.path, () => fs.ftruncateSync(this.#open(), length))
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => {
      attempt(this.path, () =>
        fs.fdatasync(this.#open(), (error) => (error === null ? resolve() : reject(diskError(error, this.path)))),
      )
    })
  }

  fsyncSync(): void {
    attempt(this.path, () => fs.fsyncSync(this.#open()))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    attempt(this.path, () => fs.closeSync(this.#fd))
  }

  closeOffLoop(): void {
    if (this.#closed) return
    this.#closed = true
    fs.close(this.#fd, () => {})
  }

  /** The descriptor; a number that may by now belong to another file is never used. */
  #open(): number {
    if (this.#closed) throw new DiskError('EBADF', this.path, `EBADF: ${this.path} is closed`)
    return this.#fd
  }

  #progress(bytes: number): number {
    if (bytes === 0) throw new DiskError('EIO', this.path, `EIO: a write to ${this.path} makes no progress`)
    return bytes
  }

  #writeGathered(buffers: readonly Uint8Array[], position: number): number {
    let length = 0
    for (const buffer of buffers) length += buffer.length
    if (length === 0) return 0
    let written = this.#progress(fs.writevSync(this.#open(), buffers as Uint8Array[], position))
    while (written < length) {
      written += this.#progress(fs.writevSync(this.#fd, skipBytes(buffers, written), position + written))
    }
    return written
  }
}

/** What is left of `buffers` after their first `bytes`. */
function skipBytes(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const rest: Uint8Array[] = []
  for (const buffer of buffers) {
    if (skip < buffer.length) rest.push(skip === 0 ? buffer : buffer.subarray(skip))
    skip = Math.max(0, skip - buffer.length)
  }
  return rest
}

function syncDirectory(path: string): void {
  attempt(path, () => {
    const fd = fs.openSync(path, fs.constants.O_RDONLY)
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  })
}

function writeFileAtomic(path: string, data: Uint8Array | string): void {
  const temporary = `${path}.tmp`
  attempt(path, () => {
    const fd = fs.openSync(temporary, OPEN_FLAGS.truncate, 0o644)
    try {
      fs.writeFileSync(fd, data)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(temporary, path)
  })
  syncDirectory(dirname(path))
}

function list(directory: string): DirectoryEntry[] {
  return attempt(directory, () =>
    fs.readdirSync(directory, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      isDirectory: entry.isSymbolicLink() ? isDirectory(`${directory}/${entry.name}`) : entry.isDirectory(),
    })),
  )
}

function setTimes(path: string, epochMillis: number): void {
  // The platform cuts seconds down to microseconds: one more keeps the millisecond from falling below itself.
  const seconds = (epochMillis + 0.001) / 1000
  fs.utimesSync(path, seconds, seconds)
}

function isDirectory(path: string): boolean {
  return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function isUsable(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
    return isDirectory(directory)
  } catch {
    return false
  }
}

function removeAsync(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.unlink(path, (error) => (error === null || error.code === 'ENOENT' ? resolve() : reject(diskError(error, path))))
  })
}

/** Only the sync may take long: a directory in which files were just made is opened and closed at once. */
async function syncDirectoryAsync(path: string): Promise<void> {
  const fd = attempt(path, () => fs.openSync(path, fs.constants.O_RDONLY))
  try {
    await new Promise<void>((resolve, reject) => {
      fs.fsync(fd, (error) => (error === null ? resolve() : reject(diskError(error, path))))
    })
  } finally {
    attempt(path, () => fs.closeSync(fd))
  }
}

/** The real file system, whose files can be sent and be given space ahead by the helpers. */
export function createNodeDisk(helpers: DiskHelpers): Disk {
  return { ...nodeDisk, open: (path, mode) => openFile(path, mode, helpers) }
}

function openFile(path: string, mode: keyof typeof OPEN_FLAGS, helpers: DiskHelpers = {}): DiskFile {
  const fd = attempt(path, () => fs.openSync(path, OPEN_FLAGS[mode], 0o644))
  return new NodeFile(path, fd, helpers)
}

/** The real file system; its files are read and written only. */
export const nodeDisk: Disk = {
  open: (path, mode) => openFile(path, mode),
  exists: (path) => fs.existsSync(path),
  list,
  makeDirectory: (path) => attempt(path, () => fs.mkdirSync(path, { recursive: true })) !== undefined,
  rename: (from, to) => attempt(from, () => fs.renameSync(from, to)),
  remove: (path, missingOk = false) => {
    try {
      fs.unlinkSync(path)
    } catch (error) {
      if (!missingOk || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw diskError(error, path)
    }
  },
  removeTree: async (path) => {
    try {
      await fs.promises.rm(path, { recursive: true, force: true })
    } catch (error) {
      throw diskError(error, path)
    }
  },
  readFile: (path) => attempt(path, () => fs.readFileSync(path)),
  writeFileAtomic,
  syncDirectory,
  removeAsync,
  syncDirectoryAsync,
  fileSize: (path) => attempt(path, () => fs.statSync(path).size),
  hasSpaceBehind: (path) => attempt(path, () => hasSpaceBehind(path)),
  modifiedTime: (path) => attempt(path, () => Math.floor(fs.statSync(path).mtimeMs)),
  setModifiedTime: (path, epochMillis) => attempt(path, () => setTimes(path, epochMillis)),
  isUsable,
  lock: (path) => attempt(path, () => lockFile(path)),
}
