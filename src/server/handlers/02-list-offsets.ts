import type { Log } from '../../log/types.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { PartitionView } from '../../replication/types.ts'
import { answerInSlices } from '../answer-slices.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { partitionIdsByTopic } from '../unique-partitions.ts'

type Request = RequestOf<'ListOffsets'>
type Response = ResponseInput<'ListOffsets'>
type Wanted = Request['topics'][number]['partitions'][number]
type Found = Response['responses'][number]['partitionResponses'][number]

const LATEST = -1
const EARLIEST = -2
const CONSUMER = -1
const DEBUGGING_CONSUMER = -2
const READ_COMMITTED = 1

/** After how many partitions and lookups the clock is looked at. */
const STEP = 64
const LOOKUPS = 8

function check({ isolationLevel }: Request): string | undefined {
  return isolationLevel === 0 || isolationLevel === READ_COMMITTED ? undefined : `Unknown isolation level ${isolationLevel}`
}

function failed(partition: number, errorCode: number): Found {
  return { partition, errorCode, timestamp: -1, offset: -1, offsets: [] }
}

/** The replica to ask, or the error. A debugging consumer may ask a follower. */
function replicaOf(broker: BrokerServices, topic: string, partition: number, replicaId: number): PartitionView | number {
  const view = broker.replicaManager.partition(topic, partition)
  if (!view) return replicaId === DEBUGGING_CONSUMER ? ErrorCode.REPLICA_NOT_AVAILABLE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (view.isOffline) return ErrorCode.KAFKA_STORAGE_ERROR
  if (!view.isLeader && replicaId !== DEBUGGING_CONSUMER) return ErrorCode.NOT_LEADER_FOR_PARTITION
  return view
}

/** v0: segment boundaries, descending; a consumer sees nothing above the high watermark. */
function legacyOffsets(view: PartitionView, log: Log, wanted: Wanted, replicaId: number): Found {
  // 1.1 fails on an array of negative length.
  if (wanted.maxNumOffsets < 0) return failed(wanted.partition, ErrorCode.UNKNOWN_SERVER_ERROR)
  const offsets = log.legacyOffsetsBefore(wanted.timestamp, wanted.maxNumOffsets)
  const limit = view.highWatermark
  const visible =
    replicaId === CONSUMER && offsets.some((offset) => offset > limit)
      ? [limit, ...offsets.filter((offset) => offset <= limit)]
      : offsets
  return { partition: wanted.partition, errorCode: ErrorCode.NONE, offsets: visible }
}

/** v1 and later: one timestamp and offset. */
function offsetFor(view: PartitionView, log: Log, wanted: Wanted, request: Request): Found {
  const { partition, timestamp } = wanted
  const isConsumer = request.replicaId === CONSUMER
  const limit = request.isolationLevel === READ_COMMITTED ? log.lastStableOffset : view.highWatermark
  const answer = (offset: number, time: number): Found => ({ partition, errorCode: ErrorCode.NONE, timestamp: time, offset })
  if (timestamp === LATEST) return answer(isConsumer ? limit : log.logEndOffset, -1)
  if (timestamp === EARLIEST) return answer(log.logStartOffset, -1)
  if (log.config.messageFormatMagic < 1) return failed(partition, ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT)
  const found = log.offsetForTimestamp(timestamp)
  if (!found || (isConsumer && found.offset >= limit)) return answer(-1, -1)
  return answer(found.offset, found.timestamp)
}

function findOne(broker: BrokerServices, request: Request, apiVersion: number, topic: string, wanted: Wanted): Found {
  const view = replicaOf(broker, topic, wanted.partition, request.replicaId)
  if (typeof view === 'number') return failed(wanted.partition, view)
  const log = view.log
  if (!log) return failed(wanted.partition, ErrorCode.KAFKA_STORAGE_ERROR)
  return apiVersion === 0 ? legacyOffsets(view, log, wanted, request.replicaId) : offsetFor(view, log, wanted, request)
}

/** Partitions that a request names twice: INVALID_REQUEST from v1 on. */
function* duplicates({ topics }: Request): Generator<void, Map<string, Set<number>>> {
  const seen = new Map<string, Set<number>>()
  const twice = new Map<string, Set<number>>()
  let step = 0
  for (const { topic, partitions } of topics) {
    const known = ofTopic(seen, topic)
    for (const { partition } of partitions) {
      if (++step % STEP === 0) yield
      if (known.has(partition)) ofTopic(twice, topic).add(partition)
      known.add(partition)
    }
  }
  return twice
}

function ofTopic(sets: Map<string, Set<number>>, topic: string): Set<number> {
  let ids = sets.get(topic)
  if (ids === undefined) sets.set(topic, (ids = new Set()))
  return ids
}

/** In steps: a lookup by timestamp reads an index and records. */
function* answerInSteps(broker: BrokerServices, request: Request, apiVersion: number): Generator<void, Response> {
  const twice = yield* duplicates(request)
  const answered = new Map<string, Set<number>>()
  const byTopic = new Map<string, Found[]>()
  for (const { topic, partitions } of request.topics) {
    if (partitions.length === 0) continue
    const found = byTopic.get(topic) ?? []
    byTopic.set(topic, found)
    for (const wanted of partitions) {
      if (found.length % LOOKUPS === 0) yield
      if (twice.get(topic)?.has(wanted.partition) === true) {
        const before = ofTopic(answered, topic)
        if (before.has(wanted.partition)) continue
        before.add(wanted.partition)
        if (apiVersion > 0) {
          found.push(failed(wanted.partition, ErrorCode.INVALID_REQUEST))
          continue
        }
      }
      found.push(findOne(broker, request, apiVersion, topic, wanted))
    }
  }
  return { responses: [...byTopic].map(([topic, partitionResponses]) => ({ topic, partitionResponses })) }
}

function handle(
  broker: BrokerServices,
  ctx: RequestContext<'ListOffsets'>,
  request: Request,
): HandlerResult<'ListOffsets'> | Promise<HandlerResult<'ListOffsets'>> {
  return answerInSlices(broker, answerInSteps(broker, request, ctx.apiVersion))
}

function fail(request: Request, error: number): Response {
  return {
    responses: [...partitionIdsByTopic(request.topics)].map(([topic, ids]) => ({
      topic,
      partitionResponses: ids.map((partition) => failed(partition, error)),
    })),
  }
}

/** ListOffsets: offsets by timestamp, first and last offsets. */
export const listOffsets: HandlerEntry<'ListOffsets'> = { handle, check, fail }
