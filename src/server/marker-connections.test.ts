import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { BatchBuilder } from '../protocol/records/index.ts'
import { Bench, TOPIC } from '../replication/testing-bench.ts'
import { writeTxnMarkers } from './handlers/27-write-txn-markers.ts'
import { type Call, call, testBroker, updateMetadata } from './handlers/testing-broker.ts'
import { MarkerConnections } from './marker-connections.ts'

test('of one coordinator what comes over an older connection is too late; of nobody else', () => {
  const connections = new MarkerConnections((id) => id < 3)
  const from = (id: number) => `broker-${id}-txn-marker-sender`
  const accepts = (clientId: string, ...numbers: readonly number[]) =>
    numbers.map((number) => connections.accepts(clientId, number))
  assert.deepEqual(accepts(from(1), 5, 5, 9, 5, 8, 9, 10, 9), [true, true, true, false, false, true, true, false])
  assert.deepEqual(accepts(from(2), 2, 4, 3), [true, true, false])
  assert.deepEqual(accepts(from(1), 9, 10), [false, true])
  // Nothing is remembered of whom nobody knows.
  assert.deepEqual(accepts(from(3), 5, 4), [true, true])
  for (const clientId of ['', 'broker-1', `x${from(1)}`, `${from(1)}x`, from(-1)])
    assert.deepEqual(accepts(clientId, 5, 4), [true, true])
})

const WRITTEN = {
  transactionMarkers: [{ producerId: 7, topics: [{ topic: TOPIC, partitions: [{ errorCode: 0, partition: 0 }] }] }],
}

/** Broker 1 of a bench, which leads; markers come from the coordinator on broker 2. */
async function leader() {
  const bench = await Bench.start()
  bench.create()
  await bench.run(100)
  const { services, cache } = testBroker({}, { clock: bench.clock, replicaManager: bench.replicas(1) })
  updateMetadata(cache, {}, [1, 2])
  let sequence = 0
  const write = async (): Promise<void> => {
    const options = { producerId: 7, producerEpoch: 0, baseSequence: sequence++, transactional: true }
    const records = new BatchBuilder(options).append(1_500_000_000_000, null, Buffer.from('v')).build()
    let error: number | undefined
    bench.replicas(1).append(-1, 1000, [{ topic: TOPIC, partition: 0, records }], true, ([result]) => (error = result!.error))
    await bench.run(100)
    assert.equal(error, ErrorCode.NONE)
  }
  const mark = async (transactionResult: boolean, connectionNumber: number): Promise<Call<'WriteTxnMarkers'>> => {
    const topics = [{ topic: TOPIC, partitions: [0] }]
    const marker = { producerId: 7, producerEpoch: 0, transactionResult, topics, coordinatorEpoch: 0 }
    const request: RequestOf<'WriteTxnMarkers'> = { transactionMarkers: [marker] }
    const called = call(writeTxnMarkers, services, request, {
      version: 0,
      clientId: 'broker-2-txn-marker-sender',
      connectionNumber,
    })
    await bench.run(100)
    return called
  }
  return { log: bench.replicas(1).partition(TOPIC, 0)!.log!, write, mark }
}

test('the first copy of a marker that was sent twice does not end the next transaction of its producer', async () => {
  const { log, write, mark } = await leader()
  await write()
  assert.deepEqual((await mark(true, 2)).response, WRITTEN)
  assert.equal(log.lastStableOffset, 2)
  await write()
  const late = await mark(true, 1)
  assert.deepEqual([late.response, late.closed], [undefined, 'broker-2-txn-marker-sender has made a newer connection since'])
  assert.deepEqual([log.lastStableOffset, log.logEndOffset], [2, 3])
  assert.deepEqual((await mark(false, 2)).response, WRITTEN)
  assert.equal(log.lastStableOffset, 4)
})

test('a copy that comes before the second one may be written: the transaction is not complete yet', async () => {
  const { log, write, mark } = await leader()
  await write()
  assert.deepEqual((await mark(true, 1)).response, WRITTEN)
  assert.deepEqual((await mark(true, 2)).response, WRITTEN)
  assert.deepEqual([log.lastStableOffset, log.logEndOffset], [3, 3])
})
