import type { BrokerRegistration } from '../../zk/znodes/types.ts'
import { addBroker, bringReplicasOnline } from './broker-events.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { enqueueTopics, resumeDeletions } from './deletion.ts'
import { bringOnline } from './leadership.ts'
import { mapOf, setOf, vectorOf } from './log-lines.ts'
import { FEW_PARTITIONS } from './pace.ts'
import { resumePreferredElection } from './preferred-election.ts'
import { startReassignments } from './reassignment.ts'
import { readStates } from './state-reads.ts'
import { mustDelete, type Term } from './term.ts'

/**
 * A new controller takes over, in the order of 1.1: watches, old notifications away, everything read, brokers told who lives, what they
 * host, leaders for what has none, and then what the last controller left unfinished. Throws when anything of it fails.
 */
export async function failover(term: Term): Promise<void> {
  const { ctx, zk, log, batch } = term
  log.info('Registering handlers')
  // All leave at once, in the order of 1.1; each watch is armed before what follows from its path is read.
  const [, logDirEvents, isrChanges, brokers, topics, reassignments, marked] = await Promise.all([
    term.watches.registerRoots(),
    zk.getLogDirEventNotifications(),
    zk.getIsrChangeNotifications(),
    zk.getAllBrokers(),
    zk.getTopics(),
    zk.getReassignments(),
    zk.getTopicDeletions(),
  ])
  log.info('Deleting log dir event notifications')
  await mustDelete('deleting log dir events', () => zk.deleteLogDirEventNotifications(logDirEvents, term.fence))
  log.info('Deleting isr change notifications')
  await mustDelete('deleting ISR changes', () => zk.deleteIsrChangeNotifications(isrChanges, term.fence))
  log.info('Initializing controller context')
  await readContext(term, brokers, topics)
  log.info(`Partitions being reassigned: ${mapOf([...(reassignments ?? [])].map(([key, target]) => [key, vectorOf(target)]))}`)
  log.info(`Currently active brokers in the cluster: ${setOf(ctx.registeredBrokers())}`)
  log.info(`Currently shutting brokers in the cluster: ${setOf(ctx.shuttingDown)}`)
  log.info(`Current list of topics in the cluster: ${setOf(ctx.topics.keys())}`)
  await readDeletions(term, marked, reassignments ?? new Map())
  log.info('Initializing topic deletion manager')
  log.info('Sending update metadata request')
  batch.addFullMetadata(ctx.registeredBrokers())
  await batch.flush()
  await term.pace.each([...ctx.partitions()], (entry) => initializeState(ctx, entry))
  for (const id of ctx.registeredBrokers()) await bringReplicasOnline(term, id)
  await bringOnline(term, ctx.partitions(), (entry) => entry.leadership)
  await batch.flush()
  log.info(`Ready to serve as the new controller with epoch ${ctx.epoch}`)
  if (reassignments) await startReassignments(term, reassignments)
  await resumeDeletions(term)
  await batch.flush()
  await resumePreferredElection(term)
}

async function readContext(term: Term, brokers: readonly BrokerRegistration[], topics: readonly string[]): Promise<void> {
  const { ctx, zk } = term
  for (const broker of brokers) addBroker(term, broker)
  for (const topic of topics) term.watches.topic(topic)
  const assignments = topics.length > 0 ? await zk.getAssignments(topics) : new Map()
  let added = 0
  for (const topic of topics) {
    const assignment = assignments.get(topic)
    if (added > FEW_PARTITIONS) await term.pace.rest()
    if (assignment) added += ctx.addPartitions(topic, assignment).length
    else term.log.error(`Topic ${topic} has no readable assignment: left out until its znode changes`)
  }
  await term.watches.brokers(ctx.registeredBrokers())
  await readStates(term, [...ctx.partitions()], (entry, state) => {
    entry.leadership = state
  })
}

async function readDeletions(term: Term, marked: readonly string[], reassignments: ReadonlyMap<string, unknown>): Promise<void> {
  const { ctx } = term
  term.log.info('Fetching topic deletions in progress')
  term.log.info(`List of topics to be deleted: ${marked.join(',')}`)
  if (marked.length === 0) {
    term.log.info(`List of topics ineligible for deletion: ${waitingTopics(ctx, reassignments).join(',')}`)
    return
  }
  if (!term.config.deleteTopicEnable) {
    await mustDelete('deleting marks of topics', () => term.zk.deleteTopicDeletions(marked, term.fence))
    return
  }
  const known = marked.filter((topic) => ctx.topics.has(topic))
  // Marks without topic: the event removes them.
  if (known.length < marked.length) term.enqueue({ kind: 'TopicDeletion' })
  enqueueTopics(term, known)
  for (const entry of ctx.partitionsOf(known)) {
    const offline = entry.replicas.some((id) => !ctx.isOnline(id, entry))
    if (offline || reassignments.has(entry.key)) ctx.ineligibleForDeletion.add(entry.topic)
  }
  term.log.info(`List of topics ineligible for deletion: ${waitingTopics(ctx, reassignments).join(',')}`)
}

/** Topics that could not be deleted now: some replica is offline, or being moved. */
function waitingTopics(ctx: ControllerContext, reassignments: ReadonlyMap<string, unknown>): string[] {
  const waits = (entry: PartitionEntry): boolean =>
    reassignments.has(entry.key) || entry.replicas.some((id) => !ctx.isOnline(id, entry))
  return [...new Set([...ctx.partitions()].filter(waits).map(({ topic }) => topic))]
}

/** Pure but for the partition: the states that follow from what was read. */
export function initializeState(ctx: ControllerContext, entry: PartitionEntry): void {
  entry.state = initialState(ctx, entry)
  for (const id of entry.replicas)
    entry.replicaStates.set(id, ctx.isOnline(id, entry) ? 'OnlineReplica' : 'ReplicaDeletionIneligible')
}

function initialState(ctx: ControllerContext, entry: PartitionEntry): PartitionEntry['state'] {
  if (!entry.leadership) return 'NewPartition'
  return ctx.isOnline(entry.leadership.leader, entry) ? 'OnlinePartition' : 'OfflinePartition'
}
