/** The verifiable producer and consumer and the mirror maker say what the genuine ones said (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createProducer } from '../../src/client/index.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { startCluster, type TestCluster } from '../../src/testing/index.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import { consumerIdsPath } from '../../zk/znodes/consumers.ts'
import { distribution, eventually, type Ran, run } from '../harness/brokers.ts'
import { runAsRecorded, type ToolRun, toolRuns } from '../harness/tool-runs.ts'

const PRODUCER = 'kafka-verifiable-producer.sh'
const CONSUMER = 'kafka-verifiable-consumer.sh'
const MIRROR = 'kafka-mirror-maker.sh'
/** No broker is to lose its session while the tools are at work. */
const options = { brokers: 2, sessionTimeoutMs: 20_000, properties: { 'group.initial.rebalance.delay.ms': 0 } }
const silent = { debug() {}, info() {}, warn() {}, error() {} }

interface EndedRun extends ToolRun {
  /** The recording ended it with SIGTERM. */
  readonly ended?: string
}

/** Nobody could connect in it, and its output was not recorded. */
const UNREACHABLE_RUN = 8
/** The mirror maker with the old consumer: it says nothing at all. */
const OLD_CONSUMER_RUN = 7

/** Times and rates vary, and so do the java clients' warnings; the mirror maker's NullPointerException follows from the error before it. */
function same(text: string): string {
  return text
    .replaceAll(/"timestamp":(?:\d+|<ms>)/g, '"timestamp":<ms>')
    .replaceAll(/"avg_throughput":[\d.E-]+/g, '"avg_throughput":<n>')
    .replaceAll(/^\[[^\]]*\] WARN .*\n|^Exception in thread "main" java\.lang\.NullPointerException.*\n/gm, '')
}

/** The first two records; how many more were sent before the signal is chance. */
function firstTwo(text: string): string {
  let left = 2
  return same(text)
    .replaceAll(/"(sent|acked)":\d+/g, '"$1":<n>')
    .replaceAll(/^.*"producer_send_success".*\n/gm, (line) => (left-- > 0 ? line : ''))
}

/** Until it has said `until`, or ended, or `signal` is raised: then SIGTERM. */
function runUntil(script: string, args: readonly string[], until: RegExp, signal?: AbortSignal): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(join(distribution, 'bin', script), [...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    signal?.addEventListener('abort', () => child.kill('SIGTERM'))
    const said = { stdout: '', stderr: '' }
    let isEnded = false
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (chunk) => {
        said[name] += chunk
        if (isEnded || !until.test(said[name])) return
        isEnded = true
        child.kill('SIGTERM')
      })
    }
    child.on('close', (code) => resolve({ ...said, code: code ?? -1 }))
  })
}

