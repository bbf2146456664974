import net from 'node:net'
import type { ZkClock, ZkLog } from '../client/types.ts'
import { decodeConnect, decodeRequest, encodeConnectResponse, encodeEvent, encodeReply, JuteWriter } from './codec.ts'
import { answerWord, type ConnectionInfo, type ServerInfo, ServerStats } from './four-letter-words.ts'
import { type ConnectResponse, type EventType, MAX_BUFFER, type ReplyBody, type ZkPeer } from './protocol.ts'
import type { Connection, ZkStateMachine } from './state-machine.ts'

/** How far the journal is on disk. Without a disk both numbers are always equal. */
export interface Durability {
  readonly appended: number
  readonly durable: number
  flush(): void
}

export interface TcpFrontOptions {
  readonly machine: ZkStateMachine
  readonly durability: Durability
  readonly clock: ZkClock
  readonly log: ZkLog
  /** Connections from one address; 0 is no limit (`maxClientCnxns`). */
  readonly maxClientCnxns: number
  /** A connection with more unread answers and events than this is dropped: events keep coming even when its requests are not read. */
  readonly maxQueuedBytes: number
  readonly config: Readonly<Record<string, string | number>>
  readonly sizes: () => { log: number; snapshot: number }
}

/** A client whose answers pile up beyond this is not read from until it takes them. */
const PAUSE_BYTES = 1024 * 1024
/** Default of {@link TcpFrontOptions.maxQueuedBytes}. */
export const MAX_QUEUED_BYTES = 64 * 1024 * 1024
/** Connections that open no session are closed, as the genuine server's `zookeeper.nio.sessionlessCnxnTimeout`. */
const SESSIONLESS_MS = 10_000

/** Answers that may leave once the journal is durable up to `upTo`. */
interface Held {
  readonly upTo: number
  readonly connection: FrontConnection
  readonly bytes: Buffer
  readonly end: boolean
  readonly requests: number
  readonly arrived: number
}

/** ZooKeeper's own protocol over TCP, in front of a state machine. Everything said in one turn to one connection leaves in one write. */
export class TcpFront {
  readonly stats = new ServerStats()
  readonly options: TcpFrontOptions
  private readonly server: net.Server
  private readonly connections = new Set<FrontConnection>()
  private readonly perAddress = new Map<string, number>()
  private readonly dirty = new Set<FrontConnection>()
  private held: Held[] = []
  private readonly startedAt: number

  constructor(options: TcpFrontOptions) {
    this.options = options
    this.startedAt = options.clock.now()
    this.server = net.createServer({ noDelay: true }, (socket) => this.accept(socket))
  }

