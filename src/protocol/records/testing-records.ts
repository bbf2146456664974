import assert from 'node:assert/strict'
import { int64ToBigInt } from '../../base/bytes.ts'
import * as batch from './batch.ts'
import { decompress } from './compression.ts'
import { controlTypeOf, RecordCursor } from './record.ts'
import { codecNames } from './types.ts'
import { isValidBatch } from './validate-batch.ts'

/** A batch as the golden files describe it. */
export type GoldenBatch = Readonly<Record<string, unknown>>

const text = (value: number): string => int64ToBigInt(value).toString()
const hex = (bytes: Buffer | null): string | null => (bytes === null ? null : bytes.toString('hex'))

function payloadOf(buffer: Buffer, at: number): Buffer {
  const codec = batch.codecOf(buffer, at)
  const magic = batch.magicOf(buffer, at)
  const end = at + batch.batchSize(buffer, at)
  return decompress(codec, magic, buffer, magic === 2 ? at + 61 : at + (magic === 0 ? 26 : 34), end)
}

function recordsAsGolden(buffer: Buffer, at: number): unknown[] {
  const records: unknown[] = []
  const magic = batch.magicOf(buffer, at)
  const control = batch.isControlBatch(buffer, at)
  const cursor = new RecordCursor().open(buffer, at)
  while (cursor.next()) {
    const { offset, timestamp, key, value, headers, sequence } = cursor.data()
    const record: Record<string, unknown> = { offset: text(offset), timestamp: text(timestamp), key: hex(key), value: hex(value) }
    if (magic === 2) {
      record['sequence'] = sequence
      record['headers'] = headers.map((header) => ({ key: header.key, value: hex(header.value) }))
      if (control) record['controlType'] = controlTypeOf(key)?.toUpperCase()
    }
    records.push(record)
  }
  return records
}

function headerAsGolden(buffer: Buffer, at: number): Record<string, unknown> {
  const magic = batch.magicOf(buffer, at)
  const common = {
    magic,
    sizeInBytes: batch.batchSize(buffer, at),
    valid: isValidBatch(buffer, at),
    crc: batch.storedCrc(buffer, at),
    codec: codecNames[batch.codecOf(buffer, at)],
    timestampType: magic === 0 ? 'NoTimestampType' : batch.isLogAppendTime(buffer, at) ? 'LogAppendTime' : 'CreateTime',
    lastOffset: text(batch.lastOffset(buffer, at)),
    nextOffset: text(batch.lastOffset(buffer, at) + 1),
    attributes: batch.attributesOf(buffer, at),
  }
  if (magic < 2) return { ...common, timestamp: text(batch.messageTimestamp(buffer, at)) }
  return {
    ...common,
    baseOffset: text(batch.baseOffset(buffer, at)),
    partitionLeaderEpoch: batch.partitionLeaderEpoch(buffer, at),
    lastOffsetDelta: batch.lastOffsetDelta(buffer, at),
    firstTimestamp: text(batch.firstTimestamp(buffer, at)),
    maxTimestamp: text(batch.maxTimestamp(buffer, at)),
    producerId: text(batch.producerId(buffer, at)),
    producerEpoch: batch.producerEpoch(buffer, at),
    baseSequence: batch.baseSequence(buffer, at),
    lastSequence: batch.lastSequence(buffer, at),
    count: batch.recordsCount(buffer, at),
    transactional: batch.isTransactional(buffer, at),
    control: batch.isControlBatch(buffer, at),
  }
}

/** The batches of a record set in the golden files' form. */
export function batchesAsGolden(buffer: Buffer): GoldenBatch[] {
  const batches: GoldenBatch[] = []
  for (let at = 0, size = 0; (size = batch.nextBatch(buffer, at, buffer.length)) > 0; at += size) {
    const described = headerAsGolden(buffer, at)
    if (batch.codecOf(buffer, at) !== 0) described['payload'] = payloadOf(buffer, at).toString('hex')
    described['records'] = recordsAsGolden(buffer, at)
    batches.push(described)
  }
  return batches
}

/**
 * The golden form without what depends on the compressor (sizes and CRCs of compressed batches, their payload where inner messages are
 * stamped with the day's time) and without the CRCs of single messages, which `valid` stands for.
 */
export function comparable(batches: readonly GoldenBatch[], exact: boolean): unknown[] {
  return batches.map((golden) => {
    const { sizeInBytes, crc, records, ...rest } = golden
    const plain = (records as Record<string, unknown>[] | undefined)?.map(({ crc: _, ...record }) => record)
    const sizes = exact || golden['codec'] === 'none' ? { sizeInBytes, crc } : {}
    return { ...rest, ...sizes, records: plain }
  })
}

/** Compares record sets: byte for byte where nothing is compressed, else by batches, records and what lies under the codec. */
export function assertSameRecords(ours: Buffer, goldenHex: string, goldenBatches: readonly GoldenBatch[], at: string): void {
  const compressed = goldenBatches.some((golden) => golden['codec'] !== 'none')
  if (!compressed) assert.equal(ours.toString('hex'), goldenHex, at)
  assert.deepEqual(comparable(batchesAsGolden(ours), false), comparable(goldenBatches, false), at)
}
