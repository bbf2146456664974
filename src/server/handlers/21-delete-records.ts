import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { DeleteRecordsEntry, DeleteRecordsResult } from '../../replication/types.ts'
import { isInternalTopic } from '../internal-topics.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'DeleteRecords'>
type Response = ResponseInput<'DeleteRecords'>

function requested(request: Request): readonly DeleteRecordsEntry[] {
  return uniquePartitions(
    request.topics.flatMap(({ topic, partitions }) => partitions.map(({ partition, offset }) => ({ topic, partition, offset }))),
  )
}

function refused(entry: DeleteRecordsEntry, error: number): DeleteRecordsResult {
  return { topic: entry.topic, partition: entry.partition, error, lowWatermark: -1 }
}

function answer(results: readonly DeleteRecordsResult[]): Response {
  const byTopic = new Map<string, { partition: number; lowWatermark: number; errorCode: number }[]>()
  for (const { topic, partition, lowWatermark, error } of results) {
    const entry = { partition, lowWatermark, errorCode: error }
    const list = byTopic.get(topic)
    if (list) list.push(entry)
    else byTopic.set(topic, [entry])
  }
  return { throttleTimeMs: 0, topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })) }
}

/** Why a partition is refused before its log is looked at. */
function admission(broker: BrokerServices, topic: string): number {
  if (!broker.metadataCache.hasTopic(topic)) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  return isInternalTopic(topic) ? ErrorCode.INVALID_TOPIC_EXCEPTION : ErrorCode.NONE
}

function handle(broker: BrokerServices, ctx: RequestContext<'DeleteRecords'>, request: Request): HandlerResult<'DeleteRecords'> {
  const accepted: DeleteRecordsEntry[] = []
  const results: DeleteRecordsResult[] = []
  for (const entry of requested(request)) {
    const error = admission(broker, entry.topic)
    if (error === ErrorCode.NONE) accepted.push(entry)
    else results.push(refused(entry, error))
  }
  if (accepted.length === 0) return answer(results)
  broker.replicaManager.deleteRecords(request.timeout, accepted, (deleted) => ctx.respond(answer([...deleted, ...results])))
  return LATER
}

/** DeleteRecords: raises log start offsets and waits until every live replica has followed (KIP-107). */
export const deleteRecords: HandlerEntry<'DeleteRecords'> = {
  handle,
  fail: (request, error) => answer(requested(request).map((entry) => refused(entry, error))),
}
