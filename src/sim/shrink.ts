import type { Fault } from './nemesis.ts'

/**
 * The fewest of `faults` that still fail, as far as dropping ranges of halving length finds out: one of them less and the run passes. Each call of
 * `fails` is a whole run; at most `limit` are made.
 */
export async function shrinkFaults(
  faults: readonly Fault[],
  fails: (faults: readonly Fault[]) => Promise<boolean>,
  limit = 200,
): Promise<{ readonly faults: readonly Fault[]; readonly runs: number }> {
  let left = [...faults]
  let runs = 0
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < left.length && runs < limit; ) {
      const fewer = [...left.slice(0, at), ...left.slice(at + size)]
      runs++
      if (await fails(fewer)) left = fewer
      else at += size
    }
  }
  return { faults: left, runs }
}
