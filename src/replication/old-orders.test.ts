import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { doubtOf } from './old-orders.ts'
import type { Produced } from './testing-bench.ts'
import { Bench, errorOf, TOPIC } from './testing-bench.ts'

const STRICT: ReadonlySet<string> = new Set()

test('an order to lead is in doubt when the log is newer, or when it is the first one and its ISR is not full', () => {
  const order = (leaderEpoch: number, isr: readonly number[]) => ({ leaderEpoch, isr, replicas: [1, 2, 3] })
  assert.equal(doubtOf(order(3, [1, 2, 3]), -1, 3, STRICT), undefined)
  assert.match(doubtOf(order(3, [1, 2]), -1, 3, STRICT)!, /^ISR 1,2 may have grown/)
  // The predecessor may have led without a record: its epoch is in no file then.
  assert.match(doubtOf(order(3, [1, 2]), -1, 2, STRICT)!, /^ISR 1,2 may have grown/)
  assert.equal(doubtOf(order(3, [1, 2]), 2, 2, STRICT), undefined)
  // A still older order came first; the log shows that the predecessor led this one.
  assert.match(doubtOf(order(3, [1, 2]), 2, 3, STRICT)!, /^ISR 1,2 may have grown/)
  assert.match(doubtOf(order(3, [1, 2, 3]), 2, 4, STRICT)!, /^the log has epoch 4$/)
  assert.equal(doubtOf(order(3, [1, 2, 3]), 2, 4, new Set(['H5'])), undefined)
  assert.equal(doubtOf(order(3, [1, 2]), -1, 4, new Set(['H8'])), undefined)
  assert.equal(doubtOf({ leaderEpoch: 3, isr: [1], replicas: [1] }, -1, 3, STRICT), undefined)
})

/**
 * 1 leads epoch 1 by an order with ISR 1, 2, and lets 3 join. It is killed and started again, and the order, which the controller still has,
 * reaches it once more; 3 cannot fetch from it. What it is then asked to commit.
 */
async function oldOrderAgain(faithful: readonly string[]): Promise<{ bench: Bench; produced: Produced }> {
  const bench = await Bench.start({ faithful })
  bench.create()
  await bench.run(1000)
  const told = bench.elect(1, [1, 2])
  bench.announce()
  await bench.until(() => bench.zk.get(TOPIC, 0).isr.includes(3), 20_000, '3 is back')
  bench.kill(1)
  await bench.startBroker(1)
  bench.cut(1, 3)
  bench.announce([1], 0, told)
  await bench.run(100)
  const produced = bench.produce(1, ['a'], -1, { timeoutMs: 60_000 })
  await bench.run(2500)
  return { bench, produced }
}

test('H8: an order that a restarted leader gets once more leaves nobody out who joined the ISR since', async () => {
  const { bench, produced } = await oldOrderAgain([])
  assert.deepEqual(bench.isr(1), [1, 2, 3])
  assert.equal(errorOf(produced), undefined, 'acknowledged without 3')
  bench.heal()
  await bench.until(() => errorOf(produced) === 0, 20_000, 'acknowledged')
  assert.equal(bench.end(3), 1)
})

test('H8 faithful: it commits without a member of the ISR, who may be the next leader', async () => {
  const { bench, produced } = await oldOrderAgain(['H8'])
  assert.deepEqual(bench.isr(1), [1, 2])
  assert.equal(errorOf(produced), 0)
  assert.deepEqual([bench.zk.get(TOPIC, 0).isr.includes(3), bench.end(3)], [true, 0])
})

test('H8: when somebody else leads by now, the order is not followed, and the present one is', async () => {
  const bench = await Bench.start()
  bench.create()
  const told = bench.elect(1, [1, 2])
  bench.kill(1)
  bench.elect(2, [1, 2])
  bench.announce([2, 3])
  await bench.startBroker(1)
  bench.announce([1], 0, told)
  await bench.run(5000)
  assert.equal(errorOf(bench.produce(1, ['x'], 1)), ErrorCode.NOT_LEADER_FOR_PARTITION)
  bench.announce([1])
  await bench.run(3000)
  const produced = bench.produce(2, ['a'])
  await bench.until(() => errorOf(produced) === 0, 5000, 'acknowledged')
  assert.deepEqual(bench.values(1), ['a'])
})

test('an order in doubt waits until ZooKeeper can be read, and until its server has what the controller wrote', async () => {
  const bench = await Bench.start()
  bench.create()
  await bench.run(100)
  const before = bench.zk.get(TOPIC, 0)
  const order = bench.elect(1, [1, 2])
  bench.kill(1)
  await bench.startBroker(1)
  const leads = () => bench.replicas(1).partition(TOPIC, 0)?.isLeader === true
  bench.zk.cut.add(1)
  bench.announce([1])
  await bench.run(3000)
  assert.equal(leads(), false)
  bench.zk.states.set(`${TOPIC}-0`, before)
  bench.zk.cut.delete(1)
  await bench.run(3000)
  assert.equal(leads(), false)
  bench.zk.states.set(`${TOPIC}-0`, order)
  await bench.until(leads, 5000, 'confirmed')
})
