/**
 * Apache's own command-line tools against a cluster of this distribution: every recorded run is run again and compared with what a genuine
 * 1.1.1 cluster made the tool print. Not part of the tests: it needs Apache's jars and ten minutes.
 *
 *   APACHE_KAFKA=COMMAND node build/integration-tests/conformance/apache-tools.js [TOOL...]
 *
 * COMMAND runs a tool of Kafka 1.1.1: `COMMAND topics --list ...` (the names of Apache's scripts, without `kafka-` and `.sh`). Prints a table, and
 * the differences; the exit code is the number of runs that differ, at most 100.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTestZooKeeper } from '../../zk/client/testing-zookeeper.ts'
import { BrokerProcess, freePorts, run } from '../harness/brokers.ts'
import { golden } from '../harness/golden.ts'

interface Recorded {
  readonly tool: string
  readonly args: readonly string[]
  readonly stdin?: string
  readonly stdout: string
  readonly stderr: string
  readonly exit: number
  readonly ended?: string
  readonly note?: string
}

const TOOLS: readonly string[] = [
  'topics',
  'configs',
  'log-dirs',
  'reassign-partitions',
  'preferred-replica-election',
  'replica-verification',
  'zookeeper-shell',
]
/** What the recorded cluster had besides. */
const RECORDED_SETTINGS = { 'log.cleaner.dedupe.buffer.size': 2_000_000, 'group.initial.rebalance.delay.ms': 0 }
/** Topics that other tools made in the recording. */
const OTHER_TOPICS: readonly string[] = ['none', 'auto1']
/** Runs of a tool that only show its usage come first in its recording. */
const USAGE_RUNS = 3
/** How long a tool that goes on for ever runs before it is ended. */
const ENDLESS_MS = 6000

const moved = (...partitions: readonly (readonly [string, number, readonly number[], string?])[]): string =>
  JSON.stringify({
    version: 1,
    partitions: partitions.map(([topic, partition, replicas, logDir]) => ({
      topic,
      partition,
      replicas,
      ...(logDir === undefined ? {} : { log_dirs: [logDir] }),
    })),
  })
const named = (...topics: readonly string[]): string =>
  JSON.stringify({ partitions: topics.map((topic) => ({ topic, partition: 0 })) })

/** The files that the recorded runs name, as they were then. */
function inputFiles(directory: string): Readonly<Record<string, string>> {
  return {
    'tm.json': '{"topics":[{"topic":"t3"}],"version":1}',
    'tm2.json': '{"topics":[{"topic":"none"}],"version":1}',
    'tm3.json': 'x',
    'mv.json': moved(['t3', 0, [1]], ['t3', 1, [0, 1]]),
    'mv2.json': moved(['t3', 0, [0, 1]]),
    'mv3.json': moved(['t3', 0, [0, 9]]),
    'mv4.json': moved(['none', 0, [0]]),
    'mv5.json': '{"version":1,"partitions":[]}',
    'mv6.json': moved(['t3', 0, [0]], ['t3', 0, [1]]),
    'mv7.json': moved(['t3', 0, [0, 0]]),
    'mv8.json': 'x',
    'mv9.json': moved(['t2', 0, [0], join(directory, 'kafka-0', 'b')]),
    'p1.json': named('t1'),
    'p2.json': named('none'),
    'p3.json': 'x',
    'p4.json': named('t1', 't1'),
  }
}

class Stage {
  readonly directory: string
  readonly zookeeper: string
  readonly ports: readonly number[]

  constructor(zookeeper: string, ports: readonly number[]) {
    this.directory = mkdtempSync(join(tmpdir(), 'samsa-tools-'))
    this.zookeeper = zookeeper
    this.ports = ports
    for (const [name, text] of Object.entries(inputFiles(this.directory))) writeFileSync(join(this.directory, name), text)
  }

  /** A recorded argument with this cluster's addresses. */
  fill(word: string): string {
    const unmasked = word
      .replaceAll('<float>.<float>', '127.0.0.1')
      .replaceAll('<zk>', this.zookeeper)
      .replaceAll('<dir>', this.directory)
    return this.ports.reduce((text, port, i) => text.replaceAll(`<port-${i}>`, String(port)), unmasked)
  }

