import assert from 'node:assert/strict'
import { it } from 'node:test'
import { allOf } from './all-of.ts'

it('throws the first failure, and not before all have ended', async () => {
  let hasEnded = false
  const slow = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    hasEnded = true
  })
  await assert.rejects(
    allOf([Promise.resolve(1), Promise.reject(new Error('a')), slow, Promise.reject(new Error('b'))]),
    /^Error: a$/,
  )
  assert.ok(hasEnded)
  await allOf([])
})
