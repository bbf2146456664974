/** `kafka-topics.sh` says and does what the genuine tool said and did, run by run (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { distribution, eventually, type Ran, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { golden } from '../harness/golden.ts'

interface GoldenRun {
  readonly args: readonly string[]
  readonly stdin?: string
  readonly stdout: string
  readonly stderr: string
  readonly exit: number
}

const runs = readFileSync(golden('cli/topics.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as GoldenRun)
  // The last run waits 30 s for a ZooKeeper that is not there.
  .filter(({ args }) => !args.includes('127.0.0.1:1'))

const tool = join(distribution, 'bin', 'kafka-topics.sh')

/** Times, hashes, random placement and frames of the Java virtual machine are not ours to equal. */
function masked(text: string, zookeeper: string): string {
  return text
    .replaceAll(zookeeper, '<zk>')
    .replaceAll(/\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]/g, '[<time>]')
    .replaceAll(/^\tat .*\n|^Caused by: .*\n|^\t\.\.\. \d+ more\n/gm, '')
    .replaceAll(/has different replication factor: .*/g, 'has different replication factor: <array>')
    .replaceAll(/(\tTopic: (?:t1|with\.dot|t2)\t.*?)Leader: \d+\tReplicas: [\d,]+\tIsr: [\d,]+/g, '$1<placement>')
}

describe('kafka-topics.sh against the genuine recording', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2, properties: { 'auto.create.topics.enable': false } })
  })
  after(() => cluster.close())

  for (const [i, golden] of runs.entries()) {
    it(`run ${i + 1}: ${golden.args.join(' ').slice(0, 100)}`, async () => {
      const args = golden.args.map((word) => word.replaceAll('<zk>', cluster.zookeeper))
      const once = (): Promise<Ran> => run(tool, args, golden.stdin === undefined ? {} : { input: golden.stdin })
      const same = (ran: Ran): void => {
        assert.equal(masked(ran.stdout, cluster.zookeeper), masked(golden.stdout, '<zk>'))
        assert.equal(masked(ran.stderr, cluster.zookeeper), masked(golden.stderr, '<zk>'))
        assert.equal(ran.code, golden.exit)
      }
      // Reading runs may come a moment before the controller has finished what the run before asked for.
      if (args.includes('--describe') || args.includes('--list') || args.includes('--if-exists')) {
        await eventually('the same output', async () => {
          same(await once())
          return true
        })
      } else same(await once())
    })
  }
})
