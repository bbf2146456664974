import type { PartitionId } from '../base/ids.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { Partition } from './partition.ts'

/** The partitions of this broker, found by topic and id without making a key. */
export class HostedPartitions {
  readonly #env: ReplicationEnvironment
  readonly #topics = new Map<string, (Partition | undefined)[]>()

  constructor(env: ReplicationEnvironment) {
    this.#env = env
  }

  get(topic: string, partition: PartitionId): Partition | undefined {
    return this.#topics.get(topic)?.[partition]
  }

  getOrCreate(topic: string, partition: PartitionId): Partition {
    let ofTopic = this.#topics.get(topic)
    if (ofTopic === undefined) this.#topics.set(topic, (ofTopic = []))
    return (ofTopic[partition] ??= new Partition(topic, partition, this.#env))
  }

  remove(topic: string, partition: PartitionId): void {
    const ofTopic = this.#topics.get(topic)
    if (ofTopic === undefined) return
    delete ofTopic[partition]
    if (!ofTopic.some((one) => one !== undefined)) this.#topics.delete(topic)
  }

  *all(): IterableIterator<Partition> {
    for (const ofTopic of this.#topics.values()) for (const partition of ofTopic) if (partition !== undefined) yield partition
  }
}
