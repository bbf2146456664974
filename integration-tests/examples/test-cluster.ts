/** A test with a cluster of its own: the leader is killed, and no acknowledged record is lost. Run with `node --test`. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createProducer } from 'samsa'
import { startCluster, type TestCluster } from 'samsa/testing'

let cluster: TestCluster
before(async () => {
  cluster = await startCluster({ brokers: 3, properties: { 'min.insync.replicas': 2 } })
})
after(() => cluster.stop())

test('a leader dies', async () => {
  await cluster.createTopic('payments', { partitions: 1, replicationFactor: 3 })
  const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all', 'enable.idempotence': true })
  const before = await producer.send({ topic: 'payments', value: 'before' })

  const leader = await cluster.leaderOf('payments', 0)
  await cluster.kill(leader)
  const behind = await producer.send({ topic: 'payments', value: 'after' })
  assert.equal(behind.offset, before.offset + 1)
  assert.notEqual(await cluster.leaderOf('payments', 0), leader)

  await cluster.restart(leader)
  await cluster.waitForReplicas('payments')
  await producer.close()
})
