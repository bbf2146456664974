import { AssertionError } from '../../base/assert.ts'
import type { TopicPartition } from '../../base/ids.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { BrokerServices, HandlerEntry, RequestContext, ResponseInput } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'OffsetFetch'>
type Response = ResponseInput<'OffsetFetch'>

interface FetchedOffset extends TopicPartition {
  readonly offset: number
  readonly metadata: string
  readonly errorCode: number
}

const nothing = ({ topic, partition }: TopicPartition, errorCode: number): FetchedOffset => ({
  topic,
  partition,
  offset: -1,
  metadata: '',
  errorCode,
})

/** Null: all. */
function partitionsOf({ topics }: Request): TopicPartition[] | null {
  if (topics === null) return null
  return uniquePartitions(topics.flatMap(({ topic, partitions }) => partitions.map(({ partition }) => ({ topic, partition }))))
}

function answer(offsets: readonly FetchedOffset[], errorCode: number = ErrorCode.NONE): Response {
  const byTopic = new Map<string, FetchedOffset[]>()
  for (const offset of offsets) {
    const list = byTopic.get(offset.topic)
    if (list === undefined) byTopic.set(offset.topic, [offset])
    else list.push(offset)
  }
  return {
    throttleTimeMs: 0,
    errorCode,
    responses: [...byTopic].map(([topic, partitionResponses]) => ({ topic, partitionResponses })),
  }
}

/** A failure of the whole group: before version 2 it stands in every partition. */
function failure(request: Request, errorCode: number, apiVersion: number): Response {
  if (apiVersion >= 2) return answer([], errorCode)
  return answer((partitionsOf(request) ?? []).map((partition) => nothing(partition, errorCode)))
}

/** Version 0: unlike with the coordinator, a partition without an offset is an error. */
async function fetchFromZooKeeper(
  broker: BrokerServices,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<FetchedOffset[]> {
  const known = partitions.filter(({ topic }) => broker.metadataCache.hasTopic(topic))
  try {
    const stored = await broker.zk.getConsumerOffsets(groupId, known)
    return partitions.map((partition) => {
      const offset = broker.metadataCache.hasTopic(partition.topic)
        ? stored.get(`${partition.topic}-${partition.partition}`)
        : undefined
      const none = nothing(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      return offset === undefined ? none : { ...none, offset, errorCode: ErrorCode.NONE }
    })
  } catch (error) {
    if (error instanceof AssertionError) throw error
    broker.log.error(`Cannot read offsets of group ${groupId} from ZooKeeper`, error)
    return partitions.map((partition) => nothing(partition, ErrorCode.UNKNOWN_SERVER_ERROR))
  }
}

function handle(broker: BrokerServices, ctx: RequestContext<'OffsetFetch'>, request: Request): Response | Promise<Response> {
  const partitions = partitionsOf(request)
  if (ctx.apiVersion === 0)
    return fetchFromZooKeeper(broker, request.groupId, partitions ?? []).then((offsets) => answer(offsets))
  const { error, offsets } = broker.groups.fetchOffsets(request.groupId, partitions)
  if (error !== ErrorCode.NONE) return failure(request, error, ctx.apiVersion)
  return answer(
    offsets.map(({ topic, partition, offset, metadata }) => ({ topic, partition, offset, metadata, errorCode: ErrorCode.NONE })),
  )
}

/** OffsetFetch: offsets of a consumer group, from its coordinator or (version 0) from ZooKeeper. */
export const offsetFetch: HandlerEntry<'OffsetFetch'> = { handle, fail: failure }
