import { CONNECTION_LOSS, refusal } from '../../zk/client/codec.ts'
import type { GuardEvent, GuardOptions, ZkConnection } from '../../zk/client/index.ts'
import type { ZkRequest, ZkResponse } from '../../zk/client/types.ts'
import { type ConnectResponse, Op, type ServerOp, type ZkPeer } from '../../zk/server/protocol.ts'
import type { Connection } from '../../zk/server/state-machine.ts'
import type { Timer } from '../ports/clock.ts'
import type { ProcessClock } from './process-clock.ts'
import type { World } from './world.ts'
import type { SimZooKeeper } from './zookeeper.ts'
import { clientResponse, serverOp } from './zookeeper-codec.ts'

const PING_XID = -2
const CONNECT_TIMEOUT_MS = 500
const NOTHING: readonly string[] = []

interface Waiting {
  readonly request: ZkRequest | undefined
  readonly sentAt: number
  readonly done: (response: ZkResponse) => void
}

/** One direction of one TCP connection: messages arrive in order, after a delay, unless the way is closed. */
class Pipe {
  readonly #world: World
  readonly #delay: () => number
  readonly #isOpen: () => boolean
  #queue: { readonly at: number; readonly run: () => void }[] = []
  #closed = false

  constructor(world: World, delay: () => number, isOpen: () => boolean) {
    this.#world = world
    this.#delay = delay
    this.#isOpen = isOpen
  }

