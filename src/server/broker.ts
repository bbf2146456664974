import type { OpenZkConnection } from '../../zk/client/index.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import type { BrokerRegistration, Endpoint } from '../../zk/znodes/types.ts'
import { allOf } from '../base/all-of.ts'
import type { Logger } from '../base/logger.ts'
import { createController } from '../controller/controller.ts'
import type { Controller } from '../controller/types.ts'
import { createLogManager } from '../log/log-manager.ts'
import type { LogManager } from '../log/types.ts'
import { LoopDelay, type LoopTime, type WatchTurns } from '../metrics/loop-delay.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import type { Clock } from '../ports/clock.ts'
import type { Disk } from '../ports/disk.ts'
import type { HttpPort } from '../ports/http.ts'
import type { Listener, Net } from '../ports/net.ts'
import type { Rng } from '../ports/rng.ts'
import { createReplicaManager } from '../replication/replica-manager.ts'
import type { ReplicaManager } from '../replication/types.ts'
import { type ControllerChannels, createControllerChannels } from '../rpc/controller-channel.ts'
import { createPeerRpc } from '../rpc/peer-channel.ts'
import { interBrokerVersions } from '../rpc/versions.ts'
import { type Coordinators, startCoordinators } from './broker-coordinators.ts'
import { configChangeListener, followConfigChanges, readDynamicConfig } from './broker-dynamic.ts'
import { markDirectories, readStoredIdentity, type StoredIdentity } from './broker-identity.ts'
import { type Leaving, moveLeadersAway, stopUsing } from './broker-leaving.ts'
import { LOG_FLUSH, startBrokerMetrics, ZOOKEEPER_LATENCY } from './broker-metrics.ts'
import {
  brokerJsonVersion,
  clusterIdFrom,
  controllerConfig,
  controllerLog,
  isrStoreOn,
  logManagerOptions,
  registrationOf,
  replicationConfig,
  shownStartError,
} from './broker-parts.ts'
import { registerBroker } from './broker-registration.ts'
import { ClientQuotaConfigs } from './client-quota-configs.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { DynamicBrokerConfig } from './config/dynamic-broker-config.ts'
import { topicDefaultsOfBroker } from './config/topic-defaults.ts'
import type { ConfigChangeListener } from './config-change-listener.ts'
import { ControllerConnection } from './controller-connection.ts'
import { FetchSessionCache } from './fetch-session.ts'
import { servedApis } from './handlers/index.ts'
import { MarkerConnections } from './marker-connections.ts'
import { MetadataCache } from './metadata-cache.ts'
import { SocketServer } from './net/socket-server.ts'
import { ProducerIds } from './producer-ids.ts'
import type { BrokerServices } from './request-types.ts'
import { TopicConfigs } from './topic-configs.ts'
import { TopicPurgatory } from './topic-purgatory.ts'

/** The platform, and what belongs to the process. */
export interface BrokerHost {
  readonly clock: Clock
  readonly rng: Rng
  readonly disk: Disk
  readonly net: Net
  /** For the metrics of idleness and of late timers; a host without it has neither. */
  readonly loopTime?: LoopTime
  /** For the metrics of long turns of the loop. */
  readonly watchTurns?: WatchTurns
  /** For `samsa.metrics.port`; a host without it serves no metrics. */
  readonly http?: HttpPort
  /** Connections to ZooKeeper; by default real ones. */
  readonly openZkConnection?: OpenZkConnection
  readonly logger: Logger
  /** Name of this machine: advertised where a listener has no host. */
  readonly hostName: string
  /** `max.connections.per.ip.overrides` by address. */
  readonly connectionLimits: ReadonlyMap<string, number>
  /** Ends the process at once with exit code 1, after logging the reason: going on would be unsafe. */
  halt(reason: string): void
}

/** Requests in flight to ZooKeeper unless configured: pipelining is what makes a thousand partitions fast. */
const MAX_IN_FLIGHT = 100

type State = 'new' | 'starting' | 'running' | 'stopping' | 'stopped'

/** The start was given up because the broker was told to stop. */
class StartAbandonedError extends Error {
  override readonly name = 'StartAbandonedError'
}

