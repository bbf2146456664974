import { randomBytes } from 'node:crypto'
import type { ZkClock, ZkLog } from '../client/types.ts'
import { acquireLock } from './lock.ts'
import type { LogRecord } from './protocol.ts'
import type { SnapshotFileHeader } from './recovery.ts'
import { ZkStateMachine } from './state-machine.ts'
import { Storage } from './storage.ts'
import { type Durability, MAX_QUEUED_BYTES, TcpFront } from './tcp-front.ts'

export interface EmbeddedZooKeeperOptions {
  /** 0 (default): any free one. */
  readonly port?: number
  /** Default 127.0.0.1; `undefined` is not the same as absent: it listens on all interfaces. */
  readonly host?: string | undefined
  /** Where transaction log and snapshots live. Without it everything is in memory and gone at the end. */
  readonly dataDir?: string
  /** Milliseconds, default 2000. Session deadlines are rounded up to multiples of it. */
  readonly tickTime?: number
  /** Default twice the tick. */
  readonly minSessionTimeout?: number
  /** Default twenty ticks. */
  readonly maxSessionTimeout?: number
  /** Connections from one address, 0 no limit; default 60. */
  readonly maxClientCnxns?: number
  /** Answers and events a client may leave unread before it is dropped, in bytes; default 64 MiB. */
  readonly maxQueuedBytes?: number
  /** Sync the log before answering a write, default true. Without, a crash of the machine may lose what was answered. */
  readonly fsync?: boolean
  /** Records between two snapshots, default 100,000. */
  readonly snapCount?: number
  readonly log?: ZkLog
  readonly clock?: ZkClock
  /** The disk failed: nothing can be acknowledged any more. Default: throws, which ends the process. */
  readonly onFailure?: (error: Error) => void
  /** Test canary, see {@link ZkStateMachine}. */
  readonly naiveCversion?: boolean
}

export interface EmbeddedZooKeeper {
  readonly port: number
  /** Cuts all connections, writes a snapshot, lets go of the directory. Sessions live on, should it be started again in time. */
  close(): Promise<void>
}

const SILENT: ZkLog = { debug() {}, info() {}, warn() {}, error() {} }

