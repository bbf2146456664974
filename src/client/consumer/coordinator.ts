/** The group's coordinator: where it is, and its offsets. */
import { type Millis, partitionKey, type TopicPartition } from '../../base/ids.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { byTopic } from '../by-topic.ts'
import type { ClusterClient } from '../cluster-client.ts'
import {
  CommitFailedException,
  exceptionOf,
  GroupAuthorizationException,
  KafkaException,
  TopicAuthorizationException,
  UnsupportedVersionException,
} from '../errors.ts'
import type { OffsetAndMetadata, TopicPartitionOffset } from '../producer/types.ts'
import type { ConsumerMetrics } from './metrics.ts'

/** What a commit is signed with. */
export interface GroupIdentity {
  readonly generation: number
  readonly memberId: string
}

/** Commits from outside of the group protocol. */
export const NO_MEMBER: GroupIdentity = { generation: -1, memberId: '' }

export class Coordinator {
  /** As `coordinatorNode`; undefined: not known. */
  nodeId: number | undefined
  readonly groupId: string
  readonly #cluster: ClusterClient
  readonly #metrics: ConsumerMetrics
  #search: Promise<number> | undefined
  readonly #stopListening: () => void

  constructor(cluster: ClusterClient, groupId: string, metrics: ConsumerMetrics) {
    this.#cluster = cluster
    this.groupId = groupId
    this.#metrics = metrics
    this.#stopListening = cluster.onNodeDisconnect((nodeId) => this.lost(nodeId))
  }

  /** One search at a time. Rejects as `ClusterClient.findCoordinator`. */
  async find(): Promise<number> {
    if (this.nodeId !== undefined) return this.nodeId
    this.#search ??= this.#cluster
      .findCoordinator('group', this.groupId)
      .then(({ id }) => {
        this.nodeId = id
        return id
      })
      .catch((error) => {
        if (error instanceof KafkaException && error.code === ErrorCode.GROUP_AUTHORIZATION_FAILED)
          throw new GroupAuthorizationException(this.groupId)
        throw error
      })
      .finally(() => {
        this.#search = undefined
      })
    return this.#search
  }

  /** It is not there, or says that it is not the one. */
  lost(nodeId: number | undefined): void {
    if (nodeId !== undefined && this.nodeId === nodeId) this.nodeId = undefined
  }

  /** Errors by which a coordinator says that it is none, or that is taken to mean it. */
  noteError(nodeId: number, code: number): void {
    if (
      code === ErrorCode.COORDINATOR_NOT_AVAILABLE ||
      code === ErrorCode.NOT_COORDINATOR ||
      code === ErrorCode.REQUEST_TIMED_OUT ||
      code === ErrorCode.NETWORK_EXCEPTION
    )
      this.lost(nodeId)
  }

  close(): void {
    this.#stopListening()
  }

  /** One try. By `partitionKey`; null: nothing committed. Rejects with the broker's error. */
  async fetchOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, OffsetAndMetadata | null>> {
    const node = await this.find()
    const request = { groupId: this.groupId, topics: byTopic(partitions, ({ partition }) => ({ partition })) }
    const response = await this.#ask(node, () => this.#cluster.request(node, 'OffsetFetch', request))
    this.#check(node, response.errorCode)
    const found = new Map<string, OffsetAndMetadata | null>()
    for (const { topic, partitionResponses } of response.responses) {
      for (const { partition, offset, metadata, errorCode } of partitionResponses) {
        if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION && offset < 0) {
          // Below version 2 this is also what an unknown group gets.
          found.set(partitionKey(topic, partition), null)
          continue
        }
        this.#check(node, errorCode)
        found.set(partitionKey(topic, partition), offset < 0 ? null : { offset, metadata: metadata ?? '' })
      }
    }
    return found
  }

  /**
   * One try. Rejects with what the broker says: retriable where a repetition may help; CommitFailedException when the group has gone on
   * (`onFenced` is told why).
   */
  async commit(
    offsets: readonly TopicPartitionOffset[],
    identity: GroupIdentity,
    onFenced: (code: number) => void,
  ): Promise<void> {
    if (offsets.length === 0) return
    const node = await this.find()
    const { clock } = this.#cluster.environment
    const sentAt = clock.now()
    const request = {
      groupId: this.groupId,
      generationId: identity.generation,
      memberId: identity.memberId,
      retentionTime: -1,
      topics: byTopic(offsets, ({ partition, offset, metadata }) => ({
        partition,
        offset,
        timestamp: -1,
        metadata: metadata ?? '',
      })),
    }
    const response = await this.#ask(node, () => this.#cluster.request(node, 'OffsetCommit', request))
    this.#metrics.commitLatency.add(clock.now() - sentAt)
    const unauthorized = new Set<string>()
    for (const { topic, partitionResponses } of response.responses) {
      for (const { partition, errorCode } of partitionResponses) {
        if (errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED) unauthorized.add(topic)
        else this.#checkCommit(node, topic, partition, errorCode, onFenced)
      }
    }
    if (unauthorized.size > 0) throw new TopicAuthorizationException([...unauthorized])
  }

  #checkCommit(node: number, topic: string, partition: number, code: number, onFenced: (code: number) => void): void {
    switch (code) {
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.ILLEGAL_GENERATION:
      case ErrorCode.REBALANCE_IN_PROGRESS:
        onFenced(code)
        throw commitFailed()
      case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
        throw new KafkaException(`Topic or Partition ${topic}-${partition} does not exist`, { code })
      default:
        this.#check(node, code)
    }
  }

  #check(node: number, code: number): void {
    if (code === ErrorCode.NONE) return
    this.noteError(node, code)
    if (code === ErrorCode.GROUP_AUTHORIZATION_FAILED) throw new GroupAuthorizationException(this.groupId)
    throw exceptionOf(code)
  }

  async #ask<T>(node: number, request: () => Promise<T>): Promise<T> {
    try {
      return await request()
    } catch (error) {
      if (error instanceof KafkaException && error.retriable) this.lost(node)
      throw error
    }
  }

  /** `attempt` again and again while its errors are retriable and there is time. */
  retry<T>(what: string, timeoutMs: Millis, attempt: () => Promise<T>): Promise<T> {
    return this.#cluster.retry(what, { timeoutMs }, attempt)
  }
}

export function commitFailed(): CommitFailedException {
  return new CommitFailedException(
    'Commit cannot be completed since the group has already rebalanced and assigned the partitions to another member. The time between ' +
      'polls was longer than max.poll.interval.ms, or the member was silent for session.timeout.ms: spend less time on a batch, or ' +
      'have smaller ones with max.poll.records.',
  )
}

/** The error for a broker that has no group protocol, in words that say so. */
export function withoutGroups(error: UnsupportedVersionException): UnsupportedVersionException {
  return new UnsupportedVersionException(
    `The brokers do not know the group protocol, which came with 0.9: subscribe is not possible with them, assign is (${error.message})`,
  )
}
