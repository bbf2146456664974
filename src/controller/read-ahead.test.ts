import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrokerId } from '../base/ids.ts'
import { ControllerContext } from './context.ts'
import { READ_AHEAD_DELAY_MS, READ_AHEAD_PAUSE_MS, ReadAhead } from './read-ahead.ts'
import { type FakeBroker, TestCluster } from './testing-cluster.ts'

const SESSION_MS = 6000

/** Broker 0 is controller; broker 1 leads t-0, broker 2 leads t-1. */
async function bed(): Promise<TestCluster> {
  const cluster = new TestCluster()
  await cluster.start(0, 1, 2)
  await cluster.createTopic('t', [1, 0, 2], [2, 1, 0])
  take(cluster)
  return cluster
}

/** What the controller has read of states, and what was written of them, since the last call. */
function take(cluster: TestCluster): { read: string[]; written: string[] } {
  const ofStates = (line: string): boolean => line.includes('/state')
  const short = (line: string): string => line.replace('/brokers/topics/t/partitions/', 't-').replace('/state', '')
  const reads = cluster.broker(0).session.reads.splice(0)
  return { read: reads.filter(ofStates).map(short), written: cluster.takeWrites().filter(ofStates).map(short) }
}

const stateOf = (leader: BrokerId, epoch: number, isr: readonly BrokerId[]): string =>
  `{"controller_epoch":1,"leader":${leader},"version":1,"leader_epoch":${epoch},"isr":[${isr.join(',')}]}`

async function shrinkIsr(leader: FakeBroker, isr: readonly BrokerId[]): Promise<void> {
  const state = leader.hosted.get('t-0')!
  const { outcome } = await leader.zk.updateIsr({ ...state, isr, expectedVersion: state.zkVersion })
  assert.equal(outcome, 'ok')
}

test('a process ends: what it led is read while its session lives on, and not again when that ends', async () => {
  const cluster = await bed()
  const dead = await cluster.crash(1)
  await cluster.settle(READ_AHEAD_DELAY_MS - 10)
  assert.deepEqual(take(cluster).read, [])
  await cluster.settle(500)
  assert.deepEqual(take(cluster), { read: ['t-0'], written: [] })
  assert.equal(await cluster.stateLine('t', 0), 'leader 1 epoch 0 isr [1,0,2] v0', 'nothing is decided before the session ends')
  await dead.session.close()
  await cluster.settle()
  assert.deepEqual(take(cluster), {
    // Of the partition that another leads, which may have changed it meanwhile.
    read: ['t-1'],
    written: [`broker 0: setData t-0 ${stateOf(0, 1, [0, 2])} v1`, `broker 0: setData t-1 ${stateOf(2, 1, [2, 0])} v1`],
  })
  assert.deepEqual(await cluster.problems(), [])
})

test('a broker that is connected again changes its states: they are read when it dies', async () => {
  const cluster = await bed()
  cluster.breakLinks(1)
  await cluster.settle(500)
  assert.deepEqual(take(cluster).read, ['t-0'])
  await cluster.createTopic('u', [1, 2])
  await shrinkIsr(cluster.broker(1), [1, 2])
  take(cluster)
  await cluster.kill(1)
  const { read, written } = take(cluster)
  assert.ok(read.includes('t-0'))
  const ofT = written.filter((line) => line.includes(' t-0 '))
  assert.deepEqual(ofT, [`broker 0: setData t-0 ${stateOf(2, 1, [2])} v2`], 'nothing was refused')
  assert.deepEqual(await cluster.problems(), [])
})

test('a state that was changed after it was read: the write is refused, and it is decided by what is stored', async () => {
  const cluster = await bed()
  const zombie = await cluster.crash(1)
  await cluster.settle(500)
  await shrinkIsr(zombie, [1, 2])
  take(cluster)
  await zombie.session.close()
  await cluster.settle()
  const { read, written } = take(cluster)
  assert.deepEqual(read, ['t-0', 't-1'])
  assert.deepEqual(written.slice(0, 2), [
    `broker 0: setData t-0 ${stateOf(0, 1, [0, 2])} BADVERSION`,
    `broker 0: setData t-0 ${stateOf(2, 1, [2])} v2`,
  ])
  assert.equal(await cluster.stateLine('t', 0), 'leader 2 epoch 1 isr [2] v2', 'broker 0 lacks records')
  assert.deepEqual(await cluster.problems(), [])
})

test('a change of which the controller was told is known', async () => {
  const cluster = await bed()
  const zombie = await cluster.crash(1)
  await cluster.settle(500)
  await shrinkIsr(zombie, [1, 2])
  await zombie.zk.createIsrChangeNotification([{ topic: 't', partition: 0 }])
  await cluster.settle()
  take(cluster)
  await zombie.session.close()
  await cluster.settle()
  const { read, written } = take(cluster)
  assert.deepEqual(read, ['t-1'])
  assert.equal(written[0], `broker 0: setData t-0 ${stateOf(2, 1, [2])} v2`, 'nothing was refused')
})

test('a session that outlives the loss by far is that of a living broker', async () => {
  const cluster = await bed()
  const zombie = await cluster.crash(1)
  await cluster.settle(READ_AHEAD_DELAY_MS + 2 * SESSION_MS + 100)
  assert.deepEqual(take(cluster).read, ['t-0'])
  await zombie.session.close()
  await cluster.settle()
  assert.deepEqual(take(cluster).read, ['t-0', 't-1'])
})

test('connections that break again and again: one reading a second', async () => {
  const cluster = await bed()
  for (let i = 0; i < 10; i++) {
    cluster.breakLinks(1)
    await cluster.zk.createTopicAssignment(`u${i}`, new Map([[0, [1]]]))
    await cluster.settle(READ_AHEAD_PAUSE_MS / 5)
  }
  const read = cluster.broker(0).session.reads.filter((path) => path.includes('/t/partitions/0/state'))
  assert.equal(read.length, 0, 'it was connected again before anything was read')
  for (let i = 0; i < 4; i++) {
    cluster.breakLinks(1)
    await cluster.settle(READ_AHEAD_DELAY_MS + 20)
    await cluster.createTopic(`v${i}`, [1])
  }
  assert.deepEqual(take(cluster).read.filter((path) => path === 't-0').length, 1)
})

test('nothing is read by a controller that has resigned, and the rest is not read by one that resigns', async () => {
  const cluster = await bed()
  const { zk, session } = cluster.broker(0)
  const ctx = new ControllerContext(0, 1)
  const state = await cluster.state('t', 0)
  const entries = ctx.addPartitions('t', new Map(Array.from({ length: 120 }, (_, partition) => [partition, [1, 0]])))
  for (const entry of entries) entry.leadership = state
  let onRead = (): void => {}
  const getPartitionStates: typeof zk.getPartitionStates = (some) => {
    onRead()
    return zk.getPartitionStates(some)
  }
  const readAhead = new ReadAhead(ctx, { session, getPartitionStates }, cluster.clock)
  const known = () => entries.filter((entry) => readAhead.stateOf(entry) !== undefined).map(({ key }) => key)
  readAhead.onLink(1, false)
  readAhead.close()
  take(cluster)
  await cluster.settle(1000)
  assert.deepEqual(take(cluster).read, [])
  readAhead.onLink(1, false)
  await cluster.settle(1000)
  assert.deepEqual([take(cluster).read.length, known()], [120, ['t-0', 't-1']])
  readAhead.onLink(1, false)
  onRead = () => readAhead.close()
  await cluster.settle(1000)
  assert.equal(session.reads.length, 50)
  assert.deepEqual([readAhead.isEmpty, known()], [true, []])
})
