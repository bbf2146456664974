/** What the consumer reads and where it is: a subscription or an assignment, and per partition the position. */
import { partitionKey, type TopicPartition } from '../../base/ids.ts'
import { IllegalStateException } from '../errors.ts'
import type { TopicPartitionOffset } from '../producer/types.ts'
import type { RecordSetReader } from '../record-reader.ts'
import type { Lease } from './lease.ts'
import type { ConsumerRebalanceListener } from './types.ts'

/** Where a position comes from that is not known yet. */
export type PositionWish = 'committed' | 'earliest' | 'latest'

/** A record set that came for a partition, or what came instead of one, in the order of fetching. */
export interface Chunk {
  readonly fetchOffset: number
  /** Where the next fetch goes on. */
  readonly nextOffset: number
  readonly bytes: number
  /** Undefined: see `error`. */
  readonly reader: RecordSetReader | undefined
  /** Where the bytes lie in pooled memory. */
  readonly lease: Lease | undefined
  /** Code of Kafka. */
  readonly error: number
  /** Some of it was handed out, or will be in this turn. */
  isStarted: boolean
}

/** One assigned partition. An object lives as long as the assignment: answers for an older one are for an object that nobody looks at. */
export class AssignedPartition {
  readonly topic: string
  readonly partition: number
  readonly key: string
  /** Next offset that poll returns; -1: not known. */
  position = -1
  /** Set while `position` is -1. */
  wish: PositionWish | undefined
  isPaused = false
  /** Changed by everything but reading on, so that answers from before are known to be stale. */
  epoch = 0
  isLookedUp = false
  /** No request for it before then. */
  retryAt = 0
  /** Next offset to fetch: `position` and what lies in `chunks`. */
  fetchOffset = -1
  isFetching = false
  /** At most one that is being handed out and one that waits behind it. */
  chunks: Chunk[] = []
  /** -1: not known. */
  highWatermark = -1
  lastStableOffset = -1
  logStartOffset = -1

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic
    this.partition = partition
    this.key = partitionKey(topic, partition)
  }

  moveTo(offset: number): void {
    this.epoch++
    this.position = offset
    this.fetchOffset = offset
    this.wish = undefined
    this.chunks = []
  }

  want(wish: PositionWish): void {
    this.epoch++
    this.position = -1
    this.fetchOffset = -1
    this.wish = wish
    this.isLookedUp = false
    this.chunks = []
  }
}

type Mode = 'none' | 'topics' | 'pattern' | 'assigned'

export class Subscription {
  mode: Mode = 'none'
  topics: readonly string[] = []
  pattern: RegExp | undefined
  listener: ConsumerRebalanceListener | undefined
  partitions: ReadonlyMap<string, AssignedPartition> = new Map()

  /** Throws IllegalStateException when partitions were assigned by hand or the other kind of subscription is in force. */
  subscribe(topics: readonly string[] | RegExp, listener: ConsumerRebalanceListener | undefined): void {
    const mode = topics instanceof RegExp ? 'pattern' : 'topics'
    this.#enter(mode)
    this.listener = listener
    // Without state of its own from match to match.
    if (topics instanceof RegExp) this.pattern = new RegExp(topics.source, topics.flags.replace(/[gy]/g, ''))
    else this.topics = [...new Set(topics)]
  }

  assign(partitions: readonly TopicPartition[]): void {
    this.#enter('assigned')
    this.setPartitions(partitions, true)
  }

  #enter(mode: Mode): void {
    if (this.mode !== 'none' && this.mode !== mode)
      throw new IllegalStateException('Subscription to topics, partitions and pattern are mutually exclusive')
    this.mode = mode
  }

  /** Positions of those that stay are kept when partitions are assigned by hand; a group's are looked up anew. */
  setPartitions(partitions: readonly TopicPartition[], keep: boolean): void {
    const next = new Map<string, AssignedPartition>()
    for (const one of partitions) {
      const key = partitionKey(one.topic, one.partition)
      const before = keep ? this.partitions.get(key) : undefined
      if (before === undefined) {
        const fresh = new AssignedPartition(one)
        fresh.wish = 'committed'
        next.set(key, fresh)
      } else next.set(key, before)
    }
    this.partitions = next
  }

  clear(): void {
    this.mode = 'none'
    this.topics = []
    this.pattern = undefined
    this.listener = undefined
    this.partitions = new Map()
  }

  /** The group assigns. */
  get isShared(): boolean {
    return this.mode === 'topics' || this.mode === 'pattern'
  }

  /** Throws IllegalStateException. */
  get({ topic, partition }: TopicPartition): AssignedPartition {
    const found = this.partitions.get(partitionKey(topic, partition))
    if (found === undefined) throw new IllegalStateException(`No current assignment for partition ${topic}-${partition}`)
    return found
  }

  isAssigned(partition: AssignedPartition): boolean {
    return this.partitions.get(partition.key) === partition
  }

  /** Every known position: what a commit without offsets commits. */
  positions(): TopicPartitionOffset[] {
    const all: TopicPartitionOffset[] = []
    for (const { topic, partition, position } of this.partitions.values()) {
      if (position >= 0) all.push({ topic, partition, offset: position })
    }
    return all
  }

  list(): TopicPartition[] {
    return [...this.partitions.values()].map(({ topic, partition }) => ({ topic, partition }))
  }
}
