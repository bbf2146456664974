import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, int64, string } from '../schema.ts'

/** WriteTxnMarkers: the transaction coordinator writes markers into partitions (KIP-98). */
export const writeTxnMarkers = defineApi({
  key: 27,
  name: 'WriteTxnMarkers',
  versions: [0, 0],
  clusterAction: true,
  request: {
    transactionMarkers: array({
      producerId: int64,
      producerEpoch: int16,
      transactionResult: boolean,
      topics: array({ topic: string, partitions: array(int32) }),
      coordinatorEpoch: int32,
    }),
  },
  response: {
    transactionMarkers: array({
      producerId: int64,
      topics: array({ topic: string, partitions: array({ partition: int32, errorCode: int16 }) }),
    }),
  },
})
