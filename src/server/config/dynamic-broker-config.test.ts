import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryLogger } from '../../base/logger.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import type { BrokerConfig } from './broker-config.ts'
import { parseBrokerConfig } from './broker-config.ts'
import { DynamicBrokerConfig } from './dynamic-broker-config.ts'
import { synonymsOf } from './dynamic-keys.ts'
import { decodePassword, encodePassword } from './dynamic-passwords.ts'
import { showConfigText } from './dynamic-texts.ts'

function config(properties: Record<string, string> = {}): BrokerConfig {
  return parseBrokerConfig(new Map(Object.entries({ 'zookeeper.connect': 'x', 'broker.id': '0', ...properties })))
}

function dynamic(properties: Record<string, string> = {}): { made: DynamicBrokerConfig; lines: string[] } {
  const { logger, lines } = memoryLogger('info', () => 0)
  return { made: new DynamicBrokerConfig(config(properties), logger), lines }
}

test('the broker wins over the cluster, the cluster over the file', async () => {
  const { made } = dynamic({ 'message.max.bytes': '1' })
  const seen: number[] = []
  made.follow({
    names: new Set(['message.max.bytes']),
    validate: () => {},
    apply: (next) => void seen.push(next.values.number('message.max.bytes')),
  })
  await made.setClusterDefaults({ 'message.max.bytes': '2' })
  await made.setOfBroker({ 'message.max.bytes': '3' })
  await made.setClusterDefaults({ 'message.max.bytes': '4' })
  await made.setOfBroker({})
  await made.setClusterDefaults({})
  assert.deepEqual(seen, [2, 3, 4, 1])
  assert.equal(made.fromFile.get('message.max.bytes'), '1')
})

test('followers are told of what concerns them only', async () => {
  const { made } = dynamic()
  let calls = 0
  made.follow({ names: new Set(['num.io.threads']), validate: () => {}, apply: () => void calls++ })
  await made.setOfBroker({ 'log.retention.ms': '5' })
  assert.equal(calls, 0)
  await made.setOfBroker({ 'num.io.threads': '9' })
  assert.equal(calls, 1)
})

test('settings that are not usable are left out and logged, the others hold', async () => {
  const { made, lines } = dynamic()
  await made.setOfBroker({ 'broker.id': '9', 'num.io.threads': 'many', 'log.retention.ms': '5', 'no.such': 'x' })
  assert.equal(made.current.logRetentionMs, 5)
  assert.equal(made.current.brokerId, 0)
  assert.equal(lines.filter((line) => line.includes('is ignored')).length, 2)
  assert.deepEqual([...made.ofBroker.keys()], ['log.retention.ms', 'no.such'])
})

test('a combination that the file would not start with changes nothing', async () => {
  const { made, lines } = dynamic()
  await made.setOfBroker({ listeners: 'PLAINTEXT://:1,PLAINTEXT://:2' })
  assert.equal(made.current.listeners.length, 1)
  assert.ok(lines.some((line) => line.includes('Failed to update broker configuration')))
  assert.throws(() => made.validate({ listeners: 'PLAINTEXT://:1,PLAINTEXT://:2' }, true), /different name/)
})

test('a follower that refuses: validation says so, the change does not happen', async () => {
  const { made } = dynamic()
  made.follow({
    names: new Set(['log.cleaner.threads']),
    validate: (next) => {
      if (next.values.number('log.cleaner.threads') > 2) throw new RangeError('a bug is no refusal')
    },
    apply: () => assert.fail('applied'),
  })
  assert.throws(() => made.validate({ 'log.cleaner.threads': '3' }, true), RangeError)
})

test('names: read-only, per broker, security without a listener, unknown', () => {
  const { made } = dynamic()
  assert.throws(
    () => made.validate({ 'log.retention.hours': '1' }, true),
    /Cannot update these configs dynamically: Set\(log.retention.hours\)/,
  )
  assert.throws(() => made.validate({ 'ssl.keystore.type': 'JKS' }, true), /only per-listener using the listener prefix/)
  // librdkafka's test of AlterConfigs changes this one; only the key stores ask for a listener.
  made.validate({ 'sasl.kerberos.min.time.before.relogin': '58000', 'ssl.truststore.type': 'JKS' }, true)
  assert.throws(() => made.validate({ 'listener.name.x.ssl.keystore.type': 'JKS' }, false), /broker id must be specified/)
  made.validate({ 'listener.name.x.ssl.keystore.type': 'JKS' }, true)
  made.validate({ 'leader.replication.throttled.rate': '100', 'some.plugin.setting': 'x' }, true)
  assert.throws(() => made.validate({ 'leader.replication.throttled.rate': '-1' }, true), /Value must be at least 0/)
})

test('passwords are encrypted in ZooKeeper and readable with the secret, the old one too', async () => {
  const rng = new SeededRng('passwords')
  const random = (length: number): Buffer => rng.bytes(length)
  const secret = { 'password.encoder.secret': 'one' }
  const encoded = encodePassword('pässword', config(secret), random)
  assert.match(
    encoded,
    /^keyFactoryAlgorithm:PBKDF2WithHmacSHA512,cipherAlgorithm:AES\/CBC\/PKCS5Padding,keyLength:128,salt:.*,passwordLength:8,/,
  )
  assert.ok(!encoded.includes('pässword'))
  assert.equal(decodePassword(encoded, config(secret)), 'pässword')
  assert.equal(
    decodePassword(encoded, config({ 'password.encoder.secret': 'two', 'password.encoder.old.secret': 'one' })),
    'pässword',
  )
  assert.throws(() => decodePassword(encoded, config({ 'password.encoder.secret': 'two' })), /could not be decoded/)
  assert.throws(() => encodePassword('x', config(), random), /secret not configured/)
  const { made } = dynamic(secret)
  const name = 'listener.name.internal.ssl.keystore.password'
  const persistent = made.toPersistent({ [name]: 'geheim', 'num.io.threads': '9' }, random)
  assert.equal(persistent['num.io.threads'], '9')
  await made.setOfBroker(persistent)
  assert.equal(made.ofBroker.get(name), 'geheim')
})

test('values as Java prints them', () => {
  const shown: [Parameters<typeof showConfigText>[0], string, string][] = [
    ['LONG', '9223372036854775807', '9223372036854775807'],
    ['INT', ' +07 ', '7'],
    ['DOUBLE', '1.7976931348623157E308', '1.7976931348623157E308'],
    ['DOUBLE', '1', '1.0'],
    ['DOUBLE', '0.0001', '1.0E-4'],
    ['DOUBLE', '12345678', '1.2345678E7'],
    ['BOOLEAN', 'TRUE', 'true'],
    ['LIST', 'a , b,c', 'a,b,c'],
    ['LIST', '', ''],
    ['STRING', ' x ', 'x'],
  ]
  for (const [type, raw, text] of shown) assert.equal(showConfigText(type, raw), text, `${type} ${raw}`)
})

test('synonyms in the order in which they win', () => {
  assert.deepEqual(synonymsOf('log.retention.hours'), ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'])
  assert.deepEqual(synonymsOf('log.flush.interval.ms'), ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'])
  assert.deepEqual(synonymsOf('log.flush.scheduler.interval.ms'), ['log.flush.scheduler.interval.ms'])
  assert.deepEqual(synonymsOf('listener.name.a.ssl.keystore.type'), ['listener.name.a.ssl.keystore.type', 'ssl.keystore.type'])
})
