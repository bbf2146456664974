/** Where a mirror maker's records come from: a member of a group of brokers, or of one that ZooKeeper coordinates. */
import type { TopicPartition } from '../../base/ids.ts'
import {
  type Consumer,
  type ConsumerConnector,
  type ConsumerRecord,
  ConsumerTimeoutException,
  type KafkaStream,
  type TopicFilter,
  type TopicPartitionOffset,
} from '../../client/index.ts'

/** Longest wait for a record, so that offsets are committed when none comes. */
const WAIT_MS = 1000

export interface MirrorSource {
  /** `onRevoked` runs before others get the partitions. */
  start(onRevoked: (partitions: readonly TopicPartition[]) => Promise<void>): Promise<void>
  /** What is there within a second. */
  poll(): Promise<Iterable<ConsumerRecord>>
  /** Commits these and no others. */
  commit(offsets: readonly TopicPartitionOffset[]): Promise<void>
  /** The waiting call ends, or soon ends by itself. */
  wakeup(): void
  close(): Promise<void>
}

export class NewConsumerSource implements MirrorSource {
  readonly #consumer: Consumer
  readonly #pattern: () => RegExp

  /** `pattern` may throw. */
  constructor(consumer: Consumer, pattern: () => RegExp) {
    this.#consumer = consumer
    this.#pattern = pattern
  }

  async start(onRevoked: (partitions: readonly TopicPartition[]) => Promise<void>): Promise<void> {
    this.#consumer.subscribe(this.#pattern(), { onPartitionsRevoked: onRevoked })
  }

  poll(): Promise<Iterable<ConsumerRecord>> {
    return this.#consumer.poll(WAIT_MS)
  }

  commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    return this.#consumer.commitSync(offsets)
  }

  wakeup(): void {
    this.#consumer.wakeup()
  }

  close(): Promise<void> {
    return this.#consumer.close()
  }
}

export class OldConsumerSource implements MirrorSource {
  readonly #connector: ConsumerConnector
  readonly #filter: TopicFilter
  #stream: KafkaStream | undefined

  /** The connector has `consumer.timeout.ms`, and commits nothing by itself. */
  constructor(connector: ConsumerConnector, filter: TopicFilter) {
    this.#connector = connector
    this.#filter = filter
  }

  async start(onRevoked: (partitions: readonly TopicPartition[]) => Promise<void>): Promise<void> {
    const beforeReleasingPartitions = (owned: ReadonlyMap<string, readonly number[]>): Promise<void> =>
      onRevoked([...owned].flatMap(([topic, ids]) => ids.map((partition) => ({ topic, partition }))))
    this.#connector.setConsumerRebalanceListener({ beforeReleasingPartitions })
    const streams = await this.#connector.createMessageStreamsByFilter(this.#filter)
    this.#stream = streams[0]
  }

  async poll(): Promise<Iterable<ConsumerRecord>> {
    const ready = this.#stream?.poll()
    if (ready !== undefined) return [ready]
    try {
      const next = await this.#stream?.next()
      return next === undefined ? [] : [next]
    } catch (error) {
      if (error instanceof ConsumerTimeoutException) return []
      throw error
    }
  }

  commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    return this.#connector.commitOffsets(offsets)
  }

  wakeup(): void {
    // Its waits are short.
  }

  close(): Promise<void> {
    return this.#connector.shutdown()
  }
}
