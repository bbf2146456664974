import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { baseSequence, lastSequence } from '../protocol/records/batch.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import { History } from './history.ts'
import { runPipelined } from './pipelined-producer.ts'
import type { SendResult } from './producer.ts'

/** What becomes of an attempt whose batch the leader has taken, or had: acknowledged, timed out for want of a replica, no answer. */
type Fate = 'ok' | 'late' | 'lost'

interface Waiting {
  readonly records: Buffer
  readonly answer: (result: SendResult) => void
}

/** A leader that remembers `memory` batches of one producer and answers when it is told to. */
class Leader {
  readonly world = {
    rng: new SeededRng(1),
    reached: (name: string) => this.reached.push(name),
    violation: this.#violation.bind(this),
  }
  readonly name = 'pipelined'
  readonly reached: string[] = []
  readonly violations: string[] = []
  isOver = false
  readonly clock = { wall: () => 0 }
  readonly #memory: number
  #waiting: Waiting[] = []
  #remembered: { readonly first: number; readonly last: number }[] = []
  #ids = 0

  constructor(memory: number) {
    this.#memory = memory
  }

  #violation(check: string, message: string): void {
    this.violations.push(`${check}: ${message}`)
    this.end()
  }

  end(): void {
    this.isOver = true
    for (const { answer } of this.#waiting.splice(0)) answer(NO_ANSWER)
  }

  async sleep(): Promise<void> {
    await new Promise(setImmediate)
  }

  async leader(): Promise<number> {
    return 0
  }

  anyBroker(): number {
    return 0
  }

  forgetLeader(): void {}

  async call(_broker: number, api: string, request: unknown): Promise<unknown> {
    if (api === 'InitProducerId') {
      this.#remembered = []
      return { errorCode: 0, producerId: this.#ids++, producerEpoch: 0 }
    }
    if (this.isOver) return NO_ANSWER
    const { topicData } = request as { topicData: { data: { recordSet: Buffer }[] }[] }
    const records = topicData[0]!.data[0]!.recordSet
    return new Promise((answer) => this.#waiting.push({ records, answer }))
  }

  /** Waits for as many attempts, which it looks at in the order of their coming, and then answers. */
  async answer(...fates: readonly Fate[]): Promise<void> {
    while (this.#waiting.length < fates.length) {
      assert.ok(!this.isOver, `ended by ${this.violations}`)
      await this.sleep()
    }
    const waiting = this.#waiting
    this.#waiting = []
    assert.equal(waiting.length, fates.length)
    const errors = waiting.map(({ records }) => this.#take(baseSequence(records, 0), lastSequence(records, 0)))
    for (const [i, fate] of fates.entries()) {
      const error = errors[i] || (fate === 'late' ? ErrorCode.REQUEST_TIMED_OUT : 0)
      waiting[i]!.answer(fate === 'lost' ? NO_ANSWER : { error, offset: -1 })
    }
  }

  #take(first: number, last: number): number {
    if (this.#remembered.some((one) => one.first === first && one.last === last)) return 0
    const next = (this.#remembered.at(-1)?.last ?? -1) + 1
    if (first !== next) return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    this.#remembered = [...this.#remembered, { first, last }].slice(-this.#memory)
    return 0
  }

  run(): Promise<void> {
    const history = new History({ clock: { now: () => 0 }, ...this.world } as unknown as ConstructorParameters<typeof History>[0])
    return runPipelined(this as unknown as SimClient, history, {
      kind: 'idempotent',
      topic: 'events',
      partitions: 1,
      pauseMs: 1,
      breaks: new Set(),
      trueLeader: () => 0,
      leaderLife: () => 'one',
    })
  }
}

const FORGOTTEN = 'more batches in flight than the leader remembers'

test('two later batches were acknowledged, four more sent: a leader of 1.1 has forgotten the first, and the producer takes a new id', async () => {
  const leader = new Leader(5)
  const done = leader.run()
  await leader.answer('late', 'late', 'late', 'ok', 'ok')
  await leader.answer('lost', 'lost', 'lost', 'lost', 'lost')
  await leader.answer('ok', 'ok', 'ok', 'ok', 'ok')
  // All five of a new id.
  await leader.answer('ok', 'ok', 'ok', 'ok', 'ok')
  leader.end()
  await done
  assert.deepEqual([leader.violations, leader.reached.filter((name) => name === FORGOTTEN)], [[], [FORGOTTEN]])
})

test('with four behind it the leader has to remember it', async () => {
  const leader = new Leader(4)
  const done = leader.run()
  await leader.answer('late', 'late', 'late', 'late', 'late')
  await leader.answer('ok', 'ok', 'ok', 'ok', 'ok')
  await leader.sleep()
  leader.end()
  await done
  assert.deepEqual(leader.violations, ['idempotence: pipelined events-0 sequence 0: OUT_OF_ORDER_SEQUENCE_NUMBER'])
  assert.ok(!leader.reached.includes(FORGOTTEN))
})
