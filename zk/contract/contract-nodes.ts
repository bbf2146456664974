import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OPEN, Packet, RawClient, type RawReply } from './raw-client.ts'
import { answered, children, create, exists, getData, remove, setData, statOf, withClient } from './requests.ts'

export function nodeTests(port: () => number): void {
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
}

export function refusalTests(port: () => number): void {
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

export function watchTests(port: () => number): void {
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
}

export function lastingWatchTests(port: () => number): void {
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

export function multiTests(port: () => number): void {
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

export function aclTests(port: () => number): void {
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
