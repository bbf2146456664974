import { DecodeError, int64Compare, int64Equals, putInt16, putInt32, putInt64 } from '../../base/bytes.ts'
import { crc32, crc32c } from '../../base/crc.ts'
import { ErrorCode } from '../errors.ts'
import * as batch from './batch.ts'
import { BatchBuilder } from './builder.ts'
import { decompress } from './compression.ts'
import { RecordsError } from './errors.ts'
import { RecordCursor } from './record.ts'
import { scanned, scanRecords } from './scan.ts'
import { type AppendRules, codecNames, type ValidatedAppend } from './types.ts'
import { isValidBatch } from './validate-batch.ts'

const NOTHING = Buffer.alloc(0)
const { CORRUPT_MESSAGE, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE, UNKNOWN_SERVER_ERROR, UNSUPPORTED_FOR_MESSAGE_FORMAT } = ErrorCode

function rejected(error: number, message: string, rules: AppendRules): ValidatedAppend {
  const nothing = { buffer: NOTHING, rebuilt: false, maxTimestamp: -1, offsetOfMaxTimestamp: -1, sourceCodec: 0, batches: 0 }
  return { error, message, nextOffset: rules.firstOffset, ...nothing }
}

/**
 * The leader's append: splits the record set, checks every entry and record, assigns offsets and the leader epoch. In place where the
 * bytes already have the topic's format and codec (`buffer` is patched and returned, cut behind its last whole entry), else rebuilt.
 * Bad records are error codes in the result, never exceptions; after an error the given bytes may have been patched in part.
 * An empty set, or one with nothing but a cut entry, is no error: `batches` is 0.
 */
export function validateAndAssign(buffer: Buffer, rules: AppendRules): ValidatedAppend {
  const { end, batches, sourceCodec, error, message } = analyse(buffer, rules)
  if (error !== 0) return rejected(error, message, rules)
  if (batches === 0) {
    const none = { nextOffset: rules.firstOffset, maxTimestamp: -1, offsetOfMaxTimestamp: -1 }
    return { error: 0, message: undefined, buffer: NOTHING, rebuilt: false, sourceCodec: 0, batches: 0, ...none }
  }
  const set = end === buffer.length ? buffer : buffer.subarray(0, end)
  const result = assignOffsets(set, batches, sourceCodec, rules)
  if (result.error !== 0 || !result.rebuilt) return result
  const tooLarge = firstTooLarge(result.buffer, rules.maxMessageBytes)
  return tooLarge === 0 ? result : rejected(MESSAGE_TOO_LARGE, sizeMessage(tooLarge, rules), rules)
}

const analysis = { end: 0, batches: 0, sourceCodec: 0, error: 0, message: '' }

/** Splits, checks size and CRC of each entry. The result is overwritten by the next call. */
function analyse(buffer: Buffer, rules: AppendRules): typeof analysis {
  analysis.batches = 0
  analysis.sourceCodec = 0
  analysis.error = 0
  let at = 0
  let size = 0
  while ((size = batch.nextBatch(buffer, at, buffer.length)) > 0) {
    if (rules.isFromClient && batch.magicOf(buffer, at) === 2 && batch.baseOffset(buffer, at) !== 0) {
      return refuse(CORRUPT_MESSAGE, `base offset ${batch.baseOffset(buffer, at)} of a client's batch is not 0`)
    }
    if (size > rules.maxMessageBytes) return refuse(MESSAGE_TOO_LARGE, sizeMessage(size, rules))
    if (!isValidBatch(buffer, at)) return refuse(CORRUPT_MESSAGE, `batch of ${size} bytes at byte ${at} is corrupt`)
    const codec = batch.codecOf(buffer, at)
    if (codec >= codecNames.length) return refuse(UNKNOWN_SERVER_ERROR, `unknown compression codec ${codec}`)
    if (codec !== 0) analysis.sourceCodec = codec
    analysis.batches++
    at += size
  }
  if (size === batch.CORRUPT) return refuse(CORRUPT_MESSAGE, `no record set: bad size or format of the entry at byte ${at}`)
  analysis.end = at
  return analysis
}

