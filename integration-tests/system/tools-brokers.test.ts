/** Tools that ask brokers say what the genuine ones said (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { distribution, eventually, kcat, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { clusterMasks, runUntilAsRecorded, toolRuns } from '../harness/tool-runs.ts'

const deletions = (...list: (readonly [string, number, number])[]): string =>
  JSON.stringify({ partitions: list.map(([topic, partition, offset]) => ({ topic, partition, offset })), version: 1 })

/** What the recording's files held. */
const files: Readonly<Record<string, string>> = {
  'd1.json': deletions(['t1', 0, 1], ['t1', 1, -1]),
  'd2.json': deletions(['t1', 0, 100000]),
  'd3.json': deletions(['none', 0, 1]),
  'd4.json': 'not json',
  'd5.json': deletions(['t1', 0, 1], ['t1', 0, 2]),
  'd6.json': deletions(['t2', 0, 1]),
}

const TOPICS: Readonly<Record<string, readonly [assignment: string, config: string]>> = {
  t1: ['0:1,1:0,0:1', ''],
  t2: ['0', 'cleanup.policy=compact'],
  t3: ['0:1,1:0,0:1,1:0,1:0', ''],
  none: ['0', ''],
  auto1: ['1', ''],
  'with.dot': ['1', ''],
  __consumer_offsets: ['0:1,1:0', ''],
}

interface DirsAnswer {
  readonly brokers: readonly {
    readonly broker: number
    readonly logDirs: readonly {
      readonly logDir: string
      readonly error: unknown
      readonly partitions: readonly { partition: string; size: number }[]
    }[]
  }[]
}

/** Partitions come in any order; the recording's brokers had two log directories, and other records. */
function same(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      if (!line.startsWith('{"version":1,"brokers"')) return line
      const { brokers } = JSON.parse(line) as DirsAnswer
      return JSON.stringify(
        brokers
          .toSorted((a, b) => a.broker - b.broker)
          .map(({ broker, logDirs }) => ({
            broker,
            errors: [...new Set(logDirs.map(({ error }) => error))],
            partitions: logDirs
              .flatMap(({ partitions }) => partitions)
              .map((one) => ({ ...one, size: 0 }))
              .sort((a, b) => (a.partition < b.partition ? -1 : 1)),
          })),
      )
    })
    .join('\n')
    .replace(/brokers (?:0,1|1,0)\n/, 'brokers 0,1\n')
    .replaceAll(/SimpleDateFormat@\w+/g, 'SimpleDateFormat@<hash>')
    .replaceAll(/(?:9999-12-31|0000-00-00) \d\d:\d\d:\d\d,\d{3}/g, '<time>')
}

