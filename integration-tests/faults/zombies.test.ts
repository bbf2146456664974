/**
 * G6: a broker that was frozen past its session and goes on - still controller, still leader by its own word - changes nothing: neither in
 * ZooKeeper, nor at the other brokers, nor for clients.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { SAFE, underLoad } from '../harness/under-load.ts'

const PARTITIONS = 3

describe('a broker is frozen past its session, then goes on', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 3, properties: SAFE })
  })
  after(() => cluster.close())

  async function leaderOtherThan(topic: string, id: number): Promise<number> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { leader } = await cluster.partitionState(topic, partition)
      if (leader !== id) return leader
    }
    return assert.fail(`broker ${id} leads everything`)
  }

  for (const role of ['controller', 'leader'] as const) {
    it(`the ${role}`, { timeout: 180_000 }, async () => {
      const topic = `frozen-${role}`
      await cluster.createTopic(topic, PARTITIONS, 3)
      const controller = await eventually('a controller', () => cluster.controllerId())
      const id = role === 'controller' ? controller : await leaderOtherThan(topic, controller)
      const zombie = cluster.broker(id)
      const session = (await cluster.brokerNode(id))?.owner
      await underLoad(cluster, topic, PARTITIONS, `${role} frozen past its session`, async (producer) => {
        zombie.signal('SIGSTOP')
        try {
          await eventually(`/brokers/ids/${id} is gone`, async () => !(await cluster.zk.getBrokerIds()).includes(id), 30_000)
          await cluster.everyPartitionLed(topic, PARTITIONS, [id])
          if (role === 'controller')
            await eventually('another controller', async () => ![id, undefined].includes(await cluster.controllerId()))
          await producer.progress(20)
        } finally {
          zombie.signal('SIGCONT')
        }
        const ruler = await cluster.controllerId()
        const epoch = (await cluster.zk.getControllerEpoch())?.epoch
        await eventually(
          'the zombie registers in a new session',
          async () => {
            const owner = (await cluster.brokerNode(id))?.owner
            return owner !== undefined && owner !== session
          },
          30_000,
        )
        await cluster.fullIsr(topic, PARTITIONS, 3)
        assert.equal(await cluster.controllerId(), ruler, 'the controller of meanwhile stays')
        assert.equal((await cluster.zk.getControllerEpoch())?.epoch, epoch)
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const state = await cluster.partitionState(topic, partition)
          assert.ok(state.leader !== id, `partition ${partition} is led by broker ${id} again, though nobody elected it`)
          assert.ok(state.controllerEpoch <= (epoch ?? 0))
        }
      })
      assert.equal(zombie.exit, undefined, 'the process lives on')
    })
  }
})
