import type { Millis } from '../base/ids.ts'
import { inSlices } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'

/** How long one request may hold the loop: decoding it, looking things up for it, encoding its answer. */
export const REQUEST_SLICE_MS: Millis = 4

/** Takes the steps of a request; now, without a promise, when that is not long. */
export function answerInSlices<T>(
  { clock }: { readonly clock: Pick<Clock, 'now' | 'soon'> },
  steps: Generator<void, T>,
): T | Promise<T> {
  return inSlices(clock, REQUEST_SLICE_MS, steps)
}
