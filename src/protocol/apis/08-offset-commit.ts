import { defineApi } from '../api.ts'
import { array, int16, int32, int64, nullableString, string } from '../schema.ts'

/**
 * OffsetCommit: a consumer group stores offsets.
 * v0 in ZooKeeper, v1 and later with the coordinator; v1 commit timestamp per partition, v2 retention time.
 */
export const offsetCommit = defineApi({
  key: 8,
  name: 'OffsetCommit',
  versions: [0, 3],
  request: {
    groupId: string,
    generationId: int32.since(1, -1),
    memberId: string.since(1, ''),
    retentionTime: int64.since(2, -1),
    topics: array({
      topic: string,
      partitions: array({
        partition: int32,
        offset: int64,
        timestamp: int64.between(1, 1, -1),
        metadata: nullableString,
      }),
    }),
  },
  response: {
    throttleTimeMs: int32.since(3, 0),
    responses: array({ topic: string, partitionResponses: array({ partition: int32, errorCode: int16 }) }),
  },
})
