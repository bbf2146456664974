import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { baseOffset, lastOffset, nextBatch } from '../protocol/records/index.ts'
import { Bench, errorOf, TOPIC } from './testing-bench.ts'

/** Batches follow each other up to the log end. */
function assertNoHole(bench: Bench, id: number): void {
  const bytes = bench.bytes(id)
  let next = 0
  for (let at = 0, size = 0; (size = nextBatch(bytes, at, bytes.length)) > 0; at += size) {
    assert.equal(baseOffset(bytes, at), next)
    next = lastOffset(bytes, at) + 1
  }
  assert.equal(bench.end(id), next)
}

/**
 * 1 leads epoch 0: a, and x, y alone. 2 leads epoch 1 alone: p, q, r in one batch (offsets 1 - 3). 1 leads epoch 2: z at 3, so that its answer
 * for epoch 1, 3, lies in the middle of 2's batch. After `askedMs` of asking, 2 is made the leader.
 */
async function ledWhileAligning(askedMs: number): Promise<Bench> {
  const bench = await Bench.start({ topicConfig: { 'min.insync.replicas': '1' } })
  bench.create()
  await bench.run(1000)
  bench.produce(1, ['a'])
  await bench.run(1000)
  for (const id of [2, 3]) bench.cut(1, id)
  bench.produce(1, ['x', 'y'], 1)
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  bench.produce(2, ['p', 'q', 'r'], 1)
  bench.elect(1, [1, 2, 3])
  bench.announce([1])
  bench.produce(1, ['z'], 1)
  bench.heal()
  bench.announce([2, 3])
  await bench.run(askedMs)
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  return bench
}

test('who leads before it knows what to cut has cut nothing, or whole batches: no hole in the log', async () => {
  const found = new Set<string>()
  for (let askedMs = 0; askedMs < 20; askedMs++) {
    const bench = await ledWhileAligning(askedMs)
    assertNoHole(bench, 2)
    found.add(bench.values(2).join(''))
    const produced = bench.produce(2, ['b'])
    bench.announce([1, 3])
    await bench.until(() => errorOf(produced) === 0, 5000, 'acknowledged by all')
    for (const id of [1, 2, 3]) assertNoHole(bench, id)
    assert.deepEqual([bench.bytes(1), bench.bytes(3)], [bench.bytes(2), bench.bytes(2)])
  }
  // Led with its own batch, with the common beginning, and with what the other leader had.
  assert.deepEqual([...found], ['apqr', 'a', 'axyz'])
})

/** 1 leads epoch 1: a, that all have; then 3 is cut off from it. */
async function leadsWithout3(bench: Bench): Promise<void> {
  bench.create()
  await bench.run(1000)
  bench.elect(1, [1, 2, 3])
  bench.announce()
  bench.produce(1, ['a'])
  await bench.run(1000)
  bench.cut(1, 3)
}

/** 3 leads, 1 follows it and drops all but a, then leads again and gets p, q; 2 hears of neither. */
async function leadsAgain(bench: Bench, limitMs: number): Promise<ReturnType<Bench['produce']>> {
  bench.heal()
  bench.elect(3, [1, 2, 3])
  bench.announce([3, 1])
  await bench.until(() => bench.end(1) === 1, limitMs, 'what 3 does not have is gone')
  bench.elect(1, [1, 2, 3])
  bench.announce([1, 3])
  return bench.produce(1, ['p', 'q'])
}

/**
 * 1 leads epoch 1: a, and x, y that 2 has and 3 has not. 2 asks it in epoch 2 where epoch 1 ends; while the answer is under way 3 leads epoch 3,
 * 1 follows it and drops x, y, then leads epoch 4 and gets p, q. 2 hears of neither epoch.
 */
async function deposedWhileAsked(): Promise<{ bench: Bench; ack: () => number | undefined }> {
  let delayMs = 1
  const bench = await Bench.start({ delay: () => delayMs })
  await leadsWithout3(bench)
  bench.produce(1, ['x', 'y'], 1)
  await bench.run(50)
  assert.deepEqual([bench.end(2), bench.end(3)], [3, 1])
  bench.elect(1, [1, 2, 3])
  bench.announce([1])
  bench.kill(2)
  await bench.startBroker(2)
  bench.recordRequests = true
  bench.announce([2])
  const asked = () => bench.requests.filter(({ from, api }) => from === 2 && api === 'OffsetForLeaderEpoch').length
  await bench.until(() => asked() === 2, 100, 'the question for epoch 1')
  delayMs = 400
  await bench.run(1)
  delayMs = 1
  const produced = await leadsAgain(bench, 300)
  await bench.until(() => asked() === 3, 500, 'the late answer, and the next question')
  return { bench, ack: () => errorOf(produced) }
}

