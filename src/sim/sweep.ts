import type { Canary } from './canaries.ts'
import { PRESETS, SWEEP_SEEDS } from './presets.ts'
import type { RunOptions, RunResult } from './run.ts'
import { runSeed } from './run.ts'

export interface SweepResult {
  readonly seeds: number
  readonly failed: readonly RunResult[]
  readonly virtualMs: number
  readonly events: number
  readonly acks: number
  /** Rare states, and in how many seeds each was reached. */
  readonly sometimes: ReadonlyMap<string, number>
  /** What the preset declares and no seed came to; empty when there were too few seeds to tell. */
  readonly unreached: readonly string[]
}

/** Without the stacks of errors, which are a good part of a run's cost; a seed that fails is run again with them. */
export async function runQuickly(options: RunOptions): Promise<RunResult> {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  let result: RunResult
  try {
    result = await runSeed(options)
  } finally {
    Error.stackTraceLimit = limit
  }
  return result.violations.length === 0 ? result : runSeed(options)
}

/** Runs seeds one after another; `onSeed` is told of each. Stops after `maxFailures`. */
export async function sweep(
  options: Omit<RunOptions, 'seed'>,
  seeds: Iterable<number>,
  onSeed: (result: RunResult, done: number) => void = () => {},
  maxFailures = 10,
): Promise<SweepResult> {
  const failed: RunResult[] = []
  const sometimes = new Map<string, number>()
  const total = { seeds: 0, virtualMs: 0, events: 0, acks: 0 }
  for (const seed of seeds) {
    const result = await runQuickly({ ...options, seed })
    total.seeds++
    total.virtualMs += result.virtualMs
    total.events += result.events
    total.acks += result.counts.acks
    for (const name of result.sometimes.keys()) sometimes.set(name, (sometimes.get(name) ?? 0) + 1)
    if (result.violations.length > 0) failed.push(result)
    onSeed(result, total.seeds)
    if (failed.length >= maxFailures) break
  }
  return { ...total, failed, sometimes, unreached: unreachedStates(options.preset, total.seeds, sometimes) }
}

/** Declared states that none of so many seeds came to; nothing can be said of few seeds. */
export function unreachedStates(preset: string, seeds: number, sometimes: ReadonlyMap<string, number>): readonly string[] {
  if (seeds < SWEEP_SEEDS) return []
  return (PRESETS[preset]?.reaches ?? []).filter((state) => !sometimes.has(state))
}

/** The first seed from `from` on in which a canary is noticed by its checker alone; undefined when none up to `to` is. */
export async function firstDetection(canary: Canary, from: number, to: number): Promise<RunResult | undefined> {
  for (let seed = from; seed <= to; seed++) {
    const { preset, breaks, properties, check } = canary
    const result = await runQuickly({ seed, preset, only: check, ...(breaks && { breaks }), ...(properties && { properties }) })
    if (result.violations.length > 0) return result
  }
  return undefined
}
