import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ErrorCode } from '../errors.ts'
import { goldenLines } from '../testing-golden.ts'
import * as batch from './batch.ts'
import { BatchBuilder } from './builder.ts'
import { compress, decompress } from './compression.ts'
import {
  assignOffsets,
  checkFollowerAppend,
  downConvert,
  endTransactionMarker,
  iterateBatches,
  needsDownConversion,
  RecordCursor,
  RecordsError,
  recordsOf,
  validateAndAssign,
} from './index.ts'
import { assertSameRecords, batchesAsGolden, comparable, type GoldenBatch } from './testing-records.ts'
import type { AppendRules } from './types.ts'

interface RecordsLine {
  readonly name: string
  readonly hex: string
  readonly validBytes: number
  readonly batches: GoldenBatch[]
}

interface ConversionLine {
  readonly name: string
  readonly in: string
  readonly toMagic: 0 | 1
  readonly firstOffset: string
  readonly out?: string
  readonly outBatches?: GoldenBatch[]
  readonly error?: string
}

interface AppendLine {
  readonly name: string
  readonly hex: string
  readonly compressionType: AppendRules['compressionType']
  readonly topicMagic: 0 | 1 | 2
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly compacted: boolean
  readonly timestampDifferenceMax: string
  readonly fromClient: boolean
  readonly firstOffset: string
  readonly leaderEpoch: number
  readonly now: string
  readonly sourceCodec: string
  readonly out?: string
  readonly outBatches?: GoldenBatch[]
  readonly rebuilt?: boolean
  readonly nextOffset?: string
  readonly maxTimestamp?: string
  readonly offsetOfMaxTimestamp?: string
  readonly code?: number
}

const topicRules: AppendRules = {
  firstOffset: 100,
  leaderEpoch: 9,
  now: 1500000002000,
  compressionType: 'producer',
  topicMagic: 2,
  timestampType: 'CreateTime',
  timestampDifferenceMaxMs: 2 ** 63,
  compacted: false,
  isFromClient: true,
  maxMessageBytes: 1000012,
}

function entriesOf(buffer: Buffer): { count: number; codec: number; end: number } {
  let count = 0
  let codec = 0
  const end = iterateBatches(buffer, (position) => {
    count++
    codec = batch.codecOf(buffer, position) || codec
    return undefined
  })
  return { count, codec, end }
}

describe('record sets', () => {
  it('are read as the genuine library reads them', () => {
    const lines = goldenLines<RecordsLine>('records.jsonl.gz')
    for (const line of lines) {
      const buffer = Buffer.from(line.hex, 'hex')
      assert.equal(batch.validBytes(buffer), line.validBytes, line.name)
      assert.deepEqual(comparable(batchesAsGolden(buffer), true), comparable(line.batches, true), line.name)
    }
    assert.equal(lines.length, 101)
  })

  it('are written as the genuine library writes them', () => {
    let written = 0
    for (const line of goldenLines<RecordsLine>('records.jsonl.gz')) {
      const golden = line.batches
      if (golden.length === 0 || golden.some(({ valid, records }) => valid !== true || (records as unknown[]).length === 0))
        continue
      const buffer = Buffer.from(line.hex, 'hex').subarray(0, line.validBytes)
      const parts: Buffer[] = []
      iterateBatches(buffer, (at) => {
        parts.push(rewritten(buffer, at))
        return undefined
      })
      assertSameRecords(Buffer.concat(parts), buffer.toString('hex'), golden, line.name)
      written++
    }
    assert.ok(written > 90, `${written} record sets written`)
  })

  it('have the genuine transaction markers', () => {
    const marker = { producerId: 4000, producerEpoch: 3, coordinatorEpoch: 12, timestamp: 1500000000000 }
    const tail = '0000015d3ef798000000015d3ef798000000000000000fa00003ffffffff0000000120000000'
    const commit = endTransactionMarker({ ...marker, commit: true }).toString('hex')
    assert.equal(commit, `000000000000000000000042ffffffff02b0822efd003000000000${tail}08000000010c00000000000c00`)
    const abort = endTransactionMarker({ ...marker, commit: false }).toString('hex')
    assert.equal(abort, `000000000000000000000042ffffffff0244bcf8b5003000000000${tail}08000000000c00000000000c00`)
  })
})

