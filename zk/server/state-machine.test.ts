import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WORLD_ALL } from './acl.ts'
import {
  type ConnectResponse,
  Err,
  type LogRecord,
  Op,
  type ReplyBody,
  type ServerOp,
  type ServerStat,
  type ZkPeer,
} from './protocol.ts'
import { type Connection, type SnapshotHeader, ZkStateMachine } from './state-machine.ts'
import type { NodeRow } from './tree.ts'

const TICK = 1000

/** A server whose time stands still until told otherwise, with its log in memory. */
class World {
  now = 0
  alarm = Number.POSITIVE_INFINITY
  readonly records: LogRecord[] = []
  readonly machine: ZkStateMachine

  constructor(earlier?: { header: SnapshotHeader | null; rows: NodeRow[]; records: LogRecord[] }) {
    this.machine = new ZkStateMachine({
      tickTime: TICK,
      minSessionTimeout: 2 * TICK,
      maxSessionTimeout: 20 * TICK,
      clock: { now: () => this.now, wall: () => 1_500_000_000_000 + this.now },
      secret: Buffer.alloc(16, 1),
      firstSessionId: 100,
      journal: (record) => this.records.push(record),
      alarm: (at) => {
        this.alarm = at
      },
    })
    if (earlier !== undefined) this.machine.restore(earlier.header, earlier.rows, earlier.records)
  }

  client(timeoutMs = 5000, session?: { sessionId: number; password: Buffer }): Client {
    return new Client(this.machine, timeoutMs, session)
  }

  /** Lets time pass, ringing the alarm whenever it is due. */
  advance(ms: number): void {
    const end = this.now + ms
    while (this.alarm <= end) {
      this.now = Math.max(this.now, this.alarm)
      this.alarm = Number.POSITIVE_INFINITY
      this.machine.tick()
    }
    this.now = end
  }

  nodes(): string[] {
    const { rows } = this.machine.snapshot()
    const list: string[] = []
    for (let next = rows.next(); next.done !== true; next = rows.next()) list.push(next.value[0])
    return list.filter((path) => !path.startsWith('/zookeeper') && path !== '').sort()
  }
}

class Client implements ZkPeer {
  readonly connection: Connection
  readonly heard: string[] = []
  session: ConnectResponse | null = null
  closed = false
  lastBody: ReplyBody | null = null
  lastErr = Number.NaN
  private readonly machine: ZkStateMachine
  private xid = 0

  constructor(machine: ZkStateMachine, timeoutMs: number, session?: { sessionId: number; password: Buffer }) {
    this.machine = machine
    this.connection = machine.open(this, '127.0.0.1')
    const { sessionId, password } = session ?? { sessionId: 0, password: Buffer.alloc(16) }
    machine.connect(this.connection, { lastZxidSeen: 0, timeoutMs, sessionId, password, hasReadOnlyFlag: false })
  }

  connected(response: ConnectResponse): void {
    this.session = response
  }

  reply(xid: number, _zxid: number, err: number, body: ReplyBody | null): void {
    this.heard.push(`reply ${xid} ${err}`)
    this.lastErr = err
    this.lastBody = body
  }

  event(type: number, path: string): void {
    this.heard.push(`event ${type} ${path}`)
  }

  close(): void {
    this.closed = true
  }

  request(op: ServerOp): number {
    this.machine.request(this.connection, ++this.xid, op)
    return this.lastErr
  }

  create(path: string, flags = 0, type: typeof Op.create | typeof Op.createContainer = Op.create): number {
    return this.request({ type, path, data: Buffer.from(path), acl: WORLD_ALL, flags, ttl: -1 })
  }

  stat(path: string): ServerStat {
    assert.equal(this.request({ type: Op.exists, path, watch: false }), Err.ok)
    assert.ok(this.lastBody?.kind === 'stat')
    return this.lastBody.stat
  }
}

describe('sessions on a virtual clock', () => {
  test('a deadline is the next tick boundary after the timeout, and every request moves it', () => {
    const world = new World()
    world.now = 300
    const client = world.client(5000)
    client.create('/e', 1)
    world.advance(5699) // 5999
    assert.equal(client.closed, false)
    world.advance(1) // 6000, the boundary after 5300
    assert.equal(client.closed, true)
    assert.deepEqual(world.nodes(), [])

    const other = world.client(5000)
    world.advance(4000)
    other.request({ type: Op.ping })
    world.advance(5999)
    assert.equal(other.closed, false)
    world.advance(1)
    assert.equal(other.closed, true)
  })

  test('a timeout that ends exactly on a boundary waits for the one after it', () => {
    const world = new World()
    const client = world.client(5000)
    world.advance(5999)
    assert.equal(client.closed, false)
    world.advance(1)
    assert.equal(client.closed, true)
  })

  test('a session resumed with a shorter timeout expires after the shorter one', () => {
    const world = new World()
    const first = world.client(20_000)
    const second = world.client(2000, first.session!)
    assert.deepEqual([first.closed, second.session?.sessionId], [true, first.session!.sessionId])
    world.advance(3000)
    assert.equal(second.closed, true)
    assert.equal(world.machine.sessions.size, 0)
    assert.equal(world.client(2000, first.session!).session?.sessionId, 0)
  })

  test('a disconnected session lives on until its deadline; requests of a closed connection are ignored', () => {
    const world = new World()
    const client = world.client()
    client.create('/e', 1)
    world.machine.disconnect(client.connection)
    client.create('/ignored')
    assert.deepEqual(world.nodes(), ['/e'])
    world.advance(6000)
    assert.deepEqual(world.nodes(), [])
  })

  test('an expiring session hears of its own ephemeral nodes before it is cut off', () => {
    const world = new World()
    const client = world.client()
    client.create('/e', 1)
    client.request({ type: Op.exists, path: '/e', watch: true })
    world.advance(10_000)
    assert.equal(client.heard.at(-1), 'event 2 /e')
    assert.equal(client.closed, true)
  })

  test('without sessions there is nothing to wake up for', () => {
    const world = new World()
    assert.equal(world.alarm, Number.POSITIVE_INFINITY)
    const client = world.client()
    client.request({ type: Op.closeSession })
    world.advance(20_000)
    assert.equal(world.alarm, Number.POSITIVE_INFINITY)
  })

  test('an empty container goes within a minute, but only after it had children', () => {
    const world = new World()
    const client = world.client(20_000)
    client.create('/used', 4, Op.createContainer)
    client.create('/new', 4, Op.createContainer)
    client.create('/used/child')
    client.request({ type: Op.delete, path: '/used/child', version: -1 })
    for (let i = 0; i < 7; i++) {
      client.request({ type: Op.ping })
      world.advance(10_000)
    }
    assert.deepEqual(world.nodes(), ['/new'])
  })
})