function refuse(error: number, message: string): typeof analysis {
  analysis.error = error
  analysis.message = message
  return analysis
}

function sizeMessage(size: number, rules: AppendRules): string {
  return `batch of ${size} bytes exceeds max.message.bytes ${rules.maxMessageBytes}`
}

function firstTooLarge(buffer: Buffer, limit: number): number {
  for (let at = 0, size = 0; (size = batch.nextBatch(buffer, at, buffer.length)) > 0; at += size) if (size > limit) return size
  return 0
}

/** The second half of `validateAndAssign`, for whole entries with valid CRCs: records, conversion, offsets. `batches` is their number. */
export function assignOffsets(buffer: Buffer, batches: number, sourceCodec: number, rules: AppendRules): ValidatedAppend {
  const targetCodec = targetCodecOf(rules, sourceCodec)
  try {
    if (sourceCodec !== 0 || targetCodec !== 0) {
      const whole = batches === 1 && sourceCodec === targetCodec ? assignWhole(buffer, sourceCodec, rules) : undefined
      return whole ?? assignCompressed(buffer, batches, sourceCodec, targetCodec, rules)
    }
    return hasOnlyMagic(buffer, rules.topicMagic) ? assignPlain(buffer, rules) : convertPlain(buffer, rules)
  } catch (error) {
    if (error instanceof RecordsError) return rejected(error.code, error.message, rules)
    if (error instanceof DecodeError) return rejected(CORRUPT_MESSAGE, error.message, rules)
    throw error
  }
}

function targetCodecOf(rules: AppendRules, sourceCodec: number): number {
  if (rules.compressionType === 'producer') return sourceCodec
  return rules.compressionType === 'uncompressed' ? 0 : codecNames.indexOf(rules.compressionType)
}

function hasOnlyMagic(buffer: Buffer, magic: number): boolean {
  for (let at = 0; at < buffer.length; at += batch.batchSize(buffer, at)) if (batch.magicOf(buffer, at) !== magic) return false
  return true
}

// ---------------------------------------------------------------- checks

function checkBatch(buffer: Buffer, at: number, rules: AppendRules): void {
  if (batch.magicOf(buffer, at) < 2) return
  if (rules.isFromClient) checkClientBatch(buffer, at)
  if (rules.topicMagic === 2) return
  if (batch.isTransactional(buffer, at)) unsupportedByFormat('transactional', rules)
  if (int64Compare(batch.producerId(buffer, at), -1) > 0) unsupportedByFormat('idempotent', rules)
}

function unsupportedByFormat(what: string, rules: AppendRules): never {
  throw new RecordsError(`${what} records in a topic of format ${rules.topicMagic}`, UNSUPPORTED_FOR_MESSAGE_FORMAT)
}

function checkClientBatch(buffer: Buffer, at: number): void {
  const delta = batch.lastOffsetDelta(buffer, at)
  const count = batch.recordsCount(buffer, at)
  if (delta < 0) throw new RecordsError(`last offset delta ${delta}`)
  if (count <= 0) throw new RecordsError(`record count ${count}`)
  if (delta + 1 !== count) throw new RecordsError(`record count ${count} does not fit the last offset delta ${delta}`)
  const sequence = batch.baseSequence(buffer, at)
  if (int64Compare(batch.producerId(buffer, at), -1) > 0 && sequence < 0)
    throw new RecordsError(`sequence ${sequence} with a producer id`)
  if (batch.isControlBatch(buffer, at)) throw new RecordsError('control batch from a client')
}

