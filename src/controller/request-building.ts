import type { BrokerRegistration, Endpoint, PartitionState } from '../../zk/znodes/types.ts'
import type { BrokerId } from '../base/ids.ts'
import type { RequestInput } from '../protocol/apis/index.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import type { ControllerLog } from './types.ts'

/** `leader` of a partition that has none: stored and sent. */
export const NO_LEADER = -1
/** `leader` in UpdateMetadata of a partition whose topic is being deleted: never stored. */
export const LEADER_DURING_DELETE = -2

type LeaderAndIsrPartition = RequestInput<'LeaderAndIsr'>['partitionStates'][number]
type MetadataPartition = RequestInput<'UpdateMetadata'>['partitionStates'][number]
type MetadataBroker = RequestInput<'UpdateMetadata'>['liveBrokers'][number]

/** One request of a batch, in the order of sending. */
export type Outgoing =
  | { readonly api: 'LeaderAndIsr'; readonly to: BrokerId; readonly request: RequestInput<'LeaderAndIsr'> }
  | { readonly api: 'UpdateMetadata'; readonly to: BrokerId; readonly request: RequestInput<'UpdateMetadata'> }
  | {
      readonly api: 'StopReplica'
      readonly to: BrokerId
      readonly request: RequestInput<'StopReplica'>
      /** What to report back when the answer matters: the partitions of topics under deletion. */
      readonly deleting: readonly PartitionEntry[]
    }

interface Stops {
  readonly stop: Set<PartitionEntry>
  readonly delete: Set<PartitionEntry>
  /** Those of `delete` whose answer drives a topic deletion. */
  readonly deleting: Set<PartitionEntry>
}

/** What an event has to tell the brokers: whom of what. */
export class Collected {
  /** By receiver; true: the partition is new there. */
  readonly leaderAndIsr = new Map<BrokerId, Map<PartitionEntry, boolean>>()
  readonly fullMetadata = new Set<BrokerId>()
  readonly metadata = new Set<PartitionEntry>()
  metadataToAll = false
  readonly stops = new Map<BrokerId, Stops>()

  stopsOf(broker: BrokerId): Stops {
    let stops = this.stops.get(broker)
    if (!stops) this.stops.set(broker, (stops = { stop: new Set(), delete: new Set(), deleting: new Set() }))
    return stops
  }

  /** Some request is about more than `few` partitions, or all together are about several times as many. */
  isLong(ctx: ControllerContext, few: number): boolean {
    const sizes = [this.metadata.size]
    if (this.fullMetadata.size > 0) sizes.push(ctx.partitionCount)
    for (const partitions of this.leaderAndIsr.values()) sizes.push(partitions.size)
    for (const stops of this.stops.values()) sizes.push(stops.stop.size, stops.delete.size)
    return Math.max(...sizes) > few || sizes.reduce((sum, size) => sum + size) > 8 * few
  }
}

/** Partitions between two steps. */
const STEP = 64

/** Requests in the order of sending, and `undefined` where a step of the work was done. */
type Steps<T> = Generator<Outgoing | undefined, T>

/** Makes requests of what was collected, by the context. Receivers that are to hear the same share one request object. */
export class RequestBuilder {
  private readonly ctx: ControllerContext
  private readonly listenerName: string
  private readonly log: ControllerLog

  constructor(ctx: ControllerContext, interBrokerListener: string, log: ControllerLog) {
    this.ctx = ctx
    this.listenerName = interBrokerListener
    this.log = log
  }

  /** The context must not change before the last step. */
  *requests(collected: Collected): Steps<void> {
    yield* this.leaderAndIsr(collected.leaderAndIsr)
    yield* this.metadata(collected)
    for (const to of ascending(collected.stops.keys())) yield* this.stops(to, collected.stopsOf(to))
  }

  private *leaderAndIsr(receivers: ReadonlyMap<BrokerId, ReadonlyMap<PartitionEntry, boolean>>): Steps<void> {
    const made: { partitions: ReadonlyMap<PartitionEntry, boolean>; request: RequestInput<'LeaderAndIsr'> }[] = []
    for (const to of ascending(receivers.keys())) {
      const partitions = receivers.get(to)!
      let request = made.find((one) => isSameMap(one.partitions, partitions))?.request
      if (request === undefined) made.push({ partitions, request: (request = yield* this.leaderAndIsrRequest(partitions)) })
      if (request.partitionStates.length > 0) yield { api: 'LeaderAndIsr', to, request }
    }
  }

  private *leaderAndIsrRequest(partitions: ReadonlyMap<PartitionEntry, boolean>): Steps<RequestInput<'LeaderAndIsr'>> {
    const partitionStates: LeaderAndIsrPartition[] = []
    const leaders = new Set<BrokerId>()
    for (const [entry, isNew] of partitions) {
      if (!entry.leadership) continue
      if (partitionStates.length % STEP === STEP - 1) yield
      partitionStates.push({ ...stateFields(entry, entry.leadership), isNew })
      leaders.add(entry.leadership.leader)
    }
    return {
      controllerId: this.ctx.controllerId,
      controllerEpoch: this.ctx.epoch,
      partitionStates,
      liveLeaders: ascending(leaders).flatMap((id) => this.liveLeader(id)),
    }
  }

