import type { SessionState } from '../../zk/client/index.ts'
import { LoopSlice } from '../base/loop-slice.ts'
import type { LoopDelay } from '../metrics/loop-delay.ts'
import { prometheusPieces } from '../metrics/prometheus.ts'
import type { AddSample, Collector, MetricRegistry, SteppedCollector } from '../metrics/registry.ts'
import type { Clock } from '../ports/clock.ts'
import type { HttpPort } from '../ports/http.ts'
import type { Listener } from '../ports/net.ts'
import type { ReplicationFigures } from '../replication/environment.ts'
import type { PartitionView } from '../replication/types.ts'
import type { ControllerChannels } from '../rpc/controller-channel.ts'
import { registerCleanerMetrics } from './broker-parts.ts'
import type { BrokerServices } from './request-types.ts'

const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8'
const TEXT = 'text/plain; charset=utf-8'
/** How long a page may be made without a break, and a step of it for so many partitions. */
const SLICE_MS = 4
const STEP_PARTITIONS = 20

/** Distributions that their owners fill. */
export const ZOOKEEPER_LATENCY = 'kafka.server:type=ZooKeeperClientMetrics,name=ZooKeeperRequestLatencyMs'
export const LOG_FLUSH = 'kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs'

export interface BrokerMetricsParts {
  readonly registry: MetricRegistry
  readonly services: BrokerServices
  readonly channels: ControllerChannels
  readonly http: HttpPort | undefined
  readonly loopDelay: LoopDelay
  /** As `KafkaServer.state` names it. */
  readonly state: () => string
}

/** Registers the gauges of a broker by 1.1's names; serves all metrics over HTTP when `samsa.metrics.port` is set. Rejects as `listen`. */
export async function startBrokerMetrics(parts: BrokerMetricsParts): Promise<Listener | undefined> {
  const { registry, services } = parts
  registerServer(parts)
  registry.collectInSteps(partitions(services))
  registry.collectInSteps(replicaTraffic(services.replicaManager.figures))
  registry.collectInSteps(followers(services.replicaManager.figures))
  registry.collect(controllerGauges(services, parts.channels))
  registry.collect(logDirectories(services))
  registerCleanerMetrics(registry, services.logManager.cleaner)
  registerController(registry, services)
  registerZooKeeper(registry, services)
  const { values } = services.config
  const port = values.number('samsa.metrics.port')
  if (port < 0 || parts.http === undefined) return undefined
  const host = values.string('samsa.metrics.host')
  const listener = await parts.http.serve({ host, port }, (path) =>
    path === '/metrics' || path === '/'
      ? { status: 200, contentType: PROMETHEUS, body: inSlices(prometheusPieces(registry, services.clock.now()), services.clock) }
      : { status: 404, contentType: TEXT, body: 'metrics are at /metrics\n' },
  )
  services.log.info(`Metrics are served at http://${host}:${listener.port}/metrics`)
  return listener
}

/** With thousands of partitions a page is far more than one turn's work. */
async function* inSlices(pieces: Iterable<string>, clock: Clock): AsyncGenerator<string, void> {
  const slice = new LoopSlice(clock, SLICE_MS)
  for (const piece of pieces) {
    if (piece !== '') yield piece
    if (slice.isDue) await slice.turn()
  }
}

/** 1.1's numbers of `BrokerState`. */
const BROKER_STATES: Readonly<Record<string, number>> = { new: 0, starting: 1, running: 3, stopping: 6, stopped: 7 }

