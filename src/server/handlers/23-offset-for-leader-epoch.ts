import type { RequestOf } from '../../protocol/apis/index.ts'
import { answerInSlices } from '../answer-slices.ts'
import type { BrokerServices, HandlerEntry, ResponseInput } from '../request-types.ts'
import { partitionIdsByTopic } from '../unique-partitions.ts'

/** How many partitions are looked up before the clock is looked at. */
const STEP = 64

/** In steps: a genuine follower asks for all of its partitions at once. */
function* answerInSteps(
  broker: BrokerServices,
  { topics }: RequestOf<'OffsetForLeaderEpoch'>,
  clientId: string,
  connection: number,
): Generator<void, ResponseInput<'OffsetForLeaderEpoch'>> {
  const answered: ReturnType<typeof broker.replicaManager.offsetsForLeaderEpoch>['topics'] = []
  for (const { topic, partitions } of topics) {
    const found: (typeof answered)[number] = { topic, partitions: [] }
    answered.push(found)
    for (let from = 0; from < partitions.length; from += STEP) {
      const part = { topics: [{ topic, partitions: partitions.slice(from, from + STEP) }] }
      for (const one of broker.replicaManager.offsetsForLeaderEpoch(part, clientId, connection).topics)
        found.partitions.push(...one.partitions)
      yield
    }
  }
  return { topics: answered }
}

/** OffsetForLeaderEpoch: where a leader epoch ends in this leader's log (KIP-101). */
export const offsetForLeaderEpoch: HandlerEntry<'OffsetForLeaderEpoch'> = {
  handle: (broker, ctx, request) => answerInSlices(broker, answerInSteps(broker, request, ctx.clientId, ctx.connectionNumber)),
  fail: (request, errorCode) => ({
    topics: [...partitionIdsByTopic(request.topics)].map(([topic, ids]) => ({
      topic,
      partitions: ids.map((partition) => ({ errorCode, partition, endOffset: -1 })),
    })),
  }),
}
