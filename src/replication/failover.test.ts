import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { Bench, errorOf, TOPIC } from './testing-bench.ts'

async function steady(options?: Parameters<typeof Bench.start>[0]): Promise<Bench> {
  const bench = await Bench.start(options)
  bench.create()
  await bench.run(1000)
  return bench
}

test('a new leader takes over; the old one truncates what nobody else had', async () => {
  const bench = await steady()
  bench.produce(1, ['a'])
  await bench.run(1000)
  bench.cut(1, 2)
  bench.cut(1, 3)
  const lost = bench.produce(1, ['only on 1'], 1)
  assert.equal(errorOf(lost), 0)
  bench.elect(2, [1, 2, 3])
  bench.announce([2, 3])
  bench.produce(2, ['b'], 1)
  await bench.run(500)
  assert.deepEqual(bench.values(1), ['a', 'only on 1'])
  bench.heal()
  bench.announce([1])
  await bench.until(() => bench.highWatermark(2) === 2, 5000, 'all three in line')
  assert.deepEqual(bench.values(1), ['a', 'b'])
  assert.deepEqual(bench.bytes(1), bench.bytes(2))
  assert.equal(
    bench.logLines(1).some((line) => line.includes('Truncating to offset 1')),
    true,
  )
})

test('a leader that leaves does not fetch its way back into the in-sync set', async () => {
  const bench = await steady()
  bench.produce(1, ['a'])
  await bench.run(1000)
  bench.replicas(1).beginShutdown()
  bench.elect(2, [2, 3])
  bench.announce([1, 2, 3])
  await bench.run(2000)
  assert.deepEqual(bench.isr(2), [2, 3])
  const produced = bench.produce(2, ['b'])
  await bench.until(() => produced.results !== undefined, 100, 'ack of those that stay')
  assert.deepEqual([bench.values(1), bench.values(3)], [['a'], ['a', 'b']])
})

test('an old inter-broker protocol: no epoch questions, the log is cut to the high watermark, and all goes on', async () => {
  for (const format of ['0.8.2', '0.10.2', '0.11.0']) {
    const bench = await steady({ asksLeaderEpochs: false, topicConfig: { 'message.format.version': format } })
    bench.recordRequests = true
    bench.produce(1, ['a'])
    await bench.run(1000)
    bench.kill(1)
    bench.elect(2, [2, 3])
    bench.announce([2, 3])
    bench.produce(2, ['b'], 1)
    await bench.run(1000)
    await bench.startBroker(1)
    bench.announce([1])
    await bench.until(() => bench.isr(2).length === 3, 20_000, 'full ISR')
    assert.deepEqual(bench.values(1), ['a', 'b'], format)
    assert.deepEqual(bench.bytes(3), bench.bytes(2))
    assert.deepEqual([...new Set(bench.requests.map(({ api }) => api))], ['Fetch'])
  }
})

test('H3: a follower keeps what is above its own high watermark when the new leader has it', async () => {
  const bench = await steady()
  const acked = bench.produce(1, ['a'])
  await bench.until(() => acked.results !== undefined, 10, 'ack')
  assert.equal(errorOf(acked), 0)
  // The followers do not know yet that it is committed.
  assert.equal(bench.highWatermark(2), 0)
  bench.kill(1)
  bench.elect(2, [2, 3])
  bench.announce([2, 3])
  await bench.run(1000)
  assert.deepEqual(bench.values(3), ['a'])
  assert.equal(bench.highWatermark(2), 1)
})

/**
 * Two fast changes (KIP-279): 1 leads epoch 0 and writes x alone at offset 1; 2 leads epoch 1 and dies with nothing written; then 3 leads
 * epoch 2 and writes y at offset 1. When 1 asks 3 where its epoch ends, and 3 took over without that epoch, logs can differ in place.
 */
