/** Offsets of logs: beginning, end, and by time, asked of the leaders (ListOffsets). */
import { type EpochMillis, type Millis, partitionKey, type TopicPartition } from '../../base/ids.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { byTopic } from '../by-topic.ts'
import type { ClusterClient } from '../cluster-client.ts'
import { exceptionOf, KafkaException, TopicAuthorizationException, UnsupportedVersionException } from '../errors.ts'
import type { OffsetAndTimestamp } from './types.ts'

export const LATEST = -1
export const EARLIEST = -2

export interface TimeQuery extends TopicPartition {
  /** A time, or LATEST or EARLIEST. */
  readonly timestamp: EpochMillis
}

export interface FoundOffset {
  /** -1: no record is so young. */
  readonly offset: number
  readonly timestamp: EpochMillis
}

export class OffsetLookup {
  readonly #cluster: ClusterClient
  readonly #isolationLevel: number

  constructor(cluster: ClusterClient, isReadCommitted: boolean) {
    this.#cluster = cluster
    this.#isolationLevel = isReadCommitted ? 1 : 0
  }

  /** Repeats what may pass. By `partitionKey`. */
  async all(queries: readonly TimeQuery[], timeoutMs: Millis): Promise<Map<string, FoundOffset>> {
    const found = new Map<string, FoundOffset>()
    await this.#cluster.retry('look up offsets', { timeoutMs }, async (leftMs) => {
      const open = queries.filter(({ topic, partition }) => !found.has(partitionKey(topic, partition)))
      for (const topic of new Set(open.map(({ topic }) => topic))) await this.#cluster.metadata.waitForTopic(topic, leftMs)
      for (const [key, answer] of await this.some(open)) {
        if (answer instanceof KafkaException) continue
        found.set(key, answer)
      }
      const failed = open.find(({ topic, partition }) => !found.has(partitionKey(topic, partition)))
      if (failed !== undefined) throw exceptionOf(ErrorCode.NOT_LEADER_FOR_PARTITION)
    })
    return found
  }

  /** First offset whose record is at least so young; null: none. */
  async forTimes(queries: readonly TimeQuery[], timeoutMs: Millis): Promise<Map<string, OffsetAndTimestamp | null>> {
    const found = await this.all(queries, timeoutMs)
    return new Map([...found].map(([key, one]) => [key, one.offset < 0 ? null : one]))
  }

  /**
   * One try of each. What can be repeated is an exception in the answer; what cannot is thrown. A partition without a known leader is
   * one that can.
   */
  async some(queries: readonly TimeQuery[]): Promise<Map<string, FoundOffset | KafkaException>> {
    const { metadata } = this.#cluster
    const answers = new Map<string, FoundOffset | KafkaException>()
    const byLeader = new Map<number, TimeQuery[]>()
    for (const query of queries) {
      const leader = metadata.leaderOf(query.topic, query.partition)
      const same = byLeader.get(leader)
      if (same === undefined) byLeader.set(leader, [query])
      else same.push(query)
    }
    const ask = async ([leader, asked]: readonly [number, TimeQuery[]]): Promise<void> => {
      try {
        await this.#ask(leader, asked, answers)
      } catch (error) {
        if (!(error instanceof KafkaException) || !error.retriable) throw error
        if (error.invalidMetadata) metadata.requestUpdate()
        for (const { topic, partition } of asked) answers.set(partitionKey(topic, partition), error)
      }
    }
    await Promise.all([...byLeader].map(ask))
    return answers
  }

  async #ask(leader: number, queries: readonly TimeQuery[], answers: Map<string, FoundOffset | KafkaException>): Promise<void> {
    if (leader < 0) throw exceptionOf(ErrorCode.LEADER_NOT_AVAILABLE)
    let isOld = false
    const response = await this.#cluster.request(leader, 'ListOffsets', (version) => {
      isOld = version === 0
      return {
        replicaId: -1,
        isolationLevel: this.#isolationLevel,
        topics: byTopic(queries, ({ partition, timestamp }) => ({ partition, timestamp, maxNumOffsets: 1 })),
      }
    })
    if (isOld && queries.some(({ timestamp }) => timestamp >= 0)) {
      throw new UnsupportedVersionException('Brokers before 0.10.1 find no offset by time')
    }
    take(response, isOld, answers, () => this.#cluster.metadata.requestUpdate())
  }
}

function take(
  response: ResponseOf<'ListOffsets'>,
  isOld: boolean,
  answers: Map<string, FoundOffset | KafkaException>,
  onStale: () => void,
): void {
  for (const { topic, partitionResponses } of response.responses) {
    for (const one of partitionResponses) {
      const key = partitionKey(topic, one.partition)
      if (one.errorCode === ErrorCode.NONE) {
        const offset = isOld ? (one.offsets[0] ?? -1) : one.offset
        answers.set(key, { offset, timestamp: one.timestamp })
      } else if (one.errorCode === ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT) {
        // The log is older than timestamps.
        answers.set(key, { offset: -1, timestamp: -1 })
      } else if (one.errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED) {
        throw new TopicAuthorizationException([topic])
      } else {
        const error = exceptionOf(one.errorCode)
        if (!error.retriable) throw error
        if (error.invalidMetadata) onStale()
        answers.set(key, error)
      }
    }
  }
}
