/**
 * Figures of the log beside a genuine broker on the same data: recovery scan, compaction, many partitions.
 *
 *   node build/integration-tests/performance/log-figures.js GENUINE [MEGABYTES (0: none) [PARTITIONS]]
 *
 * GENUINE as in `system/log-genuine.ts`. One broker after the other, each on a copy of the same directory.
 */
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import type { BrokerProcess } from '../harness/brokers.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { cpuSeconds, openFiles, peakResidentBytes, residentBytes } from '../harness/process-figures.ts'
import { ask } from '../harness/wire.ts'
import { GenuineBroker } from '../system/genuine-broker.ts'

const KEYS = 200_000
const RECORD_BYTES = 200
const PER_BATCH = 500
const SHARDS = 100
const TOPIC = { 'segment.bytes': String(64 * 1048576), 'retention.ms': '-1' }

interface Side {
  readonly name: string
  start(): Promise<void>
  kill(): Promise<void>
  pid(): number
  log(): string
}

async function createTopics(
  address: string,
  topics: readonly string[],
  partitions: number,
  configs: Readonly<Record<string, string>>,
): Promise<void> {
  const configEntries = Object.entries(configs).map(([configName, configValue]) => ({ configName, configValue }))
  const createTopicRequests = topics.map((topic) => ({
    topic,
    numPartitions: partitions,
    replicationFactor: 1,
    replicaAssignment: [],
    configEntries,
  }))
  const { topicErrors } = await ask(address, 'CreateTopics', 2, { createTopicRequests, timeout: 120_000 }, 130_000)
  assert.deepEqual(
    topicErrors.filter(({ errorCode }) => errorCode !== 0),
    [],
  )
}

/** `megabytes` of keyed records, a key out of `KEYS` at random (of a fixed sequence). */
async function fill(address: string, topic: string, megabytes: number): Promise<void> {
  let [seed, bytes] = [1, 0]
  while (bytes < megabytes * 1048576) {
    const builder = new BatchBuilder({ sizeHint: PER_BATCH * RECORD_BYTES })
    for (let i = 0; i < PER_BATCH; i++) {
      seed = (seed * 16807) % 2147483647
      builder.append(1_700_000_000_000 + i, Buffer.from(`key-${seed % KEYS}`), Buffer.alloc(RECORD_BYTES - 30, seed & 0xff))
    }
    const recordSet = builder.build()
    bytes += recordSet.length
    await eventually('the batch is appended', async () => {
      const topicData = [{ topic, data: [{ partition: 0, recordSet: Buffer.from(recordSet) }] }]
      const { responses } = await ask(address, 'Produce', 5, { transactionalId: null, acks: 1, timeout: 10_000, topicData })
      return responses[0]!.partitionResponses[0]!.errorCode === 0
    })
  }
}

const inMegabytes = (bytes: number): number => Math.round(bytes / 1048576)

function sizeOf(folder: string): number {
  let bytes = 0
  for (const name of readdirSync(folder)) if (name.endsWith('.log')) bytes += readFileSync(join(folder, name)).length
  return bytes
}

/** Else the session of the broker before it would be waited for, which is no part of the start. */
async function startAlone(cluster: TestCluster): Promise<void> {
  await eventually('the old session is over', async () => (await cluster.zk.getBrokerIds()).length === 0, 30_000)
  await cluster.broker(0).start(120_000)
}

function sidesOf(cluster: TestCluster, program: string): Side[] {
  const broker = cluster.broker(0)
  const genuine = new GenuineBroker(program, cluster)
  return [
    {
      name: 'genuine',
      start: () => genuine.start(),
      kill: () => genuine.end('SIGKILL'),
      pid: () => genuine.child!.pid!,
      log: () => genuine.log,
    },
    {
      name: 'ours',
      start: () => startAlone(cluster),
      kill: () => broker.kill(),
      pid: () => broker.child!.pid!,
      log: () => broker.log,
    },
  ]
}

/** The directory as it was saved, without what says that anything was flushed: all of it is scanned. */
function restore(broker: BrokerProcess, saved: string, isScanned: boolean): void {
  rmSync(broker.logDirectory, { recursive: true, force: true })
  cpSync(saved, broker.logDirectory, { recursive: true, preserveTimestamps: true })
  if (!isScanned) return
  for (const name of ['.kafka_cleanshutdown', 'recovery-point-offset-checkpoint'])
    rmSync(join(broker.logDirectory, name), { force: true })
}

async function recovery(broker: BrokerProcess, sides: readonly Side[], saved: string, megabytes: number): Promise<void> {
  for (const side of [...sides, ...sides]) {
    restore(broker, saved, true)
    await side.start()
    const ms = Number(/Logs loading complete in (\d+) ms/.exec(side.log())![1])
    console.log(
      `recovery scan, ${side.name}: ${megabytes} MB in ${ms} ms, ${Math.round((megabytes * 1000) / ms)} MB/s, peak ${inMegabytes(peakResidentBytes(side.pid()))} MB`,
    )
    await side.kill()
  }
}

