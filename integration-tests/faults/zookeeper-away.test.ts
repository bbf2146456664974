/** G22: while ZooKeeper is away leaders keep serving, a broker can be stopped, and afterwards everything goes on by itself. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually, kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { SAFE, underLoad } from '../harness/under-load.ts'

const PARTITIONS = 3
/** `BrokerProcess` gives brokers sessions of 2 s. */
const SESSION_MS = 2000

describe('ZooKeeper is away', () => {
  let cluster: TestCluster
  let controllerId: number
  before(async () => {
    cluster = await TestCluster.start({ brokers: 3, proxied: true, properties: SAFE })
    await cluster.createTopic('loaded', PARTITIONS, 3)
    await cluster.createTopic('served', 1, 3)
  })
  after(() => cluster.close())

  it('for longer than a session, under load: leaders go on, and everybody comes back', { timeout: 180_000 }, async () => {
    await underLoad(cluster, 'loaded', PARTITIONS, 'ZooKeeper away for three sessions', async (producer) => {
      const began = performance.now()
      for (const proxy of cluster.proxies) proxy.refuse()
      await eventually('all sessions have ended', async () => (await cluster.zk.getBrokerIds()).length === 0, 30_000)
      await sleep(2 * SESSION_MS)
      await producer.progress(20)
      const read = await kcat(cluster.bootstrap, ['-C', '-t', 'loaded', '-o', '-1', '-c', '1'])
      assert.match(read, /^\d-\d{8}\n$/)
      for (const proxy of cluster.proxies) proxy.heal()
      await cluster.registered(3)
      process.stdout.write(`# ZooKeeper was away for ${Math.round(performance.now() - began)} ms\n`)
      process.stdout.write(`# until then unavailable for ${Math.round(producer.unavailableMs)} ms at most\n`)
    })
  })

  it('again: produce with acks=all and consume go on', async () => {
    controllerId = (await cluster.controllerId()) ?? assert.fail('no controller')
    for (const proxy of cluster.proxies) proxy.refuse()
    for (let i = 0; i < 8; i++) {
      await kcat(cluster.bootstrap, ['-P', '-t', 'served', '-p', '0', '-X', 'acks=all'], `line ${i}\n`)
      await sleep(500)
    }
    const read = await kcat(cluster.bootstrap, ['-C', '-t', 'served', '-p', '0', '-e', '-q'])
    assert.equal(read, Array.from({ length: 8 }, (_, i) => `line ${i}\n`).join(''))
  })

  it('brokers stop in seconds all the same, with exit code 0: the controller, and another one', async () => {
    // The controller's way out is the harder one: its own shutdown is an event that it can no longer write to ZooKeeper.
    const controller = cluster.broker(controllerId)
    const other = cluster.brokers.find((broker) => broker !== controller) ?? assert.fail()
    for (const broker of [controller, other]) {
      const began = performance.now()
      await broker.stop()
      assert.ok(performance.now() - began < 20_000, `took ${Math.round(performance.now() - began)} ms`)
    }
  })

  it('it is back: everybody registers, and records can be written and read', async () => {
    for (const proxy of cluster.proxies) proxy.heal()
    for (const broker of cluster.brokers) if (broker.exit !== undefined) await broker.start()
    await cluster.registered(3)
    await cluster.fullIsr('served', 1, 3)
    await eventually('a record is acknowledged', async () => {
      await kcat(
        cluster.bootstrap,
        ['-P', '-t', 'served', '-p', '0', '-X', 'acks=all', '-X', 'message.timeout.ms=3000'],
        'after\n',
      )
      return true
    })
    assert.match(await kcat(cluster.bootstrap, ['-C', '-t', 'served', '-p', '0', '-e', '-q']), /line 7\n(after\n)+$/)
  })
})
