import { ErrorCode } from '../../protocol/errors.ts'
import { isOverOldConnection } from '../controller-connection.ts'
import { type HandlerEntry, LATER } from '../request-types.ts'

/** UpdateMetadata: the controller tells leaders and live brokers; the cache wakes whoever waits for a topic. */
export const updateMetadata: HandlerEntry<'UpdateMetadata'> = {
  check(request, apiVersion) {
    if (apiVersion !== 1 && apiVersion !== 2) return undefined
    const ids = request.liveBrokers.flatMap((broker) => broker.endPoints.map((endPoint) => endPoint.securityProtocolType))
    const unknown = ids.find((id) => id < 0 || id > 3)
    return unknown === undefined ? undefined : `unknown security protocol ${unknown}`
  },
  handle(broker, ctx, request) {
    if (isOverOldConnection(broker, ctx, request)) return LATER
    if (!broker.replicaManager.acceptControllerEpoch(request.controllerEpoch)) {
      return { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH }
    }
    const deleted = broker.metadataCache.update(request, ctx.apiVersion)
    for (const { topic } of deleted) {
      if (!broker.metadataCache.hasTopic(topic)) broker.topicConfigs.forget(topic)
    }
    // A fetch says of partitions of unknown topics that they are.
    if (deleted.length > 0) broker.fetchSessions.wakeAll()
    if (deleted.length > 0) broker.groups.partitionsDeleted(deleted)
    return { errorCode: ErrorCode.NONE }
  },
  fail: (_request, errorCode) => ({ errorCode }),
}
