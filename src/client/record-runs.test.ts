/** Runs of records say what the records say one by one, whatever came from the broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { BatchBuilder, putBaseOffset } from '../protocol/records/index.ts'
import { IndexedBatch } from './consumer/batches.ts'
import { RecordSetReader } from './record-reader.ts'

const NOW = 1_500_000_000_000
const options = { topic: 't', partition: 0, checkCrcs: false, aborted: null }
/** Short, in one word: each byte and how often it comes. */
const text = (data: Buffer | null): string =>
  data === null ? 'null' : `=${data.toString('latin1').replace(/(.)\1*/gs, (row) => `${row.charCodeAt(0)}*${row.length},`)}`
const times = (rng: SeededRng, limit: number): number => Math.floor(rng.next() * limit)

/** One by one, by the cursor: what a reader gives, and how it ends. */
function oneByOne(set: Buffer, fetchOffset: number): { seen: string[]; end: string; position: number } {
  const reader = new RecordSetReader(set, { ...options, fetchOffset })
  const seen: string[] = []
  const ended = (end: string) => ({ seen, end, position: reader.position })
  try {
    while (reader.next()) {
      const { offset, timestamp } = reader.record
      const headers = reader.record.headers().map(({ key, value }) => `${text(Buffer.from(key))}${text(value)}`)
      const { record, timestampType } = reader
      seen.push([offset, timestamp, timestampType, text(record.key()), text(record.value()), ...headers].join(' '))
    }
    return ended('end')
  } catch (error) {
    return ended((error as Error).message)
  }
}

/** By the batches of a consumer, `max` records each: as objects, and raw. */
function byBatches(set: Buffer, fetchOffset: number, max: number) {
  const reader = new RecordSetReader(set, { ...options, fetchOffset })
  const seen: string[] = []
  const raw: string[] = []
  let bytes = 0
  const ended = (end: string) => ({ seen, raw, end, bytes, position: reader.position })
  for (;;) {
    const batch = new IndexedBatch<Buffer | null, Buffer | null>('t', 0, 1, { key: null, value: null })
    let hasMore: boolean
    try {
      hasMore = batch.fill(reader, max)
    } catch (error) {
      return ended((error as Error).message)
    }
    assert.ok(batch.count <= max)
    bytes += batch.bytes
    const records = [...batch]
    assert.equal(records.length, batch.count)
    if (batch.count > 0) assert.equal(String(records[0]?.offset), String(batch.firstOffset))
    for (const { offset, timestamp, timestampType, key, value, headers } of records) {
      const list = headers.map((header) => `${text(Buffer.from(header.key))}${text(header.value)}`)
      seen.push([offset, timestamp, timestampType, text(key), text(value), ...list].join(' '))
    }
    const cut = (buffer: Buffer, start: number, end: number) => text(start < 0 ? null : buffer.subarray(start, end))
    batch.forEachRaw((buffer, keyStart, keyEnd, valueStart, valueEnd, offset, timestamp) => {
      raw.push([offset, timestamp, cut(buffer, keyStart, keyEnd), cut(buffer, valueStart, valueEnd)].join(' '))
    })
    if (!hasMore) return ended('end')
  }
}

/** One batch, often as usual as can be, of any format. Returns the offset behind it too. */
function randomBatch(rng: SeededRng, baseOffset: number): { readonly bytes: Buffer; readonly next: number } {
  const magic = rng.next() < 0.7 ? 2 : ((rng.next() < 0.5 ? 0 : 1) as 0 | 1)
  const codec = rng.next() < 0.75 ? 'none' : rng.next() < 0.5 ? 'gzip' : 'snappy'
  const timestampType = magic > 0 && rng.next() < 0.3 ? 'LogAppendTime' : 'CreateTime'
  const builder = new BatchBuilder({ magic, codec, baseOffset, timestampType })
  const data = (limit: number) =>
    rng.next() < 0.2 ? null : Buffer.alloc(times(rng, limit), String.fromCharCode(97 + times(rng, 26)))
  const isUsual = rng.next() < 0.5
  let timestamp = NOW
  let offset = baseOffset
  const count = 1 + times(rng, magic < 2 && codec === 'none' ? 1 : isUsual ? 200 : 40)
  for (let i = 0; i < count; i++) {
    timestamp += isUsual ? 1 : Math.floor((rng.next() - 0.3) * (rng.next() < 0.1 ? 3e9 : 100))
    const headers =
      !isUsual && magic === 2 && rng.next() < 0.2
        ? [
            { key: 'h', value: data(10) },
            { key: '', value: null },
          ]
        : []
    const value = data(rng.next() < 0.03 ? 20_000 : 150)
    builder.appendWithOffset(offset, timestamp, data(rng.next() < 0.1 ? 300 : 20), value, headers)
    offset += rng.next() < 0.1 ? 3 : 1
  }
  return { bytes: builder.build(), next: offset }
}