describe('multi', () => {
  test('a refused multi leaves every field of every node as it was', () => {
    const world = new World()
    const client = world.client()
    client.create('/a')
    client.create('/a/b')
    client.create('/e', 1)
    const before = ['/', '/a', '/a/b', '/e'].map((path) => client.stat(path))
    const bytes = world.machine.tree.approximateBytes
    const acl = WORLD_ALL
    client.request({
      type: Op.multi,
      ops: [
        { type: Op.setData, path: '/a/b', data: Buffer.alloc(100), version: 0 },
        { type: Op.delete, path: '/a/b', version: 1 },
        { type: Op.delete, path: '/e', version: -1 },
        { type: Op.create, path: '/a/n-', data: null, acl, flags: 3, ttl: -1 },
        { type: Op.create, path: '/a/b', data: null, acl, flags: 1, ttl: -1 },
        { type: Op.setData, path: '/a', data: null, version: -1 },
        { type: Op.check, path: '/a', version: 9 },
      ],
    })
    assert.ok(client.lastBody?.kind === 'multi')
    assert.deepEqual(
      client.lastBody.results.map((r) => (r.kind === 'error' ? r.err : r.kind)),
      [0, 0, 0, 0, 0, 0, Err.badVersion],
    )
    assert.deepEqual(
      ['/', '/a', '/a/b', '/e'].map((path) => client.stat(path)),
      before,
    )
    assert.equal(world.machine.tree.approximateBytes, bytes)
    client.request({ type: Op.closeSession })
    assert.deepEqual(world.nodes(), ['/a', '/a/b'])
  })
})

describe('restart', () => {
  /** Some life: nodes, sessions, closings, multi, failures. */
  function live(world: World, steps: number): void {
    const clients = [world.client(), world.client(), world.client()]
    for (let i = 0; i < steps; i++) {
      const client = clients[i % 3]!
      client.create(`/n${i % 7}`, i % 5 === 0 ? 1 : 0)
      client.create(`/n${i % 3}/s-`, 2)
      client.request({ type: Op.setData, path: `/n${i % 4}`, data: Buffer.from(`${i}`), version: -1 })
      if (i % 6 === 0) client.request({ type: Op.delete, path: `/n${i % 7}`, version: -1 })
      if (i === steps >> 1) clients[0]!.request({ type: Op.closeSession })
    }
  }

  function everything(machine: ZkStateMachine): unknown {
    const { header, rows } = machine.snapshot()
    const list: NodeRow[] = []
    for (let next = rows.next(); next.done !== true; next = rows.next()) list.push(next.value)
    return { header, list: list.sort((a, b) => (a[0] < b[0] ? -1 : 1)) }
  }

  test('replaying the log gives the same state', () => {
    const world = new World()
    live(world, 60)
    const again = new World({ header: null, rows: [], records: world.records })
    assert.deepEqual(everything(again.machine), everything(world.machine))
  })

  test('a snapshot read slowly, while the tree changes, is the state of its beginning; the log after it gives the end', () => {
    const world = new World()
    live(world, 30)
    const expected = everything(world.machine)
    const { header, rows } = world.machine.snapshot()
    const from = world.records.length
    const taken: NodeRow[] = []
    const client = world.client()
    for (let next = rows.next(), i = 0; next.done !== true; next = rows.next(), i++) {
      taken.push(next.value)
      client.request({ type: Op.setData, path: `/n${i % 7}`, data: null, version: -1 })
      client.create(`/new${i}`)
      client.create(`/n${i % 7}/x`)
      client.request({ type: Op.delete, path: `/new${i - 1}`, version: -1 })
    }
    assert.deepEqual({ header, list: [...taken].sort((a, b) => (a[0] < b[0] ? -1 : 1)) }, expected)
    const again = new World({ header, rows: taken, records: world.records.slice(from) })
    assert.deepEqual(everything(again.machine), everything(world.machine))
  })

  test('sessions come back with a full timeout; new ids and zxids are beyond the old ones', () => {
    const world = new World()
    const client = world.client()
    client.create('/e', 1)
    const again = new World({ header: null, rows: [], records: world.records })
    again.advance(5000)
    assert.deepEqual(again.nodes(), ['/e'])
    const back = again.client(5000, client.session!)
    assert.equal(back.session?.sessionId, client.session!.sessionId)
    assert.ok(again.client().session!.sessionId > client.session!.sessionId)
    back.create('/f')
    assert.ok(back.stat('/f').czxid > world.machine.zxid)
    again.advance(10_000)
    assert.deepEqual(again.nodes(), ['/f'])
  })
})
