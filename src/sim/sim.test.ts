import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { Fault } from './nemesis.ts'
import { PRESETS, planRun, SWEEP_SEEDS } from './presets.ts'
import { runSeed } from './run.ts'
import { shrinkFaults } from './shrink.ts'
import { sweep, unreachedStates } from './sweep.ts'
import { decodeTrace, encodeTrace, timelineLine } from './trace.ts'

/** Fixed ones, most of which once failed or come close to something; SAMSA_SEED repeats the fresh one. */
const FIXED: Readonly<Record<string, readonly number[]>> = {
  // 803: both brokers killed, and a batch that others had overtaken.
  core: [1, 16, 803],
  crash: [1],
  network: [1],
  zookeeper: [1],
  disk: [1],
  power: [1],
  admin: [1, 2],
  // 176: a leader that had seen nothing of a producer, asked for what came behind a batch that it had refused.
  // 5716: an order from before a follower joined the ISR reaches a leader that was started again.
  // 7214: a broker that dies where it writes what came while it did not read.
  swarm: [1, 176, 5716, 7214],
  // Two epochs of the same leader: it missed the first, and no longer counted a follower that had not asked since.
  // 5665, 5708: a deposed coordinator leads a member back to an earlier generation.
  groups: [1, 5665, 5708],
  transactions: [3],
  formats: [1],
  // 72, 78: a fenced copier's offsets, after the marker that fenced it. 171: its records, to a leader that was started again. 149: nobody heard
  // that `/controller` was gone. 201: offsets from a deposed coordinator.
  copy: [1, 72, 78, 149, 171, 201],
  // 675: a leader that had been told where to cut its log, and not yet whether all of that epoch goes.
  // 8665: a follower that counts, and then hears of the leaders before the one it follows.
  flap: [1, 675, 8665],
  zombies: [1],
  wipe: [1],
  stale: [1],
  // 1300: an UpdateMetadata that stood still comes after those that were sent over a newer connection.
  // 3323: a log that is cut behind a marker, at its high watermark.
  late: [1, 1300, 3323],
  // 5994: a follower has records of an epoch before the first one of its leader's log.
  unclean: [1, 5994],
  // 9607: a log that ends where DeleteRecords left the leader's, within a batch.
  compact: [1, 2, 9607],
  // 526: a leader that has deleted everything, epochs too; a follower that was killed before its first checkpoint.
  // 10018: records that were never committed, below what the leader has deleted.
  ageing: [1, 526, 10018],
}
const FRESH: readonly string[] = ['core', 'swarm']
const fresh = Number(process.env['SAMSA_SEED'] ?? process.hrtime.bigint() % 1_000_000_000n)

const reached = new Set<string>()

for (const [preset, fixed] of Object.entries(FIXED)) {
  const seeds = FRESH.includes(preset) ? [...fixed, fresh] : fixed
  test(`${preset} (${PRESETS[preset]!.about}), seeds ${seeds.join(', ')}: every promise holds`, async () => {
    const { failed, acks, sometimes } = await sweep({ preset }, seeds)
    for (const name of sometimes.keys()) reached.add(name)
    const shown = failed.map(({ seed, violations }) => `seed ${seed}: ${violations[0]!.check}: ${violations[0]!.message}`)
    assert.deepEqual(shown, [], `repeat with: npm run sim -- --preset ${preset} --seed ${failed[0]?.seed}`)
    assert.ok(acks > 50, `${acks} records were acknowledged`)
  })
}

test('rare states were reached, or the weather was too fine to prove anything', () => {
  const wanted = [
    'leader changes',
    'isr shrinks',
    'isr grows',
    'idempotent retry',
    'batches in flight',
    'pipeline sent again',
    'transaction after transaction',
    'copied in a transaction',
    'leadership went and came back',
    'log directory fails',
  ]
  assert.deepEqual(
    wanted.filter((name) => !reached.has(name)),
    [],
  )
})

test('a sweep that never comes to a state its preset declares has failed', () => {
  const reachedHere = new Map([['no leader', 1]])
  assert.deepEqual(unreachedStates('wipe', SWEEP_SEEDS, reachedHere), ['no replica may lead', 'follower truncates'])
  assert.deepEqual(unreachedStates('wipe', SWEEP_SEEDS - 1, reachedHere), [])
  assert.deepEqual(unreachedStates('calm', SWEEP_SEEDS, reachedHere), [])
})

test('a seed is one run: the same trace twice, another one for another seed', async () => {
  const [first, again, other] = [
    await runSeed({ seed: 5, preset: 'core' }),
    await runSeed({ seed: 5, preset: 'core', isVerbose: true }),
    await runSeed({ seed: 6, preset: 'core' }),
  ]
  assert.equal(again.traceHash, first.traceHash)
  assert.equal(again.events, first.events)
  assert.notEqual(other.traceHash, first.traceHash)
  assert.ok(again.trace.length > first.trace.length, 'verbose keeps the log lines')
})

test('a trace survives its file and prints as a timeline', async () => {
  const { trace } = await runSeed({ seed: 1, preset: 'core' })
  const read = decodeTrace(encodeTrace(trace))
  assert.deepEqual(read.map(timelineLine), trace.map(timelineLine))
  assert.match(timelineLine(trace.find(([, , what]) => what === 'started')!), /^ +0\.\d{3} s {2}broker-\d +started +1$/)
  assert.throws(() => decodeTrace(encodeTrace([]).fill(0x80)), /not a trace/)
})

test('the minimiser leaves faults of which none can be spared', async () => {
  const { faults } = planRun(new SeededRng('shrink'), 'crash')
  assert.ok(faults.length > 8)
  const needed = [faults[2]!, faults[5]!, faults.at(-1)!]
  const shrunk = await shrinkFaults(faults, async (left) => needed.every((fault) => left.includes(fault)))
  assert.deepEqual(shrunk.faults, needed)
  assert.deepEqual((await shrinkFaults(faults, async () => true)).faults, [])
})

test('the brokers of a group seed recover when a leader missed an epoch of its own (the minimised form)', async () => {
  const faults: Fault[] = [
    { kind: 'jepsen', at: 8079, forMs: 843, broker: 2, other: 0, draw: 226 },
    { kind: 'reassign', at: 9170, forMs: 1302, broker: 0, other: 1, draw: 132 },
    { kind: 'preferredElection', at: 9875, forMs: 1243, broker: 0, other: 1, draw: 216 },
    { kind: 'preferredElection', at: 10896, forMs: 232, broker: 1, other: 2, draw: 60 },
  ]
  const { workload } = planRun(new SeededRng('groups 1'), 'groups')
  const plan = { faults, faultsMs: 20_000, workload: { ...workload, pauseMs: 60 } }
  const properties = { 'replica.fetch.wait.max.ms': '300' }
  assert.deepEqual((await runSeed({ seed: 1, preset: 'groups', plan, properties })).violations, [])
})
