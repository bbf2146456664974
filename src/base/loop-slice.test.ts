import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inSlices, LoopSlice, nextSlice } from './loop-slice.ts'

/** A loop by hand: `turn` runs what was asked for before it, and every look at the time lets a millisecond pass. */
class HandClock {
  time = 0
  #soon: (() => void)[] = []

  now(): number {
    return this.time++
  }

  soon(fn: () => void): void {
    this.#soon.push(fn)
  }

  async turn(): Promise<number> {
    const due = this.#soon
    this.#soon = []
    for (const fn of due) fn()
    await new Promise<void>((resolve) => setImmediate(resolve))
    return due.length
  }
}

test('long work has breaks, and ends with what it made', async () => {
  const clock = new HandClock()
  let steps = 0
  const work = inSlices(
    clock,
    4,
    (function* () {
      for (; steps < 20; steps++) yield
      return 'made'
    })(),
  )
  const taken = [steps]
  while ((await clock.turn()) > 0) taken.push(steps)
  assert.ok(taken.length >= 5, `${taken}`)
  for (let i = 1; i < taken.length; i++) assert.ok(taken[i]! - taken[i - 1]! <= 4, `${taken}`)
  assert.equal(await work, 'made')
})

test('what needs one slice is done at once, without a promise', () => {
  const clock = new HandClock()
  const work = inSlices(
    clock,
    1000,
    (function* () {
      for (let i = 0; i < 20; i++) yield
      return 'made'
    })(),
  )
  assert.equal(work, 'made')
})

test('of several pieces of long work one goes on in a turn, each in its turn', async () => {
  const clock = new HandClock()
  const order: string[] = []
  const work = async (name: string): Promise<void> => {
    const slice = new LoopSlice(clock, 1)
    for (let i = 0; i < 3; i++) {
      await slice.turn()
      order.push(name)
    }
  }
  void work('a')
  void work('b')
  nextSlice(clock, () => order.push('c'))
  const lengths: number[] = []
  while ((await clock.turn()) > 0) lengths.push(order.length)
  assert.deepEqual(lengths, [1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(order, ['a', 'b', 'c', 'a', 'b', 'a', 'b'])
})

test('work that throws ends, and others go on', async () => {
  const clock = new HandClock()
  const failing = inSlices(
    clock,
    1,
    (function* () {
      yield
      yield
      yield
      throw new Error('no')
    })(),
  )
  let isDone = false
  nextSlice(clock, () => {
    isDone = true
  })
  const rejected = assert.rejects(async () => failing, /no/)
  for (let i = 0; i < 10; i++) await clock.turn()
  await rejected
  assert.ok(isDone)
})
