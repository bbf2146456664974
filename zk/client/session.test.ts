import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openZkSession } from './session.ts'
import { startProxy, type TestProxy } from './testing-proxy.ts'
import { freePort, sleep, startTestZooKeeper, type TestZooKeeper, testClock, testLog, until } from './testing-zookeeper.ts'
import type { ZkSession, ZkSessionOptions } from './types.ts'

let zk: TestZooKeeper
const opened: ZkSession[] = []
const proxies: TestProxy[] = []

async function open(options: Partial<ZkSessionOptions> = {}, log = testLog()): Promise<ZkSession> {
  const session = openZkSession(
    { connect: zk.connect, sessionTimeoutMs: 2000, connectionTimeoutMs: 4000, ...options },
    testClock,
    log,
  )
  opened.push(session)
  await session.start()
  return session
}

async function proxied(): Promise<TestProxy> {
  const proxy = await startProxy(zk.port)
  proxies.push(proxy)
  return proxy
}

const bytes = (text: string) => Buffer.from(text)
const persistent = (path: string, data: string | null = null) =>
  ({ op: 'create', path, data: data === null ? null : bytes(data), mode: 'persistent' }) as const

/** Ends the session of `victim` on the server: a second client takes it over and closes it. */
async function expire(victim: ZkSession): Promise<void> {
  const id = Buffer.alloc(8)
  id.writeBigInt64BE(victim.sessionId)
  const thief = await open({ resume: { sessionId: id, password: victim.password } })
  assert.equal(thief.sessionId, victim.sessionId)
  await thief.close()
}

