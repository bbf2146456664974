/** What a broker may cost others when there is much to do: memory while its disk is slow, long turns while it loads the offsets of many groups. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually, freePorts } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { residentBytes } from '../harness/process-figures.ts'
import { ask } from '../harness/wire.ts'
import type { BenchCluster } from './bench-cluster.ts'
import { BenchConnection } from './bench-connection.ts'
import { prepareLoop } from './bench-load.ts'

const MIB = 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'samsa-bounds-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A cluster whose brokers run `script` first. */
async function startWith(script: string, options: Parameters<typeof TestCluster.start>[0]): Promise<TestCluster> {
  const file = join(folder, 'first.cjs')
  writeFileSync(file, script)
  const before = process.env['NODE_OPTIONS']
  process.env['NODE_OPTIONS'] = `--require ${file}`
  try {
    return await TestCluster.start(options)
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS']
    else process.env['NODE_OPTIONS'] = before
  }
}

const CONNECTIONS = 12
const IN_FLIGHT = 30
const BATCH_BYTES = 1_000_000
/** A frame under way for each connection (1.06 MiB), and what the process needs for itself to work with them. */
const ALLOWED_BYTES = 90 * MIB

test('producers that are faster than the disk wait: the broker holds one request of each', { timeout: 90_000 }, async () => {
  const pidFile = join(folder, 'pid')
  // Writes of a megabyte take 25 ms: 40 MB/s at most.
  const script = `
    const fs = require('node:fs')
    fs.writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))
    const nap = new Int32Array(new SharedArrayBuffer(4))
    const slowly = (bytes) => bytes > 500000 && Atomics.wait(nap, 0, 0, 25 * Math.ceil(bytes / 1e6))
    const { writeSync, writevSync } = fs
    fs.writeSync = (fd, bytes, ...more) => { slowly(bytes.length); return writeSync(fd, bytes, ...more) }
    fs.writevSync = (fd, all, ...more) => { slowly(all.reduce((sum, { length }) => sum + length, 0)); return writevSync(fd, all, ...more) }`
  const cluster = await startWith(script, { brokers: 1, properties: { 'log.retention.bytes': 64 * MIB } })
  try {
    const { address, options } = cluster.broker(0)
    await cluster.createTopic('bench', CONNECTIONS, 1)
    const served = { connectToLeader: () => BenchConnection.open(options.port) } as unknown as BenchCluster
    const workload = {
      name: 'much',
      kind: 'produce',
      connections: CONNECTIONS,
      inFlight: IN_FLIGHT,
      batchBytes: BATCH_BYTES,
      recordBytes: 1000,
      acks: 1,
      fetchBytes: 0,
    } as const
    const loops = await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => prepareLoop(served, workload, i)))
    const pid = Number(readFileSync(pidFile, 'utf8'))
    const before = residentBytes(pid)
    for (const loop of loops) loop.begin()
    let most = 0
    for (let i = 0; i < 40; i++) {
      await Promise.race([sleep(150), ...loops.map(({ failure }) => failure)])
      most = Math.max(most, residentBytes(pid))
    }
    await ask(address, 'ApiVersions', 0, {})
    for (const loop of loops) loop.close()
    const answered = loops.map(({ latencies }) => latencies.length)
    assert.ok(Math.min(...answered) > 0, `every producer is served: ${answered}`)
    const written = answered.reduce((sum, count) => sum + count, 0)
    assert.ok(written < 40 * 6 * 1.5, `the disk was slow: ${written} MB in 6 s`)
    const offered = (CONNECTIONS * IN_FLIGHT * BATCH_BYTES) / MIB
    assert.ok(
      most - before < ALLOWED_BYTES,
      `${Math.round((most - before) / MIB)} MiB more with ${Math.round(offered)} MiB offered`,
    )
  } finally {
    await cluster.close()
  }
})

const GROUPS = 100
const OFFSETS_OF_A_GROUP = 1000
/** What is wanted is 20; the limit leaves room for slower cores and code that runs for the first time. */
const TURN_LIMIT_MS = 50

/** The longest turn since the last call, in milliseconds of CPU. */
async function longestTurn(metricsPort: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  return Number(/^samsa_eventloop_maxturncpums (\S+)$/m.exec(page)![1])
}

async function commitMuch(address: string): Promise<void> {
  const partitions = Array.from({ length: OFFSETS_OF_A_GROUP }, (_, partition) => ({
    partition,
    offset: partition,
    metadata: '',
  }))
  for (let group = 0; group < GROUPS; group++) {
    const request = { groupId: `g${group}`, generationId: -1, memberId: '', retentionTime: -1 }
    const { responses } = await ask(address, 'OffsetCommit', 2, { ...request, topics: [{ topic: 'committed', partitions }] })
    assert.equal(responses[0]!.partitionResponses.find(({ errorCode }) => errorCode !== 0)?.errorCode, undefined)
  }
}

test('100,000 committed offsets are taken over in short turns', { timeout: 120_000 }, async () => {
  const metricsPorts = await freePorts(2)
  const cluster = await TestCluster.start({
    brokers: 2,
    properties: { 'offsets.topic.num.partitions': 1, 'offsets.topic.replication.factor': 2 },
    brokerProperties: async (id) => ({ 'samsa.metrics.port': metricsPorts[id]! }),
  })
  try {
    await cluster.createTopic('committed', 1, 1)
    const coordinator = await eventually('a coordinator', async () => {
      const { errorCode, coordinator: found } = await ask(cluster.broker(0).address, 'FindCoordinator', 0, { groupId: 'g0' })
      return errorCode === 0 ? found.nodeId : undefined
    })
    await commitMuch(cluster.broker(coordinator).address)
    await cluster.fullIsr('__consumer_offsets', 1, 2)
    const next = 1 - coordinator
    await longestTurn(metricsPorts[next]!)
    await cluster.broker(coordinator).stop()
    const began = performance.now()
    const topics = [{ topic: 'committed', partitions: [{ partition: OFFSETS_OF_A_GROUP - 1 }] }]
    await eventually('the last group is loaded', async () => {
      const request = { groupId: `g${GROUPS - 1}`, topics }
      const { responses, errorCode } = await ask(cluster.broker(next).address, 'OffsetFetch', 2, request)
      const found = responses[0]?.partitionResponses[0]
      return errorCode === 0 && found?.errorCode === 0 && found.offset === OFFSETS_OF_A_GROUP - 1
    })
    const tookMs = performance.now() - began
    const longest = await longestTurn(metricsPorts[next]!)
    console.log(`# loaded ${Math.round(tookMs)} ms after the process was gone, longest turn ${longest} ms of CPU`)
    assert.ok(longest < TURN_LIMIT_MS, `a turn took ${longest} ms of CPU`)
  } finally {
    await cluster.close()
  }
})
