/**
 * Guarantees G1, G3, G4, G7: with acks=all and two in-sync replicas demanded, no acknowledged record is lost, moved or reordered while
 * brokers die and return, and in the end the replicas are equal byte for byte. SAMSA_ROUNDS sets the rounds (3; each kills a leader, the
 * controller, and stops a third broker).
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RecordingProducer, verifyAcknowledged } from '../harness/acknowledged.ts'
import { eventually, kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { compareReplicas } from '../harness/replicas.ts'

const ROUNDS = Number(process.env['SAMSA_ROUNDS'] ?? 3)
const PARTITIONS = 3

describe('a broker dies under an acks=all producer', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      properties: {
        'min.insync.replicas': 2,
        'default.replication.factor': 3,
        'num.partitions': PARTITIONS,
        'replica.lag.time.max.ms': 4000,
      },
    })
    await cluster.createTopic('acked', PARTITIONS, 3)
  })
  after(() => cluster.close())

  it(`loses nothing in ${ROUNDS} rounds of killed leaders, killed controllers and controlled shutdowns`, {
    timeout: ROUNDS * 90_000,
  }, async () => {
    const producer = new RecordingProducer(cluster.addresses, 'acked', PARTITIONS)
    await producer.start(2)
    const moved: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const leader = (await cluster.partitionState('acked', round % PARTITIONS)).leader
      await producer.progress(50)
      moved.push(await killAndReturn(cluster, leader))
      await producer.progress(50)
      moved.push(await killAndReturn(cluster, (await cluster.controllerId()) ?? assert.fail('no controller')))
      await producer.progress(50)
      const third = (await cluster.partitionState('acked', (round + 1) % PARTITIONS)).leader
      await cluster.broker(third).stop()
      await cluster.everyPartitionLed('acked', PARTITIONS, [third])
      await cluster.broker(third).start()
      await cluster.fullIsr('acked', PARTITIONS, 3)
    }
    await producer.progress(50)
    await producer.stop()
    const seen = await verifyAcknowledged(cluster.bootstrap, 'acked', producer)
    assert.ok(seen.acknowledged > 100 * ROUNDS, `only ${seen.acknowledged} acknowledged`)
    process.stdout.write(
      `# ${seen.acknowledged} acknowledged, ${seen.records} read; unavailable for ${Math.round(producer.unavailableMs)} ms at most; ` +
        `last leader moved ${moved.map((ms) => Math.round(ms)).join(', ')} ms after the znode went\n`,
    )
    for (const broker of cluster.brokers) await broker.stop()
    compareReplicas(cluster.brokers, 'acked', PARTITIONS)
  })

  it('canary: the check sees a record that is not there', async () => {
    for (const broker of cluster.brokers) if (broker.exit !== undefined) await broker.start()
    await cluster.fullIsr('acked', PARTITIONS, 3)
    const liar = new RecordingProducer(cluster.addresses, 'acked', 0)
    liar.acknowledged.push({ partition: 0, offset: 0, value: 'never sent' })
    await assert.rejects(verifyAcknowledged(cluster.bootstrap, 'acked', liar), /1 of 1 acknowledged records are not there/)
    await kcat(cluster.bootstrap, ['-L', '-t', 'acked'])
  })
})

/** Answers the milliseconds from the end of the broker's znode until none of the topic's partitions is led by it. */
async function killAndReturn(cluster: TestCluster, id: number): Promise<number> {
  await cluster.broker(id).kill()
  await eventually(`/brokers/ids/${id} is gone`, async () => !(await cluster.zk.getBrokerIds()).includes(id))
  const began = performance.now()
  await cluster.everyPartitionLed('acked', PARTITIONS, [id])
  const took = performance.now() - began
  await cluster.broker(id).start()
  await cluster.fullIsr('acked', PARTITIONS, 3)
  return took
}
