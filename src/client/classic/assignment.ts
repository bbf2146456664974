/** Who reads what in a group that ZooKeeper coordinates: every member computes the same function of what it read. Pure. */
import type { ConsumerRegistration } from '../../../zk/znodes/index.ts'
import type { TopicPartition } from '../../base/ids.ts'
import { stringHash } from '../../base/murmur2.ts'
import { topicFilter } from './topic-filter.ts'

export interface ConsumerThread {
  readonly consumer: string
  readonly thread: number
  /** `<consumer>-<thread>` */
  readonly id: string
}

export interface PartitionAssignment extends TopicPartition, ConsumerThread {}

/** A group as one reading of ZooKeeper shows it. */
export interface GroupView {
  /** By topic, sorted by id as text. */
  readonly threads: ReadonlyMap<string, readonly ConsumerThread[]>
  /** By topic, ascending. A topic that is not there has none. */
  readonly partitions: ReadonlyMap<string, readonly number[]>
}

export type AssignmentStrategy = 'range' | 'roundrobin' | 'roundrobin-0.8'

export function threadOf(consumer: string, thread: number): ConsumerThread {
  return { consumer, thread, id: `${consumer}-${thread}` }
}

/** The topics of one member and how many streams it has for each. A pattern is expanded over `allTopics`. */
export function subscribedTopics(
  { pattern, subscription }: ConsumerRegistration,
  allTopics: readonly string[],
  excludeInternalTopics: boolean,
): Map<string, number> {
  const [first] = subscription
  if (pattern === 'static' || first === undefined) return new Map(subscription)
  const [regex, streams] = first
  const filter = topicFilter(pattern, regex)
  return new Map(allTopics.filter((topic) => filter.allows(topic, excludeInternalTopics)).map((topic) => [topic, streams]))
}

/** The threads of all members by topic. */
export function threadsByTopic(
  members: ReadonlyMap<string, ConsumerRegistration>,
  allTopics: readonly string[],
  excludeInternalTopics: boolean,
): Map<string, ConsumerThread[]> {
  const threads = new Map<string, ConsumerThread[]>()
  for (const [consumer, registration] of members) {
    for (const [topic, streams] of subscribedTopics(registration, allTopics, excludeInternalTopics)) {
      const same = threads.get(topic) ?? []
      threads.set(topic, same)
      for (let i = 0; i < streams; i++) same.push(threadOf(consumer, i))
    }
  }
  for (const same of threads.values()) same.sort(byId)
  return threads
}

/** As Java orders text; so thread 10 comes before thread 2. */
function byId(a: ConsumerThread, b: ConsumerThread): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** The assignment of the whole group, in the order in which partitions were given out. */
export function assign(strategy: AssignmentStrategy, view: GroupView): PartitionAssignment[] {
  return strategy === 'range' ? range(view) : roundRobin(view, strategy === 'roundrobin-0.8')
}

/** Per topic: each thread a run of partitions, the first ones one more when it does not divide evenly. */
function range({ threads, partitions }: GroupView): PartitionAssignment[] {
  return [...threads].flatMap(([topic, takers]) => {
    const ids = partitions.get(topic) ?? []
    const each = Math.floor(ids.length / takers.length)
    const extra = ids.length % takers.length
    return takers.flatMap((taker, i) => {
      const start = each * i + Math.min(i, extra)
      return ids.slice(start, start + each + (i < extra ? 1 : 0)).map((partition) => ({ topic, partition, ...taker }))
    })
  })
}

/**
 * All partitions, in the order of the Java hash code of their text, dealt to all threads in turn; who does not read the topic is passed over.
 * The text was `[topic,partition]` up to 0.11 and is `topic-partition` since 1.0: a mixed group never agrees.
 */
function roundRobin({ threads, partitions }: GroupView, oldText: boolean): PartitionAssignment[] {
  const circle = [...new Map([...threads.values()].flat().map((thread) => [thread.id, thread])).values()].sort(byId)
  const all = [...threads.keys()].flatMap((topic) => {
    return (partitions.get(topic) ?? []).map((partition) => {
      const text = oldText ? `[${topic},${partition}]` : `${topic}-${partition}`
      return { topic, partition, text, hash: stringHash(text) | 0 }
    })
  })
  all.sort((a, b) => a.hash - b.hash || (a.text < b.text ? -1 : 1))
  let next = 0
  return all.map(({ topic, partition }) => {
    const takers = new Set(threads.get(topic)!.map(({ id }) => id))
    while (!takers.has(circle[next % circle.length]!.id)) next++
    return { topic, partition, ...circle[next++ % circle.length]! }
  })
}