  /** Empty for a leader that is gone, or that has no inter-broker listener (which must not stop the others, as it does in 1.1). */
  private liveLeader(id: BrokerId): { id: number; host: string; port: number }[] {
    const broker = this.ctx.brokers.get(id)
    if (!broker) return []
    const endpoint = broker.endpoints.find((e) => e.listenerName === this.listenerName)
    if (endpoint) return [{ id, host: endpoint.host, port: endpoint.port }]
    this.log.error(`Broker ${id} has no listener ${this.listenerName} (inter-broker listener); its followers cannot reach it`)
    return []
  }

  private *metadata({ metadata, metadataToAll, fullMetadata }: Collected): Steps<void> {
    if (!metadataToAll && fullMetadata.size === 0) return
    const all = fullMetadata.size > 0 ? new Set([...this.ctx.partitions(), ...metadata]) : undefined
    const full = all && (yield* this.metadataRequest(all))
    const some = metadataToAll ? yield* this.metadataRequest(metadata) : undefined
    for (const to of this.ctx.registeredBrokers()) {
      const request = full && fullMetadata.has(to) ? full : some
      if (request) yield { api: 'UpdateMetadata', to, request }
    }
  }

  private *metadataRequest(entries: ReadonlySet<PartitionEntry>): Steps<RequestInput<'UpdateMetadata'>> {
    const partitionStates: MetadataPartition[] = []
    for (const entry of entries) {
      if (!entry.leadership) continue
      if (partitionStates.length % STEP === STEP - 1) yield
      const during: PartitionState = this.ctx.isBeingDeleted(entry.topic)
        ? { ...entry.leadership, leader: LEADER_DURING_DELETE, leaderEpoch: 0, zkVersion: 0 }
        : entry.leadership
      const offlineReplicas = entry.replicas.filter((id) => !this.ctx.isOnline(id, entry))
      partitionStates.push({ ...stateFields(entry, during), offlineReplicas })
    }
    return {
      controllerId: this.ctx.controllerId,
      controllerEpoch: this.ctx.epoch,
      partitionStates,
      liveBrokers: this.ctx.registeredBrokers().map((id) => metadataBroker(this.ctx.brokers.get(id)!)),
    }
  }

  private *stops(to: BrokerId, stops: Stops): Steps<void> {
    if (stops.stop.size > 0) yield { api: 'StopReplica', to, request: yield* this.stopRequest(stops.stop, false), deleting: [] }
    if (stops.delete.size > 0) {
      const deleting = [...stops.deleting]
      yield { api: 'StopReplica', to, request: yield* this.stopRequest(stops.delete, true), deleting }
    }
  }

  private *stopRequest(entries: Iterable<PartitionEntry>, deletePartitions: boolean): Steps<RequestInput<'StopReplica'>> {
    const partitions: { topic: string; partition: number }[] = []
    for (const { topic, partition } of entries) {
      if (partitions.length % STEP === STEP - 1) yield
      partitions.push({ topic, partition })
    }
    return { controllerId: this.ctx.controllerId, controllerEpoch: this.ctx.epoch, deletePartitions, partitions }
  }
}

/** Same partitions in the same order, new for the one where they are new for the other. */
function isSameMap(a: ReadonlyMap<PartitionEntry, boolean>, b: ReadonlyMap<PartitionEntry, boolean>): boolean {
  if (a.size !== b.size) return false
  const others = b.entries()
  for (const [entry, isNew] of a) {
    const [other, isOtherNew] = others.next().value!
    if (other !== entry || isOtherNew !== isNew) return false
  }
  return true
}

function stateFields(entry: PartitionEntry, state: PartitionState): Omit<LeaderAndIsrPartition, 'isNew'> {
  return {
    topic: entry.topic,
    partition: entry.partition,
    controllerEpoch: state.controllerEpoch,
    leader: state.leader,
    leaderEpoch: state.leaderEpoch,
    isr: state.isr,
    zkVersion: state.zkVersion,
    replicas: entry.replicas,
  }
}

function ascending(ids: Iterable<BrokerId>): BrokerId[] {
  return [...ids].sort((a, b) => a - b)
}

const SECURITY_PROTOCOL_IDS: Readonly<Record<Endpoint['securityProtocol'], number>> = {
  PLAINTEXT: 0,
  SSL: 1,
  SASL_PLAINTEXT: 2,
  SASL_SSL: 3,
}

/** All fields of all versions: host and port (v0 only) are those of the first PLAINTEXT endpoint. */
function metadataBroker(broker: BrokerRegistration): MetadataBroker {
  const plain = broker.endpoints.find((endpoint) => endpoint.securityProtocol === 'PLAINTEXT')
  return {
    id: broker.brokerId,
    endPoints: broker.endpoints.map(({ host, port, listenerName, securityProtocol }) => ({
      port,
      host,
      listenerName,
      securityProtocolType: SECURITY_PROTOCOL_IDS[securityProtocol],
    })),
    rack: broker.rack ?? null,
    host: plain?.host ?? '',
    port: plain?.port ?? -1,
  }
}
