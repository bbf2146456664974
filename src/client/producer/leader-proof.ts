import type { Millis } from '../../base/ids.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { PartitionQueue, ProducerBatch } from './batch.ts'

const NOT_YET: readonly number[] = [ErrorCode.NOT_LEADER_FOR_PARTITION, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]

/**
 * For producers that learn of leaders from ZooKeeper (`zookeeper.connect`): there a leader is named before it has been told itself, and
 * refuses the first batches; nothing of them was written. Such a refusal is no failure and does not count against `retries`. So that
 * order holds, a leader gets one batch of a partition at a time until it has accepted one.
 */
export class LeaderProof {
  readonly #patienceMs: Millis

  /** For how long after a batch was begun it may be refused. */
  constructor(patienceMs: Millis) {
    this.#patienceMs = patienceMs
  }

  /** Whether the leader has accepted something of the partition, or nothing is under way to it. */
  mayFollow(queue: PartitionQueue, leader: number): boolean {
    return queue.provenLeader === leader || !queue.unanswered.some(({ isInFlight }) => isInFlight)
  }

  isTooEarly(batch: ProducerBatch, errorCode: number, now: Millis): boolean {
    return NOT_YET.includes(errorCode) && now - batch.createdAt < this.#patienceMs
  }
}
