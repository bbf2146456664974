/** `npm run sim -- [--preset NAME] (--seed N | --seeds N [--from N]) [--trace FILE] [--verbose] [--shrink]`, `--canaries`, `--print FILE`. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { CANARIES } from './canaries.ts'
import { PRESETS } from './presets.ts'
import type { Progress } from './rotation.ts'
import { parseProgress, progressLines, sweepInTurns } from './rotation.ts'
import type { RunResult } from './run.ts'
import { runSeed } from './run.ts'
import { shrinkFaults } from './shrink.ts'
import { firstDetection, sweep } from './sweep.ts'
import { decodeTrace, encodeTrace, timelineLine } from './trace.ts'
import type { SeedReport } from './workers.ts'
import { reportSeed, serveSeeds, Workers } from './workers.ts'
import type { Violation } from './world.ts'

const USAGE = `npm run sim -- OPTIONS
  --preset NAME     ${Object.keys(PRESETS).join(', ')} (default swarm)
  --seed N          one seed; its timeline is printed
  --seeds N         so many seeds, --from N (default 1), at most --seconds N; prints those that fail
  --all             every preset in turns, for --seconds N; --from FILE: goes on where the file says, and keeps in it how far it came;
                    --workers N processes, default as many as there are processors
  --verbose         with --seed: the brokers' log lines too
  --shrink          with --seed: the fewest faults that still fail
  --set KEY=VALUE   a broker property, as often as wanted
  --trace FILE      with --seed: writes the trace (msgpack)
  --print FILE      prints a trace as a timeline
  --canaries        looks for the first seed that notices each broken rule, up to --seeds (default 300); --only NAME or CHECKER
`

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function numberOf(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^\d+$/.test(text)) throw new Error(`--${name} ${text}: a whole number was expected`)
  return Number(text)
}

function propertiesOf(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    settings.map((setting) => {
      const equals = setting.indexOf('=')
      if (equals < 1) throw new Error(`--set ${setting}: KEY=VALUE was expected`)
      return [setting.slice(0, equals), setting.slice(equals + 1)]
    }),
  )
}

function violationLines(violations: readonly Violation[]): string {
  return violations.map(({ check, message }) => `${check}: ${message}`).join('\n  ')
}

function verdict({ seed, preset, violations, traceHash, virtualMs, events, counts }: RunResult): string {
  const what = violations.length === 0 ? 'clean' : violationLines(violations)
  const time = (virtualMs / 1000).toFixed(1)
  return `${preset} seed ${seed}: ${what}\n  ${time} virtual s, ${events} events, ${counts.sends} sent, ${counts.acks} acknowledged, trace ${traceHash}`
}

interface Settings {
  readonly preset: string
  readonly properties: Readonly<Record<string, string>>
}

async function runOne(
  seed: number,
  settings: Settings,
  isVerbose: boolean,
  file: string | undefined,
  shrinks: boolean,
): Promise<number> {
  const result = await runSeed({ ...settings, seed, isVerbose })
  for (const entry of result.trace) say(timelineLine(entry))
  if (file !== undefined) writeFileSync(file, encodeTrace(result.trace))
  say(verdict(result))
  if (result.violations.length === 0) return 0
  if (shrinks) {
    const { check } = result.violations[0]!
    const { faults, runs } = await shrinkFaults(result.plan.faults, async (fewer) => {
      const again = await runSeed({ ...settings, seed, faults: fewer })
      return again.violations[0]?.check === check
    })
    say(`${faults.length} of ${result.plan.faults.length} faults are enough (${runs} runs):`)
    for (const fault of faults) say(`  ${JSON.stringify(fault)}`)
  }
  return 1
}

async function runMany(from: number, count: number, settings: Settings, limitSeconds: number): Promise<number> {
  const started = process.hrtime.bigint()
  const seconds = () => Number(process.hrtime.bigint() - started) / 1e9
  const result = await sweep(
    settings,
    seedsUntil(from, count, () => seconds() >= limitSeconds),
    (one, done) => {
      if (one.violations.length > 0) say(verdict(one))
      if (done % 100 === 0) say(`${done} seeds, ${(done / seconds()).toFixed(2)} per second`)
    },
  )
  const hours = (result.virtualMs / 3_600_000 / seconds()) * 60
  say(
    `rare states, and in how many seeds: ${[...result.sometimes]
      .sort()
      .map(([name, n]) => `${name} ${n}`)
      .join(', ')}`,
  )
  say(
    `${settings.preset}: ${result.seeds} seeds from ${from}, ${result.failed.length} failed, ${result.acks} records acknowledged, ` +
      `${(result.seeds / seconds()).toFixed(2)} seeds per second, ${hours.toFixed(2)} virtual hours per minute`,
  )
  if (result.unreached.length > 0) say(`never reached, so nothing is proved about: ${result.unreached.join(', ')}`)
  return result.failed.length + result.unreached.length === 0 ? 0 : 1
}

/** Seeds from `from` on: `count` of them, fewer when the time is up. */
function* seedsUntil(from: number, count: number, isOver: () => boolean): Generator<number> {
  for (let seed = from; seed < from + count && !isOver(); seed++) yield seed
}

