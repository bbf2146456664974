import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import { appendMarkers, isWritable, refuseMarkers } from '../transaction-markers.ts'
import { knowsTransactions } from '../transaction-requests.ts'

/** WriteTxnMarkers (KIP-98): a coordinator ends transactions in the partitions that this broker leads. */
export const writeTxnMarkers: HandlerEntry<'WriteTxnMarkers'> = {
  handle(broker, ctx, { transactionMarkers: markers }) {
    if (!knowsTransactions(broker)) return refuseMarkers(markers, ErrorCode.UNSUPPORTED_VERSION)
    if (!broker.markerConnections.accepts(ctx.clientId, ctx.connectionNumber)) {
      ctx.close(`${ctx.clientId} has made a newer connection since`)
      return LATER
    }
    if (!markers.every(isWritable)) return refuseMarkers(markers, ErrorCode.UNKNOWN_SERVER_ERROR)
    const { replicaManager, clock, groups: offsets, config } = broker
    const writer = { replicaManager, clock, offsets, requestTimeoutMs: config.values.number('request.timeout.ms') }
    appendMarkers(writer, markers, (results) => ctx.respond(results))
    return LATER
  },
  fail: ({ transactionMarkers }, errorCode) => refuseMarkers(transactionMarkers, errorCode),
}
