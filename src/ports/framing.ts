import type { BufferPool } from '../base/buffer-pool.ts'
import type { FrameMemory, FrameReceiver } from './net.ts'

/** Bytes of the length before each frame. */
export const PREFIX_BYTES = 4
/** A frame is given this much memory on its length's word alone; the rest only as its bytes arrive. */
const TRUSTED_BYTES = 1024 * 1024 + 60 * 1024
/** From this size on the rest of a frame is read straight into its own buffer. */
const DIRECT_BYTES = 32 * 1024
const NOTHING = Buffer.alloc(0)

/** What the reader asks of the connection it reads for. */
export interface FrameTransport {
  /** Stop and start taking bytes from the peer. Either may come when that is already so. */
  stopReading(): void
  startReading(): void
  /** The peer announced a frame of a negative or too large length; the receiver was told. To be closed with `badFrame`. */
  refuseFrame(length: number): void
}

/**
 * Cuts a byte stream into frames (int32 length, payload) and hands them to a receiver: pure, shared by all nets.
 *
 * A frame that lies whole in a chunk is handed over in place. The bytes of an unfinished frame are collected in a pooled
 * buffer; `readTarget` offers the rest of that buffer (and room for the next length) to be read into directly, so that
 * big frames are not copied; the receiver may take that buffer over (`takeFrame`). While paused, what was already read is kept and comes first after `resume`, in a later
 * microtask: a receiver is never entered from its own call.
 */
export class FrameReader {
  readonly #receiver: FrameReceiver
  readonly #pool: BufferPool
  readonly #transport: FrameTransport

  /** Payload length of the current frame; -1 while its prefix is incomplete. */
  #length = -1
  #prefix = 0
  #prefixHave = 0
  /** Collected payload of the current frame: `#stash[0 .. #have)`. */
  #stash: Buffer | undefined
  #have = 0
  /** Memory of a frame that was handed over in this read. */
  #lent: Buffer | undefined
  /** The same, while the receiver is being handed that frame. */
  #takeable: Buffer | undefined

  /** What was read and not yet cut when the receiver paused: `#backlog[#backlogStart .. #backlogEnd)`. */
  #backlog: Buffer | undefined
  #backlogStart = 0
  #backlogEnd = 0

  #paused = false
  #held = false
  #delivering = false
  #drainScheduled = false
  #closed = false

  constructor(receiver: FrameReceiver, pool: BufferPool, transport: FrameTransport) {
    this.#receiver = receiver
    this.#pool = pool
    this.#transport = transport
  }

  get isPaused(): boolean {
    return this.#paused
  }

