/** Directories that a genuine 1.1.1 left, served by our broker: the records that its own consumer returned, in both views, and times. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { goldenSet } from '../../src/log/testing-logs.ts'
import { recordsOf } from '../../src/protocol/records/record.ts'
import { eventually } from '../harness/brokers.ts'
import { SMALL_INTERNAL_TOPICS, TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'
import type { Partition } from './log-view.ts'
import { COMMITTED, fetchAll, offsetOf, recordsIn, UNCOMMITTED } from './log-view.ts'

type Text = string | null | { readonly base64: string }

interface GoldenRecord {
  readonly isolation: 'read_uncommitted' | 'read_committed'
  readonly topic: string
  readonly partition: number
  readonly offset?: number
  readonly timestamp: number
  readonly timestampType: string
  readonly key: Text
  readonly value: Text
  readonly headers?: Readonly<Record<string, unknown>> | readonly unknown[]
  readonly beginning: number
  readonly end: number
  readonly records: number
}

function goldenRecords(name: string): GoldenRecord[] {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!folder.endsWith('integration-tests') || folder.includes('build'))
    folder = join(folder, folder.endsWith('integration-tests') ? '../../integration-tests' : '..')
  const text = gunzipSync(readFileSync(join(folder, 'golden/log', `${name}.records.jsonl.gz`))).toString()
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as GoldenRecord)
}

const INTERNAL = /^__/

function bytesOf(text: Text): string {
  if (text === null) return 'null'
  return typeof text === 'string' ? Buffer.from(text).toString('hex') : Buffer.from(text.base64, 'base64').toString('hex')
}

const shownGolden = ({ offset, timestamp, timestampType, key, value }: GoldenRecord) =>
  `${offset} ${timestamp} ${timestampType} ${bytesOf(key)} ${bytesOf(value)}`

async function createTopics(address: string, partitions: readonly Partition[]): Promise<void> {
  const counts = new Map<string, number>()
  for (const { topic, partition } of partitions) counts.set(topic, Math.max(counts.get(topic) ?? 0, partition + 1))
  const createTopicRequests = [...counts].map(([topic, count]) => ({
    topic,
    numPartitions: -1,
    replicationFactor: -1,
    replicaAssignment: Array.from({ length: count }, (_, partition) => ({ partition, replicas: [0] })),
    configEntries: [],
  }))
  const { topicErrors } = await ask(address, 'CreateTopics', 2, { createTopicRequests, timeout: 30_000 })
  assert.deepEqual(
    topicErrors.filter(({ errorCode }) => errorCode !== 0),
    [],
  )
  for (const one of partitions)
    await eventually(`${one.topic}-${one.partition} has a leader`, async () => (await offsetOf(address, one, -1)) >= 0)
}

async function check(address: string, partitions: readonly Partition[], golden: readonly GoldenRecord[]): Promise<void> {
  for (const one of partitions) {
    for (const [level, name] of [
      [UNCOMMITTED, 'read_uncommitted'],
      [COMMITTED, 'read_committed'],
    ] as const) {
      const of = golden.filter(
        ({ topic, partition, isolation }) => topic === one.topic && partition === one.partition && isolation === name,
      )
      const about = `${one.topic}-${one.partition} ${name}`
      const summary = of.find(({ beginning }) => beginning !== undefined)!
      const fetched = await fetchAll(address, one, level)
      const got = recordsIn(fetched, level).map(
        ({ offset, timestamp, timestampType, key, value }) =>
          `${offset} ${timestamp} ${timestampType} ${key?.toString('hex') ?? 'null'} ${value?.toString('hex') ?? 'null'}`,
      )
      assert.deepEqual([fetched.beginning, fetched.end, got.length], [summary.beginning, summary.end, summary.records], about)
      assert.deepEqual(got, of.filter(({ offset }) => offset !== undefined).map(shownGolden), about)
    }
    await checkTimes(address, one)
  }
}

/** The first record at or behind a time, as looking at every one finds it. */
async function checkTimes(address: string, one: Partition): Promise<void> {
  const fetched = await fetchAll(address, one, UNCOMMITTED)
  // Markers have times too.
  const all = fetched.batches.flatMap((batch) => [...recordsOf(batch, 0)]).filter(({ offset }) => offset >= fetched.beginning)
  const times = [...new Set(all.map(({ timestamp }) => timestamp))].filter((time) => time >= 0)
  for (const time of times.slice(0, 6)) {
    assert.equal(
      await offsetOf(address, one, time),
      all.find(({ timestamp }) => timestamp >= time)?.offset,
      `${one.topic} at ${time}`,
    )
  }
  if (times.length > 0) assert.equal(await offsetOf(address, one, Math.max(...times) + 10 ** 12), -1)
}

describe('log directories of a genuine broker', () => {
  // After kill -9 there is what the genuine recovery found.
  for (const [set, recorded = set] of [
    ['clean'],
    ['killed', 'recovered'],
    ['recovered'],
    ['cleaned'],
    ['cleaned-again'],
  ] as const) {
    it(`${set}: every partition is served as its own broker served it`, async () => {
      const golden = goldenRecords(recorded)
      const keys = new Map(golden.map(({ topic, partition }) => [`${topic}-${partition}`, { topic, partition }]))
      const partitions = [...keys.values()]
      assert.ok(partitions.length > 25)
      const properties = {
        'log.retention.hours': -1,
        'log.cleaner.enable': false,
        'auto.create.topics.enable': false,
        ...SMALL_INTERNAL_TOPICS,
      }
      const cluster = await TestCluster.start({ brokers: 1, stopped: true, properties })
      try {
        const broker = cluster.broker(0)
        for (const [path, bytes] of goldenSet(set)) {
          const file = join(broker.logDirectory, path)
          mkdirSync(dirname(file), { recursive: true })
          if (path !== '.lock') writeFileSync(file, bytes)
        }
        await broker.start()
        await cluster.registered(1)
        const [internal, others] = [true, false].map((wanted) =>
          partitions.filter(({ topic }) => INTERNAL.test(topic) === wanted),
        )
        await createTopics(broker.address, others!)
        await check(broker.address, others!, golden)
        // With these the coordinators load what they find, compacted or not, and go on with it.
        await createTopics(broker.address, internal!)
        await check(
          broker.address,
          internal!.filter(({ topic }) => topic === '__consumer_offsets'),
          golden,
        )
        const { groups } = await eventually('the groups are loaded', async () => {
          const answer = await ask(broker.address, 'ListGroups', 1, {})
          return answer.errorCode === 0 && answer.groups.length > 0 && answer
        })
        assert.ok(groups.some(({ groupId }) => groupId === 'g1'))
      } finally {
        await cluster.close()
      }
    })
  }
})
