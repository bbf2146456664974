import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../base/buffer-pool.ts'
import { BatchBuilder, endTransactionMarker, isValidBatch, recordsOf } from '../protocol/records/index.ts'
import { KafkaException } from './errors.ts'
import { type RecordSetOptions, RecordSetReader } from './record-reader.ts'
import { byteLength, type HeaderInput, RecordBatchWriter, recordSizeBound } from './records.ts'
import type { Bytes } from './serialization.ts'

const NOW = 1_500_000_000_000
type Input = readonly [timestamp: number, key: Bytes, value: Bytes, headers?: readonly HeaderInput[]]
const samples: readonly Input[] = [
  [NOW, 'k', 'value'],
  [NOW + 5, null, Buffer.from([1, 2, 3])],
  [NOW - 70_000, 'schlüssel', null],
  [
    NOW,
    '',
    '日本'.repeat(40),
    [
      { key: 'h', value: 'é' },
      { key: 'ü', value: null },
      { key: 'b', value: Buffer.from('x') },
    ],
  ],
  [NOW, Buffer.alloc(200, 7), 'a'.repeat(100)],
]

function fill(writer: RecordBatchWriter, inputs: readonly Input[]): RecordBatchWriter {
  for (const [timestamp, key, value, headers] of inputs)
    writer.append(timestamp, key, byteLength(key), value, byteLength(value), headers)
  return writer
}

const bufferOf = (bytes: Bytes) => (bytes === null ? null : Buffer.from(bytes as string))

/** The same batch by the broker's own builder. */
function expected(inputs: readonly Input[], options: ConstructorParameters<typeof BatchBuilder>[0]): Buffer {
  const builder = new BatchBuilder(options)
  for (const [timestamp, key, value, headers = []] of inputs) {
    builder.append(
      timestamp,
      bufferOf(key),
      bufferOf(value),
      headers.map((header) => ({ key: header.key, value: bufferOf(header.value) })),
    )
  }
  return builder.build()
}

test('a batch is byte for byte what the protocol module builds, in every codec, and its memory comes back', () => {
  const pool = new BufferPool()
  for (const codec of [0, 1, 2, 3]) {
    const writer = fill(new RecordBatchWriter(pool, 16_384), samples)
    const identity = { producerId: 7, producerEpoch: 3, baseSequence: 11, transactional: true }
    assert.deepEqual(Buffer.from(writer.seal({ codec, ...identity })), expected(samples, { codec, ...identity }))
    writer.restamp(8, 0, 0)
    assert.deepEqual(
      Buffer.from(writer.bytes),
      expected(samples, { codec, producerId: 8, producerEpoch: 0, baseSequence: 0, transactional: true }),
    )
    writer.release()
    writer.release()
  }
  assert.equal(pool.stats().outstanding, 0)
})

test('whatever sizes, times and numbers of records: byte for byte what the protocol module builds', () => {
  // On both sides of where a number takes another byte, and of where the short way ends.
  const sizes = [0, 1, 24, 25, 50, 56, 57, 58, 59, 62, 63, 64, 100, 4000, 8100, 8145, 8155, 8156, 8185, 8191, 8192, 20_000]
  const deltas = [0, 1, 63, 64, 8191, 8192, -1, -5000, 3_000_000]
  const inputs: Input[] = []
  for (const [i, size] of sizes.entries()) {
    const bytes = Buffer.alloc(size, i)
    const text = 'x'.repeat(size)
    const time = NOW + deltas[i % deltas.length]!
    inputs.push([time, null, bytes], [time, bytes, null], [NOW, text, text], [NOW, 'k', bytes], [time, bytes, 'v'])
  }
  for (const delta of deltas) inputs.push([NOW + delta, null, 'v'], [NOW + delta, '', ''], [NOW + delta, null, null])
  // Numbers of records up to three bytes, and a batch that grows again and again.
  const many = Array.from({ length: 8300 }, (_, i): Input => [NOW + i, null, i % 3 === 0 ? null : `${i}`])
  for (const records of [inputs, many]) {
    for (const capacity of [2_000_000, 100]) {
      const writer = fill(new RecordBatchWriter(new BufferPool(), capacity), records)
      assert.ok(Buffer.from(writer.seal()).equals(expected(records, {})), `${records.length} records from ${capacity} bytes on`)
    }
  }
})

test('old formats carry the same records', () => {
  const plain = samples
    .filter(([, , , headers]) => headers === undefined)
    .map((input) => [Math.max(NOW, input[0]), input[1], input[2]] as const)
  for (const codec of [0, 1, 2, 3]) {
    for (const magic of [0, 1] as const) {
      const writer = fill(new RecordBatchWriter(new BufferPool(), 16_384), plain)
      writer.seal({ codec })
      assert.deepEqual(writer.legacy(magic), expected(plain, { codec, magic }))
    }
  }
  const writer = fill(new RecordBatchWriter(new BufferPool(), 16_384), samples)
  writer.seal()
  assert.throws(() => writer.legacy(1), /headers/)
})

