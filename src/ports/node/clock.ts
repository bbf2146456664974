import type { EpochMillis, Millis } from '../../base/ids.ts'
import type { Clock, Timer } from '../clock.ts'

/** Longest delay the platform's timers take. */
const MAX_DELAY_MS = 2 ** 31 - 1

class NodeTimer implements Timer {
  readonly #due: number
  readonly #fn: () => void
  readonly #background: boolean
  #handle: NodeJS.Timeout | undefined

  constructor(delayMs: number, fn: () => void, background: boolean) {
    this.#due = performance.now() + delayMs
    this.#fn = fn
    this.#background = background
    this.#set(delayMs)
  }

  cancel(): void {
    clearTimeout(this.#handle)
    this.#handle = undefined
  }

  #set(delayMs: number): void {
    this.#handle = setTimeout(this.#elapsed, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS))
    if (this.#background) this.#handle.unref()
  }

  /** The platform may wake up to a millisecond early, and a long delay comes in parts. */
  readonly #elapsed = (): void => {
    const left = this.#due - performance.now()
    if (left > 0) {
      this.#set(Math.ceil(left))
      return
    }
    this.#handle = undefined
    this.#fn()
  }
}

/** The real time. */
export const nodeClock: Clock = {
  now: (): Millis => performance.now(),
  wall: (): EpochMillis => Date.now(),
  timer: (delayMs, fn, background = false) => new NodeTimer(delayMs, fn, background),
  soon: (fn) => void setImmediate(fn),
}

/** How long the event loop has waited and worked, in milliseconds since the start of the process. */
export function loopTime(): { readonly idle: number; readonly active: number } {
  return performance.eventLoopUtilization()
}

/** Local time minus UTC in milliseconds at a moment (for log lines). */
export function timezoneOffsetMs(wall: EpochMillis): number {
  return -new Date(wall).getTimezoneOffset() * 60_000
}
