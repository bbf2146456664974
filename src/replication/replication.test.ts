import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { Bench, batchOf, errorOf, TOPIC } from './testing-bench.ts'

async function steady(options?: Parameters<typeof Bench.start>[0]): Promise<Bench> {
  const bench = await Bench.start(options)
  bench.create()
  await bench.run(1000)
  return bench
}

test('acks=all: answered in the turn in which the last follower asks for more', async () => {
  const bench = await steady()
  const produced = bench.produce(1, ['a', 'b'])
  assert.equal(errorOf(produced), undefined)
  const start = bench.clock.now()
  await bench.until(() => produced.results !== undefined, 100, 'ack')
  // The append answers the parked fetches (1 ms on the way), the next fetches take 1 ms more.
  assert.equal(produced.at! - start, 2)
  const { error, baseOffset, logAppendTime, logStartOffset } = produced.results![0]!
  assert.deepEqual(
    { error, baseOffset, logAppendTime, logStartOffset },
    { error: 0, baseOffset: 0, logAppendTime: -1, logStartOffset: 0 },
  )
  assert.deepEqual([bench.end(1), bench.end(2), bench.end(3)], [2, 2, 2])
  await bench.run(1000)
  assert.deepEqual([bench.highWatermark(1), bench.highWatermark(2), bench.highWatermark(3)], [2, 2, 2])
  assert.deepEqual(bench.bytes(2), bench.bytes(1))
  assert.deepEqual(bench.values(3), ['a', 'b'])
})

test('acks=1 is answered before append returns, acks=0 too', async () => {
  const bench = await steady()
  assert.equal(errorOf(bench.produce(1, ['a'], 1)), 0)
  assert.equal(errorOf(bench.produce(1, ['b'], 0)), 0)
  assert.equal(bench.end(1), 2)
})

