/**
 * A mirror maker between two clusters, with the new consumer or the old one, is killed again and again, in the middle of batches that linger and of commits that come every few
 * milliseconds: every record arrives, at least once, with its key, its time and its headers, in the order of its key.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type ConsumerRecord, createConsumer, createProducer } from '../../src/client/index.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { startCluster, type TestCluster } from '../../src/testing/index.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import { distribution, eventually } from '../harness/brokers.ts'

const RECORDS = 6000
const KEYS = 20
const KILLS = 2
const PARTITIONS = 4
const TIME = 1_600_000_000_000
const TIMEOUT_MS = 30_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

for (const kind of ['new', 'old'] as const)
  describe(`a mirror maker with the ${kind} consumer under kill -9`, () => {
    let source: TestCluster
    let target: TestCluster
    let mirror: ChildProcess | undefined
    const directory = mkdtempSync(join(tmpdir(), 'samsa-mirror-'))
    before(async () => {
      const groups = { 'group.initial.rebalance.delay.ms': 0, 'group.min.session.timeout.ms': 1000 }
      const properties = { ...groups, 'num.partitions': PARTITIONS }
      source = await startCluster({ brokers: 1, properties, sessionTimeoutMs: 20_000 })
      target = await startCluster({ brokers: 1, properties, sessionTimeoutMs: 20_000 })
      const consumer =
        kind === 'new'
          ? {
              'bootstrap.servers': source.bootstrapServers,
              'auto.offset.reset': 'earliest',
              'session.timeout.ms': 2000,
              'heartbeat.interval.ms': 500,
              'max.poll.records': 50,
              'partition.assignment.strategy': 'org.apache.kafka.clients.consumer.RoundRobinAssignor',
            }
          : {
              'zookeeper.connect': source.zookeeperConnect,
              'auto.offset.reset': 'smallest',
              'zookeeper.session.timeout.ms': 2000,
              'rebalance.backoff.ms': 500,
              'rebalance.max.retries': 20,
            }
      const lines = Object.entries({ 'group.id': 'mirror', ...consumer }).map(([key, value]) => `${key}=${value}\n`)
      writeFileSync(join(directory, 'consumer'), lines.join(''))
      writeFileSync(join(directory, 'producer'), `bootstrap.servers=${target.bootstrapServers}\nlinger.ms=100\n`)
      await source.createTopic('mirrored', { partitions: PARTITIONS })
      await source.createTopic('kept', { partitions: 1 })
    })
    after(async () => {
      mirror?.kill('SIGKILL')
      await source?.stop()
      await target?.stop()
      rmSync(directory, { recursive: true, force: true })
    })

    function start(): void {
      const files = ['--consumer.config', join(directory, 'consumer'), '--producer.config', join(directory, 'producer')]
      const words = [...files, '--whitelist', 'mirrored,other', '--num.streams', '2', '--offset.commit.interval.ms', '20']
      mirror = spawn(join(distribution, 'bin', 'kafka-mirror-maker.sh'), words, { stdio: ['ignore', 'inherit', 'inherit'] })
    }

    async function end(signal: NodeJS.Signals): Promise<number | null> {
      const exit = new Promise<number | null>((resolve) => mirror?.once('exit', (code) => resolve(code)))
      mirror?.kill(signal)
      return exit
    }

    async function produce(): Promise<void> {
      const producer = createProducer({ 'bootstrap.servers': source.bootstrapServers, acks: 'all', 'max.block.ms': 60_000 })
      for (let i = 0; i < RECORDS; i++) {
        const headers = [{ key: 'h', value: Buffer.from(`${i}`) }]
        producer.produce({ topic: 'mirrored', key: `${i % KEYS}`, value: `${i}`, timestamp: TIME + i, headers })
      }
      producer.produce({ topic: 'kept', value: 'not for others' })
      await producer.close()
    }

    it('loses nothing, and a signal ends it in order', async () => {
      await produce()
      const reader = createConsumer({
        'bootstrap.servers': target.bootstrapServers,
        'auto.offset.reset': 'earliest',
        'enable.auto.commit': false,
      })
      await target.createTopic('mirrored', { partitions: PARTITIONS })
      reader.assign(Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'mirrored', partition })))
      const seen = new Map<number, ConsumerRecord>()
      const firsts: number[] = []
      const readUntil = (count: number): Promise<true> =>
        eventually(
          `${count} records`,
          async () => {
            for (const record of await reader.poll(200)) {
              const value = Number(`${record.value}`)
              if (seen.has(value)) continue
              seen.set(value, record)
              firsts.push(value)
            }
            return seen.size >= count
          },
          TIMEOUT_MS,
        )
      for (let kill = 1; kill <= KILLS; kill++) {
        start()
        await readUntil((RECORDS * kill) / (KILLS + 2))
        await end('SIGKILL')
      }
      start()
      await readUntil(RECORDS)
      assert.equal(await end('SIGTERM'), 143)
      await reader.close()
      for (const [value, { key, timestamp, headers }] of seen) {
        assert.deepEqual(
          [`${key}`, timestamp, headers.map((one) => `${one.key}=${one.value}`)],
          [`${value % KEYS}`, TIME + value, [`h=${value}`]],
        )
      }
      for (let key = 0; key < KEYS; key++) {
        const ofKey = firsts.filter((value) => value % KEYS === key)
        assert.deepEqual(
          ofKey,
          ofKey.toSorted((a, b) => a - b),
        )
      }
    })

    it('has committed all of it, and mirrors nothing else', async () => {
      const consumer = createConsumer({ 'bootstrap.servers': source.bootstrapServers, 'group.id': 'mirror' })
      const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'mirrored', partition }))
      const ends = await consumer.endOffsets(partitions)
      const options = { connect: source.zookeeperConnect, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 }
      const zk = openKafkaZk(options, nodeClock, silent)
      await zk.session.start()
      const kept = await zk.getConsumerOffsets('mirror', partitions)
      await zk.session.close()
      for (const one of partitions) {
        const name = `mirrored-${one.partition}`
        const committed = kind === 'new' ? (await consumer.committed(one))?.offset : kept.get(name)
        assert.equal(committed, ends.get(name), name)
      }
      await consumer.close()
      const other = createConsumer({ 'bootstrap.servers': target.bootstrapServers })
      assert.deepEqual([...(await other.listTopics()).keys()].sort(), ['mirrored'])
      await other.close()
    })
  })