function randomSet(rng: SeededRng): Buffer {
  const parts: Buffer[] = []
  let offset = 100
  for (let i = 1 + times(rng, 6); i > 0; i--) {
    const { bytes, next } = randomBatch(rng, offset)
    parts.push(bytes)
    offset = next
  }
  return Buffer.concat(parts)
}

function compare(
  set: Buffer,
  fetchOffset: number,
  max: number,
  where: string,
): { readonly records: number; readonly end: string } {
  const wanted = oneByOne(set, fetchOffset)
  const got = byBatches(set, fetchOffset, max)
  assert.deepEqual(got.seen, wanted.seen, where)
  assert.deepEqual([got.end, got.position], [wanted.end, wanted.position], where)
  const withoutType = wanted.seen.map((line) =>
    line
      .split(' ')
      .filter((_word, i) => i !== 2)
      .slice(0, 4)
      .join(' '),
  )
  assert.deepEqual(got.raw, withoutType, where)
  return { records: wanted.seen.length, end: wanted.end }
}

test('records in a row are what they are one by one: any format, from any offset, in batches of any size', () => {
  const rng = new SeededRng('runs')
  let records = 0
  for (let round = 0; round < 150; round++) {
    const set = randomSet(rng)
    const max = rng.next() < 0.3 ? 1 + times(rng, 7) : 100_000
    records += compare(set, 100 + (rng.next() < 0.5 ? 0 : times(rng, 90)), max, `round ${round}`).records
  }
  assert.ok(records > 10_000, `${records} records`)
})

test('broken bytes: the same records before them, the same error and position, nothing from behind the set', () => {
  const rng = new SeededRng('broken runs')
  let broken = 0
  for (let round = 0; round < 30; round++) {
    const whole = randomSet(rng)
    for (let i = 0; i < 25; i++) {
      // Within more memory: what lies behind must not be seen.
      const memory = Buffer.alloc(whole.length + 64, 0xab)
      const set = memory.subarray(16, 16 + whole.length)
      set.set(whole)
      const at = Math.floor(rng.next() ** 2 * set.length)
      set[at] = rng.next() < 0.5 ? set[at]! ^ (1 << times(rng, 8)) : times(rng, 256)
      if (compare(set, 100, rng.next() < 0.3 ? 3 : 100_000, `round ${round}, byte ${at}`).end !== 'end') broken++
    }
  }
  assert.ok(broken > 100, `${broken} were broken`)
})

test('offsets beyond the exact range, and offsets that do not rise', () => {
  const builder = new BatchBuilder({ magic: 2, codec: 'none', baseOffset: 0 })
  for (let i = 0; i < 5; i++) builder.append(NOW + i, null, Buffer.alloc(30, 'x'), [])
  const far = builder.build()
  putBaseOffset(far, 0, 2 ** 53 - 10)
  compare(far, 0, 100, 'far')
  // The third record says what the second one says: it is not seen.
  const twice = builder.build()
  const recordBytes = (twice.length - 61) / 5
  twice[61 + 2 * recordBytes + 3] = 2
  assert.equal(twice[61 + recordBytes + 3], 2)
  assert.equal(compare(twice, 0, 100, 'twice').records, 4)
})

test('a record that reaches into the next batch is refused, though it could be read there', () => {
  const builder = new BatchBuilder({ magic: 2, codec: 'none', baseOffset: 0 })
  for (let i = 0; i < 3; i++) builder.append(NOW, null, Buffer.alloc(30, 'x'), [])
  const set = Buffer.concat([builder.build(), builder.build()])
  const batchBytes = set.length / 2
  const last = batchBytes - (batchBytes - 61) / 3
  // One byte more, for the record and for its value: the first byte of the next batch, a zero, would be its header count.
  set[last]! += 2
  set[last + 5]! += 2
  const { records, end } = compare(set, 0, 100, 'beyond')
  assert.equal(records, 2)
  assert.match(end, /record of \d+ bytes/)
})
