/**
 * What brokers write to ZooKeeper when replicas are moved, lag, or die, against the recording of a genuine 1.1.1: reassignment, one to a broker
 * that does not exist, its cancellation by hand, a shrunk and an expanded ISR, a killed broker and its return.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { REASSIGN_PARTITIONS_PATH } from '../../zk/znodes/index.ts'
import { distribution, eventually, kcat, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { ZnodeSteps } from '../harness/znode-steps.ts'
import { ZooKeeperProxy } from '../harness/zookeeper-proxy.ts'

describe('moves and failures, against the genuine recording', () => {
  let cluster: TestCluster
  let tool: ZooKeeperProxy

  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      proxied: true,
      stopped: true,
      properties: {
        'zookeeper.session.timeout.ms': 12000,
        'zookeeper.connection.timeout.ms': 30000,
        'replica.lag.time.max.ms': 4000,
      },
    })
    for (const broker of cluster.brokers) await broker.start()
    await cluster.registered(3)
    const [host = '', port = ''] = cluster.zookeeper.split(':')
    tool = await ZooKeeperProxy.start({ host, port: Number(port) })
  })
  after(async () => {
    await tool?.close()
    await cluster?.close()
  })

  const broker = (id: number) => (): ZooKeeperProxy => cluster.proxies[id] ?? assert.fail()
  const controller = () => eventually('a controller', () => cluster.controllerId())
  const stepsFor = (...topics: string[]): ZnodeSteps =>
    new ZnodeSteps('main', cluster.zk.session, () => [...cluster.proxies, tool], topics)
  const create = (topic: string, assignment: string) => {
    const words = ['--create', '--topic', topic, '--replica-assignment', assignment]
    return run(join(distribution, 'bin', 'kafka-topics.sh'), ['--zookeeper', `127.0.0.1:${tool.port}`, ...words])
  }
  const produce = (topic: string, acks: number, text: string) =>
    kcat(cluster.broker(0).address, ['-P', '-t', topic, '-p', '0', '-X', `request.required.acks=${acks}`], text)

  async function becomesController(id: number): Promise<void> {
    while ((await controller()) !== id) {
      await cluster.zk.deleteController()
      await controller()
    }
  }

  it('two partitions are reassigned, one of them to fewer replicas', () => {
    const steps = stepsFor('t-move')
    return steps.step(
      28,
      async () => {
        await create('t-move', '0:1,0:1')
        await cluster.fullIsr('t-move', 2, 2)
        await produce('t-move', -1, 'a\nb\n')
        await cluster.zk.createReassignments(
          new Map([
            ['t-move-0', [1, 2]],
            ['t-move-1', [2]],
          ]),
        )
        await eventually('they are done', async () => (await cluster.zk.getReassignments()) === undefined, 30_000)
      },
      { 'broker 0': broker(0) },
      { byPath: true, anyIsrOrder: true, settleMs: 1500 },
    )
  })

  it('to a broker that does not exist, and cancelled by hand', async () => {
    const steps = stepsFor('t-move')
    await steps.step(32, () => cluster.zk.createReassignments(new Map([['t-move-0', [7]]])), {})
    assert.deepEqual(steps.linesOf(broker(await controller())()), steps.goldenLines(32, 'broker 1'))
    await steps.step(
      33,
      async () => {
        const data = Buffer.from('{"version":1,"partitions":{"1":[2],"0":[1,2]}}')
        await cluster.zk.session.request({ op: 'setData', path: '/brokers/topics/t-move', data, version: -1 })
        await cluster.zk.session.request({ op: 'delete', path: REASSIGN_PARTITIONS_PATH, version: -1 })
        await cluster.zk.deleteController()
      },
      {},
    )
    const winner = await controller()
    const want = steps.goldenLines(33, 'broker 0').map((line) => line.replace('\\"brokerid\\":0', `\\"brokerid\\":${winner}`))
    assert.deepEqual(steps.linesOf(broker(winner)()), want)
  })

  it('a follower is frozen for longer than the lag time, not for a session', async () => {
    await becomesController(0)
    const steps = stepsFor('t-isr')
    await steps.step(52, () => create('t-isr', '0:1:2'), { 'broker 0': broker(0), 'tool topics': () => tool })
    await cluster.fullIsr('t-isr', 1, 3)
    const isr = async () => (await cluster.partitionState('t-isr', 0)).isr.length
    await steps.step(
      53,
      async () => {
        cluster.broker(2).signal('SIGSTOP')
        try {
          await produce('t-isr', 1, 'a\nb\n')
          await eventually('the ISR shrinks', async () => (await isr()) === 2)
        } finally {
          cluster.broker(2).signal('SIGCONT')
        }
        await eventually('the ISR is full again', async () => (await isr()) === 3)
      },
      { 'broker 0': broker(0) },
      // Other topics' partitions have been announced in the recording.
      { tree: false },
    )
  })

  it('a broker that is not the controller is killed, and returns', async () => {
    await becomesController(0)
    await create('t-tool', '0:2:1,1:0:2,2:0:1,0:2:1')
    await cluster.fullIsr('t-tool', 4, 3)
    const steps = stepsFor('t-tool')
    await steps.step(
      43,
      async () => {
        await cluster.broker(1).kill()
        await eventually('broker 1 is gone', async () => !(await cluster.zk.getBrokerIds()).includes(1), 30_000)
        await cluster.everyPartitionLed('t-tool', 4, [1])
      },
      { 'broker 0': broker(0), 'broker 2': broker(2) },
      { byPath: true, anyIsrOrder: true },
    )
    await steps.step(
      44,
      async () => {
        await cluster.broker(1).start()
        await cluster.fullIsr('t-tool', 4, 3)
      },
      { 'broker 0': broker(0), 'broker 1': broker(1), 'broker 2': broker(2) },
      { byPath: true, anyIsrOrder: true },
    )
  })
})
