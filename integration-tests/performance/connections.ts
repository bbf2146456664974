/**
 * A thousand idle connections and two hundred busy ones: does everybody get served, and how long are the loop's turns meanwhile?
 *
 *     node build/integration-tests/performance/connections.js [SECONDS]
 *
 * By hand: what it shows is time. A third of the busy connections produce 16 KB batches, a third 1 MB batches of acks=1, a third fetch 1 MB.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startBenchCluster } from './bench-cluster.ts'
import type { BenchConnection } from './bench-connection.ts'
import type { Workload } from './bench-load.ts'
import { fill, prepareLoop } from './bench-load.ts'

const IDLE = 1000
const BUSY = 200
const seconds = Number(process.argv[2] ?? 10)
const MIB = 1024 * 1024

const produce = {
  kind: 'produce',
  batchBytes: 16_384,
  recordBytes: 1000,
  acks: 1,
  connections: 1,
  inFlight: 2,
  fetchBytes: 0,
} as const
const KINDS: readonly Workload[] = [
  { ...produce, name: 'produce 16 KB' },
  { ...produce, name: 'produce 1 MB', batchBytes: 1_000_000 },
  { ...produce, name: 'consume 1 MB', kind: 'consume', inFlight: 1, fetchBytes: MIB },
]

/** Values of the broker's metrics page by the family's name. */
async function loopMetrics(port: number): Promise<string> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return page
    .split('\n')
    .filter((line) => /eventloop/i.test(line) && !line.startsWith('#'))
    .join('   ')
}

const cluster = await startBenchCluster(1, (port) => ({ 'samsa.metrics.port': port }))
try {
  await cluster.createTopic('bench', 12, {})
  await cluster.createTopic('kept', 4, { 'retention.bytes': '-1', 'segment.bytes': `${1024 * MIB}` })
  await fill(cluster, 4, 64 * MIB)
  const idle: BenchConnection[] = []
  for (let i = 0; i < IDLE; i++) idle.push(await cluster.connectToLeader('bench', 0))
  console.log(`${IDLE} idle connections: ${(cluster.residentBytes() / 1e6).toFixed(0)} MB`)
  const loops = []
  for (let i = 0; i < BUSY; i++) loops.push(await prepareLoop(cluster, KINDS[i % KINDS.length]!, i % 4))
  for (const loop of loops) loop.begin()
  await sleep(1000)
  await loopMetrics(cluster.metricsPorts[0]!)
  const before = loops.map(({ latencies }) => latencies.length)
  await sleep(seconds * 1000)
  for (const [k, { name }] of KINDS.entries()) {
    const mine = loops.map(({ latencies }, i) => latencies.slice(before[i])).filter((_, i) => i % KINDS.length === k)
    const counts = mine.map(({ length }) => length).sort((a, b) => a - b)
    const all = mine.flat().sort((a, b) => a - b)
    const at = (share: number): string => ((all[Math.floor(all.length * share)] ?? 0) / 1000).toFixed(1)
    console.log(
      `${name.padEnd(14)} requests per connection: least ${counts[0]}, median ${counts[counts.length >> 1]}, most ${counts.at(-1)};  ms: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(0.999999)}`,
    )
  }
  console.log(await loopMetrics(cluster.metricsPorts[0]!))
  const asked = performance.now()
  await idle[IDLE - 1]!.ask('ApiVersions', 0, {})
  console.log(
    `an idle connection is answered after ${(performance.now() - asked).toFixed(1)} ms; memory ${(cluster.residentBytes() / 1e6).toFixed(0)} MB`,
  )
} finally {
  await cluster.stop()
}
process.exit(0)
