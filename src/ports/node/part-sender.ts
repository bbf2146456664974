import type { Socket } from 'node:net'
import type { BufferPool } from '../../base/buffer-pool.ts'
import type { DeferredBytes } from '../net.ts'
import type { FileSender } from './file-sender.ts'
import type { TurnBudget } from './turn-budget.ts'

/** An ordinary answer of 1 MiB goes with one call, what is larger in pieces of this. */
const PIECE_BYTES = 1024 * 1024 + 64 * 1024
/** What is copied when the system can't take more from a file: it says when there is room again. */
const STEP_BYTES = 128 * 1024
const NO_HEAD = Buffer.alloc(0)

type Part = Uint8Array | DeferredBytes

interface Run {
  readonly parts: readonly Part[]
  readonly released: (() => void) | undefined
}

/** Memory for one piece, for all connections: most pieces are taken by the system at once. */
export class PieceMemory {
  readonly #pool: BufferPool
  #spare: Buffer | undefined

  constructor(pool: BufferPool) {
    this.#pool = pool
  }

  acquire(bytes: number): Buffer {
    if (bytes < PIECE_BYTES) return this.#pool.acquire(bytes)
    const spare = this.#spare
    this.#spare = undefined
    return spare ?? this.#pool.acquire(PIECE_BYTES)
  }

  release(memory: Buffer): void {
    if (this.#spare === undefined && memory.length >= PIECE_BYTES) this.#spare = memory
    else this.#pool.release(memory)
  }
}

/**
 * What a connection sends in parts. One piece at a time is filled and given to the socket, and the next one only when the system
 * has taken it: a reader that is slow costs one piece of memory, however much was asked for. What lies in a file the system sends by
 * itself as far as its buffer has room; then a step of it is copied and given to the socket, whose word for it is that there is room again.
 */
export class PartSender {
  readonly #socket: Socket
  readonly #memory: PieceMemory
  readonly #turn: TurnBudget
  readonly #sender: FileSender | undefined
  readonly #failed: (error: Error) => void
  readonly #emptied: () => void
  #runs: Run[] = []
  /** Next byte: in part `#part` of the first run, at `#at`. */
  #part = 0
  #at = 0
  #queuedBytes = 0
  /** A piece waits for the system, or the next turn. */
  #isWaiting = false

  /** `failed`: deferred bytes could not be had. `emptied`: everything was given to the socket, in a later turn than `send`. */
  constructor(
    socket: Socket,
    memory: PieceMemory,
    turn: TurnBudget,
    sender: FileSender | undefined,
    failed: (error: Error) => void,
    emptied: () => void,
  ) {
    this.#socket = socket
    this.#memory = memory
    this.#turn = turn
    this.#sender = sender
    this.#failed = failed
    this.#emptied = emptied
  }

  /** Not given to the socket yet. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get isEmpty(): boolean {
    return this.#runs.length === 0
  }

  send(parts: readonly Part[], released: (() => void) | undefined): void {
    for (const part of parts) this.#queuedBytes += sizeOf(part)
    this.#runs.push({ parts, released })
    if (!this.#isWaiting) this.#pump()
  }

  /** The connection is gone. */
  drop(): void {
    const dropped = this.#runs
    this.#runs = []
    this.#part = this.#at = this.#queuedBytes = 0
    for (const { released } of dropped) released?.()
  }

  #pump(): void {
    for (let pieces = 0; this.#runs.length > 0; pieces++) {
      if (this.#socket.destroyed) return this.drop()
      // A fast reader may take any number of pieces at once.
      if (pieces > 0 && this.#turn.isUsedUp) {
        this.#isWaiting = true
        this.#turn.putOff(() => this.#goOn())
        return
      }
      const file = this.#sendFromFile()
      if (file === 'sent') continue
      const limit = file === 'full' ? STEP_BYTES : PIECE_BYTES
      const memory = this.#memory.acquire(limit)
      const bytes = this.#fill(memory, limit)
      if (bytes < 0) {
        this.#memory.release(memory)
        this.drop()
        return this.#failed(new Error('bytes to be sent are not there any more'))
      }
      if (!this.#write(memory, bytes)) return
    }
  }

  /** False: the system did not take all of it yet. */
  #write(memory: Buffer, bytes: number): boolean {
    let isTaken = false
    this.#socket.write(memory.subarray(0, bytes), (error) => {
      if (isTaken) return
      this.#memory.release(memory)
      if (error) this.drop()
      else this.#goOn()
    })
    isTaken = this.#socket.writableLength === 0 && !this.#socket.destroyed
    if (isTaken) this.#memory.release(memory)
    else this.#isWaiting = true
    return isTaken
  }

  #goOn(): void {
    this.#isWaiting = false
    this.#pump()
    if (!this.#isWaiting) this.#emptied()
  }

  /** The next bytes, at most `limit`, to the start of `memory`; -1 when they can't be had. */
  #fill(memory: Buffer, limit: number): number {
    let filled = 0
    while (filled < limit && this.#runs.length > 0) {
      const run = this.#runs[0]!
      const part = run.parts[this.#part]!
      const length = Math.min(sizeOf(part) - this.#at, limit - filled)
      if (part instanceof Uint8Array) memory.set(part.subarray(this.#at, this.#at + length), filled)
      else if (!part.copyPart(memory, filled, this.#at, length)) return -1
      filled += length
      this.#advance(run, length)
    }
    return filled
  }

  /**
   * Has the system send the next part, or much of it, from its file, behind the bytes before it: only while the socket has nothing of ours,
   * which would be overtaken. `full`: it took less.
   */
  #sendFromFile(): 'sent' | 'full' | 'not in a file' {
    const socket = this.#sender === undefined ? undefined : descriptorOf(this.#socket)
    if (socket === undefined) return 'not in a file'
    const run = this.#runs[0]!
    const first = run.parts[this.#part]!
    const isHead = first instanceof Uint8Array
    const part = isHead ? run.parts[this.#part + 1] : first
    if (part === undefined || part instanceof Uint8Array) return 'not in a file'
    const from = isHead ? 0 : this.#at
    const range = part.inFile?.(from, Math.min(part.size - from, PIECE_BYTES))
    if (range === undefined) return 'not in a file'
    const head = isHead ? first.subarray(this.#at) : NO_HEAD
    const sent = this.#sender!.send(socket, head, range)
    if (isHead) this.#advance(run, Math.min(sent, head.length))
    if (sent > head.length) this.#advance(run, sent - head.length)
    return sent < head.length + range.length ? 'full' : 'sent'
  }

  /** `bytes` of the present part are on their way. */
  #advance(run: Run, bytes: number): void {
    this.#at += bytes
    this.#queuedBytes -= bytes
    if (this.#at < sizeOf(run.parts[this.#part]!)) return
    this.#at = 0
    this.#part++
    if (this.#part < run.parts.length) return
    this.#part = 0
    this.#runs.shift()
    run.released?.()
  }
}

/** Of a socket that has nothing to write; undefined also where Node does not tell. */
export function descriptorOf(socket: Socket): number | undefined {
  if (socket.writableLength > 0 || socket.connecting || socket.destroyed) return undefined
  const { _handle: handle } = socket as unknown as { _handle?: { readonly fd?: number } | null }
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined
}

function sizeOf(part: Part): number {
  return part instanceof Uint8Array ? part.length : part.size
}
