import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestCluster } from './testing-cluster.ts'

async function threeBrokers(config = {}): Promise<TestCluster> {
  const cluster = new TestCluster(config)
  await cluster.start(0, 1, 2)
  cluster.takeWrites()
  cluster.takeRequests()
  return cluster
}

describe('deletion', () => {
  test('announced, stopped, deleted, then the znodes', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    cluster.takeWrites()
    cluster.takeRequests()
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    assert.deepEqual(cluster.takeWrites().slice(1), [
      'broker 0: setData /brokers/topics/t/partitions/0/state {"controller_epoch":1,"leader":0,"version":1,"leader_epoch":1,"isr":[0]} v1',
      'broker 0: setData /brokers/topics/t/partitions/0/state {"controller_epoch":1,"leader":-1,"version":1,"leader_epoch":2,"isr":[0]} v2',
      'broker 0: delete /brokers/topics/t/partitions/0/state',
      'broker 0: delete /brokers/topics/t/partitions/0',
      'broker 0: delete /brokers/topics/t/partitions',
      'broker 0: delete /brokers/topics/t',
      'broker 0: delete /config/topics/t NONODE',
      'broker 0: delete /admin/delete_topics/t',
    ])
    assert.deepEqual(
      cluster.takeRequests().filter((line) => line.startsWith('0 -> 1')),
      [
        '0 -> 1 UpdateMetadata e1 t-0{-2 e0 isr [0] v0 of [0,1]} brokers [0,1,2]',
        '0 -> 1 StopReplica e1 t-0',
        '0 -> 1 StopReplica e1 delete t-0',
      ],
    )
    assert.deepEqual(await cluster.problems(), [])
    await cluster.createTopic('t', [2])
    assert.equal(await cluster.stateLine('t'), 'leader 2 epoch 0 isr [2] v0')
  })

  test('waits for an offline replica, survives a failover, and completes when it returns', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [2, 1], [1, 0])
    await cluster.kill(2)
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    assert.ok(cluster.tree.get('/brokers/topics/t'))
    cluster.tree.remove('/controller')
    await cluster.settle()
    assert.ok(cluster.tree.get('/brokers/topics/t'))
    await cluster.start(2)
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(cluster.tree.get('/brokers/topics/t'), undefined)
  })

  test('a replica that cannot be deleted is tried again when its broker restarts', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 2])
    cluster.broker(2).deleteError = 56
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    assert.ok(cluster.tree.get('/admin/delete_topics/t'))
    await cluster.kill(2)
    await cluster.start(2)
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
  })

  test('a broker that dies in the middle', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 2])
    cluster.broker(2).deaf = true
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    await cluster.kill(2)
    assert.ok(cluster.tree.get('/admin/delete_topics/t'))
    await cluster.start(2)
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
  })

  test('created and deleted at once; unknown topics; deletion disabled', async () => {
    const cluster = await threeBrokers()
    cluster.tree.put('/admin/delete_topics/t', null)
    cluster.tree.put('/admin/delete_topics/unknown', null)
    cluster.tree.put('/brokers/topics/t', '{"version":1,"partitions":{"0":[1]}}')
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(cluster.tree.get('/brokers/topics/t'), undefined)
    const disabled = await threeBrokers({ deleteTopicEnable: false })
    await disabled.createTopic('t', [1])
    await disabled.zk.createDeleteTopic('t')
    await disabled.settle()
    assert.equal(disabled.tree.get('/admin/delete_topics/t'), undefined)
    assert.equal(await disabled.stateLine('t'), 'leader 1 epoch 0 isr [1] v0')
  })
})

