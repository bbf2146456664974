import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../base/buffer-pool.ts'
import { Accumulator, Placed } from './accumulator.ts'

function fill(options: { readonly sealsWhenFull?: boolean; readonly codec?: number }) {
  const accumulator = new Accumulator({
    pool: new BufferPool(),
    batchSize: 1000,
    bufferMemory: 100_000,
    codec: 0,
    maxBlockMs: 1000,
    sealsWhenFull: true,
    ...options,
  })
  const queue = accumulator.queue('t', 0)
  const append = (value: string) => accumulator.append(queue, null, 0, value, value.length, [], 5, undefined, 0)
  let placed = append('x'.repeat(100))
  while (placed !== Placed.READY) placed = append('x'.repeat(100))
  const [full, open] = queue.batches
  return { full: full!, open: open! }
}

test('a batch that is full is sealed at once, but not before its producer id is known; the one that grows is not', () => {
  for (const sealsWhenFull of [true, false]) {
    const { full, open } = fill({ sealsWhenFull })
    assert.deepEqual([full.isFull, full.writer.isSealed], [true, sealsWhenFull])
    assert.deepEqual([open.isFull, open.writer.isSealed, open.count], [false, false, 1])
    assert.equal(full.join(0, null, 0, 'x', 1, undefined), false)
  }
})

test('join keeps to batch.size, and takes nothing where the limit moves with compression', () => {
  const { open } = fill({})
  let joined = 0
  while (open.join(0, null, 0, 'x'.repeat(100), 100, undefined)) joined++
  assert.ok(joined > 5 && open.writer.size <= 1000, `${joined} records, ${open.writer.size} bytes`)
  assert.equal(open.count, joined + 1)
  assert.equal(fill({ codec: 1 }).open.join(0, null, 0, 'x', 1, undefined), false)
})
