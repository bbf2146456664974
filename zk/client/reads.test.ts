/** Many reads in one packet where the server takes that, one by one where it does not. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { openZkSession } from './session.ts'
import {
  type FakeConnection,
  type FakePacket,
  type FakeServerScript,
  startFakeServer,
  statBytes,
  ustring,
} from './testing-fake-server.ts'
import { startTestZooKeeper, testClock, testLog } from './testing-zookeeper.ts'
import type { ZkRequest, ZkResponse, ZkSession } from './types.ts'

const [DATA, SET_DATA, READS] = [4, 5, 22]

const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function open(connect: string, log = testLog()): Promise<ZkSession> {
  const session = openZkSession({ connect, sessionTimeoutMs: 4000, connectionTimeoutMs: 4000 }, testClock, log)
  cleanups.push(() => session.close())
  await session.start()
  return session
}

async function fake(script: FakeServerScript) {
  const server = await startFakeServer(script)
  cleanups.push(() => server.close())
  return server
}

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const header = (type: number, isEnd: boolean): Buffer => Buffer.concat([int(type), Buffer.from([isEnd ? 1 : 0]), int(-1)])

/** Paths of a packet of reads. */
function pathsOf({ body }: FakePacket): string[] {
  const paths: string[] = []
  for (let at = 0; body.readInt32BE(at) === DATA; ) {
    const length = body.readInt32BE(at + 9)
    paths.push(body.toString('utf8', at + 13, at + 13 + length))
    at += 14 + length
  }
  return paths
}

/** Every node holds its own path. */
function answer(connection: FakeConnection, packet: FakePacket): boolean {
  if (packet.type === DATA)
    connection.reply(
      packet.xid,
      0,
      Buffer.concat([ustring(packet.body.toString('utf8', 4, packet.body.length - 1)), statBytes()]),
    )
  else if (packet.type === SET_DATA) connection.reply(packet.xid, 0, statBytes(1))
  else if (packet.type === READS) {
    const one = (path: string): Buffer => Buffer.concat([header(DATA, false), ustring(path), statBytes()])
    connection.reply(packet.xid, 0, Buffer.concat([...pathsOf(packet).map(one), header(-1, true)]))
  } else return false
  return true
}

/** As a server before 3.6. */
function refuse(connection: FakeConnection, packet: FakePacket): boolean {
  if (packet.type !== READS) return answer(connection, packet)
  connection.reply(packet.xid, -6)
  connection.socket.end()
  return true
}

const read = (i: number): ZkRequest => ({ op: 'getData', path: `/n${i}` })
const reads = (from: number, to: number): ZkRequest[] => Array.from({ length: to - from }, (_, i) => read(from + i))
const set: ZkRequest = { op: 'setData', path: '/s', data: null, version: -1 }
const texts = (responses: readonly ZkResponse[]): (string | undefined)[] =>
  responses.map(({ data, path }) => data?.toString() ?? path)
const kinds = (packets: readonly FakePacket[]): number[] =>
  packets.map(({ type }) => type).filter((type) => type > 0 && type < 30 && type !== 11)