async function fastDoubleChange(faithful: readonly string[]): Promise<Bench> {
  const bench = await steady({ faithful, topicConfig: { 'min.insync.replicas': '1' } })
  bench.produce(1, ['a'])
  await bench.run(1000)
  for (const [a, b] of [
    [1, 2],
    [1, 3],
    [2, 3],
  ] as const)
    bench.cut(a, b)
  // Epoch 1: 2 leads and writes alone. 1 and 3 are not told, or cannot fetch.
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  bench.produce(2, ['p', 'q'], 1)
  // Epoch 2: 1 leads again, writes alone (it never saw epoch 1).
  bench.elect(1, [1, 2, 3])
  bench.announce([1])
  bench.produce(1, ['x'], 1)
  bench.produce(1, ['y'], 1)
  bench.produce(1, ['z'], 1)
  // Epoch 3: 1 still leads. 2 asks for epoch 1, which 1 does not have; 1 answers with the end of epoch 0.
  await bench.run(400)
  bench.elect(1, [1, 2, 3])
  bench.heal()
  bench.announce()
  await bench.run(5000)
  return bench
}

test('a double change: the answer for an unknown epoch is the end of the older one', async () => {
  const bench = await fastDoubleChange([])
  assert.deepEqual(bench.values(2), ['a', 'x', 'y', 'z'])
  assert.deepEqual(bench.bytes(2), bench.bytes(1))
  assert.deepEqual(bench.bytes(3), bench.bytes(1))
})

/**
 * KIP-279 proper: the follower's last epoch is unknown to the leader, whose next larger epoch starts beyond the follower's divergence.
 * 1 leads epoch 0: a. 2 leads epoch 1 alone: p, q, r (offsets 1-3). 1 leads epoch 2 alone: nothing of 2's; but before, as leader of
 * epoch 0 it had x, y alone at offsets 1 and 2. So epoch 0 ends at 3 on 1 and at 1 on 2.
 */
async function unknownEpoch(faithful: readonly string[]): Promise<Bench> {
  const bench = await steady({ faithful, topicConfig: { 'min.insync.replicas': '1' } })
  bench.produce(1, ['a'])
  await bench.run(1000)
  for (const [a, b] of [
    [1, 2],
    [1, 3],
    [2, 3],
  ] as const)
    bench.cut(a, b)
  bench.produce(1, ['x'], 1)
  bench.produce(1, ['y'], 1)
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  for (const value of ['p', 'q', 'r']) bench.produce(2, [value], 1)
  bench.elect(1, [1, 2, 3])
  bench.announce([1])
  bench.produce(1, ['z'], 1)
  bench.heal()
  bench.announce([2, 3])
  await bench.run(5000)
  return bench
}

test('H4: an epoch that the leader never had is found out by a second question', async () => {
  const bench = await unknownEpoch([])
  assert.deepEqual(bench.values(1), ['a', 'x', 'y', 'z'])
  assert.deepEqual(bench.values(2), ['a', 'x', 'y', 'z'])
  assert.deepEqual(bench.bytes(2), bench.bytes(1))
})

test('H4 faithful: logs diverge below the high watermark after two fast changes', async () => {
  const bench = await unknownEpoch(['H4'])
  assert.deepEqual(bench.values(1), ['a', 'x', 'y', 'z'])
  assert.deepEqual(bench.values(2), ['a', 'p', 'q', 'z'])
  assert.equal(bench.highWatermark(1), 4)
})

/** The leader lost its end (a power cut without fsync) and came back as leader; follower 2 has more. */
async function leaderLostItsEnd(faithful: readonly string[], unclean: boolean): Promise<Bench> {
  const bench = await steady({
    faithful,
    topicConfig: { 'unclean.leader.election.enable': String(unclean), 'min.insync.replicas': '2' },
  })
  for (const value of ['a', 'b', 'c']) bench.produce(1, [value])
  await bench.run(1000)
  assert.deepEqual([bench.end(2), bench.highWatermark(2)], [3, 3])
  bench.kill(1)
  await bench.startBroker(1)
  bench.brokers.get(1)!.process!.logs.get(TOPIC, 0)!.truncateTo(1)
  bench.elect(1, [1, 2, 3])
  // Same leader, next epoch: the followers go on fetching.
  bench.announce()
  await bench.run(5000)
  return bench
}

