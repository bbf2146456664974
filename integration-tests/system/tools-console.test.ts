/** The console producer and consumer say what the genuine ones said (recorded from Apache 1.1.1), record for record and signal for signal. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createAdmin, createProducer } from '../../src/client/index.ts'
import { distribution, eventually, kcat, type Ran, run } from '../harness/brokers.ts'
import { SMALL_INTERNAL_TOPICS, TestCluster } from '../harness/cluster.ts'
import { clusterMasks, runAsRecorded, runUntilAsRecorded, type ToolRun, toolRuns } from '../harness/tool-runs.ts'

const producerTool = join(distribution, 'bin', 'kafka-console-producer.sh')
const consumerTool = join(distribution, 'bin', 'kafka-console-consumer.sh')

/** Long enough to join a group and read it all on a busy machine; a run that was too short is tried again. */
const TIMEOUT_MS = '2000'

/** What the recording's producers left in the three partitions of t1. */
const T1 = ['one', 'two', 'three', 'zipped', 'zipped by default', 'a', 'a', 'b', 'old producer']

const sortedLines = (text: string): string => text.split('\n').sort().join('\n')

/** Repeated warnings are one; chance and time are masked; correlation ids are not ours to count. */
function same(text: string): string {
  const masked = text
    .replaceAll(/console-consumer-\d+/g, 'console-consumer-<n>')
    .replaceAll(/\b1\d{12}\b/g, '<ms>')
    .replaceAll(/ with correlation id \d+/g, '')
    .replaceAll(/checksum:\d+/g, 'checksum:<n>')
  return masked
    .split('\n')
    .filter((line, i, lines) => !line.includes(' WARN ') || line !== lines[i - 1])
    .join('\n')
}

/** The partitions of t1 come in any order. */
function sameOfT1(text: string): string {
  return text.startsWith('Processed') || text.startsWith('[') ? same(text) : sortedLines(same(text))
}

/** With `--max-messages` some of them. */
function someOfT1(text: string): string {
  return same(text)
    .split('\n')
    .map((line) => (T1.includes(line) ? '<record>' : line))
    .join('\n')
}

/** Other commits and groups than the recording's, of the same kinds. */
function kinds(text: string): string {
  const masked = same(text)
    .replaceAll(/^\[[^,\]]*,[^,\]]*,\d+\]::\[OffsetMetadata\[\d+,NO_METADATA\]/gm, '[<group>]::[OffsetMetadata[<n>,NO_METADATA]')
    .replaceAll(/(?:g\d|console-consumer-<n>|live|og|pipe|part)(?=::|,)/g, '<group>')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|<uuid>/g, '<uuid>')
    .replaceAll(/generation=\d+/g, 'generation=<n>')
    .replaceAll(/total of \d+/g, 'total of <n>')
    .replaceAll(/^.*Offset commit failed on partition.*\n/gm, '')
  return [...new Set(masked.split('\n'))].sort().join('\n')
}

/** `--timeout-ms` of the recordings, shorter. */
const faster = (recorded: ToolRun): ToolRun => ({
  ...recorded,
  args: recorded.args.map((word, i) => (recorded.args[i - 1] === '--timeout-ms' ? TIMEOUT_MS : word)),
})

const properties = { ...SMALL_INTERNAL_TOPICS, 'group.initial.rebalance.delay.ms': 0 }

