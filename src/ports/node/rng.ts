import { randomBytes } from 'node:crypto'
import { assert } from '../../base/assert.ts'
import type { Rng } from '../rng.ts'

/** Real chance; `bytes` are fit for secrets. */
export const nodeRng: Rng = {
  next: () => Math.random(),
  int: (low, high) => {
    if (!(high > low)) assert(false, `empty range [${low}, ${high})`)
    return low + Math.floor(Math.random() * (high - low))
  },
  bytes: (length) => randomBytes(length),
  fork: () => nodeRng,
}
