import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { committedIsr, highWatermarkCandidate, maximalIsr, mayJoinIsr, pendingIsr, RemoteReplica, shrinkIsr } from './isr.ts'
import { Bench, errorOf, LOG_DIR, TOPIC } from './testing-bench.ts'

test('a pending ISR counts both lists', () => {
  const committed = committedIsr([1, 2, 3], 7)
  assert.deepEqual(maximalIsr(committed), [1, 2, 3])
  assert.deepEqual(maximalIsr(pendingIsr(committed, [1, 3])), [1, 2, 3])
  assert.deepEqual(maximalIsr(pendingIsr(committedIsr([1], 7), [1, 2])), [1, 2])
  assert.equal(pendingIsr(committed, [1]).zkVersion, 7)
})

test('caught up: at the log end now, or at what was the log end at the fetch before', () => {
  const replica = new RemoteReplica(2)
  replica.beginEpoch(0, 10, false, true)
  assert.equal(replica.isCaughtUp(0, 1e9), false)
  replica.noteFetch(5, 0, 10, 100)
  assert.equal(replica.lastCaughtUp, Number.NEGATIVE_INFINITY)
  // The leader had 10 at 100; asking for 10 at 300 means it was level with the leader of 100.
  replica.noteFetch(10, 0, 20, 300)
  assert.equal(replica.lastCaughtUp, 100)
  replica.noteFetch(20, 0, 20, 400)
  assert.equal(replica.lastCaughtUp, 400)
  replica.noteFetch(20, 0, 30, 500)
  assert.equal(replica.lastCaughtUp, 500 - 100)
})

test('high watermark: least end of the ISR and of who was caught up lately; unknown ends hold it', () => {
  const [two, three] = [new RemoteReplica(2), new RemoteReplica(3)]
  two.counted = true
  assert.equal(highWatermarkCandidate(10, [two, three], 0, 1000), -1)
  two.logEndOffset = 8
  assert.equal(highWatermarkCandidate(10, [two, three], 0, 1000), 8)
  three.logEndOffset = 5
  three.lastCaughtUp = -500
  assert.equal(highWatermarkCandidate(10, [two, three], 0, 1000), 5)
  assert.equal(highWatermarkCandidate(10, [two, three], 501, 1000), 8)
})

test('shrink: strictly later than the limit, never the leader; join: high watermark and epoch start', () => {
  const two = new RemoteReplica(2)
  two.lastCaughtUp = 0
  assert.deepEqual(shrinkIsr([1, 2], 1, [two], 1000, 1000), [1, 2])
  assert.deepEqual(shrinkIsr([1, 2], 1, [two], 1001, 1000), [1])
  assert.deepEqual(shrinkIsr([1], 1, [two], 1e9, 1000), [1])
  two.logEndOffset = 7
  assert.equal(mayJoinIsr(two, 7, undefined), true)
  assert.equal(mayJoinIsr(two, 8, undefined), false)
  assert.equal(mayJoinIsr(two, 5, 9), false)
  assert.equal(mayJoinIsr(two, 5, 7), true)
})

async function steady(options?: Parameters<typeof Bench.start>[0]): Promise<Bench> {
  const bench = await Bench.start(options)
  bench.create()
  await bench.run(1000)
  return bench
}

test('a dead follower leaves the ISR within 1.5 times the lag limit, and produces go on', async () => {
  const bench = await steady()
  bench.produce(1, ['a'])
  await bench.run(100)
  bench.kill(3)
  const start = bench.clock.now()
  const produced = bench.produce(1, ['b'])
  await bench.until(() => produced.results !== undefined, 16_000, 'ack without broker 3')
  const took = produced.at! - start
  assert.ok(took > 9_400 && took <= 15_000, `${took} ms`)
  assert.equal(errorOf(produced), 0)
  assert.deepEqual(bench.zk.get(TOPIC, 0).isr, [1, 2])
  assert.deepEqual(bench.isr(1), [1, 2])
  assert.ok(bench.logLines(1).some((line) => line.includes('[Partition t-0 broker=1] Shrinking ISR from 1,2,3 to 1,2')))
})

