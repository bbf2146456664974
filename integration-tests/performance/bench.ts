/**
 * `npm run bench [-- --store] [-- NAME]`: our broker alone, about a minute and a half. A broker, then three, are started from the
 * distribution with an embedded ZooKeeper, loaded by this process, and the figures printed beside those stored in `figures.json` (of the
 * last release, on the machine named there). `--store` replaces them; NAME: only workloads whose name contains it.
 *
 * Compare CPU per request: it is the least touched by what else runs. Figures of another kind of machine mean little.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchCluster } from './bench-cluster.ts'
import { startBenchCluster } from './bench-cluster.ts'
import type { Sample, Workload } from './bench-load.ts'
import { fill, measure } from './bench-load.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const STORE = join(ROOT, 'integration-tests', 'performance', 'figures.json')
const SECONDS = 2.5
const WARM_SECONDS = 1

const MIB = 1024 * 1024
const produce = {
  kind: 'produce',
  batchBytes: 16_384,
  recordBytes: 1000,
  acks: 1,
  connections: 1,
  inFlight: 5,
  fetchBytes: 0,
} as const
const consume = { ...produce, kind: 'consume', inFlight: 1 } as const

const ONE_BROKER: readonly Workload[] = [
  { ...produce, name: 'produce 16 KB, 1x1', inFlight: 1 },
  { ...produce, name: 'produce 16 KB, 1x5' },
  { ...produce, name: 'produce 16 KB of 100 B records, 1x5', recordBytes: 100 },
  { ...produce, name: 'produce 1 MB, 1x5', batchBytes: 1_000_000 },
  { ...produce, name: 'single 100 B records, 1x1', batchBytes: 100, recordBytes: 100, inFlight: 1 },
  { ...produce, name: 'single 100 B records, 8x5', batchBytes: 100, recordBytes: 100, connections: 8 },
  { ...consume, name: 'consume 1 MB', fetchBytes: MIB },
  { ...consume, name: 'consume 1 MB, 4 connections', fetchBytes: MIB, connections: 4 },
  { ...consume, name: 'consume 64 KB', fetchBytes: 65_536 },
  { ...consume, name: 'consume 16 KB', fetchBytes: 20_000 },
]
const THREE_BROKERS: readonly Workload[] = [
  { ...produce, name: 'rep 16 KB, 4x5', acks: -1, connections: 4 },
  { ...produce, name: 'rep 1 MB, 1x5', acks: -1, batchBytes: 1_000_000 },
  { ...produce, name: 'rep single 100 B, 1x1', acks: -1, batchBytes: 100, recordBytes: 100, inFlight: 1 },
]

/** By name of the workload or event; every value is better when smaller. */
type Figures = Record<string, Record<string, number>>

interface Stored {
  readonly release: string
  readonly machine: string
  readonly figures: Figures
}

function machine(): string {
  return `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.version}`
}

function figuresOf({ requests, seconds, cpuSeconds, p50, p99, bytes }: Sample): Record<string, number> {
  return {
    'µs per request': (seconds * 1e6) / requests,
    'CPU µs per request': (cpuSeconds * 1e6) / requests,
    ...(bytes / requests > 1000 && { 'CPU s per GB': (cpuSeconds * 1e9) / bytes }),
    'p50 µs': p50,
    'p99 µs': p99,
  }
}

async function run(brokers: number, workloads: readonly Workload[], figures: Figures, before: Figures): Promise<void> {
  if (workloads.length === 0) return
  const cluster = await startBenchCluster(brokers)
  try {
    const which = brokers === 1 ? 'one broker' : `${brokers} brokers`
    for (const [i, { ms, cpuSeconds }] of cluster.starts.entries())
      show(`start of broker ${i + 1} of ${brokers}`, { ms, 'CPU ms': cpuSeconds * 1000 }, figures, before)
    show(`memory of ${which}, idle`, { MB: cluster.residentBytes() / 1e6 }, figures, before)
    await cluster.createTopic('bench', 12, {})
    await cluster.createTopic('kept', 4, { 'retention.bytes': '-1', 'segment.bytes': `${1024 * MIB}` })
    if (workloads.some(({ kind }) => kind === 'consume')) await fill(cluster, 4, 64 * MIB)
    await warm(cluster, workloads)
    for (const workload of workloads) show(workload.name, figuresOf(await measure(cluster, workload, SECONDS)), figures, before)
    show(`memory of ${which}, loaded`, { MB: cluster.residentBytes() / 1e6 }, figures, before)
  } finally {
    await cluster.stop()
  }
}

async function warm(cluster: BenchCluster, workloads: readonly Workload[]): Promise<void> {
  for (const workload of workloads) await measure(cluster, workload, WARM_SECONDS)
}

function show(name: string, values: Record<string, number>, figures: Figures, before: Figures): void {
  figures[name] = Object.fromEntries(Object.entries(values).map(([what, value]) => [what, Number(value.toPrecision(4))]))
  const columns = Object.entries(figures[name]).map(([what, value]) => {
    const stored = before[name]?.[what]
    return `${what} ${value}${stored === undefined ? '' : ` (${(stored / value).toFixed(2)}x)`}`
  })
  console.log(`${name.padEnd(38)} ${columns.join('   ')}`)
}

const words = process.argv.slice(2)
const wanted = words.find((word) => !word.startsWith('-')) ?? ''
const chosen = (workload: Workload): boolean => workload.name.includes(wanted)
const stored = JSON.parse(readFileSync(STORE, 'utf8')) as Stored
const isComparable = stored.machine === machine()
console.log(
  `On ${machine()}. ${isComparable ? `Times better than ${stored.release} in brackets.` : `Stored figures are of ${stored.machine}: not compared.`}\n`,
)
const figures: Figures = {}
const before = isComparable ? stored.figures : {}
await run(1, ONE_BROKER.filter(chosen), figures, before)
await run(3, THREE_BROKERS.filter(chosen), figures, before)
if (words.includes('--store')) {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  writeFileSync(
    STORE,
    `${JSON.stringify({ release: version, machine: machine(), figures: { ...before, ...figures } }, undefined, 2)}\n`,
  )
}
