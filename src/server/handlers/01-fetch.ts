import type { RecordPieces, RecordsInput } from '../../base/bytes.ts'
import { RecordsCutError } from '../../log/records-cut.ts'
import type { AbortedTransaction, RecordsSlice } from '../../log/types.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { failedFetch } from '../../replication/fetch-read.ts'
import type { FetchPartition, FetchPartitionResult } from '../../replication/types.ts'
import { convertForFetch, magicForFetch, messagesIn } from '../down-conversion.ts'
import type { FetchContext, RequestedPartition } from '../fetch-session.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'Fetch'>
type Response = ResponseInput<'Fetch'>
type PartitionResponse = Response['responses'][number]['partitionResponses'][number]
type Context = RequestContext<'Fetch'>

const READ_COMMITTED = 1

function check({ isolationLevel }: Request): string | undefined {
  return isolationLevel === 0 || isolationLevel === READ_COMMITTED ? undefined : `Unknown isolation level ${isolationLevel}`
}

function requestedPartitions(request: Request): RequestedPartition[] {
  const list: RequestedPartition[] = []
  for (const { topic, partitions } of request.topics) {
    for (const { partition, fetchOffset, logStartOffset, maxBytes } of partitions) {
      list.push({ topic, partition, fetchOffset, logStartOffset, maxBytes })
    }
  }
  return list
}

function forgottenPartitions(request: Request): { topic: string; partition: number }[] {
  return request.forgettenTopicsData.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
}

/** A partition's data as it goes out: as stored, loaded from a cold disk, or converted to an older format. */
interface Outgoing {
  result: FetchPartitionResult
  records: RecordsInput
  isConverted: boolean
}

function toPartitionResponse(
  { result, records, isConverted }: Outgoing,
  request: Request,
  apiVersion: number,
): PartitionResponse {
  const isCommitted = request.isolationLevel === READ_COMMITTED
  const error =
    result.error === ErrorCode.KAFKA_STORAGE_ERROR && apiVersion <= 5 ? ErrorCode.NOT_LEADER_FOR_PARTITION : result.error
  const aborted: readonly AbortedTransaction[] | null =
    isCommitted && error === ErrorCode.NONE ? (result.abortedTransactions ?? []) : null
  return {
    partitionHeader: {
      partition: result.partition,
      errorCode: error,
      highWatermark: result.highWatermark,
      lastStableOffset: isCommitted && !isConverted ? result.lastStableOffset : -1,
      logStartOffset: result.logStartOffset,
      abortedTransactions: aborted,
    },
    recordSet: records,
  }
}

/** Neighbouring partitions of one topic share an entry; the order is that of the results. */
function fetchResponse(
  error: number,
  sessionId: number,
  outgoing: readonly Outgoing[],
  request: Request,
  apiVersion: number,
): Response {
  const responses: { topic: string; partitionResponses: PartitionResponse[] }[] = []
  for (const one of outgoing) {
    const last = responses[responses.length - 1]
    const partitionResponse = toPartitionResponse(one, request, apiVersion)
    if (last?.topic === one.result.topic) last.partitionResponses.push(partitionResponse)
    else responses.push({ topic: one.result.topic, partitionResponses: [partitionResponse] })
  }
  return { throttleTimeMs: 0, errorCode: error, sessionId, responses }
}

/** Answers in the turn of `finish` unless something lies on a cold disk or takes long to convert: record slices live no longer. */
function send(
  broker: BrokerServices,
  ctx: Context,
  request: Request,
  context: FetchContext,
  results: readonly FetchPartitionResult[],
): void {
  const { error, sessionId, included } = context.finish(results)
  const outgoing = included.map((result): Outgoing => ({ result, records: result.records ?? null, isConverted: false }))
  const finish = (): void => ctx.respond(fetchResponse(error, sessionId, outgoing, request, ctx.apiVersion))
  const isOldReader = magicForFetch(ctx.apiVersion) < 2 && outgoing.some((one) => needsConversion(broker, one, ctx.apiVersion))
  if (!isOldReader && !outgoing.some(({ result }) => result.records?.cold)) {
    finish()
    return
  }
  const held: RecordPieces[] = []
  keepAll(outgoing, isOldReader, held)
    .then(() => (isOldReader ? convertAll(broker, outgoing, context, ctx.apiVersion) : undefined))
    .then(finish, (problem: unknown) => {
      broker.log.error('Error when reading or converting records for a Fetch request', problem)
      ctx.respond(fail(request, ErrorCode.UNKNOWN_SERVER_ERROR, ctx.apiVersion))
    })
    .finally(() => {
      for (const pieces of held) pieces.letGo()
    })
}

/** Copying more than this would be felt by others: read off the loop instead. */
const LARGE_BYTES = 256 * 1024

