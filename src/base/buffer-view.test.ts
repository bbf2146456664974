import assert from 'node:assert/strict'
import { test } from 'node:test'
import { viewOf } from './buffer-view.ts'

test('a view is a Buffer over the same bytes', () => {
  const memory = new ArrayBuffer(8)
  const view = viewOf(memory, 2, 3)
  view.write('abc')
  assert.ok(Buffer.isBuffer(view))
  assert.equal(view.constructor, Buffer)
  assert.deepEqual(view, Buffer.from('abc'))
  assert.deepEqual([...new Uint8Array(memory)], [0, 0, 97, 98, 99, 0, 0, 0])
  assert.equal(view.buffer, memory)
  assert.throws(() => viewOf(memory, 6, 3), RangeError)
})
