import type { Clock, Timer } from '../ports/clock.ts'
import { Histogram } from './histogram.ts'

const INTERVAL_MS = 100
/** While the loop works: no turn of 20 ms goes unseen. */
const BUSY_INTERVAL_MS = 10
/** Share of working time from which it counts as busy. An idle broker shall not be woken for this. */
const BUSY_SHARE = 0.1
/** Weight of a new sample in the mean. */
const WEIGHT = 0.1
/** The same for the share of idle time: about half a minute counts. */
const IDLE_WEIGHT = INTERVAL_MS / 30_000

/** How long the loop has waited and worked, in milliseconds since the start of the process. */
export type LoopTime = () => { readonly idle: number; readonly active: number }

/** Calls back after a turn of the loop with the CPU that it took, in all and without garbage collection, and after a garbage collection with the time for which it stopped the loop, in milliseconds. */
export type WatchTurns = (onTurn: (cpuMs: number, ownMs: number) => void, onPause: (ms: number) => void) => { stop(): void }

/** The largest value since somebody last looked; 0 when there was none. */
class Peak {
  #value = 0

  note(value: number): void {
    if (value > this.#value) this.#value = value
  }

  take(): number {
    const value = this.#value
    this.#value = 0
    return value
  }
}

/** No turn shall compute for longer: heartbeats and pings wait behind it. */
export const LONG_TURN_MS = 20

/** How late the event loop runs its timers, which is how long a request may wait behind other work, and how much of its time it is idle. */
export class LoopDelay {
  readonly #clock: Clock
  #timer: Timer | undefined
  readonly #loopTime: LoopTime
  #before: ReturnType<LoopTime>
  #intervalMs = INTERVAL_MS
  readonly #delays = new Histogram()
  #meanMs = 0
  readonly #delay = new Peak()
  #idleShare = 1
  readonly #watchTurns: WatchTurns | undefined
  #turns: { stop(): void } | undefined
  readonly #turnCpu = new Peak()
  readonly #turnOwn = new Peak()
  #longTurns = 0
  readonly #pause = new Peak()

  /** Without `loopTime` the loop counts as idle, without `watchTurns` no turn is long. */
  constructor(clock: Clock, loopTime: LoopTime = () => ({ idle: 0, active: 0 }), watchTurns?: WatchTurns) {
    this.#clock = clock
    this.#loopTime = loopTime
    this.#watchTurns = watchTurns
    this.#before = loopTime()
  }

  start(): void {
    this.#next()
    this.#turns ??= this.#watchTurns?.(
      (cpuMs, ownMs) => {
        this.#turnCpu.note(cpuMs)
        this.#turnOwn.note(ownMs)
        if (cpuMs > LONG_TURN_MS) this.#longTurns++
      },
      (ms) => this.#pause.note(ms),
    )
  }

  stop(): void {
    this.#turns?.stop()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Share of the time that it waited for work: 0 to 1, running mean. */
  get idleShare(): number {
    return this.#idleShare
  }

  /** Running mean in milliseconds. */
  get meanMs(): number {
    return this.#meanMs
  }

  /** Of the last five to ten minutes, in milliseconds. */
  get p99Ms(): number {
    return this.#delays.quantile(0.99, this.#clock.now())
  }

  /** Largest delay in milliseconds since the last call. */
  takeMaxMs(): number {
    return this.#delay.take()
  }

  /** CPU of the turn that took most since the last call, in milliseconds: what others had of the processor does not count. */
  takeMaxTurnCpuMs(): number {
    return this.#turnCpu.take()
  }

  /** The same without garbage collection. */
  takeMaxTurnOwnMs(): number {
    return this.#turnOwn.take()
  }

  /** Longest pause for garbage collection since the last call, in milliseconds of time: what others had of the processor counts. */
  takeMaxPauseMs(): number {
    return this.#pause.take()
  }

  /** Turns beyond `LONG_TURN_MS` of CPU so far. */
  get longTurns(): number {
    return this.#longTurns
  }

  #noteIdle(): void {
    const before = this.#before
    const now = this.#loopTime()
    this.#before = now
    const spent = now.idle - before.idle + now.active - before.active
    if (spent <= 0) return
    const idle = (now.idle - before.idle) / spent
    this.#idleShare += (idle - this.#idleShare) * IDLE_WEIGHT * (this.#intervalMs / INTERVAL_MS)
    this.#intervalMs = idle < 1 - BUSY_SHARE ? BUSY_INTERVAL_MS : INTERVAL_MS
  }

  #next(): void {
    const due = this.#clock.now() + this.#intervalMs
    this.#timer = this.#clock.timer(
      this.#intervalMs,
      () => {
        const now = this.#clock.now()
        const late = Math.max(0, now - due)
        this.#meanMs += (late - this.#meanMs) * WEIGHT * (this.#intervalMs / INTERVAL_MS)
        this.#delay.note(late)
        this.#delays.record(late, now)
        this.#noteIdle()
        this.#next()
      },
      true,
    )
  }
}
