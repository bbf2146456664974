import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError } from './assert.ts'
import { TimerWheel, type WheelTimer } from './timer-wheel.ts'

/** A clock that wakes exactly on time (or `lateBy` later) and counts its timers. */
class StubClock {
  time = 1000.25
  lateBy = 0
  made = 0
  pending: { at: number; fn: () => void }[] = []

  now(): number {
    return this.time
  }

  timer(delayMs: number, fn: () => void): { cancel(): void } {
    assert.ok(delayMs >= 0)
    this.made++
    const entry = { at: this.time + delayMs, fn }
    this.pending.push(entry)
    return { cancel: () => void (this.pending = this.pending.filter((other) => other !== entry)) }
  }

  advance(ms: number): void {
    const end = this.time + ms
    for (;;) {
      const due = this.pending.filter((entry) => entry.at + this.lateBy <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.pending = this.pending.filter((entry) => entry !== due)
      this.time = Math.max(this.time, due.at + this.lateBy)
      due.fn()
    }
    this.time = end
  }
}

test('calls after the delay, never early, at most a tick late', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock)
  const delays = [0, 0.3, 1, 5, 63, 64, 65, 127, 128, 500, 4095, 4096, 4097, 30_000, 262_143, 262_144, 300_000, 16_777_215]
  const calls: number[] = []
  for (const delay of [...delays, 16_777_216, 40_000_000]) {
    const start = clock.now()
    wheel.add(delay, () => {
      calls.push(delay)
      assert.ok(clock.now() >= start + delay, `${delay} came early, after ${clock.now() - start}`)
      assert.ok(clock.now() <= start + Math.max(delay, 0) + 2, `${delay} came late, after ${clock.now() - start}`)
    })
  }
  assert.equal(clock.pending.length, 1, 'one timer of the clock')
  clock.advance(50_000_000)
  assert.deepEqual(calls, [...delays, 16_777_216, 40_000_000])
  assert.equal(wheel.size, 0)
  assert.equal(clock.pending.length, 0)
})

test('entries of one tick run in the order of adding, on whatever level they were added', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock)
  const calls: string[] = []
  wheel.add(5000, () => calls.push('first'))
  clock.advance(4000)
  wheel.add(1000, () => calls.push('second'))
  clock.advance(950)
  wheel.add(50, () => calls.push('third'))
  clock.advance(100)
  assert.deepEqual(calls, ['first', 'second', 'third'])
})

test('cancel works before, during and after, and is idempotent', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock)
  const calls: string[] = []
  const b: WheelTimer = wheel.add(10, () => calls.push('b'))
  const later: WheelTimer[] = []
  wheel.add(10, () => {
    calls.push('a')
    for (const timer of later) timer.cancel()
  })
  later.push(wheel.add(10, () => calls.push('same tick, cancelled by a')))
  later.push(wheel.add(11, () => calls.push('next tick, cancelled by a')))
  b.cancel()
  b.cancel()
  assert.equal(b.isActive, false)
  assert.equal(wheel.size, 3)
  clock.advance(20)
  assert.deepEqual(calls, ['a'])
  assert.equal(wheel.size, 0)
  later[0]!.cancel()
  assert.equal(wheel.size, 0)
})

test('a callback may add: never called within the same turn of the wheel for delay 0', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock)
  const times: number[] = []
  const again = () => {
    times.push(Math.floor(clock.now()))
    if (times.length < 4) wheel.add(0, again)
  }
  wheel.add(0, again)
  assert.deepEqual(times, [])
  clock.advance(10)
  assert.deepEqual(times, [1001, 1002, 1003, 1004])
})

test('a late clock runs everything that is due, in order of due time', () => {
  const clock = new StubClock()
  clock.lateBy = 200
  const wheel = new TimerWheel(clock)
  const calls: number[] = []
  for (const delay of [150, 20, 70, 66, 199, 240]) wheel.add(delay, () => calls.push(delay))
  clock.advance(225)
  assert.deepEqual(calls, [20, 66, 70, 150, 199])
  clock.advance(400)
  assert.deepEqual(calls, [20, 66, 70, 150, 199, 240])
})

test('thousands of equal timeouts, nearly all cancelled, need few timers of the clock', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock, { background: true })
  let fired = 0
  for (let i = 0; i < 20_000; i++) {
    const timer = wheel.add(500, () => fired++)
    clock.advance(0.1)
    if (i % 100 !== 0) timer.cancel()
  }
  clock.advance(600)
  assert.equal(fired, 200)
  assert.ok(clock.made < 500, `${clock.made} timers`)
})

test('a foreground wheel leaves no timer behind when its last entry is cancelled', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock)
  wheel.add(500, () => {}).cancel()
  assert.equal(clock.pending.length, 0)
})

test('close drops everything, also from inside a callback', () => {
  const clock = new StubClock()
  const wheel = new TimerWheel(clock)
  let calls = 0
  wheel.add(10, () => {
    calls++
    wheel.close()
  })
  const other = wheel.add(10, () => calls++)
  clock.advance(100)
  assert.equal(calls, 1)
  assert.equal(other.isActive, false)
  assert.equal(wheel.add(1, () => calls++).isActive, false)
  clock.advance(100)
  assert.equal(calls, 1)
  assert.equal(clock.pending.length, 0)
})

test('agrees with a sorted list over random adds, cancels and jumps', () => {
  let state = 7
  const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below
  for (let round = 0; round < 20; round++) {
    const clock = new StubClock()
    clock.lateBy = random(3) * 40
    const wheel = new TimerWheel(clock, { background: round % 2 === 0 })
    const fired = new Map<number, number>()
    const model: { id: number; due: number; timer: WheelTimer }[] = []
    for (let id = 0; id < 1500; id++) {
      const delay = random(4) === 0 ? random(20_000_000) : random(1000)
      model.push({ id, due: clock.now() + delay, timer: wheel.add(delay, () => fired.set(id, clock.now())) })
      if (random(3) === 0) model.splice(random(model.length), 1)[0]!.timer.cancel()
      if (random(2) === 0) clock.advance(random(10) === 0 ? random(2_000_000) : random(50))
    }
    clock.advance(40_000_000)
    for (const { id, due } of model) {
      const at = fired.get(id)!
      assert.ok(at >= due && at <= due + 2 + clock.lateBy, `round ${round}: ${id} due ${due} ran ${at}`)
    }
    assert.equal(wheel.size, 0)
  }
})

test('bad delays are bugs', () => {
  const wheel = new TimerWheel(new StubClock())
  assert.throws(() => wheel.add(-1, () => {}), AssertionError)
  assert.throws(() => wheel.add(Number.NaN, () => {}), AssertionError)
})
