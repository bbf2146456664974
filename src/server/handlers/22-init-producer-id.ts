import type { HandlerEntry } from '../request-types.ts'

const NO_PRODUCER = { throttleTimeMs: 0, producerId: -1, producerEpoch: -1 }

/** InitProducerId (KIP-98): a producer id and epoch; with a transactional id its coordinator fences the producer before. */
export const initProducerId: HandlerEntry<'InitProducerId'> = {
  async handle(broker, _ctx, { transactionalId, transactionTimeoutMs }) {
    const { error, producerId, producerEpoch } = await broker.transactions.initProducerId(transactionalId, transactionTimeoutMs)
    return { throttleTimeMs: 0, errorCode: error, producerId, producerEpoch }
  },
  fail: (_request, errorCode) => ({ ...NO_PRODUCER, producerEpoch: 0, errorCode }),
}
