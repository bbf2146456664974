import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { Fifo } from './fifo.ts'

test('does what an array with push and shift does, over many sizes', () => {
  const rng = new SeededRng('fifo')
  const fifo = new Fifo<number>()
  const model: number[] = []
  let next = 0
  for (let round = 0; round < 300; round++) {
    for (let i = rng.int(0, 200); i > 0; i--) {
      fifo.push(next)
      model.push(next++)
    }
    // More and more, then less and less.
    for (let i = rng.int(0, round < 150 ? 100 : 300); i > 0; i--) assert.equal(fifo.shift(), model.shift())
    assert.deepEqual([fifo.length, fifo.first()], [model.length, model[0]])
  }
  fifo.push(next)
  assert.deepEqual(fifo.takeAll(), [...model, next])
  assert.deepEqual([fifo.length, fifo.first(), fifo.shift()], [0, undefined, undefined])
})
