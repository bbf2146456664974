import { AssertionError } from '../../base/assert.ts'
import type { TopicPartition } from '../../base/ids.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { answerInSlices } from '../answer-slices.ts'
import type { BrokerServices, HandlerEntry, RequestContext, ResponseInput } from '../request-types.ts'
import { UniquePartitions, uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'OffsetFetch'>
type Response = ResponseInput<'OffsetFetch'>

/** How many partitions are looked up before the clock is looked at. */
const STEP = 64

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
function partitionsOf({ topics }: Request): readonly TopicPartition[] | null {
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

/** In steps: there may be a hundred thousand. When all of a group are asked for, they are those of one moment. */
function* answerInSteps(broker: BrokerServices, request: Request, apiVersion: number): Generator<void, Response> {
  const wanted = request.topics === null ? undefined : yield* wantedPartitions(request.topics)
  const offsets: FetchedOffset[] = []
  const add = (partitions: TopicPartition[] | null): number => {
    const found = broker.groups.fetchOffsets(request.groupId, partitions)
    for (const { topic, partition, offset, metadata } of found.offsets)
      offsets.push({ topic, partition, offset, metadata, errorCode: ErrorCode.NONE })
    return found.error
  }
  for (let from = 0; from === 0 || from < (wanted?.length ?? 0); from += STEP) {
    const error = add(wanted?.slice(from, from + STEP) ?? null)
    if (error !== ErrorCode.NONE) return failure(request, error, apiVersion)
    yield
  }
  return answer(offsets)
}

function* wantedPartitions(topics: NonNullable<Request['topics']>): Generator<void, readonly TopicPartition[]> {
  const wanted = new UniquePartitions<TopicPartition>()
  let step = 0
  for (const { topic, partitions } of topics) {
    for (const { partition } of partitions) {
      if (++step % STEP === 0) yield
      wanted.add({ topic, partition })
    }
  }
  return wanted.list
}

function handle(broker: BrokerServices, ctx: RequestContext<'OffsetFetch'>, request: Request): Response | Promise<Response> {
  if (ctx.apiVersion > 0) return answerInSlices(broker, answerInSteps(broker, request, ctx.apiVersion))
  return fetchFromZooKeeper(broker, request.groupId, partitionsOf(request) ?? []).then((offsets) => answer(offsets))
}

/** OffsetFetch: offsets of a consumer group, from its coordinator or (version 0) from ZooKeeper. */
export const offsetFetch: HandlerEntry<'OffsetFetch'> = { handle, fail: failure }
