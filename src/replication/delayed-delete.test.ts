import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { Bench, TOPIC } from './testing-bench.ts'
import type { DeleteRecordsResult } from './types.ts'

interface Deleted {
  results: readonly Pick<DeleteRecordsResult, 'error' | 'lowWatermark'>[] | undefined
  at: number
}

function deleteRecords(bench: Bench, broker: number, offset: number, timeoutMs = 3000, partition = 0): Deleted {
  const deleted: Deleted = { results: undefined, at: -1 }
  bench.replicas(broker).deleteRecords(timeoutMs, [{ topic: TOPIC, partition, offset }], (results) => {
    assert.equal(deleted.results, undefined, 'answered twice')
    deleted.results = results.map(({ error, lowWatermark }) => ({ error, lowWatermark }))
    deleted.at = bench.clock.now()
  })
  return deleted
}

async function tenRecords(): Promise<Bench> {
  const bench = await Bench.start()
  bench.create()
  await bench.run(1000)
  for (let i = 0; i < 10; i++) bench.produce(1, [`v${i}`])
  await bench.run(1500)
  assert.deepEqual([bench.highWatermark(1), bench.highWatermark(2), bench.highWatermark(3)], [10, 10, 10])
  return bench
}

const startOf = (bench: Bench, id: number): number => bench.replicas(id).partition(TOPIC, 0)!.log!.logStartOffset

test('answered when the log starts of all replicas have followed', async () => {
  const bench = await tenRecords()
  const deleted = deleteRecords(bench, 1, 4)
  assert.equal(startOf(bench, 1), 4)
  assert.equal(deleted.results, undefined)
  await bench.until(() => deleted.results !== undefined, 2000, 'answer')
  assert.deepEqual(deleted.results, [{ error: 0, lowWatermark: 4 }])
  assert.deepEqual([startOf(bench, 2), startOf(bench, 3)], [4, 4])
  const below = bench.consume(1, 3)
  assert.equal(below.results![0]!.error, ErrorCode.OFFSET_OUT_OF_RANGE)
})

test('-1 stands for the high watermark; what is deleted already is answered at once', async () => {
  const bench = await tenRecords()
  const all = deleteRecords(bench, 1, -1)
  await bench.until(() => all.results !== undefined, 2000, 'answer')
  assert.deepEqual(all.results, [{ error: 0, lowWatermark: 10 }])
  assert.deepEqual(deleteRecords(bench, 1, 3).results, [{ error: 0, lowWatermark: 10 }])
})

test('refusals are immediate: unknown, not leader, out of range, compacted', async () => {
  const bench = await tenRecords()
  const refused = (error: number) => [{ error, lowWatermark: -1 }]
  assert.deepEqual(deleteRecords(bench, 1, 1, 3000, 7).results, refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
  assert.deepEqual(deleteRecords(bench, 2, 1).results, refused(ErrorCode.NOT_LEADER_FOR_PARTITION))
  for (const offset of [11, -2, 2 ** 60]) {
    assert.deepEqual(deleteRecords(bench, 1, offset).results, refused(ErrorCode.OFFSET_OUT_OF_RANGE), `offset ${offset}`)
  }
  const compacted = await Bench.start({ topicConfig: { 'cleanup.policy': 'compact' } })
  compacted.create()
  await compacted.run(1000)
  assert.deepEqual(deleteRecords(compacted, 1, 0).results, refused(ErrorCode.POLICY_VIOLATION))
})

test('a follower that cannot be reached: REQUEST_TIMED_OUT with the low watermark of the beginning', async () => {
  const bench = await tenRecords()
  bench.cut(1, 3)
  const deleted = deleteRecords(bench, 1, 6, 700)
  await bench.run(699)
  assert.equal(deleted.results, undefined)
  await bench.run(5)
  assert.deepEqual(deleted.results, [{ error: ErrorCode.REQUEST_TIMED_OUT, lowWatermark: 0 }])
  assert.equal(startOf(bench, 1), 6)
})

test('replicas on brokers that are gone are not waited for', async () => {
  const bench = await tenRecords()
  bench.kill(3)
  bench.announce([1, 2])
  const deleted = deleteRecords(bench, 1, 6)
  await bench.until(() => deleted.results !== undefined, 2000, 'answer')
  assert.deepEqual(deleted.results, [{ error: 0, lowWatermark: 6 }])
})

test('lost leadership answers at once, a shutdown too', async () => {
  const bench = await tenRecords()
  bench.cut(1, 3)
  const moved = deleteRecords(bench, 1, 6)
  bench.elect(2, [1, 2, 3])
  bench.announce()
  assert.deepEqual(moved.results, [{ error: ErrorCode.NOT_LEADER_FOR_PARTITION, lowWatermark: -1 }])
  bench.cut(2, 3)
  const stopped = deleteRecords(bench, 2, 6)
  void bench.replicas(2).shutdown()
  assert.equal(stopped.results?.length, 1)
})
