import { REASSIGN_PARTITIONS_PATH } from '../../zk/znodes/index.ts'
import { type BrokerId, partitionKey } from '../base/ids.ts'
import type { PartitionEntry, Reassignment } from './context.ts'
import { resumeTopics } from './deletion.ts'
import { electLeaders, takeReplicasOffline } from './leadership.ts'
import { moveReplica } from './replica-machine.ts'
import { changeStates } from './state-changes.ts'
import { mustDelete, mustWrite, type Term, untilKnown } from './term.ts'

/** `/admin/reassign_partitions` was created. */
export async function partitionReassignment(term: Term): Promise<void> {
  // The existence check arms the watch, also when the node is absent.
  if (!(await term.zk.pathExists(REASSIGN_PARTITIONS_PATH))) return
  const wanted = await term.zk.getReassignments()
  if (wanted) await startReassignments(term, wanted)
}

/**
 * Takes a whole node over: all of it is remembered before the first partition starts (KAFKA-6193). Entries that are satisfied already or
 * impossible leave the node at once; the tool reads their end from there.
 */
export async function startReassignments(term: Term, wanted: ReadonlyMap<string, readonly BrokerId[]>): Promise<void> {
  const accepted: Reassignment[] = []
  let refused = 0
  const deletable = new Set<string>()
  const entries = new Map([...term.ctx.partitions()].map((entry) => [entry.key as string, entry]))
  for (const [key, target] of wanted) {
    const entry = entries.get(key)
    const reason = refusal(term, entry, target)
    if (entry && reason === undefined) {
      accepted.push({ entry, target })
    } else {
      refused++
      if (entry) {
        term.ctx.reassignments.delete(entry.key)
        deletable.add(entry.topic)
      }
      term.log.info(`Reassignment of ${key} to ${target.join(',')} is dropped: ${reason}`)
    }
  }
  for (const reassignment of accepted) {
    term.ctx.reassignments.set(reassignment.entry.key, reassignment)
    term.watches.isr(reassignment.entry)
    term.note(
      'ReassignmentStarted',
      `${reassignment.entry.key}: [${reassignment.entry.replicas.join(',')}] -> [${reassignment.target.join(',')}]`,
    )
  }
  if (refused > 0 || wanted.size === 0) await writeReassignments(term)
  for (const reassignment of accepted) {
    term.log.info(`Handling reassignment of partition ${reassignment.entry.key} to new replicas ${reassignment.target.join(',')}`)
    await runOrDrop(term, reassignment)
  }
  // A deletion that waited for what is dropped.
  await resumeTopics(term, deletable)
}

function refusal(term: Term, entry: PartitionEntry | undefined, target: readonly BrokerId[]): string | undefined {
  if (!entry) return 'there is no such partition'
  if (term.ctx.topicsToDelete.has(entry.topic)) return 'its topic is being deleted'
  if (target.length === 0) return 'the replica list is empty'
  if (new Set(target).size !== target.length) return 'the replica list names a broker twice'
  if (sameList(entry.replicas, target)) return 'it is assigned like that already'
  return undefined
}

/** The state of a partition under reassignment changed: perhaps its new replicas are all in sync. */
export async function reassignmentIsrChange(term: Term, entry: PartitionEntry): Promise<void> {
  const reassignment = term.ctx.reassignments.get(entry.key)
  if (reassignment?.entry !== entry) return
  const isr = (await term.zk.getPartitionStates([entry])).get(entry.key)?.isr ?? []
  const caughtUp = reassignment.target.filter((id) => isr.includes(id))
  const isDone = caughtUp.length === reassignment.target.length
  const missing = reassignment.target.filter((id) => !caughtUp.includes(id))
  term.log.info(
    `${caughtUp.length}/${reassignment.target.length} replicas have caught up with the leader for partition ${entry.key} being ` +
      `reassigned. ${isDone ? 'Resuming partition reassignment' : `Replica(s) ${missing.join(',')} still need to catch up`}`,
  )
  if (isDone) await runOrDrop(term, reassignment)
}

/** Goes on with those that `wanted` chooses: brokers they wait for have started. */
export async function continueReassignments(term: Term, wanted: (reassignment: Reassignment) => boolean): Promise<void> {
  for (const reassignment of [...term.ctx.reassignments.values()]) if (wanted(reassignment)) await runOrDrop(term, reassignment)
}

/**
 * A reassignment that cannot go on - its topic is gone from ZooKeeper - leaves the node, so that the tool is not blocked. Any other failure
 * ends the term: the next controller resumes from what ZooKeeper says. (1.1 drops it then too, and leaves the replicas half moved.)
 */
async function runOrDrop(term: Term, reassignment: Reassignment): Promise<void> {
  const { entry } = reassignment
  if (await run(term, reassignment)) return
  term.log.error(`Reassignment of ${entry.key} to ${reassignment.target.join(',')} is dropped: its topic has gone from ZooKeeper`)
  await endReassignment(term, entry)
}

/** False: the partition's znodes are gone. */
async function run(term: Term, reassignment: Reassignment): Promise<boolean> {
  const { entry, target } = reassignment
  const state = (await term.zk.getPartitionStates([entry])).get(entry.key)
  if (!state) return false
  const inSync = target.every((id) => state.isr.includes(id))
  const going = inSync ? await complete(term, reassignment) : await extend(term, reassignment)
  await term.batch.flush()
  return going
}

