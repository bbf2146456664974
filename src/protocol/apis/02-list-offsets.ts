import { defineApi } from '../api.ts'
import { array, int8, int16, int32, int64, string } from '../schema.ts'

/**
 * ListOffsets: offsets by timestamp; -1 latest, -2 earliest.
 * v0 lists segment boundaries, v1 finds one exact offset (KIP-79), v2 isolation level.
 */
export const listOffsets = defineApi({
  key: 2,
  name: 'ListOffsets',
  versions: [0, 2],
  request: {
    replicaId: int32,
    isolationLevel: int8.since(2, 0),
    topics: array({
      topic: string,
      partitions: array({ partition: int32, timestamp: int64, maxNumOffsets: int32.between(0, 0, 1) }),
    }),
  },
  response: {
    throttleTimeMs: int32.since(2, 0),
    responses: array({
      topic: string,
      partitionResponses: array({
        partition: int32,
        errorCode: int16,
        timestamp: int64.since(1, -1),
        offset: int64.since(1, -1),
        offsets: array(int64).between(0, 0, []),
      }),
    }),
  },
  checkRequest: ({ isolationLevel }) =>
    isolationLevel === 0 || isolationLevel === 1 ? undefined : `isolationLevel: ${isolationLevel}`,
})
