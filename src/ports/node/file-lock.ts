import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { platform } from 'node:process'

/** The process that wrote a lock file. */
interface Holder {
  readonly pid: number
  /** Start time in clock ticks after boot; absent where there is no /proc. */
  readonly startTime?: string
  /** Changes with each boot: pids of an earlier one say nothing. */
  readonly bootId?: string
}

/**
 * Exclusive lock of a file between processes, without native code. What holds it together:
 * - On Linux an abstract socket named after the file's device and inode is bound as long as the lock is held. Binding is
 *   atomic and the kernel undoes it when the process dies, however it dies.
 * - The file names its holder (pid, start time, boot). That covers systems without abstract sockets, and processes in
 *   another network namespace. A holder that is gone, or whose pid went to a younger process, holds nothing.
 * A Java broker holds a POSIX lock on the file; on Linux /proc/locks tells of it. (It can't see ours: Node has no such locks.)
 * The file stays behind empty after `release`, as Kafka's `.lock` does. Throws the platform's error when it can't be opened.
 */
export function lockFile(path: string): { release(): void } | undefined {
  const { fd, isNew } = openOrCreate(path)
  try {
    const { dev, ino } = fs.fstatSync(fd)
    const socket = bindName(`samsa.lock.${dev}.${ino}`)
    if (socket === undefined) return undefined
    const holder = parseHolder(fs.readFileSync(fd, 'utf8'))
    // Reading /proc/locks waits 5 - 15 ms for all cores; nobody can have locked what was not there.
    if ((holder !== undefined && isRunning(holder)) || (!isNew && hasPosixLock(dev, ino))) {
      socket.release()
      return undefined
    }
    overwrite(fd, JSON.stringify(ownIdentity()))
    return { release: () => releaseLock(path, ino, socket) }
  } finally {
    fs.closeSync(fd)
  }
}

function openOrCreate(path: string): { fd: number; isNew: boolean } {
  const { O_RDWR, O_CREAT, O_EXCL } = fs.constants
  try {
    return { fd: fs.openSync(path, O_RDWR | O_CREAT | O_EXCL, 0o644), isNew: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { fd: fs.openSync(path, O_RDWR | O_CREAT, 0o644), isNew: false }
  }
}

function hasPosixLock(dev: number, inode: number): boolean {
  try {
    return listsPosixLock(fs.readFileSync('/proc/locks', 'utf8'), dev, inode)
  } catch {
    return false
  }
}

/** Does /proc/locks list a POSIX lock on this file? Its lines: `1: POSIX  ADVISORY  WRITE 2465 fe:00:9988312 0 EOF`, device numbers in hex. */
export function listsPosixLock(locks: string, dev: number, inode: number): boolean {
  const hex = (part: number): string => part.toString(16).padStart(2, '0')
  const major = (dev >>> 8) & 0xfff
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00)
  const file = `${hex(major)}:${hex(minor)}:${inode}`
  return locks.split('\n').some((line) => line.includes(' POSIX ') && line.split(/\s+/).includes(file))
}

function releaseLock(path: string, inode: number, socket: { release(): void }): void {
  try {
    const fd = fs.openSync(path, fs.constants.O_RDWR)
    // The directory may have been moved away or deleted in the meantime: then this is somebody else's file.
    if (fs.fstatSync(fd).ino === inode) fs.ftruncateSync(fd, 0)
    fs.closeSync(fd)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  } finally {
    socket.release()
  }
}

function overwrite(fd: number, text: string): void {
  fs.ftruncateSync(fd, 0)
  fs.writeSync(fd, text, 0)
}

/** Binds an abstract socket; undefined when the name is taken. Does nothing where there are none. */
function bindName(name: string): { release(): void } | undefined {
  if (platform !== 'linux') return { release: () => {} }
  const server = createServer((socket) => socket.destroy())
  // The failure is reported later as an event, but known at once: the server has no handle.
  server.on('error', () => {})
  server.listen(`\0${name}`)
  if (!server.listening) return undefined
  server.unref()
  let held = true
  return {
    release: () => {
      if (held) server.close()
      held = false
    },
  }
}

function ownIdentity(): Holder {
  return { pid: process.pid, ...processIdentity(process.pid) }
}

/** Start time and boot of a process where /proc tells them; `gone` for one that is dead and not yet waited for. */
function processIdentity(pid: number): { startTime?: string; bootId?: string; gone?: true } {
  try {
    // The second field is the program's name in parentheses and may hold blanks; state is field 3, start time field 22.
    const fields = fs
      .readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return { gone: true }
    const startTime = fields[19]
    const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return { bootId, ...(startTime === undefined ? {} : { startTime }) }
  } catch {
    return {}
  }
}

/** What the file says; undefined when nobody holds it (empty, or cut short by a crash while it was written). */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('pid' in value)) return undefined
    return Number.isSafeInteger(value.pid) && (value.pid as number) > 0 ? (value as Holder) : undefined
  } catch {
    return undefined
  }
}

function isRunning(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // No right to signal it: it exists.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = processIdentity(holder.pid)
  if (now.gone) return false
  if (holder.bootId !== undefined && now.bootId !== undefined && holder.bootId !== now.bootId) return false
  return holder.startTime === undefined || now.startTime === undefined || holder.startTime === now.startTime
}
