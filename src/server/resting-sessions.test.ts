/** What rests in fetch sessions changes no answer: consumers with sessions beside others whose sessions look at each partition with each fetch. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { BatchBuilder, endTransactionMarker } from '../protocol/records/index.ts'
import { Bench, batchOf, TOPIC } from '../replication/testing-bench.ts'
import type { FetchParams, FetchPartitionResult } from '../replication/types.ts'
import { FetchSessionCache } from './fetch-session.ts'

const PARTITIONS = 4
const LEADER = 1
const FOLLOWER = 2

type Kind = Pick<FetchParams, 'replicaId' | 'isolation'>

/** The last one reads followers, too. */
const KINDS: readonly Kind[] = [
  { replicaId: -1, isolation: 'readUncommitted' },
  { replicaId: -1, isolation: 'readCommitted' },
  { replicaId: -2, isolation: 'readUncommitted' },
]

interface Answer {
  readonly at: number
  readonly partitions: readonly string[]
}

function show(result: FetchPartitionResult): string {
  const { partition, error, highWatermark, logStartOffset, lastStableOffset, records, abortedTransactions } = result
  const more = [error, highWatermark, logStartOffset, lastStableOffset, records?.size ?? 0, JSON.stringify(abortedTransactions)]
  return `${partition}: ${more.join(' ')}`
}

/** One consumer, in a session with broker 1. Each answer moves its positions on. */
class Reader {
  /** Those that nobody has looked at yet. */
  answers: Answer[] = []
  readonly #bench: Bench
  readonly #kind: Kind
  readonly #mayRest: boolean
  readonly #cache: FetchSessionCache
  readonly #positions = new Map<number, number>()
  /** To be named in the next request. */
  readonly #named = new Set<number>()
  #sessionId = 0
  #epoch = 0
  isWaiting = false
  answered = 0
  /** Partitions that rested when a fetch came. */
  rested = 0

  constructor(bench: Bench, kind: Kind, mayRest: boolean) {
    this.#bench = bench
    this.#kind = kind
    this.#mayRest = mayRest
    this.#cache = new FetchSessionCache({ slots: 10, now: () => bench.clock.now(), rng: new SeededRng('sessions') })
    for (let partition = 0; partition < PARTITIONS; partition++) this.seek(partition, 0)
  }

  seek(partition: number, offset: number): void {
    this.#positions.set(partition, offset)
    this.#named.add(partition)
  }

  fetch(minBytes: number, maxBytes: number, forgotten?: number): void {
    if (forgotten !== undefined) this.#named.delete(forgotten)
    const requested = [...this.#named].map((partition) => ({
      topic: TOPIC,
      partition,
      fetchOffset: this.#positions.get(partition)!,
      logStartOffset: -1,
      maxBytes,
    }))
    this.#named.clear()
    const forget = forgotten === undefined ? [] : [{ topic: TOPIC, partition: forgotten }]
    const context = this.#cache.context(this.#sessionId, this.#epoch++, requested, forget, this.#kind.replicaId)
    assert.equal(context.error, ErrorCode.NONE)
    this.rested += context.resting?.size ?? 0
    this.isWaiting = true
    const limits = { maxWaitMs: 500, minBytes, maxBytes, minOneMessage: true, ...this.#kind }
    const params = { ...limits, partitions: context.partitions, resting: this.#mayRest ? context.resting : undefined }
    this.#bench.replicas(LEADER).fetch(params, (results) => {
      this.isWaiting = false
      this.answered++
      const { error, sessionId, included } = context.finish(results)
      assert.equal(error, ErrorCode.NONE)
      this.#sessionId = sessionId
      this.answers.push({ at: this.#bench.clock.now(), partitions: included.map(show) })
      for (const result of included) this.#moveOn(result)
    })
  }

  #moveOn({ partition, error, records }: FetchPartitionResult): void {
    const log = this.#bench.replicas(LEADER).partition(TOPIC, partition)!.log!
    if (error === ErrorCode.OFFSET_OUT_OF_RANGE) this.#positions.set(partition, log.logStartOffset)
    else if (records === undefined) return
    else {
      const bytes = Buffer.alloc(records.size)
      records.copyTo(bytes, 0)
      // One record in each batch; a torso may follow.
      let next = this.#positions.get(partition)!
      for (let at = 0; at + 12 <= bytes.length; at += bytes.readInt32BE(at + 8) + 12) {
        if (at + bytes.readInt32BE(at + 8) + 12 <= bytes.length) next = Number(bytes.readBigInt64BE(at)) + 1
      }
      this.#positions.set(partition, next)
    }
    this.#named.add(partition)
  }
}

/** Batches of one transactional producer, one record each. */
class Transactions {
  readonly #open = new Set<number>()
  readonly #sequences = new Map<number, number>()

  next(partition: number, rng: SeededRng): { records: Buffer; isFromClient: boolean } {
    const about = { producerId: 7, producerEpoch: 0 }
    if (this.#open.has(partition) && rng.next() < 0.5) {
      this.#open.delete(partition)
      const commit = rng.next() < 0.5
      return { records: endTransactionMarker({ ...about, commit, coordinatorEpoch: 0, timestamp: 1 }), isFromClient: false }
    }
    this.#open.add(partition)
    const baseSequence = this.#sequences.get(partition) ?? 0
    this.#sequences.set(partition, baseSequence + 1)
    const builder = new BatchBuilder({ ...about, baseSequence, transactional: true })
    builder.append(1, null, Buffer.from('transactional'))
    return { records: builder.build(), isFromClient: true }
  }
}