describe('session, on a ZooKeeper', () => {
  before(async () => {
    zk = await startTestZooKeeper()
  })
  after(async () => {
    await Promise.all(opened.map((session) => session.close()))
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await zk.stop()
  })

  it('creates, reads, writes and deletes', async () => {
    const session = await open()
    assert.equal(session.state, 'connected')
    assert.equal(session.generation, 1)
    assert.notEqual(session.sessionId, 0n)
    assert.equal(session.sessionTimeoutMs, 2000)
    assert.equal(session.trusted, true)
    assert.equal((await session.request(persistent('/crud', 'one'))).code, 'ok')
    assert.equal((await session.request(persistent('/crud', 'one'))).code, 'nodeExists')
    const read = await session.request({ op: 'getData', path: '/crud' })
    assert.equal(read.data?.toString(), 'one')
    assert.equal(read.stat?.version, 0)
    assert.ok(Math.abs((read.stat?.ctime ?? 0) - Date.now()) < 60_000)
    const set = await session.request({ op: 'setData', path: '/crud', data: null, version: 0 })
    assert.equal(set.stat?.version, 1)
    assert.equal((await session.request({ op: 'getData', path: '/crud' })).data, null)
    await session.request({ op: 'setData', path: '/crud', data: Buffer.alloc(0), version: 1 })
    assert.deepEqual((await session.request({ op: 'getData', path: '/crud' })).data, Buffer.alloc(0))
    assert.equal((await session.request({ op: 'setData', path: '/crud', data: null, version: 1 })).code, 'badVersion')
    const sequential = await session.request({ op: 'create', path: '/crud/n_', data: null, mode: 'persistentSequential' })
    assert.equal(sequential.path, '/crud/n_0000000000')
    assert.deepEqual((await session.request({ op: 'getChildren', path: '/crud' })).children, ['n_0000000000'])
    assert.equal((await session.request({ op: 'delete', path: '/crud', version: -1 })).code, 'notEmpty')
    assert.deepEqual((await session.request({ op: 'getAcl', path: '/crud' })).acl, [{ perms: 31, scheme: 'world', id: 'anyone' }])
    const acl = [{ perms: 1, scheme: 'world', id: 'anyone' }]
    assert.equal((await session.request({ op: 'setAcl', path: '/crud/n_0000000000', acl, version: -1 })).code, 'ok')
    assert.equal((await session.request({ op: 'setData', path: '/crud/n_0000000000', data: null, version: -1 })).code, 'noAuth')
    assert.equal((await session.request({ op: 'getData', path: 'crud' })).code, 'badArguments')
  })

  it('a multi is all or nothing and names the op that was refused', async () => {
    const session = await open()
    await session.request(persistent('/multi', 'a'))
    const good = await session.request({
      op: 'multi',
      ops: [
        { op: 'check', path: '/multi', version: 0 },
        { op: 'setData', path: '/multi', data: bytes('b'), version: 0 },
        persistent('/multi/child'),
      ],
    })
    assert.equal(good.code, 'ok')
    assert.equal(good.results?.[1]?.stat?.version, 1)
    const bad = await session.request({
      op: 'multi',
      ops: [
        { op: 'check', path: '/multi', version: 1 },
        { op: 'delete', path: '/multi/none', version: -1 },
        { op: 'setData', path: '/multi', data: bytes('c'), version: 1 },
      ],
    })
    assert.equal(bad.code, 'noNode')
    assert.deepEqual(
      bad.results?.map(({ code }) => code),
      ['ok', 'noNode', 'runtimeInconsistency'],
    )
    assert.equal((await session.request({ op: 'getData', path: '/multi' })).data?.toString(), 'b')
  })

  it('a check of version 0 is a check (D10)', async () => {
    const session = await open()
    await session.request(persistent('/v0'))
    await session.request({ op: 'setData', path: '/v0', data: null, version: 0 })
    for (const op of ['check', 'delete', 'setData'] as const) {
      const part = op === 'setData' ? { op, path: '/v0', data: null, version: 0 } : { op, path: '/v0', version: 0 }
      assert.equal((await session.request({ op: 'multi', ops: [part] })).code, 'badVersion', op)
    }
  })

  it('works below a chroot, which it makes when told to', async () => {
    await assert.rejects(async () => {
      const session = await open({ connect: `${zk.connect}/no/such` })
      assert.equal((await session.request(persistent('/x'))).code, 'noNode')
      throw new Error('as it should')
    }, /as it should/)
    const inside = await open({ connect: `${zk.connect}/root/kafka`, createChroot: true })
    const outside = await open()
    const events: string[] = []
    inside.watchNode({ path: '/x', onChange: (event) => events.push(event) })
    inside.watchChildren({ path: '/', onChildChange: () => events.push('children') })
    await inside.request({ op: 'exists', path: '/x' })
    await inside.request({ op: 'getChildren', path: '/' })
    assert.equal((await inside.request(persistent('/x', 'in'))).path, '/x')
    assert.equal((await outside.request({ op: 'getData', path: '/root/kafka/x' })).data?.toString(), 'in')
    assert.deepEqual(events, ['created', 'children'])
    const multi = await inside.request({ op: 'multi', ops: [persistent('/y'), { op: 'check', path: '/x', version: 0 }] })
    assert.deepEqual(
      multi.results?.map(({ path }) => path),
      ['/y', '/x'],
    )
  })

  it('authenticates with digest before anything else (D9)', async () => {
    const auth = [{ scheme: 'digest', credentials: 'kafka:secret' }]
    const owner = await open({ auth })
    const acl = [{ perms: 31, scheme: 'auth', id: '' }]
    assert.equal((await owner.request({ op: 'create', path: '/mine', data: null, acl, mode: 'persistent' })).code, 'ok')
    const stranger = await open()
    assert.equal((await stranger.request({ op: 'getData', path: '/mine' })).code, 'noAuth')
    // Asked before it is connected.
    const late = openZkSession(
      { connect: zk.connect, sessionTimeoutMs: 2000, connectionTimeoutMs: 4000, auth },
      testClock,
      testLog(),
    )
    opened.push(late)
    const started = late.start()
    const read = late.request({ op: 'getData', path: '/mine' })
    await started
    assert.equal((await read).code, 'ok')
  })

  it('an unknown authentication scheme fails the start', async () => {
    await assert.rejects(
      open({ auth: [{ scheme: 'nonsense', credentials: 'x' }] }).then((s) =>
        until(() => s.state === 'expired', 'refused').then(() => {
          throw new Error('authentication failed')
        }),
      ),
      /authentication failed/,
    )
  })

  it('names the address when nobody answers', async () => {
    const port = await freePort()
    await assert.rejects(open({ connect: `127.0.0.1:${port}`, connectionTimeoutMs: 300 }), (error: Error) => {
      assert.match(error.message, new RegExp(`Timed out .*127\\.0\\.0\\.1:${port} for 300 ms \\(.*ECONNREFUSED`))
      return true
    })
  })

  it('delivers events in order, before the answer of the write that caused them', async () => {
    const session = await open()
    const seen: string[] = []
    await session.request(persistent('/order'))
    session.watchNode({ path: '/order', onChange: (event) => seen.push(event) })
    await session.request({ op: 'getData', path: '/order' })
    const write = session.request({ op: 'setData', path: '/order', data: null, version: -1 }).then(() => seen.push('written'))
    const read = session.request({ op: 'getData', path: '/order' }).then(() => seen.push('read'))
    await Promise.all([write, read])
    assert.deepEqual(seen, ['dataChanged', 'written', 'read'])
  })

  it('a handler that throws harms nobody (D16)', async () => {
    const log = testLog()
    const session = await open({}, log)
    session.watchNode({
      path: '/thrower',
      onChange: () => {
        throw new Error('handler bug')
      },
    })
    await session.request({ op: 'exists', path: '/thrower' })
    assert.equal((await session.request(persistent('/thrower'))).code, 'ok')
    assert.equal((await session.request({ op: 'getData', path: '/thrower' })).code, 'ok')
    assert.ok(log.lines.some((line) => line.includes('handler bug')))
    assert.equal(session.state, 'connected')
  })

  it('an expired session is replaced, in order, and its requests are refused', async () => {
    const session = await open()
    const order: string[] = []
    session.onState((state) => order.push(state))
    session.onSession({
      name: 'first',
      beforeInitializingSession: async () => {
        await sleep(20)
        order.push(`before 1 (${session.generation})`)
      },
      afterInitializingSession: async () => {
        order.push(`after 1 (${session.generation})`)
        const made = await session.createEphemeral('/expiring', bytes('second'))
        order.push(`registered ${made.code}`)
      },
    })
    session.onSession({
      name: 'second',
      beforeInitializingSession: () => {
        throw new Error('bug')
      },
      afterInitializingSession: () => void order.push('after 2'),
    })
    session.watchNode({ path: '/expiring', onChange: (event) => order.push(event) })
    assert.equal((await session.createEphemeral('/expiring', bytes('first'))).code, 'ok')
    const old = session.sessionId
    await expire(session)
    await until(() => order.includes('after 2'), 'renewed')
    assert.equal(session.generation, 2)
    assert.notEqual(session.sessionId, old)
    assert.equal(session.state, 'connected')
    assert.deepEqual(
      order.filter((entry) => entry !== 'disconnected'),
      ['expired', 'before 1 (1)', 'connecting', 'after 1 (2)', 'connected', 'registered ok', 'after 2'],
    )
    assert.equal((await session.request({ op: 'exists', path: '/expiring' }, { generation: 1 })).code, 'sessionExpired')
    assert.equal(
      (await session.request({ op: 'exists', path: '/expiring' }, { generation: 2 })).stat?.ephemeralOwner,
      session.sessionId,
    )
  })

  it('a request that is waiting when the session ends is refused, not run in the next one', async () => {
    const proxy = await proxied()
    const session = await open({ connect: proxy.connect, sessionTimeoutMs: 8000 })
    proxy.freeze()
    const waiting = session.requests([persistent('/never'), { op: 'exists', path: '/never' }])
    await expire(session)
    proxy.cut()
    proxy.resume()
    assert.deepEqual(
      (await waiting).map(({ code }) => code),
      ['sessionExpired', 'sessionExpired'],
    )
    await until(() => session.state === 'connected', 'renewed')
    assert.equal(session.generation, 2)
    assert.equal(session.trusted, true)
    assert.equal((await session.request({ op: 'exists', path: '/never' })).code, 'noNode')
  })

  it('takes its own former ephemeral away and leaves others alone (KAFKA-7165)', async () => {
    const proxy = await proxied()
    const session = await open({ connect: proxy.connect, sessionTimeoutMs: 20_000 })
    const other = await open()
    assert.equal((await session.createEphemeral('/brother', bytes('1'))).code, 'ok')
    assert.equal((await session.createEphemeral('/brother', bytes('1'))).code, 'ok', 'the owner is we')
    assert.equal((await other.createEphemeral('/brother', bytes('2'))).code, 'nodeExists')
    const former = session.sessionId
    proxy.lieExpired()
    proxy.cut()
    await until(() => session.generation === 2 && session.state === 'connected', 'renewed')
    const left = await session.request({ op: 'getData', path: '/brother' })
    assert.equal(left.stat?.ephemeralOwner, former, 'the node of the former session is still there')
    assert.equal((await session.createEphemeral('/brother', bytes('3'))).code, 'ok')
    const made = await other.request({ op: 'getData', path: '/brother' })
    assert.deepEqual([made.stat?.ephemeralOwner, made.data?.toString()], [session.sessionId, '3'])
    await session.close()
    assert.equal((await other.createEphemeral('/brother', bytes('2'))).code, 'ok')
  })

  it('closing removes the ephemerals at once', async () => {
    const session = await open({ sessionTimeoutMs: 30_000 })
    const other = await open()
    await session.createEphemeral('/gone', bytes(''))
    await session.close()
    assert.equal(session.state, 'closed')
    assert.equal((await other.request({ op: 'exists', path: '/gone' })).code, 'noNode')
    assert.equal((await session.request({ op: 'exists', path: '/gone' })).code, 'sessionExpired')
  })

  it('pipelines: 10,000 requests, answered in order', async () => {
    const session = await open()
    await session.request(persistent('/many'))
    const paths = Array.from({ length: 10_000 }, (_, i) => `/many/${i}`)
    const made = await session.requests(paths.map((path) => persistent(path, path)))
    assert.ok(made.every(({ code }, i) => code === 'ok' && made[i]!.path === paths[i]))
    const read = await session.requests(paths.map((path) => ({ op: 'getData', path })))
    assert.ok(read.every(({ data }, i) => data?.toString() === paths[i]))
  })
})
