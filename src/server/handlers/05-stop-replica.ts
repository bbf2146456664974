import { isOverOldConnection } from '../controller-connection.ts'
import { type HandlerEntry, LATER } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

/** StopReplica: the controller takes partitions off this broker. */
export const stopReplica: HandlerEntry<'StopReplica'> = {
  handle: (broker, ctx, request) =>
    isOverOldConnection(broker, ctx, request) ? LATER : broker.replicaManager.stopReplicas(request),
  fail: (request, errorCode) => ({
    errorCode,
    partitions: uniquePartitions(request.partitions).map(({ topic, partition }) => ({ topic, partition, errorCode })),
  }),
}
