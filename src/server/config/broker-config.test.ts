import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { golden as goldenFile } from '../../../integration-tests/harness/golden.ts'
import { makeLogConfig, TOPIC_CONFIG_KEYS, validateTopicConfig } from '../../log/log-config.ts'
import type { BrokerConfig } from './broker-config.ts'
import { parseBrokerConfig, unknownBrokerKeys } from './broker-config.ts'
import { BROKER_CONFIG_KEYS } from './broker-config-defs.ts'
import { topicDefaultsOfBroker } from './topic-defaults.ts'

interface GoldenKey {
  readonly name: string
  readonly type: string
  readonly default: string | null
  readonly required: boolean
  readonly importance: string
  readonly valid: string | null
  readonly updateMode: string
  readonly serverDefault: string | null
}

const golden = JSON.parse(readFileSync(goldenFile('wire/configs.json'), 'utf8')) as {
  broker: GoldenKey[]
  topic: GoldenKey[]
}

const parse = (extra: Record<string, string> = {}): BrokerConfig =>
  parseBrokerConfig(new Map(Object.entries({ 'zookeeper.connect': 'localhost:2181', ...extra })))

const refusal = (extra: Record<string, string>): string => {
  try {
    parse(extra)
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`
  }
  return 'accepted'
}

test('the keys are those of 1.1', () => {
  const modes: Record<string, string> = { readOnly: 'read-only', perBroker: 'per-broker', clusterWide: 'cluster-wide' }
  const ours = new Map(BROKER_CONFIG_KEYS.map((key) => [key.name, key]))
  assert.equal(ours.size, golden.broker.length)
  for (const { name, type, default: value, required, importance, valid, updateMode } of golden.broker) {
    const key = ours.get(name)
    assert.ok(key, name)
    const expected = required ? undefined : name === 'log.dir' ? '/tmp/kafka-logs' : value
    assert.deepEqual(
      [key.type, key.default, key.importance, key.valid?.text ?? null, modes[key.updateMode]],
      [type, expected, importance, valid, updateMode],
      name,
    )
  }
})

test('the topic keys are those of 1.1', () => {
  const ours = new Map(TOPIC_CONFIG_KEYS.map((key) => [key.name, key]))
  assert.equal(ours.size, golden.topic.length)
  for (const { name, type, default: value, valid, serverDefault } of golden.topic) {
    const key = ours.get(name)
    assert.ok(key, name)
    assert.deepEqual(
      [key.type, key.default, key.valid?.text ?? null, key.serverDefault ?? null],
      [type, value, valid, serverDefault],
      name,
    )
  }
})

test('start errors as recorded from a genuine broker', () => {
  assert.match(
    refusal({ 'broker.id': 'x' }),
    /^org.apache.kafka.common.config.ConfigException: Invalid value x for configuration broker.id: Not a number of type INT$/,
  )
  assert.equal(
    refusal({ listeners: 'BOGUS://127.0.0.1:1' }),
    "java.lang.IllegalArgumentException: Error creating broker listeners from 'BOGUS://127.0.0.1:1': No security protocol defined for listener BOGUS",
  )
  assert.equal(
    refusal({ 'log.retention.hours': '0' }),
    'java.lang.IllegalArgumentException: requirement failed: log.retention.ms must be unlimited (-1) or, equal or greater than 1',
  )
  assert.throws(
    () => parseBrokerConfig(new Map()),
    /Missing required configuration "zookeeper.connect" which has no default value\./,
  )
})

test('settings that exclude each other are refused by name', () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ 'broker.id': '1001' }, /broker\.id 1001 .*reserved\.broker\.max\.id/],
    [{ 'broker.id.generation.enable': 'false' }, /broker\.id -1/],
    [{ 'log.roll.ms': '0' }, /log\.roll\.ms/],
    [{ 'log.cleaner.threads': '0' }, /log\.cleaner\.dedupe\.buffer\.size/],
    [
      { 'log.cleaner.dedupe.buffer.size': '1048576' },
      /log\.cleaner\.dedupe\.buffer\.size must be at least 1MB per cleaner thread\./,
    ],
    [{ 'replica.fetch.wait.max.ms': '40000' }, /replica\.socket\.timeout\.ms/],
    [{ 'replica.fetch.wait.max.ms': '20000' }, /replica\.lag\.time\.max\.ms/],
    [{ 'offsets.commit.required.acks': '4' }, /offsets\.commit\.required\.acks/],
    [{ 'compression.type': 'zstd' }, /compression\.type : zstd is not valid/],
    [{ listeners: 'PLAINTEXT://:1,PLAINTEXT://:2' }, /different name/],
    [{ listeners: 'PLAINTEXT://:1,SSL://:1' }, /different port/],
    [{ listeners: 'PLAINTEXT:/x' }, /Unable to parse PLAINTEXT:\/x to a broker endpoint/],
    [{ 'advertised.listeners': 'SSL://h:1' }, /inter\.broker\.listener\.name must be a listener name/],
    [{ 'advertised.listeners': 'PLAINTEXT://0.0.0.0:1' }, /0\.0\.0\.0/],
    [{ 'inter.broker.listener.name': 'X', 'security.inter.broker.protocol': 'PLAINTEXT' }, /Only one of/],
    [{ 'inter.broker.listener.name': 'X' }, /Listener with name X/],
    [{ 'log.message.format.version': '0.11.0', 'inter.broker.protocol.version': '0.10.2' }, /log\.message\.format\.version/],
    [{ 'inter.broker.protocol.version': '9.9' }, /Version `9\.9` is not a valid version/],
    [{ 'queued.max.request.bytes': '100' }, /queued\.max\.request\.bytes/],
    [{ 'max.connections.per.ip.overrides': 'h:many' }, /max\.connections\.per\.ip\.overrides: many/],
    [{ 'authorizer.class.name': 'kafka.security.auth.SimpleAclAuthorizer' }, /authorizer\.class\.name/],
    [{ listeners: 'PLAINTEXT://:1,SSL://:2' }, /SSL is not supported/],
    [{ 'samsa.faithful': 'H99' }, /samsa\.faithful/],
  ]
  for (const [settings, message] of cases) assert.match(refusal(settings), message, JSON.stringify(settings))
})

test('fallbacks: the finer unit wins, negative means unlimited', () => {
  assert.equal(parse().logRetentionMs, 168 * 3600_000)
  assert.equal(parse({ 'log.retention.minutes': '5', 'log.retention.hours': '9' }).logRetentionMs, 300_000)
  assert.equal(parse({ 'log.retention.minutes': '5', 'log.retention.ms': '7' }).logRetentionMs, 7)
  assert.equal(parse({ 'log.retention.hours': '-5' }).logRetentionMs, -1)
  assert.equal(parse({ 'log.roll.hours': '2' }).logRollMs, 7_200_000)
  assert.equal(parse({ 'log.flush.scheduler.interval.ms': '100' }).logFlushIntervalMs, 100)
  assert.equal(parse().zookeeperConnectionTimeoutMs, 6000)
  assert.deepEqual(parse({ 'log.dirs': '/a, /b', 'log.dir': '/c' }).logDirs, ['/a', '/b'])
  assert.deepEqual(parse().logDirs, ['/tmp/kafka-logs'])
})

test('listeners and what is advertised', () => {
  const names = (config: BrokerConfig): string[] =>
    config.advertisedListeners.map(({ listenerName, host, port }) => `${listenerName}://${host}:${port}`)
  assert.deepEqual(names(parse()), ['PLAINTEXT://:9092'])
  assert.deepEqual(names(parse({ 'host.name': 'h', port: '7' })), ['PLAINTEXT://h:7'])
  assert.deepEqual(names(parse({ 'advertised.host.name': 'pub' })), ['PLAINTEXT://pub:9092'])
  assert.deepEqual(names(parse({ listeners: 'plaintext://[::1]:9092' })), ['PLAINTEXT://::1:9092'])
  const custom = parse({
    listeners: 'INTERNAL://:1,EXTERNAL://:2',
    'listener.security.protocol.map': 'INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT',
    'inter.broker.listener.name': 'INTERNAL',
    'advertised.listeners': 'INTERNAL://a:1,EXTERNAL://b:2',
    'max.connections.per.ip.overrides': 'localhost:3,::1:4',
  })
  assert.equal(custom.interBrokerListenerName, 'INTERNAL')
  assert.deepEqual(custom.advertisedListeners[1], { listenerName: 'EXTERNAL', host: 'b', port: 2, securityProtocol: 'PLAINTEXT' })
  assert.deepEqual(
    [...custom.maxConnectionsPerIpOverrides],
    [
      ['localhost', 3],
      ['::1', 4],
    ],
  )
})

