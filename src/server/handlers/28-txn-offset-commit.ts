import { partitionKey } from '../../base/ids.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import type { PartitionError } from '../transaction-requests.ts'
import { errorsByTopic, knowsTransactions } from '../transaction-requests.ts'

type Request = RequestOf<'TxnOffsetCommit'>
type Response = ResponseInput<'TxnOffsetCommit'>

function answer(errors: Iterable<PartitionError>): Response {
  return { throttleTimeMs: 0, topics: errorsByTopic(errors).map(({ topic, errors: partitions }) => ({ topic, partitions })) }
}

/** Of two entries for one partition the last counts. */
function offsetsOf({ topics }: Request) {
  const entries = topics.flatMap(({ topic, partitions }) => partitions.map((entry) => ({ topic, ...entry })))
  return [...new Map(entries.map((entry) => [partitionKey(entry.topic, entry.partition), entry])).values()]
}

function fail(request: Request, errorCode: number): Response {
  return answer(offsetsOf(request).map(({ topic, partition }) => ({ topic, partition, errorCode })))
}

/** TxnOffsetCommit (KIP-98): offsets of a group as part of a transaction; they count when its marker comes. */
export const txnOffsetCommit: HandlerEntry<'TxnOffsetCommit'> = {
  handle(broker, ctx, request) {
    if (!knowsTransactions(broker)) return fail(request, ErrorCode.UNSUPPORTED_VERSION)
    const all = offsetsOf(request)
    const known = all.filter(({ topic }) => broker.metadataCache.hasTopic(topic))
    const unknown = all
      .filter(({ topic }) => !broker.metadataCache.hasTopic(topic))
      .map(({ topic, partition }) => ({ topic, partition, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }))
    if (known.length === 0) return answer(unknown)
    const { groupId, producerId, producerEpoch } = request
    broker.groups.commitTransactionalOffsets(groupId, producerId, producerEpoch, known, (errors) => {
      const results = known.map(({ topic, partition }, i) => ({ topic, partition, errorCode: errors[i]! }))
      ctx.respond(answer([...results, ...unknown]))
    })
    return LATER
  },
  fail,
}