/** One entry taken apart and built again. */
function rewritten(buffer: Buffer, at: number): Buffer {
  const logAppendTime = batch.isLogAppendTime(buffer, at)
  const magic = batch.magicOf(buffer, at) as 0 | 1 | 2
  const records = [...recordsOf(buffer, at)]
  const builder = new BatchBuilder({
    magic,
    codec: batch.codecOf(buffer, at),
    timestampType: logAppendTime ? 'LogAppendTime' : 'CreateTime',
    logAppendTime: batch.maxTimestamp(buffer, at),
    baseOffset: magic === 2 ? batch.baseOffset(buffer, at) : records[0]!.offset,
    producerId: batch.producerId(buffer, at),
    producerEpoch: batch.producerEpoch(buffer, at),
    baseSequence: batch.baseSequence(buffer, at),
    transactional: batch.isTransactional(buffer, at),
    control: batch.isControlBatch(buffer, at),
    leaderEpoch: batch.partitionLeaderEpoch(buffer, at),
  })
  // With LogAppendTime readers see the header's time; what the producer wrote is in the deltas.
  const first = magic === 2 && logAppendTime ? batch.firstTimestamp(buffer, at) : 0
  const deltas = magic === 2 && logAppendTime ? timestampDeltas(buffer, at) : []
  records.forEach(({ offset, timestamp, key, value, headers }, i) => {
    builder.appendWithOffset(offset, deltas.length > 0 ? first + deltas[i]! : timestamp, key, value, headers)
  })
  return builder.build()
}

function timestampDeltas(buffer: Buffer, at: number): number[] {
  const copy = Buffer.from(buffer.subarray(at, at + batch.batchSize(buffer, at)))
  copy.writeInt16BE(batch.attributesOf(copy, 0) & ~batch.ATTRIBUTE_LOG_APPEND_TIME, 21)
  return [...recordsOf(copy, 0)].map(({ timestamp }) => timestamp - batch.firstTimestamp(copy, 0))
}

describe('down-conversion', () => {
  it('gives old readers what the genuine broker gives them', () => {
    const lines = goldenLines<ConversionLine>('down-conversion.jsonl.gz')
    for (const line of lines) {
      const at = `${line.name} to ${line.toMagic} from ${line.firstOffset}`
      const buffer = Buffer.from(line.in, 'hex')
      assert.equal(line.error, undefined, at)
      assertSameRecords(downConvert(buffer, line.toMagic, Number(line.firstOffset)), line.out!, line.outBatches!, at)
    }
    assert.equal(lines.length, 298)
  })

  it('is wanted only where a batch is newer than the reader', () => {
    const set = new BatchBuilder({ magic: 1 }).append(5, null, Buffer.from('v')).build()
    assert.equal(needsDownConversion(set, 1), false)
    assert.equal(needsDownConversion(set, 0), true)
  })
})

