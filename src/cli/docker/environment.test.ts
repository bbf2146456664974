import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseProperties } from '../../base/properties.ts'
import {
  brokerSettings,
  EnvironmentError,
  localListener,
  parseCreateTopics,
  propertyName,
  renderProperties,
} from './environment.ts'

const least = { KAFKA_ZOOKEEPER_CONNECT: 'zk1:2181,zk2:2181/kafka', KAFKA_BROKER_ID: '1' }

describe('environment of the broker image', () => {
  it('one underscore is a dot, two a dash, three an underscore', () => {
    assert.equal(propertyName('KAFKA_BROKER_ID'), 'broker.id')
    assert.equal(
      propertyName('KAFKA_LISTENER_NAME_INTERNAL_SCRAM__SHA__256_SASL_JAAS_CONFIG'),
      'listener.name.internal.scram-sha-256.sasl.jaas.config',
    )
    assert.equal(propertyName('KAFKA_SOME___KEY'), 'some_key')
    assert.equal(propertyName('KAFKA_A____B'), 'a_.b')
  })

  it('only KAFKA_ counts; values are taken as they are', () => {
    const value = '$(touch /tmp/x) `id` $HOME \\ "quoted" \'single\' ; & | * ~'
    const { properties } = brokerSettings({
      ...least,
      KAFKA_BROKER_RACK: value,
      HOME: '/root',
      PATH: '/bin',
      ZOOKEEPER_CONNECT: 'no',
    })
    assert.equal(properties.get('broker.rack'), value)
    assert.deepEqual([...properties.keys()].sort(), ['broker.id', 'broker.rack', 'listeners', 'log.dirs', 'zookeeper.connect'])
  })

  it('the file gives every value back, whatever stands in it', () => {
    const values = [
      '',
      ' leading and trailing ',
      'a\\b',
      'two\nlines\r\n',
      '\ttab',
      '# no comment',
      'k=v:w',
      'é ß 漢 😀',
      '\\u0041',
      'ends in \\',
    ]
    const properties = new Map(values.map((value, i) => [`key ${i}:=#!${i}`, value]))
    assert.deepEqual(parseProperties(renderProperties(properties)), properties)
  })

  it('listens where it advertises, unless told; logs go to the volume', () => {
    const derived = brokerSettings({ ...least, KAFKA_ADVERTISED_LISTENERS: 'INTERNAL://b1:29092,EXTERNAL://localhost:19092' })
    assert.equal(derived.properties.get('listeners'), 'INTERNAL://0.0.0.0:29092,EXTERNAL://0.0.0.0:19092')
    assert.equal(derived.properties.get('log.dirs'), '/var/lib/kafka/data')
    const told = brokerSettings({
      ...least,
      KAFKA_LISTENERS: 'A://:1',
      KAFKA_LOG_DIR: '/d',
      KAFKA_ADVERTISED_LISTENERS: 'A://h:2',
    })
    assert.equal(told.properties.get('listeners'), 'A://:1')
    assert.equal(told.properties.has('log.dirs'), false)
    assert.equal(brokerSettings(least).properties.get('listeners'), 'PLAINTEXT://:9092')
    assert.equal(brokerSettings({ ...least, KAFKA_PORT: '9093' }).properties.has('listeners'), false)
  })

  it('the health check asks the listener of the brokers', () => {
    const at = (more: Record<string, string>): unknown => localListener(brokerSettings({ ...least, ...more }).properties)
    const both = { KAFKA_LISTENERS: 'EXTERNAL://0.0.0.0:9092, internal://:29092' }
    assert.deepEqual(at(both), { host: '127.0.0.1', port: 9092 })
    assert.deepEqual(at({ ...both, KAFKA_INTER_BROKER_LISTENER_NAME: 'internal' }), { host: '127.0.0.1', port: 29092 })
    assert.deepEqual(at({ KAFKA_LISTENERS: 'PLAINTEXT://[::]:9094' }), { host: '::1', port: 9094 })
    assert.deepEqual(at({ KAFKA_LISTENERS: 'PLAINTEXT://10.0.0.1:9094' }), { host: '10.0.0.1', port: 9094 })
    assert.deepEqual(at({}), { host: '127.0.0.1', port: 9092 })
  })

  it('what has no meaning here is ignored with a line, and reaches no property', () => {
    const ignored = {
      KAFKA_OPTS: '-Dx=y',
      KAFKA_JMX_PORT: '9999',
      KAFKA_LOG4J_OPTS: '-Dlog4j',
      KAFKA_LOG4J_LOGGERS: 'kafka=WARN',
      KAFKA_PORT: 'tcp://10.0.0.1:9092',
      KAFKA_PORT_9092_TCP_ADDR: '10.0.0.1',
      KAFKA_SERVICE_HOST: '10.0.0.1',
    }
    const silent = { KAFKA_HEAP_OPTS: '-Xmx1G', KAFKA_CREATE_TOPICS: 'a:1:1', KAFKA_VERSION: '1.1' }
    const advertised = { KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://b1:9092' }
    const { properties, notes } = brokerSettings({ ...least, ...ignored, ...silent, ...advertised })
    assert.deepEqual([...properties.keys()].sort(), [
      'advertised.listeners',
      'broker.id',
      'listeners',
      'log.dirs',
      'zookeeper.connect',
    ])
    assert.deepEqual(notes.map((note) => note.split(' ')[0]).sort(), Object.keys(ignored).sort())
  })

  it('the usual mistakes are told', () => {
    const notes = (more: Record<string, string>): string =>
      brokerSettings({ KAFKA_ZOOKEEPER_CONNECT: 'z:2181', ...more }).notes.join('\n')
    assert.match(notes({}), /KAFKA_BROKER_ID is not set/)
    assert.match(notes({}), /KAFKA_ADVERTISED_LISTENERS is not set/)
    assert.match(notes({ KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://localhost:9092' }), /localhost:9092, which is themselves/)
    const two = {
      KAFKA_ADVERTISED_LISTENERS: 'EXTERNAL://localhost:9092,INTERNAL://b1:29092',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'INTERNAL',
    }
    assert.doesNotMatch(notes(two), /localhost/)
  })

  it('the log level comes from LOG_LEVEL, else from log4j', () => {
    const level = (more: Record<string, string>): string | undefined =>
      brokerSettings({ ...least, ...more }).properties.get('samsa.log.level')
    assert.equal(level({}), undefined)
    assert.equal(level({ LOG_LEVEL: 'DEBUG' }), 'debug')
    assert.equal(level({ KAFKA_LOG4J_ROOT_LOGLEVEL: 'WARN, stdout' }), 'warn')
    assert.equal(level({ LOG_LEVEL: 'error', KAFKA_LOG4J_ROOT_LOGLEVEL: 'WARN' }), 'error')
    assert.equal(level({ LOG_LEVEL: 'error', KAFKA_SAMSA_LOG_LEVEL: 'trace' }), 'trace')
    assert.throws(() => level({ LOG_LEVEL: 'loud' }), /LOG_LEVEL=loud: no log level/)
  })

  it('what cannot be used is refused by name and value', () => {
    assert.throws(() => brokerSettings({}), /KAFKA_ZOOKEEPER_CONNECT is not set/)
    assert.throws(() => brokerSettings({ KAFKA_ZOOKEEPER_CONNECT: '' }), EnvironmentError)
    assert.throws(
      () => brokerSettings({ ...least, BROKER_ID_COMMAND: 'hostname' }),
      /BROKER_ID_COMMAND=hostname: commands are not run/,
    )
  })

  it('topics to create', () => {
    assert.deepEqual(parseCreateTopics(''), [])
    assert.deepEqual(parseCreateTopics('a:1:3, b:2:1:compact\nc:3:2:,'), [
      { topic: 'a', partitions: 1, replicationFactor: 3, config: {} },
      { topic: 'b', partitions: 2, replicationFactor: 1, config: { 'cleanup.policy': 'compact' } },
      { topic: 'c', partitions: 3, replicationFactor: 2, config: {} },
    ])
    for (const wrong of ['a', 'a:1', ':1:1', 'a:1:1:compact:x', 'a:0:1', 'a:1:x', 'a:1.5:1', 'a:1:1:shred']) {
      assert.throws(() => parseCreateTopics(wrong), new RegExp(`KAFKA_CREATE_TOPICS: .*"${wrong.replace('.', '\\.')}"`), wrong)
    }
  })
})
