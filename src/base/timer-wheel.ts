import { assert } from './assert.ts'

/** What the wheel needs of `ports/clock.ts`. */
export interface WheelClock {
  /** Monotonic milliseconds. */
  now(): number
  timer(delayMs: number, fn: () => void, background?: boolean): { cancel(): void }
}

/** One delayed call; `cancel` is idempotent and may be called at any time. */
export interface WheelTimer {
  /** False once it was called or cancelled. */
  readonly isActive: boolean
  cancel(): void
}

const LEVELS = 4
const SLOTS = 64
/** Ticks of one slot of each level; the last entry is one turn of the whole wheel. */
const SPAN: readonly number[] = [1, SLOTS, SLOTS ** 2, SLOTS ** 3, SLOTS ** 4]
const TURN = SPAN[LEVELS]!

class Entry implements WheelTimer {
  readonly fn: () => void
  readonly expiry: number
  previous: Entry | undefined
  next: Entry | undefined
  slot: Slot | undefined
  readonly #wheel: TimerWheel

  constructor(wheel: TimerWheel, expiry: number, fn: () => void) {
    this.#wheel = wheel
    this.expiry = expiry
    this.fn = fn
  }

  get isActive(): boolean {
    return this.slot !== undefined
  }

  cancel(): void {
    if (this.slot === undefined) return
    this.slot.remove(this)
    this.#wheel.cancelled()
  }
}

/** A list in order of insertion with O(1) removal. */
class Slot {
  first: Entry | undefined
  #last: Entry | undefined

  append(entry: Entry): void {
    entry.slot = this
    entry.previous = this.#last
    entry.next = undefined
    if (this.#last === undefined) this.first = entry
    else this.#last.next = entry
    this.#last = entry
  }

  remove(entry: Entry): void {
    if (entry.previous === undefined) this.first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.#last = entry.previous
    else entry.next.previous = entry.previous
    entry.slot = entry.previous = entry.next = undefined
  }
}

/**
 * Hierarchical timing wheel: thousands of timeouts of delayed produces and fetches with O(1) add and cancel and one
 * timer of the clock. Four levels of 64 slots (1 ms, 64 ms, 4 s, 4.4 min wide), what lies beyond 4.7 hours waits in a list.
 * An entry sits on the lowest level on which its tick and the current tick share all higher digits; when the wheel reaches
 * the slot it moves down. Entries of one tick run in the order in which they were added; never early by the clock, late by at
 * most one tick and the clock's own lateness.
 */
export class TimerWheel {
  readonly #clock: WheelClock
  readonly #background: boolean
  readonly #tickMs: number
  readonly #origin: number
  readonly #levels: readonly (readonly Slot[])[]
  readonly #beyond = new Slot()
  #tick = 0
  #size = 0
  #timer: { cancel(): void } | undefined
  /** Tick for which the clock's timer is set. */
  #armedFor = Number.POSITIVE_INFINITY
  #advancing = false
  #closed = false

