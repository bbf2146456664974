import { defineApi } from '../api.ts'
import { array, int16, int32, int64, nullableString, string } from '../schema.ts'

/** TxnOffsetCommit: offsets as part of a transaction (KIP-98). */
export const txnOffsetCommit = defineApi({
  key: 28,
  name: 'TxnOffsetCommit',
  versions: [0, 0],
  request: {
    transactionalId: string,
    groupId: string,
    producerId: int64,
    producerEpoch: int16,
    topics: array({
      topic: string,
      partitions: array({ partition: int32, offset: int64, metadata: nullableString }),
    }),
  },
  response: {
    throttleTimeMs: int32,
    topics: array({ topic: string, partitions: array({ partition: int32, errorCode: int16 }) }),
  },
})
