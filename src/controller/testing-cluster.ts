import type { KafkaZk, PartitionStateWrite } from '../../zk/store/types.ts'
import type { BrokerRegistration, PartitionState } from '../../zk/znodes/types.ts'
import { type BrokerId, partitionKey } from '../base/ids.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { settle, VirtualClock } from '../ports/memory/virtual-clock.ts'
import type { RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { createController } from './controller.ts'
import { TestTree } from './testing-tree.ts'
import { type TestSession, testKafkaZk } from './testing-zk.ts'
import type { BrokerRpc, ControlApi, Controller, ControllerConfig, ControllerLog } from './types.ts'

const LATENCY_MS = 1

export function registration(brokerId: BrokerId, rack?: string): BrokerRegistration {
  const endpoint = { host: `host${brokerId}`, port: 9092, listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT' } as const
  return { brokerId, endpoints: [endpoint], jmxPort: -1, ...(rack !== undefined && { rack }) }
}

export const TEST_CONFIG: Omit<ControllerConfig, 'brokerId'> = {
  autoLeaderRebalanceEnable: false,
  leaderImbalancePerBrokerPercentage: 10,
  leaderImbalanceCheckIntervalSeconds: 300,
  uncleanLeaderElectionEnable: false,
  deleteTopicEnable: true,
  interBrokerProtocolVersion: '1.1-IV0',
  interBrokerListenerName: 'PLAINTEXT',
}

type HostedPartition = RequestInput<'LeaderAndIsr'>['partitionStates'][number]

/** What a broker does with control requests, without logs: the epoch rules, roles, and the metadata. */
export class FakeBroker {
  readonly id: BrokerId
  readonly session: TestSession
  readonly zk: KafkaZk
  readonly controller: Controller
  readonly hosted = new Map<string, HostedPartition>()
  metadata: RequestInput<'UpdateMetadata'> | undefined
  readonly leaders = new Map<string, BrokerId>()
  /** Partitions in a failed directory. */
  readonly failedDirs = new Set<string>()
  /** Requests are neither handled nor answered. */
  deaf = false
  deleteError: number = ErrorCode.NONE
  private controllerEpoch = 0

  constructor(id: BrokerId, session: TestSession, zk: KafkaZk, controller: Controller) {
    this.id = id
    this.session = session
    this.zk = zk
    this.controller = controller
  }

  handle(api: ControlApi, request: RequestInput<ControlApi>): ResponseOf<ControlApi> {
    if (request.controllerEpoch < this.controllerEpoch) return { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH, partitions: [] }
    this.controllerEpoch = request.controllerEpoch
    switch (api) {
      case 'LeaderAndIsr':
        return this.leaderAndIsr(request as RequestInput<'LeaderAndIsr'>)
      case 'UpdateMetadata':
        return this.updateMetadata(request as RequestInput<'UpdateMetadata'>)
      case 'StopReplica':
        return this.stopReplica(request as RequestInput<'StopReplica'>)
    }
  }

  private leaderAndIsr(request: RequestInput<'LeaderAndIsr'>): ResponseOf<'LeaderAndIsr'> {
    const partitions = request.partitionStates.map((state) => {
      const { topic, partition } = state
      const key = partitionKey(topic, partition)
      if (this.failedDirs.has(key)) return { topic, partition, errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
      const known = this.hosted.get(key)
      if (known && known.leaderEpoch >= state.leaderEpoch)
        return { topic, partition, errorCode: ErrorCode.STALE_CONTROLLER_EPOCH }
      this.hosted.set(key, state)
      return { topic, partition, errorCode: ErrorCode.NONE }
    })
    return { errorCode: ErrorCode.NONE, partitions }
  }

  private updateMetadata(request: RequestInput<'UpdateMetadata'>): ResponseOf<'UpdateMetadata'> {
    this.metadata = request
    for (const { topic, partition, leader } of request.partitionStates) {
      if (leader === -2) this.leaders.delete(partitionKey(topic, partition))
      else this.leaders.set(partitionKey(topic, partition), leader)
    }
    return { errorCode: ErrorCode.NONE }
  }

  private stopReplica(request: RequestInput<'StopReplica'>): ResponseOf<'StopReplica'> {
    const errorCode = request.deletePartitions ? this.deleteError : ErrorCode.NONE
    if (request.deletePartitions && errorCode === ErrorCode.NONE) {
      for (const { topic, partition } of request.partitions) this.hosted.delete(partitionKey(topic, partition))
    }
    return { errorCode: ErrorCode.NONE, partitions: request.partitions.map((one) => ({ ...one, errorCode })) }
  }
}

/** A controller's connection to a broker. */
interface Link {
  readonly to: BrokerId
  readonly onLink: ((isUp: boolean) => void) | undefined
  isUp: boolean
}

/** Brokers with their controllers on one in-memory ZooKeeper and a virtual clock. */
export class TestCluster {
  readonly clock: VirtualClock
  readonly tree = new TestTree()
  readonly brokers = new Map<BrokerId, FakeBroker>()
  /** `0 -> 1 LeaderAndIsr ...`, every control request as it arrives. */
  readonly requests: string[] = []
  /** Warnings and errors of the controllers. */
  readonly complaints: string[] = []
  readonly notes: string[] = []
  private readonly config: Partial<ControllerConfig>
  private tool: KafkaZk | undefined
  private readonly links = new Set<Link>()

  constructor(config: Partial<ControllerConfig> = {}, clock: VirtualClock = new VirtualClock()) {
    this.config = config
    this.clock = clock
    for (const path of [
      '/consumers',
      '/brokers/ids',
      '/brokers/topics',
      '/config/topics',
      '/config/changes',
      '/admin/delete_topics',
    ]) {
      this.tree.put(path, null)
    }
    this.tree.put('/isr_change_notification', null)
    this.tree.put('/log_dir_event_notification', null)
  }

  /** Brokers register together, then start their controllers one after the other. */
  async start(...ids: BrokerId[]): Promise<void> {
    for (const id of ids) await this.register(id)
    for (const id of ids) {
      this.broker(id).controller.start()
      await this.settle()
    }
  }

  private async register(id: BrokerId): Promise<void> {
    const { session, zk } = testKafkaZk(this.tree, `broker ${id}`, this.clock, this.log)
    const registerBroker = async (): Promise<void> => {
      if ((await zk.registerBroker(registration(id))) === 'exists') throw new Error(`broker id ${id} is taken`)
    }
    const controller = createController({
      config: { ...TEST_CONFIG, ...this.config, brokerId: id },
      zk,
      rpc: this.rpcOf(id),
      clock: this.clock,
      rng: new SeededRng(id),
      log: this.log,
      registerBroker,
      onFatal: (error) => {
        throw error
      },
    })
    controller.onEvent(({ kind, detail }) => this.notes.push(`${id} ${kind} ${detail}`))
    this.brokers.set(id, new FakeBroker(id, session, zk, controller))
    await registerBroker()
  }

  /** Lets everything that is due in the next moments happen; no time-out of seconds passes. */
  async settle(ms = 50): Promise<void> {
    await this.clock.advance(ms)
    await settle()
  }

  broker(id: BrokerId): FakeBroker {
    const broker = this.brokers.get(id)
    if (!broker) throw new Error(`broker ${id} is not running`)
    return broker
  }

  get controller(): FakeBroker {
    const active = [...this.brokers.values()].filter((broker) => broker.controller.isActive)
    if (active.length !== 1) throw new Error(`${active.length} brokers are controller`)
    return active[0]!
  }

  /** A tool's client. */
  get zk(): KafkaZk {
    this.tool ??= testKafkaZk(this.tree, 'tool', this.clock, this.log).zk
    return this.tool
  }

  /** The process is gone and its session has timed out. */
  async kill(id: BrokerId): Promise<void> {
    const broker = this.broker(id)
    this.brokers.delete(id)
    await broker.session.close()
    await this.settle()
    await broker.controller.stop()
  }

  /** The process is gone: its connections break at once. Its session lives on until it is closed: a zombie may still write in it. */
  async crash(id: BrokerId): Promise<FakeBroker> {
    const broker = this.broker(id)
    this.brokers.delete(id)
    await broker.controller.stop()
    this.breakLinks(id)
    return broker
  }

  /** The controllers' connections to a broker break; they are made again with the next request. */
  breakLinks(to: BrokerId): void {
    for (const link of this.links) {
      if (link.to !== to || !link.isUp) continue
      link.isUp = false
      link.onLink?.(false)
    }
  }

  /** Every leader takes the live replicas that host its partition into the ISR and notifies the controller. */
  async catchUp(): Promise<void> {
    for (const leader of this.brokers.values()) {
      const expanded: { topic: string; partition: number }[] = []
      for (const [key, state] of leader.hosted) {
        if (state.leader !== leader.id) continue
        const joining = state.replicas.filter((id) => !state.isr.includes(id) && this.brokers.get(id)?.hosted.has(key))
        if (joining.length === 0) continue
        const write: PartitionStateWrite = { ...state, isr: [...state.isr, ...joining], expectedVersion: state.zkVersion }
        const { outcome, zkVersion } = await leader.zk.updateIsr(write)
        if (outcome !== 'ok') continue
        leader.hosted.set(key, { ...state, isr: write.isr, zkVersion })
        expanded.push({ topic: state.topic, partition: state.partition })
      }
      if (expanded.length > 0) await leader.zk.createIsrChangeNotification(expanded)
    }
    await this.settle()
  }

  async createTopic(topic: string, ...replicas: (readonly BrokerId[])[]): Promise<void> {
    await this.zk.createTopicAssignment(topic, new Map(replicas.map((list, partition) => [partition, list])))
    await this.settle()
  }

  async state(topic: string, partition: number): Promise<PartitionState | undefined> {
    return (await this.zk.getPartitionStates([{ topic, partition }])).get(`${topic}-${partition}`)
  }

  /** `leader 1 epoch 2 isr [1,2] v3` */
  async stateLine(topic: string, partition = 0): Promise<string> {
    const state = await this.state(topic, partition)
    return state ? `leader ${state.leader} epoch ${state.leaderEpoch} isr [${state.isr.join(',')}] v${state.zkVersion}` : 'none'
  }

  /** What must hold when nothing is under way. Answers what does not. */
  async problems(): Promise<string[]> {
    const found: string[] = []
    const active = [...this.brokers.values()].filter((broker) => broker.controller.isActive)
    if (active.length !== 1) found.push(`${active.length} controllers`)
    for (const path of ['/admin/reassign_partitions', '/admin/preferred_replica_election'])
      if (this.tree.get(path)) found.push(`${path} is left`)
    for (const path of ['/admin/delete_topics', '/isr_change_notification'])
      if (this.tree.get(path)?.children.size) found.push(`${path} is not empty`)
    const assignments = await this.zk.getAssignments(await this.zk.getTopics())
    for (const [topic, assignment] of assignments) {
      for (const [partition, replicas] of assignment) found.push(...(await this.partitionProblems(topic, partition, replicas)))
    }
    for (const broker of this.brokers.values()) {
      for (const [key, { topic }] of broker.hosted)
        if (!assignments.has(topic)) found.push(`${broker.id} hosts ${key} of a deleted topic`)
      for (const key of broker.leaders.keys())
        if (!assignments.has(key.slice(0, key.lastIndexOf('-')))) found.push(`${broker.id} knows ${key} of a deleted topic`)
    }
    return found
  }

  private async partitionProblems(topic: string, partition: number, replicas: readonly BrokerId[]): Promise<string[]> {
    const key = `${topic}-${partition}`
    const state = await this.state(topic, partition)
    if (!state) return [`${key} has no state`]
    const found: string[] = []
    if (!this.brokers.has(state.leader)) found.push(`${key}: leader ${state.leader} is not alive`)
    if (!state.isr.includes(state.leader)) found.push(`${key}: leader ${state.leader} is not in the ISR ${state.isr}`)
    if (state.isr.some((id) => !replicas.includes(id))) found.push(`${key}: ISR ${state.isr} is not within ${replicas}`)
    for (const broker of this.brokers.values()) {
      if (broker.leaders.get(key) !== state.leader)
        found.push(`${key}: ${broker.id} thinks that ${broker.leaders.get(key)} leads, not ${state.leader}`)
      const hosted = broker.hosted.get(key)
      if (replicas.includes(broker.id) !== (hosted !== undefined))
        found.push(`${key}: ${broker.id} ${hosted ? 'still hosts' : 'does not host'} it`)
      if (hosted && hosted.leaderEpoch !== state.leaderEpoch)
        found.push(`${key}: ${broker.id} is at epoch ${hosted.leaderEpoch}, not ${state.leaderEpoch}`)
      if (hosted && hosted.leader === broker.id && hosted.zkVersion !== state.zkVersion)
        found.push(`${key}: leader has zkVersion ${hosted.zkVersion}, not ${state.zkVersion}`)
    }
    return found
  }

  /** Takes what was written and sent since the last call. */
  takeWrites(): string[] {
    return this.tree.log.splice(0)
  }

  takeRequests(): string[] {
    return this.requests.splice(0)
  }

  private readonly log: ControllerLog = {
    debug: () => {},
    info: () => {},
    warn: (message) => this.complaints.push(message),
    error: (message) => this.complaints.push(message),
  }

  /** Delivers in order after a moment; a broker that is not there, or deaf, never answers. */
  private rpcOf(from: BrokerId): BrokerRpc {
    const known = new Map<BrokerId, Link>()
    return {
      addBroker: ({ brokerId }, onLink) => {
        const link = { to: brokerId, onLink, isUp: false }
        known.set(brokerId, link)
        this.links.add(link)
      },
      removeBroker: (id) => {
        this.links.delete(known.get(id)!)
        known.delete(id)
      },
      send: (to, api, sent, onResponse) => {
        const request = sent as RequestInput<ControlApi>
        const incarnation = known.get(to)
        if (!incarnation) return
        this.clock.timer(LATENCY_MS, () => {
          const broker = this.brokers.get(to)
          if (known.get(to) !== incarnation || !broker || broker.deaf) return
          if (!incarnation.isUp) {
            incarnation.isUp = true
            incarnation.onLink?.(true)
          }
          this.requests.push(`${from} -> ${to} ${describeRequest(api, request)}`)
          const response = broker.handle(api, request) as Parameters<NonNullable<typeof onResponse>>[0]
          this.clock.timer(LATENCY_MS, () => known.get(to) === incarnation && onResponse?.(response))
        })
      },
    }
  }
}

export function describeRequest(api: ControlApi, request: RequestInput<ControlApi>): string {
  const parts = [`${api} e${request.controllerEpoch}`]
  if (api === 'StopReplica') {
    const { deletePartitions, partitions } = request as RequestInput<'StopReplica'>
    if (deletePartitions) parts.push('delete')
    parts.push(...partitions.map(({ topic, partition }) => `${topic}-${partition}`))
    return parts.join(' ')
  }
  const { partitionStates } = request as RequestInput<'LeaderAndIsr'>
  for (const p of partitionStates) {
    const offline = (p as { offlineReplicas?: readonly number[] }).offlineReplicas ?? []
    const extra = `${p.isNew ? ' new' : ''}${offline.length > 0 ? ` offline [${offline.join(',')}]` : ''}`
    parts.push(
      `${p.topic}-${p.partition}{${p.leader} e${p.leaderEpoch} isr [${p.isr.join(',')}] v${p.zkVersion} of [${p.replicas.join(',')}]${extra}}`,
    )
  }
  const nodes =
    api === 'LeaderAndIsr'
      ? (request as RequestInput<'LeaderAndIsr'>).liveLeaders
      : (request as RequestInput<'UpdateMetadata'>).liveBrokers
  parts.push(`${api === 'LeaderAndIsr' ? 'leaders' : 'brokers'} [${nodes.map(({ id }) => id).join(',')}]`)
  return parts.join(' ')
}
