import type { BrokerRegistration, Endpoint, PartitionState } from '../../zk/znodes/types.ts'
import type { BrokerId, Millis } from '../base/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import type { BrokerRpc, ControllerLog } from './types.ts'

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

export interface BatchListener {
  onLeaderAndIsrResponse(brokerId: BrokerId, response: ResponseOf<'LeaderAndIsr'>): void
  /** Of a StopReplica that deletes replicas of topics under deletion. */
  onReplicasDeleted(brokerId: BrokerId, deleted: readonly PartitionEntry[], failed: readonly PartitionEntry[]): void
  /** Some broker knows a newer controller. */
  onStaleControllerEpoch(brokerId: BrokerId): void
}

interface Stops {
  readonly stop: Set<PartitionEntry>
  readonly delete: Set<PartitionEntry>
  /** Those of `delete` whose answer drives a topic deletion. */
  readonly deleting: Set<PartitionEntry>
}

/**
 * Collects what an event has to tell the brokers, by destination, and sends it at `flush`: per broker one LeaderAndIsr, one
 * UpdateMetadata, then StopReplica (at most one that keeps and one that deletes), whatever the number of partitions. Contents are those
 * of the context at the time of the flush, so several changes of a partition in one event go out as the last one.
 */
export class RequestBatch {
  private readonly ctx: ControllerContext
  private readonly rpc: BrokerRpc
  private readonly listenerName: string
  private readonly listener: BatchListener
  private readonly log: ControllerLog
  private readonly leaderAndIsr = new Map<BrokerId, Map<PartitionEntry, boolean>>()
  private readonly fullMetadata = new Set<BrokerId>()
  private readonly metadata = new Set<PartitionEntry>()
  private metadataToAll = false
  private readonly stops = new Map<BrokerId, Stops>()
  /** Brokers that have not answered the UpdateMetadata of the last flush. */
  private unheard = new Set<BrokerId>()
  private onHeard: (() => void) | undefined

  constructor(ctx: ControllerContext, rpc: BrokerRpc, interBrokerListener: string, listener: BatchListener, log: ControllerLog) {
    this.ctx = ctx
    this.rpc = rpc
    this.listenerName = interBrokerListener
    this.listener = listener
    this.log = log
  }

  /**
   * `isNew` sticks: once new in a batch, new. Receivers that are not replicas of the partition are left out (a list without the
   * receiver poisons the partition there), and so are brokers that are gone. The partition's metadata goes to everybody.
   */
  addLeaderAndIsr(brokers: Iterable<BrokerId>, entry: PartitionEntry, isNew: boolean): void {
    for (const broker of brokers) {
      if (!this.ctx.brokers.has(broker) || !entry.replicas.includes(broker)) continue
      let partitions = this.leaderAndIsr.get(broker)
      if (!partitions) this.leaderAndIsr.set(broker, (partitions = new Map()))
      partitions.set(entry, isNew || (partitions.get(entry) ?? false))
    }
    this.addMetadata([entry])
  }

  /** These partitions, and the list of live brokers, to every registered broker. Without partitions: the brokers only. */
  addMetadata(entries: Iterable<PartitionEntry> = []): void {
    this.metadataToAll = true
    for (const entry of entries) this.metadata.add(entry)
  }

  /** All partitions to these brokers. */
  addFullMetadata(brokers: Iterable<BrokerId>): void {
    for (const broker of brokers) this.fullMetadata.add(broker)
  }

  /** `deleting`: the answer is reported to the listener. */
  addStopReplica(broker: BrokerId, entry: PartitionEntry, deletePartition: boolean, deleting = false): void {
    if (!this.ctx.brokers.has(broker)) return
    let stops = this.stops.get(broker)
    if (!stops) this.stops.set(broker, (stops = { stop: new Set(), delete: new Set(), deleting: new Set() }))
    ;(deletePartition ? stops.delete : stops.stop).add(entry)
    if (deleting) stops.deleting.add(entry)
  }

  clear(): void {
    this.leaderAndIsr.clear()
    this.fullMetadata.clear()
    this.metadata.clear()
    this.metadataToAll = false
    this.stops.clear()
  }

  /** Pure: what `flush` would send now. */
  build(): Outgoing[] {
    const outgoing: Outgoing[] = []
    for (const to of ascending(this.leaderAndIsr.keys())) {
      const request = this.buildLeaderAndIsr(this.leaderAndIsr.get(to) ?? new Map())
      if (request.partitionStates.length > 0) outgoing.push({ api: 'LeaderAndIsr', to, request })
    }
    this.buildMetadata(outgoing)
    for (const to of ascending(this.stops.keys())) this.buildStops(to, outgoing)
    return outgoing
  }

  /** Hands everything to the brokers' queues and forgets it. */
  flush(): void {
    const outgoing = this.build()
    this.clear()
    this.unheard = new Set(outgoing.flatMap(({ api, to }) => (api === 'UpdateMetadata' ? [to] : [])))
    for (const one of outgoing) this.send(one)
  }

