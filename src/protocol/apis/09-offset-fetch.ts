import { defineApi } from '../api.ts'
import { array, int16, int32, int64, nullableString, string } from '../schema.ts'

/**
 * OffsetFetch: offsets of a consumer group.
 * v0 from ZooKeeper; v2 null topics for all, and an error code for the group (KIP-88).
 */
export const offsetFetch = defineApi({
  key: 9,
  name: 'OffsetFetch',
  versions: [0, 3],
  request: {
    groupId: string,
    topics: array({ topic: string, partitions: array({ partition: int32 }) }).nullable(2),
  },
  response: {
    throttleTimeMs: int32.since(3, 0),
    responses: array({
      topic: string,
      partitionResponses: array({ partition: int32, offset: int64, metadata: nullableString, errorCode: int16 }),
    }),
    errorCode: int16.since(2, 0),
  },
})
