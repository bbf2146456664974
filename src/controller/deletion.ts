import type { BrokerId } from '../base/ids.ts'
import type { PartitionEntry } from './context.ts'
import { takeReplicasOffline } from './leadership.ts'
import { replicaName } from './log-lines.ts'
import { movePartition } from './partition-machine.ts'
import { moveReplica } from './replica-machine.ts'
import { mustDelete, mustWrite, type Term } from './term.ts'
import { topicChange } from './topic-events.ts'

/** `/admin/delete_topics` changed. */
export async function topicDeletion(term: Term): Promise<void> {
  const { ctx, zk } = term
  const marked = await zk.getTopicDeletions()
  // A topic that was created a moment ago may be known to ZooKeeper only.
  if (marked.some((topic) => !ctx.topics.has(topic))) await topicChange(term)
  const unknown = marked.filter((topic) => !ctx.topics.has(topic))
  if (unknown.length > 0) {
    term.log.warn(`Ignoring request to delete non-existing topics ${unknown.join(',')}`)
    await mustDelete('deleting marks of unknown topics', () => zk.deleteTopicDeletions(unknown, term.fence))
  }
  const known = marked.filter((topic) => ctx.topics.has(topic))
  if (known.length === 0) return
  if (!term.config.deleteTopicEnable) {
    term.log.info(`Removing /admin/delete_topics marks of ${known.join(',')}: delete.topic.enable is false`)
    await mustDelete('deleting marks of topics', () => zk.deleteTopicDeletions(known, term.fence))
    return
  }
  term.log.info(`Starting topic deletion for topics ${known.join(',')}`)
  enqueueTopics(term, known)
  await resumeDeletions(term)
  await term.batch.flush()
}

/** Queues topics for deletion; those under reassignment wait for its end. */
export function enqueueTopics(term: Term, topics: Iterable<string>): void {
  for (const topic of topics) {
    if (!term.ctx.topicsToDelete.has(topic)) term.note('TopicDeletionStarted', topic)
    term.ctx.topicsToDelete.add(topic)
    if (term.ctx.reassignments.isTopic(topic)) term.ctx.ineligibleForDeletion.add(topic)
  }
}

/** These topics may be deletable now: a broker with replicas of theirs returned, or their reassignment ended. */
export async function resumeTopics(term: Term, topics: Iterable<string>): Promise<void> {
  let any = false
  for (const topic of topics) {
    if (!term.ctx.isBeingDeleted(topic)) continue
    term.ctx.ineligibleForDeletion.delete(topic)
    any = true
  }
  if (any) await resumeDeletions(term)
}

export type DeletionStep = 'complete' | 'retry' | 'start' | 'wait'

/** Pure: what a queued topic needs now. After `retry` it is looked at again. */
export function decideDeletion(entries: readonly PartitionEntry[], ineligible: boolean): DeletionStep {
  let all = true
  let started = false
  let failed = false
  for (const entry of entries) {
    for (const broker of entry.replicas) {
      const state = entry.replicaState(broker)
      if (state !== 'ReplicaDeletionSuccessful') all = false
      if (state === 'ReplicaDeletionStarted') started = true
      if (state === 'ReplicaDeletionIneligible') failed = true
    }
  }
  if (all) return 'complete'
  if (started || ineligible) return 'wait'
  return failed ? 'retry' : 'start'
}

/** Drives every queued topic as far as it goes now. The batch is flushed by the caller. */
export async function resumeDeletions(term: Term): Promise<void> {
  const { topicsToDelete, ineligibleForDeletion } = term.ctx
  if (topicsToDelete.size > 0) term.deletionLog.info(`Handling deletion for topics ${[...topicsToDelete].join(',')}`)
  for (const topic of [...topicsToDelete]) {
    const entries = [...term.ctx.partitionsOf([topic])]
    let step = decideDeletion(entries, ineligibleForDeletion.has(topic))
    sayStep(term, topic, entries, step)
    if (step === 'retry') {
      for (const [broker, failed] of byBrokerDescending(entries, (state) => state === 'ReplicaDeletionIneligible')) {
        await takeReplicasOffline(term, broker, failed)
      }
      step = 'start'
    }
    if (step === 'complete') await completeDeletion(term, topic, entries)
    else if (step === 'start') await startDeletion(term, topic, entries)
  }
}

