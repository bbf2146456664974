/** `zookeeper-shell.sh` says and does what ZooKeeper 3.4's shell said and did in Apache 1.1.1, against the same ZooKeeper as the brokers. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { distribution, eventually, type Ran, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { runAsRecorded, toolRuns } from '../harness/tool-runs.ts'

/** Nodes that only the recording's authorizer, tokens and idempotent producers had made. */
const ELSEWHERE = new Set(['kafka-acl', 'kafka-acl-changes', 'delegation_token', 'latest_producer_id_block'])

/** Identities, times and transaction numbers differ; when the connection is there is a race with the first command. */
function same(text: string): string {
  return text
    .replaceAll('\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n', '')
    .replaceAll(/^\[(.*)\]$/gm, (_all, names: string) => {
      const list = names.split(', ').filter((name) => !ELSEWHERE.has(name))
      return `[${list.sort().join(', ')}]`
    })
    .replaceAll(/^(\w+) = (?:0x[0-9a-f]+|<session>)$/gm, '$1 = <zxid>')
    .replaceAll(/^(\w+) = (?:<time>|\w{3} \w{3} \d\d \d\d:\d\d:\d\d \S+ \d{4})$/gm, '$1 = <time>')
    .replaceAll(/^(\{"listener_security_protocol_map".*|\{"version":"1","id":".{22}"\})$/gm, '<json>')
    .replaceAll(/^dataLength = \d{2,}$/gm, 'dataLength = <n>')
}

describe('zookeeper-shell against the genuine recording', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2 })
  })
  after(() => cluster.close())

  for (const [i, recorded] of toolRuns('zookeeper-shell').entries()) {
    it(`run ${i + 1}: ${recorded.args.join(' ')} ${JSON.stringify(recorded.stdin ?? '')}`, async () => {
      const masks = (): Record<string, string> => ({ '<zk>': cluster.zookeeper })
      await runAsRecorded({ tool: 'org.apache.zookeeper.ZooKeeperMain', masks, same }, recorded)
    })
  }

  const shell = (lines: readonly string[]): Promise<Ran> =>
    run(join(distribution, 'bin', 'zookeeper-shell.sh'), [cluster.zookeeper], {
      input: lines.map((line) => `${line}\n`).join(''),
    })

  it('makes, changes and removes nodes of every kind', async () => {
    const { stdout, stderr, code } = await shell([
      'create /shell a',
      'create -s /shell/n b',
      'create -e /shell/e c',
      'create /shell/e/child d',
      'create /shell again',
      'set /shell A 7',
      'set /shell A 0',
      'setAcl /shell world:anyone:rwcda',
      'getAcl /shell',
      'delete /shell',
      'get /shell watch',
      'set /shell B',
      'rmr /shell',
      'ls /shell',
      'get shell',
      'printwatches',
      'history',
      'quit',
    ])
    assert.equal(code, 0)
    assert.match(stderr, /^Created \/shell\nCreated \/shell\/n0000000000\nCreated \/shell\/e\n/)
    assert.match(
      stderr,
      /\nEphemerals cannot have children: \/shell\/e\/child\nNode already exists: \/shell\nversion No is not valid : \/shell\n/,
    )
    assert.match(stderr, /\nNode not empty: \/shell\n/)
    assert.match(stderr, /\nNode does not exist: \/shell\nCommand failed: java.lang.IllegalArgumentException: /)
    assert.match(stdout, /\n'world,'anyone\n: cdrwa\n/)
    assert.match(stdout, /\nWatchedEvent state:SyncConnected type:NodeDataChanged path:\/shell\n/)
    assert.match(stdout, /\nprintwatches is on\n6 - set \/shell A 0\n(?:.*\n)*16 - history\nQuitting\.\.\.\n$/)
    assert.equal(await cluster.zk.pathExists('/shell'), false)
  })

  it('runs one command and ends; its ephemeral node goes with it', async () => {
    const tool = join(distribution, 'bin', 'zookeeper-shell.sh')
    const ran = await run(tool, [cluster.zookeeper, 'create', '-e', '/passing', 'x'])
    assert.deepEqual({ stderr: ran.stderr, code: ran.code }, { stderr: 'Created /passing\n', code: 0 })
    await eventually('the node is gone', async () => !(await cluster.zk.pathExists('/passing')))
    const bare = await run(tool, [])
    assert.match(bare.stdout, /^USAGE: .*zookeeper-shell\.sh zookeeper_host:port\[\/path\] \[args\.\.\.\]\n$/)
    assert.equal(bare.code, 1)
  })
})
