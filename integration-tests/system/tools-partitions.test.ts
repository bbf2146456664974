/** Reassignment and preferred election tools say and do what the genuine ones said and did (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { distribution, eventually, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { clusterMasks, runAsRecorded, runUntilAsRecorded, toolRuns } from '../harness/tool-runs.ts'

const plan = (...partitions: object[]): string => JSON.stringify({ version: 1, partitions })
const move = (topic: string, partition: number, replicas: readonly number[], more: object = {}): object => ({
  topic,
  partition,
  replicas,
  ...more,
})
const election = (...partitions: object[]): string => JSON.stringify({ partitions })

/** What the recording's files held. */
const files: Readonly<Record<string, string>> = {
  'tm.json': '{"topics":[{"topic":"t3"}],"version":1}',
  'tm2.json': '{"topics":[{"topic":"none"}],"version":1}',
  'tm3.json': 'x',
  'mv.json': plan(move('t3', 0, [1]), move('t3', 1, [0, 1])),
  'mv2.json': plan(move('t3', 0, [0, 1])),
  'mv3.json': plan(move('t3', 0, [0, 9])),
  'mv4.json': plan(move('none', 0, [0])),
  'mv5.json': plan(),
  'mv6.json': plan(move('t3', 0, [0]), move('t3', 0, [1])),
  'mv7.json': plan(move('t3', 0, [0, 0])),
  'mv8.json': 'x',
  'p1.json': election({ topic: 't1', partition: 0 }),
  'p2.json': election({ topic: 'none', partition: 0 }),
  'p3.json': 'x',
  'p4.json': election({ topic: 't1', partition: 0 }, { topic: 't1', partition: 0 }),
}

const TOPICS: Readonly<Record<string, string>> = {
  t1: '0:1,1:0,0:1',
  t2: '0',
  t3: '0:1,1:0,0:1,1:0,1:0',
  none: '0',
  auto1: '1',
  'with.dot': '1',
  __consumer_offsets: '0:1,1:0',
}

interface PlannedPartition {
  readonly topic: string
  readonly partition: number
  readonly replicas: number[]
}

