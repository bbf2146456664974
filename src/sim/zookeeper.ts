import type { OpenZkConnection } from '../../zk/client/index.ts'
import type { ZkRequest } from '../../zk/client/types.ts'
import type { LogRecord } from '../../zk/server/protocol.ts'
import { type Connection, ZkStateMachine } from '../../zk/server/state-machine.ts'
import type { Timer } from '../ports/clock.ts'
import type { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { ProcessClock } from './process-clock.ts'
import type { World } from './world.ts'
import { ZkLink } from './zookeeper-connection.ts'

export const ZK_TICK_MS = 200

/** Which way between a machine and ZooKeeper is closed. */
export type CutDirection = 'both' | 'toServer' | 'toClient'

/**
 * The embedded ZooKeeper's state machine on the virtual clock. Clients reach it over links of their own: in order, delayed, cut in one or both
 * directions; a request whose link breaks was applied or not, and its client does not learn which.
 */
export class SimZooKeeper {
  readonly machine: ZkStateMachine
  /** Every write, in order, before it is applied. */
  readonly onWrite: ((record: LogRecord) => void)[] = []
  /** Every request as a client sends it, before it is on its way. */
  onSend: ((host: string, request: ZkRequest) => void) | undefined
  readonly #world: World
  readonly rng: SeededRng
  readonly #links = new Set<ZkLink>()
  readonly #cuts = new Map<string, CutDirection>()
  /** Flushes of connections whose client has gone: what the network still holds of them arrives when the way is open again. */
  readonly #orphans: (() => void)[] = []
  #alarm: Timer | undefined
  #up = true
  /** Milliseconds that each message takes at most. */
  slowMs = 2
  /** The same of one machine's messages: at least so many. */
  readonly #slowHosts = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
    this.rng = world.rng.fork('zookeeper')
    this.machine = new ZkStateMachine({
      tickTime: ZK_TICK_MS,
      minSessionTimeout: ZK_TICK_MS,
      maxSessionTimeout: 60_000,
      clock: world.clock,
      secret: Buffer.alloc(16, 7),
      firstSessionId: 1,
      journal: (record) => {
        for (const listener of this.onWrite) listener(record)
      },
      alarm: (at) => {
        this.#alarm?.cancel()
        this.#alarm = world.clock.timer(at - world.clock.now(), () => this.#tick())
      },
    })
  }

  get isUp(): boolean {
    return this.#up
  }

  #tick(): void {
    if (this.#up) this.machine.tick()
  }

  /** What a broker on `host` uses to connect. */
  connections(host: string, process: ProcessClock): OpenZkConnection {
    return (options) => new ZkLink(this, this.#world, host, process, options)
  }

  // ---------------------------------------------------------------- faults

  /** The server process ends: connections break, sessions wait for `start`. */
  stop(): void {
    this.#up = false
    for (const link of [...this.#links]) link.broken()
  }

  /** As after a restart: every session has its whole time again. */
  start(): void {
    this.#up = true
    const now = this.#world.clock.now()
    for (const session of this.machine.sessions.values()) this.machine.sessions.touch(session, now)
    this.machine.tick()
  }

  /** Messages of one machine take this long each way; 0: as all others. */
  slow(host: string, ms: number): void {
    if (ms > 0) this.#slowHosts.set(host, ms)
    else this.#slowHosts.delete(host)
  }

  cut(host: string, direction: CutDirection = 'both'): void {
    this.#cuts.set(host, direction)
  }

  heal(host?: string): void {
    if (host === undefined) {
      this.#cuts.clear()
      this.#slowHosts.clear()
    } else this.#cuts.delete(host)
    for (const link of [...this.#links]) link.flush()
    for (const flush of this.#orphans.splice(0)) flush()
  }

  /** The server ends the session of a client that lives: as when its time had run out unnoticed. */
  expire(host: string): void {
    const seen = new Set<number>()
    for (const link of this.#links) if (link.host === host && link.sessionId !== 0n) seen.add(Number(link.sessionId))
    for (const id of seen) this.#endSession(id)
  }

  #endSession(id: number): void {
    const { sessions } = this.machine
    const session = sessions.get(id)
    if (session === undefined) return
    session.deadline = this.#world.clock.now() - ZK_TICK_MS
    sessions.setTimeout(session, -ZK_TICK_MS, this.#world.clock.now())
    this.machine.tick()
  }

  /** The links of a machine break at once, its sessions live on: the process died or its sockets were reset. */
  disconnect(host: string, silent = false): void {
    for (const link of [...this.#links]) if (link.host === host) link.vanish(silent)
  }

  // ---------------------------------------------------------------- for links

  /** @internal */
  isOpen(host: string, direction: 'toServer' | 'toClient'): boolean {
    const cut = this.#cuts.get(host)
    return this.#up && cut !== 'both' && cut !== direction
  }

  /** @internal */
  add(link: ZkLink): void {
    this.#links.add(link)
  }

  /** @internal */
  remove(link: ZkLink): void {
    this.#links.delete(link)
  }

  /** @internal */
  orphan(flush: () => void): void {
    this.#orphans.push(flush)
  }

  /** @internal */
  delay(host: string): number {
    return (this.#slowHosts.get(host) ?? 0.1) + this.rng.next() * this.slowMs
  }

  /** @internal */
  drop(connection: Connection): void {
    this.machine.disconnect(connection)
  }
}
