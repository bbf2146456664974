/** Lines of a `.log` file: one per batch, or one per record. */
import { basename } from 'node:path'
import { BatchScanner } from '../../log/batch-scanner.ts'
import type { DiskFile } from '../../ports/disk.ts'
import {
  attributesOf,
  baseSequence,
  batchSize,
  controlTypeOf,
  isControlBatch,
  isLogAppendTime,
  isTransactional,
  isValidBatch,
  lastOffset,
  lastSequence,
  magicOf,
  maxTimestamp,
  offsetField,
  partitionLeaderEpoch,
  producerEpoch,
  producerId,
  RecordCursor,
  RecordsError,
  storedCrc,
} from '../../protocol/records/index.ts'
import { ToolError } from '../tool.ts'
import type { MessageDecoder } from './decoders.ts'

const CHUNK_BYTES = 256 * 1024
/** Where the magic byte stands in a batch. */
const MAGIC_AT = 16
const CODECS = ['NONE', 'GZIP', 'SNAPPY', 'LZ4']

export interface LogDumpRules {
  readonly deep: boolean
  /** Absent: contents are not printed. */
  readonly decoder: MessageDecoder | undefined
  /** Told about offsets that do not follow each other. */
  onGap(before: number, after: number): void
}

export interface Batch {
  readonly bytes: Buffer
  /** In the file. */
  readonly position: number
  /** As the file says: 3 and above are read as format 2, as 1.1 reads them. */
  readonly magic: number
}

/** The whole batches of a file from a position on; what is returned at the end is where they end. Throws `ToolError` for a size no batch has. */
export function* batchesOf(file: DiskFile, from: number): Generator<Batch, number> {
  const scanner = new BatchScanner(CHUNK_BYTES).start(file, from, file.size())
  while (scanner.next()) {
    if (!scanner.loadBody()) break
    const bytes = Buffer.from(scanner.buffer.subarray(scanner.at, scanner.at + scanner.size))
    const magic = magicOf(bytes, 0)
    if (magic > 2) bytes[MAGIC_AT] = 2
    yield { bytes, position: scanner.position, magic }
  }
  if (scanner.outcome === 'corrupt') throw new ToolError('org.apache.kafka.common.errors.CorruptRecordException', scanner.problem)
  return scanner.position
}

/** As 1.1 names them; a codec that does not exist ends the tool there as well. */
function codecName(bytes: Buffer): string {
  const id = attributesOf(bytes, 0) & 7
  const name = CODECS[id]
  if (name === undefined) throw new ToolError('java.lang.IllegalArgumentException', `Unknown compression type id: ${id}`)
  return name
}

function timestampType(bytes: Buffer): string {
  if (magicOf(bytes, 0) === 0) return 'NoTimestampType'
  return isLogAppendTime(bytes, 0) ? 'LogAppendTime' : 'CreateTime'
}

function batchLine({ bytes, position, magic }: Batch): string {
  const head =
    magic >= 2
      ? `baseOffset: ${offsetField(bytes, 0)} lastOffset: ${lastOffset(bytes, 0)} baseSequence: ${baseSequence(bytes, 0)} lastSequence: ${lastSequence(bytes, 0)} producerId: ${producerId(bytes, 0)} producerEpoch: ${producerEpoch(bytes, 0)} partitionLeaderEpoch: ${partitionLeaderEpoch(bytes, 0)} isTransactional: ${isTransactional(bytes, 0)}`
      : `offset: ${lastOffset(bytes, 0)}`
  return `${head} position: ${position} ${timestampType(bytes)}: ${maxTimestamp(bytes, 0)} isvalid: ${isValidBatch(bytes, 0)} size: ${batchSize(bytes, 0)} magic: ${magic} compresscodec: ${codecName(bytes)} crc: ${storedCrc(bytes, 0)}\n`
}

function controlText(cursor: RecordCursor): string {
  const key = cursor.key()
  const type = controlTypeOf(key)
  if (type === undefined) return ` controlType: UNKNOWN(${key?.readInt16BE(2)})`
  // The marker's value: int16 version, int32 coordinator epoch.
  return ` endTxnMarker: ${type.toUpperCase()} coordinatorEpoch: ${cursor.value()?.readInt32BE(2)}`
}

/** The stored CRC of a message of format 0 or 1, which may be one inside a wrapper: it stands before magic, attributes, time and key length. */
function recordCrc({ buffer, keyPosition, recordMagic }: RecordCursor): number {
  return buffer.readUInt32BE(keyPosition - (recordMagic === 0 ? 10 : 18))
}

function recordHead({ bytes, position, magic }: Batch, cursor: RecordCursor): string {
  const isLegacy = magic < 2
  const valid = isLegacy ? cursor.hasValidCrc() : true
  const common = `offset: ${cursor.offset} position: ${position} ${timestampType(bytes)}: ${cursor.timestamp} isvalid: ${valid} keysize: ${cursor.keyLength} valuesize: ${cursor.valueLength} magic: ${magic} compresscodec: ${codecName(bytes)}`
  if (isLegacy) return `${common} crc: ${recordCrc(cursor)}`
  const headers = cursor.headers().map(({ key }) => key)
  return `${common} producerId: ${producerId(bytes, 0)} producerEpoch: ${producerEpoch(bytes, 0)} sequence: ${cursor.sequence} isTransactional: ${isTransactional(bytes, 0)} headerKeys: [${headers.join(',')}]`
}

/** The batch's records; what cannot be read ends the tool as an uncaught exception of the genuine one. */
function* readRecords(batch: Batch): Generator<RecordCursor> {
  const compressed = (attributesOf(batch.bytes, 0) & 7) !== 0
  try {
    const cursor = new RecordCursor().open(batch.bytes, 0)
    while (cursor.next()) yield cursor
  } catch (error) {
    if (!(error instanceof RecordsError)) throw error
    if (compressed) throw new ToolError('org.apache.kafka.common.KafkaException', 'Failed to decompress record stream')
    throw new ToolError('org.apache.kafka.common.record.InvalidRecordException', error.message)
  }
}

/** Greatest timestamp of the batch's records, -1 without any. */
export function greatestTimestamp(batch: Batch): number {
  let greatest = -1
  for (const { timestamp } of readRecords(batch)) if (timestamp > greatest) greatest = timestamp
  return greatest
}

/** Offset of the batch's first record; undefined when it has none. */
export function firstRecordOffset(batch: Batch): number | undefined {
  for (const { offset } of readRecords(batch)) return offset
  return undefined
}

/** The text comes in pieces, so that what was read before a broken record is printed. */
export function* dumpLogFile(file: DiskFile, path: string, rules: LogDumpRules): Generator<string> {
  const { deep, decoder } = rules
  let last = -1
  const batches = batchesOf(file, 0)
  let step = batches.next()
  for (; step.done !== true; step = batches.next()) {
    const batch = step.value
    if (!deep) {
      yield batchLine(batch)
      continue
    }
    for (const cursor of readRecords(batch)) {
      if (last !== -1 && cursor.offset !== last + 1) rules.onGap(last, cursor.offset)
      last = cursor.offset
      yield recordHead(batch, cursor)
      if (isControlBatch(batch.bytes, 0)) yield controlText(cursor)
      else if (decoder !== undefined) {
        const { key, payload } = decoder(cursor.key(), cursor.value())
        if (key !== undefined) yield ` key: ${key}`
        if (payload !== undefined) yield ` payload: ${payload}`
      }
      yield '\n'
    }
  }
  const trailing = file.size() - step.value
  if (trailing > 0) yield `Found ${trailing} invalid bytes at the end of ${basename(path)}\n`
}
