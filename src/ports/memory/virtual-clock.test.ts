import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError } from '../../base/assert.ts'
import { VirtualClock } from './virtual-clock.ts'

test('timers run by time, then by order of setting, and see their own time', () => {
  const clock = new VirtualClock({ now: 100, wall: 5000 })
  const calls: string[] = []
  const note = (name: string) => () => calls.push(`${name}@${clock.now()}`)
  clock.timer(20, note('c'))
  clock.timer(10, note('a'))
  clock.timer(10, note('b'))
  const cancelled = clock.timer(15, note('never'))
  clock.timer(5, () => {
    cancelled.cancel()
    clock.soon(note('soon'))
    clock.timer(0, note('after soon'))
  })
  assert.equal(clock.pending, 5)
  assert.equal(clock.nextAt, 105)
  clock.advanceSync(15)
  assert.deepEqual(calls, ['soon@105', 'after soon@105', 'a@110', 'b@110'])
  assert.equal(clock.now(), 115)
  clock.advanceSync(100)
  assert.equal(calls.at(-1), 'c@120')
  assert.equal(clock.wall(), 5115)
  assert.equal(clock.step(), false)
})

test('advance lets promises settle between timers', async () => {
  const clock = new VirtualClock()
  const calls: string[] = []
  const sleep = (ms: number) => new Promise<void>((resolve) => void clock.timer(ms, resolve))
  const worker = async (name: string, ms: number) => {
    for (let i = 0; i < 3; i++) {
      await sleep(ms)
      calls.push(`${name}${clock.now()}`)
    }
  }
  void worker('a', 10)
  void worker('b', 15)
  await clock.advance(40)
  assert.deepEqual(calls, ['a10', 'b15', 'a20', 'b30', 'a30'])
  await clock.advanceUntil(() => calls.length === 6, 100)
  assert.equal(clock.now(), 45)
  await assert.rejects(
    clock.advanceUntil(() => false, 100),
    AssertionError,
  )
})

test('who waits for the rest of a time is not woken just before it, again and again', () => {
  for (let i = 1; i < 5000; i++) {
    const clock = new VirtualClock({ now: (i * 7919.123456789) / 3 })
    const start = clock.now()
    let rings = 0
    const wait = () => {
      rings++
      const elapsed = clock.now() - start
      if (elapsed < 300 && rings < 100) clock.timer(300 - elapsed, wait)
    }
    clock.timer(300 * 0.3337, wait)
    clock.advanceSync(1000)
    assert.equal(rings, 2, `round ${i}`)
  }
})

test('the wall clock can jump, the monotonic one does not', () => {
  const clock = new VirtualClock({ wall: 1_000_000 })
  clock.wallOffset -= 500_000
  clock.advanceSync(1)
  assert.deepEqual([clock.now(), clock.wall()], [1, 500_001])
})

test('many timers keep their order', () => {
  const clock = new VirtualClock()
  const seen: number[] = []
  let state = 3
  for (let i = 0; i < 5000; i++) {
    state = (state * 48_271) % 2_147_483_647
    const delay = state % 700
    const timer = clock.timer(delay, () => seen.push(delay * 10_000 + i))
    if (state % 5 === 0) timer.cancel()
  }
  clock.advanceSync(1000)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  )
  assert.ok(seen.length > 3500)
})
