import { LoopSlice } from '../../base/loop-slice.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Steps } from '../../protocol/records/steps.ts'

/** Work may hold the event loop this long before others get a turn. */
export const SLICE_MS = 4

/** Gives the event loop back again and again during long work. */
export class Pace extends LoopSlice {
  /** The longest time that the loop was held, milliseconds. */
  longestMs = 0

  constructor(clock: Clock) {
    super(clock, SLICE_MS)
  }

  override async turn(): Promise<void> {
    this.hold()
    await super.turn()
  }

  /** Notes how long the loop was held up to now. */
  hold(): void {
    this.longestMs = Math.max(this.longestMs, this.heldMs)
  }

  /** Does all steps; `check` may throw after every pause. What another thread does is waited for with the loop free. */
  async run<T>(steps: Steps<T>, check: () => void): Promise<T> {
    let result: Buffer | undefined
    for (;;) {
      const step = steps.next(result)
      if (step.done === true) return step.value
      result = undefined
      if (step.value !== undefined) {
        this.hold()
        result = await step.value
        this.restart()
        check()
      } else if (this.isDue) {
        await this.turn()
        check()
      }
    }
  }
}
