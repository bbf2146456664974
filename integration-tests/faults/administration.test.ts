/** G16: administrative work goes on over the death of brokers, and costs no acknowledged record. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { eventually, kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { SAFE, underLoad } from '../harness/under-load.ts'

const PARTITIONS = 4
const BROKERS = [0, 1, 2, 3]

describe('administration while brokers die', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: BROKERS.length, properties: SAFE })
  })
  after(() => cluster.close())

  it('everything is reassigned while a broker is bounced', { timeout: 240_000 }, async () => {
    await cluster.createTopic('moved', PARTITIONS, 3)
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    const assigned = async () => (await cluster.zk.getAssignments(['moved'])).get('moved') ?? assert.fail('no assignment')
    let bounced = -1
    // Everybody's successor: each partition gets another leader, and at least one other replica.
    const before = await assigned()
    const target = new Map(partitions.map((p) => [`moved-${p}`, (before.get(p) ?? []).map((id) => (id + 1) % BROKERS.length)]))
    await underLoad(cluster, 'moved', PARTITIONS, 'everything reassigned while a broker is bounced', async (producer) => {
      assert.equal(await cluster.zk.createReassignments(target), 'ok')
      const controller = await eventually('a controller', () => cluster.controllerId())
      bounced = BROKERS.find((id) => id !== controller) ?? assert.fail()
      await cluster.broker(bounced).kill()
      await producer.progress(10)
      await cluster.broker(bounced).start(60_000)
      await eventually('the reassignments are done', async () => (await cluster.zk.getReassignments()) === undefined, 60_000)
      const now = await assigned()
      for (const p of partitions) assert.deepEqual(now.get(p), target.get(`moved-${p}`), `partition ${p}`)
    })
    // Replicas that were moved away are deleted; one whose broker was down then stays, as in 1.1: nobody tells it later.
    for (const id of BROKERS.filter((one) => one !== bounced)) {
      const own = partitions.filter((p) => target.get(`moved-${p}`)?.includes(id)).map((p) => `moved-${p}`)
      await eventually(
        `broker ${id} has ${own} alone`,
        () => {
          const folders = readdirSync(cluster.broker(id).logDirectory).filter((name) => /^moved-\d+$/.test(name))
          return folders.sort().join() === own.sort().join()
        },
        30_000,
      )
    }
  })

  it('a topic is deleted while a broker is down, and made again', { timeout: 240_000 }, async () => {
    await cluster.createTopic('kept', PARTITIONS, 3)
    await cluster.createTopic('doomed', 1, 4)
    await kcat(cluster.bootstrap, ['-P', '-t', 'doomed', '-p', '0', '-X', 'request.required.acks=-1'], 'old 1\nold 2\n')
    const controller = await eventually('a controller', () => cluster.controllerId())
    const id = BROKERS.find((one) => one !== controller) ?? assert.fail()
    const folder = `${cluster.broker(id).logDirectory}/doomed-0`
    await underLoad(cluster, 'kept', PARTITIONS, 'a topic deleted while a broker is down', async (producer) => {
      await cluster.broker(id).kill()
      await eventually(`/brokers/ids/${id} is gone`, async () => !(await cluster.zk.getBrokerIds()).includes(id), 30_000)
      assert.equal((await cluster.topics(['--delete', '--topic', 'doomed'])).code, 0)
      await producer.progress(20)
      assert.ok((await cluster.zk.getTopics()).includes('doomed'), 'it waits for the broker')
      assert.ok(existsSync(folder))
      await cluster.broker(id).start(60_000)
      await eventually('the topic is gone', async () => !(await cluster.zk.getTopics()).includes('doomed'), 60_000)
      await eventually('its log is gone', () => !existsSync(folder), 30_000)
    })
    await cluster.createTopic('doomed', 1, 4)
    await kcat(cluster.bootstrap, ['-P', '-t', 'doomed', '-p', '0', '-X', 'request.required.acks=-1'], 'new\n')
    assert.equal(await kcat(cluster.bootstrap, ['-C', '-t', 'doomed', '-p', '0', '-o', 'beginning', '-e', '-q']), 'new\n')
  })
})
