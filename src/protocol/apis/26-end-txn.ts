import { defineApi } from '../api.ts'
import { boolean, int16, int32, int64, string } from '../schema.ts'

/** EndTxn: commit (true) or abort a transaction (KIP-98). */
export const endTxn = defineApi({
  key: 26,
  name: 'EndTxn',
  versions: [0, 0],
  request: {
    transactionalId: string,
    producerId: int64,
    producerEpoch: int16,
    transactionResult: boolean,
  },
  response: { throttleTimeMs: int32, errorCode: int16 },
})
