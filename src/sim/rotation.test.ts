import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from '../ports/memory/virtual-clock.ts'
import type { SeedOutcome } from './rotation.ts'
import { parseProgress, progressLines, sweepInTurns } from './rotation.ts'

/** A run that fails in one seed, and reaches a state in every second one. */
function runner(failing: string) {
  const runs: string[] = []
  const run = async (preset: string, seed: number): Promise<SeedOutcome> => {
    runs.push(`${preset} ${seed}`)
    const violations = failing === `${preset} ${seed}` ? [{ check: 'order', message: '', at: 0 }] : []
    return { violations, states: seed % 2 === 0 ? ['isr grows'] : [] }
  }
  return { run, runs }
}

test('a sweep of all presets takes turns and goes on where the one before ended', async () => {
  const { run, runs } = runner('core 3')
  const presets = ['core', 'groups']
  let left = 6
  let saved = ''
  const first = parseProgress('{}')
  const save = () => {
    saved = JSON.stringify(first)
  }
  await sweepInTurns(first, run, { isOver: () => left-- <= 0, save, presets })
  assert.deepEqual(runs, ['core 1', 'core 2', 'core 3', 'core 4', 'core 5', 'groups 1'])

  const second = parseProgress(saved)
  assert.deepEqual(second, first)
  left = 2
  await sweepInTurns(second, run, { isOver: () => left-- <= 0, save, presets })
  // The one that has come least far goes first.
  assert.deepEqual(runs.slice(6), ['groups 2', 'groups 3'])
  assert.deepEqual(second['core']!.failed, [3])
  assert.deepEqual(progressLines(second), ['core: 5 seeds, 1 failed (3)', 'groups: 3 seeds, 0 failed'])
})

test('seeds that end in another order count once, in their order, and what is saved leaves none of them out', async () => {
  const open = new Map<number, () => void>()
  const saved: string[] = []
  const progress = parseProgress('{}')
  const run = (_preset: string, seed: number): Promise<SeedOutcome> =>
    new Promise((resolve) => open.set(seed, () => resolve({ violations: seed === 2 ? ['late'] : [], states: ['isr grows'] })))
  let left = 4
  const save = () => saved.push(JSON.stringify(progress))
  const sweep = sweepInTurns(progress, run, { isOver: () => left-- <= 0, save, presets: ['core'], lanes: 3 })
  const end = async (seed: number) => {
    open.get(seed)!()
    await settle()
  }
  assert.deepEqual([...open.keys()], [1, 2, 3])
  await end(3)
  await end(1)
  // The second one has not ended: the third one may have to be run again, so it does not count yet.
  assert.deepEqual(progress['core'], { next: 2, failed: [], reached: { 'isr grows': 1 } })
  await end(4)
  await end(2)
  await sweep
  assert.deepEqual(progress['core'], { next: 5, failed: [2], reached: { 'isr grows': 4 } })
  assert.equal(saved.at(-1), JSON.stringify(progress))
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
