import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerUnderTest } from './contract.ts'
import { Cursor, OPEN, Packet, RawClient } from './raw-client.ts'
import { fourLetterWord } from './real-zookeeper.ts'
import { children, create, exists, getData, setData, sleep, statOf, withClient } from './requests.ts'

const TICK = 200

export function sessionTests(port: () => number): void {
  test('session timeouts are clamped; the read-only flag is answered only when it was sent', async () => {
    const short = await RawClient.connect(port(), { timeoutMs: 1 })
    const long = await RawClient.connect(port(), { timeoutMs: 1_000_000, oldClient: true })
    assert.deepEqual([short.timeoutMs, long.timeoutMs], [400, 60_000])
    assert.deepEqual([short.connectResponse!.length, long.connectResponse!.length], [37, 36])
    assert.notEqual(short.sessionId, long.sessionId)
    await Promise.all([short.close(), long.close()])
  })

  test('closing a session removes its ephemeral nodes under one zxid, answers, and closes the connection', () =>
    withClient(port(), '/close', async (c) => {
      const owner = await RawClient.connect(port())
      await create(owner, '/close/a', '', 1)
      await create(owner, '/close/b', '', 1)
      assert.equal((await statOf(c, '/close/a')).ephemeralOwner, owner.sessionId)
      await exists(c, '/close/a', true)
      await exists(c, '/close/b', true)
      const reply = await owner.call(-11)
      await owner.waitClosed()
      assert.equal(reply?.err, 0)
      assert.deepEqual([(await c.event()).type, (await c.event()).type], [2, 2])
      assert.equal((await children(c, '/close')).stat.pzxid, reply?.zxid)
    }))

  test('a silent session expires with its ephemeral nodes, in time, and its connection is closed', () =>
    withClient(port(), '/expire', async (c) => {
      const owner = await RawClient.connect(port(), { timeoutMs: 600 })
      const since = Date.now()
      await create(owner, '/expire/e', '', 1)
      await exists(c, '/expire/e', true)
      assert.deepEqual(await c.event(), { type: 2, path: '/expire/e' })
      const lived = Date.now() - since
      assert.ok(lived >= 590 && lived < 600 + 2 * TICK + 3000, `it lived ${lived} ms`)
      await owner.waitClosed()
      const late = await RawClient.connect(port(), owner)
      assert.deepEqual([late.sessionId, late.timeoutMs], [0n, 0])
      await late.waitClosed()
    }))

  test('pings keep a session alive', async () => {
    const c = await RawClient.connect(port(), { timeoutMs: 400 })
    for (let i = 0; i < 8; i++) {
      await sleep(150)
      assert.equal((await c.call(11, undefined, -2))?.err, 0)
    }
    await c.close()
  })
}

export function resumeTests(port: () => number): void {
  test('a session goes on over another connection; the older connection is closed and its watches are gone', () =>
    withClient(port(), '/resume', async (c) => {
      const first = await RawClient.connect(port())
      await create(first, '/resume/e', '', 1)
      await getData(first, '/resume/e', true)
      const second = await RawClient.connect(port(), first)
      assert.equal(second.sessionId, first.sessionId)
      await first.waitClosed()
      await setData(c, '/resume/e', 'x')
      assert.equal((await statOf(second, '/resume/e')).ephemeralOwner, second.sessionId)
      assert.deepEqual(second.takeEvents(), [])
      await second.close()
      assert.equal((await exists(c, '/resume/e')).err, -101)
    }))

  test('a wrong password is answered like an expired session', async () => {
    const owner = await RawClient.connect(port())
    const thief = await RawClient.connect(port(), { sessionId: owner.sessionId, password: Buffer.alloc(16, 1) })
    assert.deepEqual([thief.sessionId, thief.password.equals(Buffer.alloc(16))], [0n, true])
    await thief.waitClosed()
    const back = await RawClient.connect(port(), owner)
    assert.equal(back.sessionId, owner.sessionId)
    await back.close()
  })

  test('a client that has seen more than the server is turned away without an answer', async () => {
    await assert.rejects(RawClient.connect(port(), { lastZxidSeen: 2n ** 40n }), /closed the connection without an answer/)
  })
}

export function wordTests(port: () => number, attempts: () => number): void {
  const ask = async (word: string) => {
    for (let left = attempts(); left > 0; left--) {
      const answer = await fourLetterWord(port(), word, 5000)
      if (answer !== null) return answer
    }
    return assert.fail(`no answer to ${word}`)
  }

  test('four-letter words', async () => {
    assert.equal(await ask('ruok'), 'imok')
    assert.equal(await ask('isro'), 'rw')
    assert.match(await ask('srvr'), /^Zookeeper version: [\s\S]*\nMode: standalone\nNode count: \d+\n$/)
    assert.match(await ask('stat'), /\nClients:\n \/127\.0\.0\.1:\d+\[\d\]\(queued=\d+,recved=\d+,sent=\d+\)\n/)
    assert.match(await ask('mntr'), /^zk_version\t[\s\S]*\nzk_server_state\tstandalone\n[\s\S]*\nzk_znode_count\t\d+\n/)
    assert.match(await ask('conf'), /^tickTime=200\n/m)
    assert.match(await ask('wchs'), /^\d+ connections watching \d+ paths\nTotal watches:\d+/)
    assert.match(await ask('dump'), /^SessionTracker dump:\n[\s\S]*\nephemeral nodes dump:\nSessions with Ephemerals \(\d+\):/)
    assert.match(await ask('envi'), /^Environment:\nzookeeper\.version=/)
  })
}

