import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CANARIES } from './canaries.ts'
import { firstDetection } from './sweep.ts'

/** The checkers that may be the one to notice. */
const NOTICED_BY: Readonly<Record<string, readonly string[]>> = {
  H1: ['partition-state'],
  'optimistic ISR': ['strong-isr', 'acked-survives', 'committed-stays'],
  'weak acks': ['acked-survives'],
  'plain retries': ['no-duplicates'],
  'lying fsync': ['strong-isr', 'hw-monotone', 'committed-stays', 'acked-survives'],
}

for (const canary of CANARIES) {
  const { name, about, seed } = canary
  if (seed === undefined) continue
  test(`${name} (${about}) is noticed in seed ${seed}`, async () => {
    const found = await firstDetection(canary, seed, seed)
    assert.ok(found !== undefined, 'nothing was noticed')
    assert.ok(NOTICED_BY[name]?.includes(found.violations[0]!.check), JSON.stringify(found.violations[0]))
  })
}

test('some canary has a seed for each kind of promise', () => {
  assert.deepEqual(
    CANARIES.filter(({ seed }) => seed !== undefined).map(({ name }) => name),
    Object.keys(NOTICED_BY),
  )
})
