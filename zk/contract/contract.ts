import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Cursor, OPEN, Packet, RawClient, type RawReply, type RawStat } from './raw-client.ts'
import { fourLetterWord } from './real-zookeeper.ts'

/** A server under test. Its tick must be 200 ms, its sessions from 400 ms to 60 s, and all four-letter words allowed. */
export interface ServerUnderTest {
  readonly port: number
  /** Ends it without warning (kill -9) and starts it again on the same data and port. */
  crashAndRestart(): Promise<void>
  close(): Promise<void>
}

const TICK = 200

/** Registers the tests of what a broker, its tools and their client library rely on, for any server that claims to be a ZooKeeper. */
export function zooKeeperContract(name: string, start: () => Promise<ServerUnderTest>): void {
  describe(`ZooKeeper contract: ${name}`, () => {
    let server: ServerUnderTest
    before(async () => {
      server = await start()
    })
    after(() => server.close())
    const port = () => server.port

    nodeTests(port)
    watchTests(port)
    multiTests(port)
    sessionTests(port)
    aclTests(port)
    garbageTests(port)
    restartTests(() => server)
  })
}

// ------------------------------------------------------------------------------------------------------------------- small requests

async function create(client: RawClient, path: string, data = '', flags = 0): Promise<RawReply> {
  return answered(await client.call(1, new Packet().string(path).bytes(Buffer.from(data)).acl(OPEN).int(flags)))
}

async function remove(client: RawClient, path: string, version = -1): Promise<RawReply> {
  return answered(await client.call(2, new Packet().string(path).int(version)))
}

async function exists(client: RawClient, path: string, watch = false): Promise<RawReply> {
  return answered(await client.call(3, new Packet().string(path).bool(watch)))
}

async function getData(client: RawClient, path: string, watch = false): Promise<RawReply> {
  return answered(await client.call(4, new Packet().string(path).bool(watch)))
}

async function setData(client: RawClient, path: string, data: string | null, version = -1): Promise<RawReply> {
  const bytes = data === null ? null : Buffer.from(data)
  return answered(await client.call(5, new Packet().string(path).bytes(bytes).int(version)))
}

async function children(client: RawClient, path: string, watch = false): Promise<{ names: string[]; stat: RawStat }> {
  const reply = answered(await client.call(12, new Packet().string(path).bool(watch)))
  assert.equal(reply.err, 0)
  return { names: reply.body.strings().sort(), stat: reply.body.stat() }
}

async function statOf(client: RawClient, path: string): Promise<RawStat> {
  const reply = await exists(client, path)
  assert.equal(reply.err, 0, `no ${path}`)
  return reply.body.stat()
}

function answered(reply: RawReply | null): RawReply {
  assert.ok(reply !== null, 'the server closed the connection')
  return reply
}

