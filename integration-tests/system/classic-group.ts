/**
 * One ZooKeeper group with Apache's own old console consumers and ours, on any cluster: members come and go, one is killed, a broker dies. After each
 * change every partition must have exactly the owner that the assignment says; in the end everything acknowledged must have been read.
 * By hand, it needs Apache's jars and some minutes:
 *
 *     node build/integration-tests/system/classic-group.js APACHE_KAFKA ZOOKEEPER BROKER_PID_FILE [STRATEGY [RELEASE RELEASE]]
 *
 * APACHE_KAFKA runs a tool of a release (`APACHE_KAFKA -V 0.8.2.2 console-consumer ...`). BROKER_PID_FILE holds the pid of the broker to kill; the
 * cluster must have another one. STRATEGY is range (default), roundrobin or roundrobin-0.8; RELEASE 0.8.2.2 and 1.1.1 unless said
 * otherwise. One line per step; the exit code is 1 when something was lost, or owned wrongly.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AssignmentStrategy, assign, threadsByTopic } from '../../src/client/classic/assignment.ts'
import { type ConsumerConnector, createConsumerConnector, createProducer } from '../../src/client/index.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import { eventually } from '../harness/brokers.ts'

const PARTITIONS = 7
const SETTLE_MS = 90_000
const [program = '', zookeeper = '', pidFile = '', strategy = 'range', older = '0.8.2.2', newer = '1.1.1'] = process.argv.slice(2)
if (pidFile === '') {
  process.stderr.write('usage: classic-group.js APACHE_KAFKA ZOOKEEPER BROKER_PID_FILE [STRATEGY [RELEASE RELEASE]]\n')
  process.exit(2)
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const zk = openKafkaZk({ connect: zookeeper, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 }, nodeClock, silent)
const directory = mkdtempSync(join(tmpdir(), 'classic-group-'))
const topic = `classic-${process.pid}`
const group = `group-${process.pid}`
const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }))
const options = {
  'auto.commit.interval.ms': 500,
  'zookeeper.session.timeout.ms': 6000,
  'rebalance.backoff.ms': 1000,
  'rebalance.max.retries': 20,
} as const

/** How often each value was read, by anybody. */
const read = new Map<string, number>()
const count = (value: string): void => void read.set(value, (read.get(value) ?? 0) + 1)

class JavaMember {
  readonly child: ChildProcess

  constructor(release: string, name: string) {
    const file = join(directory, `${name}.properties`)
    const properties = { ...options, 'group.id': group, 'partition.assignment.strategy': strategy.replace(/-0.8$/, '') }
    writeFileSync(
      file,
      Object.entries(properties)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    const words = ['-V', release, 'console-consumer', '--zookeeper', zookeeper, '--topic', topic, '--consumer.config', file]
    this.child = spawn(program, words, { stdio: ['ignore', 'pipe', 'ignore'] })
    createInterface(this.child.stdout!).on('line', count)
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill(signal)
    await ended
  }
}

async function ourMember(threads: number): Promise<ConsumerConnector> {
  const connector = createConsumerConnector({
    ...options,
    'zookeeper.connect': zookeeper,
    'group.id': group,
    'partition.assignment.strategy': strategy as AssignmentStrategy,
  })
  for (const stream of (await connector.createMessageStreams({ [topic]: threads })).get(topic) ?? [])
    void (async () => {
      for await (const { message } of stream) count(String(message))
    })()
  return connector
}

/** Waits until so many members own what they should; a moment later it must still be so. */
async function settled(what: string, members: number): Promise<void> {
  const started = performance.now()
  const look = async (): Promise<void> => {
    const ids = await zk.getConsumersInGroup(group)
    assert.equal(ids.length, members, `members: ${ids}`)
    const threads = threadsByTopic(await zk.getConsumers(group, ids), await zk.getTopics(), true)
    const view = { threads, partitions: new Map([[topic, partitions.map(({ partition }) => partition)]]) }
    const wanted = assign(strategy as AssignmentStrategy, view).map(({ partition, id }) => `${partition} ${id}`)
    const owners = await zk.getPartitionOwners(group, partitions)
    assert.deepEqual([...owners].map(([key, owner]) => `${key.slice(topic.length + 1)} ${owner}`).sort(), wanted.sort())
  }
  await eventually(what, () => look().then(() => true as const), SETTLE_MS)
  const ms = performance.now() - started
  await sleep(1500)
  await look()
  process.stdout.write(
    `${what}: ${members} members, owners as assigned after ${(ms / 1000).toFixed(1)} s, ${read.size} values read\n`,
  )
}

async function createTopic(): Promise<void> {
  const brokers = await zk.getBrokerIds()
  const replicas = (partition: number) => brokers.map((_, i) => brokers[(partition + i) % brokers.length]!)
  await zk.createTopicAssignment(topic, new Map(partitions.map(({ partition }) => [partition, replicas(partition)])))
  await eventually('the topic has leaders', async () => (await zk.getPartitionStates(partitions)).size === PARTITIONS)
  // The console consumer begins at the end of what has no offset.
  for (const one of partitions) await zk.setConsumerOffset(group, one, 0)
}

async function main(): Promise<void> {
  await zk.session.start()
  await createTopic()
  const acknowledged = new Set<string>()
  let isProducing = true
  const producer = createProducer({ 'zookeeper.connect': zookeeper, acks: 'all', retries: 1000 })
  const production = (async () => {
    for (let i = 0; isProducing; i++, await sleep(2)) {
      const value = `value-${i}`
      void producer.send({ topic, partition: i % PARTITIONS, value }).then(() => acknowledged.add(value))
    }
  })()

  const first = await ourMember(2)
  await settled('ours alone', 1)
  const old = new JavaMember(older, 'old')
  await settled(`${older} joins`, 2)
  const recent = new JavaMember(newer, 'recent')
  await settled(`${newer} joins`, 3)
  const second = await ourMember(1)
  await settled('another of ours joins', 4)
  await old.end('SIGTERM')
  await settled(`${older} leaves`, 3)
  process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL')
  await sleep(8000)
  await settled('a broker was killed', 3)
  await recent.end('SIGKILL')
  await settled(`${newer} was killed`, 2)
  const last = new JavaMember(older, 'last')
  await settled(`${older} joins again`, 3)
  await first.shutdown()
  await settled('one of ours leaves', 2)

  isProducing = false
  await production
  await producer.close()
  const lacking = () => [...acknowledged].filter((value) => !read.has(value))
  await eventually('everything is read', () => lacking().length === 0, 60_000).catch(() => {})
  await last.end('SIGTERM')
  await second.shutdown()
  await zk.session.close()
  const twice = [...read.values()].filter((times) => times > 1).length
  process.stdout.write(`${acknowledged.size} acknowledged, ${lacking().length} lost, ${twice} read more than once\n`)
  rmSync(directory, { recursive: true })
  assert.equal(lacking().length, 0)
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.exit(1)
  },
)
