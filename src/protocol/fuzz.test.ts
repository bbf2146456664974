import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteReader, ByteWriter, DecodeError } from '../base/bytes.ts'
import { apiByKey } from './apis/index.ts'
import { apiOf, decodeRequestHeader, isVersionProbe } from './framing.ts'
import * as batch from './records/batch.ts'
import { checkFollowerAppend, compress, decompress, downConvert, RecordCursor, validateAndAssign } from './records/index.ts'
import { scanned, scanRecords } from './records/scan.ts'
import type { AppendRules } from './records/types.ts'
import { goldenLines, seededRandom } from './testing-golden.ts'

/** SAMSA_FUZZ_CASES multiplies the work (from 12 on frames are cut at every byte), SAMSA_FUZZ_SEED makes another corpus of it. */
const factor = Number(process.env['SAMSA_FUZZ_CASES'] ?? 1)
const seed = Number(process.env['SAMSA_FUZZ_SEED'] ?? 20180719)

const LENGTHS = [0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x00ffffff, 1000000]

/** The bytes with one to three of: a byte changed, a length changed, a piece dropped, a piece doubled. */
function mutated(bytes: Buffer, random: (below: number) => number): Buffer {
  let out = Buffer.from(bytes)
  for (let i = 1 + random(3); i > 0 && out.length > 8; i--) {
    const at = random(out.length)
    const kind = random(5)
    if (kind === 0) out[at] = random(256)
    else if (kind === 1) out[at]! ^= 1 << random(8)
    else if (kind === 2 && at + 4 <= out.length) out.writeUInt32BE(LENGTHS[random(LENGTHS.length)]!, at)
    else if (kind === 3) out = out.subarray(0, at)
    else if (kind === 4) out = Buffer.concat([out.subarray(0, at), out.subarray(Math.max(0, at - 6))])
  }
  return out
}

/** Anything but `DecodeError` fails the test with the bytes that did it. */
function survives(bytes: Buffer, what: string, run: () => void): boolean {
  try {
    run()
    return true
  } catch (error) {
    if (error instanceof DecodeError) return false
    throw new Error(`${what} with ${bytes.toString('hex').slice(0, 4000)}`, { cause: error })
  }
}

function decodeFrame(bytes: Buffer): void {
  const reader = new ByteReader(bytes)
  const header = decodeRequestHeader(reader)
  if (isVersionProbe(header)) return
  const api = apiOf(header)
  const body = api.decodeRequest(reader, header.apiVersion)
  const writer = new ByteWriter(64)
  api.encodeRequest(writer, header.apiVersion, body)
  writer.close()
}

