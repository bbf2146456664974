import { performance } from 'node:perf_hooks'

/** So many short turns in a row, and the loop is looked at from a timer instead of at the end of each of them. */
const DENSE_TURNS = 8
const SHORT_MS = 1
const DENSE_INTERVAL_MS = 4
/** Shorter work is taken as it is: asking the system for the CPU costs more than a look at the clock. */
const WORTH_ASKING_MS = 4
/** The CPU is asked for at least this often, so that what others computed before a turn is not taken for its own. */
const CPU_INTERVAL_MS = 10

/** Milliseconds of CPU that the loop's thread can have had since the look before. */
export type OnTurn = (cpuMs: number) => void

/**
 * Tells how much each turn of the event loop computed, however busy the machine is: time in which others had the processor does not count. A turn
 * counts with the time for which the loop was at work, but with no more than the CPU that the process had. While turns are short and many only
 * every `DENSE_INTERVAL_MS` is looked at, so what is told is too high by some milliseconds, never too low. Costs a look at the clock per
 * turn; an idle loop is not woken for it.
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
  #timer: NodeJS.Timeout | undefined

  constructor(onTurn: OnTurn) {
    this.#onTurn = onTurn
    setImmediate(this.#endOfTurn).unref()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
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
    const worked = Math.max(0, now - this.#now - (idle - this.#idle))
    this.#now = now
    this.#idle = idle
    if (worked < WORTH_ASKING_MS && now - this.#cpuAt < CPU_INTERVAL_MS) {
      this.#onTurn(worked)
      return
    }
    const before = this.#cpu
    this.#cpu = cpuMs()
    this.#cpuAt = now
    this.#onTurn(Math.min(worked, this.#cpu - before))
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