test('order of errors: acks, unknown partition, not leader, too few in-sync replicas, the log', async () => {
  const bench = await steady({ topicConfig: { 'min.insync.replicas': '4', 'max.message.bytes': '100' } })
  assert.equal(errorOf(bench.produce(1, ['a'], 2)), ErrorCode.INVALID_REQUIRED_ACKS)
  assert.equal(errorOf(bench.produce(1, ['a'], -1, { partition: 7 })), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  assert.equal(errorOf(bench.produce(2, ['a'], -1)), ErrorCode.NOT_LEADER_FOR_PARTITION)
  const refused = bench.produce(1, ['a'], -1)
  assert.equal(errorOf(refused), ErrorCode.NOT_ENOUGH_REPLICAS)
  assert.equal(refused.results![0]!.baseOffset, -1)
  assert.equal(bench.end(1), 0)
  // Only acks=all is checked.
  assert.equal(errorOf(bench.produce(1, ['a'], 1)), 0)
})

test('a request with good and bad entries is answered once, in the order of its entries', async () => {
  const bench = await steady()
  let answers = 0
  let codes: number[] = []
  const corrupt = batchOf(['x'])
  corrupt[corrupt.length - 1]! ^= 1
  bench.replicas(1).append(
    -1,
    1000,
    [
      { topic: TOPIC, partition: 9, records: batchOf(['a']) },
      { topic: TOPIC, partition: 0, records: batchOf(['b']) },
      { topic: TOPIC, partition: 0, records: corrupt },
    ],
    true,
    (results) => {
      answers++
      codes = results.map((one) => one.error)
    },
  )
  assert.equal(answers, 0)
  await bench.run(100)
  assert.equal(answers, 1)
  assert.deepEqual(codes, [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NONE, ErrorCode.CORRUPT_MESSAGE])
})

test('acks=all with a timeout of 0 or less never waits, however near the followers are', async () => {
  const bench = await steady()
  for (const timeoutMs of [0, -1]) {
    const start = bench.clock.now()
    const produced = bench.produce(1, ['a'], -1, { timeoutMs })
    await bench.until(() => produced.results !== undefined, 100, 'answer')
    assert.deepEqual([errorOf(produced), produced.at! - start], [ErrorCode.REQUEST_TIMED_OUT, 0])
  }
})

test('acks=all times out with REQUEST_TIMED_OUT and its offset; the record stays and is replicated later', async () => {
  const bench = await steady()
  bench.cut(1, 2)
  const produced = bench.produce(1, ['kept'], -1, { timeoutMs: 700 })
  const start = bench.clock.now()
  await bench.until(() => produced.results !== undefined, 2000, 'timeout')
  assert.equal(produced.at! - start, 700)
  assert.equal(errorOf(produced), ErrorCode.REQUEST_TIMED_OUT)
  assert.equal(produced.results![0]!.baseOffset, 0)
  const { counters } = bench.replicas(1).figures
  assert.equal(counters.expiredProduces, 1)
  assert.deepEqual([...counters.expiredProducesByPartition.values()], [1])
  // Broker 3 fetched all the time, and there was nothing for it.
  assert.ok(counters.expiredFollowerFetches > 0)
  bench.heal()
  await bench.until(() => bench.highWatermark(1) === 1, 5000, 'replication after the cut')
  assert.deepEqual(bench.values(2), ['kept'])
})

test('NOT_ENOUGH_REPLICAS_AFTER_APPEND: the ISR shrinks below min.insync.replicas while the produce waits', async () => {
  const bench = await steady()
  bench.kill(2)
  bench.kill(3)
  const produced = bench.produce(1, ['a'])
  await bench.until(() => produced.results !== undefined, 20_000, 'answer')
  assert.equal(errorOf(produced), ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
  assert.deepEqual(bench.isr(1), [1])
  assert.equal(errorOf(bench.produce(1, ['b'])), ErrorCode.NOT_ENOUGH_REPLICAS)
})

test('losing leadership answers waiting produces NOT_LEADER_FOR_PARTITION and waiting fetches too', async () => {
  const bench = await steady()
  bench.cut(1, 2)
  bench.cut(1, 3)
  await bench.run(2000)
  const produced = bench.produce(1, ['a'])
  const consumed = bench.consume(1, 0, { maxWaitMs: 10_000 })
  bench.elect(2, [1, 2, 3])
  bench.announce()
  assert.equal(errorOf(produced), ErrorCode.NOT_LEADER_FOR_PARTITION)
  assert.equal(consumed.results![0]!.error, ErrorCode.NOT_LEADER_FOR_PARTITION)
  assert.equal(consumed.results![0]!.highWatermark, -1)
})

test('consumers see records below the high watermark only, and are woken by it', async () => {
  const bench = await steady()
  const waiting = bench.consume(1, 0, { maxWaitMs: 500 })
  bench.produce(1, ['a'])
  assert.equal(waiting.results, undefined)
  assert.deepEqual(bench.consume(1, 0).values, [])
  await bench.run(2)
  assert.deepEqual(waiting.values, ['a'])
  // The debugging consumer reads any replica, but nothing uncommitted either; others only the leader.
  await bench.run(600)
  assert.deepEqual(bench.consume(2, 0, { replicaId: -2 }).values, ['a'])
  assert.equal(bench.consume(2, 0).results![0]!.error, ErrorCode.NOT_LEADER_FOR_PARTITION)
  assert.equal(bench.consume(1, 2).results![0]!.error, ErrorCode.OFFSET_OUT_OF_RANGE)
  assert.equal(bench.consume(1, 0, { partitions: [] }).results!.length, 0)
})

test('a parked fetch waits for min_bytes over all its partitions, or max_wait', async () => {
  const bench = await steady()
  bench.create(1)
  await bench.run(1000)
  const partitions = [0, 1].map((partition) => ({
    topic: TOPIC,
    partition,
    fetchOffset: 0,
    logStartOffset: -1,
    maxBytes: 1 << 20,
  }))
  const size = batchOf(['a']).length
  const waiting = bench.consume(1, 0, { maxWaitMs: 400, minBytes: 2 * size, partitions })
  bench.produce(1, ['a'], 1)
  await bench.run(50)
  assert.equal(waiting.results, undefined)
  bench.produce(1, ['b'], 1, { partition: 1 })
  await bench.run(50)
  assert.deepEqual(waiting.values, ['a', 'b'])
  const start = bench.clock.now()
  const empty = bench.consume(1, 1, { maxWaitMs: 400 })
  await bench.run(1000)
  assert.equal(empty.at! - start, 400)
  const cancelled = bench.consume(1, 1, { maxWaitMs: 400 })
  cancelled.cancel()
  await bench.run(1000)
  assert.equal(cancelled.results, undefined)
})

test('what lies below the active segment is answered at once, however little it is', async () => {
  const bench = await steady({ topicConfig: { 'segment.bytes': '100' } })
  for (const value of ['a', 'b', 'c']) {
    bench.produce(1, [value])
    await bench.run(50)
  }
  const partition = { topic: TOPIC, partition: 0, logStartOffset: -1, maxBytes: 100 }
  const old = bench.consume(1, 0, { maxWaitMs: 400, minBytes: 200, partitions: [{ ...partition, fetchOffset: 0 }] })
  assert.deepEqual(old.values, ['a'])
  const last = bench.consume(1, 2, { maxWaitMs: 400, minBytes: 200, partitions: [{ ...partition, fetchOffset: 2 }] })
  assert.equal(last.results, undefined)
  await bench.run(500)
  assert.deepEqual(last.values, ['c'])
})

test('the request-wide limit is spent in request order; the first batch comes whole although it is larger', async () => {
  const bench = await steady()
  bench.create(1)
  await bench.run(1000)
  bench.produce(1, ['x'.repeat(500)])
  bench.produce(1, ['y'], -1, { partition: 1 })
  await bench.run(100)
  const partitions = [0, 1].map((partition) => ({
    topic: TOPIC,
    partition,
    fetchOffset: 0,
    logStartOffset: -1,
    maxBytes: 1 << 20,
  }))
  assert.deepEqual(bench.consume(1, 0, { partitions, maxBytes: 100 }).values, ['x'.repeat(500)])
  assert.deepEqual(bench.consume(1, 0, { partitions, maxBytes: 100_000 }).values, ['x'.repeat(500), 'y'])
})

test('held turns: several appends wake a waiting follower once', async () => {
  const bench = await steady()
  const replicas = bench.replicas(1)
  let answers = 0
  let bytes = 0
  const fetch = { topic: TOPIC, partition: 0, fetchOffset: 0, logStartOffset: 0, maxBytes: 1 << 20 }
  const params = {
    replicaId: 2,
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 1 << 20,
    minOneMessage: true,
    isolation: 'readUncommitted' as const,
  }
  replicas.fetch({ ...params, partitions: [fetch] }, (results) => {
    answers++
    bytes = results[0]!.records!.size
  })
  replicas.holdTurn()
  for (const value of ['a', 'b', 'c']) bench.produce(1, [value], 1)
  assert.equal(answers, 0)
  replicas.releaseTurn()
  assert.equal(answers, 1)
  assert.equal(bytes, 3 * batchOf(['a']).length)
})

test('a replica that is not assigned gets records, as from a running 1.1.1, and does not count', async () => {
  const bench = await steady({ brokers: 3 })
  bench.produce(1, ['a'], 1)
  const fetched = bench.consume(1, 0, { replicaId: 9 })
  assert.equal(fetched.results![0]!.error, 0)
  assert.deepEqual(fetched.values, ['a'])
  assert.deepEqual(bench.isr(1), [1, 2, 3])
})

test('fetch sessions: full first, then only what changed; a lost session falls back to a full fetch', async () => {
  const bench = await Bench.start({ brokers: 2 })
  bench.recordRequests = true
  for (let partition = 0; partition < 20; partition++) bench.create(partition, [1, 2])
  await bench.run(2000)
  const fetches = () => bench.requests.filter((one) => one.api === 'Fetch').map((one) => one.request as RequestOf<'Fetch'>)
  const full = fetches().find((one) => one.topics[0]?.partitions.length === 20)
  assert.ok(full !== undefined, 'a fetch that names all partitions')
  assert.equal(full.epoch, 0)
  bench.requests.length = 0
  bench.produce(1, ['a'], -1, { partition: 3 })
  await bench.run(100)
  const named = fetches().map((one) => one.topics.flatMap((topic) => topic.partitions.map((p) => [p.partition, p.fetchOffset])))
  assert.deepEqual(named, [[[3, 1]]])
  assert.ok(fetches()[0]!.epoch > 0)

  bench.brokers.get(1)!.process!.sessions.clear()
  bench.requests.length = 0
  bench.produce(1, ['b'], -1, { partition: 4 })
  await bench.run(1000)
  assert.deepEqual(
    fetches()
      .slice(0, 2)
      .map((one) => [one.epoch > 0, one.topics[0]?.partitions.length ?? 0]),
    [
      [true, 1],
      [false, 20],
    ],
  )
  assert.deepEqual(bench.values(2, 4), ['b'])
})

test('a session of many partitions is built up by several requests, which do not wait for data', async () => {
  const bench = await Bench.start({ brokers: 2 })
  bench.recordRequests = true
  for (let partition = 0; partition < 1200; partition++) bench.create(partition, [1, 2])
  const began = bench.clock.now()
  const isThere = (): boolean =>
    bench.requests.some(({ api, request }) => api === 'Fetch' && (request as RequestOf<'Fetch'>).maxWaitTime > 0)
  await bench.until(isThere, 2000, 'a fetch that may wait')
  const fetches = bench.requests.filter((one) => one.api === 'Fetch').map((one) => one.request as RequestOf<'Fetch'>)
  const last = fetches.slice(fetches.findLastIndex(({ epoch }) => epoch === 0))
  const named = last.map(({ topics }) => topics.flatMap(({ partitions }) => partitions).length)
  assert.deepEqual(named.slice(0, 3), [500, 500, 200])
  assert.deepEqual(
    last.slice(0, 3).map(({ maxWaitTime }) => maxWaitTime === 0),
    [true, true, false],
  )
  const produced = bench.produce(1, ['a'], -1, { partition: 1199 })
  await bench.until(() => produced.results !== undefined, 1000, 'ack')
  assert.equal(produced.results![0]!.error, 0)
  assert.ok(bench.clock.now() - began < 2500)
})

test('partitions that appear while a fetch is parked do not wait for it', async () => {
  const bench = await Bench.start({ brokers: 2 })
  bench.create(0, [1, 2])
  await bench.run(1020)
  bench.create(1, [1, 2])
  const start = bench.clock.now()
  const produced = bench.produce(1, ['a'], -1, { partition: 1 })
  await bench.until(() => produced.results !== undefined, 1000, 'ack')
  assert.ok(produced.at! - start < 50, `${produced.at! - start} ms`)
})

test('a partition that its leader refuses for ever does not keep others from hearing what is committed', async () => {
  const bench = await Bench.start({ config: { replicaFetchBackoffMs: 300 } })
  for (const partition of [0, 1]) bench.create(partition)
  await bench.run(1000)
  bench.elect(1, [1, 2, 3], 1)
  bench.announce([2], 1)
  bench.elect(3, [1, 2, 3], 1)
  bench.announce([1, 3], 1)
  await bench.run(5000)
  bench.produce(1, ['a'])
  await bench.until(() => bench.highWatermark(2) === 1, 2000, 'the last high watermark, which only the next fetch brings')
})

test('corrupt data is contained to its partition and fetched again after the backoff', async () => {
  const bench = await Bench.start({ brokers: 2 })
  bench.create(0, [1, 2])
  bench.create(1, [1, 2])
  await bench.run(1000)
  const log = bench.replicas(1).partition(TOPIC, 0)!.log!
  const read = log.read.bind(log)
  let broken = true
  log.read = (...args) => {
    const found = read(...args)
    if (!broken || found.records === undefined) return found
    const { size, copyTo } = found.records
    const damaged = (target: Buffer, offset: number) => {
      copyTo.call(found.records, target, offset)
      target[offset + size - 1]! ^= 1
    }
    return { ...found, records: { ...found.records, size, copyTo: damaged } }
  }
  bench.produce(1, ['a'], 1)
  const other = bench.produce(1, ['b'], -1, { partition: 1 })
  await bench.run(50)
  assert.equal(errorOf(other), 0)
  assert.equal(bench.end(2), 0)
  broken = false
  await bench.until(() => bench.highWatermark(1) === 1, 2000, 'refetch')
  assert.deepEqual(bench.values(2), ['a'])
  assert.ok(bench.logLines(2).some((line) => line.includes('Found invalid records')))
})

test('a leader that is away: the fetcher waits for the backoff and goes on when it is back', async () => {
  const bench = await steady()
  bench.cut(1, 2)
  bench.produce(1, ['a'], 1)
  await bench.run(5000)
  assert.equal(bench.end(2), 0)
  assert.equal(bench.end(3), 1)
  bench.heal()
  await bench.until(() => bench.end(2) === 1, 3000, 'catch up')
})

test('DeleteRecords at the leader reaches the followers with their next fetches', async () => {
  const bench = await steady()
  bench.produce(1, ['a'])
  bench.produce(1, ['b'])
  await bench.run(1000)
  bench.replicas(1).partition(TOPIC, 0)!.log!.maybeIncrementLogStartOffset(1)
  await bench.run(1100)
  assert.equal(bench.replicas(2).partition(TOPIC, 0)!.log!.logStartOffset, 1)
  assert.equal(bench.replicas(3).partition(TOPIC, 0)!.log!.logStartOffset, 1)
})

test('a follower behind the start of the leader wipes its log and begins there', async () => {
  const bench = await steady()
  bench.kill(3)
  for (const value of ['a', 'b', 'c']) bench.produce(1, [value], 1)
  await bench.run(20_000)
  assert.deepEqual(bench.isr(1), [1, 2])
  bench.replicas(1).partition(TOPIC, 0)!.log!.maybeIncrementLogStartOffset(2)
  await bench.startBroker(3)
  bench.elect(1, [1, 2])
  bench.announce()
  await bench.until(() => bench.isr(1).length === 3, 10_000, 'return')
  assert.equal(bench.replicas(3).partition(TOPIC, 0)!.log!.logStartOffset, 2)
  assert.deepEqual(bench.values(3), ['c'])
})

test('shutdown answers what waits and checkpoints the high watermarks; they come back after a restart', async () => {
  const bench = await steady()
  bench.produce(1, ['a'])
  await bench.run(600)
  bench.cut(1, 2)
  const waiting = bench.produce(1, ['b'])
  const parked = bench.consume(1, 1, { maxWaitMs: 60_000 })
  await bench.replicas(1).shutdown()
  assert.equal(errorOf(waiting), ErrorCode.NOT_LEADER_FOR_PARTITION)
  assert.notEqual(parked.results, undefined)
  bench.kill(1)
  const replicas = await bench.startBroker(1)
  bench.elect(2, [2, 3])
  bench.announce([1])
  assert.equal(replicas.partition(TOPIC, 0)!.highWatermark, 1)
})