describe('console tools against the genuine recordings', () => {
  let cluster: TestCluster
  const directory = mkdtempSync(join(tmpdir(), 'samsa-console-'))
  const producing = toolRuns('console-producer')
  const consuming = toolRuns('console-consumer').map(faster)
  const nth = (runs: readonly ToolRun[], i: number): ToolRun => runs[i - 1] ?? assert.fail(`no run ${i}`)

  before(async () => {
    cluster = await TestCluster.start({
      brokers: 2,
      properties,
    })
    for (const [topic, assignment, ...config] of [
      ['t1', '0:1,1:0,0:1'],
      ['t2', '0', '--config', 'cleanup.policy=compact', '--config', 'max.message.bytes=65536'],
    ] as const) {
      const ran = await cluster.topics(['--create', '--topic', topic, '--replica-assignment', assignment, ...config])
      assert.equal(ran.code, 0, ran.stdout)
      await cluster.knownEverywhere(topic, assignment.split(',').length)
    }
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const masks = (): Record<string, string> => clusterMasks(cluster, directory)

  /** 12 and 17 did not end by themselves; see below. */
  const endless = [12, 17]
  for (const [i, recorded] of producing.entries()) {
    if (endless.includes(i + 1)) continue
    it(`console-producer ${i + 1}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
      const stdin = recorded.stdin?.replace('<70003 characters x>', `k:${'x'.repeat(70_000)}\n`)
      const { stdin: _, ...rest } = recorded
      await runAsRecorded({ tool: 'kafka-console-producer.sh', masks, same }, stdin === undefined ? rest : { ...rest, stdin })
    })
  }

  it('console-producer 12: a topic with a bad name fails at once, where 1.1 goes on for a minute', async () => {
    const ran = await run(producerTool, ['--broker-list', cluster.bootstrap, '--topic', 'bad name'], { input: 'x\n' })
    const warning = nth(producing, 12).stderr.split('\n')[0] ?? ''
    const [first, second, third] = same(ran.stderr)
      .replaceAll(/\[\d{4}[^\]]*\]/g, '[<time>]')
      .split('\n')
    assert.equal(first, same(warning))
    assert.match(second ?? '', /ERROR Error when sending message to topic bad name with key: null, value: 1 bytes with error: /)
    assert.equal(third, 'org.apache.kafka.common.errors.InvalidTopicException: Invalid topics: [bad name]')
    assert.deepEqual({ stdout: ran.stdout, code: ran.code }, { stdout: '>>', code: 0 })
  })

  it('console-producer 17: brokers that are away are warned of, and SIGTERM ends it', async () => {
    const tool = start(producerTool, ['--broker-list', '127.0.0.1:1', '--topic', 't1'], 'x\n', true)
    const warning = same(nth(producing, 17).stderr.split('\n')[0] ?? '').replace('[<time>] ', '')
    await eventually('a warning', () => tool.stderr().includes(warning))
    tool.kill('SIGTERM')
    const ran = await tool.ended
    assert.equal(ran.code, 143)
    assert.equal(ran.stdout, '>>')
  })

  // Groups with offsets first: each run says something of the one before.
  for (const i of [15, 16, 33, 34, 35]) {
    const recorded = nth(consuming, i)
    it(`console-consumer ${i}: ${recorded.args.slice(2).join(' ').slice(0, 140)}`, async () => {
      const text = i === 35 ? someOfT1 : sameOfT1
      await runUntilAsRecorded({ tool: 'kafka-console-consumer.sh', masks, same: text }, recorded)
    })
  }

  /** 24, 25 and 30 were ended by signals, 27 ends otherwise here; see below. */
  const single = consuming.map((_, i) => i + 1).filter((i) => ![15, 16, 24, 25, 27, 30, 33, 34, 35].includes(i))
  describe('runs that have nothing to do with each other', { concurrency: 4 }, () => {
    for (const i of single) {
      const recorded = nth(consuming, i)
      const isAll = !recorded.args.includes('--max-messages')
      const text = i === 36 || i === 37 ? kinds : !recorded.args.includes('t1') ? same : isAll ? sameOfT1 : someOfT1
      it(`console-consumer ${i}: ${recorded.args.slice(2).join(' ').slice(0, 140)}`, async () => {
        await runUntilAsRecorded(
          { tool: 'kafka-console-consumer.sh', masks, same: recorded.args.includes('--whitelist') ? sameOfT1 : text },
          recorded,
        )
      })
    }
  })

  it('console-consumer 24: SIGTERM ends it with 143, and the group is left', async () => {
    const tool = start(consumerTool, ['--bootstrap-server', cluster.bootstrap, '--topic', 't1', '--group', 'live'])
    const admin = createAdmin({ 'bootstrap.servers': cluster.bootstrap })
    const members = async (): Promise<number> => {
      const { members } = (await (await admin.describeGroups(['live'])).all()).get('live') ?? assert.fail('no group')
      return members.length
    }
    await eventually('a member', async () => (await members()) === 1)
    tool.kill('SIGTERM')
    const recorded = nth(consuming, 24)
    assert.deepEqual(await tool.ended, { stdout: recorded.stdout, stderr: recorded.stderr, code: recorded.exit })
    assert.equal(await members(), 0)
    await admin.close()
  })

  it('console-consumer 25: SIGINT ends it with 130', async () => {
    const words = ['--bootstrap-server', cluster.bootstrap, '--topic', 't1', '--from-beginning', '--enable-systest-events']
    const tool = start(consumerTool, words)
    await eventually('all records', () => tool.stdout().split('\n').length > T1.length)
    tool.kill('SIGINT')
    const { stdout, stderr, code } = await tool.ended
    const recorded = nth(consuming, 25)
    assert.equal(sortedLines(stdout), sortedLines(`${recorded.stdout}shutdown_complete\n`))
    assert.deepEqual({ stderr, code }, { stderr: recorded.stderr, code: recorded.exit })
  })

  it('console-consumer 27: a topic with a bad name is an error at once, where 1.1 waits', async () => {
    const ran = await run(consumerTool, ['--bootstrap-server', cluster.bootstrap, '--topic', 'bad name', '--timeout-ms', '20000'])
    assert.match(
      ran.stderr,
      /WARN \[Consumer clientId=consumer-1, groupId=console-consumer-\d+\] Error while fetching metadata : /,
    )
    assert.match(ran.stderr, /terminating consumer process: .*\n.*InvalidTopicException: Invalid topics: \[bad name\]\nProcessed/)
    assert.equal(ran.code, 0)
  })

  it('console-consumer 30: brokers that are away are warned of, and --timeout-ms ends it', async () => {
    const ran = await run(consumerTool, nth(consuming, 30).args)
    const [warning = ''] = nth(consuming, 30).stderr.split('\n')
    const lines = same(ran.stderr.replaceAll(/\[\d{4}[^\]]*\]/g, '[<time>]')).split('\n')
    assert.equal(lines[0], same(warning))
    assert.deepEqual(lines.slice(-3), ['kafka.consumer.ConsumerTimeoutException', 'Processed a total of 0 messages', ''])
    assert.equal(ran.code, 0)
  })

  it('a reader that goes away ends the consumer', async () => {
    await kcat(cluster.bootstrap, ['-P', '-t', 't3'], '1\n2\n')
    const words = ['--bootstrap-server', cluster.bootstrap, '--topic', 't3', '--from-beginning', '--group', 'pipe']
    const tool = start(consumerTool, words)
    await eventually('a record', () => tool.stdout().length > 0)
    tool.closeOutput()
    let hasEnded = false
    void tool.ended.then(() => {
      hasEnded = true
    })
    await eventually('the end', async () => {
      if (!hasEnded) await kcat(cluster.bootstrap, ['-P', '-t', 't3'], 'more\n')
      return hasEnded
    })
    const { stderr, code } = await tool.ended
    assert.match(stderr, /^Unable to write to standard out, closing consumer\.\nProcessed a total of \d+ messages\n$/)
    assert.equal(code, 0)
  })

  for (const [name, where] of [
    ['commits what was printed and no more', () => ['--bootstrap-server', cluster.bootstrap]],
    ['so does the old consumer', () => ['--zookeeper', cluster.zookeeper]],
  ] as const) {
    it(name, async () => {
      const topic = name.startsWith('so') ? 't4-old' : 't4'
      await kcat(cluster.bootstrap, ['-P', '-t', topic, '-p', '0'], '1\n2\n3\n4\n')
      const words = [...where(), '--topic', topic, '--group', 'part', '--timeout-ms', '20000']
      const read = async (count: string, ...more: string[]): Promise<string> =>
        (await run(consumerTool, [...words, '--max-messages', count, ...more])).stdout
      assert.equal(await read('1', '--from-beginning'), '1\n')
      assert.equal(await read('2'), '2\n3\n')
      assert.equal(await read('1'), '4\n')
    })
  }

  it('properties: parse.key, separators, print.*, deserializers, isolation', async () => {
    const words = ['--broker-list', cluster.bootstrap, '--topic', 'elsewhere', '--sync']
    const properties = ['parse.key=true', 'key.separator=->', 'topic=t5', 'ignore.error=true'].flatMap((word) => [
      '--property',
      word,
    ])
    const sent = await run(producerTool, [...words, ...properties, '--compression-codec', 'lz4'], {
      input: 'k->v->w\r\n->x\n\nno key',
    })
    assert.deepEqual({ stdout: sent.stdout, code: sent.code }, { stdout: '>>>>>', code: 0 })
    const read = (...more: string[]): Promise<Ran> =>
      run(consumerTool, [
        '--bootstrap-server',
        cluster.bootstrap,
        '--topic',
        't5',
        '--partition',
        '0',
        '--timeout-ms',
        '20000',
        ...more,
      ])
    const shown = ['print.key=true', 'print.value=TRUE ', 'key.separator=|', 'line.separator=;'].flatMap((word) => [
      '--property',
      word,
    ])
    const all = await read('--from-beginning', '--max-messages', '4', ...shown)
    assert.equal(all.stdout, 'k|v->w;|x;null|;null|no key;')
    const bytes = await read(
      '--offset',
      '3',
      '--max-messages',
      '1',
      '--value-deserializer',
      'org.apache.kafka.common.serialization.BytesDeserializer',
    )
    assert.equal(bytes.stdout, 'no key\n')
    const keysOnly = await read(
      '--offset',
      '0',
      '--max-messages',
      '2',
      '--property',
      'print.key=true',
      '--property',
      'print.value=false',
    )
    assert.equal(keysOnly.stdout, 'k\n\n')
  })

  it('read_committed leaves out what was aborted; the transaction log can be read', async () => {
    const producer = createProducer({ 'bootstrap.servers': cluster.bootstrap, 'transactional.id': 'tx' })
    await producer.initTransactions()
    for (const outcome of ['abort', 'commit'] as const) {
      producer.beginTransaction()
      await producer.send({ topic: 't6', value: outcome, partition: 0 })
      await (outcome === 'abort' ? producer.abortTransaction() : producer.commitTransaction())
    }
    await producer.close()
    const read = (topic: string, count: string, ...more: string[]): Promise<Ran> =>
      run(consumerTool, [
        '--bootstrap-server',
        cluster.bootstrap,
        '--topic',
        topic,
        '--from-beginning',
        '--timeout-ms',
        '20000',
        '--max-messages',
        count,
        ...more,
      ])
    assert.equal((await read('t6', '1', '--isolation-level', 'read_committed')).stdout, 'commit\n')
    assert.equal((await read('t6', '2')).stdout, 'abort\ncommit\n')
    const formatter = 'kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter'
    const internal = ['--consumer-property', 'exclude.internal.topics=false', '--formatter', formatter]
    const { stdout } = await read('__transaction_state', '3', ...internal)
    const [empty, ongoing, prepare] = stdout
      .replaceAll(/\b1\d{12}\b/g, '<ms>')
      .replaceAll(/producerId=\d+/g, 'producerId=<n>')
      .split('\n')
    const head = 'tx::TransactionMetadata(transactionalId=tx, producerId=<n>, producerEpoch=0, txnTimeoutMs=60000, '
    const times = 'txnLastUpdateTimestamp=<ms>)'
    assert.equal(empty, `${head}state=Empty, pendingState=None, topicPartitions=Set(), txnStartTimestamp=-1, ${times}`)
    const open = 'pendingState=None, topicPartitions=Set(t6-0), txnStartTimestamp=<ms>, '
    assert.equal(ongoing, `${head}state=Ongoing, ${open}${times}`)
    assert.equal(prepare, `${head}state=PrepareAbort, ${open}${times}`)
  })

  it('options that are wrong in ways that were not recorded', async () => {
    const consumer = (...more: string[]): Promise<Ran> => run(consumerTool, ['--bootstrap-server', cluster.bootstrap, ...more])
    for (const [words, error] of [
      [
        ['--topic', 't1', '--max-messages', 'x'],
        "joptsimple.OptionArgumentConversionException: Cannot parse argument 'x' of option max-messages",
      ],
      [
        ['--topic', 't1', '--consumer.config', `${directory}/none`],
        `java.io.FileNotFoundException: ${directory}/none (No such file or directory)`,
      ],
      [['--topic', 't1', '--key-deserializer', 'No'], 'java.lang.ClassNotFoundException: No'],
    ] as const) {
      const ran = await consumer(...words)
      assert.equal(ran.stderr, `Exception in thread "main" ${error}\n`)
      assert.equal(ran.code, 1)
    }
    const conflict = await consumer('--topic', 't1', '--from-beginning', '--consumer-property', 'auto.offset.reset=latest')
    assert.equal(
      conflict.stderr,
      "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove one option\n",
    )
    const twice = await consumer('--topic', 't1', '--property', 'a=b=c')
    assert.deepEqual(twice, { stdout: '', stderr: 'Invalid command line properties: a=b=c\n', code: 1 })
    const nobody = await run(consumerTool, ['--zookeeper', `${cluster.zookeeper}/nothing`, '--topic', 't1'])
    assert.match(nobody.stderr, /\nNo brokers found in ZK\.\n$/)
    const reader = await run(producerTool, ['--broker-list', cluster.bootstrap, '--topic', 't1', '--line-reader', 'my.Reader'])
    assert.deepEqual(reader, { stdout: '', stderr: 'java.lang.ClassNotFoundException: my.Reader\n', code: 1 })
  })
})

interface Started {
  readonly ended: Promise<Ran>
  stdout(): string
  stderr(): string
  kill(signal: NodeJS.Signals): void
  /** The other end of its standard output is gone. */
  closeOutput(): void
}

/** A tool that runs until it is told to end. */
function start(program: string, args: readonly string[], input = '', staysOpen = false): Started {
  const child = spawn(program, [...args])
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  child.stdin.on('error', () => {})
  child.stdin.write(input)
  if (!staysOpen) child.stdin.end()
  const ended = new Promise<Ran>((settle) => {
    child.on('close', (code) => settle({ stdout, stderr, code: code ?? -1 }))
  })
  return {
    ended,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    closeOutput: () => void child.stdout.destroy(),
  }
}
