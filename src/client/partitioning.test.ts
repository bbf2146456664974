import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arrayHash, DefaultPartitioner, LegacyPartitioner } from './partitioning.ts'

/** Key, its murmur2 modulo 7 as 1.1.1's DefaultPartitioner has it, String.hashCode, Arrays.hashCode of the UTF-8: computed in Java. */
const golden: readonly (readonly [key: string, partition: number, stringHash: number, arrayHash: number])[] = [
  ['', 2, 0, 1],
  ['a', 5, 97, 128],
  ['ab', 0, 3105, 4066],
  ['abc', 4, 96354, 126145],
  ['abcd', 5, 2987074, 3910595],
  ['key-12345', 0, 1154953029, 958439524],
  ['héllo wörld', 3, 1628148953, 1659166526],
  ['日本語', 6, 25921943, 1243476185],
  ['0123456789012345678901234567890123456789', 4, 1478511252, -457149035],
]
const seven = { count: 7, available: [1, 3] }

test('keys go where the Java producer puts them, as text and as bytes', () => {
  const partitioner = new DefaultPartitioner(() => 0.5)
  const legacy = new LegacyPartitioner(() => 0.5)
  for (const [key, partition, textHash, bytesHash] of golden) {
    assert.equal(partitioner.partition('t', key, null, seven), partition, key)
    assert.equal(partitioner.partition('t', Buffer.from(key), null, seven), partition, key)
    assert.equal(arrayHash(Buffer.from(key)), bytesHash, key)
    assert.equal(legacy.partition('t', key, null, seven), Math.abs(textHash) % 7, key)
    assert.equal(legacy.partition('t', Buffer.from(key), null, seven), Math.abs(bytesHash) % 7, key)
  }
  const long = 'x'.repeat(5000)
  assert.equal(partitioner.partition('t', long, null, seven), partitioner.partition('t', Buffer.from(long), null, seven))
})

test('without a key: round robin over partitions with a leader, each topic on its own; over all when none has one', () => {
  const partitioner = new DefaultPartitioner(() => 0)
  const turns = (topic: string, partitions: typeof seven, n: number) =>
    Array.from({ length: n }, () => partitioner.partition(topic, null, null, partitions))
  assert.deepEqual(turns('a', seven, 4), [1, 3, 1, 3])
  assert.deepEqual(turns('b', seven, 1), [1])
  assert.deepEqual(turns('c', { count: 3, available: [] }, 4), [0, 1, 2, 0])
  const late = new DefaultPartitioner(() => 0.9999999999)
  assert.deepEqual(
    [1, 2, 3].map(() => late.partition('t', null, null, { count: 4, available: [0, 1, 2, 3] })),
    [3, 0, 1],
  )
})

test('the old producer keeps one partition until the metadata are renewed, or its leader is gone', () => {
  const draws = [0.9, 0.1, 0.9]
  const legacy = new LegacyPartitioner(() => draws.shift() ?? 0)
  const next = (available: number[]) => legacy.partition('t', null, null, { count: 7, available })
  assert.deepEqual([next([1, 3]), next([1, 3])], [3, 3])
  legacy.onNewMetadata()
  assert.equal(next([1, 3]), 1)
  assert.equal(next([0, 5]), 5)
})
