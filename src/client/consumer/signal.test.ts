import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { Signal } from './signal.ts'

test('a wait ends at its own time, whatever timer an earlier one left; close leaves none', async () => {
  const clock = new VirtualClock()
  const signal = new Signal(clock)
  const ended: string[] = []
  const wait = (name: string, ms: number) => void signal.wait(ms, signal.count).then(() => ended.push(`${name} ${clock.now()}`))
  wait('told', 100)
  await clock.advance(20)
  signal.notify()
  wait('longer', 150)
  wait('shorter', 10)
  await clock.advance(30)
  assert.deepEqual(ended, ['told 20', 'shorter 30'])
  await clock.advance(119)
  assert.equal(ended.length, 2)
  await clock.advance(1)
  assert.deepEqual(ended.slice(2), ['longer 170'])
  assert.equal(clock.pending, 0)
  wait('never told', 1000)
  signal.notify()
  assert.equal(clock.pending, 1)
  signal.close()
  assert.equal(clock.pending, 0)
})
