import type { PartitionEntry } from './context.ts'
import { bringOnline } from './leadership.ts'
import { mapOf, setOf, vectorOf } from './log-lines.ts'
import { createPartitions } from './new-partitions.ts'
import { mustWrite, type Term } from './term.ts'

/**
 * `/brokers/topics` changed. Topics whose znode cannot be read are left out, alone, and tried again at the next change (in 1.1 one such
 * node hides every new topic until a failover).
 */
export async function topicChange(term: Term): Promise<void> {
  const { ctx } = term
  const names = new Set(await term.zk.getTopics())
  const gone = [...ctx.topics.keys()].filter((topic) => !names.has(topic))
  const fresh = [...names].filter((topic) => !ctx.topics.has(topic))
  for (const topic of gone) {
    // Removed by hand, or by a controller before us: nobody is left to be told.
    term.watches.removeTopic(topic)
    for (const entry of ctx.partitionsOf([topic])) term.watches.removeIsr(entry)
    ctx.removeTopic(topic)
  }
  for (const topic of fresh) term.watches.topic(topic)
  const assignments = fresh.length > 0 ? await term.zk.getAssignments(fresh) : new Map()
  const added: PartitionEntry[] = []
  for (const topic of fresh) {
    const assignment = assignments.get(topic)
    if (assignment) added.push(...ctx.addPartitions(topic, assignment))
    else term.log.error(`Topic ${topic} has no readable assignment: left out until its znode changes`)
  }
  if (gone.length + fresh.length > 0) {
    term.log.info(
      `New topics: [${setOf(fresh)}], deleted topics: [${setOf(gone)}], new partition replica assignment [${assigned(added)}]`,
    )
  }
  if (added.length === 0) return
  await startPartitions(term, added)
  for (const topic of fresh)
    if (ctx.topics.has(topic)) term.note('TopicCreated', `${topic} (${ctx.topics.get(topic)?.size} partitions)`)
}

function assigned(entries: readonly PartitionEntry[]): string {
  return mapOf(entries.map(({ key, replicas }) => [key, vectorOf(replicas)]))
}

/** `/brokers/topics/<topic>` changed: only added partitions count, as in 1.1. */
export async function partitionModifications(term: Term, topic: string): Promise<void> {
  const { ctx } = term
  const known = ctx.topics.get(topic)
  const assignment = (await term.zk.getAssignments([topic])).get(topic)
  if (!assignment) return
  // It could not be read when it appeared.
  if (!known) return topicChange(term)
  const added = [...assignment.keys()].filter((partition) => !known.has(partition))
  if (added.length === 0) return
  if (ctx.topicsToDelete.has(topic)) {
    // Or the new partitions would stay in ZooKeeper as ghosts (KAFKA-6612).
    term.log.error(`Partitions ${added.join(',')} were added to topic ${topic}, which is being deleted: taken back`)
    await mustWrite(
      `restoring the assignment of ${topic}`,
      () => term.zk.setTopicAssignment(topic, ctx.assignmentOf(topic), term.fence),
      true,
    )
    return
  }
  const entries = ctx.addPartitions(topic, assignment)
  term.log.info(`New partitions to be added ${assigned(entries)}`)
  await startPartitions(term, entries)
}

async function startPartitions(term: Term, entries: readonly PartitionEntry[]): Promise<void> {
  term.log.info(`New partition creation callback for ${entries.map(({ key }) => key).join(',')}`)
  await createPartitions(term, entries)
  // A state that existed before may name a dead leader.
  await bringOnline(
    term,
    entries.filter((entry) => entry.state === 'OfflinePartition'),
  )
  await term.batch.flush()
}
