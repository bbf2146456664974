import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runToEnd } from '../base/loop-slice.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { Partition } from './partition.ts'
import { RestingPartitions } from './resting.ts'
import { Bench, TOPIC } from './testing-bench.ts'
import type { FetchParams, FetchPartition, FetchPartitionResult } from './types.ts'

const FOLLOWER = 2
const LAG_MS = 10_000

interface Wanted extends FetchPartition {
  fetchOffset: number
  sentHighWatermark: number
  sentLogStartOffset: number
}

interface Fetched {
  /** Partitions of the answer, when it is there: `0`, with records `0*`, with an error `0 error 6`. */
  answer: string[] | undefined
  at: number | undefined
}

/** Broker 2's session with broker 1, by hand: broker 2 itself is cut off. It has everything of some empty partitions, and was told so. */
class Session {
  readonly bench: Bench
  readonly awake = new Set<FetchPartition>()
  readonly resting = new RestingPartitions(FOLLOWER, (moved, rests) => {
    if (rests) this.awake.delete(moved)
    else this.awake.add(moved)
  })
  readonly wanted: readonly Wanted[]

  private constructor(bench: Bench, partitions: number) {
    this.bench = bench
    const of = { topic: TOPIC, fetchOffset: 0, logStartOffset: 0, maxBytes: 1000, sentHighWatermark: 0, sentLogStartOffset: 0 }
    this.wanted = Array.from({ length: partitions }, (_, place) => ({ ...of, partition: place, place }))
    for (const one of this.wanted) this.awake.add(one)
  }

  static async open(partitions: number): Promise<Session> {
    const bench = await Bench.start({
      brokers: 2,
      config: { replicaLagTimeMaxMs: LAG_MS },
      topicConfig: { 'min.insync.replicas': '1' },
    })
    for (let partition = 0; partition < partitions; partition++) bench.create(partition)
    await bench.run(1000)
    bench.cut(1, FOLLOWER)
    return new Session(bench, partitions)
  }

  fetch(options: Partial<FetchParams> = {}): Fetched {
    const fetched: Fetched = { answer: undefined, at: undefined }
    const limits = { maxWaitMs: 500, minBytes: 1, maxBytes: 10_000, minOneMessage: true, isolation: 'readUncommitted' } as const
    const params = { replicaId: FOLLOWER, ...limits, partitions: [...this.awake], resting: this.resting, ...options }
    this.bench.replicas(1).fetch(params, (results) => {
      fetched.answer = results.map(show)
      fetched.at = this.bench.clock.now()
      for (const { partition, highWatermark, logStartOffset } of results) {
        Object.assign(this.wanted[partition]!, { sentHighWatermark: highWatermark, sentLogStartOffset: logStartOffset })
      }
    })
    return fetched
  }
}

function show({ partition, records, error }: FetchPartitionResult): string {
  return `${partition}${records === undefined ? '' : '*'}${error === ErrorCode.NONE ? '' : ` error ${error}`}`
}

async function settled(partitions: number): Promise<Session> {
  const session = await Session.open(partitions)
  session.fetch()
  await session.bench.run(600)
  assert.deepEqual([session.resting.size, session.awake.size], [partitions, 0])
  return session
}

const isrOf = ({ bench }: Session): readonly number[] => bench.replicas(1).partition(TOPIC, 0)!.inSyncReplicas

test('what a follower has and knows rests: its fetches do not look at it, but count', async () => {
  const session = await settled(3)
  const { all } = session.bench.figures(1).traffic
  const before = all.totalFetchRequests
  const began = session.bench.clock.now()
  const fetched = session.fetch()
  assert.equal(runToEnd(session.bench.figures(1).waiting()).fetches, 3)
  await session.bench.run(600)
  assert.deepEqual([fetched.answer, fetched.at! - began], [[], 500])
  assert.equal(all.totalFetchRequests - before, 6)
})