  /** Resolves with the port; rejects with an Error naming host and port. */
  listen(port: number, host: string | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new Error(`cannot listen on ${host ?? '*'}:${port}: ${error.code ?? error.message}`))
      })
      this.server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        this.server.on('error', (error) => this.options.log.warn(`accept failed: ${error.message}`))
        resolve((this.server.address() as net.AddressInfo).port)
      })
    })
  }

  private accept(socket: net.Socket): void {
    const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '')
    const count = this.perAddress.get(address) ?? 0
    const { maxClientCnxns, log } = this.options
    if (maxClientCnxns > 0 && count >= maxClientCnxns) {
      log.warn(`Too many connections from /${address} - max is ${maxClientCnxns}`)
      socket.destroy()
      return
    }
    this.perAddress.set(address, count + 1)
    const connection = new FrontConnection(this, socket, address)
    this.connections.add(connection)
    socket.once('close', () => {
      this.connections.delete(connection)
      const left = this.perAddress.get(address)! - 1
      if (left === 0) this.perAddress.delete(address)
      else this.perAddress.set(address, left)
      connection.closed()
    })
  }

  markDirty(connection: FrontConnection): void {
    this.dirty.add(connection)
  }

  /** Ends a turn: lets go of what may be said, starts the write of what must be durable first. */
  settle(): void {
    const { durability } = this.options
    durability.flush()
    const direct = durability.durable === durability.appended
    for (const connection of this.dirty) {
      const held: Held = { upTo: durability.appended, connection, ...connection.takeOutput() }
      if (direct) this.release([held])
      else this.held.push(held)
    }
    this.dirty.clear()
  }

  /** To be called when the journal got further. */
  onDurable(): void {
    const { durable } = this.options.durability
    let count = 0
    while (count < this.held.length && this.held[count]!.upTo <= durable) count++
    if (count > 0) this.release(this.held.splice(0, count))
  }

  private release(list: readonly Held[]): void {
    const now = this.options.clock.now()
    const byConnection = new Map<FrontConnection, Buffer[]>()
    for (const { connection, bytes, requests, arrived } of list) {
      if (requests > 0) this.stats.latency(now - arrived, requests)
      const buffers = byConnection.get(connection)
      if (buffers === undefined) byConnection.set(connection, [bytes])
      else buffers.push(bytes)
    }
    for (const [connection, buffers] of byConnection) connection.send(buffers.length === 1 ? buffers[0]! : Buffer.concat(buffers))
    for (const { connection, end } of list) if (end) connection.finish()
  }

  info(): ServerInfo {
    const { machine, config, clock, sizes } = this.options
    const connections = Array.from(this.connections, (c) => c.info())
    const outstanding = this.held.reduce((n, h) => n + h.requests, 0)
    const [now, wall] = [clock.now(), clock.wall()]
    const uptimeMs = now - this.startedAt
    return { machine, connections, stats: this.stats, config, uptimeMs, outstanding, sizes: sizes(), now, wall }
  }

  /** Stops listening and cuts every connection; sessions go on living in the state machine. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve())
      for (const connection of this.connections) connection.destroy()
    })
  }
}

/** One socket: frames in, encoded answers out. */
class FrontConnection implements ZkPeer {
  private readonly front: TcpFront
  private readonly socket: net.Socket
  private readonly connection: Connection
  private readonly out = new JuteWriter()
  private pending: Buffer | null = null
  private state: 'new' | 'connected' | 'closing' = 'new'
  private endAfter = false
  private requests = 0
  private arrived = 0
  private received = 0
  private sent = 0
  private heldBytes = 0
  private readonly established: number
  private readonly port: number

  constructor(front: TcpFront, socket: net.Socket, address: string) {
    this.front = front
    this.socket = socket
    this.port = socket.remotePort ?? 0
    this.established = front.options.clock.wall()
    this.connection = front.options.machine.open(this, address)
    socket.setTimeout(SESSIONLESS_MS, () => socket.destroy())
    socket.on('data', (chunk) => this.onData(chunk))
    socket.on('drain', () => this.resumeReading())
    // the reset of a client is its own business; 'close' follows
    socket.on('error', () => {})
  }

  // -------------------------------------------------------------------------------------------------------------------------- input

  private onData(chunk: Buffer): void {
    if (this.state === 'closing') return
    const bytes = this.pending === null ? chunk : Buffer.concat([this.pending, chunk])
    this.pending = null
    this.arrived = this.front.options.clock.now()
    const used = this.parse(bytes)
    // the chunk is ours, but a small rest of it should not keep it in memory
    if (used < bytes.length && !this.isClosing()) this.pending = used === 0 ? bytes : Buffer.from(bytes.subarray(used))
    this.front.settle()
    if (this.backlog() > PAUSE_BYTES) this.socket.pause()
  }

  private isClosing(): boolean {
    return this.state === 'closing'
  }

