import { BufferPool } from '../../base/buffer-pool.ts'
import type { Clock, Timer } from '../clock.ts'
import type { FrameTransport } from '../framing.ts'
import { FrameReader } from '../framing.ts'
import type { CloseReason, Connection, FrameMemory, FrameReceiver } from '../net.ts'
import type { Rng } from '../rng.ts'

/** Bytes that the two systems' socket buffers hold per direction; what is beyond stays queued at the writer. */
const WINDOW_BYTES = 256 * 1024
const HIGH_WATER_BYTES = 1024 * 1024
export const READ_BYTES = 256 * 1024
/** What is left in the buffer of a read that is over, and in memory that was given back. */
const POISON = 0xdb
const LINGER_MS = 1000

/** What is given back can't be read any more, as if somebody else used it at once. */
export class PoisoningPool extends BufferPool {
  override release(buffer: Buffer): void {
    super.release(buffer)
    buffer.fill(POISON)
  }
}

export type Accept = (connection: Connection) => FrameReceiver | undefined

export interface Bound {
  readonly port: number
  readonly accept: Accept
  /** Connections that wait for `start`. */
  waiting: End[] | undefined
}

/** `enter` runs something as the process that this is the clock of: at once, later when it is stopped, never when it is dead. */
export type HostClock = Clock & { readonly enter?: (run: () => void) => void }

/** One machine: its name, address and open ports. */
export interface Host {
  readonly name: string
  readonly address: string
  /** Of the process that runs there. */
  clock: HostClock
  readonly bound: Map<number, Bound>
  readonly ends: Set<End>
  nextPort: number
  refusing: boolean
  /** Without power. `lost` are the peers of the connections that it had. */
  off: boolean
  readonly lost: (End | undefined)[]
}

/** What a connection needs of the network around it. */
export interface Surroundings {
  readonly clock: Clock
  readonly rng: Rng
  readonly pool: BufferPool
  readonly splitShare: number
  /** What is read goes through here, and is gone after the call: whoever needs it later must have copied it. */
  readonly readBuffer: Buffer
  /** Draws a one-way delay, milliseconds. */
  delay(): number
  isBlocked(from: Host, to: Host): boolean
}

export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code })
}

interface Queued {
  readonly buffer: Uint8Array
  offset: number
  readonly released: (() => void) | undefined
}

/** One end of a connection. `peer` is the other. */
export class End implements Connection, FrameTransport {
  readonly host: Host
  readonly localPort: number
  peer!: End
  receiver!: FrameReceiver
  remote = { address: '', port: 0 }
  /** What is on its way to us stays there, while other connections go on. */
  isStalled = false
  connectTimer: Timer | undefined
  readonly #network: Surroundings
  #reader: FrameReader | undefined
  #startPaused = false
  #established = false
  #ending = false
  #over = false
  #sentEnd = false
  #linger: Timer | undefined

  /** Written and not yet taken by the system. */
  #queue: Queued[] = []
  #queuedBytes = 0
  #wantsDrain = false
  /** Bytes the peer was sent and has not read. */
  #inFlight = 0

  /** On the way to us, in order: bytes, or the end of the stream. */
  #arriving: { readonly at: number; readonly bytes: Buffer | 'end' }[] = []
  /** Arrived and not read. */
  #unread: Buffer[] = []
  #endArrived = false
  #reading = false
  #readScheduled = false

  constructor(network: Surroundings, host: Host, localPort: number) {
    this.#network = network
    this.host = host
    this.localPort = localPort
    host.ends.add(this)
  }

  get remoteAddress(): string {
    return this.remote.address
  }

  get remotePort(): number {
    return this.remote.port
  }