test('versions are cut to their known part', () => {
  const config = parse({ 'inter.broker.protocol.version': '1.1.1', 'log.message.format.version': '0.10.2.1' })
  assert.equal(config.interBrokerProtocolVersion.name, '1.1-IV0')
  assert.equal(config.logMessageFormatVersion.name, '0.10.2-IV0')
  assert.equal(config.logMessageFormatVersion.magic, 1)
})

test('unknown keys are told, listener-scoped ones are known', () => {
  const keys = [
    'zookeeper.connect',
    'nosuch.key',
    'listener.name.internal.ssl.keystore.location',
    'listener.name.x.plain.sasl.jaas.config',
    'listener.name.x.bogus',
  ]
  assert.deepEqual(unknownBrokerKeys(new Map(keys.map((key) => [key, 'x']))), ['nosuch.key', 'listener.name.x.bogus'])
})

test('a topic takes its settings from overrides, then the broker, then 1.1', () => {
  const config = parse({
    'log.segment.bytes': '1000',
    'log.retention.minutes': '1',
    'log.cleanup.policy': 'compact,delete',
    'min.insync.replicas': '2',
  })
  const defaults = topicDefaultsOfBroker(config)
  const plain = makeLogConfig(defaults, {})
  assert.deepEqual(
    [plain.segmentBytes, plain.retentionMs, plain.compact, plain.delete, plain.minInSyncReplicas, plain.messageFormatMagic],
    [1000, 60_000, true, true, 2, 2],
  )
  const changed = makeLogConfig(defaults, {
    'segment.bytes': '2000',
    'cleanup.policy': 'delete',
    'message.format.version': '0.9.0',
    'leader.replication.throttled.replicas': '0:1,1:2',
  })
  assert.deepEqual(
    [changed.segmentBytes, changed.compact, changed.messageFormatMagic, changed.leaderReplicationThrottledReplicas],
    [2000, false, 0, '0:1,1:2'],
  )
  const limited = makeLogConfig(
    defaults,
    { 'message.format.version': '1.1' },
    parse({ 'inter.broker.protocol.version': '0.10.0', 'log.message.format.version': '0.10.0' }).interBrokerProtocolVersion,
  )
  assert.equal(limited.messageFormatMagic, 1)
})

test('topic settings are refused as 1.1 refuses them', () => {
  const message = (overrides: Record<string, string>): string => {
    try {
      validateTopicConfig(overrides)
    } catch (error) {
      return (error as Error).message
    }
    return 'accepted'
  }
  assert.equal(message({ 'no.such': '1' }), 'Unknown topic config name: no.such')
  assert.equal(message({ 'retention.ms': 'abc' }), 'Invalid value abc for configuration retention.ms: Not a number of type LONG')
  assert.equal(
    message({ 'min.insync.replicas': '0' }),
    'Invalid value 0 for configuration min.insync.replicas: Value must be at least 1',
  )
  assert.equal(
    message({ 'cleanup.policy': 'shrink' }),
    'Invalid value shrink for configuration cleanup.policy: String must be one of: compact, delete',
  )
  assert.equal(message({ 'segment.bytes': '14', 'retention.bytes': '-1', 'cleanup.policy': 'compact,delete' }), 'accepted')
  assert.match(message({ 'leader.replication.throttled.replicas': '1-2' }), /must be the literal '\*' or a list of replicas/)
})