describe('the leader append', () => {
  it('validates and assigns offsets as the genuine broker does', () => {
    const lines = goldenLines<AppendLine>('append.jsonl.gz')
    for (const line of lines) checkAppend(line)
    assert.equal(lines.length, 767)
  })

  it('refuses a wrong CRC, a base offset, a size, a format, before it looks at records', () => {
    const good = (): Buffer => new BatchBuilder().append(1500000000000, Buffer.from('k'), Buffer.from('v')).build()
    const append = (change: (bytes: Buffer) => void, rules: Partial<AppendRules> = {}): number => {
      const bytes = good()
      change(bytes)
      return validateAndAssign(bytes, { ...topicRules, ...rules }).error
    }
    assert.equal(
      append(() => undefined),
      0,
    )
    assert.equal(
      append((bytes) => bytes.writeUInt8(9, 65)),
      ErrorCode.CORRUPT_MESSAGE,
    )
    assert.equal(
      append((bytes) => bytes.writeInt32BE(1, 4)),
      ErrorCode.CORRUPT_MESSAGE,
    )
    assert.equal(
      append((bytes) => bytes.writeInt32BE(1, 4), { isFromClient: false }),
      0,
    )
    assert.equal(
      append((bytes) => bytes.writeUInt8(3, 16)),
      ErrorCode.CORRUPT_MESSAGE,
    )
    assert.equal(
      append((bytes) => bytes.writeInt32BE(13, 8)),
      ErrorCode.CORRUPT_MESSAGE,
    )
    assert.equal(
      append(() => undefined, { maxMessageBytes: good().length }),
      0,
    )
    assert.equal(
      append(() => undefined, { maxMessageBytes: good().length - 1 }),
      ErrorCode.MESSAGE_TOO_LARGE,
    )
  })

  it('checks the size again after a rebuild', () => {
    const text = Buffer.alloc(2000, 'x')
    const set = new BatchBuilder({ codec: 'gzip' }).append(5, null, text).build()
    const result = validateAndAssign(set, { ...topicRules, compressionType: 'uncompressed', maxMessageBytes: 1000 })
    assert.equal(result.error, ErrorCode.MESSAGE_TOO_LARGE)
  })

  it('takes an empty set, and one with a cut entry only, as nothing', () => {
    const cut = new BatchBuilder().append(5, null, Buffer.from('v')).build().subarray(0, 60)
    for (const bytes of [Buffer.alloc(0), cut]) {
      const { error, batches, buffer, nextOffset } = validateAndAssign(bytes, topicRules)
      assert.deepEqual(
        { error, batches, length: buffer.length, nextOffset },
        { error: 0, batches: 0, length: 0, nextOffset: 100 },
      )
    }
  })

  it('patches in place without a copy, and says so', () => {
    for (const codec of ['none', 'gzip', 'snappy', 'lz4'] as const) {
      const set = new BatchBuilder({ codec }).append(5, null, Buffer.from('v')).append(7, null, Buffer.from('w')).build()
      const result = validateAndAssign(set, topicRules)
      assert.equal(result.error, 0)
      assert.equal(result.rebuilt, false)
      assert.equal(result.buffer.buffer, set.buffer)
      assert.equal(result.buffer.byteOffset, set.byteOffset)
      assert.equal(batch.baseOffset(set, 0), 100)
      assert.equal(batch.partitionLeaderEpoch(set, 0), 9)
      assert.equal(result.nextOffset, 102)
      assert.equal(result.maxTimestamp, 7)
    }
  })

  it('keeps odd but exact timestamps: nanoseconds, extremes', () => {
    for (const timestamps of [
      [1500000000000000001n, 1500000000000000003n],
      [0n, 2n ** 63n - 1n],
      [2n ** 63n - 2n, 2n ** 53n + 1n],
    ]) {
      const carriers = timestamps.map((exact) => carrier(exact))
      const builder = new BatchBuilder({ codec: 'gzip' })
      for (const timestamp of carriers) builder.append(timestamp, null, null)
      const result = validateAndAssign(builder.build(), { ...topicRules, compressionType: 'uncompressed' })
      assert.equal(result.error, 0)
      assert.deepEqual(
        [...recordsOf(result.buffer, 0)].map(({ timestamp }) => exactOf(timestamp)),
        timestamps,
      )
      assert.equal(exactOf(result.maxTimestamp), [...timestamps].sort((a, b) => (a < b ? -1 : 1)).at(-1))
    }
  })

  it('writes a compressed batch anew whose offset deltas are not 0, 1, 2', () => {
    for (const codec of ['gzip', 'snappy', 'lz4'] as const) {
      const builder = new BatchBuilder({ codec }).appendWithOffset(1, 5, null, null).appendWithOffset(1, 6, null, null)
      const result = validateAndAssign(builder.build(), topicRules)
      assert.equal(result.error, 0)
      assert.equal(result.rebuilt, true)
      assert.deepEqual(
        [...recordsOf(result.buffer, 0)].map(({ offset }) => offset),
        [100, 101],
      )
    }
  })

  it('writes several compressed wrappers anew, so that each gets its own offsets', () => {
    const wrapper = (first: number): Buffer => {
      const builder = new BatchBuilder({ magic: 1, codec: 'gzip', baseOffset: first })
      return builder.append(5, null, Buffer.from('a')).append(6, null, Buffer.from('b')).build()
    }
    const result = validateAndAssign(Buffer.concat([wrapper(0), wrapper(2)]), { ...topicRules, topicMagic: 1 })
    assert.equal(result.error, 0)
    const offsets: number[] = []
    iterateBatches(result.buffer, (at) => {
      for (const record of recordsOf(result.buffer, at)) offsets.push(record.offset)
      return undefined
    })
    assert.deepEqual(offsets, [100, 101, 102, 103])
  })
})

