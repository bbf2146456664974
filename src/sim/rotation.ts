import { PRESETS } from './presets.ts'
import type { RunResult } from './run.ts'
import { unreachedStates } from './sweep.ts'

/** How far one preset has come, over any number of sweeps. */
export interface PresetProgress {
  /** The seed that is to be run next. */
  next: number
  readonly failed: number[]
  /** Rare states, and in how many seeds each was reached. */
  readonly reached: Record<string, number>
}

export type Progress = Record<string, PresetProgress>

/** Seeds of one preset before it is the next one's turn. */
const TURN_SEEDS = 5

/** What was swept before, as JSON. Presets that are new begin at seed 1. */
export function parseProgress(text: string): Progress {
  const stored: unknown = JSON.parse(text)
  if (typeof stored !== 'object' || stored === null) throw new Error('no progress of a sweep')
  const progress = stored as Progress
  for (const [preset, { next, failed, reached }] of Object.entries(progress)) {
    if (!Number.isSafeInteger(next) || !Array.isArray(failed) || typeof reached !== 'object')
      throw new Error(`no progress of a sweep: ${preset}`)
  }
  return progress
}

/** Runs all presets in turns, a few seeds each, until it is over; `save` is called after each turn. */
export async function sweepInTurns(
  progress: Progress,
  run: (preset: string, seed: number) => Promise<RunResult>,
  isOver: () => boolean,
  save: () => void,
  presets: readonly string[] = Object.keys(PRESETS),
): Promise<void> {
  for (const preset of presets) progress[preset] ??= { next: 1, failed: [], reached: {} }
  // Whoever has come least far goes first, so that short sweeps in a row are fair.
  const order = [...presets].sort((a, b) => progress[a]!.next - progress[b]!.next)
  while (!isOver()) {
    for (const preset of order) {
      const own = progress[preset]!
      for (let turn = 0; turn < TURN_SEEDS && !isOver(); turn++) {
        const { seed, violations, sometimes } = await run(preset, own.next)
        own.next++
        if (violations.length > 0) own.failed.push(seed)
        for (const state of sometimes.keys()) own.reached[state] = (own.reached[state] ?? 0) + 1
      }
      save()
    }
  }
}

/** One line per preset: seeds run, which failed, and what it declares and never came to. */
export function progressLines(progress: Progress): readonly string[] {
  return Object.entries(progress).map(([preset, { next, failed, reached }]) => {
    const unreached = unreachedStates(preset, next - 1, new Map(Object.entries(reached)))
    const which = failed.length === 0 ? '' : ` (${failed.join(', ')})`
    const missing = unreached.length === 0 ? '' : `; never reached: ${unreached.join(', ')}`
    return `${preset}: ${next - 1} seeds, ${failed.length} failed${which}${missing}`
  })
}
