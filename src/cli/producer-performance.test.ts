import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Producer, SendCallback } from '../client/index.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { ProducerStats } from './performance/producer-stats.ts'
import { Run } from './producer-performance.ts'

const COUNT = 300

/** When each record left, in milliseconds from the start. `fullForMs`: the producer has no room for so long after the hundredth. */
async function departures(throughput: number, fullForMs = 0): Promise<number[]> {
  const clock = new VirtualClock()
  const start = clock.now()
  const left: number[] = []
  const producer = {
    produce: (_record: object, callback: SendCallback) => {
      left.push(clock.now() - start)
      callback(null, 0, 0, 0)
      return fullForMs === 0 || left.length !== 100
    },
    onDrain: (drained: () => void) => {
      const timer = clock.timer(fullForMs, drained)
      return () => timer.cancel()
    },
  } as unknown as Producer
  const plan = { topic: 't', count: COUNT, throughput, transactionMs: 0, nextPayload: () => Buffer.alloc(10) }
  const ending = { asked: new Promise<undefined>(() => {}), exitCode: undefined, forget: () => {} }
  const stats = new ProducerStats(COUNT, clock.wall(), () => {})
  let hasEnded = false
  const run = new Run(producer, plan, stats, clock, ending).send().then(() => {
    hasEnded = true
  })
  await clock.advanceUntil(() => hasEnded, 60_000)
  await run
  return left
}

/** Times of a rate, to the millisecond: that is how fine the wall clock is. */
function assertAtRate(left: readonly number[], perSecond: number, from = 0): void {
  assert.equal(left.length, COUNT)
  for (const [i, at] of left.entries()) {
    const due = (1000 * i) / perSecond
    if (i >= from) assert.ok(at >= due - 1 && at <= due + 1, `record ${i} left after ${at} ms, due after ${due} ms`)
  }
}

describe('the throughput that was asked for', () => {
  for (const perSecond of [30, 300, 7000]) {
    it(`${perSecond} records per second: each leaves in its millisecond`, async () => {
      assertAtRate(await departures(perSecond), perSecond)
    })
  }

  it('after a pause of the producer what is late leaves at once, then the rate is held again', async () => {
    const left = await departures(300, 500)
    const first = Math.ceil((300 * (left[100] ?? 0)) / 1000) + 1
    assert.ok((left[100] ?? 0) >= 500 && first < COUNT, `record 100 left after ${left[100]} ms`)
    assert.equal(left[first - 2], left[100])
    assertAtRate(left, 300, first)
  })

  it('none: everything at once', async () => {
    const left = await departures(-1)
    assert.equal(left.length, COUNT)
    assert.equal(left.at(-1), 0)
  })
})
