/** What a client sees of a partition's log: bytes, records of both isolation levels, offsets of times. */
import assert from 'node:assert/strict'
import {
  attributesOf,
  baseOffset,
  batchSize,
  isControlBatch,
  isTransactional,
  lastOffset,
  nextBatch,
  producerId,
} from '../../src/protocol/records/batch.ts'
import type { RecordData } from '../../src/protocol/records/record.ts'
import { controlTypeOf, recordsOf } from '../../src/protocol/records/record.ts'
import { ask } from '../harness/wire.ts'

const EARLIEST = -2
const LATEST = -1
export const UNCOMMITTED = 0
export const COMMITTED = 1

export interface Partition {
  readonly topic: string
  readonly partition: number
}

/** The offset of a time; -1 when there is none. Error codes fail. */
export async function offsetOf(
  address: string,
  { topic, partition }: Partition,
  timestamp: number,
  isolationLevel = UNCOMMITTED,
): Promise<number> {
  const topics = [{ topic, partitions: [{ partition, timestamp }] }]
  const { responses } = await ask(address, 'ListOffsets', 2, { replicaId: -1, isolationLevel, topics })
  const { errorCode, offset } = responses[0]!.partitionResponses[0]!
  assert.equal(errorCode, 0, `ListOffsets of ${topic}-${partition}`)
  return offset
}

export interface Fetched {
  readonly beginning: number
  /** High watermark, or last stable offset. */
  readonly end: number
  /** Whole batches of [beginning, end), in order. */
  readonly batches: readonly Buffer[]
  /** `producer id:first offset` */
  readonly aborted: ReadonlySet<string>
}

export async function fetchAll(address: string, { topic, partition }: Partition, isolationLevel: number): Promise<Fetched> {
  const beginning = await offsetOf(address, { topic, partition }, EARLIEST)
  const end = await offsetOf(address, { topic, partition }, LATEST, isolationLevel)
  const batches = new Map<number, Buffer>()
  const aborted = new Set<string>()
  for (let fetchOffset = beginning; fetchOffset < end; ) {
    const topics = [{ topic, partitions: [{ partition, fetchOffset, maxBytes: 1_000_000 }] }]
    const request = { replicaId: -1, maxWaitTime: 0, minBytes: 0, maxBytes: 10_000_000, isolationLevel, topics }
    const { responses } = await ask(address, 'Fetch', 5, request)
    const { partitionHeader, recordSet } = responses[0]!.partitionResponses[0]!
    assert.equal(partitionHeader.errorCode, 0, `Fetch of ${topic}-${partition} at ${fetchOffset}`)
    for (const { producerId: id, firstOffset } of partitionHeader.abortedTransactions ?? []) aborted.add(`${id}:${firstOffset}`)
    const bytes = Buffer.isBuffer(recordSet) ? Buffer.from(recordSet) : Buffer.alloc(0)
    let next = fetchOffset
    for (let at = 0; nextBatch(bytes, at, bytes.length) > 0; at += batchSize(bytes, at)) {
      batches.set(baseOffset(bytes, at), bytes.subarray(at, at + batchSize(bytes, at)))
      next = Math.max(next, lastOffset(bytes, at) + 1)
    }
    // What compaction took from the end of a log leaves nothing to be fetched.
    if (next === fetchOffset) break
    fetchOffset = next
  }
  return { beginning, end, batches: [...batches.values()], aborted }
}

export interface SeenRecord extends RecordData {
  readonly timestampType: string
}

/** The records that a consumer hands out. */
export function recordsIn({ beginning, end, batches, aborted }: Fetched, isolationLevel: number): SeenRecord[] {
  const result: SeenRecord[] = []
  const ahead = [...aborted].map((entry) => entry.split(':').map(Number)).sort((a, b) => a[1]! - b[1]!)
  const open = new Set<number>()
  for (const batch of batches) {
    while (ahead.length > 0 && ahead[0]![1]! <= lastOffset(batch, 0)) open.add(ahead.shift()![0]!)
    if (isControlBatch(batch, 0)) {
      for (const { key } of recordsOf(batch, 0)) if (controlTypeOf(key) === 'abort') open.delete(producerId(batch, 0))
      continue
    }
    if (isolationLevel === COMMITTED && isTransactional(batch, 0) && open.has(producerId(batch, 0))) continue
    const timestampType =
      batch[16] === 0 ? 'NoTimestampType' : (attributesOf(batch, 0) & 8) === 0 ? 'CreateTime' : 'LogAppendTime'
    for (const record of recordsOf(batch, 0))
      if (record.offset >= beginning && record.offset < end) result.push({ ...record, timestampType })
  }
  return result
}

/** Everything that must be the same for every broker that opens the directory: a digest by partition and question. */
export async function viewOf(address: string, partitions: readonly Partition[]): Promise<Map<string, string>> {
  const view = new Map<string, string>()
  for (const one of partitions) {
    const name = `${one.topic}-${one.partition}`
    const times = new Set<number>()
    for (const isolation of [UNCOMMITTED, COMMITTED]) {
      const fetched = await fetchAll(address, one, isolation)
      const { beginning, end, batches, aborted } = fetched
      view.set(`${name} ${isolation}`, `${beginning} ${end} ${[...aborted]} ${Buffer.concat(batches).toString('hex')}`)
      for (const { timestamp } of recordsIn(fetched, isolation)) times.add(timestamp)
    }
    for (const time of [0, ...[...times].sort((a, b) => a - b).filter((_, i, all) => i % Math.ceil(all.length / 20) === 0)]) {
      for (const delta of [0, 1]) view.set(`${name} at ${time + delta}`, `${await offsetOf(address, one, time + delta)}`)
    }
  }
  return view
}
