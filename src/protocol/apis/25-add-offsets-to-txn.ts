import { defineApi } from '../api.ts'
import { int16, int32, int64, string } from '../schema.ts'

/** AddOffsetsToTxn (KIP-98). */
export const addOffsetsToTxn = defineApi({
  key: 25,
  name: 'AddOffsetsToTxn',
  versions: [0, 0],
  request: { transactionalId: string, producerId: int64, producerEpoch: int16, groupId: string },
  response: { throttleTimeMs: int32, errorCode: int16 },
})
