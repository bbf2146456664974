/** kafka-consumer-groups.sh and kafka-streams-application-reset.sh say what the genuine ones said (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Admin, type Consumer, createAdmin, createConsumer, createProducer } from '../../src/client/index.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { startCluster, type TestCluster } from '../../src/testing/index.ts'
import { createPath } from '../../zk/client/create-path.ts'
import { OPEN_ACL } from '../../zk/client/types.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import { distribution, eventually, run } from '../harness/brokers.ts'
import { runAsRecorded, runUntilAsRecorded, toolRuns } from '../harness/tool-runs.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
/** Half an hour ago: within the last hour, and not within the last minute. */
const TIMESTAMP = Date.now() - 1_800_000
const GROUPS_TOOL = 'kafka-consumer-groups.sh'

/** Runs of the recording during which the group `live` had a member. */
const FIRST_LIVE_RUN = 18
const LAST_LIVE_RUN = 23

/**
 * Partitions come in any order (ours: as the broker has them); a warning may come more than once; the recording's cluster had groups of
 * console consumers; the virtual machine explains its NullPointerExceptions.
 */
function same(text: string): string {
  const lines = text
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/NullPointerException: .*/g, 'NullPointerException')
    .split('\n')
    .filter((line) => !line.startsWith('console-consumer-'))
  const isLoose = (line: string): boolean => /^(?:t\d[ ,]|Topic: t\d|\[<time>\] WARN|New offset)/.test(line)
  return [...lines.filter((line) => !isLoose(line)), ...[...new Set(lines.filter(isLoose))].sort()].join('\n')
}