test('answers of two leaderships of one leader do not make an alignment', async () => {
  const { bench, ack } = await deposedWhileAsked()
  await bench.run(900)
  assert.deepEqual([bench.values(2), bench.values(3), ack()], [['a', 'x', 'y'], ['a', 'p', 'q'], undefined])
  await bench.until(() => bench.end(2) === 1, 1000, 'asks from the beginning')
  bench.announce([2])
  await bench.until(() => ack() === 0, 2000, 'acknowledged')
  assert.deepEqual(bench.values(2), ['a', 'p', 'q'])
})

test('an answer that is lost with its connection: the questions begin again', async () => {
  const { bench, ack } = await deposedWhileAsked()
  // The third question reaches the leader, which answers into a broken connection.
  bench.cuts.add('1>2')
  await bench.run(350)
  bench.heal()
  await bench.until(() => bench.requests.some(({ from, api }) => from === 2 && api === 'Fetch'), 5000, 'aligned')
  await bench.run(10)
  assert.deepEqual([bench.values(2), ack()], [['a'], undefined])
})

/**
 * p, q at 1, 2 are 3's alone, of epoch 1; x, y at 1, 2 of epochs 2 and 3 came to 2 from 1, who led both. Then 3 leads epoch 4, 1 follows it and drops
 * x, y for p, q, and leads epoch 5. 2 has heard of neither and asks again where epoch 3 ends, which it was told of and has records of: at 3,
 * where its own log ends.
 */
test('the leader no longer has what it sent in the epoch that the follower knows: that epoch is asked for like every other', async () => {
  const bench = await Bench.start({ topicConfig: { 'min.insync.replicas': '1' } })
  bench.create()
  await bench.run(1000)
  bench.produce(1, ['a'])
  await bench.run(1000)
  for (const id of [1, 2]) bench.cut(3, id)
  bench.elect(3, [1, 2, 3])
  bench.announce([3])
  bench.produce(3, ['p', 'q'], 1)
  for (const value of ['x', 'y']) {
    bench.elect(1, [1, 2, 3])
    bench.announce([1, 2])
    bench.produce(1, [value], 1)
    await bench.run(200)
  }
  assert.deepEqual([bench.values(2), bench.values(3)].map(String), ['a,x,y', 'a,p,q'])
  bench.heal()
  bench.elect(3, [1, 2, 3])
  bench.announce([3, 1])
  await bench.until(() => String(bench.values(1)) === 'a,p,q', 2000, '1 follows 3')
  bench.elect(1, [1, 2, 3])
  bench.announce([1, 3])
  const produced = bench.produce(1, ['b'])
  await bench.until(() => bench.end(2) === 1, 5000, 'nothing is left of what 1 does not have any more')
  await bench.run(100)
  assert.deepEqual([bench.highWatermark(1), errorOf(produced)], [1, undefined])
  bench.announce([2])
  await bench.until(() => errorOf(produced) === 0, 2000, 'acknowledged')
  for (const id of [1, 2, 3]) assert.equal(String(bench.values(id)), 'a,p,q,b')
})

const STALL_MS = 1500

/**
 * 2 has a, x, y of epoch 1 from 1, and asks for more: that fetch, at 3, stands still. 3 leads epoch 2, 1 follows it and drops x, y, then leads
 * epoch 3 and gets p, q. 2 hears of that, and asks where epochs end over a new connection. No answer comes through.
 */
async function fetchOnTheWay(): Promise<{ bench: Bench; arrives: number; ack: () => number | undefined }> {
  let arrives = -1
  const isToStall = () => {
    const { from, to, api, request } = bench?.requests.at(-1) ?? {}
    return arrives < 0 && `${from}>${to} ${api}` === '2>1 Fetch' && JSON.stringify(request).includes('"fetchOffset":3')
  }
  const delay = (): number => {
    if (!isToStall()) return 1
    arrives = bench!.clock.now() + STALL_MS
    return STALL_MS
  }
  let bench: Bench | undefined
  bench = await Bench.start({ delay })
  await leadsWithout3(bench)
  bench.recordRequests = true
  bench.produce(1, ['x', 'y'], 1)
  await bench.run(50)
  assert.deepEqual([bench.end(2), bench.end(3)], [3, 1])
  const produced = await leadsAgain(bench, 500)
  bench.cuts.add('1>2')
  bench.announce([2])
  const asked = () => bench!.requests.some(({ from, api }) => from === 2 && api === 'OffsetForLeaderEpoch')
  await bench.until(asked, 100, 'asked over another connection')
  await bench.run(10)
  assert.ok(bench.clock.now() < arrives)
  return { bench, arrives, ack: () => errorOf(produced) }
}

