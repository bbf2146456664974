/**
 * Our producer and consumer next to Java's, librdkafka and kafkajs, on one broker, in one run: CPU time of the client's process per record;
 * and the way of one record from end to end.
 *
 *     node build/integration-tests/performance/clients.js [-r ROUNDS] [-o WORK] [-s BYTES] [--classpath JARS] [--rdkafka PROGRAM]
 *         [--java-bootstrap BOOTSTRAP] BOOTSTRAP
 *
 * WORK is `produce`, `consume` or `end-to-end` (all). `--classpath`: of Apache Kafka's clients and tools, for Java; `--rdkafka`: librdkafka's
 * `rdkafka_performance`, else kcat stands for it. Each client does a small and a large amount of the same; CPU per record is that of the
 * difference, so that starting and warming up do not count. The clients take turns; a figure is the median of the rounds. The brokers
 * should do nothing else: `BOOTSTRAP` names one broker for the first two works and any cluster for `end-to-end` (acks=all over all brokers);
 * `--java-bootstrap` a second cluster of as many brokers, which Java's clients then use there (ours: our clients and our brokers).
 */
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Admin, createAdmin } from '../../src/client/index.ts'
import { BATCH_BYTES, LINGER_MS } from './client-programs.ts'

function option(words: string[], flag: string): string | undefined {
  const at = words.indexOf(flag)
  return at < 0 ? undefined : words.splice(at, 2)[1]
}

const words = process.argv.slice(2)
const rounds = Number(option(words, '-r') ?? 3)
const only = option(words, '-o') ?? ''
const bytes = Number(option(words, '-s') ?? 100)
const classpath = option(words, '--classpath')
const rdkafka = option(words, '--rdkafka')
const javaBootstrap = option(words, '--java-bootstrap')
const [bootstrap = ''] = words
if (words.length !== 1 || !(rounds > 0) || !(bytes > 0)) {
  process.stderr.write(
    'usage: clients.js [-r ROUNDS] [-o produce|consume|end-to-end] [-s BYTES] [--classpath JARS] [--rdkafka PROGRAM] [--java-bootstrap BOOTSTRAP] BOOTSTRAP\n',
  )
  process.exit(2)
}

const here = dirname(fileURLToPath(import.meta.url))
const programs = join(here, `client-programs${extname(fileURLToPath(import.meta.url))}`)
const topicPrefix = `clients-${Date.now().toString(36)}`

/** What a client is called in the table, and how it is run to do so many records. */
interface Contestant {
  readonly name: string
  /** Records of the two runs. */
  readonly amounts: readonly [small: number, large: number]
  readonly command: (records: number) => readonly string[]
}

interface Run {
  readonly cpuSeconds: number
  readonly output: string
}

/** With the CPU time of the process and its children, as the shell tells it. */
function run(command: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const timed = 'TIMEFORMAT=\'cpu %3U %3S\'; time "$@" 2>&1'
    const child = spawn('bash', ['-c', timed, 'bash', ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let times = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      times += chunk
    })
    child.once('error', reject)
    child.once('close', (code) => {
      const [, user, system] = /cpu ([\d.]+) ([\d.]+)/.exec(times) ?? []
      if (code !== 0 || user === undefined) reject(new Error(`${command.join(' ')} ended with ${code}: ${output.slice(-2000)}`))
      else resolve({ cpuSeconds: Number(user) + Number(system), output })
    })
  })
}

const ours =
  (program: string, topic: string) =>
  (
    records: number, // The same options as ours: a loader, when this runs from source.
  ) => [process.execPath, ...process.execArgv, programs, program, bootstrap, topic, `${records}`, `${bytes}`]

