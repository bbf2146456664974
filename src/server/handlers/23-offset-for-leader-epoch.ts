import { inSlices } from '../../base/loop-slice.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import type { BrokerServices, HandlerEntry, ResponseInput } from '../request-types.ts'
import { partitionIdsByTopic } from '../unique-partitions.ts'

/** How long a request may hold the loop, and how many partitions are looked up before the clock is looked at. */
const SLICE_MS = 4
const STEP = 64

/** In steps: a genuine follower asks for all of its partitions at once. */
function* answerInSteps(
  broker: BrokerServices,
  { topics }: RequestOf<'OffsetForLeaderEpoch'>,
  clientId: string,
): Generator<void, ResponseInput<'OffsetForLeaderEpoch'>> {
  const answered: ReturnType<typeof broker.replicaManager.offsetsForLeaderEpoch>['topics'] = []
  for (const { topic, partitions } of topics) {
    const found: (typeof answered)[number] = { topic, partitions: [] }
    answered.push(found)
    for (let from = 0; from < partitions.length; from += STEP) {
      const part = { topics: [{ topic, partitions: partitions.slice(from, from + STEP) }] }
      for (const one of broker.replicaManager.offsetsForLeaderEpoch(part, clientId).topics)
        found.partitions.push(...one.partitions)
      yield
    }
  }
  return { topics: answered }
}

/** OffsetForLeaderEpoch: where a leader epoch ends in this leader's log (KIP-101). */
export const offsetForLeaderEpoch: HandlerEntry<'OffsetForLeaderEpoch'> = {
  handle: (broker, ctx, request) => inSlices(broker.clock, SLICE_MS, answerInSteps(broker, request, ctx.clientId)),
  fail: (request, errorCode) => ({
    topics: [...partitionIdsByTopic(request.topics)].map(([topic, ids]) => ({
      topic,
      partitions: ids.map((partition) => ({ errorCode, partition, endOffset: -1 })),
    })),
  }),
}
