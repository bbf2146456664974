/** What members of a consumer group tell each other through JoinGroup and SyncGroup, in the bytes that Java's clients write. */
import type { TopicPartition } from '../../base/ids.ts'
import { consumerAssignment, consumerSubscription } from '../../protocol/embedded/group-protocols.ts'
import { byTopic } from '../by-topic.ts'
import { javaHash, javaOrder } from './assignors/java-order.ts'
import type { MemberSubscription } from './types.ts'

const VERSION = 0
const VERSION_BYTES = 2
const NO_DATA = Buffer.alloc(0)

/** No user data are written as zero bytes. */
export function encodeSubscription(topics: readonly string[], userData: Buffer | null): Buffer {
  return consumerSubscription.encode({ topics, userData: userData ?? NO_DATA }, VERSION)
}

/** Throws `DecodeError`. */
export function decodeSubscription(memberId: string, metadata: Buffer): MemberSubscription {
  const { topics, userData } = consumerSubscription.decode(metadata, VERSION_BYTES)
  return { memberId, topics, userData }
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const topics = byTopic(partitions, ({ partition }) => partition)
  const topicPartitions = javaOrder(topics, ({ topic }) => javaHash(topic))
  return consumerAssignment.encode({ topicPartitions, userData: NO_DATA }, VERSION)
}

export { assignedPartitions as decodeAssignment } from '../../protocol/embedded/group-protocols.ts'