/** With the options of Apache's own scripts. */
const java = (...rest: readonly string[]): string[] => [
  ...['java', '-Xmx512m', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'],
  ...['-XX:+ExplicitGCInvokesConcurrent', '-Djava.awt.headless=true', '-cp', classpath!, ...rest],
]

/** Lines for kcat to send. */
function linesFile(records: number): string {
  const file = join(tmpdir(), `samsa-lines-${bytes}-${records}`)
  if (!existsSync(file)) writeFileSync(file, `${'x'.repeat(bytes)}\n`.repeat(records))
  return file
}

function producers(topic: string): Contestant[] {
  const settings = [`linger.ms=${LINGER_MS}`, `batch.size=${BATCH_BYTES}`]
  const all: Contestant[] = [
    { name: 'ours, callbacks', amounts: [2_000_000, 7_000_000], command: ours('produce', topic) },
    { name: 'ours, promises', amounts: [1_000_000, 3_000_000], command: ours('send', topic) },
    { name: 'kafkajs', amounts: [50_000, 250_000], command: ours('kafkajs-produce', topic) },
  ]
  if (classpath !== undefined) {
    const props = [`bootstrap.servers=${bootstrap}`, 'acks=1', ...settings]
    const tool = [
      'org.apache.kafka.tools.ProducerPerformance',
      '--topic',
      topic,
      '--record-size',
      `${bytes}`,
      '--throughput',
      '-1',
    ]
    const command = (records: number) => java(...tool, '--num-records', `${records}`, '--producer-props', ...props)
    all.push({ name: 'Java', amounts: [1_000_000, 3_000_000], command })
  }
  const flags = ['-b', bootstrap, '-t', topic, '-X', 'acks=1', ...settings.flatMap((setting) => ['-X', setting])]
  const command = (records: number): string[] =>
    rdkafka === undefined
      ? ['kcat', '-P', ...flags, '-p', '0', '-l', linesFile(records)]
      : [rdkafka, '-P', ...flags, '-p', '0', '-s', `${bytes}`, '-c', `${records}`, '-q']
  return [...all, { name: 'librdkafka', amounts: [2_000_000, 7_000_000], command }]
}

function consumers(topic: string): Contestant[] {
  const amounts = [1_000_000, 5_000_000] as const
  const all: Contestant[] = [
    { name: 'ours, records', amounts, command: ours('consume', topic) },
    { name: 'ours, raw', amounts, command: ours('consume-raw', topic) },
    { name: 'ours, records, CRCs not checked', amounts, command: ours('consume-unchecked', topic) },
    { name: 'kafkajs', amounts: [200_000, 1_000_000], command: ours('kafkajs-consume', topic) },
  ]
  if (classpath !== undefined) {
    const tool = ['kafka.tools.ConsumerPerformance', '--broker-list', bootstrap, '--topic', topic, '--threads', '1']
    const command = (records: number) => java(...tool, '--messages', `${records}`)
    all.push({ name: 'Java', amounts, command })
  }
  const command =
    (crcs: boolean) =>
    (records: number): string[] => {
      const checks = ['-X', `check.crcs=${crcs}`]
      const from = ['-C', '-b', bootstrap, '-t', topic, '-p', '0', '-o', 'beginning', '-c', `${records}`, '-q', ...checks]
      return rdkafka === undefined ? ['kcat', ...from, '-f', ''] : [rdkafka, ...from]
    }
  // Its default is not to check; Java's and ours is to check.
  all.push({ name: 'librdkafka', amounts, command: command(false) })
  return [...all, { name: 'librdkafka, CRCs checked', amounts, command: command(true) }]
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

async function measure({ amounts: [small, large], command }: Contestant): Promise<number> {
  const [first, second] = [await run(command(small)), await run(command(large))]
  return ((second.cpuSeconds - first.cpuSeconds) * 1e9) / (large - small)
}

async function compare(what: string, contestants: readonly Contestant[]): Promise<void> {
  const samples = contestants.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...contestants.keys()]
    for (const i of round % 2 === 0 ? order : order.reverse()) samples[i]!.push(await measure(contestants[i]!))
  }
  const figures = samples.map(median)
  process.stdout.write(`| ${what}, ${bytes} B | ns of CPU per record | of the first | of the second |\n|---|---|---|---|\n`)
  for (const [i, { name }] of contestants.entries()) {
    const ratios = [0, 1].map((of) => (figures[i]! / figures[of]!).toFixed(2))
    process.stdout.write(`| ${name} | ${figures[i]!.toFixed(0)} | ${ratios.join('x | ')}x |\n`)
  }
}