test('an append answers the fetch that waits, with what woke, in the order of the session', async () => {
  const session = await settled(3)
  const replicas = session.bench.replicas(1)
  const fetched = session.fetch()
  replicas.holdTurn()
  for (const partition of [2, 0]) session.bench.produce(1, ['a'], 1, { partition })
  replicas.releaseTurn()
  assert.deepEqual(fetched.answer, ['0*', '2*'])
  assert.equal(session.resting.size, 1)
})

test('an append between two fetches is found by the next one', async () => {
  const session = await settled(2)
  session.bench.produce(1, ['a'], 1, { partition: 1 })
  assert.deepEqual(session.fetch().answer, ['1*'])
})

test('nothing rests before the follower knows the high watermark', async () => {
  const session = await settled(1)
  session.bench.produce(1, ['a'], 1)
  session.resting.wake(session.wanted[0]!)
  session.wanted[0]!.fetchOffset = 1
  const { bench } = session
  const told = session.fetch()
  assert.equal(bench.highWatermark(1), 1)
  assert.equal(session.resting.size, 0)
  await bench.run(600)
  assert.deepEqual(told.answer, ['0'])
  session.fetch()
  assert.equal(session.resting.size, 1)
})

test('a log start that moves is told with the next answer', async () => {
  const session = await settled(2)
  const { bench } = session
  bench.produce(1, ['a'], 1)
  session.wanted[0]!.fetchOffset = 1
  for (let i = 0; i < 3; i++) {
    session.fetch()
    await bench.run(600)
  }
  assert.equal(session.resting.size, 2)
  const fetched = session.fetch()
  bench.replicas(1).deleteRecords(100, [{ topic: TOPIC, partition: 0, offset: 1 }], () => {})
  await bench.run(600)
  assert.deepEqual(fetched.answer, ['0'])
})

test('who fetches stays in sync although nothing is looked at, who stops does not', async () => {
  const session = await settled(1)
  const { bench } = session
  for (let i = 0; i < 60; i++) {
    session.fetch()
    await bench.run(500)
  }
  assert.deepEqual([isrOf(session), session.resting.size], [[1, FOLLOWER], 1])
  assert.equal(bench.figures(1).counters.isrShrinks, 0)
  await bench.run(LAG_MS / 2)
  assert.deepEqual(isrOf(session), [1, FOLLOWER], 'not yet')
  await bench.run(LAG_MS * 1.5)
  assert.deepEqual([isrOf(session), session.resting.size], [[1], 0])
})

test('an append counts the time until the last fetch: the follower is in sync from there', async () => {
  const session = await settled(1)
  const { bench } = session
  for (let i = 0; i < 60; i++) {
    session.fetch()
    await bench.run(500)
  }
  bench.produce(1, ['a'], 1)
  assert.equal(session.resting.size, 0)
  await bench.run(LAG_MS / 2)
  assert.deepEqual(isrOf(session), [1, FOLLOWER])
  await bench.run(LAG_MS * 1.5)
  assert.deepEqual(isrOf(session), [1])
})

test('a lost role is answered at once', async () => {
  const session = await settled(2)
  const fetched = session.fetch()
  session.bench.elect(FOLLOWER, [FOLLOWER, 1])
  session.bench.announce([1])
  assert.deepEqual(fetched.answer, [`0 error ${ErrorCode.NOT_LEADER_FOR_PARTITION}`])
})

test('a fetch that waits for nothing but what rests ends with the broker', async () => {
  const session = await settled(1)
  const fetched = session.fetch()
  await session.bench.replicas(1).shutdown()
  assert.notEqual(fetched.answer, undefined)
})

test('what rested in an earlier epoch says nothing of a new one', async () => {
  const session = await settled(1)
  const { bench } = session
  // An epoch is missed: somebody else may have led it.
  bench.elect(FOLLOWER, [FOLLOWER])
  bench.elect(1, [1])
  bench.announce([1])
  const replica = (bench.replicas(1).partition(TOPIC, 0) as Partition).remote(FOLLOWER)!
  assert.deepEqual([replica.lastCaughtUp, replica.logEndOffset, session.resting.size], [Number.NEGATIVE_INFINITY, -1, 0])
})
