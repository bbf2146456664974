/** Offsets of a group that ZooKeeper coordinates: kept in ZooKeeper, in Kafka, or (while a group moves over) in both. */
import type { KafkaZk } from '../../../zk/store/index.ts'
import { partitionKey, type TopicPartition } from '../../base/ids.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../../protocol/errors.ts'
import type { RequestOrMaker } from '../../rpc/channel.ts'
import { byTopic } from '../by-topic.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { OldConsumerConfig } from '../config/index.ts'
import { exceptionOf, KafkaException } from '../errors.ts'
import type { TopicPartitionOffset } from '../producer/types.ts'

const NONE = -1
const COORDINATOR_GONE: ReadonlySet<number> = new Set([ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE])

export class OffsetStore {
  readonly #cluster: ClusterClient
  readonly #zk: KafkaZk
  readonly #config: OldConsumerConfig
  /** What ZooKeeper holds, as far as we know. */
  readonly #checkpoints = new Map<string, number>()
  #coordinator: number | undefined

  constructor(cluster: ClusterClient, zk: KafkaZk, config: OldConsumerConfig) {
    this.#cluster = cluster
    this.#zk = zk
    this.#config = config
  }

  // ------------------------------------------------------------------ reading

  /** By `partitionKey`; -1: none. With the offsets in Kafka: asks until it knows, or `isStopped`. */
  async fetch(partitions: readonly TopicPartition[], isStopped: () => boolean): Promise<Map<string, number>> {
    const { 'offsets.storage': storage, 'dual.commit.enabled': isDual, 'group.id': group } = this.#config
    if (partitions.length === 0) return new Map()
    const found = new Map(partitions.map(({ topic, partition }) => [partitionKey(topic, partition), NONE]))
    const inZooKeeper = storage === 'zookeeper' || isDual ? await this.#zk.getConsumerOffsets(group, partitions) : new Map()
    const inKafka = storage === 'kafka' ? await this.#fetchFromKafka(partitions, isStopped) : new Map<string, number>()
    for (const key of found.keys()) {
      const offset = inZooKeeper.get(key) ?? NONE
      this.#checkpoints.set(key, offset)
      found.set(key, Math.max(offset, inKafka.get(key) ?? NONE))
    }
    return found
  }

  async #fetchFromKafka(partitions: readonly TopicPartition[], isStopped: () => boolean): Promise<Map<string, number>> {
    for (;;) {
      try {
        return await this.#tryFetchFromKafka(partitions)
      } catch (error) {
        if (!(error instanceof KafkaException) || isStopped()) throw error
        this.#cluster.environment.log.warn(`Error while fetching offsets of group ${this.#config['group.id']}: ${error.message}`)
      }
      await this.#cluster.sleep(this.#config['offsets.channel.backoff.ms'])
    }
  }

  async #tryFetchFromKafka(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    const groupId = this.#config['group.id']
    const topics = byTopic(partitions, ({ partition }) => ({ partition }))
    const response = await this.#ask('OffsetFetch', { groupId, topics })
    const offsets = new Map<string, number>()
    for (const { topic, partitionResponses } of response.responses) {
      for (const { partition, offset, errorCode } of partitionResponses) {
        // Version 1 of 0.8.2 says 3 where it knows no offset.
        const isAbsent = errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if (errorCode !== ErrorCode.NONE && !isAbsent) this.#refuse(errorCode)
        offsets.set(partitionKey(topic, partition), isAbsent ? NONE : offset)
      }
    }
    if (response.errorCode !== ErrorCode.NONE) this.#refuse(response.errorCode)
    return offsets
  }

  // ------------------------------------------------------------------ writing

  /** What has not changed since is not written. Tries `retries` times more; rejects with what stood in the way last. */
  async commit(offsets: readonly TopicPartitionOffset[], retries: number): Promise<void> {
    const wanted = offsets.filter(({ offset }) => offset >= 0)
    if (wanted.length === 0) return
    if (this.#config['offsets.storage'] === 'zookeeper') return this.#commitToZooKeeper(wanted)
    for (let tries = 0; ; tries++) {
      try {
        return await this.#commitToKafka(wanted)
      } catch (error) {
        if (!(error instanceof KafkaException) || tries >= retries) throw error
        this.#cluster.environment.log.warn(
          `Error while committing offsets of group ${this.#config['group.id']}: ${error.message}`,
        )
      }
      await this.#cluster.sleep(this.#config['offsets.channel.backoff.ms'])
    }
  }

  /** New nodes one after another, which makes their parents once; the others at once. */
  async #commitToZooKeeper(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    const group = this.#config['group.id']
    const writes: Promise<void>[] = []
    for (const one of offsets) {
      const key = partitionKey(one.topic, one.partition)
      const known = this.#checkpoints.get(key)
      if (known === one.offset) continue
      const write = this.#zk.setConsumerOffset(group, one, one.offset).then(() => void this.#checkpoints.set(key, one.offset))
      if (known === undefined || known === NONE) await write
      else writes.push(write)
    }
    await Promise.all(writes)
  }

  async #commitToKafka(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    const response = await this.#ask('OffsetCommit', {
      groupId: this.#config['group.id'],
      generationId: -1,
      memberId: '',
      retentionTime: -1,
      topics: byTopic(offsets, ({ partition, offset, metadata }) => ({ partition, offset, metadata: metadata ?? '' })),
    })
    const failed = new Map<string, number>()
    for (const { topic, partitionResponses } of response.responses)
      for (const { partition, errorCode } of partitionResponses)
        if (errorCode !== ErrorCode.NONE) failed.set(partitionKey(topic, partition), errorCode)
    if (this.#config['dual.commit.enabled'])
      await this.#commitToZooKeeper(offsets.filter(({ topic, partition }) => !failed.has(partitionKey(topic, partition))))
    for (const [key, code] of failed) {
      // Repeating does not make it smaller.
      if (code !== ErrorCode.OFFSET_METADATA_TOO_LARGE) this.#refuse(code)
      this.#cluster.environment.log.warn(`committing the offset of ${key}: ${errorName(code)}`)
    }
  }

  // ------------------------------------------------------------------ the coordinator

  /** In the highest version both know: at least 1 wherever offsets are kept in Kafka. */
  async #ask<A extends 'OffsetCommit' | 'OffsetFetch'>(api: A, request: RequestOrMaker<A>): Promise<ResponseOf<A>> {
    const cluster = this.#cluster
    try {
      if (this.#coordinator === undefined) {
        if (cluster.metadata.brokers.size === 0) await cluster.metadata.update(this.#config['offsets.channel.socket.timeout.ms'])
        this.#coordinator = (await cluster.findCoordinator('group', this.#config['group.id'])).id
      }
      return await cluster.request(this.#coordinator, api, request)
    } catch (error) {
      this.#coordinator = undefined
      throw error
    }
  }

  #refuse(code: number): never {
    if (COORDINATOR_GONE.has(code)) this.#coordinator = undefined
    throw exceptionOf(code)
  }
}
