/** G22: ZooKeeper is killed and started again; an ensemble loses its leader. Producers hardly notice, and afterwards brokers can still fail. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type RealZooKeeper, realZooKeeperMissing, startRealZooKeeper } from '../../zk/contract/real-zookeeper.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { SAFE, underLoad } from '../harness/under-load.ts'

const PARTITIONS = 3

/** What only works when the brokers' sessions, watches and fences are whole again. */
async function controllerAnswersToADeath(cluster: TestCluster, topic: string): Promise<void> {
  const { leader } = await cluster.partitionState(topic, 0)
  await cluster.broker(leader).kill()
  await eventually(`/brokers/ids/${leader} is gone`, async () => !(await cluster.zk.getBrokerIds()).includes(leader), 30_000)
  await cluster.everyPartitionLed(topic, PARTITIONS, [leader])
  await cluster.broker(leader).start(60_000)
}

describe('ZooKeeper is killed and started again', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 3, properties: SAFE })
    await cluster.createTopic('restarted', PARTITIONS, 3)
  })
  after(() => cluster.close())

  it('under load, and then a broker dies', { timeout: 180_000 }, async () => {
    await underLoad(cluster, 'restarted', PARTITIONS, 'ZooKeeper restarted, then a leader killed', async (producer) => {
      const began = performance.now()
      await cluster.restartZooKeeper()
      await eventually(
        'all brokers are registered, with a controller',
        async () => {
          return (await cluster.zk.getBrokerIds()).length === 3 && (await cluster.controllerId()) !== undefined
        },
        60_000,
      )
      process.stdout.write(`# ZooKeeper was away for ${Math.round(performance.now() - began)} ms\n`)
      process.stdout.write(`# until then unavailable for ${Math.round(producer.unavailableMs)} ms at most\n`)
      await producer.progress(20)
      await controllerAnswersToADeath(cluster, 'restarted')
    })
  })
})

describe('an ensemble of three loses its leader', () => {
  let ensemble: RealZooKeeper
  let cluster: TestCluster
  before(async () => {
    assert.equal(realZooKeeperMissing(), null)
    ensemble = await startRealZooKeeper({ servers: 3 })
    cluster = await TestCluster.start({ brokers: 3, zookeeper: ensemble.connect, properties: SAFE })
    await cluster.createTopic('quorum', PARTITIONS, 3)
  })
  after(async () => {
    await cluster?.close()
    await ensemble?.close()
  })

  it('under load; with two of three servers a broker dies', { timeout: 240_000 }, async () => {
    const modes = await Promise.all(ensemble.nodes.map((node) => node.mode()))
    const lost = ensemble.nodes[modes.indexOf('leader')] ?? assert.fail(`no leader among ${modes}`)
    await underLoad(cluster, 'quorum', PARTITIONS, "the ensemble's leader killed, then a broker's", async (producer) => {
      await lost.kill()
      await eventually(
        'another leader of the ensemble',
        async () => {
          const now = await Promise.all(ensemble.nodes.filter((node) => node !== lost).map((node) => node.mode()))
          return now.includes('leader')
        },
        60_000,
      )
      await eventually(
        'all brokers are registered, with a controller',
        async () => {
          return (await cluster.zk.getBrokerIds()).length === 3 && (await cluster.controllerId()) !== undefined
        },
        60_000,
      )
      process.stdout.write(`# until then unavailable for ${Math.round(producer.unavailableMs)} ms at most\n`)
      await producer.progress(20)
      await controllerAnswersToADeath(cluster, 'quorum')
    })
    await lost.start()
  })
})
