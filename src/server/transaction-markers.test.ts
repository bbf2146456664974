import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { MarkerResults, TransactionMarker } from '../coordinator/transaction/types.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { BatchBuilder, lastOffset, nextBatch } from '../protocol/records/index.ts'
import { Bench, TOPIC } from '../replication/testing-bench.ts'
import { ReplicatedStateTopic } from './state-topics.ts'
import type { MarkerWriter } from './transaction-markers.ts'
import { appendMarkers, isWritable, refuseMarkers } from './transaction-markers.ts'

const NO_OFFSETS: MarkerWriter['offsets'] = {
  partitionFor: () => 0,
  commitTransactionalOffsets: () => assert.fail('not asked'),
  completeTransaction: () => assert.fail('not asked'),
}

async function leadingBench(): Promise<Bench> {
  const bench = await Bench.start()
  bench.create()
  await bench.run(100)
  return bench
}

function marker(changes: Partial<TransactionMarker> = {}): TransactionMarker {
  const topics = [{ topic: TOPIC, partitions: [0] }]
  return { producerId: 7, producerEpoch: 0, transactionResult: true, topics, coordinatorEpoch: 3, ...changes }
}

function write(bench: Bench, broker: number, markers: readonly TransactionMarker[]): { results: MarkerResults | undefined } {
  const outcome: { results: MarkerResults | undefined } = { results: undefined }
  const writer = { replicaManager: bench.replicas(broker), clock: bench.clock, offsets: NO_OFFSETS, requestTimeoutMs: 30_000 }
  appendMarkers(writer, markers, (results) => (outcome.results = results))
  return outcome
}

function errors({ results }: { results: MarkerResults | undefined }): string[] | undefined {
  return results?.transactionMarkers.flatMap(({ producerId, topics }) =>
    topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, errorCode }) => `${producerId} ${topic}-${partition} ${errorCode}`),
    ),
  )
}

function transactional(producerEpoch = 0, baseSequence = 0): Buffer {
  const options = { producerId: 7, producerEpoch, baseSequence, transactional: true }
  return new BatchBuilder(options).append(1_500_000_000_000, null, Buffer.from('v')).build()
}

function produce(bench: Bench, records: Buffer): number | undefined {
  let error: number | undefined
  bench.replicas(1).append(1, 1000, [{ topic: TOPIC, partition: 0, records }], true, ([result]) => (error = result!.error))
  return error
}

describe('WriteTxnMarkers', () => {
  it('is answered when all replicas have the marker; then the transaction is stable', async () => {
    const bench = await leadingBench()
    assert.equal(produce(bench, transactional()), ErrorCode.NONE)
    await bench.run(100)
    const log = bench.replicas(1).partition(TOPIC, 0)!.log!
    assert.deepEqual([log.highWatermark, log.lastStableOffset], [1, 0])
    const outcome = write(bench, 1, [marker()])
    assert.equal(outcome.results, undefined)
    await bench.run(100)
    assert.deepEqual(errors(outcome), [`7 ${TOPIC}-0 0`])
    assert.deepEqual([log.highWatermark, log.lastStableOffset], [2, 2])
  })

  it('fences by the epochs of producer and coordinator', async () => {
    const bench = await leadingBench()
    const after = async (changes: Partial<TransactionMarker>): Promise<string[] | undefined> => {
      const outcome = write(bench, 1, [marker(changes)])
      await bench.run(100)
      return errors(outcome)
    }
    assert.deepEqual(await after({ producerEpoch: 5 }), [`7 ${TOPIC}-0 0`])
    assert.deepEqual(await after({ producerEpoch: 4 }), [`7 ${TOPIC}-0 ${ErrorCode.INVALID_PRODUCER_EPOCH}`])
    assert.deepEqual(await after({ producerEpoch: 5, coordinatorEpoch: 2 }), [
      `7 ${TOPIC}-0 ${ErrorCode.TRANSACTION_COORDINATOR_FENCED}`,
    ])
    assert.equal(produce(bench, transactional(4)), ErrorCode.INVALID_PRODUCER_EPOCH)
  })

  it('merges the markers of one producer, and tells what is not here from what is led elsewhere', async () => {
    const bench = await leadingBench()
    assert.deepEqual(errors(write(bench, 1, [])), [])
    assert.deepEqual(errors(write(bench, 2, [marker()])), [`7 ${TOPIC}-0 ${ErrorCode.NOT_LEADER_FOR_PARTITION}`])
    const unknown = { topics: [{ topic: 'nowhere', partitions: [0, 1] }] }
    const outcome = write(bench, 1, [marker(), marker(unknown), marker({ producerId: 8, ...unknown })])
    await bench.run(100)
    assert.deepEqual(errors(outcome), [`7 nowhere-0 3`, `7 nowhere-1 3`, `7 ${TOPIC}-0 0`, `8 nowhere-0 3`, `8 nowhere-1 3`])
  })

  it('refused as a whole: the last marker of a producer counts, also one without partitions', () => {
    assert.deepEqual(refuseMarkers([marker(), marker({ topics: [] })], 31), {
      transactionMarkers: [{ producerId: 7, topics: [] }],
    })
    assert.deepEqual([marker(), marker({ producerEpoch: -1 }), marker({ producerId: -1 })].map(isWritable), [true, false, false])
  })
})

