import type { Socket } from 'node:net'
import { authRequest, CONNECTION_LOSS, pathOf, pingRequest, refusal, SESSION_MOVED, UNIMPLEMENTED } from './codec.ts'
import { parseConnectString } from './connect-string.ts'
import { Framer } from './framer.ts'
import { CmState, type ConnectionManager, createPackageClient, type JuteRequest, jute, type Packet } from './package.ts'
import { setWatchesRequests } from './set-watches.ts'
import type { ZkClock, ZkLog, ZkRequest, ZkResponse } from './types.ts'
import { Watchdog } from './watchdog.ts'
import type { WatchPaths } from './watches.ts'
import { WirePacket, WireReads, WireRequest } from './wire.ts'

/** What happened to a guarded connection. `lost` precedes the answers of nothing: all requests in flight are already answered. */
export type GuardEvent = 'connected' | 'lost' | 'expired' | 'authFailed' | 'refusedForEver'

export interface GuardOptions {
  readonly connect: string
  readonly sessionTimeoutMs: number
  readonly auth: readonly { readonly scheme: string; readonly credentials: string }[]
  /** Largest request packet; the server drops the connection at a larger one without answering. */
  readonly maxPacketBytes: number
  /** After this long without being let in (at least two session times) we ask whether strangers are (D15). */
  readonly refusedForEverMs: number
  /** Continue this session instead of beginning one. */
  readonly resume?: { readonly sessionId: Buffer; readonly password: Buffer }
  /** Number of the first request, default 1; tests begin near the end. */
  readonly firstXid?: number
  readonly onEvent: (event: GuardEvent) => void
  /** `type`: 1 created, 2 deleted, 3 data changed, 4 children changed. */
  readonly onWatchEvent: (type: number, path: string) => void
  /** The watches to set again after a reconnect. */
  readonly watchPaths: () => WatchPaths
}

/** One session's connections, one after another, as `session.ts` uses them. */
export interface ZkConnection {
  readonly connected: boolean
  readonly sessionId: bigint
  readonly password: Buffer
  readonly sessionTimeoutMs: number
  /** The newest zxid that a reply of this session carried. */
  readonly lastZxid: bigint
  /** Send time of the newest request or ping that the server has answered: the session lived then. */
  readonly confirmedAt: number
  /** The last socket error, '' when there was none. */
  readonly lastError: string
  start(): void
  /**
   * Sends; `done` is called exactly once, in request order among the requests that were sent, and before any event that came after the
   * reply is delivered. Not connected: `connectionLoss` at once.
   */
  send(request: ZkRequest, watch: boolean, done: (response: ZkResponse) => void): void
  /**
   * Reads many nodes in one packet, without watches, in the order of `send`; answered as that. `undefined`: the server does not know such
   * packets (before 3.6), and the connection is lost. Absent: reads go one by one.
   */
  readMany?(paths: readonly string[], done: (responses: readonly ZkResponse[] | undefined) => void): void
  /** Ends the session on the server if it can be reached within a second; otherwise it lapses there. */
  close(): Promise<void>
  /** Drops the connection and forgets the session. Requests in flight are answered `connectionLoss`. */
  dispose(): void
}

export type OpenZkConnection = (options: GuardOptions, clock: ZkClock, log: ZkLog) => ZkConnection

/** Delay before the server list is tried again, at most (drawn). */
const ROUND_DELAY_MS = 500
/** A connection that was lost sooner than this is not followed by the next one at once. */
const SHORT_LIFE_MS = 100
const MAX_XID = 0x7fff_f000
/** Of the error in a reply, length prefix included. */
const ERROR_AT = 16

/**
 * One session over one node-zookeeper-client, kept honest from outside (the defects D1 - D17 are listed in README.md of this folder):
 * deadlines for connecting and reading, pings of our own, frames cut by us, authentication and watches ahead of requests, unknown codes
 * and events survived, and nothing of ours ever throwing into the package's socket handlers. It hands nothing to the package while
 * not connected. A session that ends is not reusable: make another.
 */
