import type { Log } from '../log/types.ts'
import type { PartitionView } from '../replication/types.ts'
import type { BrokerNode, BrokerProcess } from './broker-node.ts'
import type { Cluster } from './cluster.ts'
import { batchesOf, bytesOf } from './log-bytes.ts'
import type { World } from './world.ts'
import type { PartitionZnode, ZnodeChecker } from './znode-checker.ts'

interface Seen {
  epoch: number
  highWatermark: number
  /** Up to here the log was compared with what was committed. */
  checked: number
  /** Highest high watermark of this log in this life, in any epoch. */
  kept: number
  readonly log: Log
}

/** A committed batch: offsets and contents that no replica may ever contradict. */
interface Canonical {
  readonly last: number
  readonly mark: string
}

export interface ReplicaExpectations {
  readonly strongIsr: boolean
  readonly durability: boolean
  readonly allowsUnclean: boolean
}

/**
 * After each event looks at the replicas of the broker that ran: one leader per epoch, a high watermark that does not fall, committed batches
 * that stay what they are, and (in strict clusters) ISR members that hold everything committed.
 */
export class ReplicaChecker {
  readonly #world: World
  readonly #cluster: Cluster
  readonly #znodes: ZnodeChecker
  readonly #leaders = new Map<string, number>()
  readonly #seen = new WeakMap<BrokerProcess, Map<string, Seen>>()
  /** What was seen of each last: most events change nothing. */
  readonly #last = new WeakMap<PartitionView, Seen>()
  /** Partition -> base offset -> batch. */
  readonly #canonical = new Map<string, Map<number, Canonical>>()
  /** Partition -> end of what was ever committed in it. */
  readonly #committedEnd = new Map<string, number>()
  readonly #expectsStrongIsr: boolean
  /** With unclean elections or lost disks committed records may go. */
  readonly #expectsDurability: boolean
  readonly #allowsUnclean: boolean

  constructor(cluster: Cluster, znodes: ZnodeChecker, expects: ReplicaExpectations) {
    this.#allowsUnclean = expects.allowsUnclean
    this.#world = cluster.world
    this.#cluster = cluster
    this.#znodes = znodes
    this.#expectsStrongIsr = expects.strongIsr
    this.#expectsDurability = expects.durability
    this.#world.afterEvent.push(() => this.#check())
    if (this.#expectsStrongIsr) znodes.onState.push((key, state) => this.#checkMembers(key, state, 0))
  }

  #check(): void {
    const node = this.#cluster.running
    if (node?.process !== undefined) this.#checkBroker(node, node.process)
  }

