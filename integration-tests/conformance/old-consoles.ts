/**
 * Clients of all ages on one topic: the console producers of Kafka 0.8.2.2, 0.10.2.2 and 1.1.1 and kcat as 0.8.2, 0.9 and 0.10 write with
 * every codec into a topic of each message format; each of them must read all of it, in order, byte for byte.
 * Not part of the tests: it needs Apache's jars of three releases and some minutes.
 *
 *   APACHE_KAFKA=COMMAND node build/integration-tests/conformance/old-consoles.js
 *
 * COMMAND runs a tool of a release: `COMMAND -V 0.8.2.2 console-producer ...`. The exit code is the number of readers that read something else.
 */
import assert from 'node:assert/strict'
import { run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

const RELEASES = ['0.8.2.2', '0.10.2.2', '1.1.1']
const EMULATED = ['0.8.2', '0.9.0', '0.10.0']
const CODECS = ['none', 'gzip', 'snappy', 'lz4']
const FORMATS = ['0.9.0', '0.10.2', '1.1']
const LINES = 200
const PATIENCE_MS = 180_000

const oldKcat = (version: string): string[] => ['-X', 'api.version.request=false', '-X', `broker.version.fallback=${version}`]

/** Keys and values of many sizes; every writer's are its own. */
function lines(writer: string): string {
  return Array.from({ length: LINES }, (_, i) => `${writer}-${i}\t${i} by ${writer} ${'äöü '.repeat(i % 40)}\n`).join('')
}

interface Stage {
  readonly cluster: TestCluster
  readonly command: string
  readonly topic: string
}

async function write({ cluster, command, topic }: Stage): Promise<string> {
  let written = ''
  for (const codec of CODECS) {
    for (const release of RELEASES) {
      // lz4 came to the console producer with 0.9
      if (release === '0.8.2.2' && codec === 'lz4') continue
      const input = lines(`java-${release}-${codec}`)
      const words = ['-V', release, 'console-producer', '--broker-list', cluster.bootstrap, '--topic', topic]
      const more = ['--property', 'parse.key=true', ...(codec === 'none' ? [] : ['--compression-codec', codec])]
      const ran = await run(command, [...words, ...more], { input, timeoutMs: PATIENCE_MS })
      assert.equal(ran.code, 0, `${words.join(' ')}: ${ran.stderr}`)
      assert.doesNotMatch(ran.stdout + ran.stderr, /ERROR|Exception/, words.join(' '))
      written += input
    }
    for (const version of EMULATED) {
      const input = lines(`kcat-${version}-${codec}`)
      const words = ['-b', cluster.bootstrap, '-P', '-t', topic, '-p', '0', '-K', '\t', '-z', codec, ...oldKcat(version)]
      const ran = await run('kcat', words, { input, timeoutMs: PATIENCE_MS })
      assert.equal(ran.code, 0, `kcat ${words.join(' ')}: ${ran.stderr}`)
      written += input
    }
  }
  return written
}

function readers({ cluster, command, topic }: Stage, count: number): [name: string, program: string, words: string[]][] {
  const all = ['--topic', topic, '--from-beginning', '--max-messages', `${count}`, '--property', 'print.key=true']
  const byZooKeeper = ['--zookeeper', cluster.zookeeper, ...all]
  const byBrokers = ['--bootstrap-server', cluster.bootstrap, ...all]
  const kcat = ['-b', cluster.bootstrap, '-C', '-t', topic, '-p', '0', '-e', '-q', '-K', '\t', '-X', 'check.crcs=true']
  return [
    ...RELEASES.map((release): [string, string, string[]] => [
      `java ${release} by ZooKeeper`,
      command,
      ['-V', release, 'console-consumer', ...byZooKeeper],
    ]),
    ...RELEASES.slice(1).map((release): [string, string, string[]] => [
      `java ${release}`,
      command,
      ['-V', release, 'console-consumer', ...byBrokers],
    ]),
    ...EMULATED.map((version): [string, string, string[]] => [`kcat as ${version}`, 'kcat', [...kcat, ...oldKcat(version)]]),
    ['kcat', 'kcat', kcat],
  ]
}

async function main(command: string): Promise<number> {
  const cluster = await TestCluster.start({ brokers: 3, properties: { 'offsets.topic.num.partitions': 4 } })
  let differing = 0
  try {
    for (const format of FORMATS) {
      const stage = { cluster, command, topic: `format-${format}` }
      await cluster.createTopic(stage.topic, 1, 3, '--config', `message.format.version=${format}`)
      const written = await write(stage)
      const count = written.split('\n').length - 1
      for (const [name, program, words] of readers(stage, count)) {
        const { stdout } = await run(program, words, { timeoutMs: PATIENCE_MS })
        const isEqual = stdout === written
        if (!isEqual) differing++
        console.log(`${isEqual ? 'equal ' : 'DIFFER'} format ${format}: ${count} records read by ${name}`)
        if (!isEqual) console.log(firstDifference(written, stdout))
      }
    }
  } finally {
    await cluster.close()
  }
  return differing
}

function firstDifference(expected: string, found: string): string {
  const [left, right] = [expected.split('\n'), found.split('\n')]
  const at = left.findIndex((line, i) => line !== right[i])
  return `  ${right.length - 1} lines; line ${at + 1} is ${JSON.stringify(right[at])} instead of ${JSON.stringify(left[at])}`
}

const command = process.env['APACHE_KAFKA'] ?? ''
if (command === '') {
  console.error("Set APACHE_KAFKA to a command that runs Apache's tools of a release: COMMAND -V 0.8.2.2 console-producer ...")
  process.exit(2)
}
process.exit(await main(command))