function carrier(exact: bigint): number {
  const bytes = Buffer.alloc(70)
  bytes.writeBigInt64BE(exact, 27)
  return batch.firstTimestamp(bytes, 0)
}

function exactOf(value: number): bigint {
  const bytes = Buffer.alloc(8)
  batch.putBaseOffset(bytes, 0, value)
  return bytes.readBigInt64BE()
}

function checkAppend(line: AppendLine): void {
  const { compressionType, topicMagic, timestampType, compacted, leaderEpoch } = line
  const at = `${line.name}: ${compressionType}, format ${topicMagic}, ${timestampType}, compacted ${compacted}, client ${line.fromClient}`
  const buffer = Buffer.from(line.hex, 'hex')
  const { count, codec, end } = entriesOf(buffer)
  const rules: AppendRules = {
    ...{ compressionType, topicMagic, timestampType, compacted, leaderEpoch, isFromClient: line.fromClient },
    ...{
      firstOffset: Number(line.firstOffset),
      now: Number(line.now),
      timestampDifferenceMaxMs: Number(line.timestampDifferenceMax),
    },
    maxMessageBytes: 1000012,
  }
  const result = assignOffsets(buffer.subarray(0, end), count, codec, rules)
  assert.equal(result.error, line.code ?? 0, `${at}: ${result.message}`)
  if (line.code !== undefined) return
  assert.equal(`${result.nextOffset}`, line.nextOffset, at)
  assert.equal(exactOf(result.maxTimestamp).toString(), line.maxTimestamp, at)
  assert.equal(`${result.offsetOfMaxTimestamp}`, line.offsetOfMaxTimestamp, at)
  assert.equal(result.rebuilt, line.rebuilt, at)
  assert.equal(result.batches, line.outBatches!.length, at)
  // A set that is patched in place keeps its cut last entry in the genuine validator's output; ours has gone before.
  const out = line.rebuilt ? line.out! : line.out!.slice(0, end * 2)
  assertSameRecords(result.buffer, out, line.outBatches!, at)
  if (!line.rebuilt) assert.equal(result.buffer.toString('hex'), out, at)
}

describe('a follower', () => {
  const set = (offset: number): Buffer =>
    new BatchBuilder({ baseOffset: offset }).append(5, null, null).append(9, null, null).build()

  it('learns what it fetched', () => {
    const bytes = Buffer.concat([set(10), set(12), set(14).subarray(0, 30)])
    assert.deepEqual(checkFollowerAppend(bytes, 10), {
      error: 0,
      message: undefined,
      validBytes: set(0).length * 2,
      batches: 2,
      firstOffset: 10,
      lastOffset: 13,
      maxTimestamp: 9,
      offsetOfMaxTimestamp: 11,
    })
  })

  it('refuses corrupt bytes and offsets that do not rise', () => {
    const broken = set(10)
    broken[broken.length - 1]! ^= 1
    assert.equal(checkFollowerAppend(broken, 10).error, ErrorCode.CORRUPT_MESSAGE)
    assert.equal(checkFollowerAppend(set(9), 10).error, ErrorCode.OFFSET_OUT_OF_RANGE)
    assert.equal(checkFollowerAppend(Buffer.concat([set(10), set(11)]), 10).error, ErrorCode.OFFSET_OUT_OF_RANGE)
    assert.equal(checkFollowerAppend(Buffer.concat([set(10), set(20)]), 5).error, 0)
  })
})

