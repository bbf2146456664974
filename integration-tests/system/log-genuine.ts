/**
 * One log directory, our broker and a genuine one in turns: each must serve what the other left, byte for byte, after a clean stop and after
 * kill -9, compacted logs included; and the genuine tools must find nothing wrong in what ours wrote.
 *
 *   node build/integration-tests/system/log-genuine.js GENUINE
 *
 * GENUINE is a program: `GENUINE server FILE` runs a broker of Apache Kafka 1.1.1 in the foreground, `GENUINE dump-log ARGS` its
 * DumpLogSegments. Needs Java, so it is not part of `npm test`. Exit 1 when anything differs.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import type { BrokerProcess } from '../harness/brokers.ts'
import { eventually, run } from '../harness/brokers.ts'
import { SMALL_INTERNAL_TOPICS, TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'
import { GenuineBroker } from './genuine-broker.ts'
import type { Partition } from './log-view.ts'
import { fetchAll, UNCOMMITTED, viewOf } from './log-view.ts'

const SMALL = { 'segment.bytes': '20000', 'index.interval.bytes': '500', 'segment.index.bytes': '2000' }
const COMPACT = { ...SMALL, 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01' }
const TOPICS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain: {},
  small: SMALL,
  deleted: SMALL,
  preallocated: { ...SMALL, preallocate: 'true' },
  old: { ...SMALL, 'message.format.version': '0.10.2' },
  compact: COMPACT,
  'compact-old': { ...COMPACT, 'message.format.version': '0.10.2' },
  txn: SMALL,
  'txn-compact': COMPACT,
}
const PARTITIONS: readonly Partition[] = Object.keys(TOPICS).map((topic) => ({ topic, partition: 0 }))
const CODECS = ['none', 'gzip', 'snappy', 'lz4'] as const
const T0 = 1_700_000_000_000
let clock = T0

async function createTopics(address: string): Promise<void> {
  const createTopicRequests = Object.entries(TOPICS).map(([topic, configs]) => ({
    topic,
    numPartitions: 1,
    replicationFactor: 1,
    replicaAssignment: [],
    configEntries: Object.entries(configs).map(([configName, configValue]) => ({ configName, configValue })),
  }))
  const { topicErrors } = await ask(address, 'CreateTopics', 2, { createTopicRequests, timeout: 30_000 })
  assert.deepEqual(
    topicErrors.filter(({ errorCode }) => errorCode !== 0),
    [],
  )
}

/** Asks until the error code is 0: leaders and coordinators need a moment. */
async function done(what: string, question: () => Promise<number>): Promise<void> {
  let code = 0
  await eventually(`${what} succeeds`, async () => (code = await question()) === 0, 60_000).catch((error) => {
    throw new Error(`${what}: error code ${code}: ${(error as Error).message}`)
  })
}

async function append(address: string, topic: string, recordSet: Buffer, transactionalId: string | null = null): Promise<void> {
  await done(`produce to ${topic}`, async () => {
    const topicData = [{ topic, data: [{ partition: 0, recordSet }] }]
    const { responses } = await ask(address, 'Produce', 5, { transactionalId, acks: -1, timeout: 10_000, topicData })
    return responses[0]!.partitionResponses[0]!.errorCode
  })
}

/** Some batches of every codec; keys come again and again, some values are null. */
async function produce(address: string, topic: string, batches: number): Promise<void> {
  for (let i = 0; i < batches; i++) {
    const builder = new BatchBuilder({ codec: CODECS[i % 4]! })
    for (let j = 0; j < 10; j++) {
      const n = clock++ - T0
      builder.append(clock, Buffer.from(`key-${n % 37}`), n % 13 === 0 ? null : Buffer.from(`value ${n} `.repeat(1 + (n % 9))))
    }
    await append(address, topic, builder.build())
  }
}

async function transactions(address: string, topic: string, count: number): Promise<void> {
  const transactionalId = `${topic}-id`
  await done('find the coordinator', async () => {
    return (await ask(address, 'FindCoordinator', 1, { coordinatorKey: transactionalId, coordinatorType: 1 })).errorCode
  })
  let [producerId, producerEpoch, sequence] = [0, 0, 0]
  await done('init the producer', async () => {
    const answer = await ask(address, 'InitProducerId', 0, { transactionalId, transactionTimeoutMs: 60_000 })
    ;({ producerId, producerEpoch } = answer)
    return answer.errorCode
  })
  const producer = { transactionalId, producerId, producerEpoch }
  for (let i = 0; i < count; i++) {
    await done('add the partition', async () => {
      const { errors } = await ask(address, 'AddPartitionsToTxn', 0, { ...producer, topics: [{ topic, partitions: [0] }] })
      return errors[0]!.partitionErrors[0]!.errorCode
    })
    const builder = new BatchBuilder({ producerId, producerEpoch, baseSequence: sequence, transactional: true })
    for (let j = 0; j < 5; j++, sequence++)
      builder.append(clock++, Buffer.from(`key-${(i + j) % 7}`), Buffer.from(`in ${i} `.repeat(20)))
    await append(address, topic, builder.build(), transactionalId)
    await done('end the transaction', async () => {
      return (await ask(address, 'EndTxn', 0, { ...producer, transactionResult: i % 3 !== 0 })).errorCode
    })
  }
}

