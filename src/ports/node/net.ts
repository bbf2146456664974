import { writeSync } from 'node:fs'
import type { Server } from 'node:net'
import { createServer, Socket } from 'node:net'
import { BufferPool } from '../../base/buffer-pool.ts'
import type { FrameTransport } from '../framing.ts'
import { FrameReader } from '../framing.ts'
import type { CloseReason, Connection, DeferredBytes, FrameMemory, FrameReceiver, Listener, Net } from '../net.ts'
import type { FileSender } from './file-sender.ts'
import { descriptorOf, PartSender, PieceMemory } from './part-sender.ts'
import { TurnBudget } from './turn-budget.ts'

/** Fits the second-level cache of a core; one for all connections. */
const SHARED_READ_BYTES = 256 * 1024
/** Above this many queued bytes `write` returns false. */
const HIGH_WATER_BYTES = 1024 * 1024
const BACKLOG = 1024
/** What is no larger is given to the system directly, which takes it or what there is room for. */
const AT_ONCE_BYTES = 1024 * 1024
/** How long a connection that was ended waits for the peer's end once everything is sent, and for the sending itself. */
const LINGER_MS = 1000
const FLUSH_MS = 30_000

export interface NodeNetOptions {
  /** Where unfinished frames are collected; default an own one. */
  readonly pool?: BufferPool
  /** How long reads may go on before timers get their turn; default see `TurnBudget`. */
  readonly turnBudgetMs?: number
  /** Sends what lies in files; without it that is copied as everything else. */
  readonly sender?: FileSender | undefined
  /** Accepting a connection failed (for example no file descriptor is left). */
  readonly onAcceptError?: (error: Error) => void
}

export interface NodeNet extends Net {
  /** False once a connection had to be read by `data` events, because this Node lacks the internals of the fast path. */
  readonly usesFastPath: boolean
}

/** What of a socket's handle the fast path leans on. Internal to Node, though unchanged since its first releases. */
interface SocketHandle {
  reading?: boolean
  readStart?: () => number
  useUserBuffer?: (buffer: Uint8Array) => void
}

/** TCP through Node, reading into one shared buffer (design: no allocation and no copy per read). */
export function createNodeNet(options: NodeNetOptions = {}): NodeNet {
  const pool = options.pool ?? new BufferPool()
  const shared: Shared = {
    pool,
    pieces: new PieceMemory(pool),
    turn: new TurnBudget(options.turnBudgetMs),
    sender: options.sender,
    buffer: Buffer.allocUnsafeSlow(SHARED_READ_BYTES),
    usesFastPath: true,
  }
  return {
    get usesFastPath() {
      return shared.usesFastPath
    },
    listen: (where, accept) => listen(shared, where, accept, options.onAcceptError ?? (() => {})),
    connect: (where, receiver) => NodeConnection.open(shared, where, receiver),
  }
}

interface Shared {
  readonly pool: BufferPool
  readonly pieces: PieceMemory
  readonly turn: TurnBudget
  readonly sender: FileSender | undefined
  readonly buffer: Buffer
  usesFastPath: boolean
}

type Accept = (connection: Connection) => FrameReceiver | undefined

async function listen(
  shared: Shared,
  where: { readonly host: string; readonly port: number; readonly paused?: boolean },
  accept: Accept,
  onAcceptError: (error: Error) => void,
): Promise<Listener & { start(): void }> {
  let waiting: Socket[] | undefined = where.paused ? [] : undefined
  const server = createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true })
  server.on('connection', (socket: Socket) => {
    if (waiting === undefined) NodeConnection.accept(shared, socket, accept)
    else waiting.push(socket)
  })
  await bind(server, where)
  server.on('error', onAcceptError)
  const address = server.address()
  const start = () => {
    const sockets = waiting ?? []
    waiting = undefined
    for (const socket of sockets) NodeConnection.accept(shared, socket, accept)
  }
  const close = async () => {
    if (server.listening) server.close()
    for (const socket of waiting ?? []) socket.destroy()
    waiting = []
  }
  return { host: where.host, port: typeof address === 'object' && address !== null ? address.port : where.port, start, close }
}

function bind(server: Server, where: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(
      { ...(where.host === '' ? {} : { host: where.host }), port: where.port, backlog: BACKLOG, exclusive: true },
      () => {
        server.off('error', reject)
        resolve()
      },
    )
  })
}

class NodeConnection implements Connection, FrameTransport {
  readonly #shared: Shared
  #socket!: Socket
  #receiver!: FrameReceiver
  #reader: FrameReader | undefined
  /** Paused before the receiver is known. */
  #startPaused = false
  #remoteAddress = ''
  #remotePort = 0
  #localAddress = ''
  #localPort = 0
  /** The buffer given to the socket for its next read, when that is not the shared one. */
  #target: Buffer | undefined
  #connected = false
  #ending = false
  #closed = false
  #wantsDrain = false
  /** From the first `writeParts` on. */
  #parts: PartSender | undefined
  #endsWhenSent = false
  #reason: CloseReason | undefined
  #error: Error | undefined
  #timer: NodeJS.Timeout | undefined

