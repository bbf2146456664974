import { defineApi } from '../api.ts'
import { array, int16, int32, int64, string } from '../schema.ts'

/** AddPartitionsToTxn (KIP-98). */
export const addPartitionsToTxn = defineApi({
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: [0, 0],
  request: {
    transactionalId: string,
    producerId: int64,
    producerEpoch: int16,
    topics: array({ topic: string, partitions: array(int32) }),
  },
  response: {
    throttleTimeMs: int32,
    errors: array({ topic: string, partitionErrors: array({ partition: int32, errorCode: int16 }) }),
  },
})
