/** Guarantees G12, G13 with members of two client libraries in one group; `mixed-group-java.ts` is the same with a Java client. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { kafkajsProgram, kcatProgram } from './group-members.ts'
import { MixedGroup } from './mixed-group.ts'

/** Each round: one leaves, one crashes, the coordinator's broker is killed or stopped. */
const ROUNDS = Number(process.env['SAMSA_ROUNDS'] ?? 1)

describe('a group of kafkajs and librdkafka', () => {
  let group: MixedGroup
  before(async () => {
    group = await MixedGroup.start([kafkajsProgram, kcatProgram, kcatProgram])
  })
  after(() => group.close())

  it('goes on while members leave and crash and the coordinator is killed', { timeout: ROUNDS * 200_000 }, async () => {
    const report = await group.run(ROUNDS)
    assert.ok(report.looks > 20, `only ${report.looks} looks at the committed offsets`)
    assert.ok(report.generations > 3, `${report.generations} generations`)
    process.stdout.write(`# ${JSON.stringify(report)}\n`)
  })
})