/** Rejects when one could not be kept, and not before the others are done: whatever is held by then is in `held`. */
async function keepAll(outgoing: readonly Outgoing[], isOldReader: boolean, held: RecordPieces[]): Promise<void> {
  const kept = await Promise.allSettled(outgoing.map((one) => keep(one, isOldReader, held)))
  for (const [i, one] of kept.entries()) {
    if (one.status === 'fulfilled') continue
    if (!(one.reason instanceof RecordsCutError)) throw one.reason
    // Who truncates follows somebody: that is what the reader would be told now.
    outgoing[i]!.result = failedFetch(outgoing[i]!.result, ErrorCode.NOT_LEADER_FOR_PARTITION)
    outgoing[i]!.records = null
  }
}

/**
 * Makes the records outlive this turn: cold data, and much of what is to be converted, is read off the loop, the rest copied. Cold data that
 * can be sent from the file only has to be in memory, and is held.
 */
async function keep(one: Outgoing, isOldReader: boolean, held: RecordPieces[]): Promise<void> {
  const slice = one.result.records
  if (!slice) return
  if (slice.cold && !isOldReader && slice.warmUp !== undefined) {
    const warm = await slice.warmUp()
    held.push(warm.pieces!)
    one.records = warm
    return
  }
  const loaded = slice.cold || (isOldReader && slice.size > LARGE_BYTES) ? await slice.load() : slice
  one.records = loaded.bytes ?? copyOf(loaded)
}

function copyOf(slice: RecordsSlice): Buffer {
  const bytes = Buffer.allocUnsafe(slice.size)
  slice.copyTo(bytes, 0)
  return bytes
}

/** Only where the topic's format is newer than the reader knows. */
function needsConversion(broker: BrokerServices, { result, records }: Outgoing, apiVersion: number): boolean {
  if (records === null) return false
  const stored = broker.replicaManager.partition(result.topic, result.partition)?.log?.config.messageFormatMagic ?? 0
  return stored > magicForFetch(apiVersion)
}

/** One after the other, each in slices of time. */
async function convertAll(
  broker: BrokerServices,
  outgoing: readonly Outgoing[],
  context: FetchContext,
  apiVersion: number,
): Promise<void> {
  for (const one of outgoing) {
    if (!needsConversion(broker, one, apiVersion)) continue
    const { topic, partition } = one.result
    const asked = context.partitions.find((wanted) => wanted.partition === partition && wanted.topic === topic)
    const records = one.records as Buffer
    const converted = await convertForFetch(records, magicForFetch(apiVersion), asked?.fetchOffset ?? 0, broker.clock)
    if (!converted) continue
    one.records = converted
    one.isConverted = true
    broker.replicaManager.figures.traffic.converted('fetchConversions', topic, messagesIn(records, asked?.fetchOffset ?? 0))
  }
}

function handle(broker: BrokerServices, ctx: Context, request: Request): HandlerResult<'Fetch'> {
  const { sessionId, epoch, replicaId } = request
  const context = broker.fetchSessions.context(
    sessionId,
    epoch,
    requestedPartitions(request),
    request.forgettenTopicsData.length === 0 ? [] : forgottenPartitions(request),
    replicaId,
  )
  if (context.error !== ErrorCode.NONE) return { errorCode: context.error, sessionId: 0, responses: [] }
  const readable: FetchPartition[] = []
  const refused: FetchPartitionResult[] = []
  for (const one of context.partitions) {
    if (broker.metadataCache.hasTopic(one.topic)) readable.push(one)
    else refused.push(failedFetch(one, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
  }
  const { resting } = context
  if (readable.length === 0 && (resting === undefined || resting.size === 0)) {
    send(broker, ctx, request, context, refused)
    return LATER
  }
  const waiting = broker.replicaManager.fetch(
    {
      replicaId,
      maxWaitMs: request.maxWaitTime,
      minBytes: request.minBytes,
      maxBytes: request.maxBytes,
      minOneMessage: ctx.apiVersion >= 3,
      connection: ctx.connectionNumber,
      isolation: request.isolationLevel === READ_COMMITTED ? 'readCommitted' : 'readUncommitted',
      partitions: readable,
      resting,
    },
    (results) => send(broker, ctx, request, context, refused.length === 0 ? results : [...results, ...refused]),
  )
  if (waiting) ctx.onAbort(() => waiting.cancel())
  return LATER
}

function fail(request: Request, error: number, apiVersion: number): Response {
  const outgoing = uniquePartitions(requestedPartitions(request)).map(
    (wanted): Outgoing => ({ result: failedFetch(wanted, error), records: null, isConverted: false }),
  )
  return fetchResponse(error, request.sessionId, outgoing, request, apiVersion)
}

/** Fetch: record batches for consumers and followers, with incremental sessions (KIP-227). */
export const fetch: HandlerEntry<'Fetch'> = { handle, check, fail, keepsReading: true }