function readProgress(file: string): Progress {
  return existsSync(file) ? parseProgress(readFileSync(file, 'utf8')) : {}
}

function writeProgress(file: string, progress: Progress): void {
  writeFileSync(`${file}.tmp`, `${JSON.stringify(progress)}\n`)
  renameSync(`${file}.tmp`, file)
}

interface AllSettings {
  /** Where what was swept stays, and from where the next sweep goes on. */
  readonly file: string | undefined
  readonly properties: Settings['properties']
  readonly limitSeconds: number
  readonly workers: number
}

/** All presets in turns until the time is up. This process alone writes the file, whoever runs the seeds. */
async function runAll({ file, properties, limitSeconds, workers }: AllSettings): Promise<number> {
  const progress = file === undefined ? {} : readProgress(file)
  const started = process.hrtime.bigint()
  const seconds = () => Number(process.hrtime.bigint() - started) / 1e9
  const total = { seeds: 0, failed: 0, virtualMs: 0, cpuMicros: 0 }
  const pool = workers > 1 ? new Workers(process.argv[1]!, properties) : undefined
  const run = async (preset: string, seed: number): Promise<SeedReport> => {
    const report = await (pool?.run(preset, seed) ?? reportSeed({ preset, properties, seed }))
    total.seeds++
    total.virtualMs += report.virtualMs
    total.cpuMicros += report.cpuMicros
    if (report.violations.length > 0) {
      total.failed++
      say(`${preset} seed ${seed}: ${violationLines(report.violations)}`)
    }
    return report
  }
  const save = () => file !== undefined && writeProgress(file, progress)
  await sweepInTurns(progress, run, { isOver: () => seconds() >= limitSeconds, save, lanes: workers })
  pool?.close()
  for (const line of progressLines(progress)) say(line)
  const { seeds, failed, virtualMs, cpuMicros } = total
  const hours = (virtualMs / 3_600_000 / seconds()) * 60
  say(
    `${seeds} seeds this time, ${failed} failed; ${(seeds / (cpuMicros / 1e6)).toFixed(2)} seeds per CPU-second; ` +
      `with ${workers} workers ${(seeds / seconds()).toFixed(2)} seeds per second, ${hours.toFixed(2)} virtual hours per minute`,
  )
  return failed === 0 ? 0 : 1
}

async function runCanaries(upTo: number, name: string | undefined): Promise<number> {
  let missed = 0
  for (const canary of CANARIES) {
    if (name !== undefined && canary.name !== name && canary.check !== name) continue
    const found = await firstDetection(canary, 1, upTo)
    if (found === undefined) missed++
    const seed = found === undefined ? `none of ${upTo}` : found.seed
    say(`| ${canary.name}: ${canary.about} | ${canary.preset} | \`${canary.check}\` | ${seed} |`)
  }
  return missed === 0 ? 0 : 1
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      preset: { type: 'string', default: 'swarm' },
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      seconds: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      verbose: { type: 'boolean', default: false },
      shrink: { type: 'boolean', default: false },
      trace: { type: 'string' },
      print: { type: 'string' },
      canaries: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      workers: { type: 'string' },
      worker: { type: 'boolean', default: false },
      only: { type: 'string' },
    },
  })
  if (values.worker) {
    serveSeeds()
    return 0
  }
  if (values.print !== undefined) {
    for (const entry of decodeTrace(readFileSync(values.print))) say(timelineLine(entry))
    return 0
  }
  if (values.canaries) return runCanaries(numberOf('seeds', values.seeds, 300), values.only)
  const limit = numberOf('seconds', values.seconds, Number.POSITIVE_INFINITY)
  if (values.all) {
    const workers = Math.max(1, numberOf('workers', values.workers, availableParallelism()))
    return runAll({ file: values.from, properties: propertiesOf(values.set), limitSeconds: limit, workers })
  }
  const settings = { preset: values.preset, properties: propertiesOf(values.set) }
  if (values.seed !== undefined)
    return runOne(numberOf('seed', values.seed, 1), settings, values.verbose, values.trace, values.shrink)
  if (values.seeds !== undefined) {
    return runMany(numberOf('from', values.from, 1), numberOf('seeds', values.seeds, 1), settings, limit)
  }
  process.stdout.write(USAGE)
  return 2
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 2
}
