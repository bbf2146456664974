import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

const NO_PRODUCER = { throttleTimeMs: 0, producerId: -1, producerEpoch: -1 }

/**
 * InitProducerId (KIP-98). Without a transactional id: a fresh producer id, epoch 0. With one the request belongs to the coordinator of that
 * id, which no broker of this version is.
 */
export const initProducerId: HandlerEntry<'InitProducerId'> = {
  async handle(broker, _ctx, { transactionalId, transactionTimeoutMs }) {
    if (transactionalId === null) {
      return { ...NO_PRODUCER, errorCode: ErrorCode.NONE, producerId: await broker.producerIds.take(), producerEpoch: 0 }
    }
    if (transactionalId === '') return { ...NO_PRODUCER, errorCode: ErrorCode.INVALID_REQUEST }
    const longest = broker.config.values.number('transaction.max.timeout.ms')
    if (transactionTimeoutMs <= 0 || transactionTimeoutMs > longest) {
      return { ...NO_PRODUCER, errorCode: ErrorCode.INVALID_TRANSACTION_TIMEOUT }
    }
    return { ...NO_PRODUCER, errorCode: ErrorCode.NOT_COORDINATOR }
  },
  fail: (_request, errorCode) => ({ ...NO_PRODUCER, producerEpoch: 0, errorCode }),
}