describe('many reads', () => {
  it('leave in packets of fifty, with what is asked between them in its place', async () => {
    const server = await fake({ onPacket: answer })
    const session = await open(server.connect)
    assert.deepEqual(
      texts(await session.requests(reads(0, 31))),
      reads(0, 31).map((one) => 'path' in one && one.path),
      'a few',
    )
    const { packets } = server.connections[0]!
    assert.deepEqual(
      kinds(packets.splice(0)),
      Array.from({ length: 31 }, () => DATA),
    )
    const list = [...reads(0, 120), set, ...reads(120, 123), set, read(123)]
    assert.deepEqual(
      texts(await session.requests(list)),
      list.map((one) => 'path' in one && one.path),
    )
    assert.deepEqual(kinds(packets), [READS, READS, READS, SET_DATA, READS, SET_DATA, DATA])
    assert.deepEqual(
      packets.filter(({ type }) => type === READS).map((packet) => pathsOf(packet).length),
      [50, 50, 20, 3],
    )
  })

  it('one that arms a watch goes alone', async () => {
    const server = await fake({ onPacket: answer })
    const session = await open(server.connect)
    session.watchNode({ path: '/n60', onChange: () => {} })
    await session.requests(reads(0, 110))
    const { packets } = server.connections[0]!
    assert.deepEqual(kinds(packets), [READS, READS, DATA, READS])
    const alone = packets.find(({ type }) => type === DATA)!
    assert.equal(alone.body.at(-1), 1, 'with its watch')
  })

  it('a server that does not know such packets: everything one by one from then on, in order', async () => {
    const server = await fake({ onPacket: refuse })
    const log = testLog()
    const session = await open(server.connect, log)
    const list = [...reads(0, 60), set, ...reads(60, 62)]
    assert.deepEqual(
      texts(await session.requests(list)),
      list.map((one) => 'path' in one && one.path),
    )
    await session.requests(reads(0, 100))
    assert.deepEqual([session.state, session.generation, server.connections.length], ['connected', 1, 2], 'the same session')
    assert.deepEqual(kinds(server.connections[0]!.packets), [READS], 'nothing was sent behind the question')
    const after = kinds(server.connections[1]!.packets)
    assert.deepEqual(after.slice(0, 63), [...Array.from({ length: 60 }, () => DATA), SET_DATA, DATA, DATA])
    assert.equal(after.includes(READS), false)
    assert.equal(log.lines.filter((line) => line.includes('one by one')).length, 1)
  })

  it('a connection that breaks instead of an answer: asked again, every read answered once', async () => {
    const server = await fake({
      onPacket: (connection, packet) => {
        if (packet.type !== READS || connection.index > 0) return answer(connection, packet)
        connection.socket.destroy()
        return true
      },
    })
    const session = await open(server.connect)
    const list = [...reads(0, 100), set]
    assert.deepEqual(
      texts(await session.requests(list)),
      list.map((one) => 'path' in one && one.path),
    )
    assert.deepEqual(kinds(server.connections[1]!.packets), [READS, READS, SET_DATA])
  })

  it('an answer that cannot be decoded is a lost connection', async () => {
    const server = await fake({
      onPacket: (connection, packet) => {
        if (packet.type !== READS || connection.index > 0) return answer(connection, packet)
        connection.reply(packet.xid, 0, header(-1, true))
        return true
      },
    })
    const session = await open(server.connect)
    assert.deepEqual(
      texts(await session.requests(reads(0, 40))),
      reads(0, 40).map((one) => 'path' in one && one.path),
    )
  })

  it('a session that ends meanwhile answers all of them', async () => {
    const server = await fake({ onPacket: (connection, packet) => packet.type === READS || answer(connection, packet) })
    const session = await open(server.connect)
    const asked = session.requests([...reads(0, 100), set])
    await new Promise((resolve) => setTimeout(resolve, 50))
    void session.close()
    assert.deepEqual(new Set((await asked).map(({ code }) => code)), new Set(['sessionExpired']))
  })

  it('a ZooKeeper: nodes, missing ones, and no access, each as if read alone', async () => {
    const zk = await startTestZooKeeper()
    cleanups.push(() => zk.stop())
    const session = await open(zk.connect)
    for (let i = 0; i < 60; i++) {
      if (i % 7 === 0) continue
      const acl = i === 5 ? [{ perms: 8, scheme: 'world', id: 'anyone' }] : undefined
      const made = await session.request({
        op: 'create',
        path: `/n${i}`,
        data: Buffer.from(`d${i}`),
        mode: 'persistent',
        ...(acl && { acl }),
      })
      assert.equal(made.code, 'ok')
    }
    const alone: ZkResponse[] = []
    for (const one of reads(0, 60)) alone.push(await session.request(one))
    assert.deepEqual(new Set(alone.map(({ code }) => code)), new Set(['ok', 'noNode', 'noAuth']))
    assert.deepEqual(await session.requests(reads(0, 60)), alone)
  })
})
