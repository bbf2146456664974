/**
 * `npm run bench [-- --store] [-- NAME]`: our broker alone, about a minute and a quarter. One broker and then three are started from the
 * distribution with an embedded ZooKeeper, loaded by this process, and the figures printed beside those stored in `figures.json` (of the
 * last release, on the kind of machine named there; on another kind nothing is compared). `--store` replaces them, but not by what was
 * measured while others used much of the machine; NAME: only workloads whose name contains it.
 *
 * Compare CPU per request: it is the least touched by what else runs.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, type as system, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { BenchCluster } from './bench-cluster.ts'
import { startBenchCluster } from './bench-cluster.ts'
import type { Sample, Workload } from './bench-load.ts'
import { fill, measure } from './bench-load.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const STORE = join(ROOT, 'integration-tests', 'performance', 'figures.json')
const SECONDS = 2.5
const WARM_SECONDS = 1
/** Retention begins 30 s after a broker's start, as in 1.1: before that a log only grows, into memory that was never touched. */
const RETENTION_MS = 31_000
/** Share of the machine that others may use in a measurement that counts. */
const NOISE = 0.1

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

/** The kind of machine: figures of another kind say nothing of ours. */
function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30)
  const kernel = release().split('.').slice(0, 2).join('.')
  return `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, ${memory} GiB, ${system()} ${kernel}, Node ${process.version}`
}

/** CPU seconds of the whole machine: spent, and spent or idle. */
function machineSeconds(): { readonly busy: number; readonly all: number } {
  let busy = 0
  let all = 0
  for (const { times } of cpus()) {
    const spent = times.user + times.nice + times.sys + times.irq
    busy += spent / 1000
    all += (spent + times.idle) / 1000
  }
  return { busy, all }
}

/** `work`, and the share of the machine that neither these brokers nor this process used meanwhile. */
async function beside<T>(
  cluster: BenchCluster,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly others: number }> {
  const ownSeconds = (): number => cluster.cpuSeconds() + process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6
  const before = machineSeconds()
  const ownBefore = ownSeconds()
  const result = await work()
  const after = machineSeconds()
  const others = after.busy - before.busy - (ownSeconds() - ownBefore)
  return { result, others: Math.max(0, others / (after.all - before.all)) }
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

/** A cluster that is up and warm, and when its last broker was up. */
interface Bench {
  readonly cluster: BenchCluster
  readonly brokers: number
  readonly workloads: readonly Workload[]
  readonly startedAt: number
}

async function start(brokers: number, workloads: readonly Workload[]): Promise<Bench> {
  const cluster = await startBenchCluster(brokers)
  const bench = { cluster, brokers, workloads, startedAt: performance.now() }
  for (const [i, { ms, cpuSeconds }] of cluster.starts.entries())
    show(`start of broker ${i + 1} of ${brokers}`, { ms, 'CPU ms': cpuSeconds * 1000 })
  show(`memory of ${nameOf(bench)}, idle`, { MB: cluster.residentBytes() / 1e6 })
  return bench
}

function nameOf({ brokers }: Pick<Bench, 'brokers'>): string {
  return brokers === 1 ? 'one broker' : `${brokers} brokers`
}

async function warm({ cluster, workloads }: Bench): Promise<void> {
  await cluster.createTopic('bench', 12, {})
  await cluster.createTopic('kept', 4, { 'retention.bytes': '-1', 'segment.bytes': `${1024 * MIB}` })
  if (workloads.some(({ kind }) => kind === 'consume')) await fill(cluster, 4, 64 * MIB)
  for (const workload of workloads) await measure(cluster, workload, WARM_SECONDS)
}

async function run(bench: Bench): Promise<void> {
  const { cluster, workloads, startedAt } = bench
  await sleep(Math.max(0, startedAt + RETENTION_MS - performance.now()))
  for (const workload of workloads) {
    const { result, others } = await beside(cluster, () => measure(cluster, workload, SECONDS))
    show(workload.name, figuresOf(result), others)
  }
  show(`memory of ${nameOf(bench)}, loaded`, { MB: cluster.residentBytes() / 1e6 })
}

function show(name: string, values: Record<string, number>, others = 0): void {
  const rounded = Object.fromEntries(Object.entries(values).map(([what, value]) => [what, Number(value.toPrecision(4))]))
  const isNoisy = others > NOISE
  if (!isNoisy) figures[name] = rounded
  const columns = Object.entries(rounded).map(([what, value]) => {
    const old = before[name]?.[what]
    return `${what} ${value}${old === undefined || isNoisy ? '' : ` (${(old / value).toFixed(2)}x)`}`
  })
  if (isNoisy) columns.push(`NOISY: others used ${(others * 100).toFixed(0)} % of the machine`)
  console.log(`${name.padEnd(38)} ${columns.join('   ')}`)
}

const words = process.argv.slice(2)
const wanted = words.find((word) => !word.startsWith('-')) ?? ''
const chosen = (workload: Workload): boolean => workload.name.includes(wanted)
const stored = JSON.parse(readFileSync(STORE, 'utf8')) as Stored
const isComparable = stored.machine === machine()
const remark =
  stored.machine === 'none'
    ? 'Nothing is stored yet.'
    : isComparable
      ? `Times better than ${stored.release} in brackets.`
      : `The stored figures are of another kind of machine (${stored.machine}): not compared.`
console.log(`On ${machine()}. ${remark}\n`)
const figures: Figures = {}
const before = isComparable ? stored.figures : {}
const benches: Bench[] = []
try {
  for (const [brokers, workloads] of [
    [1, ONE_BROKER.filter(chosen)],
    [3, THREE_BROKERS.filter(chosen)],
  ] as const)
    if (workloads.length > 0) benches.push(await start(brokers, workloads))
  for (const bench of benches) await warm(bench)
  for (const bench of benches) await run(bench)
} finally {
  for (const { cluster } of benches) await cluster.stop()
}
if (words.includes('--store')) {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  const content = { release: version, machine: machine(), figures: { ...before, ...figures } }
  writeFileSync(STORE, `${JSON.stringify(content, undefined, 2)}\n`)
}
