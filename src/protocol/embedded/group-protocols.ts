import { array, bytes, int16, int32, int64, nullableBytes, nullableString, string } from '../schema.ts'
import { defineStruct } from '../struct.ts'

/**
 * What group members tell each other through JoinGroup and SyncGroup. Each stands behind an int16 version; a later version than 0 is
 * read as 0, and bytes behind it are ignored.
 */

/** `protocol_type` = `consumer`: metadata of a member. */
export const consumerSubscription = defineStruct({ topics: array(string), userData: nullableBytes })

/** `protocol_type` = `consumer`: what a member gets. */
export const consumerAssignment = defineStruct({
  topicPartitions: array({ topic: string, partitions: array(int32) }),
  userData: nullableBytes,
})

const VERSION_BYTES = 2

/** What a member of a consumer group got; nothing where the bytes are missing: the leader left it out. Throws `DecodeError`. */
export function assignedPartitions(assignment: Buffer): { topic: string; partition: number }[] {
  if (assignment.length < VERSION_BYTES) return []
  const { topicPartitions } = consumerAssignment.decode(assignment, VERSION_BYTES)
  return topicPartitions.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
}

/** User data of the sticky assignor (no version in front). */
export const stickyUserData = defineStruct({ previousAssignment: array({ topic: string, partitions: array(int32) }) })

/** `protocol_type` = `connect`: metadata of a worker. */
export const connectConfigState = defineStruct({ url: string, configOffset: int64 })

/** `protocol_type` = `connect`: what a worker gets. */
export const connectAssignment = defineStruct({
  error: int16,
  leader: string,
  leaderUrl: string,
  configOffset: int64,
  assignment: array({ connector: string, tasks: array(int32) }),
})

const member = { memberId: string, clientId: string, clientHost: string }
const memberState = { sessionTimeout: int32, subscription: bytes, assignment: bytes }
const generation = { protocolType: string, generation: int32, protocol: nullableString, leader: nullableString }

/** `__consumer_offsets`: key of versions 0 and 1. */
export const offsetKey = defineStruct({ group: string, topic: string, partition: int32 })

/** `__consumer_offsets`: value of version 0. */
export const offsetValueV0 = defineStruct({ offset: int64, metadata: string, timestamp: int64 })

/** `__consumer_offsets`: value of version 1. */
export const offsetValueV1 = defineStruct({ offset: int64, metadata: string, commitTimestamp: int64, expireTimestamp: int64 })

/** `__consumer_offsets`: key of version 2. */
export const groupKey = defineStruct({ group: string })

/** `__consumer_offsets`: value of a group, version 0. */
export const groupValueV0 = defineStruct({ ...generation, members: array({ ...member, ...memberState }) })

/** `__consumer_offsets`: value of a group, version 1. */
export const groupValueV1 = defineStruct({
  ...generation,
  members: array({ ...member, rebalanceTimeout: int32, ...memberState }),
})