describe('tools that ask brokers against the genuine recordings', () => {
  let cluster: TestCluster
  const directory = mkdtempSync(join(tmpdir(), 'samsa-tools-'))
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2 })
    await Promise.all(
      Object.entries(TOPICS).map(async ([topic, [assignment, config]]) => {
        const words = ['--create', '--topic', topic, '--replica-assignment', assignment]
        const ran = await cluster.topics(config === '' ? words : [...words, '--config', config])
        assert.equal(ran.code, 0, ran.stdout)
        const lists = assignment.split(',')
        await cluster.fullIsr(topic, lists.length, lists[0]?.split(':').length ?? 0)
        await cluster.knownEverywhere(topic, lists.length)
      }),
    )
    for (const partition of ['0', '1', '2']) await kcat(cluster.bootstrap, ['-P', '-t', 't1', '-p', partition], 'a\nb\nc\n')
    await kcat(cluster.bootstrap, ['-P', '-t', 't2', '-p', '0', '-K', ':'], 'k1:v1\nk2:v2\nk1:v3\n')
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const masks = (): Record<string, string> => clusterMasks(cluster, directory)
  // Offsets first: the deletions change them.
  const tools: readonly (readonly [tool: string, recording: string, sorted: boolean])[] = [
    ['kafka.tools.GetOffsetShell', 'get-offset', true],
    ['kafka-log-dirs.sh', 'log-dirs', false],
    ['kafka-simple-consumer-shell.sh', 'simple-consumer-shell', false],
    ['kafka.tools.ExportZkOffsets', 'export-zk-offsets', false],
    ['kafka.tools.StateChangeLogMerger', 'state-change-log-merger', false],
    ['kafka-delete-records.sh', 'delete-records', false],
  ]
  for (const [tool, recording, sorted] of tools) {
    for (const [i, recorded] of toolRuns(recording).entries()) {
      const anyOrder = (text: string): string => (/^t1:/.test(text) ? text.split('\n').sort().join('\n') : text)
      it(`${recording} ${i + 1}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
        await runUntilAsRecorded({ tool, masks, same: sorted ? anyOrder : same }, recorded)
      })
    }
  }

  it('kafka-log-dirs.sh names the directory and the bytes that are there', async () => {
    const words = ['--bootstrap-server', cluster.bootstrap, '--describe', '--topic-list', 't2']
    const { stdout } = await run(join(distribution, 'bin', 'kafka-log-dirs.sh'), words)
    const { brokers } = JSON.parse(stdout.split('\n')[2] ?? '') as DirsAnswer
    const [dir] = brokers.find(({ broker }) => broker === 0)?.logDirs ?? []
    const { logDirectory } = cluster.broker(0)
    const { size } = statSync(join(logDirectory, 't2-0', '00000000000000000000.log'))
    assert.ok(size > 0)
    assert.equal(dir?.logDir, logDirectory)
    assert.deepEqual(dir?.partitions, [{ partition: 't2-0', size, offsetLag: 0, isFuture: false }])
  })

  it('kafka-simple-consumer-shell.sh prints keys and times, from any replica, and waits for what comes', async () => {
    const words = [
      '--broker-list',
      cluster.bootstrap,
      '--topic',
      't1',
      '--partition',
      '1',
      '--replica',
      '0',
      '--max-messages',
      '4',
    ]
    const tool = join(distribution, 'bin', 'kafka-simple-consumer-shell.sh')
    const properties = ['--property', 'print.timestamp=true', '--property', 'print.key=true', '--property', 'key.separator=|']
    const waiting = run(tool, [...words, ...properties, '--offset', '-2'])
    const end = await kcat(cluster.bootstrap, ['-Q', '-t', 't1:1:-1'])
    await kcat(cluster.bootstrap, ['-P', '-t', 't1', '-p', '1', '-K', ':'], 'k:one\nk:two\nk:three\nk:four\n')
    const { stdout, code } = await waiting
    assert.equal(code, 0)
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 4, `${stdout} from ${end}`)
    for (const line of lines) assert.match(line, /^CreateTime:\d{13}\|(k|null)\|\w+$/)
  })

  it('ExportZkOffsets writes the offsets that groups keep in ZooKeeper', async () => {
    await cluster.zk.setConsumerOffset('g1', { topic: 't1', partition: 0 }, 17)
    await cluster.zk.setConsumerOffset('g1', { topic: 't1', partition: 2 }, 4)
    await cluster.zk.setConsumerOffset('g2', { topic: 't2', partition: 0 }, 1)
    const file = join(directory, 'offsets')
    const words = ['kafka.tools.ExportZkOffsets', '--zkconnect', cluster.zookeeper, '--output-file', file]
    const script = join(distribution, 'bin', 'kafka-run-class.sh')
    assert.equal((await run(script, words)).code, 0)
    const g1 = '/consumers/g1/offsets/t1/0:17\n/consumers/g1/offsets/t1/2:4\n'
    assert.equal(readFileSync(file, 'utf8'), `${g1}/consumers/g2/offsets/t2/0:1\n`)
    assert.equal((await run(script, [...words, '--group', 'g1'])).code, 0)
    assert.equal(readFileSync(file, 'utf8'), g1)
    const nowhere = await run(script, [...words.slice(0, -1), join(directory, 'no', 'file')])
    assert.match(nowhere.stderr, /java\.io\.FileNotFoundException: .*\/no\/file \(No such file or directory\)\n$/)
    assert.equal(nowhere.code, 1)
  })

  it('DumpLogSegments reads what these brokers wrote', async () => {
    const file = join(cluster.broker(0).logDirectory, 't2-0', '00000000000000000000.log')
    const words = ['kafka.tools.DumpLogSegments', '--files', file, '--print-data-log']
    const dumped = await eventually('three records', async () => {
      const ran = await run(join(distribution, 'bin', 'kafka-run-class.sh'), words)
      return ran.stdout.split('\n').length >= 5 ? ran : undefined
    })
    assert.deepEqual(
      [...dumped.stdout.matchAll(/^offset: (\d).* key: (\S+) payload: (\S+)$/gm)].map(([, offset, key, value]) => [
        offset,
        key,
        value,
      ]),
      [
        ['0', 'k1', 'v1'],
        ['1', 'k2', 'v2'],
        ['2', 'k1', 'v3'],
      ],
    )
  })

  it('StateChangeLogMerger merges what Apache 1.1.1 merges', async () => {
    const line = (time: string, text: string): string => `[2018-01-0${time}] TRACE ${text}`
    const [one, two, three] = [
      line('1 10:00:00,001', 'Controller 0 epoch 1 [t1,0] one'),
      line('1 10:00:00,005', 'Controller 0 [t2,1] two'),
      line('1 10:00:00,009', 'broker [t1,1] three'),
    ]
    const four = line('1 10:00:00,003', 'other [t1,0] four')
    writeFileSync(join(directory, 'state-change.log.a'), [one, two, 'not a date', three, ''].join('\n'))
    writeFileSync(join(directory, 'state-change.log.b'), [four, line('2 10:00:00,003', 'other t1-0 five'), ''].join('\n'))
    const logs = ['--logs', `${directory}/state-change.log.a,${directory}/state-change.log.b`]
    const merge = async (...words: string[]): Promise<string[]> => {
      const ran = await run(join(distribution, 'bin', 'kafka-run-class.sh'), ['kafka.tools.StateChangeLogMerger', ...words])
      assert.deepEqual({ code: ran.code, stderr: ran.stderr }, { code: 0, stderr: '' })
      return ran.stdout.trimEnd().split('\n')
    }
    assert.deepEqual(await merge(...logs), [one, four, two, three])
    assert.deepEqual(await merge('--logs-regex', `${directory}/state-change.log.*`), [one, four, two, three])
    assert.deepEqual(await merge(...logs, '--topic', 't1'), [one, four, three])
    assert.deepEqual(await merge(...logs, '--topic', 't1', '--partitions', '0'), [one, four])
    const between = ['--start-time', '2018-01-01 10:00:00,004', '--end-time', '2018-01-01 12:00:00,000']
    assert.deepEqual(await merge(...logs, ...between), [two, three])
  })

  it('kafka-run-class.sh knows no class that is not there', async () => {
    const ran = await run(join(distribution, 'bin', 'kafka-run-class.sh'), ['kafka.tools.NoSuchTool', '--help'])
    assert.deepEqual(
      { stdout: ran.stdout, stderr: ran.stderr, code: ran.code },
      { stdout: '', stderr: 'Error: Could not find or load main class kafka.tools.NoSuchTool\n', code: 1 },
    )
  })
})
