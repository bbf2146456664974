/**
 * What brokers write to ZooKeeper when clients ask them for administration, against the recording of a genuine 1.1.1: topics, partitions and
 * configurations through the protocol, internal topics, deletion over a broker that is down, an unclean election.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually, kcat } from '../harness/brokers.ts'
import type { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'
import { ZnodeCluster } from '../harness/znode-cluster.ts'
import type { ZnodeSteps } from '../harness/znode-steps.ts'

const TOPICS = ['t-admin', 't-auto', 't-tool', 't-unclean', 'no-such', '__consumer_offsets', '__transaction_state']
const TOPIC_RESOURCE = 2
const BROKER_RESOURCE = 4
const ADMIN_ASSIGNMENT = [
  [0, 2],
  [2, 1],
  [1, 0],
  [0, 1],
  [2, 0],
  [1, 2],
]

describe('administration through brokers, against the genuine recording', () => {
  let stage: ZnodeCluster
  let cluster: TestCluster
  let steps: ZnodeSteps

  before(async () => {
    stage = await ZnodeCluster.start({
      'num.partitions': 2,
      'default.replication.factor': 3,
      'offsets.topic.num.partitions': 3,
      'offsets.topic.replication.factor': 3,
      'transaction.state.log.num.partitions': 2,
      'transaction.state.log.replication.factor': 3,
      'transaction.state.log.min.isr': 2,
    })
    cluster = stage.cluster
    steps = stage.steps(TOPICS)
    await stage.createTopic('t-tool', '0:2:1,1:0:2')
  })
  after(() => stage?.close())

  const broker = (id: number) => () => stage.proxy(id)()
  const address = (id: number): string => cluster.broker(id).address
  const alterConfigs = (id: number, resourceType: number, resourceName: string, configs: Record<string, string>) =>
    ask(address(id), 'AlterConfigs', 0, {
      resources: [
        {
          resourceType,
          resourceName,
          configEntries: Object.entries(configs).map(([configName, configValue]) => ({ configName, configValue })),
        },
      ],
      validateOnly: false,
    })

  it('CreateTopics with a configuration', () =>
    step0(7, () =>
      ask(address(0), 'CreateTopics', 1, {
        createTopicRequests: [
          {
            topic: 't-admin',
            numPartitions: -1,
            replicationFactor: -1,
            replicaAssignment: ADMIN_ASSIGNMENT.map((replicas, partition) => ({ partition, replicas })),
            configEntries: [{ configName: 'retention.ms', configValue: '3600000' }],
          },
        ],
        timeout: 15_000,
        validateOnly: false,
      }),
    ))

  const step0 = (number: number, act: () => Promise<unknown>): Promise<void> => steps.step(number, act, { 'broker 0': broker(0) })

  it('automatic creation', () =>
    steps.step(
      8,
      () => ask(address(1), 'Metadata', 4, { topics: ['t-auto'], allowAutoTopicCreation: true }),
      { 'broker 0': broker(0), 'broker 1': broker(1) },
      { anyReplicas: true },
    ))

  it('CreatePartitions', () =>
    step0(11, () =>
      ask(address(0), 'CreatePartitions', 0, {
        topicPartitions: [{ topic: 't-admin', newPartitions: { count: 7, assignment: [[0, 2]] } }],
        timeout: 15_000,
        validateOnly: false,
      }),
    ))

  it('AlterConfigs of a topic, and back', () =>
    step0(15, async () => {
      await alterConfigs(0, TOPIC_RESOURCE, 't-tool', { 'retention.ms': '7200000' })
      await alterConfigs(0, TOPIC_RESOURCE, 't-tool', {})
    }))

  it('AlterConfigs of all brokers, and back', async () => {
    const settings = { 'log.retention.ms': '259200000', 'num.io.threads': '9' }
    await steps.step(17, () => alterConfigs(1, BROKER_RESOURCE, '', settings), { 'broker 1': broker(1) })
    await steps.step(18, () => alterConfigs(2, BROKER_RESOURCE, '', {}), { 'broker 2': broker(2) })
  })

  it('the topics of coordinators', async () => {
    const find = (id: number, coordinatorType: number) => () =>
      ask(address(id), 'FindCoordinator', 1, { coordinatorKey: 'g1', coordinatorType })
    await steps.step(25, find(0, 0), { 'broker 0': broker(0) }, { anyReplicas: true })
    await steps.step(26, find(2, 1), { 'broker 0': broker(0), 'broker 2': broker(2) }, { anyReplicas: true })
  })

  it('a topic is deleted while a broker is down: it waits, also for the next controller, and then goes', async () => {
    const mine = { anyReplicas: true }
    await stage.topics('--delete', '--topic', 't-auto')
    await eventually('t-auto is gone', async () => !(await cluster.zk.getTopics()).includes('t-auto'))
    await stage.createTopic('t-auto', '0:2:1,1:0:2')
    await steps.settle()
    const only = stage.steps(['t-auto', 'no-such'])
    await only.step(
      63,
      async () => {
        await cluster.broker(1).stop()
        await eventually('broker 1 is gone', async () => !(await cluster.zk.getBrokerIds()).includes(1))
        await only.settle()
        await stage.topics('--delete', '--topic', 't-auto')
      },
      { 'broker 0': broker(0), 'tool topics': () => stage.tool },
      { anyIsrOrder: true, settleMs: 1500 },
    )
    await only.step(64, () => cluster.zk.deleteController(), {})
    await stage.assertWinner(only, 64, 2)
    const next = await stage.controller()
    await only.step(65, () => cluster.broker(1).start(), { 'broker 1': broker(1) }, { ...mine, settleMs: 3000 })
    assert.deepEqual(only.linesOf(broker(next)()), only.goldenLines(65, 'broker 2'))
    await only.step(66, () => cluster.zk.createDeleteTopic('no-such'), {})
    assert.deepEqual(only.linesOf(broker(next)()), only.goldenLines(66, 'broker 2'))
  })

  it('an unclean election, when the topic allows it and a controller looks', async () => {
    // The others end, and a controller that is elected then would find no leader to replace.
    await stage.becomesController(0)
    const only = stage.steps(['t-unclean'])
    await stage.createTopic('t-unclean', '1:2')
    await cluster.broker(2).stop()
    await kcat(address(1), ['-P', '-t', 't-unclean', '-p', '0', '-X', 'request.required.acks=1'], 'lost\n')
    await cluster.broker(1).kill()
    await eventually('nobody leads', async () => (await cluster.partitionState('t-unclean', 0)).leader === -1, 30_000)
    await only.step(56, () => cluster.broker(2).start(), { 'broker 2': broker(2) })
    await alterConfigs(0, TOPIC_RESOURCE, 't-unclean', { 'unclean.leader.election.enable': 'true' })
    await only.settle()
    assert.equal((await cluster.partitionState('t-unclean', 0)).leader, -1, 'as in 1.1 nothing happens yet')
    await only.step(58, () => cluster.zk.deleteController(), {})
    await stage.assertWinner(only, 58, 0)
    await only.step(59, () => cluster.broker(1).start(), { 'broker 1': broker(1), 'broker 2': broker(2) }, { settleMs: 3000 })
  })
})
