/** Sessions on a ZooKeeper (the real one where installed, else the embedded one) behind connections that break. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openZkSession } from './session.ts'
import { startProxy, type TestProxy } from './testing-proxy.ts'
import { sleep, startTestZooKeeper, type TestZooKeeper, testClock, testLog, until } from './testing-zookeeper.ts'
import type { ZkRequest, ZkResponse, ZkSession } from './types.ts'

let zk: TestZooKeeper
const sessions: ZkSession[] = []
const proxies: TestProxy[] = []

async function open(connect: string, sessionTimeoutMs = 4000): Promise<ZkSession> {
  const session = openZkSession({ connect, sessionTimeoutMs, connectionTimeoutMs: 8000 }, testClock, testLog())
  sessions.push(session)
  await session.start()
  return session
}

async function proxied(sessionTimeoutMs = 4000): Promise<{ session: ZkSession; proxy: TestProxy }> {
  const proxy = await startProxy(zk.port)
  proxies.push(proxy)
  return { session: await open(proxy.connect, sessionTimeoutMs), proxy }
}

const create = (path: string, data: string | null = null) =>
  ({ op: 'create', path, data: data === null ? null : Buffer.from(data), mode: 'persistent' }) as const

describe('broken connections', () => {
  let direct: ZkSession

  before(async () => {
    zk = await startTestZooKeeper()
    direct = await open(zk.connect, 30_000)
  })
  after(async () => {
    await Promise.all(sessions.map((session) => session.close()))
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await zk.stop()
  })

  it('D3: cut in the middle of a large reply: asked again, whole', async () => {
    const { session, proxy } = await proxied()
    await direct.request(create('/large'))
    const names = Array.from({ length: 3000 }, (_, i) => `a-child-with-a-long-name-${i}`)
    await direct.requests(names.map((name) => create(`/large/${name}`)))
    const id = session.sessionId
    for (const bytes of [1, 10, 1000, 50_000]) {
      proxy.cutAfterAnswerBytes(bytes)
      const listed = await session.request({ op: 'getChildren', path: '/large' })
      assert.deepEqual([...listed.children!].sort(), [...names].sort())
    }
    assert.equal(session.sessionId, id)
    assert.equal(proxy.accepted, 5)
  })

  it('D13: writes whose answer was lost are not reported as refused, nor done twice', async () => {
    const { session, proxy } = await proxied()
    await session.requests([create('/lost'), create('/lost/set', '0'), create('/lost/delete')])
    const lose = async (request: ZkRequest, applied: () => Promise<boolean>): Promise<ZkResponse> => {
      proxy.holdAnswers()
      const answer = session.request(request)
      await until(applied, 'applied')
      proxy.cut()
      return answer
    }
    const exists = async (path: string) => (await direct.request({ op: 'exists', path })).code === 'ok'
    const made = await lose(create('/lost/made', 'x'), () => exists('/lost/made'))
    assert.deepEqual([made.code, made.retried], ['ok', true])
    const set = await lose(
      { op: 'setData', path: '/lost/set', data: Buffer.from('1'), version: 0 },
      async () => (await direct.request({ op: 'getData', path: '/lost/set' })).stat?.version === 1,
    )
    assert.deepEqual([set.code, set.stat?.version, set.retried], ['ok', 1, true])
    const removed = await lose({ op: 'delete', path: '/lost/delete', version: 0 }, async () => !(await exists('/lost/delete')))
    assert.equal(removed.code, 'ok')
    const ephemeral = await lose({ ...create('/lost/eph'), mode: 'ephemeral' }, () => exists('/lost/eph'))
    assert.equal(ephemeral.code, 'ok')
    const children = async () =>
      (await direct.request({ op: 'getChildren', path: '/lost' })).children!.filter((name) => name.startsWith('seq_'))
    const sequential = await lose(
      { ...create('/lost/seq_', 'mine'), mode: 'persistentSequential' },
      async () => (await children()).length === 1,
    )
    assert.deepEqual([sequential.code, [sequential.path]], ['ok', (await children()).map((name) => `/lost/${name}`)])
    assert.equal((await children()).length, 1)
    // Somebody else's refusals stay refusals.
    proxy.holdAnswers()
    const theirs = [
      session.request({ op: 'setData', path: '/lost/set', data: Buffer.from('ours'), version: 1 }),
      session.request(create('/lost/other', 'ours')),
    ]
    proxy.cut()
    proxy.refuse(true)
    await direct.request({ op: 'setData', path: '/lost/set', data: Buffer.from('theirs'), version: -1 })
    await direct.request(create('/lost/other', 'theirs'))
    proxy.refuse(false)
    const codes = (await Promise.all(theirs)).map(({ code }) => code)
    const stored = (await direct.request({ op: 'getData', path: '/lost/other' })).data?.toString()
    assert.deepEqual(codes, stored === 'ours' ? ['ok', 'ok'] : ['badVersion', 'nodeExists'])
  })

  it('a retry that nobody wanted is not made', async () => {
    const { session, proxy } = await proxied()
    proxy.holdAnswers()
    const answer = session.request(create('/once'), { retry: 'none' })
    await until(async () => (await direct.request({ op: 'exists', path: '/once' })).code === 'ok', 'applied')
    proxy.cut()
    assert.equal((await answer).code, 'connectionLoss')
    await until(() => session.state === 'connected', 'reconnected')
  })

  it('no watch is lost between a read and the next, while a writer writes and connections break', async () => {
    const { session, proxy } = await proxied()
    const paths = Array.from({ length: 20 }, (_, i) => `/race/${i}`)
    await direct.requests([create('/race'), ...paths.map((path) => create(path, '0'))])
    const seen = new Map<string, string | undefined>()
    let listed: readonly string[] = []
    const read = async (path: string) => {
      const answer = await session.request({ op: 'getData', path })
      // A missing node arms nothing: ask for its return.
      if (answer.code === 'noNode' && (await session.request({ op: 'exists', path })).code === 'ok') return read(path)
      seen.set(path, answer.data?.toString())
    }
    const list = async () => {
      listed = (await session.request({ op: 'getChildren', path: '/race' })).children ?? []
    }
    for (const path of paths) session.watchNode({ path, onChange: () => void read(path) })
    session.watchChildren({ path: '/race', onChildChange: () => void list() })
    await Promise.all([...paths.map(read), list()])
    const end = performance.now() + 1800
    let writes = 0
    const breaking = (async () => {
      while (performance.now() < end) {
        await sleep(40 + 120 * Math.random())
        if (Math.random() < 0.3) proxy.cutAfterAnswerBytes(Math.floor(200 * Math.random()))
        else proxy.cut()
      }
    })()
    while (performance.now() < end) {
      const path = paths[Math.floor(Math.random() * paths.length)]!
      const data = Buffer.from(String(++writes))
      if (Math.random() < 0.1) await direct.request({ op: 'delete', path, version: -1 })
      else if ((await direct.request({ op: 'setData', path, data, version: -1 })).code === 'noNode')
        await direct.request(create(path, String(writes)))
      await sleep(1)
    }
    await breaking
    assert.ok(writes > 200 && proxy.accepted > 5, `${writes} writes, ${proxy.accepted} connections`)
    const truth = await direct.requests(paths.map((path) => ({ op: 'getData', path })))
    const children = (await direct.request({ op: 'getChildren', path: '/race' })).children!
    const settled = () => paths.every((path, i) => seen.get(path) === truth[i]!.data?.toString())
    await until(settled, 'every value that was written last is known', 3000)
    await until(() => [...listed].sort().join() === [...children].sort().join(), 'so are the children', 3000)
    assert.equal(session.generation, 1)
  })

  it('D1, D15: a server that is killed and restarted gets all its clients back, with their sessions', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => open(zk.connect, 10_000)))
    const ids = clients.map(({ sessionId }) => sessionId)
    await Promise.all(clients.map((client, i) => client.createEphemeral(`/alive-${i}`, Buffer.alloc(0))))
    await zk.restart()
    const answers = await Promise.all(clients.map((client, i) => client.request({ op: 'exists', path: `/alive-${i}` })))
    assert.deepEqual(
      answers.map(({ stat }) => stat?.ephemeralOwner),
      ids,
    )
    assert.deepEqual(
      clients.map(({ generation }) => generation),
      [1, 1, 1, 1, 1],
    )
  })

  it('local fencing: cut off for a session time, a session trusts itself no more, before the server has spoken', async () => {
    const { session, proxy } = await proxied(800)
    assert.equal(session.trusted, true)
    proxy.cut()
    proxy.refuse(true)
    await sleep(500)
    assert.equal(session.trusted, true, 'it may come back in time')
    await sleep(500)
    assert.equal(session.trusted, false)
    assert.equal(session.state, 'disconnected')
    await sleep(600)
    proxy.refuse(false)
    await until(() => session.generation === 2 && session.trusted, 'replaced')
  })
})
