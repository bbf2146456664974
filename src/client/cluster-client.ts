/** What producer, consumer, admin client and the classic ones stand on: metadata, connections, coordinators, retries. */

import type { BufferPool } from '../base/buffer-pool.ts'
import { sharedPool } from '../base/bytes.ts'
import type { Millis } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { ApiName, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { ChannelError, type RequestOrMaker, type SendOptions } from '../rpc/channel.ts'
import { type CommonConfig, type HostPort, parseAddresses } from './config/index.ts'
import { type Environment, environmentOf } from './environment.ts'
import { exceptionOf, isRetriable, KafkaException, TimeoutException } from './errors.ts'
import { BootstrapSource } from './metadata/bootstrap-source.ts'
import { Metadata } from './metadata/metadata.ts'
import type { MetadataSink, MetadataSource, Node } from './metadata/types.ts'
import { ZooKeeperSource } from './metadata/zookeeper-source.ts'
import { type Callback, Network } from './network/network.ts'

export interface ClusterClientOptions {
  readonly config: CommonConfig
  /** What an empty client.id becomes, with a number: `producer-1`. */
  readonly role: 'producer' | 'consumer' | 'adminclient'
  /** `max.in.flight.requests.per.connection`; default: no limit. */
  readonly maxInFlight?: number
  /** Metadata requests may create topics (producer and consumer of 1.1: yes; admin: no). */
  readonly allowAutoTopicCreation: boolean
  readonly environment?: Partial<Environment>
}

export interface RetryOptions {
  /** From the first try; afterwards TimeoutException with the last error as cause. */
  readonly timeoutMs: Millis
  /** Further tries after the first; default: as many as fit in the time. */
  readonly retries?: number
  /** Replaces `retry.backoff.ms`. */
  readonly backoffMs?: Millis
  /** Called before each further try, e.g. to look for the coordinator again. */
  readonly onError?: (error: KafkaException) => void
}

export type CoordinatorType = 'group' | 'transaction'

const ROLE_NAMES = { producer: 'Producer', consumer: 'Consumer', adminclient: 'AdminClient' } as const

/** Kinds of channel errors that say so. */
const NEVER_MADE: ReadonlySet<string> = new Set(['refused', 'connectTimeout'])

const COORDINATOR_TYPES: Readonly<Record<CoordinatorType, number>> = { group: 0, transaction: 1 }

/** As the Java consumer: a group coordinator has a connection of its own, so that a heartbeat never waits behind a fetch. */
const COORDINATOR_BASE = 0x7fffffff

const roleCounters = new Map<string, number>()

export class ClusterClient {
  readonly config: CommonConfig
  readonly environment: Environment
  /** `client.id`, or `producer-1` and so on. */
  readonly clientId: string
  readonly network: Network
  readonly metadata: Metadata
  /** Memory of batches and requests. */
  readonly pool: BufferPool = sharedPool
  readonly #bootstrap: readonly HostPort[]
  readonly #source: MetadataSource
  readonly #log: Logger
  readonly #role: ClusterClientOptions['role']
  /** Connections to group coordinators. */
  readonly #coordinators = new Map<number, HostPort>()
  readonly #readyListeners = new Set<(nodeId: number) => void>()
  readonly #disconnectListeners = new Set<(nodeId: number, error: KafkaException) => void>()
  #rotation: number
  #closing: Promise<void> | undefined

  /** Connects nothing yet. */
  constructor(options: ClusterClientOptions) {
    const { config, role, allowAutoTopicCreation } = options
    const environment = environmentOf(options.environment)
    const { net, clock, rng, log } = environment
    this.config = config
    this.#role = role
    this.environment = environment
    this.clientId = config['client.id'] === '' ? nextClientId(role) : config['client.id']
    this.#bootstrap = parseAddresses(config['bootstrap.servers'])
    this.#rotation = rng.int(0, 1 << 20)
    this.network = new Network({
      net,
      clock,
      random: () => rng.next(),
      clientId: this.clientId,
      requestTimeoutMs: config['request.timeout.ms'],
      reconnectBackoffMs: config['reconnect.backoff.ms'],
      reconnectBackoffMaxMs: config['reconnect.backoff.max.ms'],
      maxIdleMs: config['connections.max.idle.ms'],
      ...(options.maxInFlight === undefined ? {} : { maxInFlight: options.maxInFlight }),
      addressOf: (nodeId) => this.#addressOf(nodeId),
      onReady: (nodeId) => {
        for (const listener of [...this.#readyListeners]) listener(nodeId)
      },
      onDisconnect: (nodeId, error) => this.#disconnected(nodeId, error),
    })
    this.#log = this.logAs('org.apache.kafka.clients.NetworkClient')
    this.#source = this.#sourceOf((update) => this.metadata.apply(update), allowAutoTopicCreation)
    this.metadata = new Metadata({
      clock,
      log,
      source: this.#source,
      maxAgeMs: config['metadata.max.age.ms'],
      retryBackoffMs: config['retry.backoff.ms'],
    })
  }

  #sourceOf(sink: MetadataSink, allowAutoTopicCreation: boolean): MetadataSource {
    const { config, environment, network } = this
    const connect = config['zookeeper.connect']
    const pickNode = (): number => this.anyNode()
    if (connect === '') return new BootstrapSource({ network, sink, pickNode, allowAutoTopicCreation, log: this.#log })
    return new ZooKeeperSource({
      open: () =>
        environment.openZk({
          connect,
          sessionTimeoutMs: config['zookeeper.session.timeout.ms'],
          connectionTimeoutMs: config['zookeeper.connection.timeout.ms'],
        }),
      sink,
      securityProtocol: config['security.protocol'],
      log: environment.log,
      ...(allowAutoTopicCreation ? { onMissing: (topics) => this.#askToCreate(topics) } : {}),
    })
  }

  /** A broker creates topics it is asked about, if it may; ZooKeeper's watch tells of it. */
  #askToCreate(topics: readonly string[]): void {
    this.network.send(this.anyNode(), 'Metadata', { topics, allowAutoTopicCreation: true }, () => {})
  }

  // ------------------------------------------------------------------ nodes

  /**
   * Some node to ask what any can answer: of those connected the least busy one, else the known ones and the bootstrap servers in turn.
   * Negative: a bootstrap server, or, with nobody known, an id on which `send` fails with a NetworkException.
   */
  anyNode(): number {
    let best: number | undefined
    for (const id of this.network.readyNodes()) {
      if (id > COORDINATOR_BASE >> 1) continue
      if (best === undefined || this.#busyness(id) < this.#busyness(best)) best = id
    }
    if (best !== undefined) return best
    const all = [...this.metadata.brokers.keys(), ...this.#bootstrap.map((_, i) => -1 - i)]
    return all.length === 0 ? -1 : all[this.#rotation++ % all.length]!
  }

  /** Bootstrap servers only when nothing else is connected. */
  #busyness(nodeId: number): number {
    return this.network.pending(nodeId) + (nodeId < 0 ? 1e6 : 0)
  }

  #addressOf(nodeId: number): HostPort | undefined {
    if (nodeId < 0) return this.#bootstrap[-1 - nodeId]
    return this.#coordinators.get(nodeId) ?? this.metadata.brokers.get(nodeId)
  }

  /** Connection made, versions known: `network.canSend(nodeId)` is true. Returns how to stop listening. */
  onNodeReady(listener: (nodeId: number) => void): () => void {
    this.#readyListeners.add(listener)
    return () => void this.#readyListeners.delete(listener)
  }

  /** A connection broke or could not be made. What was under way has heard of it separately. */
  onNodeDisconnect(listener: (nodeId: number, error: KafkaException) => void): () => void {
    this.#disconnectListeners.add(listener)
    return () => void this.#disconnectListeners.delete(listener)
  }

  /** The log of a part, under the name and with the prefix that it has in the Java clients. */
  logAs(category: string): Logger {
    const { config, clientId, environment } = this
    const role = ROLE_NAMES[this.#role]
    const group = 'group.id' in config ? `, groupId=${config['group.id']}` : ''
    return environment.log.child(`[${role} clientId=${clientId}${group}]`, category)
  }

  #disconnected(nodeId: number, error: KafkaException): void {
    if (error.cause instanceof ChannelError && NEVER_MADE.has(error.cause.kind))
      this.#log.warn(`Connection to node ${nodeId} could not be established. Broker may not be available.`)
    // The broker may have died, and its partitions moved.
    this.metadata.requestUpdate()
    for (const listener of [...this.#disconnectListeners]) listener(nodeId, error)
  }

  /** Format that the records for a node must have; undefined while it is not connected. */
  produceMagic(nodeId: number): 0 | 1 | 2 | undefined {
    const version = this.network.versionOf(nodeId, 'Produce')
    return version === undefined ? undefined : version >= 3 ? 2 : version === 2 ? 1 : 0
  }

  // ------------------------------------------------------------------ requests

  /** See `Network.send`. */
  send<A extends ApiName>(
    nodeId: number,
    api: A,
    request: RequestOrMaker<A>,
    callback: Callback<ResponseOf<A>>,
    options?: SendOptions,
  ): void {
    this.network.send(nodeId, api, request, callback, options)
  }

  /** See `Network.request`. */
  request<A extends ApiName>(nodeId: number, api: A, request: RequestOrMaker<A>, options?: SendOptions): Promise<ResponseOf<A>> {
    return this.network.request(nodeId, api, request, options)
  }

  /**
   * Where the coordinator of a group or transactional id is, asked of any node. For a group the node id is one of `coordinatorNode`, for a
   * connection of its own. Rejects with the broker's error (COORDINATOR_NOT_AVAILABLE is retriable; GROUP_AUTHORIZATION_FAILED).
   */
  async findCoordinator(type: CoordinatorType, key: string): Promise<Node> {
    const request = { coordinatorKey: key, coordinatorType: COORDINATOR_TYPES[type], groupId: key }
    const options = type === 'transaction' ? { version: 1 } : {}
    const response = await this.request(this.anyNode(), 'FindCoordinator', request, options)
    if (response.errorCode !== ErrorCode.NONE) throw exceptionOf(response.errorCode, response.errorMessage)
    const { nodeId, host, port } = response.coordinator
    const id = type === 'group' ? coordinatorNode(nodeId) : nodeId
    if (type === 'group' || !this.metadata.brokers.has(id)) this.#coordinators.set(id, { host, port })
    return { id, host, port, rack: null }
  }

  /** The controller's node id, looked for until the time is up. Rejects with TimeoutException. */
  async controller(timeoutMs: Millis): Promise<number> {
    return this.retry('find the controller', { timeoutMs }, async (leftMs) => {
      const { metadata } = this
      if (!metadata.brokers.has(metadata.controllerId)) await metadata.update(leftMs)
      if (!metadata.brokers.has(metadata.controllerId)) throw exceptionOf(ErrorCode.NOT_CONTROLLER, 'no controller is known')
      return metadata.controllerId
    })
  }

  /** The node that leads a partition, looked for until the time is up. Rejects with TimeoutException, or the topic's error. */
  async leader(topic: string, partition: number, timeoutMs: Millis): Promise<number> {
    return this.retry(`find the leader of ${topic}-${partition}`, { timeoutMs }, async (leftMs) => {
      await this.metadata.waitForTopic(topic, leftMs)
      const leader = this.metadata.leaderOf(topic, partition)
      if (leader < 0) throw exceptionOf(ErrorCode.LEADER_NOT_AVAILABLE)
      return leader
    })
  }

  // ------------------------------------------------------------------ time and retries

  /**
   * Tries until it succeeds, fails with an error that is not retriable, or time or tries are used up. Errors with `invalidMetadata` have
   * the metadata refreshed. `attempt` gets the time left.
   */
  async retry<T>(what: string, options: RetryOptions, attempt: (leftMs: Millis) => Promise<T>): Promise<T> {
    const { clock } = this.environment
    const deadline = clock.now() + options.timeoutMs
    const backoffMs = options.backoffMs ?? this.config['retry.backoff.ms']
    for (let tries = 0; ; tries++) {
      try {
        return await attempt(Math.max(0, deadline - clock.now()))
      } catch (error) {
        if (!isRetriable(error) || !(error instanceof KafkaException) || this.#closing !== undefined) throw error
        if (tries >= (options.retries ?? Number.POSITIVE_INFINITY)) throw error
        if (clock.now() + backoffMs >= deadline) {
          if (error instanceof TimeoutException) throw error
          throw new TimeoutException(`could not ${what} within ${options.timeoutMs} ms: ${error.message}`, error)
        }
        if (error.invalidMetadata) this.metadata.requestUpdate()
        options.onError?.(error)
      }
      await this.sleep(backoffMs)
    }
  }

  sleep(ms: Millis): Promise<void> {
    return new Promise((resolve) => void this.environment.clock.timer(ms, resolve))
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /** Fails what is under way with a NetworkException and ends all connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.network.close()
    this.#readyListeners.clear()
    this.#disconnectListeners.clear()
    await this.metadata.close()
  }
}

/** The id under which `send` reaches a broker over the connection that is kept for its coordinator's work; of that id, the broker's. */
export function coordinatorNode(brokerId: number): number {
  return COORDINATOR_BASE - brokerId
}

function nextClientId(role: string): string {
  const number = (roleCounters.get(role) ?? 0) + 1
  roleCounters.set(role, number)
  return `${role}-${number}`
}
