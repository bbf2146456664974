import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { Bench, batchOf, errorOf, TOPIC } from './testing-bench.ts'

async function steady(options?: Parameters<typeof Bench.start>[0]): Promise<Bench> {
  const bench = await Bench.start(options)
  bench.create()
  await bench.run(1000)
  return bench
}

/** Writes to the log file of the partition at broker 1, from now on. */
function watchWrites(bench: Bench): { count: number } {
  const writes = { count: 0 }
  bench.brokers.get(1)!.disk.onOperation = (operation, path) => {
    if (operation === 'write' && path.endsWith('.log')) writes.count++
  }
  return writes
}

test('the appends of a held turn are one write, answered when it is done, in their order', async () => {
  const bench = await steady()
  const replicas = bench.replicas(1)
  const writes = watchWrites(bench)
  replicas.holdTurn()
  const produced = ['a', 'b', 'c'].map((value, i) => bench.produce(1, [value], i === 1 ? 1 : -1))
  const refused = bench.produce(1, ['d'], 1, { partition: 99 })
  assert.deepEqual([...produced, refused].map(errorOf), [undefined, undefined, undefined, undefined])
  assert.equal(writes.count, 0)
  replicas.releaseTurn()
  assert.equal(writes.count, 1)
  assert.deepEqual([...produced, refused].map(errorOf), [undefined, 0, undefined, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
  await bench.until(() => errorOf(produced[2]!) !== undefined, 100, 'acknowledged by the followers')
  assert.deepEqual(
    produced.map(({ results }) => results![0]!.baseOffset),
    [0, 1, 2],
  )
  assert.deepEqual(bench.values(1), ['a', 'b', 'c'])
  assert.deepEqual(bench.bytes(2), bench.bytes(1))
})

test('who reads within a held turn finds what was appended before', async () => {
  const bench = await steady({ brokers: 1 })
  const replicas = bench.replicas(1)
  const writes = watchWrites(bench)
  replicas.holdTurn()
  bench.produce(1, ['a'], 1)
  bench.produce(1, ['b'], 1)
  const consumed = bench.consume(1, 0)
  assert.equal(writes.count, 1, 'both, before the read')
  assert.deepEqual(consumed.values, ['a', 'b'])
  const late = bench.produce(1, ['c'], 1)
  replicas.releaseTurn()
  assert.equal(writes.count, 2)
  assert.equal(errorOf(late), 0)
})

test('an append that is not from a client is in the file when it returns, behind what was staged', async () => {
  const bench = await steady({ brokers: 1 })
  const replicas = bench.replicas(1)
  const writes = watchWrites(bench)
  replicas.holdTurn()
  bench.produce(1, ['a'], 1)
  let error: number | undefined
  const bytes = batchOf(['b'])
  replicas.append(1, 1000, [{ topic: TOPIC, partition: 0, records: bytes }], false, ([result]) => (error = result!.error))
  assert.equal(error, 0)
  assert.equal(writes.count, 2)
  bytes.fill(0xee)
  replicas.releaseTurn()
  assert.deepEqual(bench.values(1), ['a', 'b'])
})

test('a write that fails at the end of the turn: every produce of that partition gets KAFKA_STORAGE_ERROR, whatever its acks', async () => {
  const bench = await steady()
  const replicas = bench.replicas(1)
  replicas.holdTurn()
  const produced = [-1, 1, 0, -1].map((acks, i) => bench.produce(1, [`value ${i}`], acks))
  const refused = bench.produce(1, ['x'], 1, { partition: 99 })
  bench.brokers.get(1)!.disk.fail({ code: 'EIO', operation: 'write', path: '.log' })
  replicas.releaseTurn()
  assert.deepEqual(
    produced.map(({ results }) => ({ error: results![0]!.error, baseOffset: results![0]!.baseOffset })),
    produced.map(() => ({ error: ErrorCode.KAFKA_STORAGE_ERROR, baseOffset: -1 })),
  )
  assert.equal(errorOf(refused), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  await bench.run(100)
  assert.equal(errorOf(bench.produce(1, ['later'], 1)), ErrorCode.KAFKA_STORAGE_ERROR, 'the directory is offline')
})

test('at the end of a held turn who waits for records has them before who appended is answered', async () => {
  const bench = await steady({ brokers: 1 })
  const replicas = bench.replicas(1)
  const waiting = bench.consume(1, 0, { maxWaitMs: 1000 })
  replicas.holdTurn()
  const produced = [bench.produce(1, ['a'], 1), bench.produce(1, ['b'], 1)]
  const seen: unknown[] = []
  replicas.releaseTurn(() => seen.push(waiting.values, produced.map(errorOf)))
  assert.deepEqual(seen, [
    ['a', 'b'],
    [undefined, undefined],
  ])
  assert.deepEqual(produced.map(errorOf), [0, 0])
})

test('thousands of produces that one fetch lets go are acknowledged over several turns, in their order', async () => {
  const bench = await steady({ brokers: 2 })
  bench.cut(1, 2)
  const answered: number[] = []
  const produced = Array.from({ length: 2500 }, () => bench.produce(1, ['a']))
  const count = (): number => produced.filter(({ results }) => results !== undefined).length
  await bench.run(1000)
  assert.equal(count(), 0)
  bench.heal()
  await bench.until(
    () => {
      const now = count()
      if (now > (answered.at(-1) ?? 0)) answered.push(now)
      return now === 2500
    },
    20_000,
    'all are acknowledged',
  )
  assert.deepEqual(answered, [500, 1000, 1500, 2000, 2500])
  assert.deepEqual(new Set(produced.map(errorOf)), new Set([0]))
})
