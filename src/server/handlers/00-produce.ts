import { getInt32 } from '../../base/bytes.ts'
import { partitionKey } from '../../base/ids.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { AppendEntry, PartitionAppendResult } from '../../replication/types.ts'
import { isInternalTopic } from '../internal-topics.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'Produce'>
type Response = ResponseInput<'Produce'>
type PartitionResponse = Response['responses'][number]['partitionResponses'][number]

/** The client id that may write to internal topics. */
const ADMIN_CLIENT_ID = '__admin_client'

const LOG_OVERHEAD = 12
const SMALLEST_RECORD = 14
const HEADER_UP_TO_MAGIC = 17
const MAGIC_AT = 16

/** Bytes of the batch at `at`; undefined: no complete batch; a string: why the entry cannot even be split. */
function batchSize(records: Buffer, at: number): number | undefined | string {
  const left = records.length - at
  if (left < LOG_OVERHEAD) return undefined
  const size = getInt32(records, at + 8)
  if (size < SMALLEST_RECORD) return `Record size is less than the minimum record overhead (${SMALLEST_RECORD})`
  if (left < HEADER_UP_TO_MAGIC) return undefined
  const magic = (records[at + MAGIC_AT]! << 24) >> 24
  if (magic < 0 || magic > 2) return `Invalid magic found in record: ${magic}`
  return left < size + LOG_OVERHEAD ? undefined : size + LOG_OVERHEAD
}

/** v3 and later: exactly one batch, of format 2. */
function recordSetProblem(records: Buffer, apiVersion: number): string | undefined {
  const size = batchSize(records, 0)
  const rule = `Produce requests with version ${apiVersion}`
  if (size === undefined) return `${rule} must have at least one record batch`
  if (typeof size === 'string') return size
  if (records[MAGIC_AT] !== 2) return `${rule} are only allowed to contain record batches with magic version 2`
  const next = batchSize(records, size)
  if (typeof next === 'string') return next
  if (next !== undefined) return `${rule} are only allowed to contain exactly one record batch`
  return undefined
}

function check(request: Request, apiVersion: number): string | undefined {
  if (apiVersion < 3) return undefined
  for (const { topic, data } of request.topicData) {
    for (const { partition, recordSet } of data) {
      const problem = recordSetProblem(recordSet, apiVersion)
      if (problem !== undefined) return `${topic}-${partition}: ${problem}`
    }
  }
  return undefined
}

/** The error that a partition is refused with before any log is asked. */
function admission(broker: BrokerServices, ctx: RequestContext<'Produce'>, topic: string, acks: number): number {
  if (!broker.metadataCache.hasTopic(topic)) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (acks < -1 || acks > 1) return ErrorCode.INVALID_REQUIRED_ACKS
  if (isInternalTopic(topic) && ctx.clientId !== ADMIN_CLIENT_ID) return ErrorCode.INVALID_TOPIC_EXCEPTION
  return ErrorCode.NONE
}

function refusedResult(topic: string, partition: number, error: number): PartitionAppendResult {
  return { topic, partition, error, baseOffset: -1, logAppendTime: -1, logStartOffset: -1 }
}

/** Sorts the partitions into those to append and those refused. Of two entries for one partition the last counts. */
function sortOut(
  broker: BrokerServices,
  ctx: RequestContext<'Produce'>,
  request: Request,
): { accepted: AppendEntry[]; refused: PartitionAppendResult[] } {
  const accepted: AppendEntry[] = []
  const refused: PartitionAppendResult[] = []
  const single = request.topicData.length === 1 && request.topicData[0]!.data.length === 1
  const seen = single ? undefined : new Set<string>()
  for (let t = request.topicData.length - 1; t >= 0; t--) {
    const { topic, data } = request.topicData[t]!
    const error = admission(broker, ctx, topic, request.acks)
    for (let p = data.length - 1; p >= 0; p--) {
      const { partition, recordSet } = data[p]!
      if (seen) {
        const key = partitionKey(topic, partition)
        if (seen.has(key)) continue
        seen.add(key)
      }
      if (error === ErrorCode.NONE) accepted.push({ topic, partition, records: recordSet })
      else refused.push(refusedResult(topic, partition, error))
    }
  }
  accepted.reverse()
  refused.reverse()
  return { accepted, refused }
}

function toPartitionResponse(result: PartitionAppendResult, apiVersion: number): PartitionResponse {
  const { partition, error, baseOffset, logAppendTime, logStartOffset } = result
  // Clients before v4 do not know error 56.
  const errorCode = error === ErrorCode.KAFKA_STORAGE_ERROR && apiVersion <= 3 ? ErrorCode.NOT_LEADER_FOR_PARTITION : error
  return { partition, errorCode, baseOffset, logAppendTime, logStartOffset }
}

/** Grouped by topic, in the order of the results. */
export function produceResponse(results: readonly PartitionAppendResult[], apiVersion: number): Response {
  const responses: { topic: string; partitionResponses: PartitionResponse[] }[] = []
  let byTopic: Map<string, PartitionResponse[]> | undefined
  for (const result of results) {
    const last = responses[responses.length - 1]
    if (last?.topic === result.topic) {
      last.partitionResponses.push(toPartitionResponse(result, apiVersion))
      continue
    }
    if (responses.length > 0) byTopic ??= new Map(responses.map((response) => [response.topic, response.partitionResponses]))
    let list = byTopic?.get(result.topic)
    if (!list) {
      list = []
      responses.push({ topic: result.topic, partitionResponses: list })
      byTopic?.set(result.topic, list)
    }
    list.push(toPartitionResponse(result, apiVersion))
  }
  return { responses, throttleTimeMs: 0 }
}

function answer(ctx: RequestContext<'Produce'>, acks: number, results: readonly PartitionAppendResult[]): void {
  if (acks !== 0) {
    ctx.respond(produceResponse(results, ctx.apiVersion))
    return
  }
  const failed = results.find((result) => result.error !== ErrorCode.NONE)
  if (failed) ctx.close(`produce with acks=0 failed for ${failed.topic}-${failed.partition} with error ${failed.error}`)
  else ctx.respondNothing()
}

function handle(broker: BrokerServices, ctx: RequestContext<'Produce'>, request: Request): HandlerResult<'Produce'> {
  const { accepted, refused } = sortOut(broker, ctx, request)
  if (accepted.length === 0) {
    answer(ctx, request.acks, refused)
    return LATER
  }
  broker.replicaManager.append(request.acks, request.timeout, accepted, true, (results) => {
    answer(ctx, request.acks, refused.length === 0 ? results : [...results, ...refused])
  })
  return LATER
}

function fail(request: Request, error: number, apiVersion: number): Response | undefined {
  if (request.acks === 0) return undefined
  const results = request.topicData.flatMap(({ topic, data }) =>
    data.map(({ partition }) => refusedResult(topic, partition, error)),
  )
  return produceResponse(uniquePartitions(results), apiVersion)
}

/** Produce: appends record sets to the partitions that this broker leads. */
export const produce: HandlerEntry<'Produce'> = { handle, check, fail }
