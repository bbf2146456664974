/** Events about very many partitions: several turns, and nothing else is different. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle, VirtualClock } from '../ports/memory/virtual-clock.ts'
import { ControllerContext, type PartitionEntry } from './context.ts'
import { FEW_PARTITIONS, Pace } from './pace.ts'
import { inMapOrder, inPickedOrder } from './partition-order.ts'
import { RequestBatch } from './request-batch.ts'
import { registration, TestCluster } from './testing-cluster.ts'
import type { BrokerRpc, ControlApi } from './types.ts'

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Every look at the time finds that half a millisecond has passed. */
class SlowClock extends VirtualClock {
  private looks = 0

  override now(): number {
    return super.now() + this.looks++ / 2
  }
}

interface Sent {
  readonly to: number
  readonly api: ControlApi
  readonly request: object
}

function setup(clock: VirtualClock, partitions: number) {
  const ctx = new ControllerContext(1, 9)
  for (const id of [1, 2, 3]) ctx.brokers.set(id, registration(id))
  const sent: Sent[] = []
  const rpc: BrokerRpc = {
    addBroker: () => {},
    removeBroker: () => {},
    send: (to, api, request) => sent.push({ to, api, request }),
  }
  const listener = { onLeaderAndIsrResponse: () => {}, onReplicasDeleted: () => {}, onStaleControllerEpoch: () => {} }
  const batch = new RequestBatch(ctx, rpc, clock, 'PLAINTEXT', listener, log)
  const replicas = [1, 2, 3]
  const entries = ctx.addPartitions('t', new Map(Array.from({ length: partitions }, (_, partition) => [partition, replicas])))
  for (const entry of entries) {
    entry.leadership = { leader: 1 + (entry.partition % 3), leaderEpoch: 4, isr: replicas, controllerEpoch: 8, zkVersion: 2 }
    batch.addLeaderAndIsr(replicas, entry, false)
    batch.addStopReplica(3, entry, false)
  }
  return { ctx, batch, sent, entries }
}

/** Turns that pass until `work` is done. */
async function turns(clock: VirtualClock, work: Promise<void> | undefined): Promise<number> {
  let isDone = false
  void work?.then(() => (isDone = true))
  await settle()
  let count = 0
  for (; !isDone; count++) {
    assert.ok(clock.step(), 'waits for nothing')
    await settle()
  }
  return count
}

test('a batch of 5,000 partitions takes several turns and says what one turn would have said', async () => {
  const slow = new SlowClock()
  const long = setup(slow, 5000)
  const flushing = long.batch.flush()
  assert.deepEqual(long.sent, [], 'the first slice is not enough for one request')
  const taken = await turns(slow, flushing)
  assert.ok(taken >= 20, `${taken} turns`)
  const once = setup(new VirtualClock(), 5000)
  await once.batch.flush()
  assert.deepEqual(long.sent, once.sent)
  assert.deepEqual(
    long.sent.map(({ to, api }) => `${to} ${api}`),
    [...[1, 2, 3].map((to) => `${to} LeaderAndIsr`), ...[1, 2, 3].map((to) => `${to} UpdateMetadata`), '3 StopReplica'],
  )
  long.sent.length = 0
  assert.equal(long.batch.flush(), undefined, 'nothing is sent twice')
  assert.deepEqual(long.sent, [])
})

test('what is collected during a long flush belongs to the next one', async () => {
  const clock = new SlowClock()
  const { batch, sent, entries } = setup(clock, 2000)
  const flushing = batch.flush()
  batch.addStopReplica(1, entries[0]!, false)
  await turns(clock, flushing)
  assert.equal(sent.length, 7)
  batch.flush()
  assert.deepEqual(
    sent.slice(7).map(({ to, api }) => `${to} ${api}`),
    ['1 StopReplica'],
  )
})

test('a term that ends in the middle sends nothing more', async () => {
  const clock = new SlowClock()
  const { batch, sent } = setup(clock, 5000)
  const flushing = batch.flush()
  while (sent.length === 0) {
    assert.ok(clock.step())
    await settle()
  }
  const before = sent.length
  batch.clear()
  await turns(clock, flushing)
  assert.equal(sent.length, before)
  assert.ok(before < 7)
})

test('few partitions go out in the turn of the flush, however slow it is', () => {
  const clock = new SlowClock()
  const { batch, sent } = setup(clock, FEW_PARTITIONS)
  assert.equal(batch.flush(), undefined)
  assert.equal(sent.length, 7)
  assert.equal(clock.pending, 0)
})

