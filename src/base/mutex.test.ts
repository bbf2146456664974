import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMutex } from './mutex.ts'

test('sections run one at a time in the order they came, failures do not block the next', async () => {
  const mutex = createMutex()
  const trace: string[] = []
  const section = (name: string, fails = false) =>
    mutex.runExclusive(async () => {
      trace.push(`${name} in`)
      await Promise.resolve()
      await Promise.resolve()
      trace.push(`${name} out`)
      if (fails) throw new Error(name)
      return name
    })
  const results = Promise.allSettled([section('a'), section('b', true), section('c')])
  assert.equal(mutex.isLocked, true)
  assert.deepEqual(
    (await results).map((result) => (result.status === 'fulfilled' ? result.value : 'failed')),
    ['a', 'failed', 'c'],
  )
  assert.deepEqual(trace, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out'])
  assert.equal(mutex.isLocked, false)
})