  /** `background`: pending entries do not keep the process alive. `tickMs`: resolution, default 1. */
  constructor(clock: WheelClock, options: { readonly tickMs?: number; readonly background?: boolean } = {}) {
    this.#clock = clock
    this.#tickMs = options.tickMs ?? 1
    assert(this.#tickMs > 0, `tickMs is ${this.#tickMs}`)
    this.#background = options.background ?? false
    this.#origin = clock.now()
    this.#levels = Array.from({ length: LEVELS }, () => Array.from({ length: SLOTS }, () => new Slot()))
  }

  /** Entries waiting. */
  get size(): number {
    return this.#size
  }

  /** Calls `fn` once after at least `delayMs` (never within this call). After `close` the entry is dead from the start. */
  add(delayMs: number, fn: () => void): WheelTimer {
    if (!(delayMs >= 0 && Number.isFinite(delayMs))) assert(false, `delay is ${delayMs} ms`)
    const now = this.#clock.now() - this.#origin
    if (this.#size === 0 && !this.#advancing) this.#tick = Math.max(this.#tick, Math.floor(now / this.#tickMs))
    const due = Math.ceil((now + delayMs) / this.#tickMs)
    const entry = new Entry(this, Math.max(due, this.#tick + 1), fn)
    if (this.#closed) return entry
    this.#size++
    this.#place(entry)
    if (!this.#advancing && entry.expiry < this.#armedFor) this.#arm(entry.expiry)
    return entry
  }

  /** Drops all entries and the timer. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#timer = undefined
    for (const slot of [...this.#levels.flat(), this.#beyond]) {
      while (slot.first !== undefined) slot.remove(slot.first)
    }
    this.#size = 0
  }

  /**
   * @internal An entry left its slot. The clock's timer stays: an idle wake-up is cheaper than setting it anew each time.
   * Only one that would keep the process alive for nothing is taken back.
   */
  cancelled(): void {
    this.#size--
    if (this.#size > 0 || this.#advancing || this.#background) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #place(entry: Entry): void {
    for (let level = 0; level < LEVELS; level++) {
      const span = SPAN[level + 1]!
      if (Math.floor(entry.expiry / span) === Math.floor(this.#tick / span)) {
        this.#levels[level]![Math.floor(entry.expiry / SPAN[level]!) % SLOTS]!.append(entry)
        return
      }
    }
    this.#beyond.append(entry)
  }

  #arm(tick: number): void {
    this.#timer?.cancel()
    this.#armedFor = tick
    const delay = this.#origin + tick * this.#tickMs - this.#clock.now()
    this.#timer = this.#clock.timer(Math.max(delay, 0), () => this.#wake(), this.#background)
  }

  #wake(): void {
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#advancing = true
    try {
      this.#advanceTo(Math.floor((this.#clock.now() - this.#origin) / this.#tickMs))
    } finally {
      this.#advancing = false
      if (this.#size > 0) this.#arm(this.#nextStop())
    }
  }

  #advanceTo(target: number): void {
    while (this.#size > 0 && !this.#closed) {
      const stop = this.#nextStop()
      if (stop > target) break
      this.#tick = stop
      this.#moveDown(stop)
      this.#fire(this.#levels[0]![stop % SLOTS]!)
    }
    // Nothing waits on the way: every slot with an entry begins after `target`.
    if (target > this.#tick) this.#tick = target
  }

  /** Re-places the entries of the slots that contain the current tick, highest level first, so that order is kept. */
  #moveDown(tick: number): void {
    if (this.#beyond.first !== undefined && this.#beyondFirstTurn() <= tick) this.#replaceAll(this.#beyond)
    for (let level = LEVELS - 1; level > 0; level--) {
      const slot = this.#levels[level]![Math.floor(tick / SPAN[level]!) % SLOTS]!
      if (slot.first !== undefined) this.#replaceAll(slot)
    }
  }

  #replaceAll(slot: Slot): void {
    const entries: Entry[] = []
    for (let entry = slot.first; entry !== undefined; entry = entry.next) entries.push(entry)
    for (const entry of entries) {
      slot.remove(entry)
      this.#place(entry)
    }
  }

  #fire(slot: Slot): void {
    for (let entry = slot.first; entry !== undefined; entry = slot.first) {
      slot.remove(entry)
      this.#size--
      entry.fn()
    }
  }

  /** The next tick at which something is due or moves down. */
  #nextStop(): number {
    for (let level = 0; level < LEVELS; level++) {
      const span = SPAN[level]!
      const digit = Math.floor(this.#tick / span) % SLOTS
      const slots = this.#levels[level]!
      for (let i = level === 0 ? digit : digit + 1; i < SLOTS; i++) {
        if (slots[i]!.first !== undefined) return (Math.floor(this.#tick / span) - digit + i) * span
      }
    }
    assert(this.#beyond.first !== undefined, `no entry found of ${this.#size}`)
    return this.#beyondFirstTurn()
  }

  /** First tick of the earliest turn of the wheel for which an entry waits beyond this one. */
  #beyondFirstTurn(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (let entry = this.#beyond.first; entry !== undefined; entry = entry.next) earliest = Math.min(earliest, entry.expiry)
    return Math.floor(earliest / TURN) * TURN
  }
}