/** The platform's clock, for when this server runs in its own process. */
export const SYSTEM_CLOCK: ZkClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  timer(delayMs, fn, background) {
    const timer = setTimeout(fn, delayMs)
    if (background === true) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Starts a single ZooKeeper server. Rejects with an Error that names the port in use, the damaged file or the directory's owner. */
export async function startEmbeddedZooKeeper(options: EmbeddedZooKeeperOptions = {}): Promise<EmbeddedZooKeeper> {
  const server = new Server(options)
  try {
    const port = await server.start()
    return { port, close: () => server.close() }
  } catch (error) {
    await server.close()
    throw error
  }
}

class Server {
  private readonly options: EmbeddedZooKeeperOptions
  private readonly clock: ZkClock
  private readonly log: ZkLog
  private machine: ZkStateMachine | null = null
  private storage: Storage | null = null
  private front: TcpFront | null = null
  private secret: Buffer = Buffer.alloc(0)
  private releaseLock: (() => void) | null = null
  private alarm: { cancel(): void } | null = null
  private closing: Promise<void> | null = null

  constructor(options: EmbeddedZooKeeperOptions) {
    this.options = options
    this.clock = options.clock ?? SYSTEM_CLOCK
    this.log = options.log ?? SILENT
  }

  async start(): Promise<number> {
    const { options } = this
    const recovered = this.openStorage()
    const secret = recovered?.header?.secret ?? randomBytes(16)
    this.secret = secret
    const limits = this.limits()
    const machine = new ZkStateMachine({
      ...limits,
      clock: this.clock,
      secret,
      // 2^21 ids per second of absence, far below 2^53 for two centuries
      firstSessionId: Math.floor(this.clock.wall() / 1000) * 2 ** 21,
      journal: (record) => this.journal(record),
      alarm: (at) => this.setAlarm(at),
      naiveCversion: options.naiveCversion === true,
    })
    this.machine = machine
    machine.restore(recovered?.header ?? null, recovered?.rows ?? [], recovered?.records ?? [])
    if (this.storage !== null && recovered?.header === null) this.storage.initialize(this.snapshotSource())
    const front = new TcpFront({
      machine,
      durability: this.storage ?? NO_STORAGE,
      clock: this.clock,
      log: this.log,
      maxClientCnxns: options.maxClientCnxns ?? 60,
      maxQueuedBytes: options.maxQueuedBytes ?? MAX_QUEUED_BYTES,
      config: this.describe(limits),
      sizes: () => this.storage?.sizes() ?? { log: 0, snapshot: 0 },
    })
    this.front = front
    if (this.storage !== null) {
      this.storage.onDurable = () => this.onDurable(front)
      this.storage.onFailure = (error) => this.fail(error)
    }
    const host = 'host' in options ? options.host : '127.0.0.1'
    return front.listen(options.port ?? 0, host)
  }

  private openStorage(): ReturnType<typeof Storage.open>['recovered'] | null {
    const { dataDir, fsync = true, snapCount } = this.options
    if (dataDir === undefined) return null
    this.releaseLock = acquireLock(dataDir)
    const opened = Storage.open({ dir: dataDir, fsync, log: this.log, ...(snapCount === undefined ? {} : { snapCount }) })
    this.storage = opened.storage
    return opened.recovered
  }

  private limits(): { tickTime: number; minSessionTimeout: number; maxSessionTimeout: number } {
    const { tickTime = 2000, minSessionTimeout = 2 * tickTime, maxSessionTimeout = 20 * tickTime } = this.options
    if (minSessionTimeout > maxSessionTimeout) {
      throw new Error(`minSessionTimeout ${minSessionTimeout} must not be larger than maxSessionTimeout ${maxSessionTimeout}`)
    }
    return { tickTime, minSessionTimeout, maxSessionTimeout }
  }

  private describe(limits: ReturnType<Server['limits']>): Record<string, string | number> {
    const { port = 0, dataDir = '', maxClientCnxns = 60 } = this.options
    const { tickTime, minSessionTimeout, maxSessionTimeout } = limits
    return { clientPort: port, dataDir, tickTime, maxClientCnxns, minSessionTimeout, maxSessionTimeout, serverId: 0 }
  }

  private journal(record: LogRecord): void {
    this.storage?.append(record)
  }

  private onDurable(front: TcpFront): void {
    front.onDurable()
    if (this.storage!.wantsSnapshot) void this.storage!.snapshot(this.snapshotSource())
  }

  private snapshotSource(): { header: SnapshotFileHeader; rows: ReturnType<ZkStateMachine['snapshot']>['rows'] } {
    const { header, rows } = this.machine!.snapshot()
    return { header: { ...header, secret: this.secret }, rows }
  }

  private setAlarm(at: number): void {
    this.alarm?.cancel()
    this.alarm = this.clock.timer(Math.max(0, at - this.clock.now()), () => this.ring(at), true)
  }

  /**
   * Expires sessions. When the alarm comes late the process was stopped or starved, and so were the clients' heartbeats that wait in its
   * sockets: they are read first.
   */
  private ring(at: number): void {
    const tick = () => {
      if (this.closing !== null) return
      this.machine!.tick()
      this.front!.settle()
    }
    if (this.clock.now() - at > LATE_MS) this.alarm = this.clock.timer(LATE_GRACE_MS, tick, true)
    else tick()
  }

  private fail(error: Error): void {
    void this.front?.close()
    this.alarm?.cancel()
    if (this.options.onFailure === undefined) throw error
    this.options.onFailure(error)
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  private async shutDown(): Promise<void> {
    this.alarm?.cancel()
    await this.front?.close()
    if (this.storage !== null) {
      if (this.machine !== null && this.storage.recordsSinceSnapshot > 0)
        await this.storage.finalSnapshot(() => this.snapshotSource())
      await this.storage.close()
    }
    this.releaseLock?.()
  }
}

const LATE_MS = 250
const LATE_GRACE_MS = 20

const NO_STORAGE: Durability = { appended: 0, durable: 0, flush() {} }
