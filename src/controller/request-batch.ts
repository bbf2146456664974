import type { BrokerId, Millis } from '../base/ids.ts'
import { inSlices } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'
import type { RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { FEW_PARTITIONS } from './pace.ts'
import { Collected, type Outgoing, RequestBuilder } from './request-building.ts'
import type { BrokerRpc, ControllerLog } from './types.ts'

export interface BatchListener {
  onLeaderAndIsrResponse(brokerId: BrokerId, response: ResponseOf<'LeaderAndIsr'>): void
  /** Of a StopReplica that deletes replicas of topics under deletion. */
  onReplicasDeleted(brokerId: BrokerId, deleted: readonly PartitionEntry[], failed: readonly PartitionEntry[]): void
  /** Some broker knows a newer controller. */
  onStaleControllerEpoch(brokerId: BrokerId): void
}

const SLICE_MS: Millis = 4

/**
 * Collects what an event has to tell the brokers, by destination, and sends it at `flush`: per broker one LeaderAndIsr, one
 * UpdateMetadata, then StopReplica (at most one that keeps and one that deletes), whatever the number of partitions. Contents are those
 * of the context at the time of the flush, so several changes of a partition in one event go out as the last one.
 */
export class RequestBatch {
  private readonly ctx: ControllerContext
  private readonly rpc: BrokerRpc
  private readonly clock: Clock
  private readonly builder: RequestBuilder
  private readonly listener: BatchListener
  private readonly log: ControllerLog
  private collected = new Collected()
  /** What a flush that needs several turns is at. */
  private flushing: Collected | undefined
  /** Brokers that have not answered the UpdateMetadata of the last flush. */
  private unheard = new Set<BrokerId>()
  private onHeard: (() => void) | undefined

  constructor(
    ctx: ControllerContext,
    rpc: BrokerRpc,
    clock: Clock,
    interBrokerListener: string,
    listener: BatchListener,
    log: ControllerLog,
  ) {
    this.ctx = ctx
    this.rpc = rpc
    this.clock = clock
    this.builder = new RequestBuilder(ctx, interBrokerListener, log)
    this.listener = listener
    this.log = log
  }

  /**
   * `isNew` sticks: once new in a batch, new. Receivers that are not replicas of the partition are left out (a list without the
   * receiver poisons the partition there), and so are brokers that are gone. The partition's metadata goes to everybody.
   */
  addLeaderAndIsr(brokers: Iterable<BrokerId>, entry: PartitionEntry, isNew: boolean): void {
    const { leaderAndIsr } = this.collected
    for (const broker of brokers) {
      if (!this.ctx.brokers.has(broker) || !entry.replicas.includes(broker)) continue
      let partitions = leaderAndIsr.get(broker)
      if (!partitions) leaderAndIsr.set(broker, (partitions = new Map()))
      partitions.set(entry, isNew || (partitions.get(entry) ?? false))
    }
    this.addMetadata([entry])
  }

  /** These partitions, and the list of live brokers, to every registered broker. Without partitions: the brokers only. */
  addMetadata(entries: Iterable<PartitionEntry> = []): void {
    this.collected.metadataToAll = true
    for (const entry of entries) this.collected.metadata.add(entry)
  }

  /** All partitions to these brokers. */
  addFullMetadata(brokers: Iterable<BrokerId>): void {
    for (const broker of brokers) this.collected.fullMetadata.add(broker)
  }

  /** `deleting`: the answer is reported to the listener. */
  addStopReplica(broker: BrokerId, entry: PartitionEntry, deletePartition: boolean, deleting = false): void {
    if (!this.ctx.brokers.has(broker)) return
    const stops = this.collected.stopsOf(broker)
    ;(deletePartition ? stops.delete : stops.stop).add(entry)
    if (deleting) stops.deleting.add(entry)
  }

  /** Forgets what was collected, and what a flush under way has not handed over yet. */
  clear(): void {
    this.collected = new Collected()
    this.flushing = undefined
  }

  /**
   * Hands everything to the brokers' queues and forgets it. Few partitions: now. Many are built in slices of the loop: the event must wait for that, so
   * that the context does not change meanwhile.
   */
  flush(): Promise<void> | undefined {
    const { collected } = this
    this.collected = new Collected()
    this.unheard = new Set()
    if (collected.isLong(this.ctx, FEW_PARTITIONS)) return this.flushInSlices(collected)
    for (const one of this.builder.requests(collected)) if (one !== undefined) this.send(one)
    return undefined
  }

  private async flushInSlices(collected: Collected): Promise<void> {
    this.flushing = collected
    await inSlices(this.clock, SLICE_MS, this.sendInSteps(collected))
    if (this.flushing === collected) this.flushing = undefined
  }

  private *sendInSteps(collected: Collected): Generator<void, void> {
    for (const one of this.builder.requests(collected)) {
      // The term has ended.
      if (this.flushing !== collected) return
      if (one !== undefined) this.send(one)
      yield
    }
  }

  /**
   * Until every broker has taken in the metadata of the last flush, but no longer than `patienceMs`: what is less urgent than its leaders would
   * be in the way of the broker in this process.
   */
  async heard(patienceMs: Millis): Promise<void> {
    if (this.unheard.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = this.clock.timer(patienceMs, resolve)
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
    unheard.add(to)
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
}
