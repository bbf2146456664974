/** DescribeConfigs and AlterConfigs against the answers of a running 1.1.1 (`live/probes.jsonl.gz`). */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { golden as goldenFile } from '../../../integration-tests/harness/golden.ts'
import type { KafkaZk } from '../../../zk/store/types.ts'
import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { silentLogger } from '../../base/logger.ts'
import { nodeRng } from '../../ports/node/rng.ts'
import { apis } from '../../protocol/apis/index.ts'
import type { ReplicaManager } from '../../replication/types.ts'
import { followConfigChanges } from '../broker-dynamic.ts'
import { parseBrokerConfig } from '../config/broker-config.ts'
import { DynamicBrokerConfig } from '../config/dynamic-broker-config.ts'
import type { TopicConfigs } from '../topic-configs.ts'
import { describeConfigs } from './32-describe-configs.ts'
import { alterConfigs } from './33-alter-configs.ts'
import { call, testBroker } from './testing-broker.ts'

interface Probe {
  readonly condition: string
  readonly api: number
  readonly version: number
  readonly broker: number
  readonly request: string
  readonly response: string
  readonly outcome: string
}

const file = goldenFile('wire/live/probes.jsonl.gz')
const probes = gunzipSync(readFileSync(file))
  .toString('utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Probe)
  .filter(({ api, outcome }) => (api === 32 || api === 33) && outcome === 'answer')

/** The genuine cluster's `server.properties`. */
const PROPERTIES: Record<string, string> = {
  'broker.id': '0',
  'zookeeper.connect': '127.0.0.1:19181',
  'log.dirs': '/kafka000/probe/k/kafka-0/logs',
  listeners: 'PLAINTEXT://127.0.0.1:19092',
  'advertised.listeners': 'PLAINTEXT://127.0.0.1:19190',
  'offsets.topic.replication.factor': '3',
  'transaction.state.log.replication.factor': '3',
  'transaction.state.log.min.isr': '2',
  'offsets.topic.num.partitions': '10',
  'transaction.state.log.num.partitions': '10',
  'group.initial.rebalance.delay.ms': '0',
  'delete.topic.enable': 'true',
  'num.partitions': '4',
  'default.replication.factor': '3',
  'zookeeper.session.timeout.ms': '6000',
  'auto.create.topics.enable': 'true',
}

/** `/config` as the probe had left it, and the topics that it had made. */
class ConfigTree {
  readonly configs = new Map<string, Record<string, string>>([['topics/small', { 'max.message.bytes': '300' }]])
  readonly topics = new Set(['small', 'solo'])
  readonly notifications: string[] = []

  getConfigs = async (type: string, names: readonly string[]): Promise<Map<string, Record<string, string>>> =>
    new Map(names.flatMap((name) => (this.configs.has(`${type}/${name}`) ? [[name, this.configs.get(`${type}/${name}`)!]] : [])))
  setConfig = async (type: string, name: string, config: Record<string, string>): Promise<void> => {
    this.configs.set(`${type}/${name}`, config)
  }
  topicExists = async (topic: string): Promise<boolean> => this.topics.has(topic)
  createConfigChangeNotification = async (path: string): Promise<void> => {
    this.notifications.push(path)
  }
}

/** Lists in answers come in the order of a hash map. */
function normalized(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normalized).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, normalized(inner)]))
}

function header(frame: Buffer): ByteReader {
  const reader = new ByteReader(frame)
  reader.int16()
  reader.int16()
  reader.int32()
  reader.nullableString()
  return reader
}

test('every recorded question about configurations is answered as by a running 1.1.1', async () => {
  assert.ok(probes.length >= 55, `${probes.length} probes`)
  const tree = new ConfigTree()
  const dynamicConfig = new DynamicBrokerConfig(parseBrokerConfig(new Map(Object.entries(PROPERTIES))), silentLogger())
  followConfigChanges(dynamicConfig, {
    replicas: {} as ReplicaManager,
    topicConfigs: {} as TopicConfigs,
    changeListeners: async () => {},
  })
  const { services } = testBroker({}, { zk: tree as unknown as KafkaZk, dynamicConfig, rng: nodeRng })
  for (const probe of probes) {
    const api = probe.api === 32 ? apis.DescribeConfigs : apis.AlterConfigs
    const entry = probe.api === 32 ? describeConfigs : alterConfigs
    const request = api.decodeRequest(header(Buffer.from(probe.request, 'hex')), probe.version)
    const result = call(entry as never, services, request as never, { version: probe.version }) as { response: unknown }
    for (let turn = 0; result.response === undefined && turn < 100; turn++) await new Promise(setImmediate)
    const writer = new ByteWriter()
    api.encodeResponse(writer, probe.version, result.response as never)
    const decode = (bytes: Buffer): unknown => normalized(api.decodeResponse(new ByteReader(bytes), probe.version))
    assert.deepEqual(
      decode(writer.copy()),
      decode(Buffer.from(probe.response, 'hex').subarray(4)),
      `${api.name} v${probe.version} ${probe.condition}`,
    )
    writer.close()
  }
  assert.deepEqual(tree.configs.get('brokers/0'), { 'no.such': '5' })
  assert.deepEqual(tree.notifications, ['topics/solo', 'topics/solo', 'topics/solo', 'topics/solo', 'brokers/0'])
})
