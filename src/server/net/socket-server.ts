import type { Endpoint } from '../../../zk/znodes/types.ts'
import type { Logger } from '../../base/logger.ts'
import type { MetricRegistry } from '../../metrics/registry.ts'
import type { Clock, Timer } from '../../ports/clock.ts'
import type { Connection, FrameReceiver, Listener, Net } from '../../ports/net.ts'
import type { BrokerServices, ServedApi } from '../request-types.ts'
import type { ConnectionHost } from './request-connection.ts'
import { RequestConnection } from './request-connection.ts'
import { RequestMetrics } from './request-metrics.ts'
import { WriterPool } from './writer-pool.ts'

export interface SocketServerOptions {
  readonly net: Net
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: MetricRegistry
  readonly listeners: readonly Endpoint[]
  readonly maxRequestBytes: number
  /** Negative: never. */
  readonly maxIdleMs: number
  readonly maxConnectionsPerIp: number
  /** By remote address. */
  readonly maxConnectionsPerIpOverrides: ReadonlyMap<string, number>
}

/** A port that cannot be bound; the message names it. */
export class BindError extends Error {
  override readonly name = 'org.apache.kafka.common.KafkaException'
}

/** IPv4 addresses of an IPv6 socket look like `::ffff:127.0.0.1`. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}

/**
 * The listeners of a broker and their connections. Bound early, so that a port in use is found before the broker registers; connections are
 * served only from `start` on (they wait in the meantime).
 */
export class SocketServer implements ConnectionHost {
  readonly log: Logger
  readonly writers = new WriterPool()
  readonly metrics: RequestMetrics
  readonly maxRequestBytes: number
  #services: BrokerServices | undefined
  #served: readonly (ServedApi | undefined)[] = []
  #processing = false
  readonly #options: SocketServerOptions
  readonly #connections = new Set<RequestConnection>()
  readonly #perAddress = new Map<string, number>()
  readonly #listeners: (Listener & { readonly listenerName: string; start(): void })[] = []
  #dirty: RequestConnection[] = []
  #isFlushing = false
  #isFlushQueued = false
  #isTurnHeld = false
  #nextIndex = 0
  #bound: readonly Endpoint[] = []
  #idleTimer: Timer | undefined