  #checkBroker(node: BrokerNode, process: BrokerProcess): void {
    const { replicaManager } = process.server
    if (replicaManager === undefined) return
    let seen = this.#seen.get(process)
    if (seen === undefined) this.#seen.set(process, (seen = new Map()))
    for (const view of replicaManager.partitions()) {
      const { log, highWatermark, leaderEpoch } = view
      if (log === undefined) continue
      const last = this.#last.get(view)
      if (last?.epoch === leaderEpoch && last.highWatermark === highWatermark && log.logEndOffset >= highWatermark) continue
      const key = `${view.topic}-${view.partition}`
      this.#last.set(view, this.#compare(node, view, key, seen.get(key), seen))
    }
  }

  #compare(node: BrokerNode, view: PartitionView, key: string, before: Seen | undefined, seen: Map<string, Seen>): Seen {
    const { leaderEpoch: epoch, highWatermark, isLeader } = view
    const log = view.log!
    const where = `${node.host} ${key}`
    if (highWatermark > log.logEndOffset)
      this.#world.violation('hw-bounds', `${where}: high watermark ${highWatermark} > end ${log.logEndOffset}`)
    const isSame = before?.epoch === epoch
    if (isSame && highWatermark < before.highWatermark && this.#expectsDurability)
      this.#world.violation('hw-monotone', `${where}: ${before.highWatermark} -> ${highWatermark} in epoch ${epoch}`)
    // A replica that was moved away and comes back begins with another log.
    const kept = Math.max(before?.log === log ? before.kept : 0, highWatermark)
    // What this replica knew to be committed stays in its own log, whatever its leader has lost (H11).
    if (log.logEndOffset < kept && !this.#allowsUnclean)
      this.#world.violation('keeps-committed', `${where}: knew ${kept} to be committed, ends at ${log.logEndOffset}`)
    let checked = isSame ? before.checked : 0
    if (isLeader) {
      this.#checkLeader(node, key, epoch)
      if (checked < highWatermark) {
        this.#compareCommitted(where, key, view, checked, highWatermark)
        checked = highWatermark
      }
      if (this.#expectsStrongIsr) this.#checkStrongIsr(node, view, key)
    }
    const now = { epoch, highWatermark, checked, kept, log }
    seen.set(key, now)
    return now
  }

  #checkLeader(node: BrokerNode, key: string, epoch: number): void {
    const known = this.#leaders.get(`${key}/${epoch}`) ?? node.id
    if (known !== node.id) this.#world.violation('leader-unique', `${key} epoch ${epoch}: ${known} and ${node.id}`)
    this.#leaders.set(`${key}/${epoch}`, node.id)
  }

  #compareCommitted(where: string, key: string, view: PartitionView, from: number, upTo: number): void {
    let known = this.#canonical.get(key)
    if (known === undefined) this.#canonical.set(key, (known = new Map()))
    let bytes: Buffer
    try {
      bytes = bytesOf(view.log!, from, upTo)
    } catch {
      // A directory that has just failed: the broker finds out by itself.
      return
    }
    let next = Math.max(from, view.log!.logStartOffset)
    for (const { base, last, mark } of batchesOf(bytes)) {
      // A batch may begin below where we left off; none may be missing, but in a compacted log.
      if (base > next && !view.log!.config.compact && this.#expectsDurability)
        this.#world.violation('committed-stays', `${where}: nothing at ${next}, the next batch begins at ${base}`)
      next = last + 1
      if (next > (this.#committedEnd.get(key) ?? 0)) this.#committedEnd.set(key, next)
      const canonical = known.get(base)
      if (canonical === undefined) known.set(base, { last, mark })
      // A cleaned batch keeps its offsets and its epoch.
      else if (!isSameBatch(canonical, { last, mark }, view.log!.config.compact) && this.#expectsDurability) {
        this.#world.violation('committed-stays', `${where}@${base}: ${mark}, was committed as ${canonical.mark}`)
      }
    }
  }

  /** What was ever committed is in every living member of ZooKeeper's ISR, whatever the true leader still knows of it. */
  #checkStrongIsr(node: BrokerNode, view: PartitionView, key: string): void {
    const truth = this.#znodes.partitions.get(key)
    if (truth === undefined || truth.leader !== node.id || truth.leaderEpoch !== view.leaderEpoch) return
    this.#checkMembers(key, truth, view.highWatermark)
  }

  #checkMembers(key: string, { topic, partition, isr }: PartitionZnode, highWatermark: number): void {
    const committed = Math.max(highWatermark, this.#committedEnd.get(key) ?? 0)
    for (const member of isr) {
      const log = this.#cluster.broker(member)?.process?.server.replicaManager?.partition(topic, partition)?.log
      if (log !== undefined && log.logEndOffset < committed)
        this.#world.violation(
          'strong-isr',
          `${key}: committed up to ${committed}, ISR member ${member} ends at ${log.logEndOffset}`,
        )
    }
  }

  /** Batches that were committed, by partition and base offset. */
  committed(key: string): ReadonlyMap<number, Canonical> {
    return this.#canonical.get(key) ?? new Map()
  }
}

function isSameBatch(a: Canonical, b: Canonical, isCompacted: boolean): boolean {
  if (a.last !== b.last) return false
  return isCompacted ? epochOf(a.mark) === epochOf(b.mark) : a.mark === b.mark
}

function epochOf(mark: string): string {
  return mark.slice(mark.indexOf('/'))
}
