/**
 * Our consumer in a group: two of ours and one of another library share the assignor `range`, while members leave, crash and come and the
 * coordinator's broker is killed. Every acknowledged record is consumed, committed offsets never go back, every partition has one owner.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { kcatProgram } from '../faults/group-members.ts'
import { MixedGroup } from '../faults/mixed-group.ts'
import { samsaProgram } from './consumer-member.ts'

const ROUNDS = Number(process.env['SAMSA_ROUNDS'] ?? 1)

describe('our consumer in a group with librdkafka', () => {
  let group: MixedGroup
  before(async () => {
    group = await MixedGroup.start([samsaProgram, samsaProgram, kcatProgram])
  })
  after(() => group.close())

  it('goes on while members leave and crash and the coordinator is killed', { timeout: ROUNDS * 200_000 }, async () => {
    const report = await group.run(ROUNDS)
    assert.ok(report.looks > 20, `only ${report.looks} looks at the committed offsets`)
    assert.ok(report.generations > 3, `${report.generations} generations`)
    assert.ok(report.members.filter(({ consumed }) => consumed > 0).length > 3)
    process.stdout.write(`# ${JSON.stringify(report)}\n`)
  })
})
