/**
 * The writes that brokers and tools ask of ZooKeeper are those of a genuine 1.1.1, in the same order per session, data and versions included.
 * A `multi` that only adds the check of the controller epoch counts as its inner write. Recorded steps: integration-tests/golden/znodes.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../harness/brokers.ts'
import type { TestCluster } from '../harness/cluster.ts'
import { ZnodeCluster } from '../harness/znode-cluster.ts'
import type { ZnodeSteps } from '../harness/znode-steps.ts'
import { goldenStep } from '../harness/znode-writes.ts'
import type { ZooKeeperProxy } from '../harness/zookeeper-proxy.ts'

describe('ZooKeeper transactions against the genuine recording', () => {
  let stage: ZnodeCluster
  let cluster: TestCluster
  let steps: ZnodeSteps

  before(async () => {
    stage = await ZnodeCluster.start(
      { 'replica.lag.time.max.ms': 4000, 'num.partitions': 2, 'default.replication.factor': 3 },
      true,
    )
    cluster = stage.cluster
    steps = stage.steps(['t-tool', 't-manual'])
  })
  after(() => stage?.close())

  const step = (
    number: number,
    act: () => Promise<unknown>,
    who: Readonly<Record<string, () => ZooKeeperProxy>>,
    settleMs?: number,
  ): Promise<void> => steps.step(number, act, who, settleMs === undefined ? {} : { settleMs })

  const tools = { 'tool topics': () => stage.tool }
  const everyBroker = Object.fromEntries([0, 1, 2].map((id) => [`broker ${id}`, () => stage.proxy(id)()]))
  const topics = (...words: string[]) => stage.topics(...words)

  it('the first broker starts and becomes controller', () =>
    step(1, () => cluster.broker(0).start(), { 'broker 0': () => stage.proxy(0)() }, 2000))
  it('a second broker joins', () => step(2, () => cluster.broker(1).start(), everyBroker))
  it('a third broker joins', () => step(3, () => cluster.broker(2).start(), everyBroker))

  it('a topic is created', () =>
    step(4, () => topics('--create', '--topic', 't-tool', '--replica-assignment', '0:2:1,1:0:2'), { ...tools, ...everyBroker }))
  it('a topic is created with placement and configuration', () =>
    step(
      5,
      () =>
        topics(
          '--create',
          '--topic',
          't-manual',
          '--replica-assignment',
          '0:1:2,1:2:0,2:0:1',
          '--config',
          'cleanup.policy=compact',
          '--config',
          'retention.ms=1000',
        ),
      { ...tools, ...everyBroker },
    ))
  it('a topic that exists is refused', () =>
    step(6, () => topics('--create', '--topic', 't-tool', '--partitions', '2', '--replication-factor', '3'), {
      ...tools,
      ...everyBroker,
    }))
  it('partitions are added', () =>
    step(9, () => topics('--alter', '--topic', 't-tool', '--partitions', '4'), { ...tools, ...everyBroker }))
  it('partitions are added with placement', () =>
    step(
      10,
      () => topics('--alter', '--topic', 't-manual', '--partitions', '4', '--replica-assignment', '0:1:2,1:2:0,2:0:1,2:1:0'),
      {
        ...tools,
        ...everyBroker,
      },
    ))
  it('a configuration is altered', () =>
    step(
      14,
      async () => {
        await topics('--alter', '--topic', 't-tool', '--config', 'segment.bytes=1000000')
        await topics('--alter', '--topic', 't-tool', '--delete-config', 'segment.bytes')
      },
      tools,
    ))

  it('the preferred leader of one partition is elected', () =>
    step(34, () => cluster.zk.createPreferredReplicaElection([{ topic: 't-tool', partition: 0 }]), everyBroker))

  it('the controller is deleted by hand: one broker wins', async () => {
    await step(
      36,
      async () => {
        await cluster.zk.deleteController()
        await stage.controller()
      },
      {},
    )
    await stage.assertWinner(steps, 36, 2)
  })

  it('a broker that is not the controller shuts down, and returns', async () => {
    await stage.becomesController(2)
    await step(37, () => cluster.broker(0).stop(), everyBroker)
    await step(38, () => cluster.broker(0).start(), everyBroker, 4000)
    await assertNotifications()
  })

  it('a topic is deleted', async () => {
    await step(61, () => topics('--delete', '--topic', 't-manual'), tools, 2000)
    const controller = stage.proxy(await stage.controller())()
    // A broker may announce once more, after all that was waited for: that is of the step before, and taken away whenever it comes.
    const deletes = steps
      .writesOf(controller)
      .filter(({ op, path }) => op === 'delete' && path?.startsWith('/isr_change_notification/') !== true)
    const want = goldenStep(61).writes.filter(({ op, by }) => op === 'delete' && by === 'broker 0')
    assert.deepEqual(
      deletes.map(({ path, expected, error }) => ({ path, expected, error })),
      want.map(({ path, expected, error }) => ({ path, expected, error })),
    )
  })

  /** Every ISR change of this step is announced, and every announcement is taken away by the controller. */
  async function assertNotifications(): Promise<void> {
    // After a change more than a minute after the last announcement at the next tick, else when nothing has changed for five seconds.
    await eventually('every partition is announced', async () => namedIn(announcements()).size >= 4, 20_000)
    await eventually('no notification left', async () => (await cluster.zk.getIsrChangeNotifications()).length === 0, 20_000)
    const writes = cluster.proxies.flatMap((proxy) => proxy.writes)
    const removed = writes.filter(
      ({ op, path, error }) => op === 'delete' && error === undefined && path?.startsWith('/isr_change_notification/') === true,
    )
    assert.equal(removed.length, announcements().length)
  }

  const announcements = () =>
    cluster.proxies
      .flatMap((proxy) => proxy.writes)
      .filter(({ op, path }) => op === 'create' && path?.startsWith('/isr_change_notification/') === true)

  const namedIn = (writes: ReturnType<typeof announcements>) =>
    new Set(
      writes.flatMap(({ data }) =>
        (JSON.parse(data ?? '{}') as { partitions: { topic: string; partition: number }[] }).partitions.map(
          (p) => `${p.topic}-${p.partition}`,
        ),
      ),
    )
})