function registerServer({ registry, services, loopDelay, state }: BrokerMetricsParts): void {
  const { fetchSessions } = services
  registry.gauge('kafka.server:type=KafkaServer,name=BrokerState', () => BROKER_STATES[state()] ?? 0)
  registry.collect((add) => add(`kafka.server:type=KafkaServer,name=ClusterId,id=${services.clusterId}`, 1))
  registry.collect((add) => add(`kafka.server:type=app-info,id=${services.brokerId},version=1.1.1`, 1))
  registry.gauge('kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions', () => fetchSessions.size)
  registry.gauge(
    'kafka.server:type=FetchSessionCache,name=NumIncrementalFetchPartitionsCached',
    () => fetchSessions.partitionCount,
  )
  registry.collect((add) =>
    add('kafka.server:type=FetchSessionCache,name=IncrementalFetchSessionEvictionsPerSec', fetchSessions.evictions, 'counter'),
  )
  // There is one loop where 1.1 has network and handler threads.
  const idle = (): number => loopDelay.idleShare
  registry.gauge('kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent', idle)
  registry.gauge('kafka.network:type=Processor,name=IdlePercent,networkProcessor=0', idle)
  registry.gauge('kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent', idle)
  registry.gauge('samsa:type=EventLoop,name=MeanDelayMs', () => loopDelay.meanMs)
  registry.gauge('samsa:type=EventLoop,name=P99DelayMs', () => loopDelay.p99Ms)
  registry.gauge('samsa:type=EventLoop,name=MaxDelayMs', () => loopDelay.takeMaxMs())
  registry.gauge('samsa:type=EventLoop,name=MaxTurnCpuMs', () => loopDelay.takeMaxTurnCpuMs())
  registry.gauge('samsa:type=EventLoop,name=MaxTurnOwnMs', () => loopDelay.takeMaxTurnOwnMs())
  registry.gauge('samsa:type=EventLoop,name=MaxGcPauseMs', () => loopDelay.takeMaxPauseMs())
  registry.collect((add) => add('samsa:type=EventLoop,name=LongTurns', loopDelay.longTurns, 'counter'))
}

/** Adds one partition's own gauges and counts it for the broker's. */
function addPartition(add: AddSample, view: PartitionView, sums: PartitionSums): void {
  const { topic, partition, log } = view
  const of = `,topic=${topic},partition=${partition}`
  const isr = view.inSyncReplicas.length
  const isUnderMinIsr = view.isLeader && log !== undefined && isr < log.config.minInSyncReplicas
  sums.count++
  if (view.isLeader) sums.led++
  if (view.isUnderReplicated) sums.underReplicated++
  if (isUnderMinIsr) sums.underMinIsr++
  if (view.isOffline) sums.offline++
  const gauge = (name: string, value: number): void => add(`kafka.cluster:type=Partition,name=${name}${of}`, value)
  gauge('UnderReplicated', view.isUnderReplicated ? 1 : 0)
  gauge('UnderMinIsr', isUnderMinIsr ? 1 : 0)
  gauge('InSyncReplicasCount', view.isLeader ? isr : 0)
  gauge('ReplicasCount', view.isLeader ? view.assignedReplicas.length : 0)
  gauge('LastStableOffsetLag', view.isLeader && log !== undefined ? log.highWatermark - log.lastStableOffset : 0)
  if (log === undefined) return
  add(`kafka.log:type=Log,name=Size${of}`, log.size)
  add(`kafka.log:type=Log,name=LogStartOffset${of}`, log.logStartOffset)
  add(`kafka.log:type=Log,name=LogEndOffset${of}`, log.logEndOffset)
}

interface PartitionSums {
  count: number
  led: number
  underReplicated: number
  underMinIsr: number
  offline: number
}

function partitions({ replicaManager }: BrokerServices): SteppedCollector {
  return function* (add) {
    const sums = { count: 0, led: 0, underReplicated: 0, underMinIsr: 0, offline: 0 }
    for (const view of [...replicaManager.partitions()]) {
      addPartition(add, view, sums)
      if (sums.count % STEP_PARTITIONS === 0) yield
    }
    const gauge = (name: string, value: number): void => add(`kafka.server:type=ReplicaManager,name=${name}`, value)
    gauge('PartitionCount', sums.count)
    gauge('LeaderCount', sums.led)
    gauge('UnderReplicatedPartitions', sums.underReplicated)
    gauge('UnderMinIsrPartitionCount', sums.underMinIsr)
    gauge('OfflineReplicaCount', sums.offline)
  }
}