/**
 * Old and new replicas together. The node keeps both lists until the end, so another controller can go on from any point: it does
 * this step again, as a whole.
 */
async function extend(term: Term, { entry, target }: Reassignment): Promise<boolean> {
  const old = entry.replicas
  const added = target.filter((id) => !old.includes(id))
  const being = `for partition ${entry.key} being reassigned`
  term.log.info(`New replicas ${target.join(',')} ${being} not yet caught up with the leader`)
  if (!(await assign(term, entry, [...target, ...old.filter((id) => !target.includes(id))]))) return false
  const results = await changeStates(term, [{ entry, change: { kind: 'bumpEpoch' } }])
  if (results.written.size > 0) {
    term.batch.addLeaderAndIsr(entry.replicas, entry, false)
    term.log.info(`Updated leader epoch for partition ${entry.key} to ${entry.leadership?.leaderEpoch}`)
  }
  for (const broker of added) {
    moveReplica(entry, broker, 'NewReplica')
    term.batch.addLeaderAndIsr([broker], entry, true)
  }
  term.log.info(`Waiting for new replicas ${target.join(',')} ${being} to catch up with the leader`)
  return true
}

/** All new replicas are in sync: one of them leads, the others go. */
async function complete(term: Term, { entry, target }: Reassignment): Promise<boolean> {
  const before = entry.replicas
  const gone = before.filter((id) => !target.includes(id)).sort((a, b) => b - a)
  for (const broker of target) moveReplica(entry, broker, 'OnlineReplica')
  entry.replicas = target
  const leader = entry.leadership?.leader ?? -1
  if (!target.includes(leader) || !term.ctx.isOnline(leader, entry)) {
    term.log.info(
      `Leader ${leader} for partition ${entry.key} being reassigned, is not in the new list of replicas ${target.join(',')}. Re-electing leader`,
    )
    const elected = await electLeaders(term, [entry], 'reassign')
    if (elected.failed.size > 0) {
      // Taking the old replicas away now would leave nobody: wait for the next change of the ISR or start of a broker.
      entry.replicas = before
      return true
    }
  } else {
    const bumped = await changeStates(term, [{ entry, change: { kind: 'bumpEpoch' } }])
    if (bumped.written.size > 0) term.batch.addLeaderAndIsr(target, entry, false)
  }
  for (const broker of gone) await removeReplica(term, entry, broker)
  // The old replicas are told before the znodes forget them.
  await term.batch.flush()
  if (!(await assign(term, entry, target))) return false
  await endReassignment(term, entry)
  term.batch.addMetadata([entry])
  term.note('ReassignmentCompleted', `${entry.key} -> [${target.join(',')}]`)
  return true
}

async function removeReplica(term: Term, entry: PartitionEntry, broker: BrokerId): Promise<void> {
  await takeReplicasOffline(term, broker, [entry])
  moveReplica(entry, broker, 'ReplicaDeletionStarted')
  term.batch.addStopReplica(broker, entry, true)
  moveReplica(entry, broker, 'ReplicaDeletionSuccessful')
  moveReplica(entry, broker, 'NonExistentReplica')
}

async function assign(term: Term, entry: PartitionEntry, replicas: readonly BrokerId[]): Promise<boolean> {
  const assignment = term.ctx.assignmentOf(entry.topic).set(entry.partition, replicas)
  const what = `assigning ${entry.key} to ${replicas.join(',')}`
  const outcome = await untilKnown(what, () => term.zk.setTopicAssignment(entry.topic, assignment, term.fence))
  if (outcome === 'noNode') return false
  if (outcome !== 'ok') throw new Error(`${what}: ${outcome}`)
  entry.replicas = replicas
  term.log.info(`Updated assigned replicas for partition ${entry.key} being reassigned to ${replicas.join(',')}`)
  return true
}

async function endReassignment(term: Term, entry: PartitionEntry): Promise<void> {
  term.ctx.reassignments.delete(entry.key)
  term.log.info(`Removing partition ${entry.key} from the list of reassigned partitions in zookeeper`)
  term.watches.removeIsr(entry)
  await writeReassignments(term)
  await resumeTopics(term, [entry.topic])
}

/** The node says what is still to do; it goes with the last entry, and then a new one may be waited for. */
async function writeReassignments(term: Term): Promise<void> {
  if (term.ctx.reassignments.size === 0) {
    term.log.info(`No more partitions need to be reassigned. Deleting zk path ${REASSIGN_PARTITIONS_PATH}`)
    await mustDelete('deleting the reassignments', () => term.zk.deleteReassignments(term.fence))
    term.enqueue({ kind: 'PartitionReassignment' })
    return
  }
  const remaining = new Map(
    [...term.ctx.reassignments.values()].map(({ entry, target }) => [partitionKey(entry.topic, entry.partition), target]),
  )
  await mustWrite('updating the reassignments', () => term.zk.setReassignments(remaining, term.fence))
}

function sameList(a: readonly BrokerId[], b: readonly BrokerId[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i])
}
