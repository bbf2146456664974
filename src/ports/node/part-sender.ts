import type { Socket } from 'node:net'
import type { BufferPool } from '../../base/buffer-pool.ts'
import type { DeferredBytes } from '../net.ts'
import type { TurnBudget } from './turn-budget.ts'

/** An ordinary answer of 1 MiB goes with one call, what is larger in pieces of this. */
const PIECE_BYTES = 1024 * 1024 + 64 * 1024

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

  acquire(): Buffer {
    const spare = this.#spare
    this.#spare = undefined
    return spare ?? this.#pool.acquire(PIECE_BYTES)
  }

  release(memory: Buffer): void {
    if (this.#spare === undefined) this.#spare = memory
    else this.#pool.release(memory)
  }
}

/**
 * What a connection sends in parts. One piece at a time is filled and given to the socket, and the next one only when the system
 * has taken it: a reader that is slow costs one piece of memory, however much was asked for.
 */
export class PartSender {
  readonly #socket: Socket
  readonly #memory: PieceMemory
  readonly #turn: TurnBudget
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
  constructor(socket: Socket, memory: PieceMemory, turn: TurnBudget, failed: (error: Error) => void, emptied: () => void) {
    this.#socket = socket
    this.#memory = memory
    this.#turn = turn
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
      const memory = this.#memory.acquire()
      const bytes = this.#fill(memory)
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

  /** The next bytes to the start of `memory`; -1 when they can't be had. */
  #fill(memory: Buffer): number {
    let filled = 0
    while (filled < PIECE_BYTES && this.#runs.length > 0) {
      const run = this.#runs[0]!
      const part = run.parts[this.#part]!
      const length = Math.min(sizeOf(part) - this.#at, PIECE_BYTES - filled)
      if (part instanceof Uint8Array) memory.set(part.subarray(this.#at, this.#at + length), filled)
      else if (!part.copyPart(memory, filled, this.#at, length)) return -1
      filled += length
      this.#at += length
      this.#queuedBytes -= length
      if (this.#at === sizeOf(part)) this.#nextPart(run)
    }
    return filled
  }

  #nextPart(run: Run): void {
    this.#at = 0
    this.#part++
    if (this.#part < run.parts.length) return
    this.#part = 0
    this.#runs.shift()
    run.released?.()
  }
}

function sizeOf(part: Part): number {
  return part instanceof Uint8Array ? part.length : part.size
}
