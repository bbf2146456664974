import type { Log } from '../log/types.ts'
import {
  baseOffset,
  batchSize,
  controlTypeOf,
  isControlBatch,
  isTransactional,
  lastOffset,
  maxTimestamp,
  nextBatch,
  partitionLeaderEpoch,
  producerEpoch,
  producerId,
  recordsOf,
  storedCrc,
} from '../protocol/records/index.ts'

/** A batch as it lies in a log. Two logs that agree have equal `mark`s. */
export interface LogBatch {
  readonly base: number
  readonly last: number
  readonly epoch: number
  /** Of its newest record, Unix milliseconds. */
  readonly timestamp: number
  readonly mark: string
}

const READ_BYTES = 1_000_000

/** The bytes of a log from the batch that holds `from` up to `upTo` (exclusive, on a batch boundary). Throws what the log throws. */
export function bytesOf(log: Log, from: number, upTo: number): Buffer {
  const parts: Buffer[] = []
  let offset = Math.max(from, log.logStartOffset)
  while (offset < upTo) {
    const { error, records } = log.read(offset, READ_BYTES, upTo, true)
    if (error !== 0) throw new Error(`reading ${log.directory} at ${offset}: error ${error}`)
    if (records === undefined || records.size === 0) break
    const bytes = Buffer.allocUnsafe(records.size)
    records.copyTo(bytes, 0)
    parts.push(bytes)
    let next = offset
    for (let at = 0; at < bytes.length; at += batchSize(bytes, at)) next = lastOffset(bytes, at) + 1
    if (next <= offset) break
    offset = next
  }
  return Buffer.concat(parts)
}

export function batchesOf(bytes: Buffer): LogBatch[] {
  const batches: LogBatch[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = nextBatch(bytes, at, bytes.length)
    if (size <= 0) break
    const epoch = partitionLeaderEpoch(bytes, at)
    const base = baseOffset(bytes, at)
    const mark = `${storedCrc(bytes, at).toString(16)}/${epoch}`
    batches.push({ base, last: lastOffset(bytes, at), epoch, timestamp: maxTimestamp(bytes, at), mark })
    at += size
  }
  return batches
}

/** A record of a final log. `control` of a transaction marker. */
export interface LogRecordView {
  readonly offset: number
  readonly value: string
  readonly control: 'commit' | 'abort' | undefined
  readonly producer: string
  readonly isTransactional: boolean
}

export function recordsIn(bytes: Buffer): LogRecordView[] {
  const records: LogRecordView[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = nextBatch(bytes, at, bytes.length)
    if (size <= 0) break
    const isControl = isControlBatch(bytes, at)
    const producer = `${producerId(bytes, at)}/${producerEpoch(bytes, at)}`
    for (const { offset, key, value } of recordsOf(bytes, at)) {
      records.push({
        offset,
        value: isControl ? '' : (value?.toString() ?? ''),
        control: isControl ? controlTypeOf(key) : undefined,
        producer,
        isTransactional: isTransactional(bytes, at),
      })
    }
    at += size
  }
  return records
}

/** Key -> offset of its newest record that is no tombstone: what two replicas of a compacted log have in common. Transactions are left out. */
export function newestByKey(bytes: Buffer): ReadonlyMap<string, number> {
  const newest = new Map<string, number>()
  for (let at = 0; at < bytes.length; ) {
    const size = nextBatch(bytes, at, bytes.length)
    if (size <= 0) break
    if (!isControlBatch(bytes, at) && !isTransactional(bytes, at)) {
      for (const { offset, key, value } of recordsOf(bytes, at)) {
        const name = key?.toString('hex') ?? ''
        if (value === null) newest.delete(name)
        else newest.set(name, offset)
      }
    }
    at += size
  }
  return newest
}