/** 1.1's words for what keeps a topic from being deleted, or brings its deletion back. */
function sayStep({ ctx, deletionLog }: Term, topic: string, entries: readonly PartitionEntry[], step: DeletionStep): void {
  const inState = (wanted: string): string[] =>
    entries.flatMap((entry) =>
      entry.replicas.filter((id) => entry.replicaState(id) === wanted).map((id) => replicaName(topic, entry.partition, id)),
    )
  const started = inState('ReplicaDeletionStarted')
  if (started.length > 0) {
    const brokers = [
      ...new Set(entries.flatMap((entry) => entry.replicas.filter((id) => entry.replicaState(id) === 'ReplicaDeletionStarted'))),
    ]
    const partitions = entries.filter((entry) => entry.replicas.some((id) => entry.replicaState(id) === 'ReplicaDeletionStarted'))
    deletionLog.info(
      `Deletion for replicas ${brokers.join(',')} for partition ${partitions.map(({ key }) => key).join(',')} of topic ${topic} in progress`,
    )
  } else if (step === 'retry') {
    const failed = inState('ReplicaDeletionIneligible').join(',')
    deletionLog.info(`Retrying delete topic for topic ${topic} since replicas ${failed} were not successfully deleted`)
  } else if (ctx.ineligibleForDeletion.has(topic))
    deletionLog.info(`Not retrying deletion of topic ${topic} at this time since it is marked ineligible for deletion`)
}

/**
 * Everybody forgets the topic; its live replicas are taken offline and told to delete; the topic waits for the dead ones. The ISR
 * writes on the way are 1.1's, one round per broker.
 */
async function startDeletion(term: Term, topic: string, entries: readonly PartitionEntry[]): Promise<void> {
  const { ctx, batch, deletionLog } = term
  deletionLog.info(`Deletion of topic ${topic} (re)started`)
  deletionLog.info(`Topic deletion callback for ${topic}`)
  deletionLog.info(`Partition deletion callback for ${entries.map(({ key }) => key).join(',')}`)
  batch.addMetadata(entries)
  const dead = entries.some((entry) => entry.replicas.some((id) => !ctx.isOnline(id, entry)))
  const live = byBrokerDescending(
    entries,
    (state, broker, entry) => state !== 'ReplicaDeletionSuccessful' && ctx.isOnline(broker, entry),
  )
  for (const [broker, replicas] of live) await takeReplicasOffline(term, broker, replicas)
  for (const [broker, replicas] of live) {
    for (const entry of replicas) {
      if (moveReplica(entry, broker, 'ReplicaDeletionStarted')) batch.addStopReplica(broker, entry, true, true)
    }
  }
  if (dead) {
    ctx.ineligibleForDeletion.add(topic)
    deletionLog.info(`Halted deletion of topics ${topic}`)
  }
}

async function completeDeletion(term: Term, topic: string, entries: readonly PartitionEntry[]): Promise<void> {
  term.watches.removeTopic(topic)
  for (const entry of entries) {
    for (const broker of entry.replicas) moveReplica(entry, broker, 'NonExistentReplica')
    movePartition(entry, 'OfflinePartition')
    movePartition(entry, 'NonExistentPartition')
  }
  await mustWrite(`deleting the znodes of topic ${topic}`, () => term.zk.deleteTopicZnodes(topic, term.fence), true)
  await mustDelete(`deleting the configuration of topic ${topic}`, () => term.zk.deleteTopicConfig(topic, term.fence))
  await mustDelete(`deleting the mark of topic ${topic}`, () => term.zk.deleteTopicDeletions([topic], term.fence))
  term.ctx.removeTopic(topic)
  term.deletionLog.info(`Deletion of topic ${topic} successfully completed`)
  term.note('TopicDeleted', topic)
}

/** A broker answered StopReplica with deletion. */
export async function replicasDeleted(
  term: Term,
  brokerId: BrokerId,
  deleted: readonly PartitionEntry[],
  failed: readonly PartitionEntry[],
): Promise<void> {
  for (const entry of deleted) moveReplica(entry, brokerId, 'ReplicaDeletionSuccessful')
  failReplicas(term, brokerId, failed)
  await resumeDeletions(term)
  await term.batch.flush()
}

/** Replicas could not be deleted (error, broker died): their topics wait until `resumeTopics`. */
export function failReplicas(term: Term, brokerId: BrokerId, entries: readonly PartitionEntry[]): void {
  for (const entry of entries) {
    if (!term.ctx.topicsToDelete.has(entry.topic)) continue
    moveReplica(entry, brokerId, 'ReplicaDeletionIneligible')
    term.ctx.ineligibleForDeletion.add(entry.topic)
    term.log.debug(`Deletion of replica ${brokerId} of ${entry.key} failed; topic ${entry.topic} waits`)
  }
  const halted = new Set(entries.map(({ topic }) => topic).filter((topic) => term.ctx.topicsToDelete.has(topic)))
  if (halted.size > 0) term.deletionLog.info(`Halted deletion of topics ${[...halted].join(',')}`)
}

function byBrokerDescending(
  entries: readonly PartitionEntry[],
  wanted: (state: string, broker: BrokerId, entry: PartitionEntry) => boolean,
): (readonly [BrokerId, PartitionEntry[]])[] {
  const groups = new Map<BrokerId, PartitionEntry[]>()
  for (const entry of entries) {
    for (const broker of entry.replicas) {
      if (!wanted(entry.replicaState(broker), broker, entry)) continue
      const group = groups.get(broker)
      if (group) group.push(entry)
      else groups.set(broker, [entry])
    }
  }
  return [...groups].sort(([a], [b]) => b - a)
}
