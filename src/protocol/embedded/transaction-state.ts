import { array, int8, int16, int32, int64, string, uint32 } from '../schema.ts'
import { defineStruct } from '../struct.ts'

/** `__transaction_state`: key of version 0. */
export const transactionKey = defineStruct({ transactionalId: string })

/** `__transaction_state`: value of version 0. */
export const transactionValue = defineStruct({
  producerId: int64,
  producerEpoch: int16,
  transactionTimeout: int32,
  transactionStatus: int8,
  transactionPartitions: array({ topic: string, partitionIds: array(int32) }).nullable(),
  transactionEntryTimestamp: int64,
  transactionStartTimestamp: int64,
})

/** Key of a control record: type 0 abort, 1 commit. */
export const controlRecordKey = defineStruct({ version: int16, type: int16 })

/** Value of the control record that ends a transaction. */
export const endTransactionValue = defineStruct({ version: int16, coordinatorEpoch: int32 })

/** A producer snapshot file (version 1); the CRC-32C is over the bytes behind it. */
export const producerSnapshot = defineStruct({
  version: int16,
  crc: uint32,
  producerEntries: array({
    producerId: int64,
    epoch: int16,
    lastSequence: int32,
    lastOffset: int64,
    offsetDelta: int32,
    timestamp: int64,
    coordinatorEpoch: int32,
    currentTxnFirstOffset: int64,
  }),
})
