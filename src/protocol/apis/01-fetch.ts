import { defineApi } from '../api.ts'
import { array, int8, int16, int32, int64, records, string, struct } from '../schema.ts'

/**
 * Fetch: record sets from partitions, for consumers and followers (`replicaId` >= 0).
 * v3 request-wide limit (KIP-74), v4 isolation level (KIP-98), v5 log start offset, v6 error 56 known, v7 fetch sessions (KIP-227).
 * The field name `forgettenTopicsData` is spelt as in 1.1.
 */
export const fetch = defineApi({
  key: 1,
  name: 'Fetch',
  versions: [0, 7],
  request: {
    replicaId: int32,
    maxWaitTime: int32,
    minBytes: int32,
    maxBytes: int32.since(3, 2147483647),
    isolationLevel: int8.since(4, 0),
    sessionId: int32.since(7, 0),
    epoch: int32.since(7, -1),
    topics: array({
      topic: string,
      partitions: array({
        partition: int32,
        fetchOffset: int64,
        logStartOffset: int64.since(5, -1),
        maxBytes: int32,
      }),
    }),
    forgettenTopicsData: array({ topic: string, partitions: array(int32) }).since(7, []),
  },
  response: {
    throttleTimeMs: int32.since(1, 0),
    errorCode: int16.since(7, 0),
    sessionId: int32.since(7, 0),
    responses: array({
      topic: string,
      partitionResponses: array({
        partitionHeader: struct({
          partition: int32,
          errorCode: int16,
          highWatermark: int64,
          lastStableOffset: int64.since(4, -1),
          logStartOffset: int64.since(5, -1),
          abortedTransactions: array({ producerId: int64, firstOffset: int64 }).nullable().since(4, null),
        }),
        recordSet: records,
      }),
    }),
  },
  checkRequest: ({ isolationLevel }) =>
    isolationLevel === 0 || isolationLevel === 1 ? undefined : `isolationLevel: ${isolationLevel}`,
})