class Run {
  readonly #bench: Bench
  readonly #rng: SeededRng
  readonly #transactions = new Transactions()

  constructor(bench: Bench, rng: SeededRng) {
    this.#bench = bench
    this.#rng = rng
  }

  #append(partition: number): void {
    const isPlain = this.#rng.next() < 0.6
    const { records, isFromClient } = isPlain
      ? { records: batchOf(['plain']), isFromClient: true }
      : this.#transactions.next(partition, this.#rng)
    const entries = [{ topic: TOPIC, partition, records }]
    this.#bench.replicas(this.#leader(partition)).append(1, 1000, entries, isFromClient, () => {})
  }

  #leader(partition: number): number {
    return this.#bench.zk.get(TOPIC, partition).leader
  }

  /** Something happens to the partitions, or time passes. */
  async step(): Promise<void> {
    const [bench, rng] = [this.#bench, this.#rng]
    const partition = rng.int(0, PARTITIONS)
    const draw = rng.next()
    if (draw < 0.35) {
      const held = rng.next() < 0.3 ? [LEADER, FOLLOWER].map((id) => bench.replicas(id)) : []
      for (const replicas of held) replicas.holdTurn()
      for (let i = rng.int(1, 3); i > 0; i--) this.#append(rng.int(0, PARTITIONS))
      for (const replicas of held) replicas.releaseTurn()
    } else if (draw < 0.4) {
      const offset = rng.int(0, Math.max(1, bench.highWatermark(LEADER, partition) + 1))
      bench.replicas(this.#leader(partition)).deleteRecords(100, [{ topic: TOPIC, partition, offset }], () => {})
    } else if (draw < 0.45) bench.cut(LEADER, FOLLOWER)
    else if (draw < 0.6) bench.heal()
    else if (draw < 0.65) {
      const state = bench.zk.get(TOPIC, partition)
      const next = state.leader === LEADER ? FOLLOWER : LEADER
      bench.elect(next, state.isr.includes(next) ? state.isr : [next], partition)
      bench.announce([LEADER, FOLLOWER], partition)
    } else await bench.run(rng.int(1, draw < 0.8 ? 20 : 1500))
  }
}

async function compare(seed: number): Promise<{ answers: number; rested: number }> {
  const rng = new SeededRng(`resting ${seed}`)
  const bench = await Bench.start({
    brokers: 2,
    seed,
    topicConfig: { 'min.insync.replicas': '1', 'segment.bytes': '300', 'segment.index.bytes': '1000' },
    config: { replicaLagTimeMaxMs: 3000 },
  })
  for (let partition = 0; partition < PARTITIONS; partition++) bench.create(partition)
  await bench.run(1000)
  const pairs = KINDS.map((kind) => [true, false].map((mayRest) => new Reader(bench, kind, mayRest)))
  const run = new Run(bench, rng)
  for (let step = 0; step < 300; step++) {
    for (const pair of pairs) {
      assert.deepEqual(pair[0]!.answers, pair[1]!.answers, `seed ${seed}, step ${step}`)
      for (const reader of pair) reader.answers = []
      assert.equal(pair[0]!.isWaiting, pair[1]!.isWaiting, `seed ${seed}, step ${step}`)
      if (pair[0]!.isWaiting) continue
      const minBytes = rng.next() < 0.3 ? 200 : 1
      const maxBytes = rng.next() < 0.2 ? 100 : 10_000
      // A session ends with its last partition.
      const partition = rng.int(1, PARTITIONS)
      const forgotten = rng.next() < 0.05 && pair[0]!.answered > 0 ? partition : undefined
      const offset = rng.next() < 0.1 ? rng.int(0, bench.end(LEADER, partition) + 1) : undefined
      for (const reader of pair) {
        if (offset !== undefined) reader.seek(partition, offset)
        reader.fetch(minBytes, maxBytes, forgotten)
      }
    }
    await run.step()
  }
  const readers = pairs.map(([reader]) => reader!)
  return {
    answers: readers.reduce((sum, { answered }) => sum + answered, 0),
    rested: readers.reduce((sum, { rested }) => sum + rested, 0),
  }
}

test('consumers are answered the same, and at the same time, whether partitions rest in their sessions or not', async () => {
  let [answers, rested] = [0, 0]
  for (let seed = 1; seed <= 10; seed++) {
    const found = await compare(seed)
    answers += found.answers
    rested += found.rested
  }
  assert.ok(answers > 2000 && rested > 1000, `${answers} answers, ${rested} times a partition rested`)
})

test('a partition whose records were just sent does not rest: busy ones would only be put to rest and woken', async () => {
  const bench = await Bench.start({ brokers: 1, topicConfig: { 'min.insync.replicas': '1' } })
  for (let partition = 0; partition < PARTITIONS; partition++) bench.create(partition)
  const reader = new Reader(bench, KINDS[0]!, true)
  // The first makes the session, the next one is told nothing.
  for (let i = 0; i < 2; i++) {
    reader.fetch(1, 1000)
    await bench.run(600)
  }
  for (let i = 0; i < 5; i++) {
    reader.rested = 0
    reader.fetch(1, 1000)
    bench.produce(LEADER, ['a'], 1, { partition: 0 })
    assert.equal(reader.isWaiting, false)
    assert.equal(reader.rested, i === 0 ? PARTITIONS : PARTITIONS - 1)
  }
  for (const resting of [PARTITIONS - 1, PARTITIONS - 1, PARTITIONS]) {
    reader.rested = 0
    reader.fetch(1, 1000)
    assert.equal(reader.rested, resting)
    await bench.run(600)
  }
})
