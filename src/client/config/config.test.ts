import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigException } from '../errors.ts'
import { adminConfig, adminKeys, consumerConfig, consumerKeys, parseAddresses, producerConfig, producerKeys } from './index.ts'

const at = { 'bootstrap.servers': 'localhost:9092' } as const

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof ConfigException)
    return error.message
  }
  return assert.fail('accepted')
}

test('every key of 1.1.1 is there, with its default', () => {
  // Number of keys in the ConfigDef of each client of 1.1.1, and ours on top.
  const ours = 3
  assert.equal(Object.keys(producerKeys).length, 53 + ours)
  assert.equal(Object.keys(consumerKeys).length, 57 + ours)
  assert.equal(Object.keys(adminKeys).length, 38 + ours)
  const producer = producerConfig(at)
  assert.equal(producer.acks, '1')
  assert.equal(producer['batch.size'], 16_384)
  assert.equal(producer['receive.buffer.bytes'], 32_768)
  assert.equal(producer['request.timeout.ms'], 30_000)
  assert.equal(producer['transactional.id'], null)
  assert.deepEqual(producer['bootstrap.servers'], ['localhost:9092'])
  const consumer = consumerConfig(at)
  assert.equal(consumer['request.timeout.ms'], 305_000)
  assert.equal(consumer['receive.buffer.bytes'], 65_536)
  assert.deepEqual(consumer['partition.assignment.strategy'], ['range'])
  const admin = adminConfig(at)
  assert.equal(admin['request.timeout.ms'], 120_000)
  assert.equal(admin['connections.max.idle.ms'], 300_000)
  assert.equal(admin.retries, 5)
})

test('values come as JavaScript has them and as a properties file has them', () => {
  const config = producerConfig({
    ...at,
    'linger.ms': 5,
    'bootstrap.servers': ['a:1', '[::1]:2'],
    'max.block.ms': Number.POSITIVE_INFINITY,
  })
  assert.equal(config['linger.ms'], 5)
  assert.equal(config['max.block.ms'], Number.MAX_SAFE_INTEGER)
  assert.deepEqual(parseAddresses(config['bootstrap.servers']), [
    { host: 'a', port: 1 },
    { host: '::1', port: 2 },
  ])
  const text: Record<string, unknown> = {
    'bootstrap.servers': 'a:1, b:2',
    'linger.ms': ' 7 ',
    'enable.idempotence': 'TRUE',
    acks: -1,
  }
  const parsed = producerConfig(text)
  assert.deepEqual(parsed['bootstrap.servers'], ['a:1', 'b:2'])
  assert.equal(parsed['linger.ms'], 7)
  assert.equal(parsed['enable.idempotence'], true)
})

test('an unknown key is named with the nearest right one', () => {
  const options = (key: string): Record<string, unknown> => ({ ...at, [key]: 1 })
  assert.equal(
    refusal(() => producerConfig(options('lingerMs'))),
    'Unknown producer configuration "lingerMs". Did you mean "linger.ms"?',
  )
  assert.match(
    refusal(() => producerConfig(options('max.in.flight.requests'))),
    /"max\.in\.flight\.requests"\.( Did you mean "max\.in\.flight|$)/,
  )
  assert.equal(
    refusal(() => consumerConfig(options('linger.ms'))),
    'Unknown consumer configuration "linger.ms". It is a key of the producer.',
  )
  assert.equal(
    refusal(() => adminConfig(options('qqqqqq'))),
    'Unknown admin client configuration "qqqqqq".',
  )
  assert.match(
    refusal(() => producerConfig(options('toString'))),
    /^Unknown producer configuration "toString"/,
  )
})

test('a wrong value is named with what is expected', () => {
  const producer = (options: Record<string, unknown>) => refusal(() => producerConfig({ ...at, ...options }))
  assert.equal(producer({ 'batch.size': -1 }), 'Invalid value -1 for configuration batch.size: Value must be at least 0')
  assert.equal(producer({ 'batch.size': 'x' }), 'Invalid value x for configuration batch.size: Not a number of type INT')
  assert.equal(producer({ 'batch.size': 1.5 }), 'Invalid value 1.5 for configuration batch.size: INT expected, not number')
  assert.equal(producer({ 'batch.size': null }), 'Invalid value null for configuration batch.size: INT expected')
  assert.match(producer({ 'compression.type': 'snapy' }), /one of: none, gzip, snappy, lz4\. Did you mean "snappy"\?$/)
  assert.match(
    producer({ 'key.serializer': 'com.example.Mine' }),
    /^Invalid value com\.example\.Mine for configuration key\.serializer/,
  )
  assert.match(producer({ 'key.serializer': {} }), /not an object with a serialize method/)
  assert.match(producer({ 'transactional.id': '' }), /transactional\.id: String must be non-empty/)
  assert.match(
    refusal(() => consumerConfig({ ...at, 'partition.assignment.strategy': 'rangee' })),
    /partition\.assignment\.strategy: names "rangee"/,
  )
})

test("Kafka's own class names are understood", () => {
  const name = 'org.apache.kafka.common.serialization.LongSerializer'
  assert.equal(producerConfig({ ...at, 'key.serializer': name })['key.serializer'], name)
  const range = 'org.apache.kafka.clients.consumer.RangeAssignor'
  assert.equal(consumerConfig({ ...at, 'partition.assignment.strategy': range })['partition.assignment.strategy'], range)
})

test('where the cluster is must be said once, and rightly', () => {
  assert.match(
    refusal(() => producerConfig({})),
    /Either bootstrap\.servers or zookeeper\.connect/,
  )
  assert.match(
    refusal(() => producerConfig({ ...at, 'zookeeper.connect': 'z:2181' })),
    /both given/,
  )
  assert.match(
    refusal(() => producerConfig({ 'bootstrap.servers': 'nowhere' })),
    /bootstrap\.servers: nowhere/,
  )
  assert.match(
    refusal(() => producerConfig({ 'bootstrap.servers': 'h:70000' })),
    /bootstrap\.servers: h:70000/,
  )
  assert.equal(producerConfig({ 'zookeeper.connect': 'z:2181/kafka' })['zookeeper.session.timeout.ms'], 6000)
  assert.match(
    refusal(() => adminConfig({ ...at, 'security.protocol': 'SSL' })),
    /security\.protocol/,
  )
})

test('idempotence sets what it needs and refuses what contradicts it', () => {
  const config = producerConfig({ ...at, 'transactional.id': 't' })
  assert.deepEqual([config['enable.idempotence'], config.acks, config.retries], [true, 'all', 2_147_483_647])
  const wrong = (options: Record<string, unknown>) =>
    refusal(() => producerConfig({ ...at, 'enable.idempotence': true, ...options }))
  assert.match(wrong({ acks: '1' }), /acks/)
  assert.match(wrong({ retries: 0 }), /retries/)
  assert.match(wrong({ 'max.in.flight.requests.per.connection': 6 }), /at most 5/)
  assert.match(wrong({ 'enable.idempotence': false, 'transactional.id': 't' }), /transactional\.id/)
})

test("a consumer's times must fit together", () => {
  assert.match(
    refusal(() => consumerConfig({ ...at, 'request.timeout.ms': 10_000 })),
    /greater than session\.timeout\.ms/,
  )
  assert.match(
    refusal(() => consumerConfig({ ...at, 'heartbeat.interval.ms': 10_000 })),
    /heartbeat\.interval\.ms/,
  )
})
