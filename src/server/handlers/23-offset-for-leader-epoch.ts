import type { HandlerEntry } from '../request-types.ts'
import { partitionIdsByTopic } from '../unique-partitions.ts'

/** OffsetForLeaderEpoch: where a leader epoch ends in this leader's log (KIP-101). */
export const offsetForLeaderEpoch: HandlerEntry<'OffsetForLeaderEpoch'> = {
  handle: (broker, ctx, request) => broker.replicaManager.offsetsForLeaderEpoch(request, ctx.clientId),
  fail: (request, errorCode) => ({
    topics: [...partitionIdsByTopic(request.topics)].map(([topic, ids]) => ({
      topic,
      partitions: ids.map((partition) => ({ errorCode, partition, endOffset: -1 })),
    })),
  }),
}