  push(run: () => void): void {
    if (this.#closed) return
    const { clock } = this.#world
    const at = Math.max(clock.now() + this.#delay(), this.#queue.at(-1)?.at ?? 0)
    this.#queue.push({ at, run })
    clock.timer(at - clock.now(), () => this.flush())
  }

  flush(): void {
    const now = this.#world.clock.now()
    while (!this.#closed && this.#queue.length > 0 && this.#queue[0]!.at <= now && this.#isOpen()) this.#queue.shift()!.run()
  }

  /** The connection broke: of what is on its way a first part still arrives. */
  cut(keep: (messages: number) => number): void {
    this.#queue.length = Math.min(this.#queue.length, keep(this.#queue.length))
  }

  close(): void {
    this.#closed = true
    this.#queue = []
  }
}

/** One TCP connection to the server, seen from both ends. */
class Wire implements ZkPeer {
  readonly toServer: Pipe
  readonly toClient: Pipe
  readonly server: Connection
  readonly #link: ZkLink

  constructor(link: ZkLink, zookeeper: SimZooKeeper, world: World) {
    this.#link = link
    const delay = () => zookeeper.delay(link.host)
    this.toServer = new Pipe(world, delay, () => zookeeper.isOpen(link.host, 'toServer'))
    this.toClient = new Pipe(world, delay, () => zookeeper.isOpen(link.host, 'toClient'))
    this.server = zookeeper.machine.open(this, link.host)
  }

  connected(response: ConnectResponse): void {
    this.toClient.push(() => this.#link.onConnected(this, response))
  }

  reply(xid: number, zxid: number, err: number, body: Parameters<ZkPeer['reply']>[3]): void {
    this.toClient.push(() => this.#link.onReply(this, xid, zxid, (request) => clientResponse(request, err, body)))
  }

  event(type: number, path: string): void {
    this.toClient.push(() => this.#link.onEvent(this, type, path))
  }

  close(): void {
    this.toClient.push(() => this.#link.onServerClosed(this))
  }
}

/**
 * What `zk/client/guard.ts` is over sockets, over the simulated wire: connects again and again, pings, gives up a silent connection after two
 * thirds of the session time, sets watches again, and answers every request once.
 */
export class ZkLink implements ZkConnection {
  readonly host: string
  readonly #zookeeper: SimZooKeeper
  readonly #world: World
  readonly #process: ProcessClock
  readonly #options: GuardOptions
  #wire: Wire | undefined
  #connected = false
  #over = false
  #ended = false
  #xid = 0
  #waiting: Waiting[] = []
  #timer: Timer | undefined
  #attemptTimer: Timer | undefined
  #connectSentAt = 0
  #lastHeard = 0
  #closing: (() => void) | undefined
  sessionId = 0n
  password: Buffer = Buffer.alloc(16)
  sessionTimeoutMs: number
  lastZxid = 0n
  confirmedAt = Number.NEGATIVE_INFINITY
  lastError = ''

  constructor(zookeeper: SimZooKeeper, world: World, host: string, process: ProcessClock, options: GuardOptions) {
    this.#zookeeper = zookeeper
    this.#world = world
    this.host = host
    this.#process = process
    this.#options = options
    this.sessionTimeoutMs = options.sessionTimeoutMs
    zookeeper.add(this)
  }

  get connected(): boolean {
    return this.#connected
  }

  start(): void {
    this.#attempt()
    this.#watch()
  }

  send(request: ZkRequest, watch: boolean, done: (response: ZkResponse) => void): void {
    const wire = this.#wire
    if (!this.#connected || wire === undefined) {
      done(refusal('path' in request ? request.path : '/', CONNECTION_LOSS))
      return
    }
    this.#zookeeper.onSend?.(this.host, request)
    this.#waiting.push({ request, sentAt: this.#process.now(), done })
    this.#transmit(wire, ++this.#xid, serverOp(request, watch))
  }

  async close(): Promise<void> {
    const wire = this.#wire
    if (this.#connected && wire !== undefined) {
      await new Promise<void>((resolve) => {
        const timer = this.#process.timer(1000, resolve)
        this.#closing = () => {
          timer.cancel()
          resolve()
        }
        this.#transmit(wire, ++this.#xid, { type: Op.closeSession })
      })
    }
    this.dispose()
  }

  dispose(): void {
    if (this.#over) return
    this.#over = true
    this.#timer?.cancel()
    this.#attemptTimer?.cancel()
    this.#breakWire()
    this.#zookeeper.remove(this)
    this.#failWaiting()
  }

  // ---------------------------------------------------------------- what the simulation does to it

  /** The server closed or reset everything. */
  broken(): void {
    if (this.#wire === undefined) return
    this.#wire.toServer.close()
    this.#zookeeper.drop(this.#wire.server)
    this.#process.enter(() => this.#lost('connection reset'))
  }

  /** Our machine is gone. When `silent` the server does not learn of it. */
  vanish(silent: boolean): void {
    this.#over = true
    this.#breakWire(silent)
    this.#zookeeper.remove(this)
  }

  flush(): void {
    this.#wire?.toServer.flush()
    this.#wire?.toClient.flush()
  }

  // ---------------------------------------------------------------- connecting

  #attempt(): void {
    if (this.#over || this.#ended) return
    const wire = new Wire(this, this.#zookeeper, this.#world)
    this.#wire = wire
    this.#connectSentAt = this.#process.now()
    const request = {
      lastZxidSeen: Number(this.lastZxid),
      timeoutMs: this.#options.sessionTimeoutMs,
      sessionId: Number(this.sessionId),
      password: this.password,
      hasReadOnlyFlag: false,
    }
    wire.toServer.push(() => this.#zookeeper.machine.connect(wire.server, request))
    this.#attemptTimer = this.#process.timer(CONNECT_TIMEOUT_MS, () => {
      if (this.#wire === wire && !this.#connected) this.#lost('no answer to connect')
    })
  }

  /** @internal */
  onConnected(wire: Wire, response: ConnectResponse): void {
    this.#enter(wire, () => {
      this.#attemptTimer?.cancel()
      if (response.sessionId === 0) return this.#end('expired')
      this.sessionId = BigInt(response.sessionId)
      this.password = response.password
      this.sessionTimeoutMs = response.timeoutMs
      this.#confirm(this.#connectSentAt)
      this.#connected = true
      this.#rearm(wire)
      this.#options.onEvent('connected')
    })
  }

  #rearm(wire: Wire): void {
    const { data, exist, child } = this.#options.watchPaths()
    const lists = { data: [...data], exist: [...exist], child: [...child], persistent: NOTHING, recursive: NOTHING }
    if (lists.data.length + lists.exist.length + lists.child.length === 0) return
    this.#waiting.push({ request: undefined, sentAt: this.#process.now(), done: () => {} })
    this.#transmit(wire, ++this.#xid, { type: Op.setWatches, relativeZxid: Number(this.lastZxid), ...lists })
  }

  #transmit(wire: Wire, xid: number, op: ServerOp): void {
    wire.toServer.push(() => this.#zookeeper.machine.request(wire.server, xid, op))
  }

  // ---------------------------------------------------------------- answers

  /** @internal */
  onReply(wire: Wire, xid: number, zxid: number, decode: (request: ZkRequest) => ZkResponse): void {
    this.#enter(wire, () => {
      if (zxid > 0 && BigInt(zxid) > this.lastZxid) this.lastZxid = BigInt(zxid)
      if (xid === PING_XID) {
        const sentAt = this.#pings.shift()
        if (sentAt !== undefined) this.#confirm(sentAt)
        return
      }
      const waiting = this.#waiting.shift()
      if (waiting === undefined) return void this.#closing?.()
      this.#confirm(waiting.sentAt)
      if (waiting.request !== undefined) waiting.done(decode(waiting.request))
    })
  }

  /** @internal */
  onEvent(wire: Wire, type: number, path: string): void {
    this.#enter(wire, () => this.#options.onWatchEvent(type, path))
  }

  /** @internal */
  onServerClosed(wire: Wire): void {
    this.#enter(wire, () => this.#lost('closed by the server'))
  }

  #enter(wire: Wire, run: () => void): void {
    this.#process.enter(() => {
      if (this.#over || this.#wire !== wire) return
      this.#lastHeard = this.#process.now()
      run()
    })
  }

  #confirm(sentAt: number): void {
    if (sentAt > this.confirmedAt) this.confirmedAt = sentAt
  }

  // ---------------------------------------------------------------- losing

  /** Pings, and the watchdog of a silent connection. */
  #watch(): void {
    this.#timer = this.#process.timer(this.sessionTimeoutMs / 6, () => {
      const now = this.#process.now()
      const wire = this.#wire
      if (this.#connected && wire !== undefined) {
        if (now - this.confirmedAt > (this.sessionTimeoutMs * 2) / 3 && now - this.#lastHeard > this.sessionTimeoutMs / 3)
          this.#lost('silent')
        else if (now - this.confirmedAt > this.sessionTimeoutMs / 3) {
          this.#pings.push(now)
          this.#transmit(wire, PING_XID, { type: Op.ping })
        }
      }
      if (!this.#over) this.#watch()
    })
  }
  #pings: number[] = []