test('H11: with unclean election off a follower that is ahead of its leader keeps its records and halts', async () => {
  const bench = await leaderLostItsEnd([], false)
  assert.deepEqual(bench.values(2), ['a', 'b', 'c'])
  const view = bench.replicas(2).partition(TOPIC, 0)!
  assert.equal(view.isOffline, true)
  assert.ok(bench.logLines(2).some((line) => line.includes('Replication halted: leader 1 ends at 1, this replica at 3')))
  assert.equal(bench.consume(2, 0, { replicaId: -2 }).results![0]!.error, ErrorCode.KAFKA_STORAGE_ERROR)
  // Whoever makes it leader gets the records back.
  await bench.run(20_000)
  bench.elect(2, [2])
  bench.announce()
  await bench.until(() => bench.isr(2).length === 3, 5000, 'everybody follows 2')
  assert.deepEqual(bench.values(1), ['a', 'b', 'c'])
  assert.equal(bench.replicas(2).partition(TOPIC, 0)!.isOffline, false)
})

test('H11 faithful: it truncates committed records; with unclean election on that is the rule', async () => {
  for (const bench of [await leaderLostItsEnd(['H11'], false), await leaderLostItsEnd([], true)]) {
    assert.deepEqual(bench.values(2), ['a'])
    assert.equal(bench.replicas(2).partition(TOPIC, 0)!.isOffline, false)
  }
})

/** A fetch that 3 sent to 1 in epoch 0 arrives when 1 leads again, with other records at those offsets. */
async function lateFetch(faithful: readonly string[]): Promise<{ bench: Bench; error: number | undefined }> {
  const bench = await steady({ faithful })
  bench.kill(3)
  bench.produce(1, ['a'])
  await bench.run(100)
  bench.elect(2, [1, 2, 3])
  bench.announce([1, 2])
  await bench.run(1000)
  bench.elect(1, [1, 2, 3])
  bench.announce([1, 2])
  const produced = bench.produce(1, ['b'], -1, { timeoutMs: 3000 })
  // What 3 had at offsets 1 and beyond is not this leader's; its fetch claims offset 2.
  bench.consume(1, 2, { replicaId: 3 })
  await bench.run(3100)
  return { bench, error: errorOf(produced) }
}

test('H5, the part that can be closed: a fetch beyond the epoch start from a replica that has not aligned proves nothing', async () => {
  assert.equal((await lateFetch([])).error, ErrorCode.REQUEST_TIMED_OUT)
  // Faithful: acknowledged although 3, a member of the ISR, does not have it.
  assert.equal((await lateFetch(['H5'])).error, ErrorCode.NONE)
})

/** 2 led epoch 1 for a moment; 2 and 3 know that 1 leads epoch 2, but 1 has heard of neither. */
async function leaderThatHeardNothing(faithful: readonly string[]): Promise<{ error: number | undefined; leads: boolean }> {
  const bench = await steady({ faithful })
  bench.elect(2, [1, 2, 3])
  bench.announce([2])
  bench.elect(1, [1, 2, 3])
  const produced = bench.produce(1, ['a'], -1, { timeoutMs: 2000 })
  bench.announce([2, 3])
  await bench.run(2100)
  return { error: errorOf(produced), leads: bench.replicas(1).partition(TOPIC, 0)!.isLeader }
}

test('H5: a leader of an old epoch learns it from the question of a follower, and acknowledges nothing', async () => {
  assert.deepEqual(await leaderThatHeardNothing([]), { error: ErrorCode.NOT_LEADER_FOR_PARTITION, leads: false })
  assert.deepEqual(await leaderThatHeardNothing(['H5']), { error: ErrorCode.NONE, leads: true })
})

for (const isOld of [true, false]) {
  test(`to lead an epoch below the log's: ${isOld ? 'an old message, no role' : 'epochs began again, confirmed by ZooKeeper'}`, async () => {
    const bench = await steady()
    for (let i = 0; i < 3; i++) {
      bench.elect(1, [1, 2, 3])
      bench.announce()
      bench.produce(1, [`e${i}`])
      await bench.run(100)
    }
    bench.kill(2)
    await bench.startBroker(2)
    const state = { leader: 2, leaderEpoch: 1, isr: [1, 2, 3], controllerEpoch: 1 }
    const told = isOld ? { ...state, zkVersion: 1 } : bench.zk.put(TOPIC, 0, state)
    assert.deepEqual(bench.announce([2], 0, told), new Map([[2, 0]]))
    assert.equal(errorOf(bench.produce(2, ['x'], 1)), ErrorCode.NOT_LEADER_FOR_PARTITION)
    await bench.run(100)
    assert.equal(bench.replicas(2).partition(TOPIC, 0)!.isLeader, !isOld)
    if (isOld) {
      bench.announce([2])
      await bench.run(1500)
      assert.deepEqual(bench.isr(1), [1, 2, 3])
      assert.equal(bench.replicas(2).partition(TOPIC, 0)!.leaderEpoch, 3)
    }
  })
}