  /** Takes the next bytes of the stream; they are not needed after the call. Returns false when no more are wanted now. */
  feed(buffer: Buffer, start: number, end: number): boolean {
    if (this.#closed) return false
    if (this.#paused || this.#held || this.#backlog !== undefined) {
      this.#keep(buffer, start, end)
      return false
    }
    const stopped = this.#deliver(buffer, start, end)
    if (stopped.position < end && !this.#closed) this.#keep(buffer, stopped.position, end)
    return this.#endRead(stopped.frames)
  }

  /**
   * Where the rest of the current frame should be read to; `filled` tells that it was. Undefined: read into any buffer
   * and call `feed`. Valid until the next call of `feed` or `filled`.
   */
  readTarget(): Buffer | undefined {
    if (this.#closed || this.#length < DIRECT_BYTES || this.#backlog !== undefined) return undefined
    this.#stash ??= this.#beginStash()
    if (this.#length - this.#have < DIRECT_BYTES) return undefined
    return this.#makeRoom(this.#stash).subarray(this.#have, this.#length + PREFIX_BYTES)
  }

  /** `bytes` were read to the start of what `readTarget` returned. Returns false when no more are wanted now. */
  filled(bytes: number): boolean {
    if (this.#closed || this.#stash === undefined) return false
    const end = this.#have + bytes
    this.#have = Math.min(end, this.#length)
    if (end < this.#length) return !(this.#paused || this.#held)
    const next = end === this.#length ? NOTHING : Buffer.from(this.#stash.subarray(this.#length, end))
    const stopped = this.#deliver(next, 0, next.length)
    if (stopped.position < next.length && !this.#closed) this.#keep(next, stopped.position, next.length)
    return this.#endRead(stopped.frames)
  }

  /** See `Connection.takeFrame`. */
  takeFrame(): FrameMemory | undefined {
    const buffer = this.#takeable
    if (buffer === undefined) return undefined
    this.#takeable = this.#lent = undefined
    return { buffer, pool: this.#pool }
  }

  pause(): void {
    if (this.#paused || this.#closed) return
    this.#paused = true
    if (!this.#delivering) this.#transport.stopReading()
  }

  resume(): void {
    if (!this.#paused || this.#closed) return
    this.#paused = false
    if (!this.#delivering) this.#scheduleDrain()
  }

  /** For the transport: like `pause`, beside the receiver's own. What is read meanwhile is kept. */
  hold(): void {
    if (this.#held || this.#closed) return
    this.#held = true
    this.#transport.stopReading()
  }

  /** Delivers what was kept and reads on, unless the receiver has paused. Not to be called from within the receiver. */
  letGo(): void {
    if (!this.#held || this.#closed) return
    this.#held = false
    if (!this.#paused) this.#drain()
  }

  /** Nothing is delivered any more; gives all memory back. Idempotent. */
  close(): void {
    this.#closed = true
    if (this.#stash !== undefined) this.#pool.release(this.#stash)
    if (this.#backlog !== undefined) this.#pool.release(this.#backlog)
    this.#stash = this.#backlog = undefined
  }

  #scheduleDrain(): void {
    if (this.#drainScheduled) return
    this.#drainScheduled = true
    queueMicrotask(() => {
      this.#drainScheduled = false
      if (!this.#paused && !this.#held && !this.#closed) this.#drain()
    })
  }

  /** Delivers what was kept while paused, then lets the transport read on. */
  #drain(): void {
    const backlog = this.#backlog ?? NOTHING
    const end = this.#backlog === undefined ? 0 : this.#backlogEnd
    const start = this.#backlog === undefined ? 0 : this.#backlogStart
    this.#backlog = undefined
    const stopped = this.#deliver(backlog, start, end)
    const isUsedUp = stopped.position === end || this.#closed
    if (!isUsedUp) {
      this.#backlog = backlog
      this.#backlogStart = stopped.position
    }
    const wantsMore = this.#endRead(stopped.frames)
    if (isUsedUp) this.#pool.release(backlog)
    if (wantsMore) this.#transport.startReading()
  }

  /** The end of one delivery. True when the transport may read on; otherwise it is told to stop. */
  #endRead(frames: number): boolean {
    if (frames > 0) this.#receiver.onReadEnd?.()
    if (this.#lent !== undefined) this.#pool.release(this.#lent)
    this.#lent = undefined
    if (this.#closed) return false
    if (this.#paused || this.#held) {
      this.#transport.stopReading()
      return false
    }
    if (this.#backlog === undefined) return true
    this.#scheduleDrain()
    return false
  }

  /** Cuts and hands over until the bytes are used up, or the receiver pauses, or the connection ends. */
  #deliver(buffer: Buffer, start: number, end: number): { readonly position: number; readonly frames: number } {
    let position = start
    let frames = 0
    this.#delivering = true
    while (!this.#paused && !this.#held && !this.#closed) {
      if (this.#length < 0) {
        position = this.#readPrefix(buffer, position, end)
        if (this.#length < 0) break
      }
      if (this.#stash === undefined) {
        if (end - position >= this.#length) {
          const at = position
          position += this.#length
          this.#length = -1
          frames++
          this.#receiver.onFrame(buffer, at, position)
          continue
        }
        // Not before there are bytes: the memory of the frame before is the warmest, and is given back only at the end of the read.
        if (position === end) break
        this.#stash = this.#beginStash()
      }
      position = this.#collect(this.#stash, buffer, position, end)
      if (this.#have < this.#length) break
      frames++
      this.#handOverStash()
    }
    this.#delivering = false
    return { position, frames }
  }

  #beginStash(): Buffer {
    this.#have = 0
    return this.#pool.acquire(Math.min(this.#length + PREFIX_BYTES, TRUSTED_BYTES))
  }

  /** Completes the length of the next frame if it can; returns the position after what it took. */
  #readPrefix(buffer: Buffer, start: number, end: number): number {
    let position = start
    while (position < end && this.#prefixHave < PREFIX_BYTES) {
      this.#prefix = (this.#prefix << 8) | buffer[position++]!
      this.#prefixHave++
    }
    if (this.#prefixHave < PREFIX_BYTES) return position
    const length = this.#prefix
    this.#prefix = this.#prefixHave = 0
    if (length >= 0 && length <= this.#receiver.maxFrameBytes()) {
      this.#length = length
      return position
    }
    this.close()
    this.#receiver.onBadFrame?.(length)
    this.#transport.refuseFrame(length)
    return end
  }

  /** Copies what belongs to the current frame; returns the position after it. */
  #collect(stash: Buffer, buffer: Buffer, start: number, end: number): number {
    let target = stash
    let position = start
    while (position < end && this.#have < this.#length) {
      target = this.#makeRoom(target)
      const until = Math.min(end, position + Math.min(this.#length, target.length) - this.#have)
      this.#have += buffer.copy(target, this.#have, position, until)
      position = until
    }
    return position
  }

  /** The stash with at least one free byte for payload: grown when it is full, no faster than bytes came in. */
  #makeRoom(stash: Buffer): Buffer {
    if (this.#have < stash.length) return stash
    const larger = this.#pool.acquire(Math.min(this.#length + PREFIX_BYTES, stash.length * 2))
    stash.copy(larger, 0, 0, this.#have)
    this.#pool.release(stash)
    this.#stash = larger
    return larger
  }

  #handOverStash(): void {
    const stash = this.#stash!
    const length = this.#length
    this.#stash = undefined
    this.#length = -1
    this.#lent = this.#takeable = stash
    this.#receiver.onFrame(stash, 0, length)
    this.#takeable = undefined
  }

  #keep(buffer: Buffer, start: number, end: number): void {
    const old = this.#backlog
    const oldBytes = old === undefined ? 0 : this.#backlogEnd - this.#backlogStart
    const kept = this.#pool.acquire(oldBytes + end - start)
    if (old !== undefined) {
      old.copy(kept, 0, this.#backlogStart, this.#backlogEnd)
      this.#pool.release(old)
    }
    buffer.copy(kept, oldBytes, start, end)
    this.#backlog = kept
    this.#backlogStart = 0
    this.#backlogEnd = oldBytes + end - start
  }
}
