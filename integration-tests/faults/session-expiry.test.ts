/**
 * G23: a broker whose ZooKeeper session is taken away while it lives registers again, catches up, loses nothing that was acknowledged, and is
 * neither leader nor controller in between. The session is ended through its own id and password, as ZooKeeper's expiry would end it.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RecordingProducer, verifyAcknowledged } from '../harness/acknowledged.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

describe('the session of a living broker expires', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      proxied: true,
      properties: { 'min.insync.replicas': 2, 'default.replication.factor': 3 },
    })
    await cluster.createTopic('expiry', 3, 3)
  })
  after(() => cluster.close())

  for (const role of ['controller', 'leader'] as const) {
    it(`of the ${role}: it registers anew, and every acknowledged record is there`, { timeout: 120_000 }, async () => {
      const producer = new RecordingProducer(cluster.addresses, 'expiry', 3)
      await producer.start(2)
      const controller = await eventually('a controller', async () => cluster.controllerId())
      const leader = (await cluster.partitionState('expiry', 0)).leader
      const id = role === 'controller' ? controller : leader
      const before = await cluster.brokerNode(id)
      const epochBefore = (await cluster.zk.getControllerEpoch())?.epoch ?? 0
      await producer.progress(50)
      await cluster.expireSession(id)
      const registered = await eventually('a registration of the new session', async () => {
        const now = await cluster.brokerNode(id)
        return now !== undefined && now.owner !== before?.owner ? now : undefined
      })
      assert.notEqual(registered.owner, before?.owner)
      await cluster.fullIsr('expiry', 3, 3)
      assert.equal(cluster.broker(id).exit, undefined, 'the process lives on')
      if (role === 'controller') {
        await eventually(`a controller of a later epoch than ${epochBefore}`, async () => {
          return ((await cluster.zk.getControllerEpoch())?.epoch ?? 0) > epochBefore
        })
      }
      await producer.progress(50)
      await producer.stop()
      const seen = await verifyAcknowledged(cluster.bootstrap, 'expiry', producer)
      assert.ok(seen.acknowledged > 50, `only ${seen.acknowledged} acknowledged`)
      const unavailableMs = Math.round(producer.unavailableMs)
      process.stdout.write(
        `# session of the ${role} ended: unavailable for ${unavailableMs} ms at most; ${seen.acknowledged} acknowledged\n`,
      )
    })
    // Values of the next producer would step back behind those of this one.
    it('makes room for the next', async () => {
      await cluster.deleteTopic('expiry')
      await cluster.createTopic('expiry', 3, 3)
    })
  }
})

describe("ZooKeeper's data are emptied under a living broker", () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 1, proxied: true })
  })
  after(() => cluster.close())

  async function removeTree(path: string): Promise<void> {
    const { session } = cluster.zk
    const { children = [] } = await session.request({ op: 'getChildren', path })
    for (const child of children) if (child !== 'zookeeper') await removeTree(path === '/' ? `/${child}` : `${path}/${child}`)
    if (path !== '/') await session.request({ op: 'delete', path, version: -1 })
  }

  it('with its next session it registers, and a topic can be created', { timeout: 60_000 }, async () => {
    // It must not write while its nodes go.
    cluster.proxies[0]?.refuse()
    await cluster.expireSession(0)
    await removeTree('/')
    assert.equal(await cluster.brokerNode(0), undefined)
    cluster.proxies[0]?.heal()
    await cluster.registered(1)
    await cluster.createTopic('anew', 1, 1)
    assert.equal((await cluster.partitionState('anew', 0)).leader, 0)
  })
})
