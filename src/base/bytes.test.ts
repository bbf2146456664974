import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BufferPool } from './buffer-pool.ts'
import {
  ByteReader,
  ByteWriter,
  DecodeError,
  INT64_MAX,
  INT64_MIN,
  int64Add,
  int64Compare,
  int64Equals,
  int64FromBigInt,
  int64Subtract,
  int64ToBigInt,
  utf8At,
} from './bytes.ts'

describe('DecodeError', () => {
  it('has no stack, and leaves the stacks of other errors alone', () => {
    assert.match(new DecodeError('cut').stack ?? '', /^\w+: cut$/)
    assert.match(new Error('other').stack ?? '', /\n +at /)
  })
})

describe('ByteWriter and ByteReader', () => {
  it('read back what was written', () => {
    const writer = new ByteWriter(1)
    writer.boolean(true)
    writer.int8(-2)
    writer.int16(-300)
    writer.int32(-70000)
    writer.uint32(4000000000)
    writer.int64(-5000000000)
    writer.string('тема')
    writer.nullableString(null)
    writer.bytes(Buffer.from([1, 2]))
    writer.nullableBytes(null)
    const reader = new ByteReader(writer.copy())
    assert.equal(reader.boolean(), true)
    assert.equal(reader.int8(), -2)
    assert.equal(reader.int16(), -300)
    assert.equal(reader.int32(), -70000)
    assert.equal(reader.uint32(), 4000000000)
    assert.equal(reader.int64(), -5000000000)
    assert.equal(reader.string(), 'тема')
    assert.equal(reader.nullableString(), null)
    assert.deepEqual([...reader.bytes()], [1, 2])
    assert.equal(reader.nullableBytes(), null)
    assert.equal(reader.remaining, 0)
  })

  it('refuse to read past the end, at every cut', () => {
    const bytes = Buffer.from('000474657874', 'hex')
    for (let end = 0; end < bytes.length; end++) assert.throws(() => new ByteReader(bytes, 0, end).string(), DecodeError)
    assert.throws(() => new ByteReader(Buffer.from('ffff', 'hex')).string(), /string length -1/)
    assert.throws(() => new ByteReader(Buffer.from('7fffffff00', 'hex')).bytes(), DecodeError)
    assert.throws(() => new ByteReader(Buffer.from('ffffffff', 'hex')).records(), /record set length -1/)
  })

  it('the writer grows, keeps what it has, and gives memory back to its pool', () => {
    const pool = new BufferPool()
    const writer = new ByteWriter(5000, pool)
    const text = 'x'.repeat(1000)
    for (let i = 0; i < 100; i++) writer.string(text)
    const { bytes, owner } = writer.take()
    assert.equal(bytes.length, 100 * 1002)
    const reader = new ByteReader(bytes)
    for (let i = 0; i < 100; i++) assert.equal(reader.string(), text)
    assert.equal(writer.position, 0)
    pool.release(owner)
    writer.close()
    assert.equal(pool.stats().outstanding, 0)
  })

  it('give the same string object for the same short name, and the right one on collisions', () => {
    const names = Array.from({ length: 3000 }, (_, i) => `topic-${i}`)
    for (const name of [...names, ...names]) {
      const bytes = Buffer.from(`..${name}..`)
      assert.equal(utf8At(bytes, 2, name.length), name)
    }
    assert.equal(utf8At(Buffer.from([0xc3, 0x28, 0x41]), 0, 3), '\ufffd(A')
  })
})

describe('int64 arithmetic', () => {
  it('is exact and wraps like two’s complement', () => {
    const values = [0n, 1n, -1n, 2n ** 53n, -(2n ** 53n), 2n ** 62n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 1500000000000000001n]
    for (const a of values) {
      for (const b of values) {
        const [x, y] = [int64FromBigInt(a), int64FromBigInt(b)]
        assert.equal(int64ToBigInt(int64Add(x, y)), BigInt.asIntN(64, a + b))
        assert.equal(int64ToBigInt(int64Subtract(x, y)), BigInt.asIntN(64, a - b))
        assert.equal(Math.sign(int64Compare(x, y)), a < b ? -1 : a > b ? 1 : 0, `${a} ${b}`)
        assert.equal(int64Equals(x, y), a === b)
      }
    }
    assert.equal(int64FromBigInt(2n ** 63n - 1n), INT64_MAX)
    assert.equal(int64FromBigInt(-(2n ** 63n)), INT64_MIN)
  })
})
