import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bench } from './testing-bench.ts'
import { isThrottledReplica, WindowedRate } from './throttle.ts'

const KIB = 1024
const RATE = 10 * KIB
const VALUE = 'x'.repeat(KIB)

test('rates count whole windows and the current one, never less than one window', () => {
  const rate = new WindowedRate(3, 1)
  assert.equal(rate.value(0), 0)
  rate.record(600, 10_000)
  assert.equal(rate.value(10_000), 600)
  assert.equal(rate.value(10_900), 600)
  rate.record(600, 11_000)
  rate.record(600, 12_500)
  assert.equal(rate.value(12_500), 720)
  assert.equal(rate.value(13_100), (1200 * 1000) / 2100, 'the first window is out')
  assert.equal(rate.value(16_000), 0)
  rate.record(100, 16_000)
  assert.equal(rate.value(16_001), 100)
})

test('throttled replicas: none, all, by partition and broker', () => {
  const listed = '0:1,0:2,3:1'
  const throttled = (setting: string, partition: number, broker: number) => isThrottledReplica(setting, partition, broker)
  assert.deepEqual(
    [throttled('', 0, 1), throttled('*', 0, 1), throttled(listed, 0, 1), throttled(listed, 0, 2)],
    [false, true, true, true],
  )
  assert.deepEqual([throttled(listed, 0, 3), throttled(listed, 3, 2), throttled(listed, 1, 1)], [false, false, false])
})

interface Reader {
  /** How much of the 200 KiB the returning follower has after each second. */
  readonly kibibytes: readonly number[]
  readonly bench: Bench
}

/** Broker 2 was away while 200 KiB were written; how fast does it catch up? */
async function catchUp(options: Parameters<typeof Bench.start>[0]): Promise<Reader> {
  const bench = await Bench.start({
    brokers: 2,
    ...options,
    topicConfig: { 'min.insync.replicas': '1', ...options?.topicConfig },
    config: { replicaFetchMaxBytes: 5 * KIB, ...options?.config },
  })
  bench.create()
  await bench.run(1000)
  bench.kill(2)
  await bench.run(20_000)
  assert.deepEqual(bench.isr(1), [1])
  for (let i = 0; i < 200; i++) bench.produce(1, [VALUE])
  await bench.startBroker(2)
  bench.announce([2])
  const kibibytes: number[] = []
  for (let second = 0; second < 30; second++) {
    await bench.run(1000)
    kibibytes.push(bench.end(2))
  }
  return { kibibytes, bench }
}

function assertSlow({ kibibytes }: Reader): void {
  for (const second of [5, 10, 15]) {
    const have = kibibytes[second - 1]!
    assert.ok(have <= second * 10 + 15 && have >= second * 10 * 0.6, `${have} KiB after ${second} s at 10 KiB/s`)
  }
  assert.equal(kibibytes.at(-1), 200, 'it catches up in the end')
}

const throttledBy = (side: 'leader' | 'follower', replicas: string, rate = RATE) => ({
  topicConfig: { [`${side}.replication.throttled.replicas`]: replicas },
  config: side === 'leader' ? { leaderReplicationThrottledRate: rate } : { followerReplicationThrottledRate: rate },
})

test('without a throttle a returning follower catches up at once', async () => {
  const { kibibytes } = await catchUp({})
  assert.equal(kibibytes[0], 200)
})

test('leader: an out-of-sync follower of a listed partition gets no more than the rate', async () => {
  assertSlow(await catchUp(throttledBy('leader', '0:1')))
  assertSlow(await catchUp(throttledBy('leader', '*')))
})

test('follower: a listed replica asks for no more than the rate', async () => {
  assertSlow(await catchUp(throttledBy('follower', '0:2')))
  assertSlow(await catchUp(throttledBy('follower', '*')))
})

test('a rate without listed replicas, or other replicas listed, slows nothing', async () => {
  for (const side of ['leader', 'follower'] as const) {
    for (const replicas of ['', '1:1,1:2', side === 'leader' ? '0:2' : '0:1']) {
      const { kibibytes } = await catchUp(throttledBy(side, replicas))
      assert.equal(kibibytes[0], 200, `${side} '${replicas}'`)
    }
  }
})

test('replicas in sync are not slowed, but count', async () => {
  for (const side of ['leader', 'follower'] as const) {
    const bench = await Bench.start({ brokers: 2, ...throttledBy(side, '*', 1) })
    bench.create()
    await bench.run(1000)
    for (let i = 0; i < 20; i++) {
      bench.produce(1, [VALUE])
      await bench.run(100)
    }
    assert.equal(bench.end(2), 20, side)
    assert.deepEqual(bench.isr(1), [1, 2])
    const { leader, follower } = bench.figures(side === 'leader' ? 1 : 2).quotas
    assert.ok((side === 'leader' ? leader : follower).byteRate > KIB, `${side} counts`)
  }
})

test('a rate that is raised takes effect while replicas wait', async () => {
  for (const side of ['leader', 'follower'] as const) {
    const rates = { leader: Number.POSITIVE_INFINITY, follower: Number.POSITIVE_INFINITY, [side]: KIB }
    const config = {
      get leaderReplicationThrottledRate() {
        return rates.leader
      },
      get followerReplicationThrottledRate() {
        return rates.follower
      },
    }
    const topicConfig = { [`${side}.replication.throttled.replicas`]: '*', 'min.insync.replicas': '1' }
    const bench = await Bench.start({ brokers: 2, topicConfig, liveConfig: config })
    bench.create()
    await bench.run(1000)
    bench.kill(2)
    await bench.run(20_000)
    for (let i = 0; i < 200; i++) bench.produce(1, [VALUE.repeat(20)])
    await bench.startBroker(2)
    bench.announce([2])
    await bench.run(8000)
    assert.ok(bench.end(2) < 100, `${side}: ${bench.end(2)}`)
    rates[side] = Number.POSITIVE_INFINITY
    await bench.run(2500)
    assert.equal(bench.end(2), 200, side)
  }
})