describe('compression', () => {
  const texts = [
    Buffer.alloc(0),
    Buffer.from('a'),
    Buffer.from('hello'),
    Buffer.alloc(70000, 'abc'),
    Buffer.alloc(200000, 7),
    mixed(150000),
  ]

  it('reads back what it wrote, in every format', () => {
    for (const codec of [1, 2, 3]) {
      for (const magic of [0, 1, 2]) {
        for (const text of texts) assert.ok(decompress(codec, magic, compress(codec, magic, text)).equals(text), `codec ${codec}`)
      }
    }
  })

  it('writes the header checksum of lz4 as each format wants it', () => {
    const text = Buffer.from('hello')
    assert.equal(compress(3, 1, text).toString('hex'), '04224d186040820500008068656c6c6f00000000')
    assert.equal(compress(3, 0, text).toString('hex'), '04224d1860401a0500008068656c6c6f00000000')
    assert.throws(() => decompress(3, 1, compress(3, 0, text)), RecordsError)
    assert.ok(decompress(3, 0, compress(3, 1, text)).equals(text))
  })

  it('reads snappy without a frame and frames one after the other', () => {
    const text = mixed(1000)
    const framed = compress(2, 2, text)
    assert.ok(decompress(2, 2, framed, 20, framed.length).equals(text))
    assert.ok(decompress(2, 2, Buffer.concat([framed, framed])).equals(Buffer.concat([text, text])))
  })

  it('refuses bombs by size', () => {
    for (const codec of [1, 2, 3]) {
      const bomb = compress(codec, 2, Buffer.alloc(4 * 1024 * 1024))
      assert.throws(
        () => decompress(codec, 2, bomb, 0, bomb.length, 1024 * 1024),
        (error) => error instanceof RecordsError && error.code === ErrorCode.MESSAGE_TOO_LARGE,
      )
    }
    const claim = Buffer.from([0xff, 0xff, 0xff, 0x7f, 0, 0])
    assert.throws(() => decompress(2, 2, claim), RecordsError)
  })

  it('refuses matches that reach behind the start of a block', () => {
    const frame = (block: string): Buffer => Buffer.from(`04224d1860408205000000${block}00000000`, 'hex')
    assert.equal(decompress(3, 1, frame('1061010000')).toString(), 'aaaaa')
    assert.throws(() => decompress(3, 1, frame('1061020000')), /match offset 2/)
    assert.throws(() => decompress(3, 1, frame('1061000000')), /match offset 0/)
    assert.equal(decompress(2, 2, Buffer.from('0500610101', 'hex')).toString(), 'aaaaa')
    assert.throws(() => decompress(2, 2, Buffer.from('0500610102', 'hex')), /from 2 back/)
    assert.throws(() => decompress(2, 2, Buffer.from('0500610100', 'hex')), /from 0 back/)
  })

  it('tells a cut gzip stream of format 2 from a broken one', () => {
    const whole = compress(1, 2, mixed(1000))
    const codeOf = (magic: number, bytes: Buffer): number => {
      try {
        decompress(1, magic, bytes)
      } catch (error) {
        return (error as RecordsError).code
      }
      return 0
    }
    assert.equal(codeOf(2, whole.subarray(0, whole.length - 20)), ErrorCode.CORRUPT_MESSAGE)
    assert.equal(codeOf(1, whole.subarray(0, whole.length - 20)), ErrorCode.UNKNOWN_SERVER_ERROR)
    assert.equal(codeOf(2, Buffer.from('no gzip at all')), ErrorCode.UNKNOWN_SERVER_ERROR)
  })
})

/** Text of mixed compressibility. */
function mixed(length: number): Buffer {
  const text = Buffer.alloc(length)
  let state = 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    text[i] = (i >> 9) % 3 === 0 ? state >> 16 : 97 + ((i * (i >> 5)) % 7)
  }
  return text
}

describe('the cursor', () => {
  it('takes inner offsets as they are when the wrapper has offset 0, as some librdkafka releases write it', () => {
    const builder = new BatchBuilder({ magic: 1, codec: 'gzip' })
    const set = builder.append(5, null, null).append(6, null, null).append(7, null, null).build()
    const offsets = (): number[] => [...recordsOf(set, 0)].map(({ offset }) => offset)
    assert.deepEqual(offsets(), [0, 1, 2])
    batch.putBaseOffset(set, 0, 0)
    assert.deepEqual(offsets(), [0, 1, 2])
    batch.putBaseOffset(set, 0, 12)
    assert.deepEqual(offsets(), [10, 11, 12])
    batch.putBaseOffset(set, 0, 1)
    assert.throws(offsets, RecordsError)
  })

  it('hands out slices of the batch and knows its headers', () => {
    const headers = [
      { key: 'a', value: Buffer.from('1') },
      { key: 'ключ', value: null },
    ]
    const set = new BatchBuilder().append(5, Buffer.from('k'), Buffer.from('v'), headers).build()
    const cursor = new RecordCursor().open(set, 0)
    assert.ok(cursor.next())
    assert.equal(cursor.key()!.buffer, set.buffer)
    assert.deepEqual(cursor.headers(), headers)
    assert.equal(cursor.next(), false)
  })
})
