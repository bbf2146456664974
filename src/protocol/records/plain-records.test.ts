import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { BatchBuilder } from './builder.ts'
import { RecordCursor } from './record.ts'

/** What the cursor says of each record of a batch, and how it ends. */
function walk(bytes: Buffer, isThorough: boolean): { readonly seen: string[]; readonly plain: number } {
  const seen: string[] = []
  const cursor = new RecordCursor()
  const inner = cursor as unknown as { isExact: boolean; nextPlain(): boolean }
  let plain = 0
  const nextPlain = inner.nextPlain.bind(cursor)
  inner.nextPlain = () => {
    const isPlain = nextPlain()
    if (isPlain) plain++
    return isPlain
  }
  try {
    cursor.open(bytes, 0)
    if (isThorough) inner.isExact = false
    while (cursor.next()) {
      const { offset, timestamp, sequence, keyLength, keyPosition, valueLength, valuePosition } = cursor
      const { headersPosition, headerCount, recordEnd, position } = cursor
      const places = [keyLength, keyPosition, valueLength, valuePosition, headersPosition, headerCount, recordEnd, position]
      seen.push([offset, timestamp, sequence, ...places].join(' '))
    }
    seen.push('end')
  } catch (error) {
    seen.push(`${(error as Error).name}: ${(error as Error).message} at ${cursor.position}`)
  }
  return { seen, plain }
}

function randomBatch(rng: SeededRng): Buffer {
  const baseSequence = rng.next() < 0.5 ? -1 : 0x7ffffffe
  const builder = new BatchBuilder({ codec: 'none', baseSequence, producerId: baseSequence < 0 ? -1 : 7, producerEpoch: 0 })
  const bytes = (limit: number) => (rng.next() < 0.2 ? null : Buffer.alloc(Math.floor(rng.next() * limit), 'x'))
  let timestamp = 1_500_000_000_000
  const count = 1 + Math.floor(rng.next() * 80)
  for (let i = 0; i < count; i++) {
    timestamp += Math.floor((rng.next() - 0.3) * (rng.next() < 0.1 ? 3_000_000 : 100))
    const headers = rng.next() < 0.1 ? [{ key: 'h', value: bytes(10) }] : []
    builder.append(timestamp, bytes(rng.next() < 0.1 ? 300 : 20), bytes(rng.next() < 0.05 ? 40_000 : 150), headers)
  }
  return builder.build()
}

test('the quick way through plain records sees what the thorough one sees, also in broken batches', () => {
  const rng = new SeededRng('plain records')
  let plain = 0
  for (let round = 0; round < 300; round++) {
    const bytes = randomBatch(rng)
    // One byte behind the batch, so that reading on would be seen.
    const whole = Buffer.concat([bytes, Buffer.from([2])])
    const quick = walk(whole, false)
    plain += quick.plain
    assert.deepEqual(quick.seen, walk(whole, true).seen)
    for (let i = 0; i < 40; i++) {
      const broken = Buffer.from(bytes)
      const at = 61 + Math.floor(rng.next() ** 3 * (broken.length - 61))
      broken[at] = rng.next() < 0.5 ? broken[at]! ^ (1 << Math.floor(rng.next() * 8)) : Math.floor(rng.next() * 256)
      assert.deepEqual(walk(broken, false).seen, walk(broken, true).seen, `round ${round}, byte ${at}`)
    }
  }
  assert.ok(plain > 4000, `${plain} records were plain`)
})

test('a varint that is longer than it must be, and sums beyond the exact range, are left to the thorough way', () => {
  const build = (baseOffset: number) => {
    const builder = new BatchBuilder({ codec: 'none' })
    builder.append(1_500_000_000_000, null, Buffer.alloc(100), [])
    const bytes = builder.build()
    bytes.writeBigInt64BE(BigInt(baseOffset))
    return bytes
  }
  const usual = walk(build(5), false)
  assert.equal(usual.plain, 1)
  const far = build(2 ** 53 - 1)
  assert.equal(walk(far, false).plain, 0)
  assert.deepEqual(walk(far, false).seen, walk(far, true).seen)
  // The offset delta 0 in two bytes: the record grows by one.
  const bytes = build(5)
  const long = Buffer.concat([bytes.subarray(0, 65), Buffer.from([0x80, 0]), bytes.subarray(66)])
  long.writeInt32BE(long.length - 12, 8)
  long.writeUInt16BE(long.readUInt16BE(61) + 0x0200, 61)
  const read = walk(long, false)
  assert.deepEqual([read.plain, read.seen.length, read.seen[1]], [0, 2, 'end'])
  assert.deepEqual(read.seen, walk(long, true).seen)
})

test('a record that reaches beyond its batch is refused, whatever lies there', () => {
  const builder = new BatchBuilder({ codec: 'none' })
  builder.append(1_500_000_000_000, null, Buffer.alloc(20), [])
  const bytes = builder.build()
  // One byte more, for the record and for its value.
  bytes[61]! += 2
  bytes[66]! += 2
  const { seen, plain } = walk(Buffer.concat([bytes, Buffer.alloc(8)]), false)
  assert.equal(plain, 0)
  assert.match(seen[0] ?? '', /^RecordsError: record of 27 bytes at byte 62, 26 left/)
})
