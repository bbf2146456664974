import type { PartitionId } from '../base/ids.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { Partition } from './partition.ts'

/** Partitions of a step. */
const COUNTED_A_STEP = 256

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

  /** Produces and fetches that wait, each counted with every partition of its, and `deletions`; in steps. */
  *waiting(deletions: () => number): Generator<void, { produces: number; fetches: number; deletions: number }> {
    let [produces, fetches, looked] = [0, 0, 0]
    for (const { acks, followerFetches, consumerFetches, rests } of this.all()) {
      if (++looked % COUNTED_A_STEP === 0) yield
      produces += acks.length
      fetches += followerFetches.size + consumerFetches.size
      for (const { session } of rests) if (session.parked !== undefined) fetches++
    }
    return { produces, fetches, deletions: deletions() }
  }

  *all(): IterableIterator<Partition> {
    // Without `yield*`, which hands each one through two generators.
    for (const ofTopic of this.#topics.values()) for (const partition of ofTopic.values()) yield partition
  }
}
