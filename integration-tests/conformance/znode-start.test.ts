/**
 * What brokers write to ZooKeeper when they start and stop, against the recordings of a genuine 1.1.1: in a chroot that is not there, with
 * generated ids, racks and two listeners, with automatic leader rebalance.
 */
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BrokerProcess, eventually } from '../harness/brokers.ts'
import { ZnodeStage } from '../harness/znode-stage.ts'
import { ZnodeSteps } from '../harness/znode-steps.ts'

describe('a chroot, generated ids, racks, two listeners, automatic rebalance', () => {
  const chroot = '/kafka/one'
  let stage: ZnodeStage
  let steps: ZnodeSteps
  before(async () => {
    stage = await ZnodeStage.start(chroot)
    steps = new ZnodeSteps('auto', stage.zk.session, () => stage.proxies, ['ta'], chroot)
    stage.brokers = [0, 1].map((i) => {
      const [clients = 0, repl = 0] = stage.ports.slice(2 * i)
      return new BrokerProcess({
        id: 1001 + i,
        port: clients,
        zookeeper: `127.0.0.1:${stage.proxy(i).port}${chroot}`,
        directory: join(stage.directory, `broker-${i}`),
        properties: {
          'broker.id': -1,
          'broker.rack': `r${i}`,
          listeners: `CLIENTS://127.0.0.1:${clients},REPL://127.0.0.1:${repl}`,
          'listener.security.protocol.map': 'CLIENTS:PLAINTEXT,REPL:PLAINTEXT',
          'inter.broker.listener.name': 'REPL',
          'zookeeper.session.timeout.ms': 9000,
          'auto.leader.rebalance.enable': true,
          'leader.imbalance.check.interval.seconds': 5,
          'replica.lag.time.max.ms': 10_000,
        },
      })
    })
  })
  after(() => stage.close())

  const owner = (i: number) => ({ [`broker ${i}`]: () => stage.proxy(i) })
  const settled = { settleMs: 1500 }

  it('the first broker', () => steps.step(1, () => stage.broker(0).start(), owner(0), settled))
  it('the second broker', () => steps.step(2, () => stage.broker(1).start(), { ...owner(0), ...owner(1) }, settled))
  it('a topic, and its preferred leader stops', () =>
    steps.step(
      3,
      async () => {
        await stage.topics(chroot, '--create', '--topic', 'ta', '--replica-assignment', '1001:1002,1002:1001')
        await steps.settle()
        await stage.broker(1).stop()
      },
      { 'tool topics': () => stage.proxy(2), ...owner(0) },
    ))
  it('it returns, and leads again without being asked', () =>
    steps.step(
      4,
      async () => {
        await stage.broker(1).start()
        await eventually(
          'the preferred leader leads',
          async () => (await stage.zk.getPartitionStates([{ topic: 'ta', partition: 1 }])).get('ta-1')?.leader === 1002,
          30_000,
        )
      },
      { ...owner(0), ...owner(1) },
      settled,
    ))
  it('both stop', () =>
    steps.step(
      5,
      async () => {
        await stage.broker(1).stop()
        await stage.broker(0).stop()
      },
      { ...owner(0), ...owner(1) },
      { anyIsrOrder: true },
    ))
})
