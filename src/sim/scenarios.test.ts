import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOLE_SCENARIOS } from './scenarios.ts'

for (const { hole, about, run } of HOLE_SCENARIOS) {
  test(`${hole}, ${about}: strict keeps what it promised, faithful loses it`, async () => {
    const strict = await run(false)
    assert.deepEqual(strict.lost, [], strict.remark)
    const faithful = await run(true)
    assert.notDeepEqual(faithful.lost, [], faithful.remark)
  })
}
