import { codecOf, isControlBatch, isLogAppendTime, type Magic, magicOf, maxTimestamp, nextBatch } from './batch.ts'
import { BatchBuilder } from './builder.ts'
import { RecordCursor } from './record.ts'

const STEP_RECORDS = 256

/** Whether a reader that knows `toMagic` at most needs another form of these bytes. */
export function needsDownConversion(buffer: Buffer, toMagic: number): boolean {
  for (let at = 0, size = 0; (size = nextBatch(buffer, at, buffer.length)) > 0; at += size)
    if (magicOf(buffer, at) > toMagic) return true
  return false
}

/**
 * The record set for a reader of an older format: Fetch v0 - v1 want format 0, v2 - v3 format 1. Offsets, codecs and timestamps stay,
 * headers and markers go, a cut entry at the end goes. From a plain batch of format 2, records below `firstOffset` (the fetch offset) are
 * left out. When nothing remains the result is empty: Kafka then sends the original bytes, so that the reader notices.
 * Throws `RecordsError` for records that cannot be read.
 */
export function downConvert(buffer: Buffer, toMagic: Magic, firstOffset: number): Buffer {
  const parts: Buffer[] = []
  for (let at = 0, size = 0; (size = nextBatch(buffer, at, buffer.length)) > 0; at += size) {
    if (magicOf(buffer, at) <= toMagic) parts.push(buffer.subarray(at, at + size))
    else parts.push(downConvertBatch(buffer, at, size, toMagic, firstOffset))
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** One entry of `downConvert`; empty when nothing of it remains. */
function downConvertBatch(buffer: Buffer, at: number, size: number, toMagic: Magic, firstOffset: number): Buffer {
  const steps = downConvertSteps(buffer, at, size, toMagic, firstOffset)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** One entry of `downConvert`, a few hundred records at a time: for callers that go through big slices in turns. */
export function* downConvertSteps(
  buffer: Buffer,
  at: number,
  size: number,
  toMagic: Magic,
  firstOffset: number,
): Generator<void, Buffer> {
  if (isControlBatch(buffer, at)) return Buffer.alloc(0)
  const cursor = new RecordCursor().open(buffer, at)
  const plain = codecOf(buffer, at) === 0
  const logAppendTime = isLogAppendTime(buffer, at)
  let builder: BatchBuilder | undefined
  for (let record = 1; cursor.next(); record++) {
    if (record % STEP_RECORDS === 0) yield
    if (plain && cursor.offset < firstOffset) continue
    builder ??= new BatchBuilder({
      magic: toMagic,
      codec: codecOf(buffer, at),
      timestampType: logAppendTime ? 'LogAppendTime' : 'CreateTime',
      baseOffset: cursor.offset,
      logAppendTime: logAppendTime ? maxTimestamp(buffer, at) : -1,
      sizeHint: size * 2,
    })
    builder.appendFrom(cursor, cursor.offset, true)
  }
  return builder === undefined ? Buffer.alloc(0) : builder.build()
}
