import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { nodeClock, timezoneOffsetMs } from './clock.ts'
import { nodeRng } from './rng.ts'

test('timers never run early by the monotonic clock', async () => {
  await Promise.all(
    Array.from({ length: 60 }, (_, i) => {
      const delay = i / 3
      const start = nodeClock.now()
      return new Promise<void>((resolve) => {
        nodeClock.timer(delay, () => {
          const took = nodeClock.now() - start
          assert.ok(took >= delay, `${took} < ${delay}`)
          resolve()
        })
      })
    }),
  )
})

test('a cancelled timer does not run; a delay beyond the platform limit does not run at once', async () => {
  let calls = 0
  const timer = nodeClock.timer(1, () => calls++)
  const far = nodeClock.timer(2 ** 40, () => calls++)
  timer.cancel()
  timer.cancel()
  await new Promise<void>((resolve) => void nodeClock.timer(10, resolve))
  assert.equal(calls, 0)
  far.cancel()
})

test('soon comes in a later turn, after promises', async () => {
  const trace: string[] = []
  await new Promise<void>((resolve) => {
    nodeClock.soon(() => {
      trace.push('soon')
      resolve()
    })
    void Promise.resolve().then(() => trace.push('promise'))
    trace.push('now')
  })
  assert.deepEqual(trace, ['now', 'promise', 'soon'])
})

test('a background timer does not keep the process alive', () => {
  const module = new URL(import.meta.url.replace(/clock\.test\.(ts|js)$/, 'clock.$1')).href
  const program = `import { nodeClock } from ${JSON.stringify(module)}; nodeClock.timer(60_000, () => {}, true); console.log('over')`
  const flags = process.execArgv.filter((flag) => !flag.startsWith('--test'))
  const output = execFileSync(process.execPath, [...flags, '--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  assert.equal(output, 'over\n')
})

test('wall time is in milliseconds since 1970, the offset is that of the platform', () => {
  assert.ok(Math.abs(nodeClock.wall() - Date.now()) < 1000)
  assert.equal(timezoneOffsetMs(Date.UTC(2018, 6, 1)), -new Date(2018, 6, 1).getTimezoneOffset() * 60_000)
})

test('real chance keeps its ranges', () => {
  for (let i = 0; i < 200; i++) {
    const value = nodeRng.int(3, 6)
    assert.ok(value >= 3 && value < 6 && Number.isInteger(value))
  }
  assert.equal(nodeRng.bytes(16).length, 16)
  assert.notDeepEqual(nodeRng.bytes(16), nodeRng.fork('x').bytes(16))
  assert.throws(() => nodeRng.int(1, 1), /empty range/)
})
