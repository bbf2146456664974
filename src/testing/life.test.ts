import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ZkConnection } from '../../zk/client/guard.ts'
import { openZkSession } from '../../zk/client/index.ts'
import { startEmbeddedZooKeeper } from '../../zk/server/index.ts'
import { silentLogger } from '../base/logger.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import type { FrameReceiver, Listener } from '../ports/net.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { nodeDisk } from '../ports/node/disk.ts'
import { createNodeNet } from '../ports/node/net.ts'
import { endSession } from './end-session.ts'
import { Life } from './life.ts'
import { diskOf } from './life-disk.ts'
import { httpOf, netOf } from './life-net.ts'
import { zooKeeperOf } from './life-zookeeper.ts'

type Bound = Listener & { start(): void }

/** Long enough for anything that is due to have happened: a timer of the same length, set later, and a turn. */
const later = (ms: number): Promise<void> => new Promise((resolve) => void nodeClock.timer(ms, () => nodeClock.soon(resolve)))

test('timers and turns of a dead one do not come; cancelling them is harmless', async () => {
  const life = new Life(nodeClock)
  const came: string[] = []
  life.timer(1, () => came.push('before'))
  await later(5)
  life.timer(5, () => came.push('timer'))
  const timer = life.timer(5, () => came.push('cancelled timer'))
  life.soon(() => {
    came.push('soon before the end')
    life.soon(() => came.push('soon after the end'))
  })
  await life.end()
  timer.cancel()
  life.timer(0, () => came.push('set by the dead'))
  await later(20)
  assert.deepEqual(came, ['before', 'soon before the end'])
})

test('promises that ran when the end was asked for run out first; those of the dead stand still', async () => {
  const life = new Life(nodeClock)
  const steps: string[] = []
  const work = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await Promise.resolve()
    steps.push(life.isAlive ? 'ran out alive' : 'ran out dead')
    await life.settle(later(5))
    steps.push('came back')
  }
  void work()
  let isReleased = false
  life.onRelease(() => {
    isReleased = true
  })
  const ending = life.end()
  assert.equal(life.isAlive, true, 'not in the middle of a turn')
  await later(0)
  assert.equal(isReleased, false, 'the system still works for it')
  await ending
  assert.equal(isReleased, true)
  await later(10)
  assert.deepEqual(steps, ['ran out alive'])
})

test('sockets are cut: the other side sees it, the dead one hears nothing, its port is free', async () => {
  const life = new Life(nodeClock)
  const net = createNodeNet()
  const heard: string[] = []
  const receiver = (name: string): FrameReceiver => ({
    onConnect: () => void heard.push(`${name} connected`),
    onFrame: () => void heard.push(`${name} frame`),
    maxFrameBytes: () => 100,
    onClose: (reason) => void heard.push(`${name} closed ${reason}`),
  })
  const listener = await netOf(life, net).listen({ host: '127.0.0.1', port: 0 }, () => receiver('dead'))
  listener.start()
  const other = net.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 10_000 }, receiver('other'))
  for (let i = 0; i < 100 && !heard.includes('dead frame'); i++) {
    if (heard.includes('other connected')) other.write(Buffer.from([0, 0, 0, 1, 7]))
    await later(10)
  }
  const own = await net.listen({ host: '127.0.0.1', port: 0 }, () => receiver('peer'))
  own.start()
  netOf(life, net).connect({ host: '127.0.0.1', port: own.port, timeoutMs: 10_000 }, receiver('outbound'))
  for (let i = 0; i < 100 && !heard.includes('outbound connected'); i++) await later(10)
  await life.end()
  heard.length = 0
  for (let i = 0; i < 100 && heard.length < 2; i++) await later(10)
  assert.deepEqual(heard.sort(), ['other closed remote', 'peer closed remote'])
  const again = await net.listen({ host: '127.0.0.1', port: listener.port }, () => undefined)
  assert.throws(() => netOf(life, net).connect({ host: '127.0.0.1', port: 1, timeoutMs: 1 }, receiver('dead')), /was killed/)
  await again.close()
  await own.close()
})

