/** What the cluster looks like in ZooKeeper, and what changed between two looks. Pure apart from `takeSnapshot`. */
import type { KafkaZk } from '../../zk/store/types.ts'

export interface PartitionSnapshot {
  readonly name: string
  readonly replicas: readonly number[]
  /** -1: none. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly isr: readonly number[]
}

export interface ClusterSnapshot {
  readonly brokers: readonly number[]
  readonly controller: number | undefined
  readonly controllerEpoch: number
  readonly topics: number
  readonly partitions: ReadonlyMap<string, PartitionSnapshot>
}

export async function takeSnapshot(zk: KafkaZk): Promise<ClusterSnapshot> {
  const [brokers, controller, epoch, topics] = await Promise.all([
    zk.getBrokerIds(),
    zk.getControllerId(),
    zk.getControllerEpoch(),
    zk.getTopics(),
  ])
  const assignments = await zk.getAssignments(topics)
  const wanted = [...assignments].flatMap(([topic, assignment]) =>
    [...assignment.keys()].map((partition) => ({ topic, partition })),
  )
  const states = await zk.getPartitionStates(wanted)
  const partitions = new Map<string, PartitionSnapshot>()
  for (const { topic, partition } of wanted) {
    const name = `${topic}-${partition}`
    const state = states.get(name)
    partitions.set(name, {
      name,
      replicas: assignments.get(topic)?.get(partition) ?? [],
      leader: state?.leader ?? -1,
      leaderEpoch: state?.leaderEpoch ?? -1,
      isr: state?.isr ?? [],
    })
  }
  return {
    brokers: [...brokers].sort((a, b) => a - b),
    controller,
    controllerEpoch: epoch?.epoch ?? 0,
    topics: topics.length,
    partitions,
  }
}

export function underReplicated(snapshot: ClusterSnapshot): number {
  let count = 0
  for (const partition of snapshot.partitions.values()) if (partition.isr.length < partition.replicas.length) count++
  return count
}

export function leadersOf(snapshot: ClusterSnapshot): Map<number, number> {
  const leaders = new Map<number, number>(snapshot.brokers.map((id) => [id, 0]))
  for (const { leader } of snapshot.partitions.values()) if (leader >= 0) leaders.set(leader, (leaders.get(leader) ?? 0) + 1)
  return leaders
}

/** One line per kind of change; when many partitions change alike, the first few are named and the rest counted. */
function summarise(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  const shown = names.slice(0, 3).join(', ')
  return [`${what} ${shown}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`]
}

function partitionEvents(before: ClusterSnapshot, after: ClusterSnapshot): string[] {
  const moved: string[] = []
  const lost: string[] = []
  const shrunk: string[] = []
  const grown: string[] = []
  for (const now of after.partitions.values()) {
    const then = before.partitions.get(now.name)
    if (then === undefined || then.leaderEpoch < 0) continue
    if (now.leader !== then.leader) {
      if (now.leader < 0) lost.push(now.name)
      else moved.push(`${now.name} ${then.leader < 0 ? 'none' : then.leader} -> ${now.leader}`)
    }
    if (now.isr.length < then.isr.length) shrunk.push(`${now.name} [${then.isr}] -> [${now.isr}]`)
    if (now.isr.length > then.isr.length) grown.push(`${now.name} [${then.isr}] -> [${now.isr}]`)
  }
  return [
    ...summarise('leader moved:', moved),
    ...summarise('no leader:', lost),
    ...summarise('ISR shrunk:', shrunk),
    ...summarise('ISR expanded:', grown),
  ]
}

function topicNames(snapshot: ClusterSnapshot): Set<string> {
  return new Set([...snapshot.partitions.keys()].map((name) => name.slice(0, name.lastIndexOf('-'))))
}

/** What happened between two looks, as lines for people. */
export function eventsBetween(before: ClusterSnapshot, after: ClusterSnapshot): string[] {
  const came = after.brokers.filter((id) => !before.brokers.includes(id))
  const went = before.brokers.filter((id) => !after.brokers.includes(id))
  const topicsBefore = topicNames(before)
  const topicsAfter = topicNames(after)
  const events = [
    ...went.map((id) => `broker ${id} is gone from /brokers/ids`),
    ...came.map((id) => `broker ${id} registered`),
    ...summarise(
      'topic created:',
      [...topicsAfter].filter((topic) => !topicsBefore.has(topic)),
    ),
    ...summarise(
      'topic deleted:',
      [...topicsBefore].filter((topic) => !topicsAfter.has(topic)),
    ),
  ]
  if (after.controller !== before.controller || after.controllerEpoch !== before.controllerEpoch) {
    events.push(
      after.controller === undefined
        ? 'no controller'
        : `controller elected: broker ${after.controller}, epoch ${after.controllerEpoch}`,
    )
  }
  return [...events, ...partitionEvents(before, after)]
}
