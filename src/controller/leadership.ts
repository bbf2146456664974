import type { BrokerId } from '../base/ids.ts'
import type { PartitionEntry } from './context.ts'
import type { ElectionStrategy } from './elections.ts'
import { initializePartitions } from './new-partitions.ts'
import { movePartition } from './partition-machine.ts'
import { moveReplica } from './replica-machine.ts'
import { changeStates, type KnownStates, type StateResults } from './state-changes.ts'
import type { Term } from './term.ts'

/** How long the ISRs of other partitions wait until brokers have heard of new leaders. */
export const HEARING_MS = 100

/**
 * Elects a leader for each partition and collects in the batch what the replicas have to hear. Failures keep their state. `known`: as in
 * `changeStates`.
 */
export async function electLeaders(
  term: Term,
  entries: readonly PartitionEntry[],
  strategy: ElectionStrategy,
  known?: KnownStates,
): Promise<StateResults> {
  const before = new Map(entries.map((entry) => [entry, entry.leadership?.leader]))
  const results = await changeStates(
    term,
    entries.map((entry) => ({ entry, change: { kind: 'elect', strategy } })),
    known,
  )
  await term.pace.each([...results.written], (entry) => {
    term.batch.addLeaderAndIsr(recipients(term, entry, strategy), entry, false)
    const leader = entry.leadership?.leader
    const old = before.get(entry)
    if (leader !== old)
      term.note(
        'LeaderMoved',
        `${entry.key}: ${old ?? 'none'} -> ${leader} (${strategy}, epoch ${entry.leadership?.leaderEpoch})`,
      )
  })
  return results
}

/**
 * A broker that shuts down is told that it leads no more (1.1 does not, KAFKA-7482: it would go on to accept acks=1 records that are
 * lost). A StopReplica in the same batch keeps it from following.
 */
function recipients(term: Term, entry: PartitionEntry, strategy: ElectionStrategy): readonly BrokerId[] {
  if (strategy === 'reassign' || strategy === 'preferred') return entry.replicas
  return entry.replicas.filter(
    (id) => term.ctx.isOnline(id, entry) || (strategy === 'controlledShutdown' && term.ctx.shuttingDown.has(id)),
  )
}

/**
 * New and Offline partitions get a leader if they can: after a failover, when brokers came or went. Not those being deleted.
 * Answers those that were elected.
 */
export async function bringOnline(
  term: Term,
  among: Iterable<PartitionEntry> = term.ctx.partitions(),
  known?: KnownStates,
): Promise<ReadonlySet<PartitionEntry>> {
  const fresh: PartitionEntry[] = []
  const offline: PartitionEntry[] = []
  await term.pace.each([...among], (entry) => {
    if (term.ctx.isBeingDeleted(entry.topic)) return
    if (entry.state === 'NewPartition') fresh.push(entry)
    else if (entry.state === 'OfflinePartition') offline.push(entry)
  })
  if (fresh.length > 0) await initializePartitions(term, fresh)
  return offline.length > 0 ? (await electLeaders(term, offline, 'offline', known)).written : new Set()
}

/**
 * Replicas of one broker go to OfflineReplica: StopReplica (which keeps the data) to it, out of the ISR in ZooKeeper, and the other
 * replicas are told - except of topics under deletion. A partition that never had a leader has nothing to write (1.1 gets stuck there,
 * KAFKA-6650). `settled` are partitions whose ISR has lost the broker in this event already, and been announced.
 */
export async function takeReplicasOffline(
  term: Term,
  broker: BrokerId,
  entries: Iterable<PartitionEntry>,
  settled: ReadonlySet<PartitionEntry> = new Set(),
): Promise<void> {
  const led: PartitionEntry[] = []
  await term.pace.each([...entries], (entry) => {
    if (!moveReplica(entry, broker, 'OfflineReplica')) {
      term.log.error(`Replica ${broker} of ${entry.key} cannot go from ${entry.replicaState(broker)} to OfflineReplica`)
      return
    }
    term.batch.addStopReplica(broker, entry, false)
    if (settled.has(entry) && !entry.leadership?.isr.includes(broker)) return
    if (entry.leadership) led.push(entry)
    else term.batch.addMetadata([entry])
  })
  const results = await changeStates(
    term,
    led.map((entry) => ({ entry, change: { kind: 'removeReplica', broker } })),
  )
  await term.pace.each([...results.written], (entry) => {
    if (term.ctx.isBeingDeleted(entry.topic)) return
    term.batch.addLeaderAndIsr(
      entry.replicas.filter((id) => id !== broker),
      entry,
      false,
    )
    term.note(
      'IsrShrunk',
      `${entry.key}: [${entry.leadership?.isr.join(',')}] without ${broker} (epoch ${entry.leadership?.leaderEpoch})`,
    )
  })
  term.batch.addMetadata([...results.unchanged].filter((entry) => !term.ctx.isBeingDeleted(entry.topic)))
}

/**
 * Brokers died, or directories of theirs failed; the context knows it already. First the partitions that lost their leader, and their
 * replicas are told at once; then the ISRs of those led elsewhere. 1.1's order of writes: highest broker id first.
 * Answers the replicas of topics under deletion, which are the deletion's business.
 */
export async function onReplicasOffline(
  term: Term,
  replicas: ReadonlyMap<BrokerId, readonly PartitionEntry[]>,
): Promise<Map<BrokerId, PartitionEntry[]>> {
  await term.pace.each([...term.ctx.partitions()], (entry) => {
    if (term.ctx.isBeingDeleted(entry.topic) || !entry.leadership) return
    if (!term.ctx.isOnline(entry.leadership.leader, entry)) movePartition(entry, 'OfflinePartition')
  })
  const { readAhead } = term
  const elected = await bringOnline(term, undefined, readAhead.isEmpty ? undefined : (entry) => readAhead.stateOf(entry))
  await term.batch.flush()
  if (elected.size > 0) await term.batch.heard(HEARING_MS)
  const deleting = new Map<BrokerId, PartitionEntry[]>()
  for (const broker of [...replicas.keys()].sort((a, b) => b - a)) {
    const entries = replicas.get(broker) ?? []
    const kept = entries.filter((entry) => !term.ctx.isBeingDeleted(entry.topic))
    if (kept.length < entries.length)
      deleting.set(
        broker,
        entries.filter((entry) => term.ctx.isBeingDeleted(entry.topic)),
      )
    await takeReplicasOffline(term, broker, kept, elected)
  }
  // Everybody hears of the broker's end, also when no partition is concerned.
  term.batch.addMetadata()
  await term.batch.flush()
  return deleting
}
