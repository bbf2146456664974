import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ErrorCode } from '../../protocol/errors.ts'
import { encodeBatch } from './records.ts'
import type { DataPartition } from './testing-world.ts'
import { TestProducer, World } from './testing-world.ts'

const T0 = { topic: 't', partition: 0 }
const T1 = { topic: 't', partition: 1 }
const DAY = 86_400_000

/** A world whose coordinator has loaded, a partition, a producer in an open transaction on it. */
async function openTransaction(
  config: ConstructorParameters<typeof World>[0] = {},
  timeoutMs = 60_000,
): Promise<{ world: World; producer: TestProducer; data: DataPartition }> {
  const world = new World(config)
  const data = world.addPartition('t', 0, 1)
  const producer = new TestProducer(world, 'id')
  assert.equal(await world.result(producer.init(timeoutMs)), ErrorCode.NONE)
  assert.equal(await world.result(producer.add([T0])), ErrorCode.NONE)
  assert.equal(data.produce(producer.producerId, producer.producerEpoch), ErrorCode.NONE)
  return { world, producer, data }
}

describe('InitProducerId', () => {
  it('without an id: a fresh producer id, and nothing is kept', async () => {
    const world = new World()
    assert.deepEqual(await world.coordinator.initProducerId(null, -1), { error: 0, producerId: 1000, producerEpoch: 0 })
    assert.equal(world.log.length, 0)
  })

  it('checks id, time-out, coordinator, in this order', async () => {
    const world = new World()
    const refusal = async (id: string, timeoutMs: number): Promise<number> =>
      (await world.coordinator.initProducerId(id, timeoutMs)).error
    assert.equal(await refusal('', 0), ErrorCode.INVALID_REQUEST)
    assert.equal(await refusal('x', 0), ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    assert.equal(await refusal('x', 900_001), ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    assert.equal(await refusal('x', 900_000), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    world.coordinator.onResignation(0)
    assert.equal(await refusal('x', 1), ErrorCode.NOT_COORDINATOR)
    world.coordinator.stop()
    assert.equal(await refusal('x', 1), ErrorCode.COORDINATOR_NOT_AVAILABLE)
  })

  it('counts epochs, and takes another producer id when they are used up', async () => {
    const world = new World()
    const producer = new TestProducer(world, 'id')
    for (let epoch = 0; epoch <= 3; epoch++) {
      await world.result(producer.init())
      assert.deepEqual([producer.producerId, producer.producerEpoch], [1000, epoch])
    }
    const changes = world.changes()
    assert.equal(changes.length, 4)
    // As if it had been done 32763 times more.
    world.log.push(encodeBatch(1, [['id', { ...changes[3]!.snapshot!, producerEpoch: 32766 }]]))
    world.elect()
    await world.result(producer.init())
    assert.deepEqual([producer.producerId, producer.producerEpoch], [1001, 0])
  })

  it('two at a time: one waits with CONCURRENT_TRANSACTIONS', async () => {
    const world = new World()
    await world.clock.advance(1)
    const [a, b] = [world.coordinator.initProducerId('id', 1000), world.coordinator.initProducerId('id', 1000)]
    const answers = [await world.result(a), await world.result(b)].map(({ error }) => error)
    assert.deepEqual(answers, [ErrorCode.NONE, ErrorCode.CONCURRENT_TRANSACTIONS])
  })

  it('fences the producer of an open transaction: aborted with the next epoch, the newcomer gets the one behind', async () => {
    const { world, producer, data } = await openTransaction()
    const first = await world.result(world.coordinator.initProducerId('id', 60_000))
    assert.deepEqual(first, { error: ErrorCode.CONCURRENT_TRANSACTIONS, producerId: -1, producerEpoch: -1 })
    const newcomer = new TestProducer(world, 'id')
    assert.equal(await world.result(newcomer.init()), ErrorCode.NONE)
    assert.deepEqual([newcomer.producerId, newcomer.producerEpoch], [producer.producerId, 2])
    assert.deepEqual(
      data.decisions.map(({ commit }) => commit),
      [false],
    )
    assert.equal(data.produce(producer.producerId, producer.producerEpoch), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(await world.result(producer.end(true)), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(await world.result(producer.add([T0])), ErrorCode.INVALID_PRODUCER_EPOCH)
  })
})

describe('a transaction', () => {
  it('of an unknown id, an empty id, another producer id is refused', async () => {
    const { world, producer } = await openTransaction()
    const { coordinator } = world
    const by = { producerId: producer.producerId, producerEpoch: 0 }
    assert.equal(await coordinator.addPartitions('', by, [T0]), ErrorCode.INVALID_REQUEST)
    assert.equal(await coordinator.endTransaction('', by, true), ErrorCode.INVALID_REQUEST)
    assert.equal(await coordinator.addPartitions('other', by, [T0]), ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    assert.equal(await coordinator.endTransaction('id', { ...by, producerId: 5 }, true), ErrorCode.INVALID_PRODUCER_ID_MAPPING)
  })

  it('is answered when its decision is written, not when the markers are', async () => {
    const { world, producer, data } = await openTransaction()
    world.leaders.set('t-0', -1)
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    assert.deepEqual([data.decisions.length, world.statesOf('id').at(-1)], [0, 'PrepareCommit'])
    const by = { producerId: producer.producerId, producerEpoch: producer.producerEpoch }
    assert.equal(await world.coordinator.endTransaction('id', by, true), ErrorCode.CONCURRENT_TRANSACTIONS)
    assert.equal(await world.coordinator.addPartitions('id', by, [T1]), ErrorCode.CONCURRENT_TRANSACTIONS)
    world.leaders.set('t-0', 2)
    await world.clock.advanceUntil(() => world.statesOf('id').at(-1) === 'CompleteCommit', 5000)
    await world.clock.advance(1)
    assert.deepEqual(
      data.decisions.map(({ commit }) => commit),
      [true],
    )
    assert.equal(await world.coordinator.endTransaction('id', by, true), ErrorCode.NONE)
    assert.equal(await world.coordinator.endTransaction('id', by, false), ErrorCode.INVALID_TXN_STATE)
  })

  it('without partitions completes at once', async () => {
    const world = new World()
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init())
    await world.result(producer.add([]))
    assert.equal(await world.result(producer.end(false)), ErrorCode.NONE)
    await world.clock.advance(10)
    assert.deepEqual(world.statesOf('id'), ['Empty', 'Ongoing', 'PrepareAbort', 'CompleteAbort'])
  })

  it('goes on after an append that failed: nothing is left pending', async () => {
    for (const losesRecords of [true, false]) {
      const { world, producer, data } = await openTransaction()
      world.losesRecords = losesRecords
      for (const [append, answer] of [
        [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE],
        [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.COORDINATOR_NOT_AVAILABLE],
        [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR],
        [ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR],
      ] as const) {
        world.appendError = append
        assert.equal(await world.result(world.coordinator.endTransaction('id', producer, false)), answer)
        assert.equal(data.decisions.length, 0)
      }
      world.appendError = ErrorCode.NONE
      assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
      await world.clock.advance(100)
      assert.deepEqual(
        data.decisions.map(({ commit }) => commit),
        [true],
      )
    }
  })

  it('whose completion cannot be written stays pending until it can', async () => {
    const { world, producer, data } = await openTransaction()
    world.onStep = (step) => {
      if (step === 'append PrepareCommit') world.clock.timer(2, () => (world.appendError = ErrorCode.NOT_ENOUGH_REPLICAS))
      return 'none'
    }
    world.losesRecords = true
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advance(3000)
    assert.deepEqual([data.decisions.length, world.statesOf('id').at(-1)], [1, 'PrepareCommit'])
    assert.equal((await world.coordinator.initProducerId('id', 1000)).error, ErrorCode.CONCURRENT_TRANSACTIONS)
    world.appendError = ErrorCode.NONE
    await world.clock.advance(500)
    assert.equal(world.statesOf('id').at(-1), 'CompleteCommit')
  })

  it('ended with an epoch above the present one: written, refused, and carried out by the next tidying up', async () => {
    const { world, producer, data } = await openTransaction()
    const newer = { producerId: producer.producerId, producerEpoch: 5 }
    assert.equal(await world.result(world.coordinator.endTransaction('id', newer, true)), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(await world.coordinator.endTransaction('id', producer, true), ErrorCode.CONCURRENT_TRANSACTIONS)
    assert.equal(await world.coordinator.endTransaction('id', producer, false), ErrorCode.INVALID_TXN_STATE)
    await world.clock.advance(5000)
    assert.deepEqual([data.decisions.length, world.statesOf('id').at(-1)], [0, 'PrepareCommit'])
    await world.clock.advanceUntil(() => world.statesOf('id').at(-1) === 'CompleteCommit', 61_000)
    assert.equal(data.hasOpenTransaction, false)
  })
})

describe('time', () => {
  it('aborts a transaction older than its time-out, at the next look, and shuts its producer out', async () => {
    const { world, producer, data } = await openTransaction({ abortTimedOutIntervalMs: 10_000 }, 15_000)
    await world.clock.advance(14_000)
    assert.equal(data.hasOpenTransaction, true)
    await world.clock.advance(6_100)
    assert.equal(data.hasOpenTransaction, false)
    assert.deepEqual(
      data.decisions.map(({ commit }) => commit),
      [false],
    )
    assert.deepEqual(world.statesOf('id').slice(-2), ['PrepareAbort', 'CompleteAbort'])
    assert.equal(data.produce(producer.producerId, producer.producerEpoch), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(await world.coordinator.addPartitions('id', producer, [T0]), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(await world.result(producer.init()), ErrorCode.NONE)
    assert.equal(producer.producerEpoch, 2)
  })

  it('leaves a transaction that is used alone before its time, however often it was added to', async () => {
    const { world, producer, data } = await openTransaction({}, 100_000)
    await world.clock.advance(99_000)
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advance(100_000)
    assert.deepEqual(
      data.decisions.map(({ commit }) => commit),
      [true],
    )
  })

  it('buries ids that nobody used, with a tombstone; open ones never', async () => {
    const { world, producer } = await openTransaction(
      { idExpirationMs: 3 * DAY, abortTimedOutIntervalMs: 30 * DAY, maxTimeoutMs: 40 * DAY },
      20 * DAY,
    )
    const idle = new TestProducer(world, 'idle')
    await world.result(idle.init())
    await world.clock.advance(3 * DAY + 3_700_000)
    assert.deepEqual(world.statesOf('idle'), ['Empty', 'tombstone'])
    assert.equal(await world.coordinator.addPartitions('idle', idle, [T0]), ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    const before = idle.producerId
    await world.result(idle.init())
    assert.equal(idle.producerEpoch, 0)
    assert.notEqual(idle.producerId, before)
    world.elect()
    await world.clock.advance(10)
    assert.equal(await world.result(world.coordinator.addPartitions('idle', idle, [T0])), ErrorCode.NONE)
  })

  it('a burial that fails leaves the id as it was', async () => {
    const world = new World({ idExpirationMs: 1000, removeExpiredIntervalMs: 2000 })
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init())
    Object.assign(world, { appendError: ErrorCode.NOT_ENOUGH_REPLICAS, losesRecords: true })
    await world.clock.advance(2100)
    world.appendError = ErrorCode.NONE
    assert.deepEqual(world.statesOf('id'), ['Empty'])
    assert.equal(await world.result(producer.add([T0])), ErrorCode.NONE)
  })
})

describe('markers', () => {
  it('follow a partition to its new leader', async () => {
    const { world, producer, data } = await openTransaction()
    world.onStep = (step) => {
      // It moves while the marker is on its way: the first answer is NOT_LEADER_FOR_PARTITION.
      if (step === 'send to 1') world.leaders.set('t-0', 2)
      return 'none'
    }
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advanceUntil(() => world.statesOf('id').at(-1) === 'CompleteCommit', 2000)
    assert.equal(data.decisions.length, 1)
    assert.ok(world.steps.includes('send to 2'))
  })

  it('are not needed by a deleted partition; one that is only unknown here is waited for', async () => {
    const { world, producer } = await openTransaction()
    const other = world.addPartition('u', 0, 2)
    await world.result(producer.add([{ topic: 'u', partition: 0 }]))
    world.leaders.delete('t-0')
    world.leaders.delete('u-0')
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advance(10_000)
    assert.equal(world.statesOf('id').at(-1), 'PrepareCommit')
    world.deleted.add('t')
    await world.clock.advance(1000)
    assert.equal(world.statesOf('id').at(-1), 'PrepareCommit')
    world.leaders.set('u-0', 1)
    await world.clock.advance(1000)
    assert.equal(world.statesOf('id').at(-1), 'CompleteCommit')
    assert.equal(other.decisions.length, 1)
  })

  it('of many transactions go to a broker together', async () => {
    const world = new World()
    const data = world.addPartition('t', 0, 1)
    const producers = Array.from({ length: 20 }, (_, i) => new TestProducer(world, `id${i}`))
    await world.result(Promise.all(producers.map((producer) => producer.init())))
    await world.result(Promise.all(producers.map((producer) => producer.add([T0]))))
    await world.result(Promise.all(producers.map((producer) => producer.end(true))))
    await world.clock.advance(100)
    assert.equal(data.decisions.length, 20)
    assert.ok(world.steps.filter((step) => step === 'send to 1').length <= 4)
  })

  it('refused by a partition that knows a newer epoch: the transaction stays decided, and is tried again later', async () => {
    const { world, producer, data } = await openTransaction()
    // A TxnOffsetCommit of 1.1 does not check epochs, so that this can happen.
    data.mark({ producerId: producer.producerId, producerEpoch: 9, transactionResult: false, topics: [], coordinatorEpoch: 0 })
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advance(2000)
    assert.equal(world.statesOf('id').at(-1), 'PrepareCommit')
    assert.equal(await world.coordinator.endTransaction('id', producer, true), ErrorCode.CONCURRENT_TRANSACTIONS)
    const sent = world.steps.filter((step) => step === 'send to 1').length
    assert.equal(sent, 1)
    await world.clock.advance(120_000)
    assert.equal(world.steps.filter((step) => step === 'send to 1').length, 3)
  })

  it('of a deposed coordinator that come late are refused', async () => {
    const { world, producer, data } = await openTransaction()
    const { producerId, producerEpoch } = producer
    const topics = [{ topic: 't', partitions: [0] }]
    const late = { producerId, producerEpoch, transactionResult: true, topics, coordinatorEpoch: world.epoch }
    world.elect()
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advance(100)
    await world.result(producer.add([T0]))
    data.produce(producerId, producerEpoch)
    const error = world.deliver(1, [late]).transactionMarkers[0]!.topics[0]!.partitions[0]!.errorCode
    assert.equal(error, ErrorCode.TRANSACTION_COORDINATOR_FENCED)
    assert.equal(data.hasOpenTransaction, true)
  })
})
