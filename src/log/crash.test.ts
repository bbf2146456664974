import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { End, Fault } from './testing-crash.ts'
import { COMPACTED, checkRecovered, PLAIN, Run } from './testing-crash.ts'

/** Faults tried per seed; they are spread over all disk operations of its run. */
const FAULTS_PER_SEED = 25
/** SAMSA_LOG_SEEDS="a b": these; SAMSA_LOG_RUNS=10000: as many seeds as make so many runs with a fault. Every failure names its seed. */
const seeds = chosenSeeds()

function chosenSeeds(): string[] {
  const { SAMSA_LOG_SEEDS: named, SAMSA_LOG_RUNS: runs } = process.env
  if (named !== undefined) return named.split(' ')
  const count = runs === undefined ? 3 : Math.ceil(Number(runs) / (2 * FAULTS_PER_SEED))
  return Array.from({ length: count }, (_, i) => `seed-${i}`)
}

const FAULTS: readonly Fault[] = ['crash', 'crash', 'torn', 'sync', 'full']
const ENDS: readonly End[] = ['process', 'power']

describe('after a crash or a fault at any disk operation the log is a prefix of what was written, compacted or not', () => {
  let [runs, cleanings] = [0, 0]
  for (const seed of seeds) {
    for (const [name, config] of [
      ['plain', PLAIN],
      ['compacted', COMPACTED],
    ] as const) {
      it(`${seed}, ${name}`, async () => {
        const whole = new Run(seed, config, Number.POSITIVE_INFINITY, 'crash')
        assert.ok(await whole.go())
        const { operations } = whole.disk
        assert.ok(operations > 50, `only ${operations} disk operations`)
        cleanings += whole.cleanings
        for (let i = 0; i < FAULTS_PER_SEED; i++) {
          const at = 1 + Math.floor(((i + ((seed.length * 7 + runs) % 10) / 10) * operations) / FAULTS_PER_SEED)
          const [fault, end] = [FAULTS[i % FAULTS.length]!, ENDS[(i + runs) % 2]!]
          const run = new Run(seed, config, at, fault)
          await run.go()
          await checkRecovered(run, end, `${fault} of ${seed} ${name} at ${at}, ${end} end`)
          runs++
        }
      })
    }
  }

  it('and logs were compacted on the way', () => {
    assert.ok(cleanings > 0)
    if (seeds.length > 3) console.log(`${runs} runs with a fault, ${cleanings} cleanings in those without`)
  })
})
