import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from './seeded-rng.ts'

test('the same seed gives the same draws, another one others', () => {
  const draw = (seed: number | string) =>
    Array.from(
      { length: 5 },
      (
        (rng) => () =>
          rng.uint32()
      )(new SeededRng(seed)),
    )
  assert.deepEqual(draw(7), draw(7))
  assert.deepEqual(draw(7), draw('7'))
  assert.notDeepEqual(draw(7), draw(8))
})

test('a fork does not depend on earlier draws and differs by name', () => {
  const a = new SeededRng(1)
  const b = new SeededRng(1)
  for (let i = 0; i < 10; i++) b.next()
  assert.equal(a.fork('net').uint32(), b.fork('net').uint32())
  assert.notEqual(a.fork('net').uint32(), a.fork('disk').uint32())
  assert.notEqual(a.fork('x').fork('y').uint32(), a.fork('y').fork('x').uint32())
})

test('draws are uniform: chi-squared over 64 cells, bits and pairs', () => {
  const rng = new SeededRng('uniform')
  const cells = new Array<number>(64).fill(0)
  const bits = new Array<number>(32).fill(0)
  const pairs = new Array<number>(64).fill(0)
  const draws = 64_000
  let last = 0
  for (let i = 0; i < draws; i++) {
    const cell = rng.int(0, 64)
    cells[cell]!++
    pairs[((last >> 3) << 3) | (cell >> 3)]!++
    last = cell
    const word = rng.uint32()
    for (let bit = 0; bit < 32; bit++) bits[bit]! += (word >>> bit) & 1
  }
  const chiSquared = (counts: number[]) => counts.reduce((sum, count) => sum + (count - draws / 64) ** 2 / (draws / 64), 0)
  assert.ok(chiSquared(cells) < 120, `${chiSquared(cells)}`)
  assert.ok(chiSquared(pairs) < 120, `${chiSquared(pairs)}`)
  for (const ones of bits) assert.ok(Math.abs(ones - draws / 2) < 700, `${ones}`)
})

test('ranges are kept', () => {
  const rng = new SeededRng(0)
  for (let i = 0; i < 1000; i++) {
    const value = rng.int(-3, 4)
    assert.ok(Number.isInteger(value) && value >= -3 && value < 4)
    const fraction = rng.next()
    assert.ok(fraction >= 0 && fraction < 1)
  }
  assert.equal(rng.bytes(9).length, 9)
  assert.throws(() => rng.int(4, 4), /empty range/)
})
