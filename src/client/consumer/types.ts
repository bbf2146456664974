/** The consumer as its users see it. */
import type { EpochMillis, Millis, TopicPartition } from '../../base/ids.ts'
import type { RawVisitor, RecordHeader } from '../../protocol/records/index.ts'
import type { KafkaException } from '../errors.ts'
import type { PartitionMetadata } from '../metadata/types.ts'
import type { MetricValue, OffsetAndMetadata, TopicPartitionOffset } from '../producer/types.ts'

export type { RawVisitor }

/** One record. Key and value are deserialized (or viewed) when they are looked at, once. */
export interface ConsumerRecord<K = Buffer | null, V = Buffer | null> {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** -1: none. */
  readonly timestamp: EpochMillis
  readonly timestampType: 'CreateTime' | 'LogAppendTime' | 'NoTimestampType'
  readonly key: K
  readonly value: V
  readonly headers: readonly RecordHeader[]
}

/** Records of one partition, in order, that cost nothing until they are looked at. */
export interface RecordBatch<K = Buffer | null, V = Buffer | null> extends Iterable<ConsumerRecord<K, V>> {
  readonly topic: string
  readonly partition: number
  readonly count: number
  /** Offset of the first record, and the position after the last: what to commit. */
  readonly firstOffset: number
  readonly nextOffset: number
  readonly highWatermark: number
  /**
   * The cheapest way through: no object per record. Key and value are bytes `[start, end)` of `buffer`, -1 for null; they are valid during
   * the call only. With the next poll the memory of a batch that was read in no other way is used again: reading it then throws
   * IllegalStateException.
   */
  forEachRaw(visit: RawVisitor): void
}

/** What a poll returns: by partition, and all in turn. */
export interface ConsumerRecords<K = Buffer | null, V = Buffer | null> extends Iterable<ConsumerRecord<K, V>> {
  readonly count: number
  readonly isEmpty: boolean
  /** One per partition that has records. */
  readonly batches: readonly RecordBatch<K, V>[]
}

/** Called within `poll` (and `close`): revoked before the group rebalances, assigned after. May return a promise. */
export interface ConsumerRebalanceListener {
  onPartitionsRevoked?(partitions: readonly TopicPartition[]): void | Promise<void>
  onPartitionsAssigned?(partitions: readonly TopicPartition[]): void | Promise<void>
}

/** Sees what poll returns and what was committed. What it throws is logged and otherwise ignored. */
export interface ConsumerInterceptor {
  onConsume?(records: ConsumerRecords<unknown, unknown>): ConsumerRecords<unknown, unknown>
  onCommit?(offsets: readonly TopicPartitionOffset[]): void
  close?(): void
}

/** What a member brings to an assignment. */
export interface MemberSubscription {
  readonly memberId: string
  readonly topics: readonly string[]
  readonly userData: Buffer | null
}

/** Divides partitions between the members of a group; runs at the member that leads it. */
export interface PartitionAssignor {
  /** In the group protocol: all members must have one name in common. */
  readonly name: string
  /** Goes with the subscription of each member (the sticky assignor's former assignment). */
  userData?(topics: readonly string[]): Buffer | null
  /** `partitionCounts` of all subscribed topics that exist. Every partition goes to one member at most. */
  assign(partitionCounts: ReadonlyMap<string, number>, members: readonly MemberSubscription[]): Map<string, TopicPartition[]>
  /** What this member got. */
  onAssignment?(partitions: readonly TopicPartition[], generation: number): void
}

export interface OffsetAndTimestamp {
  readonly offset: number
  readonly timestamp: EpochMillis
}

export type CommitCallback = (error: KafkaException | null, offsets: readonly TopicPartitionOffset[]) => void

/**
 * For one caller at a time: overlapping calls throw ConcurrentModificationException; `wakeup` and `close` may come at any time. Waiting calls
 * take their time from `request.timeout.ms` unless said otherwise.
 */
export interface Consumer<K = Buffer | null, V = Buffer | null> extends AsyncIterable<RecordBatch<K, V>> {
  readonly clientId: string

  // ---- what to read: a subscription (the group assigns) or an assignment, not both (IllegalStateException)
  subscribe(topics: readonly string[] | RegExp, listener?: ConsumerRebalanceListener): void
  unsubscribe(): Promise<void>
  assign(partitions: readonly TopicPartition[]): void
  subscription(): readonly string[]
  assignment(): readonly TopicPartition[]

  // ---- reading
  /**
   * As Java's: joins the group where needed, returns at once what has been fetched (at most `max.poll.records`), else waits up to
   * `timeoutMs`. Rejects with WakeupException, NoOffsetForPartitionException, OffsetOutOfRangeException, SerializationException,
   * AuthorizationException.
   */
  poll(timeoutMs: Millis): Promise<ConsumerRecords<K, V>>
  /** `for await (const batch of consumer)`: polls whenever the body has done with a batch; ends with `close`. */
  [Symbol.asyncIterator](): AsyncIterator<RecordBatch<K, V>>
  /** The waiting call, or the next one, rejects with WakeupException. */
  wakeup(): void
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  paused(): readonly TopicPartition[]

  // ---- positions
  seek(partition: TopicPartition, offset: number): void
  seekToBeginning(partitions: readonly TopicPartition[]): void
  seekToEnd(partitions: readonly TopicPartition[]): void
  /** The next offset that poll returns. */
  position(partition: TopicPartition): Promise<number>
  committed(partition: TopicPartition): Promise<OffsetAndMetadata | null>
  /** Without offsets: the positions. Repeats retriable errors; CommitFailedException when the group has gone on. */
  commitSync(offsets?: readonly TopicPartitionOffset[]): Promise<void>
  /** Tried once. Callbacks come in order, within poll, commitSync and close. */
  commitAsync(offsets?: readonly TopicPartitionOffset[], callback?: CommitCallback): void

  // ---- looking around
  partitionsFor(topic: string): Promise<readonly PartitionMetadata[]>
  listTopics(): Promise<ReadonlyMap<string, readonly PartitionMetadata[]>>
  /** First offset whose record is at least so young; null when there is none. By `partitionKey`. */
  offsetsForTimes(
    times: readonly (TopicPartition & { readonly timestamp: EpochMillis })[],
  ): Promise<Map<string, OffsetAndTimestamp | null>>
  /** By `partitionKey`. */
  beginningOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>>
  endOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>>

  metrics(): MetricValue[]
  /** Commits (if automatic), leaves the group, within `timeoutMs` (default 30000). Idempotent. */
  close(timeoutMs?: Millis): Promise<void>
}
