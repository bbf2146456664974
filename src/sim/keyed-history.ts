import { nextBatch, recordsOf } from '../protocol/records/index.ts'

/** One write of a key, by the only producer that writes it. */
export interface KeyedWrite {
  /** Null: a tombstone. */
  readonly value: string | null
  /** Where it is said to be; -1: written, the broker does not tell where; undefined: nobody knows whether it was written. */
  offset: number | undefined
}

/** What was written to compacted partitions: `topic-partition` -> key -> its writes in order. */
export class KeyedHistory {
  readonly partitions = new Map<string, Map<string, KeyedWrite[]>>()

  write(partition: string, key: string, value: string | null): KeyedWrite {
    let keys = this.partitions.get(partition)
    if (keys === undefined) this.partitions.set(partition, (keys = new Map()))
    let writes = keys.get(key)
    if (writes === undefined) keys.set(key, (writes = []))
    const write: KeyedWrite = { value, offset: undefined }
    writes.push(write)
    return write
  }
}

interface KeyedRecord {
  readonly offset: number
  readonly key: string
  readonly value: string | null
}

/** Every record of a log with its key. */
export function keyedRecordsIn(bytes: Buffer): KeyedRecord[] {
  const records: KeyedRecord[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = nextBatch(bytes, at, bytes.length)
    if (size <= 0) break
    for (const { offset, key, value } of recordsOf(bytes, at))
      records.push({ offset, key: key?.toString() ?? '', value: value === null ? null : value.toString() })
    at += size
  }
  return records
}

/** What became of a compacted log; `isCompacted`: the cleaner has taken something. */
export interface CompactionVerdict {
  readonly problems: readonly string[]
  readonly isCompacted: boolean
  /** Keys of which nothing is left, since their tombstones have had their time. */
  readonly forgotten: number
}

/** G24: of each key the newest acknowledged value is there, a tombstone wins over what was before it, and what is left lies where it was. */
export function judgeCompaction(
  log: readonly KeyedRecord[],
  written: ReadonlyMap<string, readonly KeyedWrite[]>,
): CompactionVerdict {
  const problems: string[] = []
  const newest = new Map<string, KeyedRecord>()
  let before = -1
  for (const record of log) {
    if (record.offset <= before) problems.push(`offset ${record.offset} comes after ${before}`)
    before = record.offset
    newest.set(record.key, record)
    const write = written
      .get(record.key)
      ?.find(({ value, offset }) => value === record.value && (value !== null || offset === record.offset))
    if (write === undefined) {
      const isUnclear =
        record.value === null && written.get(record.key)?.some(({ value, offset }) => value === null && (offset ?? -1) < 0)
      if (!isUnclear) problems.push(`@${record.offset} ${record.key}=${record.value}: nobody wrote it there`)
    } else if ((write.offset ?? -1) >= 0 && write.offset !== record.offset)
      problems.push(`${record.key}=${record.value} was acknowledged at ${write.offset}, it is at ${record.offset}`)
  }
  let forgotten = 0
  for (const [key, writes] of written) {
    const problem = problemOf(writes, newest.get(key))
    if (problem !== undefined) problems.push(`${key}: ${problem}`)
    if (!newest.has(key)) forgotten++
  }
  const acknowledged = [...written.values()].flat().filter(({ offset }) => offset !== undefined).length
  return { problems, isCompacted: log.length < acknowledged, forgotten }
}

/** Of one key: what is wrong with the newest record that there is. */
function problemOf(writes: readonly KeyedWrite[], newest: KeyedRecord | undefined): string | undefined {
  const last = writes.findLastIndex(({ offset }) => offset !== undefined)
  if (last < 0) return undefined
  const acked = writes[last]!
  const shown = newest === undefined ? 'nothing' : `${newest.value} at ${newest.offset}`
  // What was written later and never answered may be there or not.
  const later = writes.slice(last + 1)
  if (newest !== undefined && later.some(({ value }) => value !== null && value === newest.value)) return undefined
  if (newest !== undefined && newest.value === null && later.some(({ value }) => value === null)) return undefined
  if (later.some(({ value }) => value === null) && newest === undefined) return undefined
  if (acked.value === null)
    return newest === undefined || newest.value === null ? undefined : `deleted at ${acked.offset}, there is ${shown}`
  return newest?.value === acked.value ? undefined : `${acked.value} was acknowledged at ${acked.offset}, there is ${shown}`
}