describe('reassignment', () => {
  const reassign = async (cluster: TestCluster, key: string, ...target: number[]): Promise<void> => {
    await cluster.zk.setReassignments(new Map([[key, target]]))
    await cluster.settle()
  }

  test('to other brokers: both lists, then the target, and the old replicas are deleted', async () => {
    const cluster = await threeBrokers()
    await cluster.start(3)
    await cluster.createTopic('t', [0, 1])
    await reassign(cluster, 't-0', 2, 3)
    assert.equal(cluster.tree.text('/brokers/topics/t'), '{"version":1,"partitions":{"0":[2,3,0,1]}}')
    assert.equal(cluster.broker(3).hosted.get('t-0')?.isNew, true)
    await cluster.catchUp()
    assert.equal(cluster.tree.text('/brokers/topics/t'), '{"version":1,"partitions":{"0":[2,3]}}')
    assert.equal(await cluster.stateLine('t'), 'leader 2 epoch 4 isr [2,3] v5')
    assert.deepEqual(await cluster.problems(), [])
  })

  test('resumed by the next controller', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    await reassign(cluster, 't-0', 1, 2)
    await cluster.kill(0)
    await cluster.catchUp()
    await cluster.settle()
    assert.equal(cluster.tree.text('/brokers/topics/t'), '{"version":1,"partitions":{"0":[1,2]}}')
    assert.deepEqual(await cluster.problems(), [])
  })

  test('waits for a target that is down, and blocks a deletion meanwhile', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    await reassign(cluster, 't-0', 1, 5)
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    assert.ok(cluster.tree.get('/brokers/topics/t'))
    await cluster.start(5)
    await cluster.catchUp()
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(cluster.tree.get('/brokers/topics/t'), undefined)
  })

  test('a topic that is to be deleted after its reassignment lives on until then', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1])
    await reassign(cluster, 't-0', 1, 2)
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    await cluster.kill(1)
    await cluster.start(1)
    await cluster.settle()
    // Or broker 2 could not fetch from it, and the reassignment, and so the deletion, would never end.
    assert.equal(cluster.broker(1).hosted.get('t-0')?.leader, 1)
    for (const id of [0, 1, 2]) assert.equal(cluster.broker(id).leaders.get('t-0'), 1)
    await cluster.catchUp()
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(cluster.tree.get('/brokers/topics/t'), undefined)
    assert.equal(cluster.tree.get('/admin/reassign_partitions'), undefined)
  })

  test('the next controller drops the reassignment of a topic that is to be deleted, and deletes it', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1])
    await reassign(cluster, 't-0', 1, 2)
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    assert.ok(cluster.tree.get('/brokers/topics/t'))
    await cluster.kill(0)
    await cluster.settle()
    assert.equal(cluster.tree.get('/admin/reassign_partitions'), undefined)
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(cluster.tree.get('/brokers/topics/t'), undefined)
  })

  test('a topic whose reassignment has ended can be deleted', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    await reassign(cluster, 't-0', 1, 2)
    await cluster.catchUp()
    assert.equal(cluster.tree.text('/brokers/topics/t'), '{"version":1,"partitions":{"0":[1,2]}}')
    await cluster.zk.createDeleteTopic('t')
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(cluster.tree.get('/brokers/topics/t'), undefined)
  })

  test('nonsense is dropped from the node', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    await cluster.zk.setReassignments(
      new Map([
        ['t-0', [0, 1]],
        ['t-9', [1]],
        ['u-0', [1]],
      ]),
    )
    await cluster.settle()
    await reassign(cluster, 't-0', 1, 1)
    cluster.tree.put('/admin/reassign_partitions', 'garbage')
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    assert.equal(await cluster.stateLine('t'), 'leader 0 epoch 0 isr [0,1] v0')
  })
})

describe('small events', () => {
  test('ISR changes reach the metadata of everybody', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    cluster.tree.put(
      '/brokers/topics/t/partitions/0/state',
      '{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}',
    )
    await cluster.zk.createIsrChangeNotification([
      { topic: 't', partition: 0 },
      { topic: 'gone', partition: 1 },
    ])
    await cluster.settle()
    assert.deepEqual(cluster.broker(2).metadata?.partitionStates[0]?.isr, [0])
    assert.deepEqual(cluster.tree.get('/isr_change_notification')?.children.size, 0)
  })

  test('a failed directory: leaders move away, and come back with a restart', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 2], [1, 2])
    cluster.broker(1).failedDirs.add('t-0')
    await cluster.zk.createLogDirEventNotification(1)
    await cluster.settle()
    assert.equal(await cluster.stateLine('t', 0), 'leader 2 epoch 1 isr [2] v1')
    assert.equal(await cluster.stateLine('t', 1), 'leader 1 epoch 0 isr [1,2] v0')
    assert.ok(
      cluster
        .takeRequests()
        .some((line) => line.includes('0 -> 0 UpdateMetadata') && line.includes('t-0{2 e1 isr [2] v1 of [1,2] offline [1]}')),
    )
    await cluster.kill(1)
    await cluster.start(1)
    await cluster.catchUp()
    assert.equal(await cluster.stateLine('t', 0), 'leader 2 epoch 1 isr [2,1] v2')
  })

  test('preferred election: unknown partitions do not keep the node', async () => {
    const cluster = await threeBrokers()
    await cluster.zk.createPreferredReplicaElection([{ topic: 'no', partition: 0 }])
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
  })

  test('automatic rebalancing, 5 s after the election and then each interval', async () => {
    const cluster = await threeBrokers({ autoLeaderRebalanceEnable: true, leaderImbalanceCheckIntervalSeconds: 10 })
    await cluster.createTopic('t', [1, 0], [2, 0])
    await cluster.kill(1)
    await cluster.start(1)
    await cluster.catchUp()
    assert.equal((await cluster.state('t', 0))?.leader, 0)
    assert.equal(cluster.controller.controller.gauges.preferredReplicaImbalanceCount, 1)
    await cluster.settle(15_000)
    assert.equal((await cluster.state('t', 0))?.leader, 1)
    assert.equal(await cluster.stateLine('t', 1), 'leader 2 epoch 0 isr [2,0] v0')
    assert.deepEqual(cluster.controller.controller.gauges, {
      offlinePartitionsCount: 0,
      preferredReplicaImbalanceCount: 0,
      globalTopicCount: 1,
      globalPartitionCount: 2,
    })
  })
})