describe('tools of consumer groups against the genuine recordings', () => {
  let cluster: TestCluster
  let admin: Admin
  let live: Consumer | undefined
  const directory = mkdtempSync(join(tmpdir(), 'samsa-groups-'))

  const masks = (): Record<string, string> => {
    const [zero = '', one = ''] = cluster.bootstrapServers.split(',').map((address) => address.split(':')[1] ?? '')
    return {
      '<port-0>': zero,
      '<port-1>': one,
      '<zk>': cluster.zookeeperConnect,
      '<dir>': directory,
      '<time>': '2018-01-01T00:00:00.000',
    }
  }

  async function produce(topic: string, partitions: readonly number[]): Promise<void> {
    const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers })
    await Promise.all(
      partitions.flatMap((partition) =>
        ['a', 'b', 'c'].map((value) => producer.send({ topic, partition, value, timestamp: TIMESTAMP })),
      ),
    )
    await producer.close()
  }

  /** A member that reads `t1` to its end and commits. */
  async function member(group: string, clientId: string): Promise<Consumer> {
    const consumer = createConsumer({
      'bootstrap.servers': cluster.bootstrapServers,
      'group.id': group,
      'client.id': clientId,
      'auto.offset.reset': 'earliest',
      'enable.auto.commit': false,
    })
    consumer.subscribe(['t1'])
    let count = 0
    while (count < 9) count += (await consumer.poll(1000)).count
    await consumer.commitSync()
    return consumer
  }

  /** A group of the old consumer. */
  async function makeOldGroup(): Promise<void> {
    const options = { connect: cluster.zookeeperConnect, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 }
    const zk = openKafkaZk(options, nodeClock, silent)
    await zk.session.start()
    for (const path of ['ids', 'owners/t1'])
      await createPath(zk.session, `/consumers/og/${path}`, Buffer.alloc(0), () => OPEN_ACL)
    for (const [partition, offset] of [0, 0, 1].entries()) await zk.setConsumerOffset('og', { topic: 't1', partition }, offset)
    await zk.session.close()
  }

  before(async () => {
    const properties = { 'offsets.topic.num.partitions': 2, 'group.initial.rebalance.delay.ms': 0 }
    cluster = await startCluster({ brokers: 2, properties, sessionTimeoutMs: 20_000 })
    admin = createAdmin({ 'bootstrap.servers': cluster.bootstrapServers })
    // Broker 0 coordinates all groups, as it did those of the recording.
    const both = [0, 1]
    await cluster.createTopic('__consumer_offsets', { assignment: [both, both], configs: { 'cleanup.policy': 'compact' } })
    await cluster.createTopic('t1', { partitions: 3 })
    await cluster.createTopic('t3', { partitions: 5 })
    await produce('t1', [0, 1, 2])
    await (await member('g1', 'one')).close()
    await makeOldGroup()
    writeFileSync(join(directory, 'reset.csv'), 't1,0,1\nt1,1,0\n')
  })
  after(async () => {
    await live?.close()
    await admin?.close()
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  for (const [i, recorded] of toolRuns('consumer-groups').entries()) {
    it(`consumer-groups ${i}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
      if (i === FIRST_LIVE_RUN) live = await member('live', 'me')
      if (i === LAST_LIVE_RUN + 1) {
        await live?.close()
        live = undefined
      }
      // What changes something is run once.
      const runOnce = recorded.args.includes('--execute') || recorded.args.includes('--delete')
      await (runOnce ? runAsRecorded : runUntilAsRecorded)({ tool: GROUPS_TOOL, masks, same }, recorded)
    })
  }

  it('commits what the reset prints', async () => {
    const words = ['--bootstrap-server', cluster.bootstrapServers, '--reset-offsets', '--group', 'r', '--topic', 't1:0,2']
    const { stdout } = await run(join(distribution, 'bin', GROUPS_TOOL), [...words, '--to-offset', '2', '--execute'])
    assert.match(stdout, /^t1 +0 +2 *$/m)
    const offsets = await admin.listGroupOffsets('r')
    assert.deepEqual([...offsets].map(([name, { offset }]) => [name, offset]).sort(), [
      ['t1-0', 2],
      ['t1-2', 2],
    ])
  })

  it('a dry run commits nothing, and what does not exist is said at once', async () => {
    const words = ['--bootstrap-server', cluster.bootstrapServers, '--reset-offsets', '--group', 'dry', '--to-latest']
    const planned = await run(join(distribution, 'bin', GROUPS_TOOL), [...words, '--topic', 't1', '--dry-run'])
    assert.match(planned.stdout, /^t1 +1 +3 *$/m)
    assert.equal((await admin.listGroupOffsets('dry')).size, 0)
    const refused = await run(join(distribution, 'bin', GROUPS_TOOL), [...words, '--topic', 't1:7', '--execute'])
    assert.equal(refused.stdout, 'Error: Executing consumer group command failed due to Partition t1-7 does not exist\n')
  })

  it('streams-reset: the logs begin where those of the recording began', async () => {
    await produce('t1', [0, 1, 2])
    const before = [
      { topic: 't1', partition: 0, offset: 1 },
      { topic: 't1', partition: 1, offset: 3 },
    ]
    await (await admin.deleteRecords(before)).all()
    await eventually('the topic made by the reset', async () => {
      return (await admin.listTopics()).some(({ topic }) => topic === 'none')
    })
  })

  for (const [i, recorded] of toolRuns('streams-reset').entries()) {
    it(`streams-reset ${i}: ${recorded.args.slice(2).join(' ')}`, async () => {
      await runAsRecorded({ tool: 'kafka-streams-application-reset.sh', masks, same }, recorded)
    })
  }

  it('streams-reset deletes what Streams has made, and nothing on a dry run', async () => {
    for (const topic of ['app2-x-repartition', 'app2-y-changelog', 'app2-other', 'app3-z-changelog']) {
      await cluster.createTopic(topic)
    }
    const tool = join(distribution, 'bin', 'kafka-streams-application-reset.sh')
    const words = ['--bootstrap-servers', cluster.bootstrapServers, '--application-id', 'app2']
    const named = (text: string): string[] => [...text.matchAll(/^Topic: (.*)$/gm)].map(([, topic]) => topic ?? '').sort()
    const planned = await run(tool, [...words, '--dry-run'])
    assert.deepEqual(named(planned.stdout), ['app2-x-repartition', 'app2-y-changelog'])
    const left = async (): Promise<string[]> =>
      (await admin.listTopics()).map(({ topic }) => topic).filter((topic) => topic.startsWith('app'))
    assert.equal((await left()).length, 4)
    assert.equal((await run(tool, words)).code, 0)
    await eventually('the deletion', async () => (await left()).length === 2)
    assert.deepEqual((await left()).sort(), ['app2-other', 'app3-z-changelog'])
  })

  it('streams-reset refuses while the application runs', async () => {
    live = await member('app4', 'me')
    const words = ['--bootstrap-servers', cluster.bootstrapServers, '--application-id', 'app4', '--input-topics', 't1']
    const ran = await run(join(distribution, 'bin', 'kafka-streams-application-reset.sh'), words)
    assert.equal(ran.code, 1)
    assert.match(ran.stderr, /^ERROR: java\.lang\.IllegalStateException: Consumer group 'app4' is still active\./)
  })
})