const rules: AppendRules = {
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

describe('fuzz', () => {
  it('golden frames cut anywhere are refused or parsed', (t) => {
    const stride = Math.max(1, Math.floor(12 / factor))
    let [cuts, refused, skip] = [0, 0, 0]
    const began = performance.now()
    for (const { frame } of goldenLines<{ frame: string }>('frames.jsonl.gz')) {
      const bytes = Buffer.from(frame, 'hex')
      for (; skip < bytes.length; skip += stride, cuts++) {
        if (!survives(bytes, `cut to ${skip}`, () => decodeFrame(bytes.subarray(0, skip)))) refused++
      }
      skip -= bytes.length
    }
    t.diagnostic(`${cuts} cuts in ${Math.round(performance.now() - began)} ms`)
    assert.ok(refused > cuts / 2, `${refused} of ${cuts} refused`)
  })

  it('mutated frames are refused or parsed, and what is parsed can be written', (t) => {
    const random = seededRandom(seed)
    const frames = goldenLines<{ frame: string }>('frames.jsonl.gz').map(({ frame }) => Buffer.from(frame, 'hex'))
    let parsed = 0
    const began = performance.now()
    for (let i = 0; i < 40000 * factor; i++) {
      const bytes = mutated(frames[random(frames.length)]!, random)
      if (survives(bytes, 'frame', () => decodeFrame(bytes))) parsed++
    }
    t.diagnostic(`${40000 * factor} mutations in ${Math.round(performance.now() - began)} ms`)
    assert.ok(parsed > 1000 && parsed < 40000 * factor, `${parsed} parsed`)
  })

  it('mutated responses are refused or parsed', () => {
    const random = seededRandom(seed + 1)
    const lines = goldenLines<{ api: number; version: number; kind: string; hex: string }>('codec.jsonl.gz')
    const responses = lines.filter(({ kind }) => kind === 'response')
    for (let i = 0; i < 20000 * factor; i++) {
      const { api, version, hex } = responses[random(responses.length)]!
      const bytes = mutated(Buffer.from(hex, 'hex'), random)
      survives(bytes, 'response', () => apiByKey(api)!.decodeResponse(new ByteReader(bytes), version))
    }
  })

  it('mutated record sets give an error code or a set that can be read again', () => {
    const random = seededRandom(seed + 2)
    const sets = goldenLines<{ hex: string; name: string }>('records.jsonl.gz').filter(({ hex }) => hex.length < 6000)
    let appended = 0
    let refused = 0
    for (let i = 0; i < 15000 * factor; i++) {
      const bytes = mutated(Buffer.from(sets[random(sets.length)]!.hex, 'hex'), random)
      if (random(3) > 0) fixCrcs(bytes)
      const isFromClient = random(2) === 0
      const topicMagic = random(3) as 0 | 1 | 2
      const compressionType = (['producer', 'uncompressed', 'gzip', 'snappy', 'lz4'] as const)[random(5)]!
      const timestampType = random(4) === 0 ? 'LogAppendTime' : 'CreateTime'
      survives(bytes, 'down-conversion', () => void downConvert(bytes, random(2) as 0 | 1, 0))
      survives(bytes, 'follower', () => void checkFollowerAppend(bytes, 0))
      const what = `append (client ${isFromClient}, format ${topicMagic}, ${compressionType}, ${timestampType})`
      assert.ok(
        survives(bytes, what, () => {
          const result = validateAndAssign(bytes, { ...rules, isFromClient, topicMagic, compressionType, timestampType })
          if (result.error !== 0) refused++
          else if (!isFromClient || readsBack(result.buffer, result.nextOffset)) appended++
        }),
      )
    }
    assert.ok(appended > 500 && refused > 500, `${appended} appended, ${refused} refused`)
  })

  it('the quick scan says yes only where the slow walk agrees', () => {
    const random = seededRandom(seed + 4)
    const sets = goldenLines<{ hex: string; name: string }>('records.jsonl.gz').filter(({ name }) => name.startsWith('v2 none'))
    let agreed = 0
    for (let i = 0; i < 15000 * factor; i++) {
      const bytes = Buffer.from(sets[random(sets.length)]!.hex, 'hex')
      bytes[61 + random(bytes.length - 61)] = random(256)
      const { length } = bytes
      const dense = random(2) === 0
      const first = batch.firstTimestamp(bytes, 0)
      if (!scanRecords(bytes, 61, length, batch.recordsCount(bytes, 0), first, dense, false, 0, Number.POSITIVE_INFINITY))
        continue
      bytes.writeInt16BE(0, 21)
      const cursor = new RecordCursor().open(bytes, 0)
      let [max, indexOfMax, count] = [-1, -1, 0]
      for (; cursor.next(); count++) {
        if (dense) assert.equal(cursor.offset - batch.baseOffset(bytes, 0), count)
        if (cursor.timestamp > max) [max, indexOfMax] = [cursor.timestamp, count]
      }
      assert.deepEqual({ ...scanned }, { maxTimestamp: max, indexOfMax })
      agreed++
    }
    assert.ok(agreed > 1000, `${agreed} agreed`)
  })

  it('mutated compressed streams are refused or stay below the limit', () => {
    const random = seededRandom(seed + 3)
    const text = Buffer.from('the quick brown fox jumps over the lazy dog. '.repeat(60))
    const streams = [1, 2, 3].map((codec) => ({ codec, bytes: compress(codec, 2, text) }))
    for (let i = 0; i < 20000 * factor; i++) {
      const { codec, bytes } = streams[codecAt(i, random)]!
      const broken = mutated(bytes, random)
      survives(broken, `codec ${codec}`, () =>
        assert.ok(decompress(codec, i % 3, broken, 0, broken.length, 65536).length <= 65536),
      )
    }
  })
})

/** gzip is native and slow to fail: a tenth of the cases is enough. */
function codecAt(i: number, random: (below: number) => number): number {
  return i % 10 === 0 ? 0 : 1 + random(2)
}

/** So that mutations get past the checksum. */
function fixCrcs(bytes: Buffer): void {
  for (let at = 0, size = 0; (size = batch.nextBatch(bytes, at, bytes.length)) > 0; at += size) fixCrc(bytes, at, size)
}

function fixCrc(bytes: Buffer, at: number, size: number): void {
  const magic = batch.magicOf(bytes, at)
  if (magic === 2 && size >= 61) bytes.writeUInt32BE(crc(bytes, at + 21, at + size, true), at + 17)
  if (magic < 2) bytes.writeUInt32BE(crc(bytes, at + 16, at + size, false), at + 12)
}

const tables = [0x82f63b78, 0xedb88320].map((polynomial) =>
  Array.from({ length: 256 }, (_, n) => {
    let value = n
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
    return value
  }),
)

function crc(bytes: Buffer, start: number, end: number, castagnoli: boolean): number {
  const table = tables[castagnoli ? 0 : 1]!
  let value = -1
  for (let i = start; i < end; i++) value = (value >>> 8) ^ table[(value ^ bytes[i]!) & 255]!
  return ~value >>> 0
}

/** Everything that was appended has a right CRC, can be read, and ends before `nextOffset`. */
function readsBack(buffer: Buffer, nextOffset: number): boolean {
  const cursor = new RecordCursor()
  for (let at = 0, size = 0; (size = batch.nextBatch(buffer, at, buffer.length)) > 0; at += size) {
    assert.equal(checkFollowerAppend(buffer.subarray(at, at + size), 0).error, 0, 'a follower takes it')
    cursor.open(buffer, at)
    while (cursor.next()) {
      if (batch.magicOf(buffer, at) < 2 || batch.codecOf(buffer, at) !== 0)
        assert.ok(cursor.offset >= 100 && cursor.offset < nextOffset, `offset ${cursor.offset}`)
    }
  }
  return true
}
