import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { reportSeed, Workers } from './workers.ts'

/** Answers each order with its process id; dies of seed 2. */
const SCRIPT = `
process.on('disconnect', () => process.exit())
process.on('message', (order) => {
  if (order.seed === 2) process.exit(3)
  process.send({ preset: order.preset, seed: order.seed, violations: [], states: [String(process.pid)], virtualMs: 1, cpuMicros: 1 })
})
`

test('a worker that dies has failed its seed, and the others go on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'samsa-workers-'))
  const script = join(directory, 'worker.mjs')
  writeFileSync(script, SCRIPT)
  const workers = new Workers(script, {})
  try {
    const [one, dead, three] = await Promise.all([1, 2, 3].map((seed) => workers.run('core', seed)))
    assert.deepEqual(one!.violations, [])
    assert.deepEqual(three!.violations, [])
    assert.match(dead!.violations[0]!.message, /ended with 3/)
    const again = await workers.run('core', 4)
    assert.ok([one!.states[0], three!.states[0]].includes(again.states[0]!), 'a process that is free is used again')
  } finally {
    workers.close()
    rmSync(directory, { recursive: true })
  }
})

test('what a worker says of a seed is plain data', async () => {
  const report = await reportSeed({ preset: 'calm', seed: 1, properties: {} })
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report)
  assert.deepEqual(report.violations, [])
  assert.ok(report.virtualMs > 10_000 && report.cpuMicros > 0)
})
