import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  commonOfOldConsumer,
  commonOfOldProducer,
  type OldConsumerOptions,
  type OldProducerOptions,
  oldConsumerConfig,
  oldConsumerKeys,
  oldProducerConfig,
  oldProducerKeys,
} from './index.ts'

const consumer = { 'zookeeper.connect': 'localhost:2181', 'group.id': 'g' } as const
const producer = { 'metadata.broker.list': 'localhost:9092' } as const

test('every key of 1.1.1 is there, with its default', () => {
  // Read out of the byte code of kafka.consumer.ConsumerConfig, kafka.utils.ZKConfig and kafka.producer.ProducerConfig.
  assert.equal(Object.keys(oldConsumerKeys).length, 29)
  assert.equal(Object.keys(oldProducerKeys).length, 18)
  const config = oldConsumerConfig(consumer)
  assert.equal(config['auto.commit.interval.ms'], 60_000)
  assert.equal(config['queued.max.message.chunks'], 2)
  assert.equal(config['rebalance.max.retries'], 4)
  assert.equal(config['fetch.wait.max.ms'], 100)
  assert.equal(config['auto.offset.reset'], 'largest')
  const old = oldProducerConfig(producer)
  assert.equal(old['request.required.acks'], '0')
  assert.equal(old['batch.num.messages'], 200)
  assert.equal(old['queue.enqueue.timeout.ms'], -1)
  assert.equal(old['topic.metadata.refresh.interval.ms'], 600_000)
})

test('defaults that follow other keys', () => {
  const config = oldConsumerConfig({ ...consumer, 'zookeeper.sync.time.ms': 77, 'zookeeper.session.timeout.ms': 88 })
  assert.equal(config['rebalance.backoff.ms'], 77)
  assert.equal(config['zookeeper.connection.timeout.ms'], 88)
  assert.equal(config['client.id'], 'g')
  assert.equal(config['dual.commit.enabled'], false)
  assert.equal(oldConsumerConfig({ ...consumer, 'offsets.storage': 'kafka' })['dual.commit.enabled'], true)
  const single = oldConsumerConfig({ ...consumer, 'offsets.storage': 'kafka', 'dual.commit.enabled': 'false' as never })
  assert.equal(single['dual.commit.enabled'], false)
})

test('a wrong key or value is named, with the nearest right one', () => {
  const bad = (options: OldConsumerOptions | Record<string, unknown>) => () => oldConsumerConfig({ ...consumer, ...options })
  assert.throws(bad({ 'auto.offset.reset': 'earliest' }), /earliest.*auto\.offset\.reset|auto\.offset\.reset.*earliest/)
  assert.throws(bad({ 'bootstrap.servers': 'x:1' }), /bootstrap\.servers.*consumer/)
  assert.throws(bad({ 'group.id': 'a b' }), /a b.*group\.id/)
  assert.throws(bad({ 'group.id': '' }), /"group\.id"/)
  assert.throws(bad({ 'socket.timeout.ms': 50 }), /socket\.timeout\.ms.*50 < 100/)
  assert.throws(bad({ 'rebalance.max.retrys': 5 }), /Did you mean "rebalance\.max\.retries"/)
  assert.throws(() => oldConsumerConfig({ 'group.id': 'g' }), /"zookeeper\.connect"/)
  const worse = (options: OldProducerOptions | Record<string, unknown>) => () => oldProducerConfig({ ...producer, ...options })
  assert.throws(worse({ 'producer.type': 'asink' }), /Did you mean "async"/)
  assert.throws(worse({ 'producer.type': 'async', 'batch.num.messages': 5, 'queue.buffering.max.messages': 4 }), /5.*4/)
  assert.throws(worse({ 'serializer.class': 'kafka.serializer.NoEncoder' }), /NoEncoder.*serializer\.class/)
  assert.throws(worse({ 'partitioner.class': {} }), /partitioner\.class/)
  assert.throws(() => oldProducerConfig({}), /"metadata\.broker\.list"/)
})

test('what the shared part of the clients is told', () => {
  const common = commonOfOldConsumer(oldConsumerConfig({ ...consumer, 'refresh.leader.backoff.ms': 33 }))
  assert.deepEqual([common['zookeeper.connect'], common['retry.backoff.ms'], common['client.id']], ['localhost:2181', 33, 'g'])
  const refresh = (ms: number) =>
    commonOfOldProducer(oldProducerConfig({ ...producer, 'topic.metadata.refresh.interval.ms': ms }))['metadata.max.age.ms']
  assert.deepEqual([refresh(1234), refresh(-1)], [1234, Number.MAX_SAFE_INTEGER])
})