/** Sets come in any order, and proposals are random: the numbers of their replicas are compared. */
function same(text: string): string {
  const lines = text.split('\n')
  const sortedNames = (names: string): string => names.split(/, ?/).sort().join(', ')
  return lines
    .map((line, i) => {
      if (!line.startsWith('{"version":1,"partitions"')) {
        return line
          .replace(/(election path with )(.*)$/, (_all, head: string, names: string) => head + sortedNames(names))
          .replace(/(partitions Set\()(.*)\)$/, (_all, head: string, names: string) => `${head}${sortedNames(names)})`)
      }
      const { partitions } = JSON.parse(line) as { partitions: PlannedPartition[] }
      const isProposal = lines[i - 1]?.startsWith('Proposed') === true
      const sorted = partitions.toSorted((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition)
      return JSON.stringify(sorted.map((one) => (isProposal ? { ...one, replicas: new Set(one.replicas).size } : one)))
    })
    .join('\n')
}

describe('partition tools against the genuine recordings', () => {
  let cluster: TestCluster
  const directory = mkdtempSync(join(tmpdir(), 'samsa-tools-'))
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2 })
    await Promise.all(
      Object.entries(TOPICS).map(async ([topic, assignment]) => {
        const ran = await cluster.topics(['--create', '--topic', topic, '--replica-assignment', assignment])
        assert.equal(ran.code, 0, ran.stdout)
        const lists = assignment.split(',')
        await cluster.fullIsr(topic, lists.length, lists[0]?.split(':').length ?? 0)
      }),
    )
    const logDirs = [cluster.broker(0).logDirectory]
    writeFileSync(join(directory, 'mv9.json'), plan(move('t2', 0, [0], { log_dirs: logDirs })))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const masks = (): Record<string, string> => clusterMasks(cluster, directory)
  const settled = (): Promise<boolean> =>
    eventually('nothing under way', async () => {
      const [moves, elections] = [await cluster.zk.getReassignments(), await cluster.zk.getPreferredReplicaElection()]
      return moves === undefined && elections === undefined
    })
  const tools = {
    'kafka-reassign-partitions.sh': 'reassign-partitions',
    'kafka-preferred-replica-election.sh': 'preferred-replica-election',
  }
  for (const [tool, recording] of Object.entries(tools)) {
    for (const [i, recorded] of toolRuns(recording).entries()) {
      it(`${recording} ${i + 1}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
        await settled()
        const compare = recorded.args.includes('--verify') ? runUntilAsRecorded : runAsRecorded
        await compare({ tool, masks, same }, recorded)
      })
    }
  }

  const reassign = (...words: string[]): ReturnType<typeof run> =>
    run(join(distribution, 'bin', 'kafka-reassign-partitions.sh'), ['--zookeeper', cluster.zookeeper, ...words])
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }

  it('elects what is there and names what is not, as Apache 1.1.1 does', async () => {
    await settled()
    const elect = async (text: string): Promise<string> => {
      const words = ['--zookeeper', cluster.zookeeper, '--path-to-json-file', write('elect.json', text)]
      return (await run(join(distribution, 'bin', 'kafka-preferred-replica-election.sh'), words)).stdout
    }
    const wanted = [
      { topic: 'nope', partition: 0 },
      { topic: 't1', partition: 0 },
      { topic: 't1', partition: 7 },
    ]
    assert.equal(
      await elect(election(...wanted)),
      `Created preferred replica election path with t1-0
Successfully started preferred replica election for partitions Set(t1-0)
Skipping preferred replica leader election for partition nope-0 since it doesn't exist.
Skipping preferred replica leader election for partition t1-7 since it doesn't exist.
`,
    )
    const failed = 'Failed to start preferred replica election\n'
    const empty = 'kafka.admin.AdminOperationException: Preferred replica election data is empty\n\n'
    assert.equal(await elect('{"foo":[]}'), failed + empty)
    const json = 'com.fasterxml.jackson.databind.JsonMappingException'
    assert.equal(await elect(election({ topic: 't1' })), `${failed}${json}: No such field exists: \`partition\`\n\n`)
    const wrong = election({ topic: 't1', partition: 'x' })
    assert.equal(await elect(wrong), `${failed}${json}: Expected \`Int\` value, received "x"\n\n`)
  })

  it('moves leadership to the first replica', async () => {
    await settled()
    // Restarted, broker 1 leads nothing until it is asked to.
    await cluster.broker(1).stop()
    await cluster.broker(1).start()
    await cluster.fullIsr('t1', 3, 2)
    assert.equal((await cluster.partitionState('t1', 1)).leader, 0)
    const words = ['--zookeeper', cluster.zookeeper]
    assert.equal((await run(join(distribution, 'bin', 'kafka-preferred-replica-election.sh'), words)).code, 0)
    await eventually('broker 1 leads t1-1', async () => (await cluster.partitionState('t1', 1)).leader === 1)
  })

  it('throttles the replicas that send and receive, and takes the throttle away when all is done', async () => {
    await settled()
    const file = write('more.json', plan(move('with.dot', 0, [1, 0]), move('t3', 2, [0, 1])))
    const started = await reassign('--execute', '--reassignment-json-file', file, '--throttle', '5000000')
    assert.match(started.stdout, /The inter-broker throttle limit was set to 5000000 B\/s\nSuccessfully started/)
    const topics = await cluster.zk.getConfigs('topics', ['with.dot', 't3'])
    // As Apache 1.1.1 writes them: every old replica sends, new ones receive; a partition that does not move has neither.
    assert.deepEqual(
      { ...topics.get('with.dot') },
      {
        'leader.replication.throttled.replicas': '0:1',
        'follower.replication.throttled.replicas': '0:0',
      },
    )
    assert.deepEqual(
      { ...topics.get('t3') },
      {
        'leader.replication.throttled.replicas': '',
        'follower.replication.throttled.replicas': '',
      },
    )
    const brokers = await cluster.zk.getConfigs('brokers', ['0', '1'])
    for (const id of ['0', '1']) {
      assert.deepEqual(
        { ...brokers.get(id) },
        {
          'leader.replication.throttled.rate': '5000000',
          'follower.replication.throttled.rate': '5000000',
        },
      )
    }
    await settled()
    await eventually('the end of the move', async () => {
      const { stdout } = await reassign('--verify', '--reassignment-json-file', file)
      return stdout.endsWith('Throttle was removed.\n')
    })
    assert.deepEqual({ ...(await cluster.zk.getConfigs('brokers', ['0'])).get('0') }, {})
    assert.deepEqual({ ...(await cluster.zk.getConfigs('topics', ['with.dot'])).get('with.dot') }, {})
  })

  it('says which partitions and fields of a file are wrong, as Apache 1.1.1 does', async () => {
    const refused = async (text: string): Promise<string> => {
      const { stdout, code } = await reassign('--execute', '--reassignment-json-file', write('wrong.json', text))
      assert.equal(code, 0)
      return stdout.split('\n')[0]?.replace('Partitions reassignment failed due to ', '') ?? ''
    }
    assert.equal(
      await refused(plan(move('nope', 0, [0]), move('t1', 9, [0]))),
      'The proposed assignment contains non-existent partitions: ListBuffer(nope-0, t1-9)',
    )
    assert.equal(await refused(plan(move('t1', 0, []))), 'Partition replica list cannot be empty')
    assert.equal(
      await refused(plan(move('t1', 0, [0, 1], { log_dirs: ['any'] }))),
      'Size of replicas list Vector(0, 1) is different from size of log dirs list Vector(any) for partition t1-0',
    )
    assert.equal(await refused('{"partitions":[{"topic":"t1","replicas":[0]}]}'), 'No such field exists: `partition`')
  })
})
