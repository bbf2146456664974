import { defineApi } from '../api.ts'
import { int16, int32, int64, nullableString } from '../schema.ts'

/** InitProducerId: a producer id and epoch (KIP-98). */
export const initProducerId = defineApi({
  key: 22,
  name: 'InitProducerId',
  versions: [0, 0],
  request: { transactionalId: nullableString, transactionTimeoutMs: int32 },
  response: { throttleTimeMs: int32, errorCode: int16, producerId: int64, producerEpoch: int16 },
})