function checkRecord(cursor: RecordCursor, logAppendTime: boolean, rules: AppendRules): void {
  if (cursor.recordMagic !== cursor.magic)
    throw new RecordsError(`record of format ${cursor.recordMagic} in a batch of ${cursor.magic}`)
  if (cursor.magic < 2 && cursor.codec !== 0) {
    if (!cursor.hasValidCrc()) throw new RecordsError(`inner message at offset ${cursor.offset} has a wrong CRC`)
    if (cursor.recordCodec !== 0) throw new RecordsError('compressed message inside a wrapper')
  }
  if (rules.compacted && cursor.keyLength < 0) throw new RecordsError('record without a key in a compacted topic')
  const { timestamp } = cursor
  if (rules.timestampType === 'CreateTime' && timestamp !== -1 && isTooFar(timestamp, rules)) {
    throw new RecordsError(
      `timestamp ${timestamp} is more than ${rules.timestampDifferenceMaxMs} ms from ${rules.now}`,
      INVALID_TIMESTAMP,
    )
  }
  if (logAppendTime) throw new RecordsError('producer claims LogAppendTime', INVALID_TIMESTAMP)
}

function isTooFar(timestamp: number, { now, timestampDifferenceMaxMs }: AppendRules): boolean {
  return timestampDifferenceMaxMs < 2 ** 63 && Math.abs(timestamp - now) > timestampDifferenceMaxMs
}

/** The quick scan's limit of timestamps: none where LogAppendTime will replace them. */
function scanLimit({ timestampType, timestampDifferenceMaxMs }: AppendRules): number {
  return timestampType === 'LogAppendTime' || timestampDifferenceMaxMs >= 2 ** 63
    ? Number.POSITIVE_INFINITY
    : timestampDifferenceMaxMs
}

// ---------------------------------------------------------------- patches

/** Timestamp type and greatest timestamp; the CRC is taken anew only when one of them changes. */
function putMaxTimestamp(buffer: Buffer, at: number, rules: AppendRules, timestamp: number): void {
  const wanted = rules.timestampType === 'LogAppendTime'
  if (batch.isLogAppendTime(buffer, at) === wanted && int64Equals(batch.maxTimestamp(buffer, at), timestamp)) return
  const type = wanted ? batch.ATTRIBUTE_LOG_APPEND_TIME : 0
  const end = at + batch.batchSize(buffer, at)
  if (batch.magicOf(buffer, at) === 1) {
    buffer[at + 17] = batch.codecOf(buffer, at) | type
    putInt64(buffer, at + 18, timestamp)
    putInt32(buffer, at + 12, crc32(buffer, at + 16, end))
    return
  }
  const kept = batch.ATTRIBUTE_CODEC | batch.ATTRIBUTE_TRANSACTIONAL | batch.ATTRIBUTE_CONTROL
  putInt16(buffer, at + 21, (batch.attributesOf(buffer, at) & kept) | type)
  putInt64(buffer, at + 35, timestamp)
  putInt32(buffer, at + 17, crc32c(buffer, at + 21, end))
}

/** Offset, epoch and timestamp of an entry whose last record gets `lastOffset`. */
function stamp(buffer: Buffer, at: number, lastOffset: number, rules: AppendRules, maxTimestamp: number): void {
  const magic = batch.magicOf(buffer, at)
  batch.putBaseOffset(buffer, at, magic === 2 ? lastOffset - batch.lastOffsetDelta(buffer, at) : lastOffset)
  if (magic === 2) batch.putLeaderEpoch(buffer, at, rules.leaderEpoch)
  if (magic > 0) putMaxTimestamp(buffer, at, rules, rules.timestampType === 'LogAppendTime' ? rules.now : maxTimestamp)
}

// ---------------------------------------------------------------- the ways of an append

const cursor = new RecordCursor()
const records = { count: 0, maxTimestamp: -1, indexOfMax: -1 }

/** The quick scan over records in `text[start, end)` that belong to the batch at `at`. */
function scan(text: Buffer, start: number, end: number, buffer: Buffer, at: number, dense: boolean, rules: AppendRules): boolean {
  const first = batch.firstTimestamp(buffer, at)
  return scanRecords(text, start, end, batch.recordsCount(buffer, at), first, dense, rules.compacted, rules.now, scanLimit(rules))
}

