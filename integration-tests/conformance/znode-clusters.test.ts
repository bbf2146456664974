/**
 * What brokers write to ZooKeeper when they start and stop, against two more recordings of a genuine 1.1.1: three in a new ZooKeeper, that are asked to
 * store an offset there; two that had an authorizer besides.
 */
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BrokerProcess } from '../harness/brokers.ts'
import { ask } from '../harness/wire.ts'
import { ZnodeCluster } from '../harness/znode-cluster.ts'
import { ZnodeStage } from '../harness/znode-stage.ts'
import { ZnodeSteps } from '../harness/znode-steps.ts'

describe('three brokers one after the other, a topic of four partitions, an offset for ZooKeeper', () => {
  let stage: ZnodeCluster
  let steps: ZnodeSteps
  before(async () => {
    stage = await ZnodeCluster.start({}, true)
    steps = stage.steps(['t-old'], 'consumers')
  })
  after(() => stage?.close())

  const owners = Object.fromEntries([0, 1, 2].map((id) => [`broker ${id}`, () => stage.proxy(id)()]))

  it('they start', () =>
    steps.step(
      1,
      async () => {
        for (const broker of stage.cluster.brokers) {
          await broker.start()
          await steps.settle()
        }
      },
      owners,
      { settleMs: 1500 },
    ))
  it('a topic', () =>
    steps.step(2, () => stage.createTopic('t-old', '0:1,1:2,2:0,0:2'), { 'tool topics': () => stage.tool, ...owners }))
  it('OffsetCommit v0', () => {
    const partitions = [{ partition: 0, offset: 7, timestamp: -1, metadata: '' }]
    const request = { groupId: 'gz', topics: [{ topic: 't-old', partitions }] }
    return steps.step(11, () => ask(stage.cluster.broker(0).address, 'OffsetCommit', 0, request), owners)
  })
})

describe('two brokers with an authorizer, delegation tokens and SASL, but for these', () => {
  let stage: ZnodeStage
  let steps: ZnodeSteps
  before(async () => {
    stage = await ZnodeStage.start('')
    steps = new ZnodeSteps('secure', stage.zk.session, () => stage.proxies, [])
    stage.brokers = [0, 1].map((id) => {
      const [plain = 0, other = 0] = stage.ports.slice(2 * id)
      return new BrokerProcess({
        id,
        port: plain,
        zookeeper: `127.0.0.1:${stage.proxy(id).port}`,
        directory: join(stage.directory, `broker-${id}`),
        properties: {
          listeners: `PLAINTEXT://127.0.0.1:${plain},SASL_PLAINTEXT://127.0.0.1:${other}`,
          'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:PLAINTEXT',
          'zookeeper.session.timeout.ms': 12000,
        },
      })
    })
  })
  after(() => stage?.close())

  const owners = { 'broker 0': () => stage.proxy(0), 'broker 1': () => stage.proxy(1) }
  const noTree = { settleMs: 1500, tree: false }
  it('the first broker', () => steps.step(1, () => stage.broker(0).start(), owners, noTree))
  it('the second broker', () => steps.step(2, () => stage.broker(1).start(), owners, noTree))
  it('both stop', () =>
    steps.step(
      14,
      async () => {
        await stage.broker(1).stop()
        await stage.broker(0).stop()
      },
      owners,
      noTree,
    ))
})
