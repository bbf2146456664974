import type { FileRange } from '../../base/bytes.ts'
import { loadLibc } from './libc.ts'

/** The system calls behind it; each returns what the system does: a count, -1 for a failure. */
export interface SendCalls {
  send(socket: number, bytes: Uint8Array): number
  sendfile(socket: number, file: number, position: number, length: number): number
  /** Pages of the range that are in the page cache. */
  cachedPages(file: number, position: number, length: number): number
  readonly pageBytes: number
}

export interface FileSenderOptions {
  /** Default: libc by way of koffi. Throws where that is not to be had. */
  readonly load?: () => SendCalls
  /** Told once when `load` failed. */
  readonly onUnavailable?: (reason: string) => void
}

/**
 * Has the system send bytes of files to sockets without a copy through this process, as Java's `transferTo` does. Node has no call for that;
 * koffi, which calls any function of a library, is loaded with the first question whether it can be done: a process that never sends much
 * never loads it.
 */
export class FileSender {
  readonly #options: FileSenderOptions
  /** undefined: not tried yet. */
  #calls: SendCalls | 'none' | undefined

  constructor(options: FileSenderOptions = {}) {
    this.#options = options
  }

  get isAvailable(): boolean {
    this.#calls ??= this.#load()
    return this.#calls !== 'none'
  }

  /**
   * Gives the socket `head`, then the range, and returns how many bytes of both it took. Fewer than all: its buffer is full, or something
   * fails, which whoever writes the rest finds out.
   */
  send(socket: number, head: Uint8Array, range: FileRange): number {
    if (!this.isAvailable) return 0
    const calls = this.#calls as SendCalls
    if (head.length > 0) {
      const sent = Math.max(0, calls.send(socket, head))
      if (sent < head.length) return sent
    }
    let sent = 0
    while (sent < range.length) {
      const more = calls.sendfile(socket, range.fd, range.position + sent, range.length - sent)
      if (more <= 0) break
      sent += more
    }
    return head.length + sent
  }

  /** Are all of these bytes in memory? False also when it can't be said. */
  isResident({ fd, position, length }: FileRange): boolean {
    if (!this.isAvailable) return false
    const { pageBytes, cachedPages } = this.#calls as SendCalls
    const pages = Math.ceil((position + length) / pageBytes) - Math.floor(position / pageBytes)
    return cachedPages(fd, position, length) === pages
  }

  #load(): SendCalls | 'none' {
    try {
      return (this.#options.load ?? loadCalls)()
    } catch (error) {
      this.#options.onUnavailable?.((error as Error).message.split('\n')[0]!)
      return 'none'
    }
  }
}

// Linux, the same on x64 and arm64.
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
/** More follows at once: no packet, and no wake-up of the reader, for the head alone. */
const MSG_MORE = 0x8000
/** Linux 6.5 and later. */
const CACHESTAT = 451

function loadCalls(): SendCalls {
  const libc = loadLibc()
  const send = libc.func('int64_t send(int socket, void *bytes, uint64_t length, int flags)')
  const sendfile = libc.func('int64_t sendfile(int socket, int file, void *position, uint64_t length)')
  const cachestat = libc.func('int64_t syscall(int64_t number, int64_t file, void *range, void *result, int64_t flags)')
  // 64-bit integers, low half first.
  const position = new Uint32Array(2)
  const range = new Uint32Array(4)
  const result = new Uint32Array(10)
  return {
    pageBytes: libc.func('int getpagesize()')(),
    send: (socket, bytes) => send(socket, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE),
    sendfile: (socket, file, from, length) => {
      position[0] = from
      position[1] = from / 2 ** 32
      return sendfile(socket, file, position, length)
    },
    cachedPages: (file, from, length) => {
      range[0] = from
      range[1] = from / 2 ** 32
      range[2] = length
      range[3] = length / 2 ** 32
      return cachestat(CACHESTAT, file, range, result, 0) === 0 ? result[0]! : -1
    },
  }
}