test('a listener that is bound when it is too late is closed again, and its owner never hears of it', async () => {
  for (const late of [
    (life: Life, bound: Promise<Bound>) =>
      netOf(life, { ...createNodeNet(), listen: () => bound }).listen({ host: '', port: 0 }, () => undefined),
    (life: Life, bound: Promise<Bound>) =>
      httpOf(life, { serve: () => bound }).serve({ host: '', port: 0 }, () => ({ status: 200, contentType: '', body: '' })),
  ]) {
    const life = new Life(nodeClock)
    let closed = 0
    let bind!: () => void
    const close = async (): Promise<void> => void closed++
    const bound = new Promise<Bound>((resolve) => {
      bind = () => resolve({ host: '', port: 1, start() {}, close })
    })
    let isHeard = false
    void late(life, bound).then(() => {
      isHeard = true
    })
    const ending = life.end()
    await later(5)
    assert.equal(life.isAlive, false)
    bind()
    await ending
    await later(1)
    assert.deepEqual([closed, isHeard], [1, false])
  }
})

test('files of a dead one are closed and its locks released, and nobody writes through it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'samsa-life-'))
  try {
    for (const [disk, at] of [
      [new MemoryDisk(), '/'],
      [nodeDisk, folder],
    ] as const) {
      const life = new Life(nodeClock)
      const mine = diskOf(life, disk)
      const open = readdirSync('/dev/fd').length
      const path = join(at, 'file')
      const file = mine.open(path, 'create')
      file.writeSync(Buffer.from('kept'), 0, 4, 0)
      mine.open(path, 'read')
      assert.ok(mine.lock(join(at, '.lock')))
      assert.equal(disk.lock(join(at, '.lock')), undefined)
      void file.datasync()
      const ending = life.end()
      await ending
      assert.throws(() => file.writeSync(Buffer.from('lost'), 0, 4, 0), { code: 'EIO' })
      assert.throws(() => mine.remove(path), { code: 'EIO' })
      assert.equal(`${disk.readFile(path)}`, 'kept')
      const lock = disk.lock(join(at, '.lock'))
      assert.ok(lock, 'the lock is free')
      lock.release()
      await later(0)
      assert.equal(readdirSync('/dev/fd').length, open)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Open connections at a ZooKeeper, without the one that asks. */
async function connectionsAt(port: number): Promise<number> {
  const socket = connect(port, '127.0.0.1').end('cons')
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer.split('\n').filter((line) => line.includes('sid=0x') && !line.includes('sid=0x0,')).length
}

test('a connection to ZooKeeper is cut without a word: the session stays until it is ended in its place', async () => {
  const server = await startEmbeddedZooKeeper()
  const address = `127.0.0.1:${server.port}`
  const life = new Life(nodeClock)
  const events: string[] = []
  let opened: ZkConnection | undefined
  const open = zooKeeperOf(life, (connection) => {
    opened = connection
  })
  const quiet = { sessionTimeoutMs: 30_000, connectionTimeoutMs: 10_000 }
  const log = silentLogger()
  const victim = openZkSession({ connect: address, ...quiet }, life, log, open)
  const witness = openZkSession({ connect: address, ...quiet }, nodeClock, log)
  await Promise.all([victim.start(), witness.start()])
  victim.onState((state) => events.push(state))
  assert.equal((await victim.createEphemeral('/alive', Buffer.from('x'))).code, 'ok')
  assert.equal(await connectionsAt(server.port), 2)
  await life.end()
  let isAnswered = false
  void victim.request({ op: 'exists', path: '/alive' }).then(() => {
    isAnswered = true
  })
  for (let i = 0; i < 100 && (await connectionsAt(server.port)) > 1; i++) await later(10)
  assert.equal(await connectionsAt(server.port), 1)
  const owner = await witness.request({ op: 'exists', path: '/alive' })
  assert.equal(owner.stat?.ephemeralOwner, opened?.sessionId)
  await endSession(address, { sessionId: opened!.sessionId, password: opened!.password }, nodeClock)
  assert.equal((await witness.request({ op: 'exists', path: '/alive' })).code, 'noNode')
  await endSession(address, { sessionId: opened!.sessionId, password: opened!.password }, nodeClock)
  assert.deepEqual([events, isAnswered], [[], false])
  await witness.close()
  await server.close()
})