/** As the group coordinator does with TxnOffsetCommit: error and offset, when all replicas have it. */
async function writeOffsets(bench: Bench, broker: number, producerEpoch: number): Promise<string | undefined> {
  let answer: string | undefined
  const topic = new ReplicatedStateTopic(TOPIC, 1, bench.replicas(broker), bench.clock)
  topic.append(0, transactional(producerEpoch), -1, 5000, (error, offset) => (answer = `${error} at ${offset}`))
  await bench.run(100)
  return answer
}

describe('offsets of a transaction', () => {
  const FENCED = `${ErrorCode.INVALID_PRODUCER_EPOCH} at -1`

  it('are refused by an older epoch once a marker came, also by the next leader: nobody would ever end their transaction', async () => {
    const bench = await leadingBench()
    assert.equal(await writeOffsets(bench, 1, 3), '0 at 0')
    write(bench, 1, [marker({ producerEpoch: 4, transactionResult: false })])
    await bench.run(100)
    assert.equal(await writeOffsets(bench, 1, 3), FENCED)
    bench.elect(2, [1, 2, 3])
    bench.announce()
    await bench.run(500)
    assert.equal(await writeOffsets(bench, 2, 3), FENCED)
    const log = bench.replicas(2).partition(TOPIC, 0)!.log!
    assert.deepEqual([log.logEndOffset, log.lastStableOffset], [2, 2])
    // Into the transaction of the successor, whose commit would count for them.
    assert.equal(await writeOffsets(bench, 2, 5), '0 at 2')
    assert.equal(await writeOffsets(bench, 2, 3), FENCED)
    assert.equal(await writeOffsets(bench, 2, 5), '0 at 3')
  })

  it('count under any epoch while no marker came, as those of 1.1.1, which never looks at it', async () => {
    const bench = await leadingBench()
    assert.equal(await writeOffsets(bench, 1, 3), '0 at 0')
    assert.equal(await writeOffsets(bench, 1, 1), '0 at 1')
  })
})

describe('a state topic on replicas', () => {
  const record = (value: string): Buffer =>
    new BatchBuilder().append(1_500_000_000_000, Buffer.from('k'), Buffer.from(value)).build()

  it('appends until it is replicated, and reads everything in pieces', async () => {
    const bench = await leadingBench()
    const topic = new ReplicatedStateTopic(TOPIC, 1, bench.replicas(1), bench.clock)
    assert.deepEqual([topic.magicOf(0), topic.magicOf(5)], [2, undefined])
    const answers: string[] = []
    for (let i = 0; i < 40; i++)
      topic.append(0, record(`value ${i}`), -1, 5000, (error, offset) => answers.push(`${error} ${offset}`))
    assert.equal(answers.length, 0)
    await bench.run(100)
    assert.deepEqual([answers.length, answers.at(-1)], [40, '0 39'])
    let pieces = 0
    const offsets: number[] = []
    const reading = topic.readAll(
      0,
      300,
      (batches) => {
        pieces++
        for (let at = 0, size = 0; (size = nextBatch(batches, at, batches.length)) > 0; at += size)
          offsets.push(lastOffset(batches, at))
      },
      () => false,
    )
    await bench.clock.advance(1000)
    assert.equal(await reading, 'done')
    assert.deepEqual(
      offsets,
      Array.from({ length: 40 }, (_, i) => i),
    )
    assert.ok(pieces >= 10, `${pieces} pieces`)
  })

  it('is read when all of it is replicated, not before', async () => {
    const bench = await leadingBench()
    const topic = new ReplicatedStateTopic(TOPIC, 1, bench.replicas(1), bench.clock)
    bench.cut(1, 2)
    bench.cut(1, 3)
    topic.append(0, record('x'), 1, 5000, () => {})
    let outcome: string | undefined
    void topic
      .readAll(
        0,
        1000,
        () => {},
        () => false,
      )
      .then((result) => (outcome = result))
    await bench.clock.advance(500)
    assert.equal(outcome, undefined)
    bench.heal()
    await bench.clock.advance(5000)
    assert.equal(outcome, 'done')
  })

  it('is not read by who does not lead it, or does so no longer', async () => {
    const bench = await leadingBench()
    const never = (): void => assert.fail('nothing to read')
    assert.equal(
      await new ReplicatedStateTopic(TOPIC, 1, bench.replicas(2), bench.clock).readAll(0, 10, never, () => false),
      'stale',
    )
    assert.equal(
      await new ReplicatedStateTopic('other', 1, bench.replicas(1), bench.clock).readAll(0, 10, never, () => false),
      'stale',
    )
    const topic = new ReplicatedStateTopic(TOPIC, 1, bench.replicas(1), bench.clock)
    topic.append(0, record('x'), 1, 5000, () => {})
    const reading = topic.readAll(
      0,
      1000,
      () => {},
      () => false,
    )
    bench.elect(2, [1, 2, 3])
    bench.announce()
    await bench.clock.advance(1000)
    assert.equal(await reading, 'stale')
  })
})
