import { closeSync, openSync, readSync } from 'node:fs'
import { PerformanceObserver, performance } from 'node:perf_hooks'

/** So many short turns in a row, and the loop is looked at from a timer instead of at the end of each of them. */
const DENSE_TURNS = 4
const SHORT_MS = 1
const DENSE_INTERVAL_MS = 2
/** Shorter work is taken as it is: asking the system for the CPU costs more than a look at the clock. */
const WORTH_ASKING_MS = 4
/** The CPU is asked for at least this often, so that what others computed before a turn is not taken for its own. */
const CPU_INTERVAL_MS = 10

/** What is said of a garbage collection is not there at once: a turn of some length is told so many looks later. */
const LOOKS_LATER = 8

/** Milliseconds of CPU that the loop's thread can have had since the look before, and how much of it was not collecting garbage. */
export type OnTurn = (cpuMs: number, ownMs: number) => void
/** Milliseconds for which garbage collection has stopped the loop, at once; told some turns later. */
export type OnPause = (ms: number) => void

/**
 * Tells how much each turn of the event loop computed, however busy the machine is: time in which others had the processor does not count. A turn
 * counts with the time for which the loop was at work, but with no more than the CPU that the process had, and its thread, where that can be told. While turns are short and many only
 * every `DENSE_INTERVAL_MS` is looked at, so what is told is too high by some milliseconds, never too low. Costs a look at the clock per
 * turn; an idle loop is not woken for it. Garbage collection is part of a turn, and its pauses are also told by themselves.
 */
export class TurnWatch {
  readonly #onTurn: OnTurn
  #isStopped = false
  #dense = 0
  /** At the last look. */
  #now = performance.now()
  #idle = performance.nodeTiming.idleTime
  #cpu = cpuMs()
  #cpuAt = this.#now
  readonly #thread = new ThreadTime()
  #threadMs = this.#thread.ms()
  #timer: NodeJS.Timeout | undefined
  readonly #collections: PerformanceObserver
  #untold: WatchedTurn[] = []

  constructor(onTurn: OnTurn, onPause: OnPause = () => {}) {
    this.#onTurn = onTurn
    this.#collections = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        onPause(duration)
        for (const turn of this.#untold) turn.paused(startTime, startTime + duration)
      }
    })
    this.#collections.observe({ entryTypes: ['gc'] })
    setImmediate(this.#endOfTurn).unref()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#collections.disconnect()
    for (const turn of this.#untold) this.#onTurn(turn.cpuMs, turn.ownMs)
    this.#thread.close()
  }

  readonly #endOfTurn = (): void => {
    if (this.#isStopped) return
    const now = performance.now()
    this.#dense = now - this.#now < SHORT_MS ? this.#dense + 1 : 0
    this.#look(now)
    if (this.#dense < DENSE_TURNS) setImmediate(this.#endOfTurn).unref()
    else this.#timer = setTimeout(this.#elapsed, DENSE_INTERVAL_MS).unref()
  }

  readonly #elapsed = (): void => {
    this.#dense = 0
    this.#look(performance.now())
    setImmediate(this.#endOfTurn).unref()
  }

  #look(now: number): void {
    const idle = performance.nodeTiming.idleTime
    const before = this.#now
    const worked = Math.max(0, now - before - (idle - this.#idle))
    if (this.#untold.length > 0) this.#tell()
    this.#now = now
    this.#idle = idle
    if (worked < WORTH_ASKING_MS && now - this.#cpuAt < CPU_INTERVAL_MS) {
      this.#onTurn(worked, worked)
      return
    }
    const cpuBefore = this.#cpu
    this.#cpu = cpuMs()
    this.#cpuAt = now
    const threadBefore = this.#threadMs
    this.#threadMs = this.#thread.ms()
    const cpu = Math.min(worked, this.#cpu - cpuBefore, this.#thread.isKnown ? this.#threadMs - threadBefore : worked)
    this.#untold.push(new WatchedTurn(before, now, worked, cpu))
  }

  #tell(): void {
    for (const turn of this.#untold) if (--turn.looks === 0) this.#onTurn(turn.cpuMs, turn.ownMs)
    this.#untold = this.#untold.filter(({ looks }) => looks > 0)
  }
}

/**
 * CPU of the main thread, from Linux; others' of this process (files, garbage) do not count. To be asked behind `cpuMs`: that makes Linux
 * bring the thread's time up to date, which is late by up to a tick (4 ms) else.
 */
class ThreadTime {
  #file: number | undefined
  readonly #bytes = Buffer.alloc(64)

  constructor() {
    try {
      this.#file = openSync('/proc/self/schedstat', 'r')
    } catch {
      // Another system: the process's has to do.
    }
  }

  /** Milliseconds; 0 where it is not known. */
  ms(): number {
    if (this.#file === undefined) return 0
    const size = readSync(this.#file, this.#bytes, 0, this.#bytes.length, 0)
    return Number.parseInt(this.#bytes.toString('latin1', 0, size), 10) / 1e6
  }

  get isKnown(): boolean {
    return this.#file !== undefined
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

/** All in milliseconds; `from` and `to` on the clock of `performance`. */
export class WatchedTurn {
  looks = LOOKS_LATER
  readonly cpuMs: number
  readonly #from: number
  readonly #to: number
  readonly #workedMs: number
  #pausedMs = 0

  constructor(from: number, to: number, workedMs: number, cpuMs: number) {
    this.#from = from
    this.#to = to
    this.#workedMs = workedMs
    this.cpuMs = cpuMs
  }

  get ownMs(): number {
    return Math.max(0, Math.min(this.cpuMs, this.#workedMs - this.#pausedMs))
  }

  paused(from: number, to: number): void {
    this.#pausedMs += Math.max(0, Math.min(to, this.#to) - Math.max(from, this.#from))
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
