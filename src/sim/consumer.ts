import { ErrorCode } from '../protocol/errors.ts'
import { isControlBatch, isTransactional, lastOffset, nextBatch, producerId, recordsOf } from '../protocol/records/index.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import type { History } from './history.ts'

/** Of a batch, in all formats. */
const MAGIC_AT = 16

export interface Fetched {
  readonly error: number
  readonly highWatermark: number
  /** Offset and value of what a consumer would hand out. */
  readonly records: readonly (readonly [offset: number, value: string])[]
  /** Where to fetch next. */
  readonly next: number
  /** The first batch is of format 0 or 1. */
  readonly isOldFormat?: boolean
}

/** One fetch of one partition, decoded as a 1.1 consumer does: aborted transactions and control records are left out. */
export async function fetchFrom(
  client: SimClient,
  topic: string,
  partition: number,
  offset: number,
  isCommitted: boolean,
): Promise<Fetched | typeof NO_ANSWER> {
  const leader = await client.leader(topic, partition)
  if (leader === undefined) return { error: ErrorCode.LEADER_NOT_AVAILABLE, highWatermark: -1, records: [], next: offset }
  return client.call(
    leader,
    'Fetch',
    {
      replicaId: -1,
      maxWaitTime: 300,
      minBytes: 1,
      maxBytes: 1_000_000,
      isolationLevel: isCommitted ? 1 : 0,
      topics: [{ topic, partitions: [{ partition, fetchOffset: offset, maxBytes: 100_000 }] }],
    },
    ({ errorCode, responses }) => {
      const answer = responses[0]?.partitionResponses[0]
      if (errorCode !== 0 || answer === undefined) return { error: errorCode || -1, highWatermark: -1, records: [], next: offset }
      const { partitionHeader: header, recordSet } = answer
      const aborted = header.abortedTransactions ?? []
      const { records, next } = decode(recordSet, offset, aborted)
      const isOldFormat = recordSet.length > MAGIC_AT && recordSet[MAGIC_AT]! < 2
      return { error: header.errorCode, highWatermark: header.highWatermark, records, next, isOldFormat }
    },
  )
}

function decode(
  set: Buffer,
  from: number,
  aborted: readonly { readonly producerId: number; readonly firstOffset: number }[],
): { records: (readonly [number, string])[]; next: number } {
  const records: (readonly [number, string])[] = []
  const waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const open = new Set<number>()
  let next = from
  for (let at = 0; at < set.length; ) {
    const size = nextBatch(set, at, set.length)
    if (size <= 0) break
    const last = lastOffset(set, at)
    while (waiting.length > 0 && waiting[0]!.firstOffset <= last) open.add(waiting.shift()!.producerId)
    const id = producerId(set, at)
    if (isControlBatch(set, at)) open.delete(id)
    else if (!(isTransactional(set, at) && open.has(id))) {
      for (const { offset, value } of recordsOf(set, at)) if (offset >= from) records.push([offset, value?.toString() ?? ''])
    }
    next = Math.max(next, last + 1)
    at += size
  }
  return { records, next }
}

/** Reads one topic from its beginning until it is over, and goes on where it stood. */
export async function runConsumer(
  client: SimClient,
  history: History,
  options: { readonly topic: string; readonly partitions: number; readonly isCommitted: boolean },
): Promise<void> {
  const { topic, partitions, isCommitted } = options
  const rng = client.world.rng.fork(client.name)
  const readPartition = async (partition: number): Promise<void> => {
    let offset = 0
    while (!client.isOver) {
      const fetched = await fetchFrom(client, topic, partition, offset, isCommitted)
      if (fetched === NO_ANSWER || fetched.error !== 0) {
        client.forgetLeader(topic, partition)
        if (fetched !== NO_ANSWER && fetched.error === ErrorCode.OFFSET_OUT_OF_RANGE)
          client.world.reached('consumer out of range')
        await client.sleep(100)
        // What was read once is read again now and then, perhaps from another leader: an offset keeps its value.
        if (rng.next() < 0.3) offset = Math.max(0, offset - rng.int(0, 30))
        continue
      }
      if (fetched.isOldFormat) client.world.reached('records of an old format')
      for (const [at, value] of fetched.records) {
        if (at >= fetched.highWatermark)
          client.world.violation('committed-reads', `${topic}-${partition}@${at} read, high watermark ${fetched.highWatermark}`)
        history.reads(`${topic}-${partition}`, at, value, isCommitted)
      }
      offset = fetched.next
    }
  }
  await Promise.all(Array.from({ length: partitions }, (_, partition) => readPartition(partition)))
}
