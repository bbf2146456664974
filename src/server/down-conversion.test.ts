import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordsSource } from '../base/bytes.ts'
import { BatchBuilder, downConvert, RecordsError } from '../protocol/records/index.ts'
import { convertForFetch, magicForFetch, messagesIn } from './down-conversion.ts'

/** Every look at the clock costs a millisecond; turns are counted. */
class SlowClock {
  turns = 0
  #now = 0
  now = (): number => this.#now++
  soon = (fn: () => void): void => {
    this.turns++
    setImmediate(fn)
  }
}

function bytesOf(converted: RecordsSource | undefined): Buffer | undefined {
  if (converted === undefined) return undefined
  const bytes = Buffer.alloc(converted.size)
  converted.copyTo(bytes, 0)
  return bytes
}

function batches(count: number, options: ConstructorParameters<typeof BatchBuilder>[0] = {}): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, i) =>
      new BatchBuilder({ baseOffset: i * 2, ...options })
        .append(1, null, Buffer.from(`a${i}`))
        .append(2, null, null)
        .build(),
    ),
  )
}

test('formats by Fetch version', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 7].map(magicForFetch), [0, 0, 1, 1, 2, 2])
})

test('what is short is converted at once', () => {
  const records = batches(2)
  const converted = convertForFetch(records, 1, 0, { now: () => 0, soon: () => assert.fail('a turn') })
  assert.ok(!(converted instanceof Promise))
  assert.deepEqual(bytesOf(converted), downConvert(records, 1, 0))
})

test('what takes long is converted over several turns, with the same result', async () => {
  const clock = new SlowClock()
  for (const codec of ['none', 'gzip', 'snappy', 'lz4'] as const) {
    const records = batches(100, { codec })
    clock.turns = 0
    const converted = convertForFetch(records, 0, 0, clock)
    assert.ok(converted instanceof Promise)
    assert.deepEqual(bytesOf(await converted), downConvert(records, 0, 0))
    assert.ok(clock.turns > 10, `${clock.turns} turns`)
  }
})

test('one big batch takes several turns too', async () => {
  const clock = new SlowClock()
  const builder = new BatchBuilder()
  for (let i = 0; i < 10_000; i++) builder.append(i, null, Buffer.from(`value ${i}`))
  const records = builder.build()
  const converted = await convertForFetch(records, 1, 0, clock)
  assert.deepEqual(bytesOf(converted), downConvert(records, 1, 0))
  assert.ok(clock.turns >= 5, `${clock.turns} turns`)
})

test('a big compressed batch takes several turns, also for its codec', async () => {
  const clock = new SlowClock()
  for (const codec of ['gzip', 'snappy', 'lz4'] as const) {
    const builder = new BatchBuilder({ codec })
    for (let i = 0; i < 1000; i++) builder.append(i, null, Buffer.alloc(2048, `value ${i * 7919} of ${codec} `))
    const records = builder.build()
    for (const toMagic of [0, 1] as const) {
      clock.turns = 0
      assert.deepEqual(bytesOf(await convertForFetch(records, toMagic, 0, clock)), downConvert(records, toMagic, 0))
      // 16 pieces of 128 KiB to convert; as many to decompress and to compress where that is not done by another thread
      assert.ok(clock.turns >= (codec === 'gzip' ? 5 : 8), `${codec}: ${clock.turns} turns`)
    }
  }
})

test('a big batch whose gzip stream is broken is an error of records', async () => {
  const builder = new BatchBuilder({ codec: 'gzip' })
  for (let i = 0; i < 20_000; i++) builder.append(i, null, Buffer.from(`value ${Math.imul(i, 0x9e3779b1)}`))
  const records = builder.build()
  records.fill(0x55, records.length >> 1, (records.length >> 1) + 100)
  await assert.rejects(async () => convertForFetch(records, 1, 0, new SlowClock()), RecordsError)
})

test('readers of the stored format, and slices of which nothing remains, get what is stored', async () => {
  const clock = new SlowClock()
  assert.equal(convertForFetch(batches(1), 2, 0, clock), undefined)
  assert.equal(await convertForFetch(batches(20), 1, 1000, clock), undefined)
})

test('messages of a record set are counted, in sets of an old format too', () => {
  const three = (magic: 0 | 1 | 2, codec: 'none' | 'gzip') => {
    const builder = new BatchBuilder({ magic, codec, baseOffset: 10 })
    for (let i = 0; i < 3; i++) builder.append(i, null, Buffer.from(`value ${i}`))
    return builder.build()
  }
  assert.equal(messagesIn(Buffer.concat([three(2, 'gzip'), three(2, 'none')]), 10), 6)
  assert.equal(messagesIn(three(1, 'none'), 10), 3)
  const [first, second] = [three(1, 'gzip'), three(1, 'gzip')]
  second.writeBigInt64BE(first.readBigInt64BE(0) + 3n, 0)
  assert.equal(messagesIn(Buffer.concat([first, second]), 10), 6)
  assert.equal(messagesIn(first, 11), 2, 'what lies before is not for this reader')
})