test('it comes back: epoch alignment, catch up, expand at the end of the list', async () => {
  const bench = await steady()
  bench.kill(2)
  bench.produce(1, ['a', 'b', 'c'], 1)
  await bench.run(20_000)
  assert.deepEqual(bench.isr(1), [1, 3])
  await bench.startBroker(2)
  bench.announce([2])
  await bench.until(() => bench.isr(1).length === 3, 2000, 'expansion')
  assert.deepEqual(bench.zk.get(TOPIC, 0).isr, [1, 3, 2])
  assert.deepEqual(bench.values(2), ['a', 'b', 'c'])
  assert.ok(bench.logLines(1).some((line) => line.includes('Expanding ISR from 1,3 to 1,3,2')))
})

test('the controller is told: quiet for 5 s, or a minute after the last time', async () => {
  const bench = await steady()
  bench.kill(3)
  await bench.until(() => bench.isr(1).length === 2, 20_000, 'shrink')
  const changed = bench.clock.now()
  await bench.until(() => bench.zk.notifications.length === 1, 10_000, 'notification')
  const after = bench.clock.now() - changed
  assert.ok(after > 5000 && after <= 7510, `${after} ms after the change`)
  assert.deepEqual(bench.zk.notifications, [[{ topic: TOPIC, partition: 0 }]])
  await bench.run(120_000)
  assert.equal(bench.zk.notifications.length, 1)
})

for (const fate of ['replyLost', 'requestLost', 'late'] as const) {
  test(`an ISR write without answer (${fate}) stays pending until ZooKeeper shows what is stored`, async () => {
    const bench = await steady()
    bench.cut(1, 3)
    bench.fates.push(fate)
    const produced = bench.produce(1, ['a'])
    const partition = bench.replicas(1).partition(TOPIC, 0)!
    await bench.until(() => bench.logLines(1).some((line) => line.includes('Shrinking')), 20_000, 'shrink begins')
    await bench.run(300)
    // Pending: the high watermark still waits for broker 3.
    assert.equal(produced.results, undefined)
    assert.deepEqual(partition.inSyncReplicas, [1, 2, 3])
    await bench.until(() => produced.results !== undefined, 5000, 'resolution')
    assert.equal(errorOf(produced), 0)
    await bench.run(2000)
    assert.deepEqual(partition.inSyncReplicas, [1, 2])
    assert.deepEqual(bench.zk.get(TOPIC, 0).isr, [1, 2])
    bench.heal()
    await bench.until(() => bench.isr(1).length === 3, 5000, 'and back, with the right version')
    assert.deepEqual(bench.zk.get(TOPIC, 0).isr, [1, 2, 3])
  })
}

test('without a trusted ZooKeeper session the ISR does not change, so acks=all waits', async () => {
  const bench = await steady()
  bench.zk.untrusted.add(1)
  bench.kill(3)
  const produced = bench.produce(1, ['a'], -1, { timeoutMs: 40_000 })
  await bench.run(39_000)
  assert.equal(produced.results, undefined)
  assert.deepEqual(bench.isr(1), [1, 2, 3])
  await bench.run(2000)
  assert.equal(errorOf(produced), ErrorCode.REQUEST_TIMED_OUT)
  bench.zk.untrusted.clear()
  await bench.until(() => bench.isr(1).length === 2, 6000, 'shrink once trusted')
})

/** Somebody raised the version of the znode, and the leader was not told. */
async function versionRaised(faithful: readonly string[]): Promise<Bench> {
  const bench = await steady({ faithful })
  const { leader, leaderEpoch, isr, controllerEpoch } = bench.zk.get(TOPIC, 0)
  bench.zk.put(TOPIC, 0, { leader, leaderEpoch, isr, controllerEpoch })
  bench.kill(3)
  await bench.run(60_000)
  return bench
}

test('H12: a version that moved under the leader is read and adopted', async () => {
  const bench = await versionRaised([])
  assert.deepEqual(bench.isr(1), [1, 2])
  assert.equal(errorOf(await answered(bench)), 0)
})

