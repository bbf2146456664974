import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeLogConfig } from '../log/log-config.ts'
import { Bench, errorOf, TOPIC } from './testing-bench.ts'

const UNCLEAN = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' }

/** What 1.1.1 would be asked, and what it gets: end of an epoch at a leader. */
function endAt(bench: Bench, leader: number, leaderEpoch: number, clientId: string | null): number {
  const topics = [{ topic: TOPIC, partitions: [{ partition: 0, leaderEpoch }] }]
  return bench.replicas(leader).offsetsForLeaderEpoch({ topics }, clientId).topics[0]!.partitions[0]!.endOffset
}

function setTopicConfig(bench: Bench, values: Readonly<Record<string, string>>): void {
  bench.topicConfig = makeLogConfig({}, values)
  for (const id of [1, 2, 3]) bench.replicas(id).updateTopicConfig(TOPIC, bench.topicConfig)
}

const asked = (bench: Bench, from: number, api: string): number =>
  bench.requests.filter((request) => request.from === from && request.api === api).length

/** 1 leads epoch 0: a, b, of which 2 has nothing, committed without it. Then 2, out of the ISR, leads epoch 1: p, q, r in one batch. */
async function uncleanly(topicConfig: Readonly<Record<string, string>>, faithful: readonly string[] = []): Promise<Bench> {
  const bench = await Bench.start({ topicConfig, faithful })
  bench.create()
  await bench.run(1000)
  bench.cut(1, 2)
  bench.produce(1, ['a'])
  bench.produce(1, ['b'])
  await bench.until(() => bench.highWatermark(3) === 2, 30_000, 'committed')
  bench.elect(2, [2])
  bench.announce([2])
  bench.produce(2, ['p', 'q', 'r'])
  bench.heal()
  bench.announce([1, 3])
  return bench
}

test('after an unclean election nothing is kept of epochs before the first one of the leader, whose log begins with that', async () => {
  const bench = await uncleanly(UNCLEAN)
  await bench.until(() => bench.isr(2).length === 3, 5000, 'all follow')
  for (const id of [1, 3]) assert.deepEqual(bench.bytes(id), bench.bytes(2))
  assert.deepEqual(bench.values(3), ['p', 'q', 'r'])
})

test('a genuine follower is told so as well, who is no follower hears what 1.1.1 says', async () => {
  const bench = await uncleanly(UNCLEAN)
  const answers = (clientId: string | null) => [-1, 0, 1, 2].map((epoch) => endAt(bench, 2, epoch, clientId))
  assert.deepEqual(answers('broker-3-fetcher-0'), [-1, 0, 3, -1])
  assert.deepEqual(answers('broker-9-fetcher-0'), [-1, 0, 3, -1])
  assert.deepEqual(answers('kafka-tool'), [-1, -1, 3, -1])
  assert.deepEqual(answers(null), [-1, -1, 3, -1])
})

test('where an epoch ends that the leader has not heard of is not known', async () => {
  const bench = await uncleanly(UNCLEAN, ['H5'])
  assert.equal(endAt(bench, 2, 2, 'broker-3-fetcher-0'), -1)
})

