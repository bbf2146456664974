import { assert } from '../../base/assert.ts'
import type { EpochMillis, Millis } from '../../base/ids.ts'
import type { Clock, Timer } from '../clock.ts'

/** A moment in the reach of today's time stamps. */
const DEFAULT_WALL = 1_500_000_000_000

/**
 * Time goes in steps of 1/1024 ms, whose sums are exact: else a timer set for a moment could ring just before it, and who then sets it
 * anew for the tiny rest would do so for ever, since adding that does not change the time.
 */
const GRAIN = 1024

class VirtualTimer implements Timer {
  readonly at: number
  readonly sequence: number
  readonly fn: () => void
  cancelled = false

  constructor(at: number, sequence: number, fn: () => void) {
    this.at = at
    this.sequence = sequence
    this.fn = fn
  }

  cancel(): void {
    this.cancelled = true
  }
}

/**
 * Time that stands still until a test moves it. Timers run in order of (time, order of setting); `soon` is a timer of
 * delay 0. The wall clock follows the monotonic one plus an offset that may be changed to make it jump.
 */
export class VirtualClock implements Clock {
  #now: number
  #sequence = 0
  /** Binary heap, earliest first. */
  readonly #heap: VirtualTimer[] = []
  /** Wall time minus monotonic time, milliseconds. */
  wallOffset: number

  constructor(options: { readonly now?: Millis; readonly wall?: EpochMillis } = {}) {
    this.#now = Math.ceil((options.now ?? 0) * GRAIN) / GRAIN
    this.wallOffset = (options.wall ?? DEFAULT_WALL) - this.#now
  }

  now(): Millis {
    return this.#now
  }

  wall(): EpochMillis {
    return Math.floor(this.#now + this.wallOffset)
  }

  timer(delayMs: Millis, fn: () => void): Timer {
    if (!Number.isFinite(delayMs)) assert(false, `delay is ${delayMs} ms`)
    const timer = new VirtualTimer(this.#now + Math.ceil(Math.max(delayMs, 0) * GRAIN) / GRAIN, this.#sequence++, fn)
    push(this.#heap, timer)
    return timer
  }

  soon(fn: () => void): void {
    this.timer(0, fn)
  }

  /** Timers set and neither run nor cancelled. */
  get pending(): number {
    return this.#heap.reduce((count, timer) => count + (timer.cancelled ? 0 : 1), 0)
  }

  /** When the next timer is due; undefined when none is set. */
  get nextAt(): Millis | undefined {
    return this.#peek()?.at
  }

  /** Runs the next timer, moving time to it. False when none is set. Promises are not waited for. */
  step(): boolean {
    const timer = this.#peek()
    if (timer === undefined) return false
    pop(this.#heap)
    this.#now = Math.max(this.#now, timer.at)
    timer.fn()
    return true
  }

  /** Moves time on and runs what falls due, without waiting for promises: for code that uses callbacks only. */
  advanceSync(ms: Millis): void {
    const end = this.#now + ms
    while ((this.nextAt ?? Number.POSITIVE_INFINITY) <= end) this.step()
    this.#now = end
  }

  /** Moves time on; after each timer all promises settle before the next one runs. */
  async advance(ms: Millis): Promise<void> {
    const end = this.#now + ms
    await settle()
    while ((this.nextAt ?? Number.POSITIVE_INFINITY) <= end) {
      this.step()
      await settle()
    }
    this.#now = end
  }

  /** Advances until `condition` holds; fails when it does not within `limitMs` of virtual time. */
  async advanceUntil(condition: () => boolean, limitMs: Millis): Promise<void> {
    const end = this.#now + limitMs
    await settle()
    while (!condition()) {
      const next = this.nextAt
      assert(next !== undefined && next <= end, `not reached within ${limitMs} ms of virtual time`)
      this.step()
      await settle()
    }
  }

  #peek(): VirtualTimer | undefined {
    while (this.#heap[0]?.cancelled) pop(this.#heap)
    return this.#heap[0]
  }
}

/** Lets all promises settle: a turn of the real event loop comes only when no microtask is left. */
export function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

/**
 * Runs what promises wait for within the present turn, to the end; nothing when called from a promise. Node keeps it for its own prompt; where it
 * is missing each step takes a turn of the loop, which costs five times as much.
 */
const drain = (process as { readonly _tickCallback?: () => void })._tickCallback
const STEPS_PER_TURN = 500

/** Calls `step` until it says that it was the last one; all promises settle after each. Rejects with what `step` throws. */
export function stepSettled(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      try {
        for (let steps = drain === undefined ? 1 : STEPS_PER_TURN; steps > 0; steps--) {
          if (step()) return resolve()
          drain?.()
        }
      } catch (error) {
        return reject(error)
      }
      setImmediate(turn)
    }
    setImmediate(turn)
  })
}

function before(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
}

function push(heap: VirtualTimer[], timer: VirtualTimer): void {
  let at = heap.push(timer) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (before(heap[parent]!, timer)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = timer
}

function pop(heap: VirtualTimer[]): void {
  const last = heap.pop()!
  if (heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (before(last, heap[child]!)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
}
