/**
 * A handful of cells of the fault matrix (`matrix.js` runs all of them), and canaries: rules broken on purpose that its checkers notice.
 * SAMSA_CELLS="kill cut-zk/leader" chooses others.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cellsOf, line, runCell } from './matrix-cell.ts'

/** What no other test of this folder does to a cluster of processes. */
const CELLS = process.env['SAMSA_CELLS'] ?? 'cut-zk-out/controller cut-brokers-in/group disk-full/leader'

describe('fault matrix', () => {
  for (const cell of CELLS.split(' ').flatMap(cellsOf)) {
    it(`${cell.row.name}/${cell.target}: ${cell.row.what}`, { timeout: 180_000 }, async () => {
      const result = await runCell(cell)
      process.stdout.write(`# ${line(result)}\n`)
      assert.deepEqual(result.violations, [])
      assert.ok(result.acknowledged.before > 20 && result.acknowledged.after > result.acknowledged.before + 20, line(result))
    })
  }

  it('canary: unclean election and a minimum of one in-sync replica lose what a lonely leader acknowledged', {
    timeout: 180_000,
  }, async () => {
    const properties = { 'unclean.leader.election.enable': true, 'min.insync.replicas': 1 }
    const [cell] = cellsOf('lonely/leader')
    const { violations } = await runCell(cell!, { properties })
    assert.ok(
      violations.some(({ check }) => check === 'acked-survives'),
      JSON.stringify(violations).slice(0, 1000),
    )
  })
})
