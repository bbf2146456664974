/**
 * What brokers write to ZooKeeper when replicas are moved, lag, or die, against the recording of a genuine 1.1.1: reassignment, one to a broker
 * that does not exist, its cancellation by hand, a shrunk and an expanded ISR, a killed broker and its return.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { REASSIGN_PARTITIONS_PATH } from '../../zk/znodes/index.ts'
import { eventually, kcat } from '../harness/brokers.ts'
import type { TestCluster } from '../harness/cluster.ts'
import { ZnodeCluster } from '../harness/znode-cluster.ts'

describe('moves and failures, against the genuine recording', () => {
  let stage: ZnodeCluster
  let cluster: TestCluster

  before(async () => {
    stage = await ZnodeCluster.start({ 'replica.lag.time.max.ms': 4000 })
    cluster = stage.cluster
  })
  after(() => stage?.close())

  const broker = (id: number) => () => stage.proxy(id)()
  const produce = (topic: string, acks: number, text: string) =>
    kcat(cluster.broker(0).address, ['-P', '-t', topic, '-p', '0', '-X', `request.required.acks=${acks}`], text)

  it('two partitions are reassigned, one of them to fewer replicas', () => {
    const steps = stage.steps(['t-move'])
    return steps.step(
      28,
      async () => {
        await stage.createTopic('t-move', '0:1,0:1')
        await produce('t-move', -1, 'a\nb\n')
        await cluster.zk.createReassignments(
          new Map([
            ['t-move-0', [1, 2]],
            ['t-move-1', [2]],
          ]),
        )
        await eventually('they are done', async () => (await cluster.zk.getReassignments()) === undefined, 30_000)
      },
      { 'broker 0': broker(0) },
      { byPath: true, anyIsrOrder: true, settleMs: 1500 },
    )
  })

  it('a throttled move, and its throttle raised', async () => {
    await stage.becomesController(0)
    await cluster.zk.setConfig('brokers', '1', {})
    const steps = stage.steps(['t-slow'])
    const recorded = { 'broker 0': broker(0) }
    const file = join(mkdtempSync(join(tmpdir(), 'samsa-move-')), 'slow.json')
    writeFileSync(file, '{"version":1,"partitions":[{"topic":"t-slow","partition":0,"replicas":[2,1]}]}')
    const execute = (throttle: number) =>
      stage.runTool('kafka-reassign-partitions', '--execute', '--reassignment-json-file', file, '--throttle', `${throttle}`)
    const verify = () => stage.runTool('kafka-reassign-partitions', '--verify', '--reassignment-json-file', file)
    await steps.step(
      29,
      async () => {
        await stage.createTopic('t-slow', '0:1')
        await produce('t-slow', -1, `${'x'.repeat(10_000)}\n`.repeat(300))
        await execute(1000)
        await verify()
      },
      recorded,
    )
    const byTools = ['tool topics', 'tool reassign-partitions'].flatMap((owner) => steps.goldenLines(29, owner))
    assert.deepEqual(steps.linesOf(stage.tool), byTools)
    await stage.becomesController(1)
    await steps.step(
      31,
      async () => {
        await execute(100_000_000)
        await eventually('the move is done', async () => (await cluster.zk.getReassignments()) === undefined, 30_000)
        await verify()
      },
      { ...recorded, 'broker 1': broker(1), 'tool reassign-partitions': () => stage.tool },
      { settleMs: 1500 },
    )
  })

  it('to a broker that does not exist, and cancelled by hand', async () => {
    const steps = stage.steps(['t-move'])
    await steps.step(32, () => cluster.zk.createReassignments(new Map([['t-move-0', [7]]])), {})
    assert.deepEqual(steps.linesOf(broker(await stage.controller())()), steps.goldenLines(32, 'broker 1'))
    await steps.step(
      33,
      async () => {
        const data = Buffer.from('{"version":1,"partitions":{"1":[2],"0":[1,2]}}')
        await cluster.zk.session.request({ op: 'setData', path: '/brokers/topics/t-move', data, version: -1 })
        await cluster.zk.session.request({ op: 'delete', path: REASSIGN_PARTITIONS_PATH, version: -1 })
        await cluster.zk.deleteController()
      },
      {},
    )
    await stage.assertWinner(steps, 33, 0)
  })

  it('a follower is frozen for longer than the lag time, not for a session', async () => {
    await stage.becomesController(0)
    const steps = stage.steps(['t-isr'])
    await steps.step(52, () => stage.createTopic('t-isr', '0:1:2'), {
      'broker 0': broker(0),
      'tool topics': () => stage.tool,
    })
    const isr = async () => (await cluster.partitionState('t-isr', 0)).isr.length
    await steps.step(
      53,
      async () => {
        cluster.broker(2).signal('SIGSTOP')
        try {
          await produce('t-isr', 1, 'a\nb\n')
          await eventually('the ISR shrinks', async () => (await isr()) === 2)
        } finally {
          cluster.broker(2).signal('SIGCONT')
        }
        await eventually('the ISR is full again', async () => (await isr()) === 3)
      },
      { 'broker 0': broker(0) },
      // Other topics' partitions have been announced in the recording.
      { tree: false },
    )
  })

  it('a broker that is not the controller is killed, and returns', async () => {
    await stage.becomesController(0)
    await stage.createTopic('t-tool', '0:2:1,1:0:2,2:0:1,0:2:1')
    const steps = stage.steps(['t-tool'])
    await steps.step(
      43,
      async () => {
        await cluster.broker(1).kill()
        await eventually('broker 1 is gone', async () => !(await cluster.zk.getBrokerIds()).includes(1), 30_000)
        await cluster.everyPartitionLed('t-tool', 4, [1])
      },
      { 'broker 0': broker(0), 'broker 2': broker(2) },
      { byPath: true, anyIsrOrder: true },
    )
    await steps.step(
      44,
      async () => {
        await cluster.broker(1).start()
        await cluster.fullIsr('t-tool', 4, 3)
      },
      { 'broker 0': broker(0), 'broker 1': broker(1), 'broker 2': broker(2) },
      { byPath: true, anyIsrOrder: true },
    )
  })
})
