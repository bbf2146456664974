/** The clients' shared part against brokers of the distribution: discovery both ways, records there and back, a leader that moves. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  byteLength,
  ClusterClient,
  type CommonConfig,
  DefaultPartitioner,
  producerConfig,
  RecordBatchWriter,
  RecordSetReader,
} from '../../src/client/index.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

const PARTITIONS = 4
const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`)

describe('the foundation of the clients', () => {
  let cluster: TestCluster
  const opened: ClusterClient[] = []
  const open = (config: CommonConfig): ClusterClient => {
    const client = new ClusterClient({ config, role: 'producer', allowAutoTopicCreation: true })
    opened.push(client)
    return client
  }
  const bootstrapped = () => open(producerConfig({ 'bootstrap.servers': cluster.bootstrap }))
  const watching = () => open(producerConfig({ 'zookeeper.connect': cluster.zookeeper }))

  before(async () => {
    cluster = await TestCluster.start({
      brokers: 2,
      properties: { 'offsets.topic.replication.factor': 1, 'offsets.topic.num.partitions': 4 },
    })
    await cluster.createTopic('t', PARTITIONS, 2)
  })
  after(async () => {
    await Promise.all(opened.map((client) => client.close()))
    await cluster.close()
  })

  /** One batch to a partition; its base offset. */
  async function produce(client: ClusterClient, partition: number, values: readonly string[], codec: number): Promise<number> {
    const writer = new RecordBatchWriter(client.pool, 16_384)
    for (const value of values) writer.append(1_500_000_000_000, value, byteLength(value), value, byteLength(value))
    writer.seal({ codec })
    try {
      return await client.retry('produce', { timeoutMs: 15_000 }, async (leftMs) => {
        const leader = await client.leader('t', partition, leftMs)
        const data = [{ partition, recordSet: writer.bytes }]
        const request = { transactionalId: null, acks: -1, timeout: 5000, topicData: [{ topic: 't', data }] }
        const { responses } = await client.request(leader, 'Produce', request)
        const answer = responses[0]?.partitionResponses[0] ?? assert.fail('no answer')
        assert.equal(answer.errorCode, 0)
        return answer.baseOffset
      })
    } finally {
      writer.release()
    }
  }

  /** Values of a partition from an offset on. */
  async function fetch(client: ClusterClient, partition: number, fetchOffset: number): Promise<string[]> {
    const leader = await client.leader('t', partition, 15_000)
    return new Promise((resolve, reject) => {
      const partitions = [{ partition, fetchOffset, maxBytes: 1_000_000 }]
      const request = { replicaId: -1, maxWaitTime: 500, minBytes: 1, topics: [{ topic: 't', partitions }] }
      client.send(leader, 'Fetch', request, (error, response) => {
        const set = response?.responses[0]?.partitionResponses[0]?.recordSet
        if (set === undefined) return reject(error ?? new Error('no answer'))
        const reader = new RecordSetReader(Buffer.from(set), { topic: 't', partition, fetchOffset, checkCrcs: true })
        const values: string[] = []
        while (reader.next()) values.push(`${reader.record.value()}`)
        resolve(values)
      })
    })
  }

  it('records go to the leader of their key and come back, in every codec', async () => {
    const client = bootstrapped()
    const topic = await client.metadata.waitForTopic('t', 15_000)
    assert.equal(topic.count, PARTITIONS)
    const partitioner = new DefaultPartitioner(() => 0)
    const homes = KEYS.map((key) => partitioner.partition('t', key, null, topic))
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const keys = KEYS.filter((_, i) => homes[i] === partition)
      assert.ok(keys.length > 1)
      for (const codec of [0, 1, 2, 3]) {
        const base = await produce(client, partition, keys, codec)
        assert.equal(base, codec * keys.length)
        assert.deepEqual(await fetch(client, partition, base), keys)
        assert.deepEqual(await fetch(client, partition, base + 1), keys.slice(1), 'from the middle of a batch')
      }
    }
  })

  it('the coordinator of a group is found and answers over its own connection', async () => {
    const client = bootstrapped()
    await client.metadata.waitForTopic('t', 15_000)
    const coordinator = await client.retry('find the coordinator', { timeoutMs: 15_000 }, () =>
      client.findCoordinator('group', 'g'),
    )
    const beat = await client.request(coordinator.id, 'Heartbeat', { groupId: 'g', generationId: 1, memberId: 'nobody' })
    assert.notEqual(beat.errorCode, 0)
    assert.equal(client.network.isReady(coordinator.id), true)
  })

  it('ZooKeeper alone leads to brokers, leaders and a topic that is made by asking', async () => {
    const [asked, told] = [bootstrapped(), watching()]
    const [byBrokers, byZooKeeper] = await Promise.all([asked, told].map((client) => client.metadata.waitForTopic('t', 15_000)))
    assert.deepEqual(byZooKeeper, byBrokers)
    await asked.metadata.update(15_000)
    assert.deepEqual([...told.metadata.brokers.values()], [...asked.metadata.brokers.values()])
    assert.deepEqual(
      [told.metadata.clusterId, told.metadata.controllerId, told.metadata.brokers.size],
      [asked.metadata.clusterId, asked.metadata.controllerId, 2],
    )
    assert.equal((await told.metadata.waitForTopic('made-by-asking', 15_000)).count, 1)
  })

  it('when a leader dies ZooKeeper tells of the next one, and records go on', async () => {
    const client = watching()
    await client.metadata.waitForTopic('t', 15_000)
    const before = await fetch(client, 0, 0)
    const dying = client.metadata.leaderOf('t', 0)
    const changes: number[] = []
    client.metadata.onChange(() => void changes.push(client.metadata.leaderOf('t', 0)))
    await cluster.broker(dying).kill()
    await eventually('the next leader was told', () => changes.includes(1 - dying), 30_000)
    assert.deepEqual([...client.metadata.brokers.keys()], [1 - dying])
    const base = await produce(client, 0, ['after'], 0)
    assert.equal(base, before.length)
    assert.deepEqual(await fetch(client, 0, base), ['after'])
  })
})
