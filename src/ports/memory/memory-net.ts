import type { Clock } from '../clock.ts'
import type { Connection, FrameReceiver, Listener, Net } from '../net.ts'
import type { Rng } from '../rng.ts'
import type { Accept, Bound, Host, HostClock, Surroundings } from './memory-connection.ts'
import { End, PoisoningPool, READ_BYTES, systemError } from './memory-connection.ts'

export interface MemoryNetworkOptions {
  /** One-way delay of each write, milliseconds; drawn anew for each, order is kept. Default 0.05 - 0.5. */
  readonly delayMs?: readonly [low: number, high: number]
  /** Share of reads that are cut at a random place (default 1); the others take all that is there. */
  readonly splitShare?: number
}

/**
 * A network in memory over a clock: TCP as far as frames can tell. Bytes of a direction stay in order and arrive after a
 * delay; a blocked direction holds them back (as retransmission would) until it is unblocked. Nothing is ever called from
 * within a call of the user's.
 */
export class MemoryNetwork implements Surroundings {
  readonly clock: Clock
  readonly rng: Rng
  readonly pool = new PoisoningPool()
  readonly readBuffer = Buffer.alloc(READ_BYTES)
  readonly #hosts = new Map<string, Host>()
  readonly #blocked = new Set<string>()
  readonly #stalls = new Set<() => void>()
  /** Connects that do not get through; each tries again when a way is opened or a machine is back. */
  readonly #knocking = new Set<() => void>()
  readonly #delay: readonly [number, number]
  readonly splitShare: number

  constructor(clock: Clock, rng: Rng, options: MemoryNetworkOptions = {}) {
    this.clock = clock
    this.rng = rng
    this.#delay = options.delayMs ?? [0.05, 0.5]
    this.splitShare = options.splitShare ?? 1
  }

  /**
   * The net as seen from a machine, which is made when new. Others reach it by its name; itself also as `localhost`. What the net tells
   * the machine's process comes over `clock`, so that a stopped process hears nothing while its system goes on receiving.
   */
  host(name: string, clock: HostClock = this.clock): Net {
    const host = this.#host(name)
    host.clock = clock
    return {
      listen: async (where, accept) => listen(host, where, accept),
      connect: (where, receiver) => this.#connect(host, where, receiver),
    }
  }

