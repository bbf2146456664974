import { PRESETS } from './presets.ts'
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

/** What a sweep of all presets has to know of a seed that was run. */
export interface SeedOutcome {
  readonly violations: readonly unknown[]
  /** Rare states that it came to. */
  readonly states: readonly string[]
}

export interface SweepOptions {
  /** Asked before each seed. */
  readonly isOver: () => boolean
  /** Called now and then, and at the end: what is in the progress then needs no more to be run. */
  readonly save: () => void
  readonly presets?: readonly string[]
  /** So many seeds at a time. */
  readonly lanes?: number
}

/**
 * Runs all presets in turns, a few seeds each, until it is over. With several lanes seeds end in any order: one counts when all before it have
 * ended, so that nothing is counted twice or left out, however the sweep ends.
 */
export async function sweepInTurns(
  progress: Progress,
  run: (preset: string, seed: number) => Promise<SeedOutcome>,
  { isOver, save, presets = Object.keys(PRESETS), lanes = 1 }: SweepOptions,
): Promise<void> {
  for (const preset of presets) progress[preset] ??= { next: 1, failed: [], reached: {} }
  const seeds = seedsInTurns(progress, presets)
  const ended = new Map<string, Map<number, SeedOutcome>>(presets.map((preset) => [preset, new Map()]))
  let unsaved = 0
  const lane = async () => {
    while (!isOver()) {
      const [preset, seed] = seeds.next().value
      const waiting = ended.get(preset)!
      waiting.set(seed, await run(preset, seed))
      const own = progress[preset]!
      for (let one = waiting.get(own.next); one !== undefined; one = waiting.get(own.next)) count(own, waiting, one)
      if (++unsaved % (TURN_SEEDS * lanes) === 0) save()
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  save()
}

function count(own: PresetProgress, waiting: Map<number, SeedOutcome>, { violations, states }: SeedOutcome): void {
  waiting.delete(own.next)
  if (violations.length > 0) own.failed.push(own.next)
  for (const state of states) own.reached[state] = (own.reached[state] ?? 0) + 1
  own.next++
}

/** Whoever has come least far goes first, so that short sweeps in a row are fair. */
function* seedsInTurns(progress: Progress, presets: readonly string[]): Generator<[preset: string, seed: number], never> {
  const order = [...presets].sort((a, b) => progress[a]!.next - progress[b]!.next)
  const next = new Map(order.map((preset) => [preset, progress[preset]!.next]))
  for (;;) {
    for (const preset of order) {
      const from = next.get(preset)!
      next.set(preset, from + TURN_SEEDS)
      for (let seed = from; seed < from + TURN_SEEDS; seed++) yield [preset, seed]
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
