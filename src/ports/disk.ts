/** An operating error of the disk, with the POSIX code (`ENOENT`, `ENOSPC`, `EIO`, `EACCES`, ...). */
export class DiskError extends Error {
  override readonly name = 'DiskError'
  readonly code: string
  readonly path: string
  constructor(code: string, path: string, message: string) {
    super(message)
    this.code = code
    this.path = path
  }
}

export interface DirectoryEntry {
  readonly name: string
  readonly isDirectory: boolean
}

/**
 * An open file. Synchronous calls serve the hot path (append, page-cached read); the asynchronous ones are for what
 * may block (cold reads, fsync). Positions and lengths in bytes. All throw `DiskError`.
 */
export interface DiskFile {
  readonly path: string
  size(): number
  /** Writes all of it (loops over short writes). */
  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void
  /** One gathered write; writes all of it. Returns the bytes written. */
  writevSync(buffers: readonly Uint8Array[], position: number): number
  /** Returns the bytes read: fewer than `length` only at the end of the file. */
  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** For a net that has the system send bytes from files; undefined where there is none such. */
  readonly descriptor?: number | undefined
  /** Are all of these bytes in memory? False also when it can't be said. */
  isResident?(position: number, length: number): boolean
  /**
   * Has the file system set space aside for bytes to come, without changing the file's size. False: it would not, which is no error. What is not
   * used goes back with `truncateSync` to any size, also the file's own.
   */
  reserve?(position: number, length: number): boolean
  truncateSync(length: number): void
  /** fdatasync off the loop. */
  datasync(): Promise<void>
  /** fsync on the loop: only for start-up, shutdown and small checkpoint files. */
  fsyncSync(): void
  close(): void
  /** The same, where it may take long: whoever closes a removed file last has its pages freed. No error is told. Undefined: `close` is quick. */
  closeOffLoop?(): void
}

/** The file system. Paths are absolute. All methods throw `DiskError`. */
export interface Disk {
  /** `read`: must exist. `readWrite`: must exist. `create`: created when absent, kept when present. `truncate`: created or emptied. */
  open(path: string, mode: 'read' | 'readWrite' | 'create' | 'truncate'): DiskFile
  exists(path: string): boolean
  list(directory: string): DirectoryEntry[]
  /** With its parents. True when it was not there. */
  makeDirectory(path: string): boolean
  rename(from: string, to: string): void
  /** Removes a file; absent is fine when `missingOk`. */
  remove(path: string, missingOk?: boolean): void
  /** The same off the loop; absent is fine. Giving back the pages of a large file takes milliseconds. */
  removeAsync(path: string): Promise<void>
  /** Removes a directory tree off the loop. */
  removeTree(path: string): Promise<void>
  readFile(path: string): Buffer
  /** Replaces the file's content: temporary file, fsync, rename, directory fsync. */
  writeFileAtomic(path: string, data: Uint8Array | string): void
  syncDirectory(path: string): void
  /** The same off the loop. */
  syncDirectoryAsync(path: string): Promise<void>
  fileSize(path: string): number
  /** Was space set aside behind the end of the file (`DiskFile.reserve`) and not given back? */
  hasSpaceBehind?(path: string): boolean
  /** Milliseconds since 1970. */
  modifiedTime(path: string): number
  setModifiedTime(path: string, epochMillis: number): void
  /** True when the process can read, write and search it. */
  isUsable(directory: string): boolean
  /** Exclusive lock of a file, held until `release`; undefined when another process holds it. */
  lock(path: string): { release(): void } | undefined
}