/** Checks the records of one entry that is not compressed; results in `records`. */
function checkPlain(buffer: Buffer, at: number, rules: AppendRules): void {
  const logAppendTime = batch.isLogAppendTime(buffer, at)
  if (batch.magicOf(buffer, at) === 2 && !logAppendTime) {
    const count = batch.recordsCount(buffer, at)
    if (count > 0 && scan(buffer, at + batch.BATCH_OVERHEAD, at + batch.batchSize(buffer, at), buffer, at, false, rules)) {
      records.count = count
      records.maxTimestamp = scanned.maxTimestamp
      records.indexOfMax = scanned.indexOfMax
      return
    }
  }
  records.count = 0
  records.maxTimestamp = -1
  records.indexOfMax = -1
  cursor.open(buffer, at)
  while (cursor.next()) {
    checkRecord(cursor, logAppendTime, rules)
    if (cursor.magic > 0 && int64Compare(cursor.timestamp, records.maxTimestamp) > 0) {
      records.maxTimestamp = cursor.timestamp
      records.indexOfMax = records.count
    }
    records.count++
  }
}

/** Not compressed and already in the topic's format: patched in place. */
function assignPlain(buffer: Buffer, rules: AppendRules): ValidatedAppend {
  let next = rules.firstOffset
  let maxTimestamp = -1
  let offsetOfMaxTimestamp = -1
  let batches = 0
  for (let at = 0; at < buffer.length; at += batch.batchSize(buffer, at)) {
    checkBatch(buffer, at, rules)
    checkPlain(buffer, at, rules)
    if (int64Compare(records.maxTimestamp, maxTimestamp) > 0) {
      maxTimestamp = records.maxTimestamp
      offsetOfMaxTimestamp = next + records.indexOfMax
    }
    next += records.count
    stamp(buffer, at, next - 1, rules, records.maxTimestamp)
    batches++
  }
  if (rules.timestampType === 'LogAppendTime') {
    maxTimestamp = rules.now
    offsetOfMaxTimestamp = rules.topicMagic === 2 ? next - 1 : rules.firstOffset
  }
  return {
    error: 0,
    message: undefined,
    buffer,
    rebuilt: false,
    nextOffset: next,
    maxTimestamp,
    offsetOfMaxTimestamp,
    sourceCodec: 0,
    batches,
  }
}

/** A builder for the whole set; producer fields come from its first entry. */
function builderFor(buffer: Buffer, codec: number, rules: AppendRules): BatchBuilder {
  return new BatchBuilder({
    magic: rules.topicMagic,
    codec,
    timestampType: rules.timestampType,
    baseOffset: rules.firstOffset,
    logAppendTime: rules.now,
    producerId: batch.producerId(buffer, 0),
    producerEpoch: batch.producerEpoch(buffer, 0),
    baseSequence: batch.baseSequence(buffer, 0),
    transactional: batch.isTransactional(buffer, 0),
    leaderEpoch: rules.leaderEpoch,
    sizeHint: buffer.length + 512,
  })
}

function built(builder: BatchBuilder, sourceCodec: number, rules: AppendRules): ValidatedAppend {
  const nextOffset = rules.firstOffset + builder.count
  const batches = builder.count === 0 ? 0 : builder.magic === 2 || builder.codec !== 0 ? 1 : builder.count
  return {
    error: 0,
    message: undefined,
    buffer: builder.build(),
    rebuilt: true,
    nextOffset,
    sourceCodec,
    batches,
    ...builder.info(),
  }
}

/** Not compressed, in another format: rewritten. */
function convertPlain(buffer: Buffer, rules: AppendRules): ValidatedAppend {
  const builder = builderFor(buffer, 0, rules)
  for (let at = 0; at < buffer.length; at += batch.batchSize(buffer, at)) {
    checkBatch(buffer, at, rules)
    const logAppendTime = batch.isLogAppendTime(buffer, at)
    cursor.open(buffer, at)
    while (cursor.next()) {
      checkRecord(cursor, logAppendTime, rules)
      builder.appendFrom(cursor, rules.firstOffset + builder.count)
    }
  }
  return built(builder, 0, rules)
}

