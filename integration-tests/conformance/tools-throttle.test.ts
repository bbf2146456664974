/**
 * G17: replication throttles as Apache's reassignment tool sets them (KIP-73): rates in `/config/brokers/<id>`, throttled replicas in
 * `/config/topics/<topic>`, each with its notification. A move at T bytes per second takes its time, and a raised rate lets it go at once.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually, kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

const RATE = 400_000
const RECORD = 10_000
const RECORDS = 400

describe('a throttled reassignment', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      properties: { 'replica.fetch.max.bytes': 100_000, 'replica.fetch.response.max.bytes': 100_000 },
    })
  })
  after(() => cluster.close())

  async function configure(type: 'brokers' | 'topics', entity: string, config: Record<string, string>): Promise<void> {
    await cluster.zk.setConfig(type, entity, config)
    await cluster.zk.createConfigChangeNotification(`${type}/${entity}`)
    await Promise.all(
      cluster.brokers.map((broker) =>
        eventually(`broker ${broker.options.id} has read ${type}/${entity}`, () => {
          const lines = broker.log.split('\n').filter((line) => line.includes(`entityPath: ${type}/${entity} with config`))
          return Object.values(config).every((value) => lines.at(-1)?.includes(value)) && lines.length > 0
        }),
      ),
    )
  }

  /** A topic of 4 MB on one broker, and where it is to go. */
  async function filled(topic: string): Promise<{ from: number; to: number }> {
    await cluster.createTopic(topic, 1, 1)
    const line = `${'x'.repeat(RECORD)}\n`
    await kcat(cluster.bootstrap, ['-P', '-t', topic, '-p', '0', '-X', 'batch.num.messages=1'], line.repeat(RECORDS))
    const { leader } = await cluster.partitionState(topic, 0)
    return { from: leader, to: [0, 1, 2].find((id) => id !== leader) ?? assert.fail() }
  }

  /** Milliseconds from the request until the new replica leads. */
  async function move(topic: string, to: number, during: () => Promise<void> = async () => {}): Promise<number> {
    const began = performance.now()
    assert.equal(await cluster.zk.createReassignments(new Map([[`${topic}-0`, [to]]])), 'ok')
    await during()
    await eventually(`${topic} has moved`, async () => (await cluster.partitionState(topic, 0)).leader === to, 90_000)
    return performance.now() - began
  }

  const throttled = (from: number, to: number) => ({
    'leader.replication.throttled.replicas': `0:${from}`,
    'follower.replication.throttled.replicas': `0:${to}`,
  })
  const atLeast = (0.9 * (RECORDS * RECORD * 1000)) / RATE

  it('without a throttle it takes a moment', { timeout: 120_000 }, async () => {
    const { to } = await filled('free')
    const took = await move('free', to)
    process.stdout.write(`# 4 MB without a throttle: ${Math.round(took)} ms\n`)
    assert.ok(took < atLeast, `${took} ms`)
  })

  for (const side of ['leader', 'follower'] as const) {
    it(`by the ${side}'s rate`, { timeout: 180_000 }, async () => {
      const { from, to } = await filled(`by-${side}`)
      const broker = String(side === 'leader' ? from : to)
      await configure('topics', `by-${side}`, throttled(from, to))
      await configure('brokers', broker, { [`${side}.replication.throttled.rate`]: String(RATE) })
      const took = await move(`by-${side}`, to)
      process.stdout.write(`# 4 MB at ${RATE} B/s of the ${side}: ${Math.round(took)} ms\n`)
      assert.ok(took >= atLeast, `${took} ms, at least ${atLeast}`)
      await configure('brokers', broker, {})
    })
  }

  it('a raised rate counts at once', { timeout: 180_000 }, async () => {
    const { from, to } = await filled('raised')
    await configure('topics', 'raised', throttled(from, to))
    await configure('brokers', String(from), { 'leader.replication.throttled.rate': '1000' })
    const end = () => cluster.partitionState('raised', 0)
    const took = await move('raised', to, async () => {
      await sleep(3000)
      assert.equal((await end()).leader, from, 'at 1000 B/s it would take more than an hour')
      await configure('brokers', String(from), { 'leader.replication.throttled.rate': '100000000' })
    })
    assert.ok(took < 60_000, `${took} ms`)
  })
})
