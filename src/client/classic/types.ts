/**
 * The clients of 0.8 as their users see them: the High Level Consumer, the Simple Consumer, the old producer. They are made by
 * `createConsumerConnector(options, environment?)`, `createSimpleConsumer(options, environment?)` and `createOldProducer(options, environment?)`;
 * the options of the first and the last are tables of Kafka's old keys (`OldConsumerOptions`, `OldProducerOptions`).
 */
import type { EpochMillis, TopicPartition } from '../../base/ids.ts'
import type { ConsumerRecord } from '../consumer/types.ts'
import type { OffsetAndMetadata, TopicPartitionOffset } from '../producer/types.ts'
import type { Deserializer } from '../serialization.ts'

// ---------------------------------------------------------------------- High Level Consumer

/** One message. Key and value are viewed, and deserialized, when they are looked at, once. */
export interface MessageAndMetadata<K = Buffer | null, V = Buffer | null> extends ConsumerRecord<K, V> {
  /** The old name of `value`. */
  readonly message: V
}

/**
 * What one thread of the old consumer reads: messages of the partitions that its thread id owns. For one reader at a time.
 *
 * A message counts as consumed (for automatic commits) when the one after it is asked for, or when `commitOffsets` or `shutdown` is called.
 * Without a message for `consumer.timeout.ms` the wait rejects with ConsumerTimeoutException; the stream can be read on. `shutdown` ends it.
 */
export interface KafkaStream<K = Buffer | null, V = Buffer | null> extends AsyncIterable<MessageAndMetadata<K, V>> {
  readonly clientId: string
  /** `<group>_<host>-<ms>-<8 hex digits>-<n>`, the text in `/consumers/<group>/owners`. */
  readonly threadIds: readonly string[]
  /** The next message when it is there already, without waiting and without a promise; undefined: none now, or at the end. */
  poll(): MessageAndMetadata<K, V> | undefined
  /** Waits for the next message; undefined after `shutdown`. Rejects with ConsumerTimeoutException, MessageSizeTooLargeException. */
  next(): Promise<MessageAndMetadata<K, V> | undefined>
  /** Breaking out of the loop leaves the stream as it is. */
  [Symbol.asyncIterator](): AsyncIterator<MessageAndMetadata<K, V>, void>
}

export interface StreamDecoders<K, V> {
  /** Default: the bytes. */
  readonly key?: Deserializer<K> | string
  readonly value?: Deserializer<V> | string
}

/**
 * Topics by regular expression (Java's and JavaScript's common ground; commas are alternatives, quotes and spaces around are dropped) that has
 * to match the whole name. Make one with `whitelist` or `blacklist`.
 */
export interface TopicFilter {
  readonly kind: 'white_list' | 'black_list'
  /** As it stands in the registration: trimmed, commas as `|`. */
  readonly regex: string
  allows(topic: string, excludeInternalTopics: boolean): boolean
}

/** Called within a rebalance, 0.8.2's hooks. What they throw is logged. */
export interface OldConsumerRebalanceListener {
  /** Fetchers are stopped; ownership is still ours. Topic to partitions. */
  beforeReleasingPartitions?(owned: ReadonlyMap<string, readonly number[]>): void | Promise<void>
  /** Owners are written, fetchers not yet started. `assignment`: topic, partition, thread id, of the whole group. */
  beforeStartingFetchers?(
    consumerId: string,
    assignment: ReadonlyMap<string, ReadonlyMap<number, { readonly consumer: string; readonly threadId: string }>>,
  ): void | Promise<void>
}

/**
 * A member of a group that ZooKeeper coordinates (`/consumers/<group>`). One call of `createMessageStreams` or `createMessageStreamsByFilter`
 * per connector; it connects, registers and takes part in the first rebalance.
 */
export interface ConsumerConnector {
  /** `<group>_<host>-<ms>-<8 hex digits>`, or `<group>_<consumer.id>`. */
  readonly consumerId: string
  /**
   * So many streams per topic. Rejects with MessageStreamsExistException (second call), ConsumerRebalanceFailedException, or when ZooKeeper
   * cannot be reached within `zookeeper.connection.timeout.ms`.
   */
  createMessageStreams<K = Buffer | null, V = Buffer | null>(
    topicCounts: Readonly<Record<string, number>> | ReadonlyMap<string, number>,
    decoders?: StreamDecoders<K, V>,
  ): Promise<Map<string, KafkaStream<K, V>[]>>
  /** All topics that the filter allows, now and later, over so many streams (default 1). */
  createMessageStreamsByFilter<K = Buffer | null, V = Buffer | null>(
    filter: TopicFilter,
    streams?: number,
    decoders?: StreamDecoders<K, V>,
  ): Promise<KafkaStream<K, V>[]>
  /**
   * Commits what the streams have handed out, or just these offsets, to ZooKeeper or Kafka (`offsets.storage`). Retries
   * `offsets.commit.max.retries` times; rejects with what stood in the way last.
   */
  commitOffsets(offsets?: readonly TopicPartitionOffset[]): Promise<void>
  /** Before the streams are made. */
  setConsumerRebalanceListener(listener: OldConsumerRebalanceListener): void
  /** What this member owns now. */
  ownedPartitions(): readonly TopicPartition[]
  /** Stops fetching, commits (`auto.commit.enable`), ends the streams, leaves the group: registration and owners go. Idempotent. */
  shutdown(): Promise<void>
}