  /**
   * Until every broker has taken in the metadata of the last flush, but no longer than `patienceMs`: what is less urgent than its leaders would
   * be in the way of the broker in this process.
   */
  async heard(clock: Pick<Clock, 'timer'>, patienceMs: Millis): Promise<void> {
    if (this.unheard.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = clock.timer(patienceMs, resolve)
      this.onHeard = () => {
        timer.cancel()
        resolve()
      }
    })
    this.onHeard = undefined
  }

  private send(one: Outgoing): void {
    switch (one.api) {
      case 'LeaderAndIsr':
        this.rpc.send(one.to, 'LeaderAndIsr', one.request, (response) => this.listener.onLeaderAndIsrResponse(one.to, response))
        return
      case 'UpdateMetadata':
        this.sendMetadata(one.to, one.request)
        return
      case 'StopReplica':
        this.rpc.send(one.to, 'StopReplica', one.request, (response) => this.stopAnswered(one.to, one.deleting, response))
        return
    }
  }

  private sendMetadata(to: BrokerId, request: RequestInput<'UpdateMetadata'>): void {
    const { unheard } = this
    this.rpc.send(to, 'UpdateMetadata', request, (response) => {
      unheard.delete(to)
      if (unheard === this.unheard && unheard.size === 0) this.onHeard?.()
      this.metadataAnswered(to, response.errorCode)
    })
  }

  private metadataAnswered(broker: BrokerId, error: number): void {
    if (error === ErrorCode.STALE_CONTROLLER_EPOCH) this.listener.onStaleControllerEpoch(broker)
    else if (error !== ErrorCode.NONE) this.log.error(`Broker ${broker} answered UpdateMetadata with error ${error}`)
  }

  private stopAnswered(broker: BrokerId, deleting: readonly PartitionEntry[], response: ResponseOf<'StopReplica'>): void {
    // The list may be empty then, so a topic deletion would wait for ever (1.1 does): count all as failed.
    const refused = response.errorCode !== ErrorCode.NONE
    if (response.errorCode === ErrorCode.STALE_CONTROLLER_EPOCH) this.listener.onStaleControllerEpoch(broker)
    if (deleting.length === 0) return
    const bad = new Set(response.partitions.filter((p) => p.errorCode !== ErrorCode.NONE).map((p) => `${p.topic}-${p.partition}`))
    const failed = deleting.filter((entry) => refused || bad.has(entry.key))
    const deleted = deleting.filter((entry) => !refused && !bad.has(entry.key))
    this.listener.onReplicasDeleted(broker, deleted, failed)
  }

  private buildLeaderAndIsr(partitions: ReadonlyMap<PartitionEntry, boolean>): RequestInput<'LeaderAndIsr'> {
    const partitionStates: LeaderAndIsrPartition[] = []
    const leaders = new Set<BrokerId>()
    for (const [entry, isNew] of partitions) {
      if (!entry.leadership) continue
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

  private buildMetadata(outgoing: Outgoing[]): void {
    if (!this.metadataToAll && this.fullMetadata.size === 0) return
    const liveBrokers = this.ctx.registeredBrokers().map((id) => metadataBroker(this.ctx.brokers.get(id)!))
    const request = (entries: Iterable<PartitionEntry>): RequestInput<'UpdateMetadata'> => ({
      controllerId: this.ctx.controllerId,
      controllerEpoch: this.ctx.epoch,
      partitionStates: this.metadataPartitions(entries),
      liveBrokers,
    })
    const full = this.fullMetadata.size > 0 ? request(new Set([...this.ctx.partitions(), ...this.metadata])) : undefined
    const some = this.metadataToAll ? request(this.metadata) : undefined
    for (const to of this.ctx.registeredBrokers()) {
      const chosen = full && this.fullMetadata.has(to) ? full : some
      if (chosen) outgoing.push({ api: 'UpdateMetadata', to, request: chosen })
    }
  }

  private metadataPartitions(entries: Iterable<PartitionEntry>): MetadataPartition[] {
    const states: MetadataPartition[] = []
    for (const entry of entries) {
      if (!entry.leadership) continue
      const during: PartitionState = this.ctx.isBeingDeleted(entry.topic)
        ? { ...entry.leadership, leader: LEADER_DURING_DELETE, leaderEpoch: 0, zkVersion: 0 }
        : entry.leadership
      const offlineReplicas = entry.replicas.filter((id) => !this.ctx.isOnline(id, entry))
      states.push({ ...stateFields(entry, during), offlineReplicas })
    }
    return states
  }

  private buildStops(to: BrokerId, outgoing: Outgoing[]): void {
    const stops = this.stops.get(to)
    if (!stops) return
    if (stops.stop.size > 0) outgoing.push({ api: 'StopReplica', to, request: this.stopRequest(stops.stop, false), deleting: [] })
    if (stops.delete.size > 0) {
      const deleting = [...stops.deleting]
      outgoing.push({ api: 'StopReplica', to, request: this.stopRequest(stops.delete, true), deleting })
    }
  }

  private stopRequest(entries: Iterable<PartitionEntry>, deletePartitions: boolean): RequestInput<'StopReplica'> {
    return {
      controllerId: this.ctx.controllerId,
      controllerEpoch: this.ctx.epoch,
      deletePartitions,
      partitions: [...entries].map(({ topic, partition }) => ({ topic, partition })),
    }
  }
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
