/** Chance. One seeded root, forked by name, so that adding a draw in one place does not shift the others. */
export interface Rng {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [low, high), high > low. */
  int(low: number, high: number): number
  bytes(length: number): Buffer
  fork(name: string): Rng
}
