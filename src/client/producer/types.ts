/** The producer as its users see it. */
import type { EpochMillis, Millis } from '../../base/ids.ts'
import type { KafkaException } from '../errors.ts'
import type { PartitionMetadata } from '../metadata/types.ts'
import type { HeaderInput } from '../records.ts'

/** `K` and `V` are what the serializers take; without serializers: bytes, text or null. */
export interface ProducerRecord<K = Uint8Array | string | null, V = Uint8Array | string | null> {
  readonly topic: string
  readonly value: V
  readonly key?: K | null
  /** Left out: the partitioner chooses. */
  readonly partition?: number
  /** Left out: now. */
  readonly timestamp?: EpochMillis
  readonly headers?: readonly HeaderInput[]
}

/** Where a record went. */
export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** -1 with acks=0. */
  readonly offset: number
  /** LogAppendTime where the topic has it, else the record's. */
  readonly timestamp: EpochMillis
}

/**
 * Called once per record, in order per partition, never within `send`. No object is made for it: `offset` and `timestamp` are as in
 * `RecordMetadata`, and -1 with an error.
 */
export type SendCallback = (error: KafkaException | null, partition: number, offset: number, timestamp: EpochMillis) => void

/** Sees every record before it is serialized, and every outcome. What it throws is logged and otherwise ignored. */
export interface ProducerInterceptor {
  onSend?(record: ProducerRecord<unknown, unknown>): ProducerRecord<unknown, unknown>
  onAcknowledgement?(metadata: RecordMetadata, error: KafkaException | null): void
  close?(): void
}

export interface OffsetAndMetadata {
  /** The next offset to read. */
  readonly offset: number
  readonly metadata?: string
}

export interface TopicPartitionOffset extends OffsetAndMetadata {
  readonly topic: string
  readonly partition: number
}

/** Kafka's metric names (`record-send-rate`) with their group (`producer-metrics`), tags and value. */
export interface MetricValue {
  readonly name: string
  readonly group: string
  readonly tags: Readonly<Record<string, string>>
  readonly value: number
}

export interface Producer<K = Uint8Array | string | null, V = Uint8Array | string | null> {
  readonly clientId: string

  /**
   * Appends the record to the batch of its partition. Resolves when the brokers have acknowledged it as `acks` says. Rejects with the
   * KafkaException that Java's future would give: TimeoutException (no metadata or memory within `max.block.ms`, batch expired),
   * RecordTooLargeException, SerializationException, ProducerFencedException, ...
   */
  send(record: ProducerRecord<K, V>): Promise<RecordMetadata>

  /**
   * The same without a promise: the cheapest way. `key` and `value` go straight into the batch. Returns false when `buffer.memory` is
   * used up and the record was queued behind: stop until `onDrain`.
   */
  produce(record: ProducerRecord<K, V>, callback?: SendCallback): boolean

  /** Called when memory is free again after `produce` returned false. */
  onDrain(listener: () => void): () => void

  /** Resolves when everything sent before has been acknowledged or has failed. */
  flush(): Promise<void>

  /** Waits for metadata, at most `max.block.ms`. */
  partitionsFor(topic: string): Promise<readonly PartitionMetadata[]>

  // ---- transactions (transactional.id)
  /** Once, before anything else: fences older producers of the id and ends their transaction. */
  initTransactions(): Promise<void>
  beginTransaction(): void
  /** Offsets that become committed with the transaction. */
  sendOffsetsToTransaction(offsets: readonly TopicPartitionOffset[], groupId: string): Promise<void>
  /** Flushes first. */
  commitTransaction(): Promise<void>
  /** Drops what was not sent yet. */
  abortTransaction(): Promise<void>

  metrics(): MetricValue[]

  /**
   * Sends what there is, for at most `timeoutMs` (default: no limit; 0: nothing more); what remains is rejected. Idempotent.
   */
  close(timeoutMs?: Millis): Promise<void>
}