  /** Output with the addresses, times and names that differ from run to run masked as in the recording. */
  mask(text: string): string {
    const masked = text
      .replaceAll(this.directory, '<dir>')
      .replaceAll(this.zookeeper, '<zk>')
      .replace(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]/gm, '[<time>]')
      .replace(/\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d([.:,]\d+)?)?Z?/g, '<time>')
      .replace(/\b0x1[0-9a-f]{12,15}\b/g, '<session>')
      .replace(/@[0-9a-f]{5,8}\b/g, '@<hash>')
      .replace(/\b17\d{11}\b|\b18\d{11}\b/g, '<ms>')
    return this.ports.reduce((seen, port, i) => seen.replaceAll(`:${port}`, `:<port-${i}>`), masked)
  }
}

/**
 * What two genuine runs differ in as well, made alike: frames of stack traces, random assignments, the order of sets, sizes of logs that other
 * tools had filled, topics of other tools, ZooKeeper's counters.
 */
function comparable(text: string): string[] {
  return text
    .replace(/^\tat .*\n?/gm, '')
    .replace(/^(cZxid|mZxid|pZxid|ctime|mtime|ephemeralOwner|cversion|numChildren|dataLength) = .*$/gm, '$1 = <n>')
    .replace(/"size":\d+/g, '"size":<n>')
    .replace(/"id":"[\w-]{22}"/g, '"id":"<id>"')
    .replace(/Leader: \d+\tReplicas: [\d,]+\tIsr: [\d,]+/g, 'Leader: <n>\tReplicas: <n>\tIsr: <n>')
    .split('\n')
    .map((line) => (line.startsWith('{"version":1,') ? alike(line) : sortedSet(line)))
    .filter((line) => line.trim() !== '')
}

/** JSON whose lists are sets: sorted, without what only the recorded cluster had. */
function alike(line: string): string {
  const value = JSON.parse(line.replaceAll('<n>', '0')) as {
    partitions?: { topic: string; partition: number; replicas: number[] }[]
    brokers?: { broker: number; logDirs: { logDir: string; error: string | null; partitions: { partition: string }[] }[] }[]
  }
  if (value.partitions) return JSON.stringify(value.partitions.map(({ topic, partition }) => `${topic}-${partition}`).sort())
  const brokers = value.brokers ?? []
  return brokers
    .map(({ broker, logDirs }) => {
      const partitions = logDirs.flatMap((dir) => dir.partitions.map(({ partition }) => partition)).filter(isOfTheseTools)
      return `${broker}: ${logDirs.map((dir) => `${dir.logDir} ${dir.error}`).sort()} ${partitions.sort()}`
    })
    .sort()
    .join('; ')
}

const isOfTheseTools = (partition: string): boolean => /^(t1|t2|t3)-\d+$/.test(partition)

/** Names after `with ` or in `Set(...)` come in hash order of what the cluster had. */
function sortedSet(line: string): string {
  const sorted = (list: string): string =>
    list
      .split(/, ?/)
      .filter((name) => isOfTheseTools(name) || !/-\d+$/.test(name))
      .sort()
      .join(',')
  return line
    .replace(/(election path with )(.*)$/, (_all, head: string, list: string) => head + sorted(list))
    .replace(/Set\(([^)]*)\)/g, (_all, list: string) => `Set(${sorted(list)})`)
}

function differences(want: string, got: string): string[] {
  const [a, b] = [comparable(want), comparable(got)]
  const found: string[] = []
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] !== b[i])
      found.push(`    genuine: ${a[i]?.slice(0, 300) ?? '(nothing)'}`, `    ours:    ${b[i]?.slice(0, 300) ?? '(nothing)'}`)
  }
  return found
}