test('a fetch that was sent before the questions, over an older connection, does not count when it comes after them', async () => {
  const { bench, arrives, ack } = await fetchOnTheWay()
  await bench.run(arrives - bench.clock.now() + 10)
  assert.deepEqual([bench.values(2), bench.values(3)].map(String), ['a,x,y', 'a,p,q'])
  assert.deepEqual([ack(), bench.highWatermark(1)], [undefined, 1])
  bench.heal()
  await bench.until(() => ack() === 0, 5000, 'acknowledged')
  assert.equal(String(bench.values(2)), 'a,p,q')
})

test('a follower that goes on fetching over what seems to be an older connection counts from its second fetch on', async () => {
  const bench = await Bench.start()
  bench.create()
  await bench.run(1000)
  bench.kill(3)
  bench.produce(1, ['a'])
  const topics = [{ topic: TOPIC, partitions: [{ partition: 0, leaderEpoch: 0 }] }]
  bench.replicas(1).offsetsForLeaderEpoch({ topics }, 'broker-3-fetcher-0', 1001)
  const fetched = (connection: number, offset: number): number => {
    bench.consume(1, offset, { replicaId: 3, connection })
    return bench.highWatermark(1)
  }
  await bench.run(100)
  assert.deepEqual([bench.end(2), bench.highWatermark(1)], [1, 0])
  assert.deepEqual([fetched(1000, 1), fetched(999, 1), fetched(1000, 1), fetched(999, 1)], [0, 0, 0, 0])
  assert.deepEqual([fetched(999, 1), fetched(1000, 1)], [1, 1])
})

test('a follower that was one of ours and is a 1.1.1 now, which asks once, counts after it was told twice to ask', async () => {
  const bench = await Bench.start({ topicConfig: { 'min.insync.replicas': '1' } })
  bench.create()
  await bench.run(1000)
  bench.produce(1, ['a'])
  await bench.run(1000)
  bench.kill(3)
  for (const leader of [2, 1]) {
    bench.elect(leader, [1, 2])
    bench.announce([1, 2])
    await bench.run(100)
  }
  const topics = [{ topic: TOPIC, partitions: [{ partition: 0, leaderEpoch: 0 }] }]
  const answer = bench.replicas(1).offsetsForLeaderEpoch({ topics }, 'broker-3-fetcher-0').topics[0]!.partitions[0]!
  assert.deepEqual(answer, { errorCode: 0, partition: 0, endOffset: 1 })
  const errors = [1, 2, 3].map(() => bench.consume(1, 1, { replicaId: 3 }).results![0]!.error)
  assert.deepEqual(errors, [ErrorCode.NOT_LEADER_FOR_PARTITION, ErrorCode.NOT_LEADER_FOR_PARTITION, ErrorCode.NONE])
  await bench.until(() => bench.isr(1).length === 3, 100, 'back in the ISR')
})

/** x, y are 1's, which leads epoch 1, and 3's; 2 has only a, hears of nothing and is told of nothing. */
async function leadsWithout2(): Promise<Bench> {
  const bench = await Bench.start()
  await leadsWithout3(bench)
  bench.heal()
  bench.cut(1, 2)
  bench.produce(1, ['x', 'y'], 1)
  await bench.until(() => bench.end(3) === 3, 1000, '3 has x, y')
  return bench
}

/** 2 is elected, and hears of it, then 1, of which both hear. Told late that 2 leads, 3 would drop x, y. */
async function waitsFor3(bench: Bench): Promise<void> {
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  bench.elect(1, [1, 2, 3])
  bench.announce([1])
  bench.heal()
  bench.announce([2])
  await bench.until(() => bench.end(2) === 3, 5000, '2 has x, y')
  await bench.run(3000)
  // A leader that was started again may not know that a is committed, until 3 tells.
  assert.ok(bench.highWatermark(1) <= 1, `${bench.highWatermark(1)} is committed without 3`)
  bench.announce([3])
  await bench.until(() => bench.highWatermark(1) === 3, 2000, 'committed')
  assert.equal(String(bench.values(3)), 'a,x,y')
}

test('a leader does not count a follower that has heard of nothing since it led before: it may yet follow who led in between', async () => {
  await waitsFor3(await leadsWithout2())
})

test('nor does one that was started again, when the follower asks: two questions in a row are those of a broker of ours', async () => {
  const bench = await leadsWithout2()
  bench.kill(1)
  await bench.startBroker(1)
  bench.cut(1, 3)
  for (let i = 0; i < 2; i++) bench.elect(1, [1, 2, 3])
  bench.announce([3])
  await bench.run(100)
  await waitsFor3(bench)
})