// ---------------------------------------------------------------------- Simple Consumer

export interface SimpleConsumerOptions {
  readonly host: string
  readonly port: number
  /** `socket.timeout.ms`, default 30000. */
  readonly soTimeout?: number
  readonly clientId?: string
  /** Default: the highest that both sides know. */
  readonly fetchVersion?: number
}

export interface FetchRange extends TopicPartition {
  readonly offset: number
  /** Bytes. */
  readonly fetchSize: number
}

/** What a fetch brought for one partition. Iterating over it gives the messages from the offset asked for. */
export interface FetchedMessages extends TopicPartition, Iterable<MessageAndMetadata> {
  /** Kafka's error code; 0: none. */
  readonly errorCode: number
  readonly highWatermark: number
  readonly sizeInBytes: number
  /** Where to fetch next. */
  readonly nextOffset: number
}

export interface LeaderInfo {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** Offsets to ask for by time: `LatestTime` -1, `EarliestTime` -2. */
export const LATEST_TIME = -1
export const EARLIEST_TIME = -2

/**
 * One connection to one broker. Every call is repeated once after a broken connection. Error codes of partitions are answers, not
 * exceptions: the application finds the new leader itself.
 */
export interface SimpleConsumer {
  readonly host: string
  readonly port: number
  fetch(
    ranges: readonly FetchRange[],
    options?: { readonly maxWaitMs?: number; readonly minBytes?: number },
  ): Promise<FetchedMessages[]>
  /** OffsetRequest v0: at most `maxOffsets` segment offsets before the time, newest first. By the order of the question. */
  getOffsetsBefore(
    wanted: readonly (TopicPartition & { readonly time: EpochMillis; readonly maxOffsets?: number })[],
  ): Promise<(TopicPartition & { readonly errorCode: number; readonly offsets: readonly number[] })[]>
  /** `getOffsetsBefore` for one; rejects with the partition's error. */
  earliestOrLatestOffset(topic: string, partition: number, time: typeof LATEST_TIME | typeof EARLIEST_TIME): Promise<number>
  /** Asks this broker; null: there is none now. Rejects with the topic's or partition's error. */
  findLeader(topic: string, partition: number): Promise<LeaderInfo | null>
  /** OffsetCommit: version 0 (ZooKeeper, default), 1 (Kafka). */
  commitOffsets(
    groupId: string,
    offsets: readonly TopicPartitionOffset[],
    version?: 0 | 1,
  ): Promise<(TopicPartition & { readonly errorCode: number })[]>
  /** OffsetFetch: version 0 (ZooKeeper, default; error 3 where there is none), 1 (Kafka; offset -1 where there is none). */
  fetchOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    version?: 0 | 1,
  ): Promise<(TopicPartition & OffsetAndMetadata & { readonly errorCode: number })[]>
  close(): Promise<void>
}

// ---------------------------------------------------------------------- old producer

/** `partKey` only chooses the partition and defaults to `key`; it is not sent. */
export interface KeyedMessage<K = Uint8Array | string | null, V = Uint8Array | string | null> {
  readonly topic: string
  readonly key?: K | null
  readonly partKey?: unknown
  readonly message: V
}

/** `partitioner.class`: asked for messages with a key only. Returns an id in [0, count). */
export interface OldPartitioner {
  partition(key: unknown, count: number): number
}

export interface OldProducer<K = Uint8Array | string | null, V = Uint8Array | string | null> {
  readonly clientId: string
  /**
   * `producer.type=sync`: resolves when the brokers have acknowledged as `request.required.acks` says; rejects with
   * FailedToSendMessageException after `message.send.max.retries` more tries (at once, with a MessageSizeTooLargeException as its cause, when a broker
   * finds a message too large).
   * `async`: resolves when all are queued; rejects with QueueFullException when the queue stays full for `queue.enqueue.timeout.ms`. What could
   * not be sent later is logged and dropped, as ever.
   */
  send(...messages: readonly KeyedMessage<K, V>[]): Promise<void>
  /** Sends what is queued. Idempotent. */
  close(): Promise<void>
}
