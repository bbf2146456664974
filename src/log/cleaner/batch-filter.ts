import { putInt16, putInt32, putInt64 } from '../../base/bytes.ts'
import { crc32c } from '../../base/crc.ts'
import {
  ATTRIBUTE_CODEC,
  attributesOf,
  BATCH_OVERHEAD,
  baseOffset,
  CORRUPT,
  codecOf,
  isControlBatch,
  isLogAppendTime,
  isTransactional,
  LOG_OVERHEAD,
  lastOffset,
  type Magic,
  magicOf,
  maxTimestamp,
  nextBatch,
  partitionLeaderEpoch,
  producerEpoch,
  producerId,
} from '../../protocol/records/batch.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { RecordCursor } from '../../protocol/records/record.ts'
import type { Steps } from '../../protocol/records/steps.ts'

/** Records between two places to let others run. */
const STEP_RECORDS = 128

/** What becomes of a batch: gone; kept without records when none is left; gone when none is left. */
export type BatchRetention = 'delete' | 'retainEmpty' | 'deleteEmpty'

/** Which batches and records stay. */
export interface FilterRules {
  checkBatch(buffer: Buffer, at: number): BatchRetention
  /** The cursor stands at the record. */
  keepRecord(cursor: RecordCursor): boolean
}

/** The log is not as it must be to be compacted. */
export class CleaningError extends Error {
  override readonly name = 'CleaningError'
}

/** What `filterBatches` went through and kept; the fields of 1.1's `FilterResult`. */
export interface Filtered {
  /** [0, length) are the batches that stay. */
  output: Buffer
  length: number
  /** Of whole batches. */
  bytesRead: number
  messagesRead: number
  messagesRetained: number
  /** Without batches that were kept empty. */
  bytesRetained: number
  /** Of records that stay, -1 without any. */
  maxOffset: number
  /** Of batches that stay. */
  maxTimestamp: number
  offsetOfMaxTimestamp: number
  /** Cut after the batch with which `output` outgrew its first length. */
  isFull: boolean
}

export function nothingFiltered(output: Buffer): Filtered {
  const counts = { length: 0, bytesRead: 0, messagesRead: 0, messagesRetained: 0, bytesRetained: 0 }
  return { output, ...counts, maxOffset: -1, maxTimestamp: -1, offsetOfMaxTimestamp: -1, isFull: false }
}

/**
 * Sends the whole batches of input [0, end) through the rules, as 1.1's `filterTo`: a batch of which everything stays is copied as it is, any
 * other is written anew with its codec; batches of format 2 keep base and last offset, sequence, producer and leader epoch. Yields where
 * others may run. Throws `CleaningError` and `RecordsError`.
 */
export function* filterBatches(input: Buffer, end: number, rules: FilterRules, result: Filtered): Steps<void> {
  const capacity = result.output.length
  const records = new RecordCursor()
  for (let at = 0, size = 0; (size = nextBatch(input, at, end)) !== 0; at += size) {
    if (size === CORRUPT) throw new CleaningError(`no batch can begin at byte ${at} of what was read`)
    result.bytesRead += size
    const retention = rules.checkBatch(input, at)
    if (retention === 'delete') continue
    yield* filterBatch(records, input, at, size, retention, rules, result)
    if (result.output.length > capacity) {
      result.isFull = true
      return
    }
  }
}

