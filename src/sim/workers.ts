import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import type { RunResult } from './run.ts'
import { runQuickly } from './sweep.ts'
import type { Violation } from './world.ts'

/** What there is to say about a seed: plain data, since it may come from another process. */
export interface SeedReport {
  readonly preset: string
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly states: readonly string[]
  readonly virtualMs: number
  /** CPU time that it took, microseconds. */
  readonly cpuMicros: number
}

interface Order {
  readonly preset: string
  readonly seed: number
  readonly properties: Readonly<Record<string, string>>
}

/** Runs a seed in this process. */
export async function reportSeed({ preset, seed, properties }: Order): Promise<SeedReport> {
  const before = process.cpuUsage()
  const { violations, sometimes, virtualMs }: RunResult = await runQuickly({ preset, properties, seed })
  const { user, system } = process.cpuUsage(before)
  return { preset, seed, violations, states: [...sometimes.keys()], virtualMs, cpuMicros: user + system }
}

/** The program of a worker: one seed after the other, as they are asked for; ends with the process that asks. */
export function serveSeeds(): void {
  process.on('disconnect', () => process.exit())
  process.on('message', (order: Order) => {
    void reportSeed(order).then((report) => process.send?.(report))
  })
}

/** A nursery of cheap young objects that is large enough for a seed's; code compiled before it is hot, since it is much and each seed runs all of it. As in `npm run sim`. */
const V8_FLAGS = ['--max-semi-space-size=64', '--always-sparkplug']

/**
 * Processes that run seeds, each one at a time. Which of them runs which seed makes no difference. One that dies has failed its seed, and another
 * takes its place.
 */
export class Workers {
  readonly #script: string
  readonly #properties: Order['properties']
  readonly #free: ChildProcess[] = []
  #isOver = false

  /** `script` is the program, which `--worker` makes serve. */
  constructor(script: string, properties: Order['properties']) {
    this.#script = script
    this.#properties = properties
  }

  run(preset: string, seed: number): Promise<SeedReport> {
    const worker = this.#free.findLast(({ connected }) => connected) ?? this.#start()
    this.#free.splice(0, this.#free.length, ...this.#free.filter((one) => one !== worker && one.connected))
    return new Promise((resolve) => {
      const onExit = (code: number | null, signal: string | null) => {
        const message = `the process of this seed ended with ${code ?? signal}`
        const violations = this.#isOver ? [] : [{ check: 'no-bug', message, at: 0 }]
        resolve({ preset, seed, violations, states: [], virtualMs: 0, cpuMicros: 0 })
      }
      worker.once('exit', onExit)
      worker.once('message', (report: SeedReport) => {
        worker.off('exit', onExit)
        this.#free.push(worker)
        resolve(report)
      })
      worker.send({ preset, seed, properties: this.#properties } satisfies Order)
    })
  }

  /** They end as soon as they hear of it. */
  close(): void {
    this.#isOver = true
    for (const worker of this.#free.splice(0)) worker.disconnect()
  }

  #start(): ChildProcess {
    return fork(this.#script, ['--worker'], { execArgv: [...process.execArgv, ...V8_FLAGS] })
  }
}
