import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openZkSession } from '../../zk/client/index.ts'
import type { ZkResponse, ZkSession } from '../../zk/client/types.ts'
import { ProcessClock } from './process-clock.ts'
import { World } from './world.ts'
import { SimZooKeeper } from './zookeeper.ts'

const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const OPTIONS = { connect: 'zookeeper:2181', sessionTimeoutMs: 2000, connectionTimeoutMs: 5000 }

async function connected(seed = 1): Promise<{ world: World; zooKeeper: SimZooKeeper; session: ZkSession }> {
  const world = new World(seed)
  const zooKeeper = new SimZooKeeper(world)
  const clock = new ProcessClock(world.clock)
  const session = openZkSession(OPTIONS, clock, QUIET, zooKeeper.connections('a', clock))
  void session.start()
  assert.ok(await world.run(5000, () => session.state === 'connected'))
  return { world, zooKeeper, session }
}

async function answer(world: World, asked: Promise<ZkResponse>): Promise<ZkResponse> {
  let got: ZkResponse | undefined
  void asked.then((response) => {
    got = response
  })
  assert.ok(await world.run(20_000, () => got !== undefined), 'no answer')
  return got!
}

test('a write whose answer is lost was applied or not; asked again it is settled once', async () => {
  const outcomes = new Set<number>()
  for (let seed = 0; seed < 30; seed++) {
    const { world, zooKeeper, session } = await connected(seed)
    await answer(world, session.request({ op: 'create', path: '/n', data: Buffer.from('0'), mode: 'persistent' }))
    const lost = session.request({ op: 'setData', path: '/n', data: Buffer.from('1'), version: 0 }, { retry: 'none' })
    await world.run(seed % 3)
    zooKeeper.stop()
    const response = await answer(world, lost)
    zooKeeper.start()
    assert.ok(response.code === 'ok' || response.code === 'connectionLoss', response.code)
    const read = await answer(world, session.request({ op: 'getData', path: '/n' }))
    const { version } = read.stat!
    if (response.code === 'ok') assert.equal(version, 1)
    else outcomes.add(version)
  }
  assert.deepEqual([...outcomes].sort(), [0, 1])
})

test('a client that is cut off loses its session and its ephemeral nodes, hears of it late, and begins anew', async () => {
  const { world, zooKeeper, session } = await connected()
  const created = session.createEphemeral('/mine', Buffer.from('x'))
  assert.equal((await answer(world, created)).code, 'ok')
  zooKeeper.cut('a')
  await world.run(3000)
  assert.equal(zooKeeper.machine.tree.get('/mine'), undefined)
  assert.equal(session.generation, 1, 'it does not know yet')
  assert.equal(session.trusted, false, 'but trusts itself no longer')
  zooKeeper.heal('a')
  assert.ok(await world.run(5000, () => session.generation === 2 && session.state === 'connected'))
})

test('a watch is told before the answer of any later read, also over a broken connection', async () => {
  const { world, zooKeeper, session } = await connected()
  const order: string[] = []
  session.watchNode({ path: '/w', onChange: (event) => order.push(event) })
  await answer(world, session.request({ op: 'exists', path: '/w' }))
  zooKeeper.cut('a', 'toClient')
  const written = session.request({ op: 'create', path: '/w', data: null, mode: 'persistent' })
  const read = session.request({ op: 'exists', path: '/w' })
  void read.then(() => order.push('answer'))
  await world.run(1000)
  assert.deepEqual(order, [])
  zooKeeper.heal('a')
  await answer(world, written)
  await answer(world, read)
  assert.deepEqual(order, ['created', 'answer'])
})

test('an expired session of a client that lives is replaced at once', async () => {
  const { world, zooKeeper, session } = await connected()
  const before = session.sessionId
  zooKeeper.expire('a')
  assert.ok(await world.run(2000, () => session.generation === 2 && session.state === 'connected'))
  assert.notEqual(session.sessionId, before)
})
