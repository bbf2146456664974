import type { BrokerId, Millis } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock, Timer } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import type { RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import type { ChannelError } from './channel.ts'
import { Channel, EncodedRequest } from './channel.ts'
import { ControlBodies } from './control-bodies.ts'
import type { VersionTable } from './versions.ts'

export type ControlApi = 'LeaderAndIsr' | 'UpdateMetadata' | 'StopReplica'

/** A broker as its registration in ZooKeeper describes it. */
export interface ControlledBroker {
  readonly brokerId: BrokerId
  readonly endpoints: readonly { readonly host: string; readonly port: number; readonly listenerName: string }[]
  readonly rack?: string
}

export interface ControllerChannelOptions {
  readonly net: Net
  readonly clock: Clock
  /** The channel's lines carry the prefixes and categories of 1.1. */
  readonly logger: Logger
  /** This broker: the client id of the requests is its id as text. */
  readonly controllerId: BrokerId
  /** `inter.broker.listener.name`: which endpoint of a broker is used. */
  readonly listenerName: string
  /** `interBrokerVersions` of the configured protocol. */
  readonly versions: VersionTable
  /** `controller.socket.timeout.ms` (30000): for connecting and for each response. */
  readonly socketTimeoutMs: Millis
  /** Pause before a request is sent again; 100 in 1.1. */
  readonly retryBackoffMs?: Millis
}

/** True: the connection was made. False: one that stood has broken, other than by `removeBroker`. */
export type LinkListener = (isUp: boolean) => void

/** The shape of the controller's port `BrokerRpc`. */
export interface ControllerChannels {
  addBroker(broker: ControlledBroker, onLink?: LinkListener): void
  removeBroker(brokerId: BrokerId): void
  send<A extends ControlApi>(
    brokerId: BrokerId,
    api: A,
    request: RequestInput<A>,
    onResponse?: (response: ResponseOf<A>) => void,
  ): void
  /** Ids of the brokers that were added. */
  brokers(): Iterable<BrokerId>
  /** Requests not yet answered by a broker, the one on the way included (metric `QueueSize`). */
  queueSize(brokerId: BrokerId): number
  /** Removes all brokers. */
  close(): void
}

/**
 * Carries control requests to brokers: per broker one queue and one request in flight, which is sent again, as it is, until
 * it is answered or the broker is removed. So each broker gets the requests of a controller in order, each at least once. UpdateMetadata
 * does not wait for the answer to the LeaderAndIsr before it: brokers take the requests of a connection one after another.
 * A request object that goes to several brokers is encoded once, a long one in slices of the loop: it must never change.
 */
export function createControllerChannels(options: ControllerChannelOptions): ControllerChannels {
  const senders = new Map<BrokerId, RequestSender>()
  const bodies = new ControlBodies(options.clock, options.versions)
  const managerLog = options.logger.child(
    `[Channel manager on controller ${options.controllerId}]: `,
    'kafka.controller.ControllerChannelManager',
  )
  const removeBroker = (brokerId: BrokerId): void => {
    senders.get(brokerId)?.close()
    senders.delete(brokerId)
  }
  return {
    addBroker: (broker, onLink) => {
      if (senders.has(broker.brokerId)) return
      const endpoint = broker.endpoints.find(({ listenerName }) => listenerName === options.listenerName)
      if (endpoint === undefined) {
        managerLog.error(`Broker ${broker.brokerId} has no endpoint for listener ${options.listenerName}; it gets no requests`)
        return
      }
      senders.set(broker.brokerId, new RequestSender(options, bodies, broker, endpoint, onLink))
    },
    removeBroker,
    send: (brokerId, api, request, onResponse) => {
      const sender = senders.get(brokerId)
      if (sender === undefined) managerLog.warn(`Not sending request (type=${api}) to broker ${brokerId}, since it is offline.`)
      else sender.enqueue({ api, request, onResponse: onResponse as Item['onResponse'] })
    },
    brokers: () => senders.keys(),
    queueSize: (brokerId) => senders.get(brokerId)?.size ?? 0,
    close: () => {
      for (const brokerId of [...senders.keys()]) removeBroker(brokerId)
    },
  }
}

interface Item {
  readonly api: ControlApi
  readonly request: object
  readonly onResponse: ((response: unknown) => void) | undefined
}

/** The queue of one broker. */
class RequestSender {
  readonly #options: ControllerChannelOptions
  readonly #bodies: ControlBodies
  readonly #log: Logger
  readonly #channel: Channel
  /** How log lines name the broker. */
  readonly #node: string
  #queue: Item[] = []
  #head = 0
  /** How many from the head on are on their way. */
  #sent = 0
  #retry: Timer | undefined
  #isUp = false
  #closed = false

  constructor(
    options: ControllerChannelOptions,
    bodies: ControlBodies,
    broker: ControlledBroker,
    endpoint: { readonly host: string; readonly port: number },
    onLink: LinkListener | undefined,
  ) {
    const { controllerId } = options
    this.#options = options
    this.#bodies = bodies
    this.#node = `${endpoint.host}:${endpoint.port} (id: ${broker.brokerId} rack: ${broker.rack ?? 'null'})`
    this.#log = options.logger.child(`[RequestSendThread controllerId=${controllerId}] `, 'kafka.controller.RequestSendThread')
    this.#channel = new Channel({
      net: options.net,
      clock: options.clock,
      address: () => endpoint,
      clientId: String(controllerId),
      versions: options.versions,
      connectTimeoutMs: options.socketTimeoutMs,
      requestTimeoutMs: options.socketTimeoutMs,
      reconnectBackoffMs: 0,
      onReady: () => {
        this.#log.info(`Controller ${controllerId} connected to ${this.#node} for sending state change requests`)
        this.#isUp = true
        onLink?.(true)
      },
      onDisconnect: () => {
        if (!this.#isUp) return
        this.#isUp = false
        onLink?.(false)
      },
    })
    this.#log.info('Starting')
  }

  get size(): number {
    return this.#queue.length - this.#head
  }

  enqueue(item: Item): void {
    this.#queue.push(item)
    if (this.#retry === undefined) this.#next()
  }

  close(): void {
    if (this.#closed) return
    this.#log.info('Shutting down')
    this.#closed = true
    this.#retry?.cancel()
    this.#queue = []
    this.#head = 0
    this.#channel.close()
    this.#log.info('Stopped')
    this.#log.info('Shutdown completed')
  }

  #next(): void {
    for (;;) {
      const item = this.#queue[this.#head + this.#sent]
      if (item === undefined || !this.#maySend(item)) return
      const request = this.#bodies.of(item.api, item.request)
      if (request instanceof Promise) {
        void request.then(this.#goOn)
        return
      }
      this.#send(item, request)
    }
  }

  /** What was waited for may have been asked for more than once, and the connection lost meanwhile. */
  readonly #goOn = (): void => {
    if (this.#retry === undefined) this.#next()
  }

  #maySend({ api }: Item): boolean {
    return this.#sent === 0 || (this.#sent === 1 && api === 'UpdateMetadata' && this.#queue[this.#head]?.api === 'LeaderAndIsr')
  }

  #send(item: Item, request: object): void {
    this.#sent++
    const answered = (error: ChannelError | undefined, response: unknown): void => {
      if (error === undefined) this.#answered(item, response)
      else this.#failed(item, error)
    }
    const options = request instanceof EncodedRequest ? { version: request.version } : undefined
    this.#channel.send(item.api, request as never, answered, options)
  }

  #answered(item: Item, response: unknown): void {
    this.#head++
    this.#sent--
    if (this.#head === this.#queue.length || this.#head >= 1024) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    // The next one goes out before this answer is looked at.
    this.#next()
    item.onResponse?.(response)
  }

  #failed(item: Item, error: ChannelError): void {
    const { clock, controllerId, retryBackoffMs } = this.#options
    // It went down with the one before it.
    if (this.#sent === 0) return
    this.#sent = 0
    if (error.kind === 'badRequest' || error.kind === 'unsupportedVersion') {
      // A bug of ours: sending it again would block the queue for ever.
      throw error
    }
    const connected = error.kind === 'disconnected' || error.kind === 'timeout' || error.kind === 'badResponse'
    this.#log.warn(
      connected
        ? `Controller ${controllerId} fails to send request (type=${item.api}) to broker ${this.#node}. Reconnecting to broker. ${error.message}`
        : `Controller ${controllerId}'s connection to broker ${this.#node} was unsuccessful: ${error.message}`,
    )
    this.#retry = clock.timer(
      retryBackoffMs ?? 100,
      () => {
        this.#retry = undefined
        this.#next()
      },
      true,
    )
  }
}