test('H12 faithful: "Cached zkVersion ... not equal" for ever, acks=all fails', async () => {
  const bench = await versionRaised(['H12'])
  assert.deepEqual(bench.isr(1), [1, 2, 3])
  assert.ok(bench.logLines(1).filter((line) => line.includes('Cached zkVersion')).length > 5)
  assert.equal(errorOf(await answered(bench)), ErrorCode.REQUEST_TIMED_OUT)
})

async function answered(bench: Bench) {
  const produced = bench.produce(1, ['a'], -1, { timeoutMs: 5000 })
  await bench.until(() => produced.results !== undefined, 6000, 'answer')
  return produced
}

test('H12: a leader that finds a later epoch in ZooKeeper stops leading and waits for the controller', async () => {
  const bench = await steady()
  const roles: unknown[] = []
  bench.replicas(1).onLeadershipChange((change) => roles.push(change))
  bench.elect(2, [2, 3])
  bench.announce([2, 3])
  const waiting = bench.produce(1, ['lost'], -1, { timeoutMs: 60_000 })
  // Nobody fetches from 1 any more; it tries to shrink and learns.
  await bench.until(() => waiting.results !== undefined, 20_000, 'step down')
  assert.equal(errorOf(waiting), ErrorCode.NOT_LEADER_FOR_PARTITION)
  assert.equal(bench.replicas(1).partition(TOPIC, 0)!.isLeader, false)
  assert.deepEqual(roles, [{ topic: TOPIC, partition: 0, isLeader: false, leaderEpoch: 0 }])
  assert.equal(errorOf(bench.produce(1, ['x'], 1)), ErrorCode.NOT_LEADER_FOR_PARTITION)
  const kept = bench.produce(2, ['kept'])
  await bench.run(100)
  assert.equal(errorOf(kept), 0)
  bench.announce([1])
  await bench.until(() => bench.isr(2).length === 3, 5000, 'return as follower')
  assert.deepEqual(bench.values(1), ['kept'])
})

/** Broker 1, then leader 2 with a high watermark from its old checkpoint; 3 lacks what 1 and 2 committed. */
async function staleHighWatermark(faithful: readonly string[]): Promise<Bench> {
  const bench = await steady({ faithful })
  bench.kill(3)
  await bench.until(() => bench.isr(1).length === 2, 20_000, 'shrink')
  const committed = bench.produce(1, ['committed'])
  await bench.run(3)
  assert.equal(errorOf(committed), 0)
  bench.kill(2)
  bench.brokers.get(2)!.disk.remove(`${LOG_DIR}/replication-offset-checkpoint`, true)
  await bench.startBroker(2)
  bench.kill(1)
  await bench.startBroker(3)
  bench.elect(2, [2, 1])
  bench.announce([2])
  await bench.until(() => bench.replicas(2).partition(TOPIC, 0)!.isLeader, 10, 'ZooKeeper confirms the order')
  assert.deepEqual([bench.end(2), bench.highWatermark(2)], [1, 0])
  return bench
}

for (const [faithful, joined] of [
  [[], false],
  [['H6'], true],
] as const) {
  test(`H6${joined ? ' faithful' : ''}: a follower below the epoch start ${joined ? 'joins' : 'does not join'} the ISR of a leader with an old high watermark`, async () => {
    const bench = await staleHighWatermark(faithful)
    // One fetch of an empty follower, before it has received anything.
    bench.consume(2, 0, { replicaId: 3, maxBytes: 0, minOneMessage: false })
    await bench.run(10)
    assert.equal(bench.zk.get(TOPIC, 0).isr.includes(3), joined)
    assert.equal(bench.end(3), -1)
    if (!joined) {
      bench.announce([3])
      await bench.until(() => bench.zk.get(TOPIC, 0).isr.includes(3), 5000, 'it joins after it caught up')
      assert.deepEqual(bench.values(3), ['committed'])
    }
  })
}

test('a process that was stopped does not throw out followers whose fetches wait in its sockets', async () => {
  const bench = await steady()
  // Time jumps: all timers are late, as after SIGSTOP and SIGCONT.
  const clock = bench.clock
  const now = clock.now.bind(clock)
  let jump = 0
  clock.now = () => now() + jump
  jump = 60_000
  await bench.run(6000)
  assert.deepEqual(bench.isr(1), [1, 2, 3])
})