/** The common compressed append: one batch of format 2 that stays as it is. `undefined`: not that, or not beyond doubt. */
function assignWhole(buffer: Buffer, codec: number, rules: AppendRules): ValidatedAppend | undefined {
  if (rules.topicMagic !== 2 || batch.magicOf(buffer, 0) !== 2 || batch.isLogAppendTime(buffer, 0)) return undefined
  checkBatch(buffer, 0, rules)
  const count = batch.recordsCount(buffer, 0)
  if (count <= 0 || batch.baseOffset(buffer, 0) !== 0) return undefined
  const text = decompress(codec, 2, buffer, batch.BATCH_OVERHEAD, buffer.length)
  if (!scan(text, 0, text.length, buffer, 0, true, rules)) return undefined
  return stampWhole(buffer, count, codec, rules, scanned.maxTimestamp, 1)
}

function stampWhole(
  buffer: Buffer,
  count: number,
  codec: number,
  rules: AppendRules,
  max: number,
  batches: number,
): ValidatedAppend {
  const lastOffset = rules.firstOffset + count - 1
  const maxTimestamp = rules.timestampType === 'LogAppendTime' ? rules.now : max
  stamp(buffer, 0, lastOffset, rules, maxTimestamp)
  const assigned = { nextOffset: lastOffset + 1, maxTimestamp, offsetOfMaxTimestamp: lastOffset, sourceCodec: codec, batches }
  return { error: 0, message: undefined, buffer, rebuilt: false, ...assigned }
}

/** Compressed before or after: the one entry is kept when it is already what is wanted, else everything is compressed anew. */
function assignCompressed(
  buffer: Buffer,
  batches: number,
  sourceCodec: number,
  targetCodec: number,
  rules: AppendRules,
): ValidatedAppend {
  // Kafka patches only the first of several entries; we write several anew, so that none keeps a wrong offset.
  let inPlace = sourceCodec === targetCodec && rules.topicMagic > 0 && batches === 1
  const mayAdopt = !inPlace
  let maxTimestamp = -1
  let count = 0
  // Entries are checked in a first pass, so that what a second pass writes is known to be good.
  for (let at = 0; at < buffer.length; at += batch.batchSize(buffer, at)) {
    checkBatch(buffer, at, rules)
    // A marker is never compressed; it comes alone.
    if (mayAdopt && batches === 1 && sourceCodec === 0 && batch.isControlBatch(buffer, at)) inPlace = true
    const logAppendTime = batch.isLogAppendTime(buffer, at)
    cursor.open(buffer, at)
    while (cursor.next()) {
      checkRecord(cursor, logAppendTime, rules)
      if (cursor.magic > 0 && rules.topicMagic > 0) {
        if (cursor.offset !== count) inPlace = false
        if (int64Compare(cursor.timestamp, maxTimestamp) > 0) maxTimestamp = cursor.timestamp
      }
      if (cursor.recordMagic !== rules.topicMagic) inPlace = false
      count++
    }
  }
  if (inPlace) return stampWhole(buffer, count, sourceCodec, rules, maxTimestamp, batches)
  const builder = builderFor(buffer, targetCodec, rules)
  for (let at = 0; at < buffer.length; at += batch.batchSize(buffer, at)) {
    cursor.open(buffer, at)
    while (cursor.next()) builder.appendFrom(cursor, rules.firstOffset + builder.count)
  }
  return built(builder, sourceCodec, rules)
}

/** Walks whole entries: `visit` gets position and size, and ends the walk with false. Returns the bytes walked, -1 when corrupt. */
export function iterateBatches(buffer: Buffer, visit: (position: number, size: number) => boolean | undefined): number {
  let at = 0
  let size = 0
  while ((size = batch.nextBatch(buffer, at, buffer.length)) > 0) {
    if (visit(at, size) === false) return at
    at += size
  }
  return size === batch.CORRUPT ? -1 : at
}