  constructor(options: SocketServerOptions) {
    this.#options = options
    this.log = options.log
    this.maxRequestBytes = options.maxRequestBytes
    this.metrics = new RequestMetrics(options.metrics)
    options.metrics.gauge('kafka.server:type=socket-server-metrics,name=connection-count', () => this.#connections.size)
  }

  get processing(): boolean {
    return this.#processing
  }

  get services(): BrokerServices {
    return this.#services!
  }

  get served(): readonly (ServedApi | undefined)[] {
    return this.#served
  }

  /** The listeners with the ports they got. */
  get endpoints(): readonly Endpoint[] {
    return this.#bound
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  get clock(): Clock {
    return this.#options.clock
  }

  now(): number {
    return this.#options.clock.now()
  }

  /** Binds every listener. Returns the endpoints with the ports they got. Throws `BindError`. */
  async bind(): Promise<readonly Endpoint[]> {
    this.#bound = await this.#bindAll(this.#options.listeners)
    return this.#bound
  }

  /**
   * The listeners are other ones now (KIP-226): new names are bound and served, names that are gone are closed with their connections,
   * names that stay keep their port. Throws `BindError`; nothing is closed then.
   */
  async changeListeners(listeners: readonly Endpoint[]): Promise<readonly Endpoint[]> {
    const kept = this.#bound.filter(({ listenerName }) => listeners.some((one) => one.listenerName === listenerName))
    const added = await this.#bindAll(
      listeners.filter(({ listenerName }) => !kept.some((one) => one.listenerName === listenerName)),
    )
    this.#bound = [...kept, ...added]
    const isGone = (listenerName: string): boolean => !this.#bound.some((one) => one.listenerName === listenerName)
    const closing = this.#listeners.filter(({ listenerName }) => isGone(listenerName))
    for (const listener of closing) this.#listeners.splice(this.#listeners.indexOf(listener), 1)
    await Promise.all(closing.map((listener) => listener.close()))
    for (const connection of [...this.#connections]) if (isGone(connection.listenerName)) connection.close()
    if (this.#processing)
      for (const listener of this.#listeners)
        if (added.some((one) => one.listenerName === listener.listenerName)) listener.start()
    return this.#bound
  }

  async #bindAll(endpoints: readonly Endpoint[]): Promise<Endpoint[]> {
    const bound: Endpoint[] = []
    for (const endpoint of endpoints) {
      const shown = endpoint.host === '' ? '0.0.0.0' : endpoint.host
      try {
        const listener = await this.#options.net.listen(
          { host: endpoint.host, port: endpoint.port, paused: true },
          (connection) => this.#accept(connection, endpoint.listenerName),
        )
        this.#listeners.push(Object.assign(listener, { listenerName: endpoint.listenerName }))
        this.log.info(`Awaiting socket connections on ${shown}:${listener.port}.`)
        bound.push({ ...endpoint, port: listener.port })
      } catch (error) {
        await this.#closeListeners(new Set(bound.map(({ listenerName }) => listenerName)))
        throw new BindError(
          `Socket server failed to bind to ${shown}:${endpoint.port}: ${bindProblem(error as NodeJS.ErrnoException)}.`,
          {
            cause: error,
          },
        )
      }
    }
    return bound
  }

  /** Begins to serve. */
  start(services: BrokerServices, served: readonly (ServedApi | undefined)[]): void {
    this.#services = services
    this.#served = served
    this.#processing = true
    for (const listener of this.#listeners) listener.start()
    if (this.#options.maxIdleMs >= 0) this.#watchIdle()
    this.log.info('Started processors for all acceptors')
  }

  /** Closes listeners and connections; what is in progress is not answered any more. */
  async shutdown(): Promise<void> {
    this.#processing = false
    this.#idleTimer?.cancel()
    await this.#closeListeners()
    for (const connection of [...this.#connections]) connection.close()
  }

  /** `names` undefined: all. */
  async #closeListeners(names?: ReadonlySet<string>): Promise<void> {
    const closing = this.#listeners.filter(({ listenerName }) => names === undefined || names.has(listenerName))
    for (const listener of closing) this.#listeners.splice(this.#listeners.indexOf(listener), 1)
    await Promise.all(closing.map((listener) => listener.close()))
  }

  #accept(socket: Connection, listenerName: string): FrameReceiver | undefined {
    const address = plainAddress(socket.remoteAddress)
    const count = this.#perAddress.get(address) ?? 0
    const limit = this.#options.maxConnectionsPerIpOverrides.get(address) ?? this.#options.maxConnectionsPerIp
    if (!this.#processing || count >= limit) {
      if (this.#processing)
        this.log.info(`Rejected connection from ${address}, address already has the configured maximum of ${limit} connections.`)
      this.metrics.connectionsRefused.add(1)
      return undefined
    }
    this.#perAddress.set(address, count + 1)
    const connection = new RequestConnection(this, socket, listenerName, this.#nextIndex++)
    this.#connections.add(connection)
    return connection
  }

  closed(connection: RequestConnection): void {
    if (!this.#connections.delete(connection)) return
    const address = plainAddress(connection.remoteAddress)
    const left = this.#perAddress.get(address)! - 1
    if (left > 0) this.#perAddress.set(address, left)
    else this.#perAddress.delete(address)
  }

  /** Collects connections; one write per connection at the end of the read callback, or of this turn when no read is going on. */
  scheduleFlush(connection: RequestConnection): void {
    if (!connection.isFlushScheduled) {
      connection.isFlushScheduled = true
      this.#dirty.push(connection)
    }
    // A held turn ends with `flushNow`, and who flushes now comes to it: a microtask costs as much as decoding a request.
    if (!this.#isTurnHeld && !this.#isFlushing) this.#queueFlush()
  }

  /** `flushNow` follows in the same callback, or an exception that ends the process. */
  beginTurn(): void {
    if (this.#isTurnHeld) return
    this.#isTurnHeld = true
    this.services.replicaManager.holdTurn()
  }

  #queueFlush(): void {
    if (this.#isFlushQueued) return
    this.#isFlushQueued = true
    queueMicrotask(() => {
      this.#isFlushQueued = false
      this.flushNow()
    })
  }

  #releaseTurn(): void {
    if (!this.#isTurnHeld) return
    this.#isTurnHeld = false
    this.services.replicaManager.releaseTurn(this.#flushDirty)
  }

  flushNow(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    try {
      while (this.#dirty.length > 0 || this.#isTurnHeld) {
        this.#releaseTurn()
        this.#flushDirty()
      }
    } finally {
      this.#isFlushing = false
    }
  }

  readonly #flushDirty = (): void => {
    if (this.#dirty.length === 0) return
    const batch = this.#dirty
    this.#dirty = []
    for (const connection of batch) {
      connection.isFlushScheduled = false
      connection.flush()
    }
    // Nobody waits for figures.
    for (const connection of batch) connection.measure()
  }

  #watchIdle(): void {
    const { clock, maxIdleMs } = this.#options
    this.#idleTimer = clock.timer(
      Math.max(50, Math.min(maxIdleMs / 4, 10_000)),
      () => {
        const oldest = clock.now() - maxIdleMs
        for (const connection of [...this.#connections]) {
          // As in 1.1 also one that waits for an answer: nobody may be left at its other end.
          if (connection.lastActiveMs > oldest) continue
          this.log.debug(`About to close the idle connection from ${connection.id} due to being idle for ${maxIdleMs} millis`)
          connection.close()
        }
        this.#watchIdle()
      },
      true,
    )
  }
}

function bindProblem(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return 'Address already in use'
    case 'EADDRNOTAVAIL':
      return 'Cannot assign requested address'
    case 'EACCES':
      return 'Permission denied'
    default:
      return error.message
  }
}
