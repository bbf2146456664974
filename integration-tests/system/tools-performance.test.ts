/** The performance tools say what the genuine ones said (recorded from Apache 1.1.1), figures excepted. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { distribution, kcat, run } from '../harness/brokers.ts'
import { SMALL_INTERNAL_TOPICS, TestCluster } from '../harness/cluster.ts'
import { clusterMasks, runAsRecorded, toolRuns } from '../harness/tool-runs.ts'

/** Times and figures. Between the total and the table of metrics there may be progress. */
function same(text: string): string {
  return text
    .replaceAll(/perf-consumer-\d+(\)?) */g, 'perf-consumer-<n>$1')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}/g, '<time>')
    .replaceAll(/\b\d+\.\d+\b/g, '<float>')
    .replaceAll(/\b\d+ ms\b/g, '<n> ms')
    .replaceAll(/(?<=, )(?:-?\d+|NaN|Infinity)(?=,|\n|$)/g, '<n>')
    .replaceAll(/(?<=, )(?:<float>|<n>)(?=,|\n|$)/g, '<figure>')
    .replaceAll(/^\d+ records sent, .* max latency\.\n/gm, '')
}

/** One thread in ten has partitions here; 1.1 warns of the others. */
const withoutIdleThreads = (text: string): string =>
  same(text).replaceAll(/^.*No broker partitions consumed by consumer thread .*\n/gm, '')

/** Names of our metrics are names of 1.1's. */
const metricNames = (text: string): string[] => [...text.matchAll(/^(\S+:\S+:\{.*?\}) +: /gm)].map(([, name = '']) => name)

const properties = { ...SMALL_INTERNAL_TOPICS, 'group.initial.rebalance.delay.ms': 0 }

describe('performance tools against the genuine recordings', () => {
  let cluster: TestCluster
  const directory = mkdtempSync(join(tmpdir(), 'samsa-perf-'))
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2, properties })
    await cluster.createTopic('t1', 3, 1)
    writeFileSync(join(directory, 'pl'), 'a\nb\n')
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const masks = (): Record<string, string> => ({ ...clusterMasks(cluster, directory), '<float>.<float>': '127.0.0.1' })

  const producing = toolRuns('producer-perf')
  for (const [i, recorded] of producing.entries()) {
    // 4 was killed before its end, 5 prints metrics: see below.
    if (i === 3 || i === 4) continue
    it(`producer-perf ${i + 1}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
      await runAsRecorded({ tool: 'kafka-producer-perf-test.sh', masks, same }, recorded)
    })
  }

  const producerTool = join(distribution, 'bin', 'kafka-producer-perf-test.sh')
  const total =
    /^(\d+) records sent, \d+\.\d{6} records\/sec \(\d+\.\d\d MB\/sec\), \d+\.\d\d ms avg latency, \d+\.\d\d ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.$/m

  it('producer-perf 4: as many records as were asked for, with the letters of the Java tool', async () => {
    const words = ['--topic', 't2', '--num-records', '1000', '--record-size', '100', '--throughput', '-1', '--producer-props']
    const ran = await run(producerTool, [...words, `bootstrap.servers=${cluster.bootstrap}`, 'acks=1'])
    assert.equal(total.exec(ran.stdout)?.[1], '1000', ran.stdout + ran.stderr)
    const records = (await kcat(cluster.bootstrap, ['-C', '-t', 't2', '-o', 'beginning', '-e', '-q'])).trimEnd().split('\n')
    assert.equal(records.length, 1000)
    assert.deepEqual(
      [...new Set(records)],
      ['SSXVNJHPDQDXVCRASTVYBCWVMGNYKRXVZXKGXTSPSJDGYLUEGQFLAQLOCFLJBEPOWFNSOMYARHAOPUFOJHHDXEHXJBHWGSMZJGNL'],
    )
  })

  it('producer-perf 5: the metrics have the names and the table that 1.1 has', async () => {
    const recorded = producing[4] ?? assert.fail('no run 5')
    const words = ['--topic', 't1', '--num-records', '100', '--record-size', '100', '--throughput', '1000', '--print-metrics']
    const ran = await run(producerTool, [...words, '--producer-props', `bootstrap.servers=${cluster.bootstrap}`])
    assert.match(ran.stdout, total)
    const names = metricNames(ran.stdout)
    const known = metricNames(recorded.stdout)
    assert.deepEqual(
      names.filter((name) => !known.includes(name) && !name.includes(':byte-rate:')),
      [],
    )
    assert.deepEqual(names, names.toSorted())
    for (const name of ['record-send-total', 'request-latency-avg', 'batch-size-avg', 'buffer-available-bytes']) {
      assert.ok(names.includes(`producer-metrics:${name}:{client-id=producer-1}`), name)
    }
    assert.match(ran.stdout, /^producer-metrics:record-send-total:\{client-id=producer-1\} +: 100\.000$/m)
    assert.match(ran.stdout, /\n\nMetric Name {2,}Value\n/)
  })

  it('holds the throughput that it was given', async () => {
    const words = ['--topic', 't1', '--num-records', '300', '--record-size', '10', '--throughput', '300']
    const ran = await run(producerTool, [...words, '--producer-props', `bootstrap.servers=${cluster.bootstrap}`])
    const [, rate] = /^300 records sent, ([\d.]+) records\/sec/m.exec(ran.stdout) ?? assert.fail(ran.stdout)
    // The last record leaves a second after the first at the earliest.
    assert.ok(Number(rate) <= 303, `${rate} records/sec`)
  })

  const consuming = toolRuns('consumer-perf')
  for (const [i, recorded] of consuming.entries()) {
    it(`consumer-perf ${i + 1}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
      await runAsRecorded({ tool: 'kafka-consumer-perf-test.sh', masks, same: withoutIdleThreads }, recorded)
    })
  }

  it('consumer-perf counts records and bytes of keys and values', async () => {
    await kcat(cluster.bootstrap, ['-P', '-t', 't7', '-K', ':'], 'key:value\n'.repeat(1024))
    for (const [where, columns] of [
      [['--broker-list', cluster.bootstrap], 10],
      [['--zookeeper', cluster.zookeeper, '--threads', '1'], 6],
    ] as const) {
      const words = ['--topic', 't7', '--messages', '1024', '--hide-header']
      const ran = await run(join(distribution, 'bin', 'kafka-consumer-perf-test.sh'), [...where, ...words])
      const figures = ran.stdout.trim().split(', ')
      assert.equal(figures.length, columns, ran.stdout + ran.stderr)
      // The old consumer does not count keys.
      assert.equal(figures[2], columns === 10 ? '0.0078' : '0.0049')
      assert.equal(figures[4], '1024')
    }
  })

  it('--date-format', async () => {
    const words = ['--broker-list', cluster.bootstrap, '--topic', 't1', '--messages', '1', '--hide-header', '--date-format']
    const tool = join(distribution, 'bin', 'kafka-consumer-perf-test.sh')
    const { stdout } = await run(tool, [...words, "'on' yyyy/M/dd"])
    assert.match(stdout, /^on \d{4}\/\d{1,2}\/\d\d, on \d{4}\/\d{1,2}\/\d\d, /)
    const wrong = await run(tool, [...words, 'b'])
    assert.equal(wrong.stderr, 'Exception in thread "main" java.lang.IllegalArgumentException: Illegal pattern character \'b\'\n')
    assert.equal(wrong.code, 1)
  })
})
