import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProgress, progressLines, sweepInTurns } from './rotation.ts'
import type { RunResult } from './run.ts'

/** A run that fails in one seed, and reaches a state in every second one. */
function runner(failing: string) {
  const runs: string[] = []
  const run = async (preset: string, seed: number): Promise<RunResult> => {
    runs.push(`${preset} ${seed}`)
    const violations = failing === `${preset} ${seed}` ? [{ check: 'order', message: '', at: 0 }] : []
    return { seed, preset, violations, sometimes: new Map(seed % 2 === 0 ? [['isr grows', 1]] : []) } as unknown as RunResult
  }
  return { run, runs }
}

test('a sweep of all presets takes turns and goes on where the one before ended', async () => {
  const { run, runs } = runner('core 3')
  const presets = ['core', 'groups']
  let left = 7
  let saved = ''
  const first = parseProgress('{}')
  const save = () => {
    saved = JSON.stringify(first)
  }
  await sweepInTurns(first, run, () => left-- <= 0, save, presets)
  assert.deepEqual(runs, ['core 1', 'core 2', 'core 3', 'core 4', 'core 5', 'groups 1'])

  const second = parseProgress(saved)
  assert.deepEqual(second, first)
  left = 3
  await sweepInTurns(second, run, () => left-- <= 0, save, presets)
  // The one that has come least far goes first.
  assert.deepEqual(runs.slice(6), ['groups 2', 'groups 3'])
  assert.deepEqual(second['core']!.failed, [3])
  assert.deepEqual(progressLines(second), ['core: 5 seeds, 1 failed (3)', 'groups: 3 seeds, 0 failed'])
})

test('a state that a preset declares and many seeds did not reach is named', () => {
  assert.deepEqual(progressLines({ flap: { next: 11, failed: [], reached: {} } }), ['flap: 10 seeds, 0 failed'])
  const [line] = progressLines({ core: { next: 1001, failed: [], reached: { 'isr grows': 10 } } })
  assert.match(line!, /never reached: .*leader changes/)
  assert.doesNotMatch(line!, /isr grows/)
})

test('what is no progress is refused', () => {
  assert.throws(() => parseProgress('{"core":{"next":"x"}}'), /no progress of a sweep: core/)
  assert.throws(() => parseProgress('3'), /no progress of a sweep/)
})