test('LeaderAndIsr: stale epochs are refused, entry by entry and as a whole', async () => {
  const bench = await steady()
  const state = bench.zk.get(TOPIC, 0)
  assert.deepEqual(
    bench.announce([1, 2, 3]),
    new Map([
      [1, 11],
      [2, 11],
      [3, 11],
    ]),
  )
  assert.equal(bench.replicas(1).partition(TOPIC, 0)!.isLeader, true)
  bench.replicas(1).acceptControllerEpoch(5)
  const refused = bench.leaderAndIsr(1, 0, { ...state, leaderEpoch: 9, leader: 2 }, { controllerEpoch: 4 })
  assert.deepEqual(refused, { errorCode: 11, partitions: [{ topic: TOPIC, partition: 0, errorCode: 11 }] })
  assert.equal(bench.replicas(1).partition(TOPIC, 0)!.leaderEpoch, 0)
  assert.equal(bench.replicas(1).acceptControllerEpoch(4), false)
  assert.equal(bench.replicas(1).controllerEpoch, 5)
})

test('LeaderAndIsr: who is no replica answers 3, and 56 from then on until StopReplica with delete', async () => {
  const bench = await steady()
  const state = { leader: 1, leaderEpoch: 4, isr: [1], controllerEpoch: 1, zkVersion: 0 }
  const codes = () => bench.leaderAndIsr(3, 5, state, { replicas: [1, 2] }).partitions.map((one) => one.errorCode)
  assert.deepEqual(codes(), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
  assert.deepEqual(codes(), [ErrorCode.KAFKA_STORAGE_ERROR])
  assert.equal(bench.replicas(3).partition(TOPIC, 5)!.isOffline, true)
  assert.equal(errorOf(bench.produce(3, ['a'], 1, { partition: 5 })), ErrorCode.KAFKA_STORAGE_ERROR)
  const stop = { controllerId: 1, controllerEpoch: 1, deletePartitions: true, partitions: [{ topic: TOPIC, partition: 5 }] }
  assert.deepEqual(bench.replicas(3).stopReplicas(stop).partitions[0]!.errorCode, ErrorCode.KAFKA_STORAGE_ERROR)
  assert.deepEqual(bench.replicas(3).stopReplicas(stop).partitions[0]!.errorCode, ErrorCode.NONE)
  assert.deepEqual(codes(), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
})

test('LeaderAndIsr: a leader that is not alive changes nothing but makes the log; the same epoch is taken later', async () => {
  const bench = await Bench.start()
  bench.kill(1)
  bench.create()
  const view = bench.replicas(2).partition(TOPIC, 0)!
  assert.notEqual(view.log, undefined)
  assert.deepEqual([view.leaderId, view.leaderEpoch], [-1, -1])
  await bench.startBroker(1)
  assert.deepEqual(
    bench.announce(),
    new Map([
      [1, 0],
      [2, 0],
      [3, 0],
    ]),
  )
  assert.deepEqual([view.leaderId, view.leaderEpoch], [1, 0])
})

test('LeaderAndIsr: a leader whose address the request gives is followed, though UpdateMetadata has not named it yet (0.8)', async () => {
  const bench = await Bench.start()
  const state = bench.zk.put(TOPIC, 0, { leader: 1, leaderEpoch: 0, isr: [1, 2, 3], controllerEpoch: bench.controllerEpoch })
  for (const id of [1, 2, 3]) bench.leaderAndIsr(id, 0, state, { liveLeaders: [1] })
  const produced = bench.produce(1, ['a'])
  await bench.until(() => errorOf(produced) === 0, 5000, 'acknowledged by all')
  assert.deepEqual(bench.isr(1), [1, 2, 3])
})

test('StopReplica: without delete only fetching stops; with delete the log goes and produces learn it', async () => {
  const bench = await steady()
  bench.produce(1, ['a'])
  await bench.run(1000)
  const request = { controllerId: 1, controllerEpoch: 1, deletePartitions: false, partitions: [{ topic: TOPIC, partition: 0 }] }
  assert.deepEqual(bench.replicas(2).stopReplicas(request), {
    errorCode: 0,
    partitions: [{ topic: TOPIC, partition: 0, errorCode: 0 }],
  })
  bench.produce(1, ['b'], 1)
  await bench.run(1000)
  assert.deepEqual([bench.end(2), bench.end(3)], [1, 2])
  // Same leader, next epoch: 1.1 would not fetch again.
  bench.elect(1, [1, 2, 3])
  bench.announce()
  await bench.run(1000)
  assert.equal(bench.end(2), 2)

  bench.cut(1, 3)
  const waiting = bench.produce(1, ['c'])
  assert.equal(errorOf(waiting), undefined)
  const remove = { ...request, deletePartitions: true }
  assert.equal(bench.replicas(1).stopReplicas({ ...remove, controllerEpoch: 0 }).errorCode, ErrorCode.STALE_CONTROLLER_EPOCH)
  assert.deepEqual(bench.replicas(1).stopReplicas({ ...remove, controllerEpoch: 0 }).partitions, [])
  assert.equal(bench.replicas(1).stopReplicas(remove).partitions[0]!.errorCode, 0)
  assert.equal(errorOf(waiting), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  assert.equal(bench.replicas(1).partition(TOPIC, 0), undefined)
  assert.equal(bench.brokers.get(1)!.process!.logs.get(TOPIC, 0), undefined)
  // Unknown ones are fine.
  assert.equal(bench.replicas(1).stopReplicas(remove).partitions[0]!.errorCode, 0)
})

test('OffsetForLeaderEpoch: 3, 6, -1 and the ends of epochs', async () => {
  const bench = await steady()
  bench.produce(1, ['a', 'b'])
  await bench.run(1000)
  bench.elect(1, [1, 2, 3])
  bench.announce()
  bench.produce(1, ['c'])
  const ask = (broker: number, leaderEpoch: number, partition = 0, clientId = 'probe') => {
    const topics = [{ topic: TOPIC, partitions: [{ partition, leaderEpoch }] }]
    return bench.replicas(broker).offsetsForLeaderEpoch({ topics }, clientId).topics[0]!.partitions[0]!
  }
  assert.deepEqual(ask(1, 0), { errorCode: 0, partition: 0, endOffset: 2 })
  assert.deepEqual(ask(1, 1), { errorCode: 0, partition: 0, endOffset: 3 })
  assert.deepEqual(ask(1, 7), { errorCode: 0, partition: 0, endOffset: -1 })
  // For a follower, a later epoch means that it is not the leader any more.
  assert.deepEqual(ask(1, 7, 0, 'broker-2-fetcher-0'), {
    errorCode: ErrorCode.NOT_LEADER_FOR_PARTITION,
    partition: 0,
    endOffset: -1,
  })
  assert.deepEqual(ask(1, -1), { errorCode: 0, partition: 0, endOffset: -1 })
  assert.deepEqual(ask(2, 0), { errorCode: ErrorCode.NOT_LEADER_FOR_PARTITION, partition: 0, endOffset: -1 })
  assert.deepEqual(ask(1, 0, 3), { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, partition: 3, endOffset: -1 })
})

test('H5: a leader that has missed the epoch of another one begins anew: what followers fetched before that counts no more', async () => {
  const bench = await steady()
  bench.cut(1, 2)
  const produced = bench.produce(1, ['a'])
  await bench.run(500)
  assert.deepEqual([bench.end(2), bench.end(3)], [0, 1])
  bench.elect(2, [1, 2, 3])
  bench.announce([2, 3])
  await bench.until(() => bench.end(3) === 0, 5000, '3 in line with 2')
  bench.elect(1, [1, 3])
  bench.announce([1])
  await bench.run(50)
  assert.deepEqual([errorOf(produced), bench.highWatermark(1)], [undefined, 0])
  bench.announce([3])
  await bench.until(() => errorOf(produced) === 0, 5000, 'acknowledged')
  assert.equal(bench.end(3), 1)
})
