/**
 * What brokers write to ZooKeeper when sessions end and brokers leave for good, against the recording of a genuine 1.1.1: the session of a broker and
 * of the controller expires, a log directory fails and is put back, all stop in turn, one starts again on what is there.
 */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BrokerProcess, eventually } from '../harness/brokers.ts'
import type { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'
import { ZnodeCluster } from '../harness/znode-cluster.ts'

/** What several partitions do at the same time is interleaved by chance, and members join an ISR in the order of their clocks. */
const concurrent = { byPath: true, anyIsrOrder: true, settleMs: 1500 }
const TOPIC_PARTITIONS = { 't-tool': 4, 't-isr': 1 }

describe('expired sessions, a failed log directory, the end and a new start, against the genuine recording', () => {
  let stage: ZnodeCluster
  let cluster: TestCluster

  before(async () => {
    stage = await ZnodeCluster.start({ 'replica.high.watermark.checkpoint.interval.ms': 1000 }, true)
    cluster = stage.cluster
    const { options } = cluster.broker(0)
    for (const name of ['a', 'b']) mkdirSync(logDirectory(name), { recursive: true })
    const properties = { ...options.properties, 'log.dirs': `${logDirectory('a')},${logDirectory('b')}` }
    cluster.brokers[0] = new BrokerProcess({ ...options, properties })
    for (const one of cluster.brokers) await one.start()
    await cluster.registered(3)
    await lieIn('t-tool', { a: [0, 2], b: [1, 3] })
    await lieIn('t-isr', { a: [0], b: [] })
    await stage.createTopic('t-tool', '0:2:1,1:0:2,2:0:1,0:2:1')
    await stage.createTopic('t-isr', '0:1:2')
  })
  after(() => stage?.close())

  const broker = (id: number) => () => stage.proxy(id)()
  const logDirectory = (name: string): string => join(cluster.broker(0).options.directory, name)

  /** Where a replica of broker 0 is to be made. */
  async function lieIn(topic: string, places: Readonly<Record<'a' | 'b', readonly number[]>>): Promise<void> {
    const logDirs = (['a', 'b'] as const).map((name) => {
      return { logDir: logDirectory(name), topics: [{ topic, partitions: [...places[name]] }] }
    })
    await ask(cluster.broker(0).address, 'AlterReplicaLogDirs', 0, { logDirs })
  }

  async function inSync(except?: number): Promise<void> {
    for (const [topic, partitions] of Object.entries(TOPIC_PARTITIONS)) {
      if (except === undefined) await cluster.fullIsr(topic, partitions, 3)
      else await cluster.everyPartitionLed(topic, partitions, [except])
    }
  }

  /** Its session ends while it cannot hear of it; `meanwhile` is over before it hears. */
  async function expires(id: number, meanwhile: () => Promise<unknown>): Promise<void> {
    broker(id)().refuse()
    await cluster.expireSession(id)
    await meanwhile()
    broker(id)().heal()
    await cluster.registered(3)
    await inSync()
  }

  it('the session of a broker expires', async () => {
    await cluster.broker(0).stop()
    await cluster.broker(0).start()
    await inSync()
    await stage.becomesController(1)
    await stage.steps(['t-tool']).step(
      50,
      () => expires(0, () => eventually('it is gone', async () => (await cluster.zk.getBrokerIds()).length === 2)),
      { 'broker 0': broker(0), 'broker 1': broker(1), 'broker 2': broker(2) },
      // The recorded session was closed by ZooKeeper.
      { ...concurrent, ignore: /^closeSession/ },
    )
  })

  it('the session of the controller expires', () =>
    stage.steps(['t-tool']).step(
      51,
      async () => {
        // As recorded, broker 0 wins.
        broker(2)().freeze()
        await expires(1, async () => {
          await eventually('broker 0 is the controller', async () => (await cluster.controllerId()) === 0)
          broker(2)().heal()
          await inSync(1)
        })
      },
      { 'broker 0': broker(0), 'broker 1': broker(1) },
      { ...concurrent, ignore: /^closeSession/ },
    ))

  it('a log directory fails, and is back after a restart', async () => {
    await cluster.zk.createPreferredReplicaElection([
      { topic: 't-tool', partition: 0 },
      { topic: 't-tool', partition: 3 },
      { topic: 't-isr', partition: 0 },
    ])
    await eventually('broker 0 leads', async () => (await cluster.partitionState('t-isr', 0)).leader === 0)
    await stage.becomesController(2)
    const steps = stage.steps(['t-tool', 't-isr'])
    await steps.step(
      67,
      async () => {
        renameSync(logDirectory('a'), logDirectory('away'))
        writeFileSync(logDirectory('a'), '')
        await eventually('others lead', async () => (await cluster.partitionState('t-isr', 0)).leader !== 0)
      },
      { 'broker 0': broker(0), 'broker 2': broker(2) },
      concurrent,
    )
    await steps.step(
      68,
      async () => {
        await cluster.broker(0).stop()
        rmSync(logDirectory('a'))
        renameSync(logDirectory('away'), logDirectory('a'))
        await cluster.broker(0).start()
        await inSync()
      },
      { 'broker 0': broker(0), 'broker 1': broker(1), 'broker 2': broker(2) },
      concurrent,
    )
  })

  it('all stop in turn, and one starts again', async () => {
    const steps = stage.steps(['t-tool', 't-isr'])
    await steps.step(
      69,
      async () => {
        // As recorded, broker 1 wins.
        broker(0)().freeze()
        await cluster.broker(2).stop()
        await eventually('broker 1 is the controller', async () => (await cluster.controllerId()) === 1)
        broker(0)().heal()
        await steps.settle()
        await cluster.broker(1).stop()
        await eventually('broker 0 is the controller', async () => (await cluster.controllerId()) === 0)
        await steps.settle()
        await cluster.broker(0).stop()
      },
      { 'broker 0': broker(0), 'broker 1': broker(1), 'broker 2': broker(2) },
      // A genuine broker that led asks again and again for an ISR that is out of date, and one that lost an election may have tried.
      { ...concurrent, ignore: / BADVERSION$|^create \/controller .* NODEEXISTS$/ },
    )
    await steps.step(70, () => cluster.broker(0).start(), { 'broker 0': broker(0) }, { settleMs: 1500 })
    assert.equal(await stage.controller(), 0)
  })
})
