import { AssertionError } from '../../base/assert.ts'
import { int64Add } from '../../base/bytes.ts'
import type { CommittedOffset } from '../../coordinator/group/types.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { BrokerServices, HandlerEntry, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import type { PartitionError } from '../transaction-requests.ts'
import { errorsByTopic } from '../transaction-requests.ts'
import { uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'OffsetCommit'>
type Response = ResponseInput<'OffsetCommit'>

/** `retention_time` and `timestamp` that leave it to the broker. */
const DEFAULT = -1

interface Entry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly metadata: string | null
}

/** Of two entries for one partition the last counts. */
function entriesOf({ topics }: Request): readonly Entry[] {
  return uniquePartitions(topics.flatMap(({ topic, partitions }) => partitions.map((entry) => ({ topic, ...entry }))))
}

function answer(errors: readonly PartitionError[]): Response {
  return {
    throttleTimeMs: 0,
    responses: errorsByTopic(errors).map(({ topic, errors: list }) => ({ topic, partitionResponses: list })),
  }
}

const withError = ({ topic, partition }: Entry, errorCode: number): PartitionError => ({ topic, partition, errorCode })

/** Version 0: offsets live in ZooKeeper, whoever coordinates. Metadata is checked and dropped. */
async function storeInZooKeeper(broker: BrokerServices, groupId: string, entry: Entry): Promise<number> {
  if ((entry.metadata?.length ?? 0) > broker.config.values.number('offset.metadata.max.bytes'))
    return ErrorCode.OFFSET_METADATA_TOO_LARGE
  try {
    await broker.zk.setConsumerOffset(groupId, entry, entry.offset)
    return ErrorCode.NONE
  } catch (error) {
    if (error instanceof AssertionError) throw error
    broker.log.error(`Cannot store an offset of group ${groupId} for ${entry.topic}-${entry.partition} in ZooKeeper`, error)
    return ErrorCode.UNKNOWN_SERVER_ERROR
  }
}

/** The commit is dated now; version 1 may date it itself, which then also moves its expiry. */
function offsetsOf(broker: BrokerServices, apiVersion: number, request: Request, entries: readonly Entry[]): CommittedOffset[] {
  const isDefault = apiVersion <= 1 || request.retentionTime === DEFAULT
  const retention = isDefault ? broker.groups.config.offsetsRetentionMs : request.retentionTime
  const now = broker.clock.wall()
  return entries.map(({ topic, partition, offset, timestamp, metadata }) => {
    const expireTimestamp = int64Add(timestamp === DEFAULT ? now : timestamp, retention)
    return { topic, partition, offset, metadata: metadata ?? '', commitTimestamp: now, expireTimestamp }
  })
}

async function handleV0(broker: BrokerServices, groupId: string, known: readonly Entry[], unknown: readonly PartitionError[]) {
  const errors = await Promise.all(known.map((entry) => storeInZooKeeper(broker, groupId, entry)))
  return answer([...known.map((entry, i) => withError(entry, errors[i]!)), ...unknown])
}

function handle(broker: BrokerServices, ctx: RequestContext<'OffsetCommit'>, request: Request) {
  const { groupId, generationId, memberId } = request
  const known: Entry[] = []
  const unknown: PartitionError[] = []
  for (const entry of entriesOf(request)) {
    if (broker.metadataCache.hasTopic(entry.topic)) known.push(entry)
    else unknown.push(withError(entry, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
  }
  if (known.length === 0) return answer(unknown)
  if (ctx.apiVersion === 0) return handleV0(broker, groupId, known, unknown)
  const offsets = offsetsOf(broker, ctx.apiVersion, request, known)
  broker.groups.commitOffsets({ groupId, generationId, memberId, offsets }, (errors) => {
    ctx.respond(answer([...known.map((entry, i) => withError(entry, errors[i]!)), ...unknown]))
  })
  return LATER
}

/** OffsetCommit: a consumer group stores offsets, with its coordinator or (version 0) in ZooKeeper. */
export const offsetCommit: HandlerEntry<'OffsetCommit'> = {
  handle,
  fail: (request, errorCode) => answer(entriesOf(request).map((entry) => withError(entry, errorCode))),
}