describe('verifiable clients and mirror maker against the genuine recordings', () => {
  let cluster: TestCluster
  const directory = mkdtempSync(join(tmpdir(), 'samsa-verifiable-'))

  const masks = (): Record<string, string> => {
    const [zero = '', one = ''] = cluster.bootstrapServers.split(',').map((address) => address.split(':')[1] ?? '')
    return { '<port-0>': zero, '<port-1>': one, '<dir>': directory }
  }

  async function runEnded(script: string, recorded: EndedRun, until: RegExp, normal = same): Promise<void> {
    const pairs = Object.entries(masks())
    const args = recorded.args.map((word) => pairs.reduce((text, [mask, value]) => text.replaceAll(mask, value), word))
    const { stdout, stderr, code } = await runUntil(script, args, until)
    assert.deepEqual(
      { stdout: normal(stdout), stderr: normal(stderr), code },
      { stdout: normal(recorded.stdout), stderr: normal(recorded.stderr), code: recorded.exit },
    )
  }

  /** Ended when it is a member of its group. */
  async function runOldMirror(recorded: EndedRun): Promise<void> {
    const session = { connect: cluster.zookeeperConnect, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 }
    const zk = openKafkaZk(session, nodeClock, silent)
    await zk.session.start()
    const stop = new AbortController()
    const ran = runUntil(
      MIRROR,
      recorded.args.map((word) => word.replace('<dir>', directory)),
      /$^/,
      stop.signal,
    )
    await eventually('a member', async () => {
      const { children } = await zk.session.request({ op: 'getChildren', path: consumerIdsPath('mm') })
      return children?.length === 1
    })
    stop.abort()
    assert.deepEqual(await ran, { stdout: recorded.stdout, stderr: recorded.stderr, code: recorded.exit })
    await zk.session.close()
  }

  before(async () => {
    cluster = await startCluster(options)
    writeFileSync(
      join(directory, 'mc'),
      `bootstrap.servers=${cluster.bootstrapServers}\ngroup.id=mm\nauto.offset.reset=earliest\n`,
    )
    writeFileSync(join(directory, 'mp'), `bootstrap.servers=${cluster.bootstrapServers}\n`)
  })
  after(async () => {
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  for (const [i, recorded] of toolRuns('verifiable-producer').entries() as ArrayIterator<[number, EndedRun]>) {
    if (i === UNREACHABLE_RUN) continue
    it(`verifiable-producer ${i}: ${recorded.args.join(' ')}`, async () => {
      if (recorded.ended === undefined) await runAsRecorded({ tool: PRODUCER, masks, same }, recorded)
      else await runEnded(PRODUCER, recorded, /(?:send_success[\s\S]*){2}/, firstTwo)
    })
  }

  it('the topic begins anew with the twelve records of the recording', async () => {
    await cluster.stop()
    cluster = await startCluster(options)
    await cluster.createTopic('v1')
    const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all' })
    for (let i = 0; i < 12; i++) producer.produce({ topic: 'v1', value: `${i}` })
    await producer.close()
  })

  for (const [i, recorded] of toolRuns('verifiable-consumer').entries() as ArrayIterator<[number, EndedRun]>) {
    it(`verifiable-consumer ${i}: ${recorded.args.join(' ')}`, async () => {
      const isLatest = recorded.args.includes('latest')
      if (recorded.ended === undefined) await runAsRecorded({ tool: CONSUMER, masks, same }, recorded)
      else await runEnded(CONSUMER, recorded, isLatest ? /partitions_assigned/ : /offsets_committed/)
    })
  }

  for (const [i, recorded] of toolRuns('mirror-maker').entries() as ArrayIterator<[number, EndedRun]>) {
    it(`mirror-maker ${i}: ${recorded.args.join(' ')}`, async () => {
      writeFileSync(join(directory, 'mp'), `bootstrap.servers=${cluster.bootstrapServers}\n`)
      writeFileSync(
        join(directory, 'mc'),
        `bootstrap.servers=${cluster.bootstrapServers}\ngroup.id=mm\nauto.offset.reset=earliest\n`,
      )
      writeFileSync(join(directory, 'mo'), `zookeeper.connect=${cluster.zookeeperConnect}\ngroup.id=mm\n`)
      if (recorded.ended === undefined) await runAsRecorded({ tool: MIRROR, masks, same }, recorded)
      else if (i === OLD_CONSUMER_RUN) await runOldMirror(recorded)
      else await runEnded(MIRROR, recorded, /WARNING: The default partition assignment strategy/)
    })
  }

  it('the verifiable producer says what could not be sent', async () => {
    const words = ['--broker-list', cluster.bootstrapServers, '--topic', 'no@topic', '--max-messages', '1']
    const { stdout, code } = await run(join(distribution, 'bin', PRODUCER), words)
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const failure = events.find(({ name }) => name === 'producer_send_error')
    assert.equal(failure?.['exception'], 'class org.apache.kafka.common.errors.InvalidTopicException')
    assert.deepEqual([failure?.['topic'], failure?.['value'], failure?.['key']], ['no@topic', '0', null])
    assert.equal(code, 0)
  })

  it('a consumer goes on where the one before has committed', async () => {
    await cluster.createTopic('v3', { partitions: 3 })
    const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all' })
    for (let i = 0; i < 300; i++) producer.produce({ topic: 'v3', partition: i % 3, value: `${i}` })
    await producer.close()
    const words = ['--broker-list', cluster.bootstrapServers, '--topic', 'v3', '--group-id', 'shared', '--verbose']
    const values: string[] = []
    for (let i = 0; i < 3; i++) {
      const { stdout } = await run(join(distribution, 'bin', CONSUMER), [...words, '--max-messages', '100'])
      values.push(...[...stdout.matchAll(/"record_data","key":null,"value":"(\d+)"/g)].map(([, value]) => value ?? ''))
    }
    assert.equal(values.length, 300)
    assert.equal(new Set(values).size, 300)
  })
})