  #lost(why: string): void {
    if (this.#over) return
    this.lastError = why
    const wasConnected = this.#connected
    this.#breakWire()
    this.#failWaiting()
    if (wasConnected) this.#options.onEvent('lost')
    if (this.#over || this.#ended) return
    this.#attemptTimer = this.#process.timer(20 + this.#zookeeper.rng.next() * 100, () => this.#attempt())
  }

  /** What was on its way may still arrive; the server learns of the end if it can be reached, unless `silent`. */
  #breakWire(silent = false): void {
    const wire = this.#wire
    this.#wire = undefined
    this.#connected = false
    this.#pings = []
    this.#attemptTimer?.cancel()
    if (wire === undefined) return
    wire.toClient.close()
    wire.toServer.cut((messages) => this.#zookeeper.rng.int(0, messages + 1))
    if (!silent) wire.toServer.push(() => this.#zookeeper.drop(wire.server))
    this.#zookeeper.orphan(() => wire.toServer.flush())
  }

  #failWaiting(): void {
    for (const { request, done } of this.#waiting.splice(0)) {
      if (request !== undefined) done(refusal('path' in request ? request.path : '/', CONNECTION_LOSS))
    }
  }

  #end(event: GuardEvent): void {
    if (this.#ended) return
    this.#ended = true
    this.#breakWire()
    this.#failWaiting()
    this.#options.onEvent(event)
  }
}