function* filterBatch(
  records: RecordCursor,
  input: Buffer,
  at: number,
  size: number,
  retention: BatchRetention,
  rules: FilterRules,
  result: Filtered,
): Steps<void> {
  yield* records.openSteps(input, at)
  const magic = magicOf(input, at)
  const kept: boolean[] = []
  let count = 0
  let isWhole = true
  while (records.next()) {
    const keep = rules.keepRecord(records)
    kept.push(keep)
    if (keep) {
      count++
      // A wrapper may hold messages of another format (KAFKA-4298); written anew it is right.
      if (records.recordMagic !== magic) isWhole = false
      if (records.offset > result.maxOffset) result.maxOffset = records.offset
    } else isWhole = false
    if (kept.length % STEP_RECORDS === 0) yield undefined
  }
  result.messagesRead += kept.length
  result.messagesRetained += count
  if (count === 0) {
    if (retention === 'retainEmpty') putEmptyBatch(input, at, result)
  } else if (isWhole) {
    const to = reserve(result, size)
    input.copy(result.output, to, at, at + size)
    result.bytesRetained += size
    noteTimestamp(result, maxTimestamp(input, at), lastOffset(input, at))
  } else yield* rebuild(records, input, at, kept, result)
}

function* rebuild(records: RecordCursor, input: Buffer, at: number, kept: readonly boolean[], result: Filtered): Steps<void> {
  const magic = magicOf(input, at) as Magic
  let builder: BatchBuilder | undefined
  records.rewind()
  for (let i = 0; records.next(); i++) {
    if (i % STEP_RECORDS === STEP_RECORDS - 1) yield undefined
    if (!kept[i]) continue
    builder ??= builderLike(input, at, magic >= 2 ? baseOffset(input, at) : records.offset)
    builder.appendFrom(records, records.offset)
  }
  if (builder === undefined) return
  if (magic >= 2) builder.overrideLastOffset(lastOffset(input, at))
  const batch = yield* builder.buildSteps()
  const to = reserve(result, batch.length)
  batch.copy(result.output, to)
  result.bytesRetained += batch.length
  const info = builder.info()
  noteTimestamp(result, info.maxTimestamp, info.offsetOfMaxTimestamp)
  yield undefined
}

function builderLike(input: Buffer, at: number, first: number): BatchBuilder {
  const logAppendTime = isLogAppendTime(input, at)
  return new BatchBuilder({
    magic: magicOf(input, at) as Magic,
    codec: codecOf(input, at),
    timestampType: logAppendTime ? 'LogAppendTime' : 'CreateTime',
    logAppendTime: logAppendTime ? maxTimestamp(input, at) : -1,
    baseOffset: first,
    producerId: producerId(input, at),
    producerEpoch: producerEpoch(input, at),
    baseSequence: magicOf(input, at) < 2 ? -1 : input.readInt32BE(at + 53),
    transactional: isTransactional(input, at),
    control: isControlBatch(input, at),
    leaderEpoch: partitionLeaderEpoch(input, at),
    sizeHint: input.readInt32BE(at + 8),
  })
}

/** Only the header stays, for the producer's last sequence. */
function putEmptyBatch(input: Buffer, at: number, result: Filtered): void {
  if (magicOf(input, at) < 2) throw new CleaningError('Empty batches are only supported for magic v2 and above')
  const to = reserve(result, BATCH_OVERHEAD)
  const { output } = result
  input.copy(output, to, at, at + BATCH_OVERHEAD)
  putInt32(output, to + 8, BATCH_OVERHEAD - LOG_OVERHEAD)
  putInt16(output, to + 21, attributesOf(input, at) & ~ATTRIBUTE_CODEC)
  putInt64(output, to + 27, -1)
  putInt32(output, to + 57, 0)
  putInt32(output, to + 17, crc32c(output, to + 21, to + BATCH_OVERHEAD))
}

function noteTimestamp(result: Filtered, timestamp: number, offset: number): void {
  if (timestamp <= result.maxTimestamp) return
  result.maxTimestamp = timestamp
  result.offsetOfMaxTimestamp = offset
}

/** Room at the end of the output; returns where it begins. */
function reserve(result: Filtered, bytes: number): number {
  const at = result.length
  const needed = at + bytes
  if (needed > result.output.length) {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, result.output.length * 2))
    result.output.copy(larger, 0, 0, at)
    result.output = larger
  }
  result.length = needed
  return at
}