test('without unclean elections a leader that lacks what was committed makes nobody drop it (H11)', async () => {
  const bench = await uncleanly({ 'min.insync.replicas': '1' })
  assert.equal(endAt(bench, 2, 0, 'broker-3-fetcher-0'), -1)
  await bench.run(5000)
  assert.deepEqual(
    [bench.values(1), bench.values(3)],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
})

test('a leader that has nothing yet does not say where its first epoch starts', async () => {
  const bench = await Bench.start({ topicConfig: UNCLEAN })
  bench.create()
  bench.elect(1, [1])
  bench.announce([1])
  assert.equal(endAt(bench, 1, 0, 'broker-3-fetcher-0'), -1)
})

/** 1 leads epoch 1: a, b, committed on all, and x alone; 2 then leads epoch 2 with p at 2, and everything older is deleted there. */
async function trimmed(topicConfig: Readonly<Record<string, string>> = UNCLEAN): Promise<Bench> {
  const bench = await Bench.start({ topicConfig })
  bench.create()
  bench.elect(1, [1, 2, 3])
  bench.announce()
  await bench.run(1000)
  bench.produce(1, ['a', 'b'])
  await bench.until(() => [1, 2, 3].every((id) => bench.highWatermark(id) === 2), 5000, 'committed')
  bench.cut(1, 2)
  bench.cut(1, 3)
  bench.produce(1, ['x'], 1)
  await bench.run(50)
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  bench.produce(2, ['p'], 1)
  bench.replicas(2).partition(TOPIC, 0)!.log!.maybeIncrementLogStartOffset(2)
  bench.heal()
  bench.recordRequests = true
  return bench
}

/** Tells 1 who leads; how far its log goes back until it has p. */
async function lowestEnd(bench: Bench): Promise<number> {
  bench.announce([1])
  let lowest = bench.end(1)
  const isBack = (): boolean => {
    lowest = Math.min(lowest, bench.end(1))
    return bench.values(1).at(-1) === 'p'
  }
  await bench.until(isBack, 5000, '1 follows')
  return lowest
}

test('of a leader that has deleted all older epochs a follower keeps what lies below', async () => {
  const bench = await trimmed()
  assert.deepEqual(
    [2, 1, 0].map((epoch) => endAt(bench, 2, epoch, 'broker-1-fetcher-0')),
    [3, 2, 2],
  )
  const lowest = await lowestEnd(bench)
  assert.equal(lowest, 2, 'what the leader has deleted was committed')
  assert.equal(asked(bench, 1, 'ListOffsets'), 1)
  assert.deepEqual(bench.bytes(1).subarray(-bench.bytes(2).length), bench.bytes(2))
})

test('nor does it go back to a high watermark that it forgot, to an empty log that might lead, when unclean election is not allowed', async () => {
  const bench = await trimmed({ 'min.insync.replicas': '1' })
  assert.equal(endAt(bench, 2, 1, 'broker-1-fetcher-0'), -1)
  const { log } = bench.replicas(1).partition(TOPIC, 0)!
  // As after a kill -9 before the first checkpoint.
  log!.highWatermark = 0
  assert.equal(await lowestEnd(bench), 2)
})

/** x, y, which 1 alone has, are of epoch 0; a, b, c of epoch 1 are committed, and what lies below 2 is deleted again. Nobody has told 1. */
async function deletedWithoutIt(): Promise<Bench> {
  const bench = await Bench.start({ topicConfig: { 'min.insync.replicas': '1' } })
  bench.create()
  await bench.run(1000)
  for (const id of [2, 3]) bench.cut(1, id)
  bench.produce(1, ['x', 'y'], 1)
  bench.elect(2, [2, 3])
  bench.announce([2, 3])
  bench.produce(2, ['a', 'b', 'c'])
  await bench.until(() => bench.highWatermark(2) === 3, 30_000, 'committed')
  bench.replicas(2).partition(TOPIC, 0)!.log!.maybeIncrementLogStartOffset(2)
  bench.heal()
  return bench
}

test('what was never committed does not stay where the leader has deleted what was', async () => {
  const bench = await deletedWithoutIt()
  bench.replicas(2).partition(TOPIC, 0)!.log!.truncateFullyAndStartAt(3)
  bench.elect(2, [2, 3])
  bench.announce([2])
  bench.announce([1])
  await bench.until(() => bench.isr(2).includes(1), 10_000, '1 is in the ISR')
  const { log } = bench.replicas(1).partition(TOPIC, 0)!
  assert.deepEqual([log!.logStartOffset, log!.logEndOffset, bench.values(1)], [3, 3, []])
})

for (const highWatermark of [0, 2]) {
  test(`a log that ends where the leader's begins, within a batch there, goes on with that batch (${highWatermark})`, async () => {
    const bench = await deletedWithoutIt()
    bench.replicas(1).partition(TOPIC, 0)!.log!.highWatermark = highWatermark
    bench.announce([1])
    await bench.until(() => bench.end(1) === 3, 10_000, '1 follows')
    assert.deepEqual(bench.bytes(1), bench.bytes(2))
  })
}

test('a leader that is deposed before it says where its log starts: the questions begin again', async () => {
  const bench = await trimmed()
  bench.announce([1])
  await bench.until(() => asked(bench, 1, 'ListOffsets') === 1, 1000, 'asked for the log start')
  bench.elect(3, [1, 2, 3])
  bench.announce([2])
  bench.requests.length = 0
  await bench.until(() => bench.requests.some(({ from }) => from === 1), 5000, 'the next question')
  const first = bench.requests.find(({ from }) => from === 1)!
  assert.deepEqual([first.api, bench.end(1)], ['OffsetForLeaderEpoch', 3])
  assert.match(JSON.stringify(first.request), /"leaderEpoch":2/)
})

/**
 * Old-format records first, of which o2 is on 1 and 3 only; then 2 leads epoch 1 with new ones, `second` of them, 3 epoch 2 with x, and 2 epoch 3
 * with y. 3's only epoch is one that 2 never had, and its old records have none. What 3 knows to be committed ends at 2.
 */
async function oldFormatBelow(second: readonly string[]): Promise<Bench> {
  const bench = await Bench.start({ topicConfig: { 'min.insync.replicas': '1', 'message.format.version': '0.10.2' } })
  bench.create()
  await bench.run(1000)
  bench.produce(1, ['o0'])
  bench.produce(1, ['o1'])
  await bench.until(() => [1, 2, 3].every((id) => bench.highWatermark(id) === 2), 5000, 'committed')
  bench.cut(1, 2)
  bench.produce(1, ['o2'], 1)
  await bench.until(() => bench.end(3) === 3, 1000, 'o2 is on 3')
  bench.cut(1, 3)
  bench.cut(2, 3)
  setTopicConfig(bench, { 'min.insync.replicas': '1' })
  const lead = (id: number, values: readonly string[]) => {
    bench.elect(id, [1, 2, 3])
    bench.announce([id])
    for (const value of values) bench.produce(id, [value], 1)
  }
  lead(2, second)
  lead(3, ['x'])
  lead(2, ['y'])
  bench.heal()
  return bench
}

for (const second of [['w'], ['w', 'v', 'u']]) {
  test(`when all epochs of a log go, its records of the old format go down to the high watermark (${second.length})`, async () => {
    const bench = await oldFormatBelow(second)
    assert.deepEqual([bench.values(3), bench.highWatermark(3)], [['o0', 'o1', 'o2', 'x'], 2])
    const produced = bench.produce(2, ['z'])
    let lowest = bench.end(3)
    bench.announce([1, 3])
    await bench.until(
      () => {
        lowest = Math.min(lowest, bench.end(3))
        return errorOf(produced) === 0
      },
      5000,
      'acknowledged',
    )
    assert.equal(lowest, 2)
    for (const id of [1, 3]) assert.deepEqual(bench.bytes(id), bench.bytes(2))
    assert.deepEqual(bench.values(3), ['o0', 'o1', ...second, 'y', 'z'])
  })
}

test('old-format records below the first epoch: where an older epoch ends is not known', async () => {
  const bench = await oldFormatBelow(['w'])
  setTopicConfig(bench, UNCLEAN)
  assert.deepEqual(
    [-1, 0, 1, 2, 3].map((epoch) => endAt(bench, 2, epoch, 'broker-3-fetcher-0')),
    [-1, -1, 3, 3, 4],
  )
})
