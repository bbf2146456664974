import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startProxy } from '../client/testing-proxy.ts'
import { startTestZooKeeper, type TestZooKeeper, testClock, testLog, until } from '../client/testing-zookeeper.ts'
import type { ZkRequest, ZkRequestOptions, ZkSession } from '../client/types.ts'
import { kafkaZkOn, openKafkaZk } from './kafka-zk.ts'
import { stateOf } from './testing-states.ts'
import type { ControllerFence, KafkaZk } from './types.ts'

const PARTITIONS = 120

describe('states written in groups', () => {
  let zk: TestZooKeeper
  let chroots = 0
  const closing: (() => Promise<void>)[] = []
  before(async () => {
    zk = await startTestZooKeeper()
  })
  after(async () => {
    for (const close of closing) await close()
    await zk.stop()
  })

  const all = Array.from({ length: PARTITIONS }, (_, partition) => partition)

  /** What the controller asks for is in `asked`: how many writes each of its transactions has; `together`: how many transactions at once. */
  async function controller(port = zk.port, chroot = `/g${++chroots}`) {
    const log = testLog()
    const options = {
      connect: `127.0.0.1:${port}${chroot}`,
      sessionTimeoutMs: 4000,
      connectionTimeoutMs: 5000,
      createChroot: true,
    }
    const { session } = openKafkaZk(options, testClock, log)
    const asked: number[] = []
    const together: number[] = []
    const observed = new Proxy(session, {
      get: (target, name) => {
        if (name === 'requests')
          return (list: readonly ZkRequest[], how?: ZkRequestOptions) => {
            together.push(list.length)
            for (const one of list) if (one.op === 'multi') asked.push(one.ops.filter(({ op }) => op !== 'check').length)
            return target.requests(list, how)
          }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    }) as ZkSession
    const kafka = kafkaZkOn(observed, {}, testClock, log)
    await session.start()
    closing.push(() => session.close())
    await kafka.makePersistentPaths()
    const election = await kafka.electController(0)
    assert.equal(election.outcome, 'elected')
    const fence = election.outcome === 'elected' ? election.fence : assert.fail()
    return { kafka, fence, asked, together, chroot }
  }

  async function withStates(kafka: KafkaZk, fence: ControllerFence): Promise<void> {
    await kafka.createTopicAssignment('t', new Map([[0, [0, 1]]]))
    const made = await kafka.createPartitionStates(
      all.map((partition) => stateOf(partition)),
      fence,
    )
    assert.ok(made.every(({ outcome }) => outcome === 'ok'))
  }

  const versions = async (kafka: KafkaZk) => {
    const states = await kafka.getPartitionStates(all.map((partition) => ({ topic: 't', partition })))
    return all.map((partition) => states.get(`t-${partition}`)?.zkVersion)
  }

  it('few transactions, each state at its version', async () => {
    const { kafka, fence, asked } = await controller()
    await withStates(kafka, fence)
    assert.deepEqual(asked.splice(0), [1, 50, 50, 20, 50, 50, 20], 'the parent, the folders, the states')
    const written = await kafka.setPartitionStates(
      all.map((partition) => stateOf(partition, { leaderEpoch: 1 })),
      fence,
    )
    assert.deepEqual(asked, [50, 50, 20])
    assert.deepEqual(
      written,
      all.map((partition) => ({ topic: 't', partition, outcome: 'ok', zkVersion: 1 })),
    )
  })

  it('very many transactions are made and sent some at a time, with turns in between', async () => {
    const { kafka, fence, asked, together } = await controller()
    await kafka.createTopicAssignment('t', new Map([[0, [0, 1]]]))
    together.length = 0
    const many = Array.from({ length: 1230 }, (_, partition) => stateOf(partition))
    const creating = kafka.createPartitionStates(many, fence)
    await Promise.resolve()
    assert.deepEqual(together, [10])
    assert.deepEqual(
      await creating,
      many.map(({ partition }) => ({ topic: 't', partition, outcome: 'ok', zkVersion: 0 })),
    )
    assert.deepEqual(together, [10, 10, 10, 10, 10, 1])
    const groups = [...Array<number>(24).fill(50), 30]
    assert.deepEqual(asked, [1, ...groups, ...groups], 'the parent, the folders, the states')
  })

  it('a refused state fails alone: those of its group are written one by one, the other groups stay', async () => {
    const { kafka, fence, asked } = await controller()
    await withStates(kafka, fence)
    asked.length = 0
    const stale = new Map([
      [60, stateOf(60, { leaderEpoch: 1, expectedVersion: 3 })],
      [61, stateOf(PARTITIONS + 5, { leaderEpoch: 1 })],
    ])
    const written = await kafka.setPartitionStates(
      all.map((partition) => stale.get(partition) ?? stateOf(partition, { leaderEpoch: 1 })),
      fence,
    )
    assert.deepEqual(asked, [50, 50, 20, ...Array<number>(50).fill(1)])
    for (const [i, { partition, outcome, zkVersion }] of written.entries()) {
      const expected = i === 60 ? 'badVersion' : i === 61 ? 'noNode' : 'ok'
      assert.equal(outcome, expected, `partition ${partition}`)
      if (expected === 'ok') assert.equal(zkVersion, 1)
    }
    assert.deepEqual(
      await versions(kafka),
      all.map((partition) => (partition === 60 || partition === 61 ? 0 : 1)),
    )
  })

  it('a controller that was replaced writes nothing and is told so, whatever else is wrong', async () => {
    const { kafka, fence, asked, chroot } = await controller()
    await withStates(kafka, fence)
    await kafka.deleteController()
    const next = await controller(zk.port, chroot)
    asked.length = 0
    const written = await kafka.setPartitionStates(
      all.map((partition) => stateOf(partition, { leaderEpoch: 1, expectedVersion: partition === 60 ? 3 : 0 })),
      fence,
    )
    assert.ok(written.every(({ outcome }) => outcome === 'fenced'))
    assert.deepEqual(asked, [50, 50, 20], 'nothing is tried again')
    assert.ok((await versions(next.kafka)).every((version) => version === 0))
  })

  it('a group that was applied before its answer was lost counts as written', async () => {
    const proxy = await startProxy(zk.port)
    closing.push(() => proxy.close())
    const { kafka, fence, chroot } = await controller(proxy.port)
    await withStates(kafka, fence)
    const watcher = openKafkaZk(
      { connect: `127.0.0.1:${zk.port}${chroot}`, sessionTimeoutMs: 4000, connectionTimeoutMs: 5000 },
      testClock,
      testLog(),
    )
    await watcher.session.start()
    closing.push(() => watcher.session.close())
    proxy.holdAnswers()
    const writing = kafka.setPartitionStates(
      all.map((partition) => stateOf(partition, { leaderEpoch: 1 })),
      fence,
    )
    await until(async () => (await versions(watcher)).every((version) => version === 1), 'applied')
    proxy.cut()
    assert.deepEqual(
      await writing,
      all.map((partition) => ({ topic: 't', partition, outcome: 'ok', zkVersion: 1 })),
    )
  })

  it('new states beside existing ones: each has its own outcome', async () => {
    const { kafka, fence } = await controller()
    for (const topic of ['t', 'u']) await kafka.createTopicAssignment(topic, new Map([[0, [0, 1]]]))
    await kafka.createPartitionStates([stateOf(0)], fence)
    const made = await kafka.createPartitionStates([stateOf(0), stateOf(1), { ...stateOf(0), topic: 'u' }], fence)
    assert.deepEqual(
      made.map(({ topic, partition, outcome }) => `${topic}-${partition} ${outcome}`),
      ['t-0 nodeExists', 't-1 ok', 'u-0 ok'],
    )
  })
})
