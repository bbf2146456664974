/** `kafka-broker-api-versions.sh` prints what the genuine tool printed, run by run (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { describeVersions } from '../../src/cli/kafka-broker-api-versions.ts'
import { distribution, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { golden } from '../harness/golden.ts'

interface GoldenRun {
  readonly args: readonly string[]
  readonly stdout: string
  readonly stderr: string
  readonly exit: number
}

const runs = readFileSync(golden('cli/broker-api-versions.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as GoldenRun)

describe('kafka-broker-api-versions.sh against the genuine recording', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2 })
  })
  after(() => cluster.close())

  /** The genuine tool shuffles the brokers. */
  const sorted = (text: string): string[] => text.split(/(?<=^\)\n)/m).sort()
  const masked = (text: string): string =>
    cluster.addresses
      .reduce((masked, address, i) => masked.replaceAll(address, `127.0.0.1:<port-${i}>`), text)
      .replaceAll(/\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]/g, '[<time>]')

  for (const [i, wanted] of runs.entries()) {
    it(`run ${i + 1}: ${wanted.args.join(' ')}`, async () => {
      const args = wanted.args.map((word) =>
        word.replaceAll(/127\.0\.0\.1:<port-(\d)>/g, (_, id) => cluster.broker(Number(id)).address),
      )
      const ran = await run(join(distribution, 'bin', 'kafka-broker-api-versions.sh'), args)
      assert.deepEqual(sorted(masked(ran.stdout)), sorted(wanted.stdout))
      assert.equal(masked(ran.stderr), wanted.stderr)
      assert.equal(ran.code, wanted.exit)
    })
  }

  it('a broker of another release: what it lacks, what only it has, what does not overlap', () => {
    const text = describeVersions([
      { apiKey: 0, minVersion: 6, maxVersion: 9 },
      { apiKey: 1, minVersion: 3, maxVersion: 12 },
      { apiKey: 99, minVersion: 0, maxVersion: 2 },
    ])
    assert.match(text, /^\tProduce\(0\): 6 to 9 \[unusable: node too new\],$/m)
    assert.match(text, /^\tFetch\(1\): 3 to 12 \[usable: 7\],$/m)
    assert.match(text, /^\tListOffsets\(2\): UNSUPPORTED,$/m)
    assert.match(text, /^\tUNKNOWN\(99\): 0 to 2$/m)
  })
})
