/** The admin client on brokers of our own, found by address and through ZooKeeper. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Admin, createAdmin, createProducer } from '../../src/client/index.ts'
import { eventually, kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

describe('the admin client', () => {
  let cluster: TestCluster
  let admin: Admin
  before(async () => {
    cluster = await TestCluster.start({ brokers: 3, properties: { 'offsets.topic.num.partitions': 3 } })
    admin = createAdmin({ 'bootstrap.servers': cluster.addresses })
  })
  after(async () => {
    await admin.close(1000)
    await cluster.close()
  })

  it('creates, lists, describes, extends and deletes topics; each refusal is that topic’s alone', async () => {
    const made = await admin.createTopics([
      { topic: 'counted', partitions: 2, replicationFactor: 2, configs: { 'retention.ms': '60000' } },
      { topic: 'placed', assignment: new Map([[0, [2, 1]]]) },
      { topic: 'too/odd', partitions: 1, replicationFactor: 1 },
    ])
    assert.deepEqual(
      made.entries.map(([topic, error]) => [topic, error?.errorName ?? 'done']),
      [
        ['counted', 'done'],
        ['placed', 'done'],
        ['too/odd', 'INVALID_TOPIC_EXCEPTION'],
      ],
    )
    await assert.rejects(made.all(), { name: 'InvalidTopicException' })
    await eventually('both are listed', async () => (await admin.listTopics()).length === 2)
    const checked = await admin.createTopics([{ topic: 'dry', partitions: 1, replicationFactor: 9 }], { validateOnly: true })
    assert.equal(checked.entries[0]?.[1]?.errorName, 'INVALID_REPLICATION_FACTOR')

    await (await admin.createPartitions([{ topic: 'counted', totalCount: 4 }])).all()
    await eventually('four partitions with leaders', async () => {
      const described = await (await admin.describeTopics(['counted', 'placed'])).all()
      assert.deepEqual(described.get('placed')?.partitions[0]?.replicas, [2, 1])
      return described.get('counted')?.partitions.filter(({ leader }) => leader >= 0).length === 4
    })
    const missing = await admin.describeTopics(['nowhere'])
    assert.equal(missing.entries[0]?.[1]?.errorName, 'UNKNOWN_TOPIC_OR_PARTITION')

    await (await admin.deleteTopics(['placed'])).all()
    await eventually('it is gone', async () => (await admin.listTopics()).every(({ topic }) => topic !== 'placed'))
  })

  it('describes the cluster, also when it is found through ZooKeeper, and survives a move of the controller', async () => {
    const watching = createAdmin({ 'zookeeper.connect': cluster.zookeeper })
    const { nodes, controller, clusterId } = await watching.describeCluster()
    assert.deepEqual(nodes.map(({ id }) => id).sort(), [0, 1, 2])
    assert.equal(controller?.id, await cluster.controllerId())
    assert.match(clusterId ?? '', /^[\w-]{22}$/)
    const former = await cluster.controllerId()
    await cluster.zk.deleteController()
    await eventually('a controller', () => cluster.controllerId().then((id) => id !== undefined))
    await (await watching.createTopics([{ topic: `after-${former}`, partitions: 1, replicationFactor: 1 }])).all()
    await watching.close()
  })

  it('configurations of topics and brokers', async () => {
    const topic = { type: 'topic', name: 'counted' } as const
    const broker = { type: 'broker', name: '1' } as const
    const read = async () => {
      const all = await (await admin.describeConfigs([topic, broker], { includeSynonyms: true })).all()
      return new Map([...all].map(([resource, entries]) => [resource, new Map(entries.map((entry) => [entry.name, entry]))]))
    }
    const before = await read()
    assert.equal(before.get(topic)?.get('retention.ms')?.value, '60000')
    assert.equal(before.get(topic)?.get('retention.ms')?.source, 'TOPIC_CONFIG')
    assert.equal(before.get(topic)?.get('cleanup.policy')?.isDefault, true)
    assert.equal(before.get(broker)?.get('broker.id')?.value, '1')
    assert.ok((before.get(topic)?.get('retention.ms')?.synonyms.length ?? 0) >= 1)
    await (await admin.alterConfigs(new Map([[topic, { 'cleanup.policy': 'compact', 'retention.ms': null }]]))).all()
    await eventually('the change is shown', async () => {
      const now = (await read()).get(topic)
      return now?.get('cleanup.policy')?.value === 'compact' && now.get('retention.ms')?.isDefault === true
    })
    const refused = await admin.alterConfigs(new Map([[topic, { 'cleanup.policy': 'shred' }]]))
    assert.equal(refused.entries[0]?.[1]?.name, 'InvalidRequestException')
  })

  it('offsets of partitions, deleted records, log directories', async () => {
    await cluster.createTopic('written', 2, 2)
    const producer = createProducer({ 'bootstrap.servers': cluster.addresses, acks: 'all' })
    const timestamps = [1000, 2000, 3000]
    for (const timestamp of timestamps) await producer.send({ topic: 'written', partition: 0, value: 'x', timestamp })
    await producer.close()
    const at = async (when: 'latest' | 'earliest' | number) => {
      const found = await admin.listOffsets([{ topic: 'written', partition: 0, at: when }])
      return [...(await found.all()).values()][0]?.offset
    }
    assert.deepEqual([await at('earliest'), await at('latest'), await at(1500), await at(9000)], [0, 3, 1, -1])
    const deleted = await admin.deleteRecords([{ topic: 'written', partition: 0, offset: 2 }])
    assert.deepEqual([...(await deleted.all()).values()], [{ lowWatermark: 2 }])
    assert.equal(await at('earliest'), 2)

    const { leader } = await cluster.partitionState('written', 0)
    const dirs = await (await admin.describeLogDirs([leader, 77], { timeoutMs: 3000 })).entries
    const replica = dirs[0]?.[2]
      ?.flatMap(({ replicas }) => replicas)
      .find((one) => one.topic === 'written' && one.partition === 0)
    assert.ok((replica?.size ?? 0) > 0 && replica?.isFuture === false)
    assert.ok(dirs[1]?.[1] !== null, 'a broker that is not there')
    const where = await (await admin.describeReplicaLogDirs([{ topic: 'written', partition: 0, brokerId: leader }])).all()
    assert.equal([...where.values()][0]?.currentLogDir, dirs[0]?.[2]?.[0]?.path)
  })

  it('groups: listed, described, their offsets read and altered, deleted', async () => {
    await kcat(cluster.bootstrap, ['-P', '-t', 'grouped', '-p', '0'], 'a\nb\n')
    await kcat(cluster.bootstrap, ['-G', 'readers', 'grouped', '-c', '2', '-X', 'auto.offset.reset=earliest', '-q'])
    await eventually('the group is listed', async () =>
      (await admin.listGroups()).some(({ groupId, protocolType }) => groupId === 'readers' && protocolType === 'consumer'),
    )
    const description = await eventually('the group is empty', async () => {
      const group = (await (await admin.describeGroups(['readers'])).all()).get('readers')
      return group?.state === 'Empty' ? group : undefined
    })
    assert.deepEqual(description.members, [])
    assert.ok([0, 1, 2].includes(description.coordinator.id), `${description.coordinator.id}`)
    await admin.alterGroupOffsets('readers', [{ topic: 'grouped', partition: 0, offset: 1, metadata: 'back' }])
    assert.deepEqual([...(await admin.listGroupOffsets('readers'))], [['grouped-0', { offset: 1, metadata: 'back' }]])
    const partitions = [{ topic: 'grouped', partition: 0 }]
    assert.equal((await admin.listGroupOffsets('readers', { partitions })).get('grouped-0')?.offset, 1)
    await (await admin.deleteGroups(['readers'])).all()
    assert.ok((await admin.listGroups()).every(({ groupId }) => groupId !== 'readers'))
    const again = await admin.deleteGroups(['readers'])
    assert.equal(again.entries[0]?.[1]?.errorName, 'GROUP_ID_NOT_FOUND')
  })

  it('ACLs and tokens: a cluster without security says so by its own error', async () => {
    const any = {
      resourceType: 'ANY',
      resourceName: null,
      principal: null,
      host: null,
      operation: 'ANY',
      permissionType: 'ANY',
    } as const
    await assert.rejects(admin.describeAcls(any), { name: 'SecurityDisabledException' })
    await assert.rejects(admin.createDelegationToken(), /./)
  })

  it('after close every call is refused', async () => {
    const closed = createAdmin({ 'bootstrap.servers': cluster.addresses })
    await closed.close()
    await assert.rejects(closed.listTopics(), { name: 'IllegalStateException' })
  })
})
