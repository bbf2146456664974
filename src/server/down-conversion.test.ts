import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchBuilder, downConvert } from '../protocol/records/index.ts'
import { convertForFetch, magicForFetch } from './down-conversion.ts'

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
  assert.deepEqual(converted, downConvert(records, 1, 0))
})

test('what takes long is converted over several turns, with the same result', async () => {
  const clock = new SlowClock()
  for (const codec of ['none', 'gzip', 'snappy', 'lz4'] as const) {
    const records = batches(100, { codec })
    clock.turns = 0
    const converted = convertForFetch(records, 0, 0, clock)
    assert.ok(converted instanceof Promise)
    assert.deepEqual(await converted, downConvert(records, 0, 0))
    assert.ok(clock.turns > 10, `${clock.turns} turns`)
  }
})

test('one big batch takes several turns too', async () => {
  const clock = new SlowClock()
  const builder = new BatchBuilder()
  for (let i = 0; i < 10_000; i++) builder.append(i, null, Buffer.from(`value ${i}`))
  const records = builder.build()
  const converted = await convertForFetch(records, 1, 0, clock)
  assert.deepEqual(converted, downConvert(records, 1, 0))
  assert.ok(clock.turns >= 5, `${clock.turns} turns`)
})

test('readers of the stored format, and slices of which nothing remains, get what is stored', async () => {
  const clock = new SlowClock()
  assert.equal(convertForFetch(batches(1), 2, 0, clock), undefined)
  assert.equal(await convertForFetch(batches(20), 1, 1000, clock), undefined)
})
