import type { MemoryNetworkOptions } from '../ports/memory/memory-net.ts'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { stepSettled, VirtualClock } from '../ports/memory/virtual-clock.ts'
import { ClassCuts } from './classed-net.ts'
import { Trace } from './trace.ts'

/** A promise of the product that did not hold. */
export interface Violation {
  /** Name of the checker. */
  readonly check: string
  readonly message: string
  readonly at: number
}

export interface NetWeather {
  /** One-way delay in milliseconds: uniform between the two. */
  readonly delayMs: readonly [number, number]
  /** Share of writes that are late, and by at most how many milliseconds. Order within a connection stays. */
  readonly lateShare: number
  readonly lateMs: number
  /** Of the reads that end inside a frame, at a place that is drawn; default a tenth. */
  readonly splitShare?: number
}

/** Reads that end inside a frame: enough to meet every place, few enough not to be most of the events. */
const SPLIT_SHARE = 0.1

export const FINE_WEATHER: NetWeather = { delayMs: [0.1, 1], lateShare: 0, lateMs: 0 }

/** One thread, one heap of events by (virtual time, order of setting), one root of chance split by names. */
export class World {
  readonly seed: number
  readonly clock = new VirtualClock()
  readonly rng: SeededRng
  readonly network: MemoryNetwork
  readonly trace: Trace
  readonly violations: Violation[] = []
  /** Called after each event and everything that it set in motion. */
  readonly afterEvent: (() => void)[] = []
  /** How often a rare state was reached. */
  readonly sometimes = new Map<string, number>()
  events = 0
  /** Who runs: set while a process is entered, read when something escapes from it. */
  running = ''
  /** Only this checker counts: what the others say goes into the trace. */
  only: string | undefined
  /** Ways on which only one kind of traffic between brokers is cut. */
  readonly classCuts = new ClassCuts()

  constructor(seed: number, weather: NetWeather = FINE_WEATHER, isVerbose = false) {
    this.seed = seed
    this.rng = new SeededRng(seed)
    this.trace = new Trace(() => this.clock.now(), isVerbose)
    const late = this.rng.fork('late')
    const { delayMs, lateShare, lateMs, splitShare = SPLIT_SHARE } = weather
    this.network = new WeatherNetwork(this.clock, this.rng.fork('net'), { delayMs, splitShare }, () =>
      lateShare > 0 && late.next() < lateShare ? late.next() * lateMs : 0,
    )
  }

  violation(check: string, message: string): void {
    this.trace.add('checker', check, message)
    if (this.only !== undefined && this.only !== check) return
    if (this.violations.length < 20) this.violations.push({ check, message, at: this.clock.now() })
  }

  reached(name: string): void {
    this.sometimes.set(name, (this.sometimes.get(name) ?? 0) + 1)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.timer(ms, resolve))
  }

  /**
   * Takes events until `isDone` or until the time is `limitMs` later, all promises settling after each. False: the time ran out. Ends early
   * at the first violation.
   */
  async run(limitMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    const end = this.clock.now() + limitMs
    let isTrue = false
    let isStepped = false
    await stepSettled(() => {
      if (isStepped) this.#judge()
      isTrue = isDone()
      if (isTrue) return true
      const next = this.clock.nextAt
      if (next === undefined || next > end || this.violations.length > 0) return true
      this.clock.step()
      isStepped = true
      return false
    })
    return isTrue
  }

  #judge(): void {
    this.events++
    for (const check of this.afterEvent) check()
    this.running = ''
  }
}

class WeatherNetwork extends MemoryNetwork {
  readonly #late: () => number

  constructor(clock: VirtualClock, rng: SeededRng, options: MemoryNetworkOptions, late: () => number) {
    super(clock, rng, options)
    this.#late = late
  }

  override delay(): number {
    return super.delay() + this.#late()
  }
}
