import type { PartitionId } from '../base/ids.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { Partition } from './partition.ts'

/** The partitions of this broker, found by topic and id without making a key. */
export class HostedPartitions {
  readonly #env: ReplicationEnvironment
  /** Ids may be any int32: assignments are not checked for gaps or signs. */
  readonly #topics = new Map<string, Map<PartitionId, Partition>>()

  constructor(env: ReplicationEnvironment) {
    this.#env = env
  }

  get(topic: string, partition: PartitionId): Partition | undefined {
    return this.#topics.get(topic)?.get(partition)
  }

  getOrCreate(topic: string, partition: PartitionId): Partition {
    let ofTopic = this.#topics.get(topic)
    if (ofTopic === undefined) this.#topics.set(topic, (ofTopic = new Map<PartitionId, Partition>()))
    let found = ofTopic.get(partition)
    if (found === undefined) ofTopic.set(partition, (found = new Partition(topic, partition, this.#env)))
    return found
  }

  remove(topic: string, partition: PartitionId): void {
    const ofTopic = this.#topics.get(topic)
    if (ofTopic === undefined) return
    ofTopic.delete(partition)
    if (ofTopic.size > 0) return
    this.#topics.delete(topic)
    this.#env.traffic.forget(topic)
  }

  /** Produces and fetches that wait, each counted with every partition of its. */
  waiting(): { produces: number; fetches: number } {
    let [produces, fetches] = [0, 0]
    for (const { acks, followerFetches, consumerFetches, rests } of this.all()) {
      produces += acks.length
      fetches += followerFetches.size + consumerFetches.size
      for (const { session } of rests) if (session.parked !== undefined) fetches++
    }
    return { produces, fetches }
  }

  *all(): IterableIterator<Partition> {
    // Without `yield*`, which hands each one through two generators.
    for (const ofTopic of this.#topics.values()) for (const partition of ofTopic.values()) yield partition
  }
}
