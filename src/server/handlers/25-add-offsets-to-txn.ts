import { ErrorCode } from '../../protocol/errors.ts'
import { GROUP_METADATA_TOPIC } from '../internal-topics.ts'
import type { HandlerEntry } from '../request-types.ts'
import { knowsTransactions } from '../transaction-requests.ts'

/** AddOffsetsToTxn (KIP-98): the group's partition of `__consumer_offsets` gets a marker too. */
export const addOffsetsToTxn: HandlerEntry<'AddOffsetsToTxn'> = {
  async handle(broker, _ctx, request) {
    if (!knowsTransactions(broker)) return { throttleTimeMs: 0, errorCode: ErrorCode.UNSUPPORTED_VERSION }
    const partition = broker.groups.partitionFor(request.groupId)
    const offsets = [{ topic: GROUP_METADATA_TOPIC, partition }]
    return { throttleTimeMs: 0, errorCode: await broker.transactions.addPartitions(request.transactionalId, request, offsets) }
  },
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode }),
}