export class GuardedConnection implements ZkConnection {
  readonly #options: GuardOptions
  readonly #clock: ZkClock
  readonly #log: ZkLog
  readonly #cm: ConnectionManager
  readonly #connectPackage: () => void
  readonly #framer = new Framer()
  #connected = false
  #disposed = false
  #ended = false
  /** Between the connect response and the loss of that connection. */
  #established = false
  #establishedAt = Number.NEGATIVE_INFINITY
  readonly #watchdog: Watchdog
  #retryTimer: { cancel(): void } | undefined
  #confirmedAt = Number.NEGATIVE_INFINITY
  readonly #zxid = Buffer.alloc(8)
  #connectSentAt = 0
  /** Since when we are without a connection, and how often since then a server closed on us instead of answering. */
  #disconnectedAt: number
  #silentRefusals = 0
  #tcpConnected = false
  #probe: GuardedConnection | undefined
  #refusalsAtProbe = Number.POSITIVE_INFINITY
  #lastError = ''
  #closing: (() => void) | undefined

  constructor(options: GuardOptions, clock: ZkClock, log: ZkLog) {
    this.#options = options
    this.#clock = clock
    this.#log = log
    const target = parseConnectString(options.connect)
    const { resume } = options
    const client = createPackageClient('guarded:1', {
      sessionTimeout: options.sessionTimeoutMs,
      spinDelay: ROUND_DELAY_MS,
      retries: 0,
      ...(resume === undefined ? {} : { sessionId: resume.sessionId, sessionPassword: resume.password }),
    })
    this.#cm = client.connectionManager
    this.#connectPackage = () => client.connect()
    this.#disconnectedAt = clock.now()
    this.#cm.servers = shuffled(target.servers)
    this.#cm.chrootPath = target.chroot === '' ? undefined : target.chroot
    this.#cm.updateTimeout(options.sessionTimeoutMs)
    // 3.4 and 3.5 servers count xid 0 as outstanding for ever (D11).
    this.#cm.xid = options.firstXid ?? 1
    this.#watchdog = new Watchdog(this.#cm, clock, {
      confirmedAt: () => this.#confirmedAt,
      ping: () => this.#cm.queue(pingRequest()),
      dead: (socket, why, connecting) => this.#drop(socket, why, connecting),
      guarded: (check) => this.#guarded('watchdog', check),
    })
    this.#replaceInternals()
    this.#cm.on('state', (state) => this.#guarded('state', () => this.#onState(state)))
  }

  get connected(): boolean {
    return this.#connected
  }
  get sessionId(): bigint {
    return this.#cm.sessionId.readBigInt64BE()
  }
  get password(): Buffer {
    return Buffer.from(this.#cm.sessionPassword)
  }
  get sessionTimeoutMs(): number {
    return this.#cm.sessionTimeout
  }
  get lastZxid(): bigint {
    return this.#cm.zxid.readBigInt64BE()
  }
  get confirmedAt(): number {
    return this.#confirmedAt
  }
  get lastError(): string {
    return this.#lastError
  }

  start(): void {
    this.#watchdog.start()
    this.#connectPackage()
  }

  send(request: ZkRequest, watch: boolean, done: (response: ZkResponse) => void): void {
    const path = pathOf(request)
    if (!this.#connected) {
      done(refusal(path, CONNECTION_LOSS))
      return
    }
    const encoded = new WireRequest(request, watch, this.#cm.chrootPath ?? '')
    if (encoded.byteLength > this.#options.maxPacketBytes) {
      this.#log.error(
        `Request ${request.op} ${path} has ${encoded.byteLength} bytes, more than the ${this.#options.maxPacketBytes} a server accepts`,
      )
      done(refusal(path, -5))
      return
    }
    this.#exchange(encoded, `${request.op} ${path}`, (frame, code) => {
      const response = frame === undefined ? refusal(path, code) : encoded.decode(frame)
      return () => done(response)
    })
  }

  readMany(paths: readonly string[], done: (responses: readonly ZkResponse[] | undefined) => void): void {
    const refused = (code: number): ZkResponse[] => paths.map((path) => refusal(path, code))
    if (!this.#connected) {
      done(refused(CONNECTION_LOSS))
      return
    }
    const encoded = new WireReads(paths, this.#cm.chrootPath ?? '')
    this.#exchange(encoded, `${paths.length} reads`, (frame, code) => {
      if (code === UNIMPLEMENTED) {
        // Such a server closes the connection behind this answer.
        this.#connected = false
        this.#cm.socket?.destroy()
        return () => done(undefined)
      }
      const responses = frame === undefined ? refused(code) : encoded.decode(frame)
      return () => done(responses)
    })
  }

  /** `answer`: makes of a reply without error, or else of its error, what is called back; throws when it cannot be decoded. */
  #exchange(packet: WirePacket, what: string, answer: (frame: Buffer | undefined, code: number) => () => void): void {
    const sentAt = this.#clock.now()
    this.#cork()
    let answered = false
    this.#cm.queue(packet, (error, frame) => {
      if (answered) return
      answered = true
      let code = frame === undefined ? (error?.code ?? CONNECTION_LOSS) : frame.readInt32BE(ERROR_AT)
      if (code === SESSION_MOVED) {
        this.#cm.socket?.destroy()
        code = CONNECTION_LOSS
      }
      let done: () => void
      try {
        done = answer(code === 0 ? frame : undefined, code)
      } catch (problem) {
        this.#log.error(`Reply to ${what} cannot be decoded: ${String(problem)}`)
        this.#cm.socket?.destroy()
        code = CONNECTION_LOSS
        done = answer(undefined, code)
      }
      if (code === CONNECTION_LOSS) this.#connected = false
      else this.#confirm(sentAt)
      this.#guarded('reply', done)
    })
    // Numbers end at 2^31 (D11). Replies are matched in order, so numbering may begin again at any time.
    if (this.#cm.xid > MAX_XID) this.#cm.xid = 1
  }

  async close(): Promise<void> {
    if (this.#connected && this.#cm.state === CmState.CONNECTED) {
      await new Promise<void>((resolve) => {
        const timer = this.#clock.timer(1000, resolve)
        this.#closing = () => {
          timer.cancel()
          resolve()
        }
        this.#guarded('close', () => this.#cm.close())
      })
    }
    this.dispose()
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#connected = false
    this.#watchdog.stop()
    this.#retryTimer?.cancel()
    this.#probe?.dispose()
    const cm = this.#cm
    cm.removeAllListeners('state')
    if (cm.connectTimeoutHandler !== null) clearTimeout(cm.connectTimeoutHandler)
    cm.connect = () => {}
    cm.findNextServer = () => {}
    cm.socket?.destroy()
    this.#failPackets([...cm.pendingQueue.splice(0), ...cm.packetQueue.queue.splice(0)])
  }

  // ---- what is replaced in the package

  #replaceInternals(): void {
    const cm = this.#cm
    const parse = cm.onSocketData.bind(cm)
    const connected = cm.onSocketConnected.bind(cm)
    const closed = cm.onSocketClosed.bind(cm)
    // Watches are ours: the package would send them in one packet, behind the requests (D7, D9).
    cm.watcherManager = {
      isEmpty: () => true,
      emit: (event) => {
        if (event.type < 1 || event.type > 4)
          return this.#log.warn(`Watch event of unknown type ${event.type} at ${event.path} ignored`)
        this.#guarded('watch', () => this.#options.onWatchEvent(event.type, event.path))
      },
    }
    cm.findNextServer = (callback) => this.#findNextServer(callback)
    cm.onSocketData = (chunk) => this.#onData(chunk, parse)
    cm.onSocketConnected = () => {
      if (this.#disposed) return void cm.socket?.destroy()
      this.#tcpConnected = true
      this.#connectSentAt = this.#clock.now()
      this.#guarded('connect', () => connected())
    }
    cm.onSocketClosed = (hadError) => {
      if (this.#disposed) return
      this.#guarded('close', () => closed(hadError))
      this.#closing?.()
    }
    // The package pings on an idle timer that incoming data resets (D8); the watchdog pings instead.
    cm.onSocketTimeout = () => {}
  }

  /** Round robin; a pause after each full round without success, a short one after a connection that did not last. */
  #findNextServer(callback: (server: { host: string; port: number }) => void): void {
    const cm = this.#cm
    const pause = cm.serverAttempts >= cm.servers.length
    cm.serverAttempts = pause ? 1 : cm.serverAttempts + 1
    const shortLived = this.#clock.now() - this.#establishedAt < SHORT_LIFE_MS
    const delay = pause ? ROUND_DELAY_MS * (0.2 + 0.8 * Math.random()) : shortLived ? SHORT_LIFE_MS * Math.random() : 0
    this.#retryTimer = this.#clock.timer(delay, () => {
      if (this.#disposed) return
      const server = cm.servers[cm.nextServerIndex++ % cm.servers.length]!
      this.#guarded('connect', () => callback(server))
      cm.socket?.on('error', (error) => {
        this.#lastError = error.message
      })
    })
  }

  #onData(chunk: Buffer, parse: (frame: Buffer) => void): void {
    const { socket } = this.#cm
    try {
      this.#framer.push(chunk, (frame) => {
        if (this.#disposed || socket === undefined || socket.destroyed) return false
        this.#onFrame(frame, parse)
        return true
      })
    } catch (error) {
      this.#log.error(`Connection to ZooKeeper dropped: ${String(error)}`)
      socket?.destroy()
    }
  }

  #onFrame(frame: Buffer, parse: (frame: Buffer) => void): void {
    const inSession = this.#cm.state === CmState.CONNECTED
    if (inSession && frame.length < 20) throw new Error(`a reply of ${frame.length - 4} bytes`)
    if (!inSession && this.#cm.state === CmState.CONNECTING && frame.length < 40) throw new Error('a short connect response')
    if (inSession && frame.readInt32BE(4) === jute.XID_PING) {
      const sentAt = this.#watchdog.pong()
      if (sentAt !== undefined) this.#confirm(sentAt)
    }
    this.#cm.pendingBuffer = null
    const oldest = this.#cm.pendingQueue[0]
    if (this.#cm.state !== CmState.CONNECTING && this.#isReplyTo(oldest, frame)) {
      this.#cm.pendingQueue.shift()
      frame.copy(this.#zxid, 0, 8, 16)
      this.#cm.zxid = this.#zxid
      oldest.callback(null, frame)
      return
    }
    try {
      parse(frame)
    } finally {
      // The package forgets a request whose reply has another number or cannot be decoded. Calling back twice does nothing.
      if (oldest !== undefined && oldest !== this.#cm.pendingQueue[0]) oldest.callback({ code: CONNECTION_LOSS })
    }
  }

  /** Decoded by us; anything else, and a reply out of order, is the package's business. */
  #isReplyTo(oldest: Packet | undefined, frame: Buffer): oldest is Packet {
    return oldest?.request instanceof WirePacket && frame.length >= 20 && frame.readInt32BE(4) === oldest.request.header.xid
  }

  #confirm(sentAt: number): void {
    if (sentAt > this.#confirmedAt) this.#confirmedAt = sentAt
  }

  // ---- states

  #onState(state: number): void {
    if (state === CmState.CONNECTED || state === CmState.CONNECTED_READ_ONLY) this.#onConnected()
    else if (state === CmState.DISCONNECTED) this.#onDisconnected()
    else if (state === CmState.SESSION_EXPIRED) this.#end('expired')
    else if (state === CmState.AUTHENTICATION_FAILED) this.#end('authFailed')
  }

  /** Fires before the package flushes its queue, which is empty: what we put there now goes first. */
  #onConnected(): void {
    const cm = this.#cm
    this.#confirm(this.#connectSentAt)
    this.#established = true
    this.#establishedAt = this.#clock.now()
    this.#silentRefusals = 0
    this.#probe?.dispose()
    this.#probe = undefined
    this.#watchdog.established()
    const first: JuteRequest[] = [
      ...this.#options.auth.map(({ scheme, credentials }) => authRequest(scheme, credentials)),
      ...setWatchesRequests(Buffer.from(cm.zxid), this.#options.watchPaths(), cm.chrootPath),
    ]
    cm.packetQueue.queue.unshift(...first.map((request): Packet => ({ request, callback: () => {} })))
    this.#connected = true
    this.#options.onEvent('connected')
  }

  #onDisconnected(): void {
    const cm = this.#cm
    const wasEstablished = this.#established
    this.#established = false
    this.#connected = false
    this.#framer.reset()
    cm.pendingBuffer = null
    // Left running by the package when a connecting socket closes, it would destroy the next socket.
    if (cm.connectTimeoutHandler !== null) clearTimeout(cm.connectTimeoutHandler)
    if (wasEstablished) this.#disconnectedAt = this.#clock.now()
    else if (this.#tcpConnected) this.#silentRefusals++
    this.#tcpConnected = false
    // Never sent, so certainly not applied; the session sends them again in their order.
    this.#failPackets(cm.packetQueue.queue.splice(0))
    if (this.#ended) return
    if (wasEstablished) this.#options.onEvent('lost')
    this.#checkRefusedForEver()
  }

  #end(event: 'expired' | 'authFailed' | 'refusedForEver'): void {
    if (this.#ended) return
    this.#ended = true
    this.#connected = false
    this.#options.onEvent(event)
  }

  /**
   * D15: a server whose data was wiped is behind us and refuses us by closing, for ever and without an answer. A server without a quorum
   * does the same to everybody, and there our session survives; so a stranger is sent, and only if we are refused again after he was
   * let in do we give up.
   */
  #checkRefusedForEver(): void {
    const limit = Math.max(2 * this.#cm.sessionTimeout, this.#options.refusedForEverMs)
    if (this.lastZxid === 0n || this.#silentRefusals < 3) return
    if (this.#clock.now() - this.#disconnectedAt < limit) return
    if (this.#probe === undefined) {
      this.#sendProbe()
      return
    }
    if (this.#silentRefusals < this.#refusalsAtProbe + 2 * this.#cm.servers.length) return
    this.#log.error(
      `ZooKeeper has refused session 0x${this.sessionId.toString(16)} ${this.#silentRefusals} times without an answer but accepts new ` +
        `ones: it is behind zxid 0x${this.lastZxid.toString(16)} that we have seen, so it has lost data. Beginning a new session.`,
    )
    this.#end('refusedForEver')
  }

  #sendProbe(): void {
    this.#refusalsAtProbe = Number.POSITIVE_INFINITY
    const probe = new GuardedConnection(
      {
        ...this.#options,
        onEvent: (event) => {
          if (event !== 'connected') return
          void probe.close()
          this.#refusalsAtProbe = this.#silentRefusals
        },
        onWatchEvent: () => {},
        watchPaths: () => ({ data: [], exist: [], child: [] }),
      },
      this.#clock,
      this.#log,
    )
    this.#probe = probe
    probe.start()
  }

  // ---- small things

  /** Requests of one turn leave in one write. */
  #cork(): void {
    const { socket } = this.#cm
    if (socket === undefined || socket === this.#corked) return
    this.#corked = socket
    socket.cork()
    process.nextTick(() => {
      this.#corked = undefined
      socket.uncork()
    })
  }
  #corked: Socket | undefined

  #drop(socket: Socket, why: string, connecting: boolean): void {
    this.#lastError = why
    // Silence is not a refusal.
    if (connecting) this.#tcpConnected = false
    else this.#log.warn(`Connection to ZooKeeper dropped: ${why}`)
    socket.destroy()
  }

  #failPackets(packets: readonly Packet[]): void {
    for (const packet of packets) this.#guarded('callback', () => packet.callback({ code: CONNECTION_LOSS }))
  }

  /** D16: an exception in the package's socket handlers would end the process or leave the rest of a chunk unread. */
  #guarded(what: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#log.error(`ZooKeeper client, ${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    }
  }
}

function shuffled<T>(list: readonly T[]): T[] {
  const result = [...list]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[result[i], result[j]] = [result[j]!, result[i]!]
  }
  return result
}