export function garbageTests(port: () => number): void {
  test('garbage costs the connection that sent it, and nobody else', async () => {
    const good = await RawClient.connect(port())
    const texts = ['GET / HTTP/1.1\r\n\r\n', '\xff\xff\xff\xff', '\x7f\xff\xff\xff', '\0\0\0\x05hello']
    for (const text of texts) {
      const c = await RawClient.open(port())
      c.socket.write(Buffer.from(text, 'latin1'))
      await c.waitClosed()
    }
    const c = await RawClient.connect(port())
    c.sendFrame(Buffer.from([0, 0, 0]))
    await c.waitClosed()
    const huge = await RawClient.connect(port())
    huge.socket.write(Buffer.from([0, 0x10, 0, 1]))
    await huge.waitClosed()
    assert.equal((await good.call(11, undefined, -2))?.err, 0)
    await good.close()
  })

  test('a body that cannot be read is answered MARSHALLINGERROR, an unknown operation UNIMPLEMENTED and closed', async () => {
    const c = await RawClient.connect(port())
    assert.equal((await c.call(1, Buffer.from([0, 0, 0, 99])))?.err, -5)
    assert.equal((await c.call(4, Buffer.from([0, 0])))?.err, -5)
    assert.equal((await c.call(77))?.err, -6)
    await c.waitClosed()
    await (await RawClient.connect(port(), c)).close()
  })

  test('requests may follow the connect request at once, and arrive in any pieces', async () => {
    const c = await RawClient.open(port())
    const connect = new Packet().int(0).long(0n).int(5000).long(0n).bytes(Buffer.alloc(16)).bool(false).build()
    const ping = new Packet().int(-2).int(11).build()
    const exist = new Packet().int(5).int(3).string('/').bool(false).build()
    const bytes = new Packet().bytes(connect).bytes(ping).bytes(exist).build()
    for (let at = 0; at < bytes.length; at += 7) {
      c.socket.write(bytes.subarray(at, at + 7))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await c.until(() => c.inbox.length === 2)
    assert.deepEqual(
      c.inbox.map((r) => (r.kind === 'reply' ? r.xid : 'event')),
      [-2, 5],
    )
    c.sessionId = new Cursor(c.connectResponse!.subarray(8)).long()
    await c.close()
  })
}

export function restartTests(server: () => ServerUnderTest): void {
  test('a crash loses nothing that was answered: nodes, versions, sessions, ephemeral nodes, zxid', async () => {
    const c = await RawClient.connect(server().port, { timeoutMs: 20_000 })
    await create(c, '/crash', 'one')
    await setData(c, '/crash', 'two')
    await create(c, '/crash/e', '', 1)
    const last = await create(c, '/crash/s-', '', 2)
    const [node, ephemeral] = [await statOf(c, '/crash'), await statOf(c, '/crash/e')]
    await server().crashAndRestart()
    await c.waitClosed()
    const back = await RawClient.connect(server().port, { ...session(c), lastZxidSeen: last.zxid })
    assert.equal(back.sessionId, c.sessionId)
    assert.deepEqual([await statOf(back, '/crash'), await statOf(back, '/crash/e')], [node, ephemeral])
    const next = await create(back, '/crash/s-', '', 2)
    assert.equal(next.body.string(), '/crash/s-0000000002')
    assert.ok(next.zxid > last.zxid)
    await back.close()
    const other = await RawClient.connect(server().port)
    assert.deepEqual((await children(other, '/crash')).names, ['s-0000000001', 's-0000000002'])
    assert.notEqual(other.sessionId, c.sessionId)
    await other.close()
  })

  test('a crash in full flow: what was answered is there', async () => {
    const c = await RawClient.connect(server().port, { timeoutMs: 20_000 })
    await create(c, '/flow')
    const xids = new Map<number, string>()
    for (let i = 0; i < 5000; i++) xids.set(c.send(1, new Packet().string(`/flow/${i}`).bytes(null).acl(OPEN).int(0)), `${i}`)
    await c.until(() => c.inbox.length >= 500)
    await server().crashAndRestart()
    await c.waitClosed()
    const answered = c.inbox.map((r) => (r.kind === 'reply' && r.err === 0 ? xids.get(r.xid)! : ''))
    const other = await RawClient.connect(server().port)
    const present = new Set((await children(other, '/flow')).names)
    assert.ok(answered.length >= 500)
    assert.deepEqual(
      answered.filter((name) => !present.has(name)),
      [],
    )
    await other.close()
  })

  test('a session that nobody resumes after a crash expires', async () => {
    const c = await RawClient.connect(server().port, { timeoutMs: 1000 })
    await create(c, '/orphan', '', 1)
    await server().crashAndRestart()
    const other = await RawClient.connect(server().port)
    assert.equal((await exists(other, '/orphan', true)).err, 0)
    assert.deepEqual(await other.event(), { type: 2, path: '/orphan' })
    await other.close()
  })
}

function session(client: RawClient): { sessionId: bigint; password: Buffer; timeoutMs: number } {
  return { sessionId: client.sessionId, password: client.password, timeoutMs: client.timeoutMs }
}
