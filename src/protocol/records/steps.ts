import { AssertionError } from '../../base/assert.ts'

/**
 * Work in pieces of about a millisecond. After each the owner may let others go first; a promise is work that another thread does, and its
 * result is given back by `next`, its failure by `throw`.
 */
export type Steps<T> = Generator<Promise<Buffer> | undefined, T, Buffer | undefined>

/** Bytes of text that take about a millisecond to go through. */
export const STEP_BYTES = 128 * 1024

/** All of it at once; for steps that use no other thread. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (step.value !== undefined) throw new AssertionError('another thread is not waited for')
  }
}

/** The result of `work`, which another thread does. */
export function* elsewhere(work: Promise<Buffer>): Steps<Buffer> {
  const result = yield work
  if (result === undefined) throw new AssertionError('a promise was given out and its result did not come back')
  return result
}
