import { PREFERRED_REPLICA_ELECTION_PATH } from '../../zk/znodes/index.ts'
import type { BrokerId } from '../base/ids.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { electLeaders } from './leadership.ts'
import { mustDelete, type Term } from './term.ts'

/** `/admin/preferred_replica_election` was created. */
export async function preferredElection(term: Term): Promise<void> {
  // The existence check arms the watch, also when the node is absent.
  if (!(await term.zk.pathExists(PREFERRED_REPLICA_ELECTION_PATH))) return
  await electAndDelete(term, false)
}

/** Failover: what an earlier controller left, without the partitions that are where they should be. The node is deleted in any case. */
export async function resumePreferredElection(term: Term): Promise<void> {
  await electAndDelete(term, true)
}

/**
 * Also those that the preferred replica leads already get an epoch, as in 1.1 (but not on failover). A partition that does not exist is
 * ignored; in 1.1 it keeps the node, and so every later election, until a failover.
 */
async function electAndDelete(term: Term, skipDone: boolean): Promise<void> {
  const wanted = (await term.zk.getPreferredReplicaElection()) ?? []
  const entries = new Set<PartitionEntry>()
  await term.pace.each(wanted, ({ topic, partition }) => {
    const entry = term.ctx.partition(topic, partition)
    if (!entry) term.log.warn(`Preferred replica election: partition ${topic}-${partition} does not exist`)
    else if (term.ctx.topicsToDelete.has(topic))
      term.log.info(`Preferred replica election: ${entry.key} is skipped, its topic is being deleted`)
    else if (!skipDone || entry.leadership?.leader !== entry.replicas[0]) entries.add(entry)
  })
  term.log.info(`Starting preferred replica leader election for partitions ${[...entries].map(({ key }) => key).join(',')}`)
  if (entries.size > 0) {
    await electLeaders(term, [...entries], 'preferred')
    await term.batch.flush()
    await announce(term, [...entries])
    term.note('PreferredElection', `${entries.size} partitions`)
  }
  await mustDelete('deleting the preferred replica election', () => term.zk.deletePreferredReplicaElection(term.fence))
  term.enqueue({ kind: 'PreferredReplicaLeaderElection' })
}

function announce(term: Term, entries: readonly PartitionEntry[]): Promise<void> {
  return term.pace.each(entries, ({ key, leadership, replicas }) => {
    const isDone = leadership !== undefined && leadership.leader === replicas[0]
    if (isDone) term.log.info(`Partition ${key} completed preferred replica leader election. New leader is ${leadership.leader}`)
    else
      term.log.warn(
        `Partition ${key} failed to complete preferred replica leader election to ${replicas[0]}. Leader is still ${leadership?.leader ?? -1}`,
      )
  })
}

/**
 * Pure. Per broker, the partitions that automatic rebalancing gives back to their preferred leader: those of brokers of which more than
 * `percentage` of a hundred are led elsewhere, while nothing is being reassigned. Replicas out of the ISR cannot lead and are left out.
 */
export function decideRebalance(ctx: ControllerContext, percentage: number): Map<BrokerId, PartitionEntry[]> {
  const preferred = new Map<BrokerId, PartitionEntry[]>()
  for (const entry of ctx.partitions()) {
    const broker = entry.replicas[0]
    if (broker === undefined || ctx.topicsToDelete.has(entry.topic)) continue
    const group = preferred.get(broker)
    if (group) group.push(entry)
    else preferred.set(broker, [entry])
  }
  const chosen = new Map<BrokerId, PartitionEntry[]>()
  if (ctx.reassignments.size > 0) return chosen
  for (const [broker, entries] of preferred) {
    const elsewhere = entries.filter((entry) => entry.leadership && entry.leadership.leader !== broker)
    if (elsewhere.length / entries.length <= percentage / 100) continue
    const ready = elsewhere.filter((entry) => ctx.isOnline(broker, entry) && entry.leadership?.isr.includes(broker))
    if (ready.length > 0) chosen.set(broker, ready)
  }
  return chosen
}

/** One batch per broker. */
export async function autoRebalance(term: Term): Promise<void> {
  for (const entries of decideRebalance(term.ctx, term.config.leaderImbalancePerBrokerPercentage).values()) {
    term.log.info(`Starting preferred replica leader election for partitions ${entries.map(({ key }) => key).join(',')}`)
    await electLeaders(term, entries, 'preferred')
    await term.batch.flush()
    await announce(term, entries)
  }
}
