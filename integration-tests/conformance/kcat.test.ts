/** kcat (librdkafka) against three brokers: metadata, every codec, acks, offsets, times; what was produced is read back byte for byte. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { kcat, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { golden } from '../harness/golden.ts'

/** A real text: recorded tool output, cut into non-empty lines and repeated. */
function text(lines: number): string {
  const source = readFileSync(golden('cli/topics.jsonl'), 'utf8')
    .split(/\\n|\n/)
    .filter((line) => line.length > 0 && line.length < 400)
  return `${Array.from({ length: lines }, (_, i) => `${i} ${source[i % source.length]}`).join('\n')}\n`
}

describe('kcat', () => {
  let cluster: TestCluster
  before(async () => {
    assert.ok(
      existsSync('/usr/bin/kcat') || (await run('kcat', ['-V'])).code === 0,
      'kcat is not installed (Debian package kcat)',
    )
    cluster = await TestCluster.start({
      brokers: 3,
      properties: { 'num.partitions': 3, 'default.replication.factor': 3, 'min.insync.replicas': 2 },
    })
  })
  after(() => cluster.close())

  it('lists three brokers and one controller', async () => {
    const listing = await kcat(cluster.bootstrap, ['-L'])
    assert.match(listing, / 3 brokers:/)
    assert.equal((listing.match(/\(controller\)/g) ?? []).length, 1)
  })

  for (const codec of ['none', 'gzip', 'snappy', 'lz4']) {
    it(`20,000 lines with ${codec} and acks=all come back byte for byte`, async () => {
      const topic = `codec-${codec}`
      await cluster.createTopic(topic, 1, 3)
      const input = text(20_000)
      await kcat(cluster.bootstrap, ['-P', '-t', topic, '-p', '0', '-z', codec, '-X', 'acks=all'], input)
      assert.equal(await kcat(cluster.bootstrap, ['-C', '-t', topic, '-p', '0', '-e', '-q', '-X', 'check.crcs=true']), input)
    })
  }

  for (const version of ['0.8.2', '0.9.0', '0.10.0', '0.10.2']) {
    it(`a client that takes us for ${version} writes what a new one reads, and reads what a new one writes`, async () => {
      const topic = `old-${version}`
      await cluster.createTopic(topic, 1, 3)
      const old = ['-X', 'api.version.request=false', '-X', `broker.version.fallback=${version}`]
      const input = text(1000)
      await kcat(cluster.bootstrap, ['-P', '-t', topic, '-p', '0', '-z', 'gzip', ...old], input)
      await kcat(cluster.bootstrap, ['-P', '-t', topic, '-p', '0', '-z', 'lz4'], input)
      assert.equal(
        await kcat(cluster.bootstrap, ['-C', '-t', topic, '-p', '0', '-e', '-q', '-X', 'check.crcs=true']),
        input + input,
      )
      assert.equal(
        await kcat(cluster.bootstrap, ['-C', '-t', topic, '-p', '0', '-e', '-q', '-X', 'check.crcs=true', ...old]),
        input + input,
      )
    })
  }

  it('offsets: beginning, end, from the end, by time', async () => {
    await cluster.createTopic('offsets', 1, 3)
    const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`)
    await kcat(cluster.bootstrap, ['-P', '-t', 'offsets', '-p', '0'], `${lines.join('\n')}\n`)
    assert.match(await kcat(cluster.bootstrap, ['-Q', '-t', 'offsets:0:-1']), /offset 100$/m)
    assert.match(await kcat(cluster.bootstrap, ['-Q', '-t', 'offsets:0:-2']), /offset 0$/m)
    assert.match(await kcat(cluster.bootstrap, ['-Q', '-t', 'offsets:0:1']), /offset 0$/m)
    assert.equal(
      await kcat(cluster.bootstrap, ['-C', '-t', 'offsets', '-p', '0', '-o', '-5', '-e', '-q']),
      `${lines.slice(95).join('\n')}\n`,
    )
  })

  it('a topic is created on demand', async () => {
    await kcat(cluster.bootstrap, ['-P', '-t', 'on-demand'], 'x\n')
    assert.equal(await kcat(cluster.bootstrap, ['-C', '-t', 'on-demand', '-e', '-q']), 'x\n')
    assert.equal((await cluster.partitionState('on-demand', 2)).isr.length, 3)
  })
})