test('brokers that are to hear the same share one request; one for which a partition is new has its own', () => {
  const { batch, sent, entries } = setup(new VirtualClock(), 3)
  batch.addLeaderAndIsr([3], entries[1]!, true)
  batch.flush()
  const [first, second, third, ...others] = sent.map(({ request }) => request)
  assert.equal(first, second)
  assert.notEqual(first, third)
  assert.equal(others[0], others[1])
  assert.equal(others[0], others[2])
})

test('loops over few partitions end in the turn in which they begin, over many they have breaks', async () => {
  const clock = new SlowClock()
  const pace = new Pace(clock)
  const visited: number[] = []
  const few = Array.from({ length: FEW_PARTITIONS }, (_, i) => i)
  void pace.each(few, (i) => visited.push(i))
  assert.deepEqual(visited, few)
  assert.equal(clock.pending, 0)
  visited.length = 0
  const many = Array.from({ length: 5000 }, (_, i) => i)
  const taken = await turns(
    clock,
    pace.each(many, (i) => visited.push(i)),
  )
  assert.deepEqual(visited, many)
  assert.ok(taken >= 5, `${taken} turns`)
  await assert.rejects(
    pace.each(many, () => {
      throw new Error('fenced')
    }),
    /fenced/,
  )
})

test('one slice is shared by the loops of a turn, and begins anew in another turn', async () => {
  const clock = new SlowClock()
  const pace = new Pace(clock)
  for (let i = 0; i < 8; i++) await pace.rest()
  assert.equal(clock.pending, 1, 'nobody has waited')
  await clock.advance(0)
  for (let i = 0; i < 8; i++) await pace.rest()
  let isOver = false
  const loops = (async () => {
    for (let i = 0; i < 8; i++) await pace.rest()
    isOver = true
  })()
  await settle()
  assert.ok(!isOver, 'together they are too long')
  await turns(clock, loops)
})

test('the orders of many partitions are those of comparing them one by one', () => {
  const ctx = new ControllerContext(1, 1)
  const entries: PartitionEntry[] = []
  for (let topic = 0; topic < 40; topic++)
    entries.push(...ctx.addPartitions(`topic-${topic}`, new Map(Array.from({ length: 50 }, (_, i) => [i, [1]]))))
  const twice = [...entries, ...entries.slice(0, 100)]
  const expected = twice.toSorted((a, b) => a.order - b.order)
  assert.deepEqual(inMapOrder(twice), expected)
  assert.deepEqual(
    inPickedOrder(
      twice.map((entry, place) => ({ entry, place })),
      ({ entry }) => entry,
    ).map(({ entry }) => entry),
    expected,
  )
  const places = inPickedOrder(
    twice.map((entry, place) => ({ entry, place })),
    ({ entry }) => entry,
  )
  assert.ok(
    places.every((one, i) => i === 0 || places[i - 1]!.entry !== one.entry || places[i - 1]!.place < one.place),
    'stable',
  )
})

test('topics of very many partitions live through creation, loss, return, election, shutdown and a failover of the controller', async () => {
  const cluster = new TestCluster({}, new SlowClock())
  await cluster.start(1, 2, 3)
  const replicas = (partition: number): number[] => [0, 1, 2].map((i) => 1 + ((partition + i) % 3))
  for (const topic of ['t', 'u']) await cluster.createTopic(topic, ...Array.from({ length: 600 }, (_, i) => replicas(i)))
  const all = ['t', 'u'].flatMap((topic) => Array.from({ length: 600 }, (_, partition) => ({ topic, partition })))
  assert.deepEqual(await cluster.problems(), [])
  assert.equal(cluster.controller.id, 1)
  await cluster.kill(3)
  await cluster.settle(300)
  assert.deepEqual(
    (await cluster.problems()).filter((line) => !line.includes('3')),
    [],
  )
  assert.equal(await cluster.stateLine('u', 2), 'leader 1 epoch 1 isr [1,2] v1')
  await cluster.start(3)
  await cluster.settle(300)
  await cluster.catchUp()
  await cluster.zk.createPreferredReplicaElection(all)
  await cluster.settle(300)
  assert.deepEqual(await cluster.problems(), [])
  assert.equal(cluster.broker(3).leaders.get('u-2'), 3)
  let left: readonly unknown[] | undefined
  cluster.controller.controller.controlledShutdown(2, (_, remaining) => (left = remaining))
  await cluster.settle(300)
  assert.deepEqual(left, [])
  await cluster.kill(2)
  await cluster.kill(1)
  await cluster.settle(300)
  assert.equal(cluster.controller.id, 3)
  assert.deepEqual(await cluster.problems(), [])
  assert.ok([...cluster.broker(3).leaders.values()].every((leader) => leader === 3))
})
