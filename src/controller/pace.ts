import type { Millis } from '../base/ids.ts'
import { LoopSlice } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'

/** Up to so many partitions an event is dealt with, and told to the brokers, in the turn in which it can be. */
export const FEW_PARTITIONS = 500
const SLICE_MS: Millis = 5
/** Partitions between two looks at the clock. */
const STEP = 50

/** A term's loops over partitions: with very many of them the broker in this process has its turns in between. Used by one event at a time. */
export class Pace {
  private readonly clock: Pick<Clock, 'now' | 'soon'>
  private readonly slice: LoopSlice
  /** Something was done in this turn already. */
  private isCounting = false

  constructor(clock: Pick<Clock, 'now' | 'soon'>) {
    this.clock = clock
    this.slice = new LoopSlice(clock, SLICE_MS)
  }

  /** Calls `visit` for each in order; all of them now when they are few. */
  async each<T>(items: readonly T[], visit: (item: T) => void): Promise<void> {
    if (items.length <= FEW_PARTITIONS) {
      for (const item of items) visit(item)
      return
    }
    for (let i = 0; i < items.length; i++) {
      if (i % STEP === 0 && this.isDue) await this.slice.turn()
      visit(items[i]!)
    }
  }

  /** Another turn, if the event's work has made this one long. Short loops before the first look do not count. */
  async rest(): Promise<void> {
    if (this.isDue) await this.slice.turn()
  }

  private get isDue(): boolean {
    if (this.isCounting) return this.slice.isDue
    this.isCounting = true
    this.slice.restart()
    this.clock.soon(() => {
      this.isCounting = false
    })
    return false
  }
}