  private constructor(shared: Shared) {
    this.#shared = shared
  }

  /** Takes an accepted socket over; `accept` may refuse it. */
  static accept(shared: Shared, accepted: Socket, accept: Accept): void {
    const connection = new NodeConnection(shared)
    const socket = connection.#adopt(accepted)
    connection.#attach(socket)
    connection.#connected = true
    connection.#noteAddresses()
    const receiver = accept(connection)
    if (receiver === undefined || socket.destroyed) {
      socket.destroy()
      return
    }
    connection.#receive(receiver)
    if (!connection.#startPaused) socket.resume()
  }

  static open(
    shared: Shared,
    where: { readonly host: string; readonly port: number; readonly timeoutMs: number },
    receiver: FrameReceiver,
  ): Connection {
    const connection = new NodeConnection(shared)
    connection.#remoteAddress = where.host
    connection.#remotePort = where.port
    const socket = new Socket({ onread: connection.#onread() } as ConstructorParameters<typeof Socket>[0])
    connection.#attach(socket)
    connection.#receive(receiver)
    connection.#timer = setTimeout(() => connection.#close('timeout'), where.timeoutMs)
    socket.once('connect', () => connection.#onConnected())
    try {
      socket.connect({ host: where.host, port: where.port, noDelay: true, keepAlive: true })
    } catch (error) {
      // An address that no system call would take (a port out of range).
      socket.destroy(error as Error)
    }
    return connection
  }

  get remoteAddress(): string {
    return this.#remoteAddress
  }

  get remotePort(): number {
    return this.#remotePort
  }

  get localAddress(): string {
    return this.#localAddress
  }

  get localPort(): number {
    return this.#localPort
  }

  get queuedBytes(): number {
    return this.#closed ? 0 : this.#socket.writableLength + (this.#parts?.queuedBytes ?? 0)
  }

  write(buffer: Uint8Array, released?: () => void): boolean {
    const socket = this.#socket
    if (this.#closed || this.#ending || socket.destroyed) {
      released?.()
      return false
    }
    if (this.#parts?.isEmpty === false) return this.writeParts([buffer], released)
    const sent = buffer.length <= AT_ONCE_BYTES ? this.#writeAtOnce(buffer) : 0
    if (sent === buffer.length) {
      released?.()
      return true
    }
    return this.#writeLater(sent === 0 ? buffer : buffer.subarray(sent), released)
  }

  /** Bytes that the system took without the platform's stream, which takes as long as the call itself. 0: the stream is to do it. */
  #writeAtOnce(buffer: Uint8Array): number {
    if (!this.#connected) return 0
    const socket = descriptorOf(this.#socket)
    if (socket === undefined) return 0
    try {
      return writeSync(socket, buffer)
    } catch {
      // It takes nothing now, or the connection broke: the stream waits, or tells.
      return 0
    }
  }

  #writeLater(buffer: Uint8Array, released: (() => void) | undefined): boolean {
    const socket = this.#socket
    if (released === undefined) {
      socket.write(buffer)
    } else {
      let owned = true
      const release = () => {
        if (owned) released()
        owned = false
      }
      socket.write(buffer, release)
      if (socket.writableLength === 0) release()
    }
    if (socket.writableLength <= HIGH_WATER_BYTES) return true
    this.#wantsDrain = true
    return false
  }

  writeParts(parts: readonly (Uint8Array | DeferredBytes)[], released?: () => void): boolean {
    const socket = this.#socket
    if (this.#closed || this.#ending || socket.destroyed) {
      released?.()
      return false
    }
    this.#parts ??= new PartSender(
      socket,
      this.#shared.pieces,
      this.#shared.turn,
      this.#shared.sender,
      (error) => {
        this.#error ??= error
        this.#close('error')
      },
      () => this.#partsSent(),
    )
    this.#parts.send(parts, released)
    if (this.queuedBytes <= HIGH_WATER_BYTES) return true
    this.#wantsDrain = true
    return false
  }

  #partsSent(): void {
    if (this.#endsWhenSent) this.#endSocket()
    else this.#drained()
  }

  #drained(): void {
    if (!this.#wantsDrain || this.#closed || this.queuedBytes > HIGH_WATER_BYTES) return
    this.#wantsDrain = false
    this.#receiver.onDrain?.()
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
    if (this.#closed || this.#ending) return
    this.#ending = true
    this.#reason ??= 'local'
    this.#reader?.close()
    if (!this.#connected) {
      this.#socket.destroy()
      return
    }
    // Input is read and dropped until the peer ends too: closing over unread input would reset the connection and could
    // take what was just sent away from the peer.
    this.#socket.resume()
    this.#destroyAfter(FLUSH_MS)
    if (this.#parts?.isEmpty === false) this.#endsWhenSent = true
    else this.#endSocket()
  }

  #endSocket(): void {
    this.#endsWhenSent = false
    if (!this.#socket.destroyed) this.#socket.end(() => this.#destroyAfter(LINGER_MS))
  }

  destroy(): void {
    this.#close('local')
  }

  stopReading(): void {
    this.#socket.pause()
  }

  startReading(): void {
    if (!this.#socket.destroyed) this.#socket.resume()
  }

  refuseFrame(): void {
    this.#close('badFrame')
  }

  /** The socket to use for an accepted one: a new one on its handle that reads into our buffers. */
  #adopt(accepted: Socket): Socket {
    const internals = accepted as unknown as { _handle?: SocketHandle | null }
    const handle = internals._handle
    if (typeof handle?.readStart !== 'function' || typeof handle.useUserBuffer !== 'function') {
      this.#shared.usesFastPath = false
      accepted.on('data', (chunk: Buffer) => {
        if (this.#ending) return
        if (this.#shared.turn.isUsedUp && this.#reader !== undefined) this.#putOff()
        if (this.#reader?.feed(chunk, 0, chunk.length) === false && !this.#ending) accepted.pause()
      })
      // A paused stream starts to flow with its first listener; ours waits for `resume`.
      return accepted.pause()
    }
    internals._handle = null
    handle.reading = false
    return new Socket({ handle, onread: this.#onread() } as ConstructorParameters<typeof Socket>[0])
  }

  #onread(): { buffer: () => Buffer; callback: (bytes: number, buffer: Uint8Array) => boolean } {
    return { buffer: () => this.#nextBuffer(), callback: (bytes, buffer) => this.#onRead(bytes, buffer) }
  }

  #nextBuffer(): Buffer {
    this.#target = this.#reader?.readTarget()
    return this.#target ?? this.#shared.buffer
  }

  #onRead(bytes: number, buffer: Uint8Array): boolean {
    if (this.#ending) return true
    if (this.#reader === undefined) return false
    if (this.#shared.turn.isUsedUp) this.#putOff()
    const wantsMore = buffer === this.#target ? this.#reader.filled(bytes) : this.#reader.feed(this.#shared.buffer, 0, bytes)
    this.#shared.turn.worked()
    // Ended within: from now on input is dropped, up to the peer's end.
    return wantsMore || this.#ending
  }

  /** What was just read is kept, and its frames come in a later turn. */
  #putOff(): void {
    this.#reader!.hold()
    this.#shared.turn.putOff(() => this.#reader!.letGo())
  }

  #attach(socket: Socket): void {
    this.#socket = socket
    socket.on('end', () => {
      // What is queued may still leave (the platform ends our side after it); nothing new is taken.
      this.#reason ??= 'remote'
      if (!this.#ending) this.#destroyAfter(FLUSH_MS)
      this.#ending = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#reason !== undefined) return
      this.#reason = this.#reasonOf(error)
      this.#error = error
    })
    socket.on('drain', () => this.#drained())
    socket.once('close', () => this.#onClosed())
  }

  #receive(receiver: FrameReceiver): void {
    this.#receiver = receiver
    this.#reader = new FrameReader(receiver, this.#shared.pool, this)
    if (this.#startPaused) this.#reader.pause()
  }

  #onConnected(): void {
    clearTimeout(this.#timer)
    this.#connected = true
    this.#noteAddresses()
    this.#receiver.onConnect?.()
    if (this.#reader?.isPaused === false) this.#socket.resume()
  }

  #reasonOf(error: NodeJS.ErrnoException): CloseReason {
    if (this.#connected) return error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'remote' : 'error'
    if (error.code === 'ECONNREFUSED') return 'refused'
    return error.code === 'ETIMEDOUT' ? 'timeout' : 'error'
  }

  #close(reason: CloseReason): void {
    if (this.#closed) return
    this.#reason ??= reason
    this.#ending = true
    this.#reader?.close()
    this.#socket.destroy()
  }

  #onClosed(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#parts?.drop()
    this.#reader?.close()
    // Undefined only when `accept` refused the connection: nobody is told then.
    if (this.#reader !== undefined) this.#receiver.onClose(this.#reason ?? 'remote', this.#error)
  }

  #destroyAfter(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#socket.destroyed) return
    this.#timer = setTimeout(() => this.#socket.destroy(), ms)
    this.#timer.unref()
  }

  #noteAddresses(): void {
    const socket = this.#socket
    this.#remoteAddress = plainAddress(socket.remoteAddress ?? this.#remoteAddress)
    this.#remotePort = socket.remotePort ?? this.#remotePort
    this.#localAddress = plainAddress(socket.localAddress ?? '')
    this.#localPort = socket.localPort ?? 0
  }
}

/** An IPv4 peer of a dual-stack socket is shown as `::ffff:a.b.c.d`; everybody else knows it as `a.b.c.d`. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