  get localAddress(): string {
    return this.host.address
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get isOver(): boolean {
    return this.#over
  }

  // ------------------------------------------------------------------ life

  begin(): void {
    this.#reader = new FrameReader(this.receiver, this.#network.pool, this)
    if (this.#startPaused) this.#reader.pause()
  }

  /** Presents an accepted connection to the owner of the port. */
  offer(accept: Accept): void {
    if (this.#over) return
    const receiver = accept(this)
    if (receiver === undefined || this.#over) {
      this.destroy()
      return
    }
    this.receiver = receiver
    this.begin()
    if (!this.#startPaused) this.startReading()
  }

  established(): void {
    if (this.#over) {
      // Given up while the answer was on its way: the other side must learn of it.
      this.peer.#arrive('end')
      return
    }
    this.connectTimer?.cancel()
    this.#established = true
    if (this.#reader === undefined) return
    this.receiver.onConnect?.()
    if (!this.#reader.isPaused) this.startReading()
    this.#pump()
  }

  write(buffer: Uint8Array, released?: () => void): boolean {
    if (this.#over || this.#ending) {
      released?.()
      return false
    }
    this.#queue.push({ buffer, offset: 0, released })
    this.#queuedBytes += buffer.length
    this.#pump()
    if (this.#queuedBytes <= HIGH_WATER_BYTES) return true
    this.#wantsDrain = true
    return false
  }

  takeFrame(): FrameMemory | undefined {
    return this.#reader?.takeFrame()
  }

  pause(): void {
    if (this.#reader === undefined) this.#startPaused = true
    else this.#reader.pause()
  }

  resume(): void {
    if (this.#reader === undefined) this.#startPaused = false
    else this.#reader.resume()
  }

  end(): void {
    if (this.#over || this.#ending) return
    this.#ending = true
    this.#reader?.close()
    if (!this.#established) {
      this.fail('local')
      return
    }
    this.#reading = true
    this.#pump()
    this.#scheduleRead()
  }

  destroy(): void {
    this.fail('local')
  }

  /** Ends this side at once; the peer sees the end of the stream after what is on its way. */
  fail(reason: CloseReason, code?: string): void {
    if (this.#over) return
    this.vanish()
    if (this.#reader === undefined) return
    const error = code === undefined ? undefined : systemError(code, `${this.remote.address}:${this.remote.port}`)
    this.host.clock.soon(() => this.receiver.onClose(reason, error))
  }

  /** As `fail`, but nobody on this side is told; when `silent` the peer neither. */
  vanish(silent = false): void {
    if (this.#over) return
    this.#over = true
    this.host.ends.delete(this)
    this.connectTimer?.cancel()
    this.#linger?.cancel()
    this.#reader?.close()
    this.#unread = []
    const queue = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    if (queue.length > 0)
      this.host.clock.soon(() => {
        for (const entry of queue) entry.released?.()
      })
    if (!silent) this.#sendEnd()
  }

  stopReading(): void {
    this.#reading = false
  }

  startReading(): void {
    this.#reading = true
    this.#scheduleRead()
  }

  refuseFrame(): void {
    this.fail('badFrame')
  }

  // ------------------------------------------------------------------ sending

  /** Takes queued bytes as far as the window allows. */
  #pump(): void {
    if (!this.#established || this.#over) return
    while (this.#queue.length > 0 && this.#inFlight < WINDOW_BYTES) {
      const entry = this.#queue[0]!
      const bytes = Math.min(entry.buffer.length - entry.offset, WINDOW_BYTES - this.#inFlight)
      const { buffer, offset } = entry
      this.peer.#arrive(Buffer.from(bytes === buffer.length ? buffer : buffer.subarray(offset, offset + bytes)))
      entry.offset += bytes
      this.#inFlight += bytes
      this.#queuedBytes -= bytes
      if (entry.offset < entry.buffer.length) break
      this.#queue.shift()
      entry.released?.()
    }
    if (this.#wantsDrain && this.#queuedBytes === 0 && !this.#ending) {
      this.#wantsDrain = false
      this.receiver.onDrain?.()
    }
    if (this.#ending && this.#queue.length === 0 && !this.#sentEnd) {
      this.#sendEnd()
      this.#linger = this.host.clock.timer(LINGER_MS, () => this.fail('local'))
    }
  }

  #sendEnd(): void {
    if (this.#sentEnd || this.peer === undefined || !this.#established) return
    this.#sentEnd = true
    this.peer.#arrive('end')
  }

  // ------------------------------------------------------------------ receiving

  /** Puts something on the way to this end. */
  #arrive(bytes: Buffer | 'end'): void {
    if (this.#over) return
    const { clock } = this.#network
    const at = Math.max(clock.now() + this.#network.delay(), this.#arriving.at(-1)?.at ?? 0)
    this.#arriving.push({ at, bytes })
    clock.timer(at - clock.now(), () => {
      this.#takeArrived()
      if (!this.#isReadable) return
      // Nobody's call is below us: the process may be told in the same turn.
      const { clock: host } = this.host
      this.#readScheduled = true
      if (host.enter === undefined) this.#readNow()
      else host.enter(this.#readNow)
    })
  }

  /** Takes what was held back on the way, now that it is open. */
  arrived(): void {
    this.#takeArrived()
    this.#scheduleRead()
  }

  /** Moves what has arrived, unless the way is blocked, into the receive buffer. */
  #takeArrived(): void {
    if (this.#over || this.isStalled || this.#network.isBlocked(this.peer.host, this.host)) return
    const now = this.#network.clock.now()
    while (this.#arriving.length > 0 && this.#arriving[0]!.at <= now) {
      const { bytes } = this.#arriving.shift()!
      if (bytes === 'end') this.#endArrived = true
      else this.#unread.push(bytes)
    }
  }

  get #isReadable(): boolean {
    if (this.#readScheduled || !this.#reading || this.#over || !this.#established) return false
    return this.#unread.length > 0 || this.#endArrived
  }

  #scheduleRead(): void {
    if (!this.#isReadable) return
    this.#readScheduled = true
    this.host.clock.soon(this.#readNow)
  }

  readonly #readNow = (): void => {
    this.#readScheduled = false
    if (this.#reading && !this.#over) this.#readOnce()
  }

  #readOnce(): void {
    const available = this.#unread.reduce((sum, bytes) => sum + bytes.length, 0)
    if (available === 0) {
      if (this.#endArrived) this.#onEnd()
      return
    }
    const target = this.#ending ? undefined : this.#reader?.readTarget()
    const most = Math.min(available, target?.length ?? READ_BYTES)
    const { rng, splitShare } = this.#network
    const splits = splitShare === 1 || (splitShare > 0 && rng.next() < splitShare)
    const bytes = splits ? rng.int(1, most + 1) : most
    const room = target ?? this.#network.readBuffer
    this.#takeUnread(room, bytes)
    this.#acknowledge(bytes)
    if (!this.#ending) {
      if (target !== undefined) this.#reader?.filled(bytes)
      else if (this.#reader !== undefined) {
        this.#reader.feed(room, 0, bytes)
        room.fill(POISON, 0, bytes)
      }
    }
    this.#scheduleRead()
  }

  #takeUnread(room: Buffer, bytes: number): void {
    let at = 0
    while (at < bytes) {
      const first = this.#unread[0]!
      const copied = first.copy(room, at, 0, Math.min(first.length, bytes - at))
      at += copied
      if (copied === first.length) this.#unread.shift()
      else this.#unread[0] = first.subarray(copied)
    }
  }

  /** The peer's window grows; its process hears of it only where something waits for that. */
  #acknowledge(bytes: number): void {
    const { peer } = this
    peer.#inFlight -= bytes
    if (peer.#queue.length > 0 || peer.#wantsDrain || peer.#ending) peer.host.clock.soon(() => peer.#pump())
  }

  /** The peer's end was read: over as soon as what is queued has left. */
  #onEnd(): void {
    if (this.#queue.length === 0 || this.peer.isOver) {
      this.fail(this.#ending ? 'local' : 'remote')
      return
    }
    this.#reading = false
    this.host.clock.timer(1, () => {
      if (!this.#over) this.#onEnd()
    })
  }
}
