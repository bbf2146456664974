/**
 * No turn of the broker's loop computes for long, whatever it is loaded with: heartbeats and ZooKeeper's pings go out in time. What counts is
 * CPU, not time, so a busy machine does not fail this; the limit leaves room for its slower cores.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually, freePorts } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'
import type { BenchCluster } from './bench-cluster.ts'
import { BenchConnection } from './bench-connection.ts'
import type { Workload } from './bench-load.ts'
import { fill, prepareLoop } from './bench-load.ts'

/** What is wanted is 20: see README.md. */
const LIMIT_MS = 80
const BURN_MS = 400
const MIB = 1024 * 1024

const folder = mkdtempSync(join(tmpdir(), 'samsa-turns-'))
let cluster: TestCluster
let metricsPort: number

before(async () => {
  const burn = join(folder, 'burn.cjs')
  writeFileSync(
    burn,
    `process.on('SIGUSR2', () => { const from = process.cpuUsage(); for (;;) { const { user, system } = process.cpuUsage(from); if (user + system >= ${BURN_MS * 1000}) return } })`,
  )
  ;[metricsPort] = (await freePorts(1)) as [number]
  const properties = {
    'samsa.metrics.port': metricsPort,
    'log.retention.check.interval.ms': 200,
    'log.segment.delete.delay.ms': 10,
  }
  const options = process.env['NODE_OPTIONS']
  process.env['NODE_OPTIONS'] = `--require ${burn}`
  cluster = await TestCluster.start({ brokers: 1, properties })
  if (options === undefined) delete process.env['NODE_OPTIONS']
  else process.env['NODE_OPTIONS'] = options
})

after(async () => {
  await cluster.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The longest turn since the last call in milliseconds of CPU, and how many long ones there were in all. */
async function turns(): Promise<{ longest: number; long: number }> {
  const page = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(page)![1])
  return { longest: value('samsa_eventloop_maxturncpums'), long: value('samsa_eventloop_longturns_total') }
}

async function create(topic: string, numPartitions: number, configs: Readonly<Record<string, string>> = {}): Promise<void> {
  const configEntries = Object.entries(configs).map(([configName, configValue]) => ({ configName, configValue }))
  const shape = { topic, numPartitions, replicationFactor: 1, replicaAssignment: [], configEntries }
  const request = { createTopicRequests: [shape], timeout: 30_000 }
  const { topicErrors } = await ask(cluster.broker(0).address, 'CreateTopics', 2, request, 35_000)
  assert.equal(topicErrors[0]?.errorCode, 0)
}

const produce = { kind: 'produce', recordBytes: 1000, acks: 1, connections: 1, inFlight: 2, fetchBytes: 0 } as const
const KINDS: readonly Workload[] = [
  { ...produce, name: 'produce 16 KB', batchBytes: 16_384 },
  { ...produce, name: 'produce 1 MB', batchBytes: 1_000_000 },
  { ...produce, name: 'consume 1 MB', batchBytes: 0, kind: 'consume', inFlight: 1, fetchBytes: MIB },
]

test('many partitions are made and many connections are served in short turns', { timeout: 120_000 }, async () => {
  const { port } = cluster.broker(0).options
  const served = { connectToLeader: () => BenchConnection.open(port) } as unknown as BenchCluster
  await turns()
  await create('many', 500)
  const made = await turns()
  assert.ok(made.longest > 0, 'some turn was seen')
  assert.ok(made.longest < LIMIT_MS, `while 500 partitions were made a turn took ${made.longest} ms of CPU`)
  await create('bench', 12, { 'segment.bytes': String(16 * MIB), 'retention.bytes': String(16 * MIB) })
  await create('kept', 4)
  await fill(served, 4, 8 * MIB)
  await turns()
  const loops = await Promise.all(Array.from({ length: 60 }, (_, i) => prepareLoop(served, KINDS[i % KINDS.length]!, i % 4)))
  for (const loop of loops) loop.begin()
  await Promise.race([sleep(3000), ...loops.map(({ failure }) => failure)])
  const loaded = await turns()
  for (const loop of loops) loop.close()
  assert.ok(
    loops.every(({ latencies }) => latencies.length > 0),
    'every connection is served',
  )
  assert.ok(loaded.longest < LIMIT_MS, `under load a turn took ${loaded.longest} ms of CPU`)
})

test('a long turn is seen', { timeout: 60_000 }, async () => {
  const before = await turns()
  cluster.broker(0).signal('SIGUSR2')
  let longest = 0
  await eventually('the long turn is told', async () => {
    longest = Math.max(longest, (await turns()).longest)
    return longest >= BURN_MS * 0.95
  })
  const { long } = await turns()
  assert.ok(long > before.long, `${long} long turns, ${before.long} before`)
})
