import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CANARIES } from './canaries.ts'
import { firstDetection } from './sweep.ts'

/** Every change of the product's timing moves the first seeds a little. */
const PATIENCE = 20

for (const canary of CANARIES) {
  const { name, about, check, seed } = canary
  if (seed === undefined) continue
  test(`${name} (${about}) is noticed by ${check} alone in seed ${seed} or soon after`, async () => {
    const found = await firstDetection(canary, seed, seed + PATIENCE)
    assert.equal(found?.violations[0]?.check, check)
  })
}

test('every checker has a canary', () => {
  const checkers = [
    'acked-survives',
    'committed-stays',
    'keeps-committed',
    'offset-function',
    'read-stays',
    'committed-reads',
    'hw-monotone',
    'hw-bounds',
    'strong-isr',
    'leader-unique',
    'partition-state',
    'controller-epoch',
    'fenced-controller',
    'replicas-equal',
    'liveness',
    'idempotence',
    'no-duplicates',
    'order',
    'no-phantoms',
    'transactions',
    'read-committed',
    'exactly-once',
    'compaction',
    'retention',
    'one-owner',
    'generation-rises',
    'offsets-stay',
    'no-bug',
  ]
  const watched = new Set(CANARIES.filter(({ seed }) => seed !== undefined).map(({ check }) => check))
  assert.deepEqual([...watched].sort(), checkers.sort())
})
