import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { TurnWatch, WatchedTurn } from './turn-watch.ts'

/** Computes for so long, however often others get the processor meanwhile. */
function compute(ms: number): void {
  const start = process.cpuUsage()
  for (;;) {
    const { user, system } = process.cpuUsage(start)
    if (user + system >= ms * 1000) return
  }
}

async function longest(work: () => Promise<void>): Promise<number> {
  let longest = 0
  const watch = new TurnWatch((cpuMs) => {
    longest = Math.max(longest, cpuMs)
  })
  await sleep(1)
  longest = 0
  await work()
  await sleep(10)
  watch.stop()
  return longest
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('one long turn of an idle loop is seen, in a callback of a timer and in one of the check phase', async () => {
  const inTimer = await longest(async () => {
    await sleep(20)
    compute(60)
  })
  assert.ok(inTimer >= 55 && inTimer < 110, `${inTimer}`)
  const inCheck = await longest(async () => {
    await turn()
    compute(60)
  })
  assert.ok(inCheck >= 55 && inCheck < 110, `${inCheck}`)
})

test('many short turns are not one long one, and a long one among them is seen', async () => {
  const short = await longest(async () => {
    for (let i = 0; i < 300; i++) {
      compute(0.5)
      await turn()
    }
  })
  assert.ok(short < 40, `${short}`)
  const mixed = await longest(async () => {
    for (let i = 0; i < 300; i++) {
      compute(i === 150 ? 80 : 0.5)
      await turn()
    }
  })
  assert.ok(mixed >= 75, `${mixed}`)
})

test('a turn that waits computes nothing', async () => {
  const waited = await longest(async () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)
    await turn()
  })
  assert.ok(waited < 75, `${waited}`)
})

test('collecting garbage is no work of the turn itself', () => {
  const turn = new WatchedTurn(100, 200, 90, 60)
  assert.equal(turn.ownMs, 60)
  turn.paused(90, 120)
  assert.equal(turn.ownMs, 60)
  turn.paused(150, 190)
  assert.deepEqual([turn.ownMs, turn.cpuMs], [30, 60])
  turn.paused(195, 300)
  turn.paused(20, 99)
  assert.equal(turn.ownMs, 25)
})

test('pauses for garbage collection are told', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  let pause = 0
  const watch = new TurnWatch(
    () => {},
    (ms) => {
      pause = Math.max(pause, ms)
    },
  )
  collect()
  for (let i = 0; i < 200 && pause === 0; i++) await sleep(5)
  watch.stop()
  assert.ok(pause > 0)
})