  private parse(bytes: Buffer): number {
    let at = 0
    while (at + 4 <= bytes.length && !this.isClosing()) {
      const length = bytes.readInt32BE(at)
      if (this.state === 'new' && this.fourLetterWord(bytes, at)) return bytes.length
      if (length < 0 || length > MAX_BUFFER) {
        this.refuse(`a message with advertised length of ${length} is malformed or too large`)
        return bytes.length
      }
      if (at + 4 + length > bytes.length) break
      this.frame(bytes, at + 4, at + 4 + length)
      at += 4 + length
    }
    return at
  }

  private fourLetterWord(bytes: Buffer, at: number): boolean {
    const word = bytes.toString('latin1', at, at + 4)
    if (!/^[a-z]{4}$/.test(word)) return false
    const answer = answerWord(word, () => this.front.info())
    if (answer === null) return false
    this.state = 'closing'
    this.socket.end(answer)
    return true
  }

  private frame(bytes: Buffer, start: number, end: number): void {
    this.received++
    this.front.stats.received++
    const { machine } = this.front.options
    if (this.state === 'new') {
      const request = decodeConnect(bytes, start, end)
      if (request === null) {
        this.refuse('its first message is not a ConnectRequest')
        return
      }
      this.state = 'connected'
      this.socket.setTimeout(0)
      machine.connect(this.connection, request)
      return
    }
    const request = decodeRequest(bytes, start, end)
    if (request === null) {
      this.refuse('a message without a request header')
      return
    }
    this.requests++
    machine.request(this.connection, request.xid, request.op)
  }

  private refuse(reason: string): void {
    this.front.options.log.warn(`closing the connection of /${this.connection.address}:${this.port}: ${reason}`)
    this.front.options.machine.disconnect(this.connection)
    this.close()
  }

  closed(): void {
    this.state = 'closing'
    this.pending = null
    this.front.options.machine.disconnect(this.connection)
  }

  // ------------------------------------------------------------------------------------------------------- output: the machine's peer

  connected(response: ConnectResponse): void {
    encodeConnectResponse(this.out, response)
    this.said()
  }

  reply(xid: number, zxid: number, err: number, body: ReplyBody | null): void {
    encodeReply(this.out, xid, zxid, err, body)
    this.said()
  }

  event(type: EventType, path: string): void {
    encodeEvent(this.out, type, path)
    this.said()
  }

  close(): void {
    this.state = 'closing'
    this.endAfter = true
    this.front.markDirty(this)
  }

  private said(): void {
    this.sent++
    this.front.stats.sent++
    this.front.markDirty(this)
  }

  takeOutput(): Pick<Held, 'bytes' | 'end' | 'requests' | 'arrived'> {
    const output = { bytes: this.out.take(), end: this.endAfter, requests: this.requests, arrived: this.arrived }
    this.requests = 0
    this.heldBytes += output.bytes.length
    return output
  }

  send(bytes: Buffer): void {
    this.heldBytes -= bytes.length
    if (this.socket.destroyed || bytes.length === 0) return
    this.socket.write(bytes)
    if (this.backlog() > this.front.options.maxQueuedBytes) {
      this.front.options.log.warn(`dropping /${this.connection.address}:${this.port}: it does not take its answers`)
      this.destroy()
    } else {
      this.resumeReading()
    }
  }

  private backlog(): number {
    return this.socket.writableLength + this.heldBytes
  }

  private resumeReading(): void {
    if (this.socket.isPaused() && this.backlog() <= PAUSE_BYTES) this.socket.resume()
  }

  /** Ends the connection after what was sent; a client that takes nothing is cut off. */
  finish(): void {
    if (this.socket.destroyed) return
    this.socket.setTimeout(SESSIONLESS_MS)
    this.socket.destroySoon()
  }

  destroy(): void {
    this.socket.destroy()
  }

  info(): ConnectionInfo {
    const { session, address } = this.connection
    const { port, received, sent, established } = this
    const queued = this.requests
    return { address, port, sessionId: session?.id ?? 0, timeoutMs: session?.timeoutMs ?? 0, queued, received, sent, established }
  }
}