/** Runs `body` with a session of its own, below a fresh node. */
async function withClient(port: number, root: string, body: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await RawClient.connect(port)
  try {
    assert.equal((await create(client, root)).err, 0)
    await body(client)
  } finally {
    await client.close()
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

// ------------------------------------------------------------------------------------------------------------------------- groups

function nodeTests(port: () => number): void {
  test('versions, statistics and null data', () =>
    withClient(port(), '/node', async (c) => {
      assert.equal((await create(c, '/node/a', 'one')).body.string(), '/node/a')
      const created = await statOf(c, '/node/a')
      assert.deepEqual([created.version, created.cversion, created.aversion, created.dataLength], [0, 0, 0, 3])
      assert.equal(created.czxid, created.mzxid)
      assert.ok(Math.abs(Number(created.ctime) - Date.now()) < 60_000)
      assert.equal((await setData(c, '/node/a', 'two', 1)).err, -103)
      assert.equal((await setData(c, '/node/a', 'two', 0)).body.stat().version, 1)
      assert.equal((await setData(c, '/node/a', null)).err, 0)
      const read = await getData(c, '/node/a')
      assert.equal(read.body.bytes(), null)
      assert.deepEqual([read.body.stat().dataLength, read.body.left], [0, 0])
      assert.equal((await remove(c, '/node/a', 1)).err, -103)
      assert.equal((await remove(c, '/node/a', 2)).err, 0)
      assert.equal((await getData(c, '/node/a')).err, -101)
    }))

  test('cversion counts creations and deletions, the parent remembers the last of them', () =>
    withClient(port(), '/counts', async (c) => {
      await create(c, '/counts/a')
      await create(c, '/counts/b')
      const gone = await remove(c, '/counts/a')
      const { names, stat } = await children(c, '/counts')
      assert.deepEqual([names, stat.cversion, stat.numChildren, stat.pzxid], [['b'], 3, 1, gone.zxid])
    }))

  test('a sequential name takes the number of creations so far, of any kind', () =>
    withClient(port(), '/seq', async (c) => {
      assert.equal((await create(c, '/seq/n-', '', 2)).body.string(), '/seq/n-0000000000')
      await create(c, '/seq/other')
      await remove(c, '/seq/other')
      assert.equal((await create(c, '/seq/m-', '', 3)).body.string(), '/seq/m-0000000002')
      assert.equal((await create(c, '/seq/', '', 2)).body.string(), '/seq/0000000003')
    }))

  test('what creates and deletions are refused for', () =>
    withClient(port(), '/refused', async (c) => {
      assert.equal((await create(c, '/refused')).err, -110)
      assert.equal((await create(c, '/refused/no/parent')).err, -101)
      await create(c, '/refused/e', '', 1)
      assert.equal((await create(c, '/refused/e/child')).err, -108)
      assert.equal((await remove(c, '/refused')).err, -111)
      assert.equal((await remove(c, '/')).err, -8)
      assert.equal((await create(c, '/refused/')).err, -8)
      assert.equal((await create(c, '/refused/../x')).err, -101)
      assert.equal((await create(c, '/refused/.')).err, -8)
    }))

  test('a node of 900 kB, and 2000 requests in one go answered in order', () =>
    withClient(port(), '/big', async (c) => {
      const text = 'x'.repeat(900_000)
      assert.equal((await create(c, '/big/one', text)).err, 0)
      assert.equal((await getData(c, '/big/one')).body.bytes()?.toString(), text)
      const xids = Array.from({ length: 2000 }, (_, i) =>
        i % 2 === 0
          ? c.send(
              5,
              new Packet()
                .string('/big')
                .bytes(Buffer.from(`${i}`))
                .int(-1),
            )
          : c.send(4, new Packet().string('/big').bool(false)),
      )
      await c.until(() => c.inbox.length === xids.length)
      const replies = c.inbox.splice(0) as unknown as RawReply[]
      assert.deepEqual(
        replies.map((r) => r.xid),
        xids,
      )
      for (const [i, reply] of replies.entries()) {
        if (i % 2 === 1) assert.equal(reply.body.bytes()?.toString(), `${i - 1}`)
        if (i > 0) assert.ok(reply.zxid >= replies[i - 1]!.zxid)
      }
    }))
}

function watchTests(port: () => number): void {
  test('watches: each kind fires once, one event per change and connection', () =>
    withClient(port(), '/watch', async (c) => {
      const w = await RawClient.connect(port())
      assert.equal((await exists(w, '/watch/a', true)).err, -101)
      assert.equal((await getData(w, '/watch/none', true)).err, -101)
      await children(w, '/watch', true)
      await create(c, '/watch/a')
      await create(c, '/watch/b')
      await w.call(11, undefined, -2)
      assert.deepEqual(w.takeEvents(), [
        { type: 1, path: '/watch/a' },
        { type: 4, path: '/watch' },
      ])
      await getData(w, '/watch/a', true)
      await children(w, '/watch/a', true)
      await setData(c, '/watch/a', '1')
      await setData(c, '/watch/a', '2')
      await exists(w, '/watch/a', true)
      await remove(c, '/watch/a')
      await w.call(11, undefined, -2)
      assert.deepEqual(w.takeEvents(), [
        { type: 3, path: '/watch/a' },
        { type: 2, path: '/watch/a' },
      ])
      await w.close()
    }))

  test("one's own event comes before the answer of the write that caused it", () =>
    withClient(port(), '/own', async (c) => {
      await getData(c, '/own', true)
      const xid = c.send(5, new Packet().string('/own').bytes(null).int(-1))
      await c.until(() => c.inbox.length === 2)
      assert.deepEqual(
        c.inbox.map((r) => (r.kind === 'event' ? r.path : r.xid)),
        ['/own', xid],
      )
      c.inbox.length = 0
    }))

  test('setWatches tells what was missed, then arms the rest', () =>
    withClient(port(), '/rearm', async (c) => {
      await create(c, '/rearm/same')
      const before = (await create(c, '/rearm/changed')).zxid
      await setData(c, '/rearm/changed', 'x')
      const w = await RawClient.connect(port())
      const lists = new Packet()
        .long(before)
        .strings(['/rearm/same', '/rearm/changed', '/rearm/gone'])
        .strings(['/rearm', '/rearm/later'])
      const reply = await w.call(101, lists.strings(['/rearm/same', '/rearm/gone']), -8)
      assert.deepEqual([reply?.xid, reply?.err], [-8, 0])
      assert.deepEqual(w.takeEvents(), [
        { type: 3, path: '/rearm/changed' },
        { type: 2, path: '/rearm/gone' },
        { type: 1, path: '/rearm' },
        { type: 2, path: '/rearm/gone' },
      ])
      await create(c, '/rearm/later')
      await create(c, '/rearm/same/child')
      assert.deepEqual(
        [await w.event(), await w.event()],
        [
          { type: 1, path: '/rearm/later' },
          { type: 4, path: '/rearm/same' },
        ],
      )
      await w.close()
    }))

  test('a persistent recursive watch stays and hears of everything below', () =>
    withClient(port(), '/deep', async (c) => {
      assert.equal((await c.call(106, new Packet().string('/deep').int(1)))?.err, 0)
      await create(c, '/deep/a')
      await create(c, '/deep/a/b')
      await setData(c, '/deep/a/b', 'x')
      await remove(c, '/deep/a/b')
      assert.deepEqual(
        c.takeEvents().map((e) => `${e.type} ${e.path}`),
        ['1 /deep/a', '1 /deep/a/b', '3 /deep/a/b', '2 /deep/a/b'],
      )
    }))
}

function multiPacket(...parts: readonly { type: number; body: Packet }[]): Packet {
  const packet = new Packet()
  for (const { type, body } of parts) packet.int(type).bool(false).int(-1).raw(body.build())
  return packet.int(-1).bool(true).int(-1)
}

function multiTests(port: () => number): void {
  const createPart = (path: string) => ({ type: 1, body: new Packet().string(path).bytes(null).acl(OPEN).int(0) })
  const checkPart = (path: string, version: number) => ({ type: 13, body: new Packet().string(path).int(version) })
  const deletePart = (path: string) => ({ type: 2, body: new Packet().string(path).int(-1) })

  test('multi: all under one zxid, later parts see earlier ones, one answer per part', () =>
    withClient(port(), '/multi', async (c) => {
      const set = { type: 5, body: new Packet().string('/multi/a').bytes(Buffer.from('x')).int(0) }
      const reply = await c.call(
        14,
        multiPacket(checkPart('/multi', 0), createPart('/multi/a'), set, createPart('/multi/a/b'), deletePart('/multi/a/b')),
      )
      const { body, zxid } = answered(reply)
      const header = () => [body.int(), body.bool(), body.int()]
      assert.deepEqual(header(), [13, false, 0])
      assert.deepEqual([header(), body.string()], [[1, false, 0], '/multi/a'])
      assert.deepEqual(header(), [5, false, 0])
      assert.equal(body.stat().version, 1)
      assert.deepEqual([header(), body.string()], [[1, false, 0], '/multi/a/b'])
      assert.deepEqual([header(), header(), body.left], [[2, false, 0], [-1, true, -1], 0])
      const stat = await statOf(c, '/multi/a')
      assert.deepEqual([stat.czxid, stat.mzxid, stat.pzxid, stat.cversion], [zxid, zxid, zxid, 2])
    }))

  test('multi: when one part is refused nothing happens, and no watch fires', () =>
    withClient(port(), '/refuse', async (c) => {
      await children(c, '/refuse', true)
      const before = await statOf(c, '/refuse')
      const parts = [createPart('/refuse/a'), checkPart('/refuse', 7), createPart('/refuse/b')]
      const { body, err } = answered(await c.call(14, multiPacket(...parts)))
      const codes = parts.map(() => [body.int(), body.bool(), body.int(), body.int()])
      assert.equal(err, 0)
      assert.deepEqual(codes, [
        [-1, false, 0, 0],
        [-1, false, -103, -103],
        [-1, false, -2, -2],
      ])
      assert.deepEqual(await statOf(c, '/refuse'), before)
      assert.deepEqual(c.takeEvents(), [])
    }))
}

function sessionTests(port: () => number): void {
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
      await create(owner, '/expire/e', '', 1)
      const since = Date.now()
      await exists(c, '/expire/e', true)
      assert.deepEqual(await c.event(), { type: 2, path: '/expire/e' })
      const lived = Date.now() - since
      assert.ok(lived >= 590 && lived < 600 + 2 * TICK + 300, `it lived ${lived} ms`)
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

function aclTests(port: () => number): void {
  const digest = { perms: 31, scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }

  test('digest ACLs: refused without, granted with the password, hidden from others', () =>
    withClient(port(), '/acl', async (c) => {
      const reader = { perms: 1, scheme: 'world', id: 'anyone' }
      const body = new Packet().string('/acl/s').bytes(Buffer.from('x')).acl([digest, reader]).int(0)
      assert.equal((await c.call(1, body))?.err, 0)
      assert.equal((await setData(c, '/acl/s', 'y')).err, -102)
      const masked = answered(await c.call(6, new Packet().string('/acl/s')))
      assert.equal(masked.body.acl()[0]?.id, 'u:x')
      const auth = await c.call(100, new Packet().int(0).string('digest').bytes(Buffer.from('u:p')), -4)
      assert.deepEqual([auth?.err, auth?.zxid], [0, 0n])
      assert.equal((await setData(c, '/acl/s', 'y')).err, 0)
      assert.equal(answered(await c.call(6, new Packet().string('/acl/s'))).body.acl()[0]?.id, digest.id)
    }))

  test('invalid ACLs are refused; `auth` becomes the ids of the caller', () =>
    withClient(port(), '/invalid', async (c) => {
      const withAcl = (path: string, acl: Parameters<Packet['acl']>[0]) =>
        c.call(1, new Packet().string(path).bytes(null).acl(acl).int(0))
      assert.equal((await withAcl('/invalid/a', []))?.err, -114)
      assert.equal((await withAcl('/invalid/a', [{ perms: 31, scheme: 'nonsense', id: 'x' }]))?.err, -114)
      assert.equal((await withAcl('/invalid/a', [{ perms: 31, scheme: 'auth', id: '' }]))?.err, -114)
      await c.call(100, new Packet().int(0).string('digest').bytes(Buffer.from('u:p')), -4)
      assert.equal((await withAcl('/invalid/a', [{ perms: 31, scheme: 'auth', id: '' }]))?.err, 0)
      assert.deepEqual(answered(await c.call(6, new Packet().string('/invalid/a'))).body.acl(), [digest])
    }))

  test('an unknown authentication scheme is answered AUTHFAILED and the connection closed', async () => {
    const c = await RawClient.connect(port())
    const reply = await c.call(100, new Packet().int(0).string('nonsense').bytes(Buffer.alloc(0)), -4)
    assert.equal(reply?.err, -115)
    await c.waitClosed()
    await (await RawClient.connect(port(), c)).close()
  })
}

function garbageTests(port: () => number): void {
  test('four-letter words', async () => {
    assert.equal(await fourLetterWord(port(), 'ruok'), 'imok')
    assert.equal(await fourLetterWord(port(), 'isro'), 'rw')
    assert.match(
      (await fourLetterWord(port(), 'srvr')) ?? '',
      /^Zookeeper version: [\s\S]*\nMode: standalone\nNode count: \d+\n$/,
    )
    assert.match(
      (await fourLetterWord(port(), 'stat')) ?? '',
      /\nClients:\n \/127\.0\.0\.1:\d+\[\d\]\(queued=\d+,recved=\d+,sent=\d+\)\n/,
    )
    assert.match(
      (await fourLetterWord(port(), 'mntr')) ?? '',
      /^zk_version\t[\s\S]*\nzk_server_state\tstandalone\n[\s\S]*\nzk_znode_count\t\d+\n/,
    )
    assert.match((await fourLetterWord(port(), 'conf')) ?? '', /^tickTime=200\n/m)
    assert.match((await fourLetterWord(port(), 'wchs')) ?? '', /^\d+ connections watching \d+ paths\nTotal watches:\d+/)
    assert.match(
      (await fourLetterWord(port(), 'dump')) ?? '',
      /^SessionTracker dump:\n[\s\S]*\nephemeral nodes dump:\nSessions with Ephemerals \(\d+\):/,
    )
    assert.match((await fourLetterWord(port(), 'envi')) ?? '', /^Environment:\nzookeeper\.version=/)
  })

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

function restartTests(server: () => ServerUnderTest): void {
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
