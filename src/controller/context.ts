import type { BrokerRegistration, PartitionState, TopicAssignment } from '../../zk/znodes/types.ts'
import { assert } from '../base/assert.ts'
import { type BrokerId, type PartitionKey, partitionKey } from '../base/ids.ts'
import { trieOrder } from './partition-order.ts'

export type PartitionStateName = 'NonExistentPartition' | 'NewPartition' | 'OnlinePartition' | 'OfflinePartition'

export type ReplicaStateName =
  | 'NonExistentReplica'
  | 'NewReplica'
  | 'OnlineReplica'
  | 'OfflineReplica'
  | 'ReplicaDeletionStarted'
  | 'ReplicaDeletionSuccessful'
  | 'ReplicaDeletionIneligible'

/** What the controller knows of one partition. Compared by identity: a topic that was deleted and made again has new entries. */
export class PartitionEntry {
  readonly topic: string
  readonly partition: number
  readonly key: PartitionKey
  /** See partition-order.ts. */
  readonly order: number
  /** Assigned replicas; the first one is the preferred leader. */
  replicas: readonly BrokerId[]
  /** Content and version of the state znode as last written or read; undefined: no znode known. */
  leadership: PartitionState | undefined = undefined
  state: PartitionStateName = 'NonExistentPartition'
  readonly replicaStates = new Map<BrokerId, ReplicaStateName>()

  constructor(topic: string, partition: number, replicas: readonly BrokerId[]) {
    this.topic = topic
    this.partition = partition
    this.key = partitionKey(topic, partition)
    this.order = trieOrder(topic, partition)
    this.replicas = replicas
  }

  replicaState(broker: BrokerId): ReplicaStateName {
    return this.replicaStates.get(broker) ?? 'NonExistentReplica'
  }
}

export interface Reassignment {
  readonly entry: PartitionEntry
  /** RAR: the replicas to end with, in order. */
  readonly target: readonly BrokerId[]
}

/** Reassignments under way, by partition, and how many there are of each topic. */
class Reassignments extends Map<PartitionKey, Reassignment> {
  readonly #ofTopic = new Map<string, number>()

  isTopic(topic: string): boolean {
    return this.#ofTopic.has(topic)
  }

  override set(key: PartitionKey, reassignment: Reassignment): this {
    if (!this.has(key)) this.#count(reassignment.entry.topic, 1)
    return super.set(key, reassignment)
  }

  override delete(key: PartitionKey): boolean {
    const known = this.get(key)
    if (known !== undefined) this.#count(known.entry.topic, -1)
    return super.delete(key)
  }

  #count(topic: string, change: number): void {
    const count = (this.#ofTopic.get(topic) ?? 0) + change
    if (count === 0) this.#ofTopic.delete(topic)
    else this.#ofTopic.set(topic, count)
  }
}

/**
 * All that a controller holds in memory, for one period of being controller: made by the failover, thrown away by the resignation.
 * Only the controller's event queue changes it.
 */
export class ControllerContext {
  readonly controllerId: BrokerId
  readonly epoch: number
  /** Registered brokers, those that are shutting down included. */
  readonly brokers = new Map<BrokerId, BrokerRegistration>()
  readonly shuttingDown = new Set<BrokerId>()
  /** Partitions whose log directory failed, by broker. */
  readonly offlineDirs = new Map<BrokerId, Set<PartitionKey>>()
  readonly topics = new Map<string, Map<number, PartitionEntry>>()
  readonly topicsToDelete = new Set<string>()
  /** Topics whose deletion has to wait: a replica is offline, or a reassignment is under way. */
  readonly ineligibleForDeletion = new Set<string>()
  readonly reassignments = new Reassignments()

  constructor(controllerId: BrokerId, epoch: number) {
    this.controllerId = controllerId
    this.epoch = epoch
  }

  // ---- brokers

  /** Registered and not shutting down. */
  isLive(broker: BrokerId): boolean {
    return this.brokers.has(broker) && !this.shuttingDown.has(broker)
  }

  liveBrokers(): BrokerId[] {
    return this.registeredBrokers().filter((id) => this.isLive(id))
  }

  /** Live or shutting down, ascending. */
  registeredBrokers(): BrokerId[] {
    return [...this.brokers.keys()].sort((a, b) => a - b)
  }

  /** The broker is live and the partition's directory there has not failed. */
  isOnline(broker: BrokerId, entry: PartitionEntry): boolean {
    return this.isLive(broker) && !this.offlineDirs.get(broker)?.has(entry.key)
  }

  // ---- partitions

  *partitions(): Generator<PartitionEntry> {
    for (const topic of this.topics.values()) yield* topic.values()
  }

  *partitionsOf(topics: Iterable<string>): Generator<PartitionEntry> {
    for (const topic of topics) yield* this.topics.get(topic)?.values() ?? []
  }

  partition(topic: string, partition: number): PartitionEntry | undefined {
    return this.topics.get(topic)?.get(partition)
  }

  partitionsOn(broker: BrokerId): PartitionEntry[] {
    const found: PartitionEntry[] = []
    for (const topic of this.topics.values())
      for (const entry of topic.values()) if (entry.replicas.includes(broker)) found.push(entry)
    return found
  }

  get partitionCount(): number {
    let count = 0
    for (const topic of this.topics.values()) count += topic.size
    return count
  }

  /** Its deletion goes on, or may at any moment: nobody needs its partitions any more. While one is reassigned the topic lives as before. */
  isBeingDeleted(topic: string): boolean {
    return this.topicsToDelete.has(topic) && !this.reassignments.isTopic(topic)
  }

  /** Adds the partitions of `assignment` that are not known yet and answers them. */
  addPartitions(topic: string, assignment: TopicAssignment): PartitionEntry[] {
    let known = this.topics.get(topic)
    if (!known) this.topics.set(topic, (known = new Map()))
    const added: PartitionEntry[] = []
    for (const [partition, replicas] of assignment) {
      if (known.has(partition)) continue
      const entry = new PartitionEntry(topic, partition, replicas)
      known.set(partition, entry)
      added.push(entry)
    }
    return added
  }

  removeTopic(topic: string): void {
    for (const entry of this.topics.get(topic)?.values() ?? []) this.reassignments.delete(entry.key)
    this.topics.delete(topic)
    this.topicsToDelete.delete(topic)
    this.ineligibleForDeletion.delete(topic)
  }

  assignmentOf(topic: string): Map<number, readonly BrokerId[]> {
    const partitions = this.topics.get(topic)
    assert(partitions, `topic ${topic} is in the context`)
    return new Map([...partitions].map(([partition, entry]) => [partition, entry.replicas]))
  }

  // ---- gauges

  offlinePartitionsCount(): number {
    let count = 0
    for (const entry of this.partitions()) {
      if (this.isBeingDeleted(entry.topic)) continue
      if (!entry.leadership || !this.isOnline(entry.leadership.leader, entry)) count++
    }
    return count
  }

  preferredReplicaImbalanceCount(): number {
    let count = 0
    for (const entry of this.partitions()) {
      if (this.isBeingDeleted(entry.topic)) continue
      if (entry.leadership?.leader !== entry.replicas[0]) count++
    }
    return count
  }
}