function replicaTraffic({ counters, quotas, traffic, waiting }: ReplicationFigures): SteppedCollector {
  return function* (add) {
    const replicaManager = (name: string, value: number): void =>
      add(`kafka.server:type=ReplicaManager,name=${name}`, value, 'counter')
    replicaManager('IsrShrinksPerSec', counters.isrShrinks)
    replicaManager('IsrExpandsPerSec', counters.isrExpands)
    replicaManager('FailedIsrUpdatesPerSec', counters.failedIsrUpdates)
    for (const [topic, one] of [[undefined, traffic.all] as const, ...traffic.topics]) {
      const meter = (name: string, value: number): void =>
        add(`kafka.server:type=BrokerTopicMetrics,name=${name}${topic === undefined ? '' : `,topic=${topic}`}`, value, 'counter')
      yield
      meter('MessagesInPerSec', one.messagesIn)
      meter('BytesInPerSec', one.bytesIn)
      meter('BytesOutPerSec', one.bytesOut)
      meter('BytesRejectedPerSec', one.bytesRejected)
      meter('TotalProduceRequestsPerSec', one.totalProduceRequests)
      meter('TotalFetchRequestsPerSec', one.totalFetchRequests)
      meter('FailedProduceRequestsPerSec', one.failedProduceRequests)
      meter('ProduceMessageConversionsPerSec', one.produceConversions)
      meter('FetchMessageConversionsPerSec', one.fetchConversions)
      if (topic !== undefined) continue
      meter('ReplicationBytesInPerSec', traffic.replicationBytesIn)
      meter('ReplicationBytesOutPerSec', traffic.replicationBytesOut)
    }
    add('kafka.server:type=LeaderReplication,name=byte-rate', quotas.leader.byteRate)
    add('kafka.server:type=FollowerReplication,name=byte-rate', quotas.follower.byteRate)
    add('kafka.server:type=AlterLogDirsReplication,name=byte-rate', quotas.alterLogDirs.byteRate)
    const { produces, fetches, deletions } = yield* waiting()
    const purgatory = 'kafka.server:type=DelayedOperationPurgatory,name=PurgatorySize,delayedOperation'
    add(`${purgatory}=Produce`, produces)
    add(`${purgatory}=Fetch`, fetches)
    add(`${purgatory}=DeleteRecords`, deletions)
    addExpirations(add, counters)
  }
}

function addExpirations(add: AddSample, counters: ReplicationFigures['counters']): void {
  const expires = (type: string, tags: string, value: number): void =>
    add(`kafka.server:type=${type},name=ExpiresPerSec${tags}`, value, 'counter')
  expires('DelayedProduceMetrics', '', counters.expiredProduces)
  for (const [key, count] of counters.expiredProducesByPartition) {
    const dash = key.lastIndexOf('-')
    expires('DelayedProduceMetrics', `,topic=${key.slice(0, dash)},partition=${key.slice(dash + 1)}`, count)
  }
  expires('DelayedFetchMetrics', ',fetcherType=follower', counters.expiredFollowerFetches)
  expires('DelayedFetchMetrics', ',fetcherType=consumer', counters.expiredConsumerFetches)
  expires('DelayedDeleteRecordsMetrics', '', counters.expiredDeletions)
}

function followers(figures: ReplicationFigures): SteppedCollector {
  return function* (add) {
    let [maxLag, count] = [0, 0]
    for (const fetcher of [...figures.fetchers()]) {
      const { threadName, leader, requests, bytes } = fetcher
      const of = `,clientId=${threadName},broker=${leader}`
      add(`kafka.server:type=FetcherStats,name=RequestsPerSec${of}`, requests, 'counter')
      add(`kafka.server:type=FetcherStats,name=BytesPerSec${of}`, bytes, 'counter')
      for (const { topic, partition, lag } of [...fetcher.lags()]) {
        maxLag = Math.max(maxLag, lag)
        add(
          `kafka.server:type=FetcherLagMetrics,name=ConsumerLag,clientId=${threadName},topic=${topic},partition=${partition}`,
          lag,
        )
        if (++count % STEP_PARTITIONS === 0) yield
      }
    }
    add('kafka.server:type=ReplicaFetcherManager,name=MaxLag,clientId=Replica', maxLag)
  }
}

