import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LeaderWatch, SETTLED_MS } from './leader-watch.ts'

test('a leader is true once ZooKeeper has named it for a while, and no longer when ZooKeeper names another one, nobody, or does not answer', async () => {
  let now = 0
  let leader: number | 'no answer' = 0
  const watch = new LeaderWatch(
    async () => {
      if (leader === 'no answer') throw new Error('connection loss')
      return new Map([['t-0', { leader }]])
    },
    () => now,
  )
  const after = async (ms: number, names: number | 'no answer') => {
    now += ms
    leader = names
    await watch.look()
    return watch.leader('t', 0)
  }
  assert.equal(watch.leader('t', 0), undefined)
  assert.equal(await after(0, 0), undefined)
  assert.equal(await after(SETTLED_MS - 1, 0), undefined)
  assert.equal(await after(1, 0), 0)
  assert.equal(watch.leader('t', 1), undefined)
  assert.equal(await after(1, 1), undefined)
  assert.equal(await after(SETTLED_MS, 1), 1)
  assert.equal(await after(SETTLED_MS, -1), undefined)
  assert.equal(await after(SETTLED_MS, -1), undefined)
  await after(0, 1)
  assert.equal(await after(SETTLED_MS, 1), 1)
  assert.equal(await after(1, 'no answer'), undefined)
  assert.equal(await after(SETTLED_MS, 'no answer'), undefined)
  assert.equal(await after(1, 1), undefined)
  assert.equal(await after(SETTLED_MS, 1), 1)
})
