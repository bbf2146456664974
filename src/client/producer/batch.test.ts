import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../base/buffer-pool.ts'
import { recordsOf } from '../../protocol/records/index.ts'
import { RecordBatchWriter } from '../records.ts'
import { PartitionQueue, ProducerBatch } from './batch.ts'
import type { SendCallback } from './types.ts'

const batchOf = () => new ProducerBatch(new PartitionQueue('t', 3), new RecordBatchWriter(new BufferPool(), 1000), 0)
const fail = (thrown: unknown): never => assert.fail(String(thrown))

test('each record gets its own offset and its own timestamp, whoever shares a callback', () => {
  const timestamps = [5, 5, 9, 9, 9, 7, 5]
  for (const kinds of [[0], [0, 1], [0, 0, 1, -1]]) {
    const batch = batchOf()
    const got: string[] = []
    const callbacks: SendCallback[] = [0, 1].map(
      (kind) => (error, partition, offset, timestamp) => void got.push(`${kind} ${error} ${partition}@${offset} ${timestamp}`),
    )
    const kindOf = (i: number): number => kinds[i % kinds.length]!
    for (const [i, timestamp] of timestamps.entries()) batch.expect(callbacks[kindOf(i)], timestamp)
    assert.deepEqual(
      timestamps.map((_, i) => batch.expectation(i)),
      timestamps.map((_, i) => callbacks[kindOf(i)]),
    )
    batch.settle(null, 100, -1, fail)
    batch.settle(null, 200, -1, fail)
    const wanted = timestamps.map((timestamp, i) => `${kindOf(i)} null 3@${100 + i} ${timestamp}`)
    assert.deepEqual(
      got,
      wanted.filter((line) => !line.startsWith('-1')),
    )
  }
})

test('LogAppendTime is what the records get where the broker says it; with acks=0 there is no offset', () => {
  for (const [baseOffset, logAppendTime, wanted] of [
    [7, 99, ['7 99', '8 99']],
    [-1, -1, ['-1 1', '-1 2']],
  ] as const) {
    const batch = batchOf()
    const got: string[] = []
    for (const timestamp of [1, 2]) batch.expect((_error, _partition, offset, at) => void got.push(`${offset} ${at}`), timestamp)
    batch.settle(null, baseOffset, logAppendTime, fail)
    assert.deepEqual(got, wanted)
  }
})

test('records that join a batch get their offsets and timestamps like the others', () => {
  const batch = new ProducerBatch(new PartitionQueue('t', 3), new RecordBatchWriter(new BufferPool(), 1000, 1000), 0)
  const got: string[] = []
  const callbacks: SendCallback[] = ['a', 'b'].map(
    (name) => (_error, _partition, offset, timestamp) => void got.push(`${name} ${offset} ${timestamp}`),
  )
  batch.writer.append(1000, null, 0, 'x', 1)
  batch.expect(callbacks[0], 1000)
  const joining = [0, 0, 7, 7, 3, 0, 0]
  for (const [i, delta] of joining.entries()) assert.ok(batch.join(delta, null, 0, 'x', 1, callbacks[i > 4 ? 1 : 0]))
  batch.settle(null, 10, -1, fail)
  const wanted = joining.map((delta, i) => `${i > 4 ? 'b' : 'a'} ${11 + i} ${1000 + delta}`)
  assert.deepEqual(got, ['a 10 1000', ...wanted])
  const records = [...recordsOf(batch.writer.seal(), 0)]
  assert.deepEqual(
    records.map(({ timestamp }) => timestamp),
    [0, ...joining].map((delta) => 1000 + delta),
  )
  assert.equal(batch.writer.maxTimestamp, 1007)
})