async function makeTopic(admin: Admin, topic: string, configs: Record<string, string>, replicationFactor = 1): Promise<void> {
  await (await admin.createTopics([{ topic, partitions: 1, replicationFactor, configs }])).all()
  for (let i = 0; i < 200; i++) {
    const [found] = (await admin.describeTopics([topic])).entries
    const isr = found?.[2]?.partitions[0]?.isr ?? []
    if (isr.length === replicationFactor) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${topic} has no leader after 10 s`)
}

/** A way of one record from end to end: whose clients, which cluster. */
interface Way {
  readonly name: string
  readonly command: readonly string[]
  readonly bootstrap: string
}

function ways(): Way[] {
  const all: Way[] = [{ name: 'ours', command: [process.execPath, ...process.execArgv, programs, 'end-to-end'], bootstrap }]
  const source = [here, join(here, '../../../integration-tests/performance')].map((place) => join(place, 'EndToEnd.java'))
  const file = source.find((path) => existsSync(path))
  if (classpath !== undefined && file !== undefined)
    all.push({ name: 'Java', command: java(file), bootstrap: javaBootstrap ?? bootstrap })
  return all
}

/** What is sent how, and to how many replicas; `all`: one on every broker. */
const LATENCIES: readonly (readonly [acks: string, replicas: number | 'all'])[] = [
  ['1', 1],
  ['1', 'all'],
  ['all', 'all'],
]

/** The same topic in every cluster. Returns its number of replicas. */
async function makeTopics(contest: readonly Way[], topic: string, wanted: number | 'all'): Promise<number> {
  let replicas = 0
  for (const where of new Set(contest.map((way) => way.bootstrap))) {
    const there = createAdmin({ 'bootstrap.servers': where })
    replicas = wanted === 'all' ? (await there.describeCluster()).nodes.length : wanted
    await makeTopic(there, topic, {}, replicas)
    await there.close()
  }
  return replicas
}

async function compareLatency(): Promise<void> {
  const contest = ways()
  process.stdout.write('| end to end, 100 B | p50 µs | p99 µs | mean µs |\n|---|---|---|---|\n')
  for (const [acks, wanted] of LATENCIES) {
    const topic = `${topicPrefix}-latency-${acks}-${wanted}`
    const replicas = await makeTopics(contest, topic, wanted)
    const samples = contest.map((): number[][] => [])
    for (let round = 0; round < rounds; round++) {
      for (const [i, { command, bootstrap: where }] of contest.entries()) {
        const { output } = await run([...command, where, topic, '3000', acks])
        samples[i]!.push(output.trim().split('\n').at(-1)!.split(' ').map(Number))
      }
    }
    const rows = samples.map((of) => [0, 1, 2].map((column) => median(of.map((one) => one[column]!))))
    for (const [i, { name }] of contest.entries()) {
      const cells = rows[i]!.map((figure, column) => `${figure.toFixed(0)} (${(figure / rows[0]![column]!).toFixed(2)}x)`)
      process.stdout.write(`| acks=${acks}, ${replicas} replicas, ${name} | ${cells.join(' | ')} |\n`)
    }
  }
}

const admin = createAdmin({ 'bootstrap.servers': bootstrap })
if ('produce'.includes(only)) {
  const topic = `${topicPrefix}-produce`
  // The same memory is used again and again: fresh pages would cost the machine more than the clients do.
  const recycled = { 'segment.bytes': '33554432', 'retention.bytes': '33554432', 'file.delete.delay.ms': '10' }
  await makeTopic(admin, topic, recycled)
  await compare('produce', producers(topic))
}
if ('consume'.includes(only)) {
  const topic = `${topicPrefix}-consume`
  await makeTopic(admin, topic, {})
  await run(ours('produce', topic)(5_000_000))
  await compare('consume', consumers(topic))
  await (await admin.deleteTopics([topic])).all()
}
if ('end-to-end'.includes(only)) await compareLatency()
await admin.close()