  /** Holds back everything from one machine to another (connects too) until `unblock`. */
  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`)
  }

  unblock(from: string, to: string): void {
    this.#blocked.delete(`${from}>${to}`)
    for (const end of this.#host(to).ends) if (end.peer.host.name === from) end.arrived()
    this.#knockAgain()
  }

  #knockAgain(): void {
    for (const attempt of [...this.#knocking]) this.clock.timer(this.delay(), attempt)
    this.#knocking.clear()
  }

  /** Blocks both directions between two machines. */
  cut(a: string, b: string): void {
    this.block(a, b)
    this.block(b, a)
  }

  /** Undoes all blocks and stalls. */
  heal(): void {
    for (const pair of [...this.#blocked]) {
      const [from, to] = pair.split('>') as [string, string]
      this.unblock(from, to)
    }
    for (const release of [...this.#stalls]) release()
  }

  /**
   * Holds back what goes from one machine to another over the connections that there are now, as when their path is bad: new ones are not
   * concerned, so what they carry arrives before what was sent earlier. The answer lets them go on.
   */
  stall(from: string, to: string): () => void {
    const ends = [...this.#host(to).ends].filter((end) => end.peer.host.name === from)
    for (const end of ends) end.isStalled = true
    const release = () => {
      this.#stalls.delete(release)
      for (const end of ends) {
        end.isStalled = false
        end.arrived()
      }
    }
    this.#stalls.add(release)
    return release
  }

  isBlocked(from: Host, to: Host): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(`${from.name}>${to.name}`)
  }

  /** Breaks all connections between two machines; bytes on the way are lost and both sides see a reset. */
  reset(a: string, b: string): void {
    for (const end of [...this.#host(a).ends]) {
      if (end.peer.host.name !== b) continue
      end.peer.fail('remote', 'ECONNRESET')
      end.fail('remote', 'ECONNRESET')
    }
  }

  /** From now on connects to the machine are refused, although its ports are open. */
  refuse(name: string, refusing = true): void {
    this.#host(name).refusing = refusing
  }

  /** The machine's process dies: ports and connections vanish without a word to it; its peers see the end of stream. */
  kill(name: string): void {
    const host = this.#host(name)
    host.bound.clear()
    for (const end of [...host.ends]) end.vanish()
  }

  /** The machine loses power: as `kill`, but its peers hear nothing until it is back (`boot`) and resets what it does not know. */
  powerOff(name: string): void {
    const host = this.#host(name)
    host.off = true
    host.bound.clear()
    for (const end of [...host.ends]) {
      host.lost.push(end.peer)
      end.vanish(true)
    }
  }

  boot(name: string): void {
    const host = this.#host(name)
    host.off = false
    for (const end of host.lost.splice(0)) end?.fail('remote', 'ECONNRESET')
    this.#knockAgain()
  }

  delay(): number {
    const [low, high] = this.#delay
    return low + this.rng.next() * (high - low)
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name)
    if (host === undefined) {
      const address = `10.0.0.${this.#hosts.size + 1}`
      host = {
        name,
        address,
        clock: this.clock,
        bound: new Map(),
        ends: new Set(),
        nextPort: 32_768,
        refusing: false,
        off: false,
        lost: [],
      }
      this.#hosts.set(name, host)
    }
    return host
  }

  #resolve(from: Host, name: string): Host | undefined {
    if (['localhost', '127.0.0.1', '::1', '', '0.0.0.0', '::'].includes(name)) return from
    return this.#hosts.get(name) ?? [...this.#hosts.values()].find((host) => host.address === name)
  }

  #connect(
    from: Host,
    where: { readonly host: string; readonly port: number; readonly timeoutMs: number },
    receiver: FrameReceiver,
  ): Connection {
    const to = this.#resolve(from, where.host)
    const client = new End(this, from, from.nextPort++)
    client.receiver = receiver
    client.begin()
    client.remote = { address: to?.address ?? where.host, port: where.port }
    if (to === undefined) {
      client.fail('error', 'ENOTFOUND')
      return client
    }
    const server = new End(this, to, where.port)
    client.peer = server
    server.peer = client
    server.remote = { address: from.address, port: client.localPort }
    client.connectTimer = from.clock.timer(where.timeoutMs, () => client.fail('timeout', 'ETIMEDOUT'))
    const attempt = () => {
      if (client.isOver) return
      if (to.off || this.isBlocked(from, to) || this.isBlocked(to, from)) this.#knocking.add(attempt)
      else this.#arrive(client, server, to)
    }
    this.clock.timer(this.delay(), attempt)
    return client
  }

  /** A connect reaches the other machine. */
  #arrive(client: End, server: End, to: Host): void {
    const bound = to.bound.get(client.remote.port)
    if (bound === undefined || to.refusing) {
      this.clock.timer(this.delay(), () => client.fail('refused', 'ECONNREFUSED'))
      return
    }
    server.established()
    client.host.clock.timer(this.delay(), () => client.established())
    if (bound.waiting === undefined) to.clock.soon(() => server.offer(bound.accept))
    else bound.waiting.push(server)
  }
}

function listen(
  host: Host,
  where: { readonly host: string; readonly port: number; readonly paused?: boolean },
  accept: Accept,
): Listener & { start(): void } {
  const port = where.port === 0 ? host.nextPort++ : where.port
  if (host.bound.has(port)) throw systemError('EADDRINUSE', `address already in use ${where.host}:${port}`)
  const bound: Bound = { port, accept, waiting: where.paused ? [] : undefined }
  host.bound.set(port, bound)
  return {
    host: where.host,
    port,
    start: () => {
      const waiting = bound.waiting ?? []
      bound.waiting = undefined
      for (const end of waiting) end.offer(accept)
    },
    close: async () => {
      if (host.bound.get(port) === bound) host.bound.delete(port)
      for (const end of bound.waiting ?? []) end.destroy()
      bound.waiting = []
    },
  }
}