async function work(address: string): Promise<void> {
  for (const topic of Object.keys(TOPICS)) {
    if (topic.startsWith('txn')) await transactions(address, topic, 40)
    else await produce(address, topic, 60)
  }
  const fetched = await fetchAll(address, { topic: 'deleted', partition: 0 }, UNCOMMITTED)
  const offset = Math.floor((fetched.beginning + fetched.end) / 2)
  await ask(address, 'DeleteRecords', 0, {
    topics: [{ topic: 'deleted', partitions: [{ partition: 0, offset }] }],
    timeout: 10_000,
  })
}

/** Waits until the cleaner has nothing left to do. */
async function compacted(address: string): Promise<void> {
  const partitions = PARTITIONS.filter(({ topic }) => topic.includes('compact'))
  let [before, quiet] = ['', 0]
  await eventually(
    'the cleaner rests',
    async () => {
      const fetched = await Promise.all(partitions.map((one) => fetchAll(address, one, UNCOMMITTED)))
      const now = fetched.map(({ batches }) => Buffer.concat(batches).toString('hex')).join(' ')
      quiet = now === before ? quiet + 1 : 0
      before = now
      if (quiet < 5) await new Promise((resolve) => setTimeout(resolve, 300))
      return quiet >= 5
    },
    120_000,
  )
}

/** What differs between two views. 1.1.1 finds no offset for a time when a segment in front was compacted away wholly. */
function compare(
  about: string,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  genuineIs: 'before' | 'after',
): void {
  let known = 0
  for (const [name, value] of before) {
    const now = after.get(name)
    if (now === value) continue
    if (name.includes(' at ') && (genuineIs === 'before' ? value : now) === '-1') known++
    else assert.fail(`${about}: ${name} was ${value.slice(0, 100)}, is ${now?.slice(0, 100)}`)
  }
  assert.equal(after.size, before.size, about)
  console.log(`${about}: ${before.size} answers equal${known > 0 ? `, but for ${known} times that 1.1.1 does not find` : ''}`)
}

/** Where records were deleted is known after a kill -9 only when it was in a checkpoint; 1.1 writes the first one 30 s after its start. */
const CHECKPOINT_MS = 500
const checkpointed = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 30_000 + 3 * CHECKPOINT_MS))

async function dumpAll(program: string, broker: BrokerProcess): Promise<void> {
  const files: string[] = []
  for (const folder of readdirSync(broker.logDirectory, { withFileTypes: true })) {
    if (!folder.isDirectory()) continue
    for (const name of readdirSync(join(broker.logDirectory, folder.name)))
      if (/\.(log|index|timeindex)$/.test(name)) files.push(join(broker.logDirectory, folder.name, name))
  }
  for (const [flag, pattern] of [
    ['--deep-iteration', /\.log$/],
    ['--index-sanity-check', /\.index$/],
    ['--verify-index-only', /index$/],
  ] as const) {
    const chosen = files.filter((file) => pattern.test(file))
    const { code, stdout, stderr } = await run(program, ['dump-log', flag, '--files', chosen.join(',')], { timeoutMs: 120_000 })
    const bad = /isvalid: false|Mismatches in|mismatch|Out of order|not found|Exception/i.exec(
      stdout + stderr.replace(/^.*WARN.*$/gm, ''),
    )
    assert.ok(
      code === 0 && bad === null,
      `${flag}: exit ${code}, ${bad?.[0]}: ${(stdout + stderr).slice(bad?.index ?? 0, (bad?.index ?? 0) + 400)}`,
    )
    console.log(`dump-log ${flag}: ${chosen.length} files without a fault`)
  }
}

async function main(program: string): Promise<void> {
  const properties = {
    'log.retention.hours': -1,
    'log.cleaner.backoff.ms': 300,
    'log.flush.start.offset.checkpoint.interval.ms': CHECKPOINT_MS,
    'log.cleaner.dedupe.buffer.size': 4_000_000,
    ...SMALL_INTERNAL_TOPICS,
    'zookeeper.session.timeout.ms': 6000,
  }
  const cluster = await TestCluster.start({ brokers: 1, properties })
  const ours = cluster.broker(0)
  const genuine = new GenuineBroker(program, cluster)
  const { address } = ours
  const view = async () => {
    await done('a leader is known', async () => {
      const answers = await Promise.allSettled(PARTITIONS.map((one) => fetchAll(address, one, UNCOMMITTED)))
      return answers.some(({ status }) => status === 'rejected') ? -1 : 0
    })
    await compacted(address)
    return viewOf(address, PARTITIONS)
  }
  try {
    await createTopics(address)
    await work(address)
    const first = await view()
    await ours.stop()
    await dumpAll(program, ours)
    await genuine.start()
    compare('the genuine broker on what ours left', first, await view(), 'after')
    await work(address)
    const second = await view()
    await genuine.end('SIGTERM')
    await ours.start()
    compare('ours on what the genuine one left', second, await view(), 'before')
    await work(address)
    const third = await view()
    await checkpointed()
    await ours.kill()
    await genuine.start()
    compare('the genuine broker on what ours left at kill -9', third, await view(), 'after')
    await work(address)
    const fourth = await view()
    await checkpointed()
    await genuine.end('SIGKILL')
    await ours.start()
    compare('ours on what the genuine one left at kill -9', fourth, await view(), 'before')
    await ours.stop()
    await dumpAll(program, ours)
  } finally {
    await genuine.end('SIGKILL')
    await cluster.close()
  }
}

const [program] = process.argv.slice(2)
if (program === undefined) {
  console.error('which program runs a genuine Kafka? log-genuine.js GENUINE')
  process.exit(2)
}
await main(program).then(
  () => console.log('all equal'),
  (error: unknown) => {
    console.error(error)
    process.exitCode = 1
  },
)
