import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'
import { knowsTransactions } from '../transaction-requests.ts'

/** EndTxn (KIP-98): answered when the decision is written; the markers follow. */
export const endTxn: HandlerEntry<'EndTxn'> = {
  async handle(broker, _ctx, request) {
    if (!knowsTransactions(broker)) return { throttleTimeMs: 0, errorCode: ErrorCode.UNSUPPORTED_VERSION }
    const errorCode = await broker.transactions.endTransaction(request.transactionalId, request, request.transactionResult)
    return { throttleTimeMs: 0, errorCode }
  },
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode }),
}