/** Runs one recorded command again. Answers what differs. */
async function replay(stage: Stage, command: string, recorded: Recorded): Promise<string[]> {
  const { tool, args, stdin, exit, ended } = recorded
  const options = { timeoutMs: 90_000, ...(stdin === undefined ? {} : { input: stdin }) }
  const words = [tool, ...args.map((word) => stage.fill(word))]
  const ran = ended === undefined ? await run(command, words, options) : await runAndEnd(command, words)
  const found = [...differences(recorded.stdout, stage.mask(ran.stdout)), ...differences(recorded.stderr, stage.mask(ran.stderr))]
  if (ran.code !== exit) found.push(`    exit code: genuine ${exit}, ours ${ran.code}`)
  return found
}

/** A tool that goes on for ever: SIGTERM after a while. */
function runAndEnd(command: string, words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.on('close', (code) => done({ code: code ?? -1, stdout, stderr }))
    setTimeout(() => child.kill('SIGTERM'), ENDLESS_MS)
  })
}

/** What the tools that are not run here left behind: topics, and the offsets topic of a consumer group. */
async function makeOtherTopics(stage: Stage, command: string): Promise<void> {
  for (const topic of OTHER_TOPICS) {
    const words = ['--zookeeper', stage.zookeeper, '--create', '--topic', topic, '--partitions', '1', '--replication-factor', '1']
    await run(command, ['topics', ...words])
  }
  const bootstrap = `127.0.0.1:${stage.ports[0]}`
  await run('kcat', ['-b', bootstrap, '-G', 'g1', '-e', '-q', 't1'], { timeoutMs: 15_000 })
}

async function main(command: string, wanted: readonly string[]): Promise<number> {
  const zookeeper = await startTestZooKeeper()
  const ports = await freePorts(2)
  const stage = new Stage(zookeeper.connect, ports)
  const brokers = ports.map((port, id) => {
    const directory = join(stage.directory, `kafka-${id}`)
    const dirs = ['a', 'b'].map((name) => join(directory, name))
    for (const dir of dirs) mkdirSync(dir, { recursive: true })
    const properties = {
      'log.dirs': dirs.join(),
      'num.partitions': 1,
      'offsets.topic.num.partitions': 2,
      'offsets.topic.replication.factor': 2,
      ...RECORDED_SETTINGS,
    }
    return new BrokerProcess({ id, port, zookeeper: zookeeper.connect, directory, properties })
  })
  const table: string[] = []
  let differing = 0
  try {
    for (const broker of brokers) await broker.start()
    for (const tool of TOOLS) {
      const runs = readFileSync(golden(`cli/${tool}.jsonl`), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Recorded)
      let [equal, all] = [0, 0]
      for (const [i, recorded] of runs.entries()) {
        const isUsage = i < USAGE_RUNS && tool !== 'zookeeper-shell'
        // The other tools work with the topics that this one makes.
        if (isUsage || (!wanted.includes(tool) && tool !== 'topics')) continue
        all++
        const found = await replay(stage, command, recorded)
        if (found.length === 0) equal++
        else
          console.log(
            `${tool} run ${i + 1}: ${recorded.args.join(' ')}${recorded.note ? ` (${recorded.note})` : ''}\n${found.slice(0, 12).join('\n')}`,
          )
        // Reassignments and deletions go on after the tool has ended.
        if (/--execute|--delete/.test(recorded.args.join(' '))) await sleep(3000)
      }
      if (tool === 'topics') await makeOtherTopics(stage, command)
      if (all > 0) table.push(`${tool.padEnd(28)} ${equal} of ${all} runs equal`)
      differing += all - equal
    }
  } finally {
    for (const broker of brokers) await broker.kill()
    await zookeeper.stop()
    rmSync(stage.directory, { recursive: true, force: true })
  }
  console.log(table.join('\n'))
  return Math.min(100, differing)
}

const command = process.env['APACHE_KAFKA'] ?? ''
const asked = process.argv.slice(2)
const unknown = asked.filter((tool) => !TOOLS.includes(tool))
if (command === '' || unknown.length > 0) {
  console.error(
    `Set APACHE_KAFKA to a command that runs Apache's tools.${unknown.length > 0 ? ` No such tool here: ${unknown}` : ''}`,
  )
  process.exit(2)
}
process.exit(await main(command, asked.length > 0 ? asked : TOOLS))
