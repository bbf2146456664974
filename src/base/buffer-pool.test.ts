import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError } from './assert.ts'
import { BufferPool } from './buffer-pool.ts'

const options = { sizeClasses: [8192, 65_536], maxRetainedBytes: 100_000 }

test('rounds up to a size class, allocates exactly above the largest, leaves small ones to the runtime', () => {
  const pool = new BufferPool(options)
  assert.equal(pool.acquire(100).length, 100)
  assert.equal(pool.acquire(4097).length, 8192)
  assert.equal(pool.acquire(8192).length, 8192)
  assert.equal(pool.acquire(8193).length, 65_536)
  assert.equal(pool.acquire(70_000).length, 70_000)
  assert.deepEqual(pool.stats(), {
    outstanding: 4,
    outstandingBytes: 8192 + 8192 + 65_536 + 70_000,
    retained: 0,
    retainedBytes: 0,
    hits: 0,
    misses: 4,
  })
})

test('reuses the most recently released buffer first', () => {
  const pool = new BufferPool(options)
  const [a, b] = [pool.acquire(5000), pool.acquire(5000)]
  pool.release(a)
  pool.release(b)
  assert.equal(pool.acquire(8000), b)
  assert.equal(pool.acquire(8000), a)
  assert.equal(pool.stats().hits, 2)
})

test('retains no more than its bound and nothing above the largest class', () => {
  const pool = new BufferPool(options)
  const buffers = [65_536, 65_536, 8192, 8192, 8192, 8192, 8192, 200_000].map((bytes) => pool.acquire(bytes))
  for (const buffer of buffers) pool.release(buffer)
  const stats = pool.stats()
  assert.equal(stats.outstanding, 0)
  assert.equal(stats.outstandingBytes, 0)
  assert.equal(stats.retainedBytes, 65_536 + 4 * 8192)
  assert.equal(stats.retained, 5)
})

test('a double release, a foreign buffer and a part of a buffer are bugs', () => {
  const pool = new BufferPool(options)
  const buffer = pool.acquire(8192)
  assert.throws(() => pool.release(buffer.subarray(0, 5000)), AssertionError)
  pool.release(buffer)
  assert.throws(() => pool.release(buffer), AssertionError)
  assert.throws(() => pool.release(Buffer.alloc(8192)), AssertionError)
  assert.throws(() => new BufferPool({ sizeClasses: [8192, 8192] }), AssertionError)
})

test('what is disowned counts no more, is never handed out again, and cannot be given back', () => {
  const pool = new BufferPool(options)
  const [kept, returned] = [pool.acquire(5000), pool.acquire(5000)]
  pool.disown(kept)
  pool.release(returned)
  assert.deepEqual([pool.stats().outstanding, pool.stats().outstandingBytes, pool.stats().retained], [0, 0, 1])
  assert.throws(() => pool.release(kept), AssertionError)
  assert.throws(() => pool.disown(kept), AssertionError)
  assert.ok(pool.acquire(5000) === returned && pool.acquire(5000) !== kept)
  pool.disown(pool.acquire(100))
})

test('trim drops what lay unused since the trim before', () => {
  const pool = new BufferPool({ sizeClasses: [8192], maxRetainedBytes: 1_000_000 })
  const buffers = Array.from({ length: 10 }, () => pool.acquire(8192))
  for (const buffer of buffers) pool.release(buffer)
  pool.trim()
  assert.equal(pool.stats().retained, 10, 'a whole period has not gone by')
  const used = Array.from({ length: 4 }, () => pool.acquire(8192))
  for (const buffer of used) pool.release(buffer)
  pool.trim()
  assert.equal(pool.stats().retained, 4)
  pool.trim()
  assert.deepEqual([pool.stats().retained, pool.stats().retainedBytes], [0, 0])
})

test('accounting is exact over random use', () => {
  const pool = new BufferPool(options)
  const held: Buffer[] = []
  let state = 1
  const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below
  for (let i = 0; i < 20_000; i++) {
    if (held.length > 0 && random(2) === 0) pool.release(held.splice(random(held.length), 1)[0]!)
    else held.push(pool.acquire(random(90_000)))
    const pooled = held.filter((buffer) => buffer.length > 4096)
    const stats = pool.stats()
    if (i % 100 === 0)
      assert.equal(
        stats.outstandingBytes,
        pooled.reduce((sum, buffer) => sum + buffer.length, 0),
      )
    assert.equal(stats.outstanding, pooled.length)
    assert.ok(stats.retainedBytes <= options.maxRetainedBytes)
  }
})