test('hasRoom never lies, sizes are bounded, a big record grows the batch', () => {
  const writer = new RecordBatchWriter(new BufferPool(), 1000)
  const capacity = writer.capacity
  const value = 'v'.repeat(90)
  let appended = 0
  while (writer.hasRoom(0, 90)) {
    writer.append(NOW, null, 0, value, 90)
    appended++
  }
  assert.ok(appended >= 6 && writer.capacity === capacity)
  const big = fill(new RecordBatchWriter(new BufferPool(), 100), [[NOW, null, 'x'.repeat(50_000)]])
  assert.ok(big.size <= recordSizeBound(0, 50_000))
  assert.ok(isValidBatch(big.seal(), 0))
  assert.equal([...recordsOf(big.bytes, 0)][0]?.value?.length, 50_000)
  assert.throws(() => big.append(NOW, null, 0, null, 0), /sealed/)
})

const reader = (buffer: Buffer, options: Partial<RecordSetOptions> = {}) =>
  new RecordSetReader(buffer, { topic: 't', partition: 4, fetchOffset: 0, checkCrcs: true, ...options })

function values(records: RecordSetReader): string[] {
  const seen: string[] = []
  while (records.next()) seen.push(`${records.record.offset}=${records.record.value()}`)
  return seen
}

function batch(
  baseOffset: number,
  texts: readonly string[],
  options: ConstructorParameters<typeof BatchBuilder>[0] = {},
): Buffer {
  const builder = new BatchBuilder({ ...options, baseOffset })
  for (const text of texts) builder.append(NOW, null, Buffer.from(text))
  return builder.build()
}

test('reads batches of all formats from the fetch offset on; a cut end is left out', () => {
  const set = Buffer.concat([
    batch(0, ['a', 'b', 'c'], { codec: 'gzip' }),
    batch(3, ['d'], { magic: 0 }),
    batch(4, ['e', 'f'], { magic: 1, codec: 'snappy' }),
    batch(6, ['cut']).subarray(0, 40),
  ])
  const records = reader(set, { fetchOffset: 2 })
  assert.deepEqual(values(records), ['2=c', '3=d', '4=e', '5=f'])
  assert.equal(records.position, 6)
  assert.equal(records.next(), false)
  assert.equal(reader(batch(0, ['x']).subarray(0, 30)).isCut, true)
})

test('the position goes over a gap that compaction left at the end of a batch', () => {
  const builder = new BatchBuilder({ baseOffset: 10 })
  const set = builder.append(NOW, null, Buffer.from('a')).appendWithOffset(14, NOW, null, Buffer.from('b')).build()
  const records = reader(set, { fetchOffset: 12 })
  assert.deepEqual(values(records), ['14=b'])
  assert.equal(records.position, 15)
})

test('read_committed leaves out aborted transactions and nothing else; markers are never seen', () => {
  const by = (producerId: number) => ({ transactional: true, producerId, producerEpoch: 0, baseSequence: 0 })
  const marker = (producerId: number, offset: number, commit: boolean) =>
    endTransactionMarker({ commit, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: NOW, offset })
  const set = Buffer.concat([
    batch(0, ['aborted'], by(1)),
    batch(1, ['kept'], by(2)),
    batch(2, ['plain']),
    marker(1, 3, false),
    batch(4, ['second try'], by(1)),
    marker(1, 5, true),
    marker(2, 6, true),
  ])
  const committed = reader(set, { aborted: [{ producerId: 1, firstOffset: 0 }] })
  assert.deepEqual(values(committed), ['1=kept', '2=plain', '4=second try'])
  assert.equal(committed.position, 7)
  assert.deepEqual(values(reader(set)), ['0=aborted', '1=kept', '2=plain', '4=second try'])
})

test('a damaged batch is named, again and again, and the position stays before it', () => {
  const set = Buffer.concat([batch(0, ['a']), batch(1, ['b'])])
  set[set.length - 2]! ^= 1
  const records = reader(set)
  assert.equal(records.next(), true)
  for (let i = 0; i < 2; i++) {
    assert.throws(
      () => records.next(),
      (error) => error instanceof KafkaException && /t-4 at offset 1\b.*CRC/.test(error.message),
    )
  }
  assert.equal(records.position, 1)
  assert.equal(values(reader(set, { checkCrcs: false })).length, 2)
})

test('views outlive the cursor', () => {
  const records = reader(batch(0, ['one', 'two']))
  const views = []
  while (records.next()) views.push(records.view())
  assert.deepEqual(
    views.map((view) => [
      view.offset,
      view.timestamp,
      view.key,
      String(view.value),
      view.keyLength,
      view.valueLength,
      view.headers,
    ]),
    [
      [0, NOW, null, 'one', -1, 3, []],
      [1, NOW, null, 'two', -1, 3, []],
    ],
  )
})

test('the length of a record takes the bytes that it must, at every border', () => {
  for (const sizes of [
    [40, 70],
    [8160, 8200],
  ] as const) {
    const pool = new BufferPool()
    const writer = new RecordBatchWriter(pool, 1024)
    const inputs: Input[] = []
    for (let i = 0; i < 200; i++) {
      const key = i % 3 === 0 ? null : 'k'.repeat(i % 5)
      const headers = i % 7 === 0 ? [{ key: 'h', value: 'v' }] : []
      inputs.push([NOW + i * 40, key, 'x'.repeat(sizes[0] + (i % (sizes[1] - sizes[0]))), headers])
    }
    assert.deepEqual(Buffer.from(fill(writer, inputs).seal()), expected(inputs, {}))
    writer.release()
    assert.equal(pool.stats().outstanding, 0)
  }
})
