import type { TopicPartition } from '../../base/ids.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { isInternalTopic } from '../internal-topics.ts'
import type { BrokerServices, HandlerEntry, ResponseInput } from '../request-types.ts'
import { errorsByTopic, knowsTransactions, listPartitions } from '../transaction-requests.ts'

type Response = ResponseInput<'AddPartitionsToTxn'>

function answer(partitions: readonly TopicPartition[], errorOf: (partition: TopicPartition) => number): Response {
  const errors = partitions.map(({ topic, partition }) => ({ topic, partition, errorCode: errorOf({ topic, partition }) }))
  return {
    throttleTimeMs: 0,
    errors: errorsByTopic(errors).map(({ topic, errors: partitionErrors }) => ({ topic, partitionErrors })),
  }
}

/** Why a partition cannot be in a transaction. */
function refusalOf(broker: BrokerServices, { topic }: TopicPartition): number {
  if (isInternalTopic(topic)) return ErrorCode.TOPIC_AUTHORIZATION_FAILED
  return broker.metadataCache.hasTopic(topic) ? ErrorCode.NONE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
}

function fail({ topics }: RequestOf<'AddPartitionsToTxn'>, errorCode: number): Response {
  return answer(listPartitions(topics), () => errorCode)
}

/** AddPartitionsToTxn (KIP-98): all partitions, or none when one is refused (the others then get OPERATION_NOT_ATTEMPTED). */
export const addPartitionsToTxn: HandlerEntry<'AddPartitionsToTxn'> = {
  async handle(broker, _ctx, request) {
    if (!knowsTransactions(broker)) return fail(request, ErrorCode.UNSUPPORTED_VERSION)
    const partitions = listPartitions(request.topics)
    if (partitions.some((partition) => refusalOf(broker, partition) !== ErrorCode.NONE)) {
      return answer(partitions, (partition) => refusalOf(broker, partition) || ErrorCode.OPERATION_NOT_ATTEMPTED)
    }
    const error = await broker.transactions.addPartitions(request.transactionalId, request, partitions)
    return answer(partitions, () => error)
  },
  fail,
}
