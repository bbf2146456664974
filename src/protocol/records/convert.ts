import { codecOf, isControlBatch, isLogAppendTime, type Magic, magicOf, maxTimestamp, nextBatch } from './batch.ts'
import { BatchBuilder } from './builder.ts'
import { RecordCursor } from './record.ts'
import { finish, STEP_BYTES, type Steps } from './steps.ts'

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
  if (isControlBatch(buffer, at)) return Buffer.alloc(0)
  const cursor = new RecordCursor().open(buffer, at)
  return finish(rebuildSteps(cursor, buffer, at, size, toMagic, firstOffset))?.build() ?? Buffer.alloc(0)
}

/**
 * One entry of `downConvert` in pieces of about a millisecond, for callers that go through big slices in turns; gzip of big batches runs
 * on another thread. `buffer` must stay valid until the end.
 */
export function* downConvertSteps(buffer: Buffer, at: number, size: number, toMagic: Magic, firstOffset: number): Steps<Buffer> {
  if (isControlBatch(buffer, at)) return Buffer.alloc(0)
  const cursor = yield* new RecordCursor().openSteps(buffer, at)
  const builder = yield* rebuildSteps(cursor, buffer, at, size, toMagic, firstOffset)
  return builder === undefined ? Buffer.alloc(0) : yield* builder.buildSteps()
}

function* rebuildSteps(
  cursor: RecordCursor,
  buffer: Buffer,
  at: number,
  size: number,
  toMagic: Magic,
  firstOffset: number,
): Steps<BatchBuilder | undefined> {
  const plain = codecOf(buffer, at) === 0
  const logAppendTime = isLogAppendTime(buffer, at)
  let builder: BatchBuilder | undefined
  for (let record = 1, pause = STEP_BYTES; cursor.next(); record++) {
    if (record % STEP_RECORDS === 0 || (builder !== undefined && builder.size >= pause)) {
      yield
      pause = (builder?.size ?? 0) + STEP_BYTES
    }
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
  return builder
}