/** 1.1's numbers of `ControllerState`. */
const CONTROLLER_STATES: readonly string[] = [
  'Idle',
  'ControllerChange',
  'BrokerChange',
  'TopicChange',
  'TopicDeletion',
  'PartitionReassignment',
  'AutoLeaderBalance',
  'ManualLeaderBalance',
  'ControlledShutdown',
  'IsrChange',
  'LeaderAndIsrResponseReceived',
  'LogDirChange',
]

function controllerGauges({ controller }: BrokerServices, channels: ControllerChannels): Collector {
  return (add) => {
    const { gauges } = controller
    const gauge = (name: string, value: number): void => add(`kafka.controller:type=KafkaController,name=${name}`, value)
    gauge('ActiveControllerCount', controller.isActive ? 1 : 0)
    gauge('OfflinePartitionsCount', gauges.offlinePartitionsCount)
    gauge('PreferredReplicaImbalanceCount', gauges.preferredReplicaImbalanceCount)
    gauge('GlobalTopicCount', gauges.globalTopicCount)
    gauge('GlobalPartitionCount', gauges.globalPartitionCount)
    gauge('ControllerState', CONTROLLER_STATES.indexOf(controller.state))
    let total = 0
    for (const broker of channels.brokers()) {
      const size = channels.queueSize(broker)
      total += size
      add(`kafka.controller:type=ControllerChannelManager,name=QueueSize,broker-id=${broker}`, size)
    }
    add('kafka.controller:type=ControllerChannelManager,name=TotalQueueSize', total)
    const { uncleanLeaderElections } = controller.stats
    add('kafka.controller:type=ControllerStats,name=UncleanLeaderElectionsPerSec', uncleanLeaderElections, 'counter')
  }
}

function registerController(registry: MetricRegistry, { controller }: BrokerServices): void {
  for (const [state, histogram] of controller.stats.timers) {
    const name = state === 'BrokerChange' ? 'LeaderElection' : state
    registry.adoptHistogram(`kafka.controller:type=ControllerStats,name=${name}RateAndTimeMs`, histogram)
  }
}

function logDirectories({ logManager }: BrokerServices): Collector {
  return (add) => {
    const { liveDirectories, offlineDirectories } = logManager
    add('kafka.log:type=LogManager,name=OfflineLogDirectoryCount', offlineDirectories.length)
    for (const directory of [...liveDirectories, ...offlineDirectories]) {
      const isOffline = offlineDirectories.includes(directory)
      add(`kafka.log:type=LogManager,name=LogDirectoryOffline,logDirectory=${directory}`, isOffline ? 1 : 0)
    }
  }
}

/** What a change of the session's state counts as. */
const SESSION_METERS: Readonly<Partial<Record<SessionState, string>>> = {
  connected: 'ZooKeeperSyncConnectsPerSec',
  disconnected: 'ZooKeeperDisconnectsPerSec',
  expired: 'ZooKeeperExpiresPerSec',
}

function registerZooKeeper(registry: MetricRegistry, { zk }: BrokerServices): void {
  const name = (what: string): string => `kafka.server:type=SessionExpireListener,name=${what}`
  for (const meter of Object.values(SESSION_METERS)) registry.counter(name(meter))
  // The metrics begin after the first connection.
  registry.counter(name('ZooKeeperSyncConnectsPerSec')).add(zk.session.state === 'connected' ? 1 : 0)
  zk.session.onState((state) => {
    const meter = SESSION_METERS[state]
    if (meter !== undefined) registry.counter(name(meter)).add(1)
  })
  registry.collect((add) => add(`${name('SessionState')},state=${zk.session.state.toUpperCase()}`, 1))
}