/**
 * One broker: the only place where the parts are wired. Starts and stops them in 1.1's order
 * (Kafka 1.1 `KafkaServer`): ZooKeeper, identity, logs, sockets (bound, not served yet), replicas, registration, controller, serving.
 */
export class KafkaServer {
  readonly metrics = new MetricRegistry()
  readonly #dynamic: DynamicBrokerConfig
  readonly #host: BrokerHost
  readonly #loopDelay: LoopDelay
  readonly #metadataCache = new MetadataCache()
  readonly #topicPurgatory: TopicPurgatory
  #log: Logger
  #state: State = 'new'
  #brokerId: number
  #clusterId = ''
  #zk: KafkaZk | undefined
  #logs: LogManager | undefined
  #sockets: SocketServer | undefined
  #registration: BrokerRegistration | undefined
  #replicas: ReplicaManager | undefined
  #controlChannels: ControllerChannels | undefined
  #controller: Controller | undefined
  #configChanges: ConfigChangeListener | undefined
  #coordinators: Coordinators | undefined
  #metricsDoor: Listener | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  constructor(config: BrokerConfig, host: BrokerHost) {
    this.#dynamic = new DynamicBrokerConfig(config, host.logger.child('', 'kafka.server.DynamicBrokerConfig'))
    this.#host = host
    this.#brokerId = config.brokerId
    this.#log = host.logger.child('', 'kafka.server.KafkaServer')
    this.#loopDelay = new LoopDelay(host.clock, host.loopTime, host.watchTurns)
    this.#topicPurgatory = new TopicPurgatory(host.clock, this.#metadataCache)
  }

  /** As it is now: some settings change while the broker runs. */
  get config(): BrokerConfig {
    return this.#dynamic.current
  }

  get state(): State {
    return this.#state
  }

  /** -1 until it is known. */
  get brokerId(): number {
    return this.#brokerId
  }

  get clusterId(): string {
    return this.#clusterId
  }

  /** Ports that were bound, by listener name. */
  get listeners(): readonly Endpoint[] {
    return this.#sockets?.endpoints ?? []
  }

  get controller(): Controller | undefined {
    return this.#controller
  }

  get replicaManager(): ReplicaManager | undefined {
    return this.#replicas
  }

  get metadataCache(): MetadataCache {
    return this.#metadataCache
  }

  // ---- start

  /** Resolves when the broker serves. Rejects when it cannot: everything that was started is stopped again. */
  startup(): Promise<void> {
    this.#starting ??= this.#startup()
    return this.#starting
  }

  async #startup(): Promise<void> {
    this.#state = 'starting'
    this.#log.info('starting')
    try {
      await this.#start()
      this.#state = 'running'
      this.#log.info('started')
    } catch (error) {
      // Told to stop while starting: whatever failed then failed because of that.
      if (!this.#stopping) {
        this.#log.error('Fatal error during KafkaServer startup. Prepare to shutdown', shownStartError(error))
        await this.shutdown()
      }
      throw error
    }
  }

  async #start(): Promise<void> {
    if (this.#host.loopTime !== undefined) this.#loopDelay.start()
    const zk = await this.#connectZooKeeper()
    const [, topics] = await Promise.all([this.#readClusterId(zk), zk.getTopics()])
    const identity = await this.#identify(zk)
    await readDynamicConfig(zk, this.#dynamic, this.#brokerId)
    const topicConfigs = new TopicConfigs(
      zk,
      this.#log,
      topicDefaultsOfBroker(this.config),
      this.config.interBrokerProtocolVersion,
    )
    const logs = await this.#startLogs(topicConfigs, topics, identity)
    const { sockets, bound } = await this.#bindSockets()
    const replicas = this.#startReplicas(zk, logs, topicConfigs)
    this.#checkStop()
    this.#registration = registrationOf(this.config, this.#brokerId, bound, this.#host.hostName)
    await this.#register(zk)
    const controller = this.#startController(zk)
    // While ZooKeeper works for the election: it waits for the disk.
    markDirectories(this.#host.disk, this.#unmarked(identity), this.#brokerId, this.#host.clock.wall(), this.#log)
    const producerIds = new ProducerIds(() => zk.claimProducerIdBlock(this.#brokerId))
    const own = { brokerId: this.#brokerId, config: this.config, metrics: this.metrics, metadataCache: this.#metadataCache }
    const coordinators = startCoordinators({ ...this.#host, ...own, zk, replicas, producerIds })
    // Each waits for ZooKeeper a few times; together they wait for the slowest.
    await allOf([
      producerIds.start(),
      coordinators.then((started) => {
        this.#coordinators = started
      }),
      this.#followConfigChanges(zk, replicas, topicConfigs),
      // Whoever sees the broker serve may create a topic at once.
      controller.decided,
    ])
    this.#checkStop()
    const services = this.#services(zk, logs, replicas, controller, topicConfigs, producerIds, await coordinators)
    const watched = { services, channels: this.#controlChannels!, loopDelay: this.#loopDelay, state: () => this.#state }
    this.#metricsDoor = await startBrokerMetrics({ registry: this.metrics, http: this.#host.http, ...watched })
    this.#checkStop()
    sockets.start(services, servedApis)
  }

  #checkStop(): void {
    if (this.#stopping) throw new StartAbandonedError('told to stop while starting')
  }

  async #connectZooKeeper(): Promise<KafkaZk> {
    const { config, clock, logger } = { config: this.config, ...this.#host }
    const { values } = config
    this.#log.info(`Connecting to zookeeper on ${config.zookeeperConnect}`)
    const zk = openKafkaZk(
      {
        connect: config.zookeeperConnect,
        sessionTimeoutMs: config.zookeeperSessionTimeoutMs,
        connectionTimeoutMs: config.zookeeperConnectionTimeoutMs,
        maxInFlightRequests: values.isSet('zookeeper.max.in.flight.requests')
          ? values.number('zookeeper.max.in.flight.requests')
          : MAX_IN_FLIGHT,
        createChroot: true,
        brokerJsonVersion: brokerJsonVersion(config),
        isUnfenced: config.faithful.has('H7'),
        onLatency: this.metrics.timer(ZOOKEEPER_LATENCY, () => clock.now()),
      },
      clock,
      logger.child('[ZooKeeperClient]', 'kafka.zookeeper.ZooKeeperClient'),
      this.#host.openZkConnection,
    )
    this.#zk = zk
    await zk.session.start()
    this.#checkStop()
    await zk.makePersistentPaths()
    return zk
  }

  async #readClusterId(zk: KafkaZk): Promise<void> {
    this.#clusterId = await zk.getOrCreateClusterId(() => clusterIdFrom(this.#host.rng.bytes(16)))
    this.#log.info(`Cluster ID = ${this.#clusterId}`)
  }

  async #identify(zk: KafkaZk): Promise<StoredIdentity> {
    const identity = readStoredIdentity(this.#host.disk, this.config, this.#log)
    const known = identity.brokerId ?? (this.config.brokerId >= 0 ? this.config.brokerId : undefined)
    this.#brokerId = known ?? (await zk.generateBrokerId(this.config.values.number('reserved.broker.max.id')))
    this.#log = this.#host.logger.child(`[KafkaServer id=${this.#brokerId}]`, 'kafka.server.KafkaServer')
    return identity
  }

  async #startLogs(topicConfigs: TopicConfigs, topics: readonly string[], identity: StoredIdentity): Promise<LogManager> {
    const { disk, clock, rng, logger } = this.#host
    const configs = await topicConfigs.read(topics)
    this.#checkStop()
    const options = logManagerOptions(this.config, topicConfigs.defaults, identity.offline)
    const logs = createLogManager(
      { disk, clock, rng, logger, onFlush: this.metrics.timer(LOG_FLUSH, () => clock.now()) },
      options,
    )
    this.#logs = logs
    logs.onDirectoryFailure((logDir) => this.#onDirectoryFailure(logs, logDir))
    await logs.start(configs)
    this.#checkStop()
    return logs
  }

  /** KIP-112: the controller moves the leaders away; a broker without any directory ends. */
  #onDirectoryFailure(logs: LogManager, logDir: string): void {
    if (logs.liveDirectories.length === 0) {
      this.#host.halt(`Shutdown broker because all log dirs in ${this.config.logDirs.join(', ')} have failed`)
      return
    }
    this.#log.warn(`Log directory ${logDir} has failed; telling the controller`)
    this.#zk!.createLogDirEventNotification(this.#brokerId).catch((error: unknown) => {
      this.#log.error(`Cannot tell the controller that log directory ${logDir} has failed: ${(error as Error).message}`)
    })
  }

  async #bindSockets(): Promise<{ sockets: SocketServer; bound: readonly Endpoint[] }> {
    const { values } = this.config
    const sockets = new SocketServer({
      net: this.#host.net,
      clock: this.#host.clock,
      log: this.#host.logger.child('', 'kafka.network.SocketServer'),
      metrics: this.metrics,
      listeners: this.config.listeners,
      maxRequestBytes: values.number('socket.request.max.bytes'),
      maxIdleMs: values.number('connections.max.idle.ms'),
      maxConnectionsPerIp: this.config.maxConnectionsPerIp,
      maxConnectionsPerIpOverrides: this.#host.connectionLimits,
    })
    this.#sockets = sockets
    return { sockets, bound: await sockets.bind() }
  }

  #interBrokerEndpoint(brokerId: number): Endpoint | undefined {
    return this.#metadataCache.endpoint(brokerId, this.config.interBrokerListenerName)
  }

  #startReplicas(zk: KafkaZk, logs: LogManager, topicConfigs: TopicConfigs): ReplicaManager {
    const { clock, net, logger } = this.#host
    const replicas = createReplicaManager({
      config: replicationConfig(this.config, this.#brokerId, () => this.config),
      clock,
      logs,
      isrStore: isrStoreOn(zk),
      peers: createPeerRpc({
        net,
        clock,
        versions: interBrokerVersions(this.config.interBrokerProtocolVersion),
        endpoint: (broker) => this.#interBrokerEndpoint(broker),
        socketTimeoutMs: this.config.values.number('replica.socket.timeout.ms'),
        // Every decoded request can be encoded; the compiler cannot see that for an API that it does not know yet.
      }),
      logger: logger.child(`[ReplicaManager broker=${this.#brokerId}]`, 'kafka.server.ReplicaManager'),
      topicConfig: (topic) => topicConfigs.get(topic),
    })
    this.#replicas = replicas
    replicas.start()
    return replicas
  }

  #startController(zk: KafkaZk): Controller {
    const { clock, net, rng, logger } = this.#host
    const channels = createControllerChannels({
      net,
      clock,
      logger,
      controllerId: this.#brokerId,
      listenerName: this.config.interBrokerListenerName,
      versions: interBrokerVersions(this.config.interBrokerProtocolVersion),
      socketTimeoutMs: this.config.values.number('controller.socket.timeout.ms'),
    })
    this.#controlChannels = channels
    const controller = createController({
      config: controllerConfig(this.config, this.#brokerId, () => this.config),
      zk,
      rpc: channels,
      clock,
      rng,
      log: controllerLog(logger),
      logOf: (category) => logger.child('', category),
      registerBroker: () => this.#register(zk),
    })
    this.#controller = controller
    controller.start()
    return controller
  }

  #register(zk: KafkaZk): Promise<void> {
    const log = this.#host.logger.child('', 'kafka.zk.KafkaZkClient')
    return registerBroker(zk, this.#registration!, this.#host.clock, log, () => this.#stopping !== undefined)
  }

  async #changeListeners(zk: KafkaZk, next: BrokerConfig): Promise<void> {
    try {
      const bound = await this.#sockets!.changeListeners(next.listeners)
      this.#registration = registrationOf(next, this.#brokerId, bound, this.#host.hostName)
      await zk.updateBrokerRegistration(this.#registration)
    } catch (error) {
      this.#log.error('Cannot change the listeners', error)
    }
  }

  async #followConfigChanges(zk: KafkaZk, replicas: ReplicaManager, topicConfigs: TopicConfigs): Promise<void> {
    const parts = { replicas, topicConfigs, cleaner: () => this.#logs?.cleaner }
    followConfigChanges(this.#dynamic, { ...parts, changeListeners: (next) => this.#changeListeners(zk, next) })
    const quotas = new ClientQuotaConfigs(zk)
    await quotas.readAll()
    this.#configChanges = configChangeListener(zk, this.#dynamic, this.#brokerId, { ...parts, quotas }, this.#host)
    await this.#configChanges.start()
  }

  #services(
    zk: KafkaZk,
    logManager: LogManager,
    replicaManager: ReplicaManager,
    controller: Controller,
    topicConfigs: TopicConfigs,
    producerIds: ProducerIds,
    { groups, transactions }: Coordinators,
  ): BrokerServices {
    const { clock, rng, logger } = this.#host
    const dynamicConfig = this.#dynamic
    return {
      brokerId: this.#brokerId,
      clusterId: this.#clusterId,
      get config() {
        return dynamicConfig.current
      },
      dynamicConfig,
      logManager,
      clock,
      rng,
      log: logger.child(`[KafkaApi-${this.#brokerId}]`, 'kafka.server.KafkaApis'),
      zk,
      metadataCache: this.#metadataCache,
      replicaManager,
      controller,
      controllerConnection: new ControllerConnection(),
      markerConnections: new MarkerConnections((id) => this.#metadataCache.isAlive(id)),
      topicConfigs,
      producerIds,
      groups,
      transactions,
      topicPurgatory: this.#topicPurgatory,
      fetchSessions: new FetchSessionCache({
        slots: this.config.values.number('max.incremental.fetch.session.cache.slots'),
        now: () => clock.now(),
        rng,
      }),
    }
  }

  /** Directories that have to get the broker's id now: those without a file that are not offline. */
  #unmarked(identity: StoredIdentity): string[] {
    const live = new Set(this.#logs?.liveDirectories)
    return identity.unmarked.filter((logDir) => live.has(logDir))
  }

  // ---- stop

  /** Controlled shutdown if the broker serves, then everything in 1.1's order. Never rejects; may be called at any time. */
  shutdown(): Promise<void> {
    this.#stopping ??= this.#shutdown()
    return this.#stopping
  }

  async #shutdown(): Promise<void> {
    this.#log.info('shutting down')
    const wasRunning = this.#state === 'running'
    this.#state = 'stopping'
    if (!wasRunning) await this.#abandonStart()
    this.#replicas?.beginShutdown()
    if (wasRunning && this.config.values.boolean('controlled.shutdown.enable'))
      await this.#step('controlled shutdown', () => moveLeadersAway(this.#leaving()))
    await this.#step('config changes', () => this.#stopUsingZk(() => this.#configChanges?.stop()))
    await this.#step('socket server', () => this.#sockets?.shutdown())
    await this.#step('delayed topic requests', () => this.#topicPurgatory.shutdown())
    await this.#step('coordinators', () => this.#coordinators?.stop())
    await this.#step('metrics', () => this.#metricsDoor?.close())
    await this.#step('replica manager', () => this.#replicas?.shutdown())
    await this.#step('log manager', () => this.#logs?.shutdown())
    await this.#step('controller', () => this.#stopUsingZk(() => this.#controller?.stop()))
    await this.#step('controller channels', () => this.#controlChannels?.close())
    await this.#step('ZooKeeper session', () => this.#zk?.session.close())
    this.#loopDelay.stop()
    this.#state = 'stopped'
    this.#log.info('shut down completed')
  }

  /** A start that waits for ZooKeeper ends when the session is closed; any other one at its next step. */
  async #abandonStart(): Promise<void> {
    if (this.#sockets || !this.#zk || this.#logs) return
    await this.#step('ZooKeeper session', () => this.#zk?.session.close())
  }

  async #stopUsingZk(stop: () => unknown): Promise<void> {
    const zk = this.#zk
    if (!zk) return void (await stop())
    await stopUsing(zk, this.#host.clock, this.config.zookeeperSessionTimeoutMs, stop)
  }

  #leaving(): Leaving {
    const { clock, net } = this.#host
    const parts = { brokerId: this.#brokerId, config: this.config, metadataCache: this.#metadataCache, log: this.#log }
    return { ...parts, zk: this.#zk!, clock, net }
  }

  /** One part that cannot stop must not keep the others from stopping. */
  async #step(what: string, stop: () => unknown): Promise<void> {
    try {
      await stop()
    } catch (error) {
      this.#log.error(`Cannot stop the ${what}`, error)
    }
  }
}
