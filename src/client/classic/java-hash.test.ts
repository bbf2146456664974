import assert from 'node:assert/strict'
import { test } from 'node:test'
import { javaHashCode } from './java-hash.ts'

test('hash codes as Java has them, without their sign', () => {
  assert.equal(javaHashCode('hello'), 99162322)
  assert.equal(javaHashCode(''), 0)
  // Integer.MIN_VALUE, whose absolute value the old producer takes for 0.
  assert.equal(javaHashCode('polygenelubricants'), 0)
  assert.equal(javaHashCode(-7), 7)
  assert.equal(javaHashCode(2 ** 32 + 5), 4)
  assert.equal(javaHashCode(true), 1231)
  assert.equal(javaHashCode(Buffer.from('ab')), (31 + 97) * 31 + 98)
})

test('what has none is refused', () => {
  for (const key of [1.5, {}, undefined]) assert.throws(() => javaHashCode(key), /partitioner\.class/)
})