async function compaction(broker: BrokerProcess, sides: readonly Side[], saved: string): Promise<void> {
  for (const side of sides) {
    restore(broker, saved, false)
    await side.start()
    const before = cpuSeconds(side.pid())
    await eventually('the log is compacted', () => / cleaned log c-0 /.test(side.log()), 600_000)
    await eventually('the line is whole', () => /fewer messages/.test(side.log()), 10_000)
    const [, mb, seconds, rate] = /([\d.,]+) MB of log processed in ([\d.,]+) seconds \(([\d.,]+) MB\/sec\)/.exec(side.log())!
    const indexed = /Indexed .*/.exec(side.log())![0]
    const cpu = (cpuSeconds(side.pid()) - before).toFixed(1)
    console.log(
      `compaction, ${side.name}: ${mb} MB in ${seconds} s, ${rate} MB/s, ${cpu} CPU s, peak ${inMegabytes(peakResidentBytes(side.pid()))} MB; ${indexed}`,
    )
    console.log(`  left: ${(sizeOf(join(broker.logDirectory, 'c-0')) / 1048576).toFixed(1)} MB`)
    await side.kill()
  }
}

async function manyPartitions(cluster: TestCluster, sides: readonly Side[], partitions: number): Promise<void> {
  for (const side of [...sides, ...sides].reverse()) {
    await eventually('the old session is over', async () => (await cluster.zk.getBrokerIds()).length === 0, 30_000)
    const started = performance.now()
    await side.start()
    const ms = Math.round(performance.now() - started)
    const loading = /Logs loading complete in (\d+) ms/.exec(side.log())![1]
    await new Promise((resolve) => setTimeout(resolve, 10_000))
    console.log(
      `${partitions} partitions after kill -9, ${side.name}: started in ${ms} ms (logs ${loading} ms), ${inMegabytes(residentBytes(side.pid()))} MB, ${openFiles(side.pid())} open files, ${cpuSeconds(side.pid())} CPU s in the first 10 s`,
    )
    await side.kill()
  }
}

/** Recovery and compaction of one large log. */
async function oneLog(broker: BrokerProcess, sides: readonly Side[], saved: string, megabytes: number): Promise<void> {
  await createTopics(broker.address, ['c'], 1, TOPIC)
  await fill(broker.address, 'c', megabytes)
  // Not before: the broker would have compacted meanwhile.
  const configEntries = Object.entries({ ...TOPIC, 'cleanup.policy': 'compact' }).map(([configName, configValue]) => ({
    configName,
    configValue,
  }))
  await ask(broker.address, 'AlterConfigs', 0, {
    resources: [{ resourceType: 2, resourceName: 'c', configEntries }],
    validateOnly: false,
  })
  await broker.stop()
  cpSync(broker.logDirectory, saved, { recursive: true, preserveTimestamps: true })
  await recovery(broker, sides, saved, Math.round(sizeOf(join(saved, 'c-0')) / 1048576))
  await compaction(broker, sides, saved)
  restore(broker, saved, false)
  await broker.start()
}

async function main(program: string, megabytes: number, partitions: number): Promise<void> {
  const properties = {
    'log.retention.hours': -1,
    'group.initial.rebalance.delay.ms': 0,
    'zookeeper.session.timeout.ms': 6000,
  }
  const cluster = await TestCluster.start({ brokers: 1, properties })
  const broker = cluster.broker(0)
  const sides = sidesOf(cluster, program)
  const saved = `${broker.logDirectory}.saved`
  try {
    if (megabytes > 0) await oneLog(broker, sides, saved, megabytes)
    const topics = Array.from({ length: Math.ceil(partitions / SHARDS) }, (_, i) => `many-${i}`)
    await createTopics(broker.address, topics, SHARDS, {})
    await eventually(
      'all logs are there',
      () => readdirSync(broker.logDirectory).filter((name) => name.startsWith('many-')).length >= partitions,
      120_000,
    )
    await broker.kill()
    await manyPartitions(cluster, sides, partitions)
  } finally {
    for (const side of sides) await side.kill().catch(() => {})
    await cluster.close()
    rmSync(saved, { recursive: true, force: true })
  }
}

const [program, megabytes = '300', partitions = '2000'] = process.argv.slice(2)
if (program === undefined) {
  console.error('which program runs a genuine Kafka? log-figures.js GENUINE [MEGABYTES [PARTITIONS]]')
  process.exit(2)
}
await main(program, Number(megabytes), Number(partitions))
