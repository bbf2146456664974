/** One test for each defect of node-zookeeper-client 1.1.3 (README.md lists them), against a server that misbehaves on purpose. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, describe, it } from 'node:test'
import { Framer } from './framer.ts'
import { type GuardEvent, GuardedConnection, type GuardOptions } from './guard.ts'
import { PACKAGE_VERSION } from './package.ts'
import { openZkSession } from './session.ts'
import { type FakeServerScript, framed, startFakeServer, statBytes, ustring } from './testing-fake-server.ts'
import { sleep, testClock, testLog, until } from './testing-zookeeper.ts'
import type { ZkResponse, ZkSession, ZkSessionOptions } from './types.ts'

const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function fake(script: FakeServerScript = {}) {
  const server = await startFakeServer(script)
  cleanups.push(() => server.close())
  return server
}

async function open(connect: string, options: Partial<ZkSessionOptions> = {}, log = testLog()): Promise<ZkSession> {
  const session = openZkSession({ connect, sessionTimeoutMs: 1000, connectionTimeoutMs: 3000, ...options }, testClock, log)
  cleanups.push(() => session.close())
  await session.start()
  return session
}

function guard(connect: string, options: Partial<GuardOptions> = {}): { connection: GuardedConnection; events: GuardEvent[] } {
  const events: GuardEvent[] = []
  const connection = new GuardedConnection(
    {
      connect,
      sessionTimeoutMs: 1000,
      auth: [],
      maxPacketBytes: 0xfffff,
      refusedForEverMs: 10_000,
      onEvent: (event) => events.push(event),
      onWatchEvent: () => {},
      watchPaths: () => ({ data: [], exist: [], child: [] }),
      ...options,
    },
    testClock,
    testLog(),
  )
  cleanups.push(() => connection.dispose())
  connection.start()
  return { connection, events }
}

const DATA = 4
const EXISTS = 3
const SET_WATCHES = 101
const AUTH = 100
const PING = 11
const dataReply = (text: string) => Buffer.concat([ustring(text), statBytes()])

describe('defects of the package, guarded', () => {
  it('the installed package is the one that we know', () => {
    const { version } = createRequire(import.meta.url)('node-zookeeper-client/package.json') as { version: string }
    assert.equal(version, PACKAGE_VERSION)
  })

  it('D3: half a frame does not poison the next connection', async () => {
    const reply = framed(
      Buffer.concat([Buffer.from('000000010000000000000009', 'hex'), Buffer.alloc(4), dataReply('x'.repeat(500))]),
    )
    const cuts = [1, 3, 4, 7, 19, 20, 100, reply.length - 1]
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type !== DATA) return false
        const cut = cuts[connection.index]
        if (cut === undefined) connection.reply(xid, 0, dataReply('whole'))
        else connection.socket.write(reply.subarray(0, cut), () => connection.socket.destroy())
        return true
      },
    })
    const session = await open(server.connect, { sessionTimeoutMs: 4000 })
    const id = session.sessionId
    const read = await session.request({ op: 'getData', path: '/x' })
    assert.equal(read.data?.toString(), 'whole')
    assert.equal(session.sessionId, id)
    assert.equal(server.connections.length, cuts.length + 1)
  })

  it('D3: garbage of the right length is a lost connection, not a crash', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type !== DATA) return false
        if (connection.index === 0) connection.reply(xid, 0)
        else if (connection.index === 1) connection.reply(xid, 0, Buffer.from([0, 0xff, 0xff, 0xff, 1]))
        else if (connection.index === 2) connection.socket.write(framed(Buffer.from([1, 2, 3])))
        else if (connection.index === 3) connection.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
        else if (connection.index === 4) connection.reply(xid + 1, 0, dataReply('wrong number'))
        else connection.reply(xid, 0, dataReply('whole'))
        return true
      },
    })
    const session = await open(server.connect, { sessionTimeoutMs: 4000 })
    assert.equal((await session.request({ op: 'getData', path: '/x' })).data?.toString(), 'whole')
    assert.equal(server.connections.length, 6)
  })

  it('D4: codes and events that the package does not know', async () => {
    const codes = [-125, -122, -127, -12, -999, 7]
    let asked = 0
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type !== DATA) return false
        connection.event(7, '/x')
        connection.event(-1, '')
        connection.reply(xid, codes[asked++]!)
        return true
      },
    })
    const session = await open(server.connect)
    const answers = await session.requests(codes.map(() => ({ op: 'getData', path: '/x' })))
    assert.deepEqual(
      answers.map(({ rawCode }) => rawCode),
      codes,
    )
    assert.deepEqual(
      answers.map(({ code }) => code),
      ['quotaExceeded', 'timeout', 'other', 'other', 'other', 'other'],
    )
    assert.equal(server.connections.length, 1)
  })

  it('D4: a session that moved to another server reconnects and asks again', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type !== DATA) return false
        if (connection.index === 0) connection.reply(xid, -118)
        else connection.reply(xid, 0, dataReply('there'))
        return true
      },
    })
    const session = await open(server.connect)
    assert.equal((await session.request({ op: 'getData', path: '/x' })).data?.toString(), 'there')
    assert.equal(session.generation, 1)
  })

  it('D5: everything asked of a session that expires is answered', async () => {
    const server = await fake({
      onConnect: ({ index }) => (index === 1 ? 'expired' : 'accept'),
      onPacket: ({ index }) => index === 0,
    })
    const session = await open(server.connect, { maxInFlightRequests: 10 })
    const answers = session.requests(Array.from({ length: 300 }, () => ({ op: 'exists', path: '/x' })))
    await until(() => server.connections[0]!.packets.length >= 10, 'sent')
    server.connections[0]!.socket.destroy()
    assert.deepEqual([...new Set((await answers).map(({ code }) => code))], ['sessionExpired'])
    await until(() => session.state === 'connected', 'renewed')
    assert.equal(session.generation, 2)
  })

  it('D5: everything asked of a session that is closed is answered', async () => {
    const server = await fake({ onPacket: (_, { type }) => type === DATA })
    const session = await open(server.connect, { maxInFlightRequests: 10 })
    const answers = session.requests(Array.from({ length: 30 }, () => ({ op: 'getData', path: '/x' })))
    await session.close()
    assert.deepEqual([...new Set((await answers).map(({ code }) => code))], ['sessionExpired'])
  })

  it('D9: what one connection could not send does not pile up before the next', async () => {
    const server = await fake({
      onConnect: ({ index, socket }) => {
        // The second connection reads nothing more: the requests stay behind eight megabytes of watches.
        if (index === 1) setImmediate(() => socket.pause())
        return 'accept'
      },
      onPacket: (connection, { xid, type }) => {
        if (type === EXISTS) connection.reply(xid, -101)
        else if (type === DATA && connection.index === 2) connection.reply(xid, 0, dataReply('x'))
        return type === EXISTS || type === DATA
      },
    })
    const session = await open(server.connect, { sessionTimeoutMs: 4000, auth: [{ scheme: 'digest', credentials: 'a:b' }] })
    const paths = Array.from({ length: 1000 }, (_, i) => `/${'long'.repeat(2000)}/${i}`)
    for (const path of paths) session.watchNode({ path, onChange: () => {} })
    await session.requests(paths.map((path) => ({ op: 'exists', path })))
    const answers = session.requests([1, 2, 3].map((i) => ({ op: 'getData', path: `/x${i}` })))
    await until(() => server.connections[0]!.packets.at(-1)?.type === DATA, 'asked')
    server.connections[0]!.socket.destroy()
    await until(() => server.connections.length === 2 && session.state === 'connected', 'reconnected')
    await sleep(50)
    server.connections[1]!.socket.destroy()
    assert.ok((await answers).every(({ code }) => code === 'ok'))
    const packets = server.connections[2]!.packets
    assert.equal(packets.filter(({ type }) => type === AUTH).length, 1)
    const armed = packets.filter(({ type }) => type === SET_WATCHES).reduce((sum, { body }) => sum + body.readInt32BE(12), 0)
    assert.equal(armed, paths.length)
  })

  it('D6: asking again from the answer to a loss does not loop', async () => {
    const server = await fake({ onPacket: (_, { type }) => type === DATA })
    const { connection, events } = guard(server.connect)
    await until(() => events.includes('connected'), 'connected')
    let attempts = 0
    const answered: ZkResponse[] = []
    const ask = () => {
      attempts++
      assert.ok(attempts < 10, 'looping')
      connection.send({ op: 'getData', path: '/x' }, false, (response) => {
        answered.push(response)
        if (attempts < 3) ask()
      })
    }
    ask()
    await until(() => server.connections[0]!.packets.length > 0, 'asked')
    server.connections[0]!.socket.destroy()
    await until(() => events.filter((event) => event === 'connected').length === 2, 'reconnected')
    assert.deepEqual(
      answered.map(({ code }) => code),
      ['connectionLoss', 'connectionLoss', 'connectionLoss'],
    )
  })

  it('D7, D9: after a reconnect: authentication, all watches in packets that a server takes, then the requests', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type === EXISTS && connection.index === 0) connection.reply(xid, -101)
        else if (type === DATA && connection.index === 1) connection.reply(xid, 0, dataReply('after'))
        else return type === DATA
        return true
      },
    })
    const session = await open(`${server.connect}/chroot`, {
      sessionTimeoutMs: 8000,
      auth: [{ scheme: 'digest', credentials: 'a:b' }],
    })
    const paths = Array.from({ length: 8000 }, (_, i) => `/watched/by/a/test/with/a/long/path/so-that-it-counts/${i}`)
    for (const path of paths) session.watchNode({ path, onChange: () => {} })
    await session.requests(paths.map((path) => ({ op: 'exists', path })))
    const pending = session.request({ op: 'getData', path: '/x' })
    await until(() => server.connections[0]!.packets.at(-1)?.type === DATA, 'asked')
    server.connections[0]!.socket.destroy()
    assert.equal((await pending).data?.toString(), 'after')
    const types = server.connections[1]!.packets.map(({ type }) => type).filter((type) => type !== PING)
    assert.equal(types[0], AUTH)
    assert.equal(types.at(-1), DATA)
    const chunks = server.connections[1]!.packets.filter(({ type }) => type === SET_WATCHES)
    assert.equal(chunks.length, types.length - 2)
    assert.ok(chunks.length > 2 && chunks.every(({ body }) => body.length < 200_000))
    const text = Buffer.concat(chunks.map(({ body }) => body)).toString('latin1')
    assert.equal(text.match(/\/chroot\/watched\//g)?.length, paths.length)
    assert.ok(paths.every((path) => text.includes(path)))
  })

  it('D11: requests are numbered from 1, and begin again before 2^31', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type === DATA) connection.reply(xid, 0, dataReply('x'))
        return type === DATA
      },
    })
    const first = guard(server.connect)
    await until(() => first.connection.connected, 'connected')
    const last = guard(server.connect, { firstXid: 0x7fff_effe })
    await until(() => last.connection.connected, 'connected')
    let answered = 0
    for (let i = 0; i < 8; i++) {
      for (const { connection } of [first, last])
        connection.send({ op: 'getData', path: '/x' }, false, ({ code }) => (answered += Number(code === 'ok')))
    }
    await until(() => answered === 16, 'answered')
    const xids = (index: number) => server.connections[index]!.packets.filter(({ type }) => type === DATA).map(({ xid }) => xid)
    assert.deepEqual(xids(0), [1, 2, 3, 4, 5, 6, 7, 8])
    assert.deepEqual(xids(1), [0x7fff_effe, 0x7fff_efff, 0x7fff_f000, 1, 2, 3, 4, 5])
  })

  it('D14: null data, and data that a server would drop the connection for', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type === 5) connection.reply(xid, 0, statBytes(1))
        return type === 5
      },
    })
    const session = await open(server.connect)
    const set = (data: Buffer | null) => session.request({ op: 'setData', path: '/x', data, version: -1 })
    assert.equal((await set(null)).code, 'ok')
    assert.equal((await set(Buffer.alloc(0xfffff - 22))).code, 'ok')
    assert.equal((await set(Buffer.alloc(0xfffff - 21))).code, 'marshallingError')
    assert.equal((await set(Buffer.alloc(2 * 1024 * 1024))).code, 'marshallingError')
    const parts = Array.from(
      { length: 3 },
      () => ({ op: 'setData', path: '/x', data: Buffer.alloc(400_000), version: -1 }) as const,
    )
    assert.equal((await session.request({ op: 'multi', ops: parts })).code, 'marshallingError')
    assert.deepEqual(
      server.connections[0]!.packets.filter(({ type }) => type === 5).map(({ body }) => body.length),
      [14, 0xfffff - 8],
    )
    assert.equal(server.connections.length, 1)
  })

  it('D16: a handler that throws does not stop the frames behind', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type === EXISTS) connection.reply(xid, -101)
        if (type === DATA) {
          connection.socket.cork()
          connection.event(1, '/a')
          connection.event(1, '/b')
          connection.reply(xid, 0, dataReply('x'))
          process.nextTick(() => connection.socket.uncork())
        }
        return type === EXISTS || type === DATA
      },
    })
    const session = await open(server.connect)
    const seen: string[] = []
    session.watchNode({
      path: '/a',
      onChange: () => {
        throw new Error('bug')
      },
    })
    session.watchNode({ path: '/b', onChange: () => seen.push('/b') })
    await session.requests([
      { op: 'exists', path: '/a' },
      { op: 'exists', path: '/b' },
    ])
    assert.equal((await session.request({ op: 'getData', path: '/x' })).code, 'ok')
    assert.deepEqual(seen, ['/b'])
  })

  it('D17: a large reply in small pieces costs linear time', () => {
    const frame = framed(Buffer.alloc(8 * 1024 * 1024, 7))
    const framer = new Framer()
    const frames: number[] = []
    const started = performance.now()
    for (let at = 0; at < frame.length; at += 500) {
      framer.push(frame.subarray(at, at + 500), (whole) => {
        frames.push(whole.length)
        return true
      })
    }
    assert.deepEqual(frames, [frame.length])
    // Quadratic, it would copy 64 GB.
    assert.ok(performance.now() - started < 5000)
  })

  it('frames are cut wherever the stream is', () => {
    const stream = Buffer.concat(['', 'a', 'bc', 'd'.repeat(300)].map((text) => framed(Buffer.from(text))))
    for (let size = 1; size < 40; size++) {
      const framer = new Framer()
      const frames: string[] = []
      for (let at = 0; at < stream.length; at += size) {
        framer.push(stream.subarray(at, at + size), (frame) => frames.push(frame.toString('utf8', 4)) > 0)
      }
      assert.deepEqual(frames, ['', 'a', 'bc', 'd'.repeat(300)])
    }
    assert.throws(() => new Framer().push(Buffer.from([0xff, 0, 0, 0]), () => true), /impossible/)
  })

  it('a blocked event loop does not condemn a healthy connection', async () => {
    const server = await fake()
    const session = await open(server.connect, { sessionTimeoutMs: 700 })
    await sleep(300)
    const end = performance.now() + 900
    while (performance.now() < end);
    assert.equal(session.trusted, false, 'it may have expired meanwhile')
    await sleep(150)
    assert.equal(server.connections.length, 1)
    assert.equal(session.trusted, true)
  })
})

/** These mostly wait, so they wait together. */
describe('defects that take time, guarded', { concurrency: true }, () => {
  it('D1: a server that accepts and never answers is left', async () => {
    const server = await fake({ onConnect: ({ index }) => (index === 0 ? 'silent' : 'accept') })
    const session = await open(server.connect)
    assert.equal(session.state, 'connected')
    assert.equal(server.connections.length, 2)
  })

  it('D2: a connection that falls silent is replaced within the session time', async () => {
    const server = await fake({
      onPacket: (connection, { xid, type }) => {
        if (type === EXISTS && connection.index > 0) connection.reply(xid, 0, statBytes(5))
        return connection.index === 0 || type === EXISTS
      },
    })
    const session = await open(server.connect, { sessionTimeoutMs: 3000 })
    const id = session.sessionId
    const since = performance.now()
    const read = session.request({ op: 'exists', path: '/x' })
    await until(() => server.connections.length === 2, 'left')
    const took = performance.now() - since
    assert.ok(took > 1900 && took < 3000, `${took} ms`)
    assert.equal((await read).stat?.version, 5)
    assert.equal(session.sessionId, id)
    assert.equal(session.generation, 1)
  })

  it('D2: without a confirmation for a session time the session is not trusted', async () => {
    let answering = true
    const server = await fake({ onConnect: () => (answering ? 'accept' : 'silent'), onPacket: () => !answering })
    const session = await open(server.connect, { sessionTimeoutMs: 600 })
    await sleep(900)
    assert.equal(session.trusted, true, 'pings confirm')
    answering = false
    await sleep(300)
    assert.equal(session.trusted, true)
    await sleep(500)
    assert.equal(session.trusted, false)
    answering = true
    await until(() => session.trusted, 'confirmed again')
    assert.equal(session.generation, 1)
  })

  it('D8: who only listens still pings', async () => {
    const server = await fake()
    const session = await open(server.connect, { sessionTimeoutMs: 600 })
    const [connection] = server.connections
    const chatter = setInterval(() => connection!.event(1, '/nobody'), 30)
    cleanups.push(() => clearInterval(chatter))
    await sleep(1500)
    clearInterval(chatter)
    const pings = connection!.packets.filter(({ type }) => type === PING).length
    assert.ok(pings >= 5 && pings <= 9, `${pings} pings`)
    assert.equal(session.trusted, true)
    assert.equal(server.connections.length, 1)
  })

  it('D12: closing is possible at any time', async () => {
    const server = await fake({ onConnect: () => 'silent' })
    const never = openZkSession(
      { connect: server.connect, sessionTimeoutMs: 1000, connectionTimeoutMs: 1000 },
      testClock,
      testLog(),
    )
    await never.close()
    assert.equal(never.state, 'closed')
    const connecting = openZkSession(
      { connect: server.connect, sessionTimeoutMs: 1000, connectionTimeoutMs: 1000 },
      testClock,
      testLog(),
    )
    const started = assert.rejects(connecting.start(), /closed/)
    await sleep(50)
    await connecting.close()
    await started
    await sleep(100)
    assert.ok(server.connections.every(({ socket }) => socket.destroyed || socket.readableEnded || socket.readyState !== 'open'))
  })

  it('D15: a server that lost its data is noticed, and gets a new session', async () => {
    let wiped = false
    const server = await fake({ onConnect: (_, request) => (wiped && request.readBigInt64BE(4) > 0n ? 'close' : 'accept') })
    const log = testLog()
    const session = await open(server.connect, { sessionTimeoutMs: 400, refusedForEverMs: 300 }, log)
    await session.request({ op: 'delete', path: '/x', version: -1 })
    const id = session.sessionId
    wiped = true
    server.connections[0]!.socket.destroy()
    await until(() => session.generation === 2 && session.state === 'connected', 'given up')
    assert.notEqual(session.sessionId, id)
    assert.ok(log.lines.some((line) => /ERROR .*has lost data/.test(line)))
  })

  it('D15: a server that lets nobody in (no quorum) costs no session', async () => {
    let open_ = true
    const server = await fake({ onConnect: () => (open_ ? 'accept' : 'close') })
    const session = await open(server.connect, { sessionTimeoutMs: 400, refusedForEverMs: 300 })
    await session.request({ op: 'delete', path: '/x', version: -1 })
    const id = session.sessionId
    open_ = false
    server.connections[0]!.socket.destroy()
    await sleep(2500)
    assert.equal(session.state, 'disconnected')
    open_ = true
    await until(() => session.state === 'connected', 'back')
    assert.equal(session.sessionId, id)
    assert.equal(session.generation, 1)
  })
})
