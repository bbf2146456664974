import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Acl, ZkClock } from '../client/types.ts'
import { type AuthId, digestId, maskAcl, permits } from './acl.ts'
import { applyMulti } from './multi.ts'
import {
  type AuthOp,
  CONTAINER_OWNER,
  type ConnectRequest,
  Err,
  type EventType,
  type LogRecord,
  type MultiReadOp,
  type MultiResult,
  Op,
  Perm,
  type ReplyBody,
  type ServerOp,
  type Txn,
  type WatcherOp,
  type WatchingReadOp,
  type WriteOp,
  type ZkPeer,
} from './protocol.ts'
import { judge } from './rules.ts'
import { type Session, SessionTable } from './sessions.ts'
import { type Effect, type NodeRow, type RowIterator, Tree, type ZNode } from './tree.ts'
import { type Watcher, Watches } from './watches.ts'

export interface StateMachineOptions {
  /** Session deadlines are rounded up to multiples of it, in ms. */
  readonly tickTime: number
  readonly minSessionTimeout: number
  readonly maxSessionTimeout: number
  readonly clock: Pick<ZkClock, 'now' | 'wall'>
  /** At least 16 bytes; session passwords are derived from it. Must be the same after a restart, or sessions cannot be resumed. */
  readonly secret: Buffer
  /** First session id to give out; below 2^53, beyond every id of this server's earlier lives. */
  readonly firstSessionId: number
  /** Takes each write, in order. Nothing said to a peer after it may leave the house before the record is durable. */
  readonly journal: (record: LogRecord) => void
  /** Asks for {@link ZkStateMachine.tick} at this time of `clock.now()`; a later call replaces an earlier one. */
  readonly alarm: (at: number) => void
  /** Test canary, see {@link Tree}. */
  readonly naiveCversion?: boolean
}

/** Everything that must survive a restart besides the nodes. */
export interface SnapshotHeader {
  readonly zxid: number
  readonly nextSessionId: number
  readonly sessions: readonly (readonly [id: number, timeoutMs: number])[]
}

/** How often empty containers are looked for, as the genuine server's `znode.container.checkIntervalMs`. */
const CONTAINER_CHECK_MS = 60_000

/** One connection of a client, from accept to close. */
export class Connection implements Watcher {
  readonly peer: ZkPeer
  readonly address: string
  readonly ids: AuthId[]
  session: Session<Connection> | null = null
  open = true

  constructor(peer: ZkPeer, address: string) {
    this.peer = peer
    this.address = address
    this.ids = [{ scheme: 'ip', id: address }]
  }

  fire(type: EventType, path: string, acl: readonly Acl[] | null): void {
    if (acl === null || permits(acl, Perm.read, this.ids)) this.peer.event(type, path)
  }
}

/**
 * The whole of a ZooKeeper server except its sockets, files and timers: requests of connections go in, replies, events and log records
 * come out, synchronously and in order. Deterministic: time comes from the clock, nothing else from outside.
 */
export class ZkStateMachine {
  readonly tree: Tree
  readonly watches = new Watches<Connection>()
  readonly sessions: SessionTable<Connection>
  private readonly options: StateMachineOptions
  private lastZxid = 0
  private nextSessionId: number
  private alarmAt = Number.POSITIVE_INFINITY
  private containerCheckAt: number | null = null

  constructor(options: StateMachineOptions) {
    this.options = options
    this.tree = new Tree({ naiveCversion: options.naiveCversion === true })
    this.sessions = new SessionTable(options.tickTime)
    this.nextSessionId = options.firstSessionId
  }

  get zxid(): number {
    return this.lastZxid
  }

  // ------------------------------------------------------------------------------------------------------------------- connections

  open(peer: ZkPeer, address: string): Connection {
    return new Connection(peer, address)
  }

  /** The connection is gone: its watches go, its session stays. Harmless when repeated. */
  disconnect(connection: Connection): void {
    if (!connection.open) return
    connection.open = false
    this.watches.drop(connection)
    if (connection.session?.connection === connection) connection.session.connection = null
  }

  private close(connection: Connection): void {
    if (!connection.open) return
    this.disconnect(connection)
    connection.peer.close()
  }

  /** The first message of a connection: opens a session or resumes one. */
  connect(connection: Connection, request: ConnectRequest): void {
    // a client that saw a later state than ours must find a better server
    if (request.lastZxidSeen > this.lastZxid) {
      this.close(connection)
      return
    }
    const { minSessionTimeout, maxSessionTimeout, clock } = this.options
    const timeoutMs = Math.min(Math.max(request.timeoutMs, minSessionTimeout), maxSessionTimeout)
    if (request.sessionId === 0) {
      const id = this.nextSessionId
      this.write({ type: 'createSession', sessionId: id, timeoutMs })
      this.attach(connection, this.sessions.get(id)!, request)
      return
    }
    const session = this.sessions.get(request.sessionId)
    // as the genuine server: the older connection goes even when the password turns out to be wrong
    if (session?.connection) this.close(session.connection)
    if (session === undefined || !samePassword(request.password, this.passwordOf(session.id))) {
      connection.peer.connected({
        timeoutMs: 0,
        sessionId: 0,
        password: Buffer.alloc(16),
        hasReadOnlyFlag: request.hasReadOnlyFlag,
      })
      this.close(connection)
      return
    }
    this.sessions.setTimeout(session, timeoutMs, clock.now())
    this.attach(connection, session, request)
  }

  private attach(connection: Connection, session: Session<Connection>, request: ConnectRequest): void {
    connection.session = session
    session.connection = connection
    this.setAlarm()
    const { id, timeoutMs } = session
    connection.peer.connected({
      timeoutMs,
      sessionId: id,
      password: this.passwordOf(id),
      hasReadOnlyFlag: request.hasReadOnlyFlag,
    })
  }

  private passwordOf(sessionId: number): Buffer {
    return createHmac('sha256', this.options.secret).update(String(sessionId)).digest().subarray(0, 16)
  }

  // ---------------------------------------------------------------------------------------------------------------------- requests

  /** Any later message of a connection. Ignored once the connection was closed. */
  request(connection: Connection, xid: number, op: ServerOp): void {
    const { session } = connection
    if (!connection.open || session === null) return
    this.sessions.touch(session, this.options.clock.now())
    switch (op.type) {
      case Op.create:
      case Op.create2:
      case Op.createContainer:
      case Op.createTtl:
      case Op.delete:
      case Op.setData:
      case Op.setAcl:
      case Op.check:
        this.writeOp(connection, xid, op)
        return
      case Op.multi:
        this.multi(connection, xid, op.ops)
        return
      case Op.closeSession:
        this.closeSession(session)
        connection.peer.reply(xid, this.lastZxid, Err.ok, null)
        this.close(connection)
        return
      case Op.auth:
        this.auth(connection, xid, op)
        return
      case 'malformed':
        if (op.write) this.write({ type: 'error' })
        connection.peer.reply(xid, this.lastZxid, Err.marshalling, null)
        return
      case Op.reconfig:
        this.write({ type: 'error' })
        connection.peer.reply(xid, this.lastZxid, Err.reconfigDisabled, null)
        return
      case 'unknown':
        connection.peer.reply(xid, -1, Err.unimplemented, null)
        this.close(connection)
        return
      case Op.ping:
        connection.peer.reply(-2, this.lastZxid, Err.ok, null)
        return
      default: {
        const answer = this.read(connection, op)
        if (typeof answer === 'number') connection.peer.reply(xid, this.lastZxid, answer, null)
        else connection.peer.reply(xid, this.lastZxid, Err.ok, answer)
      }
    }
  }

  private writeOp(connection: Connection, xid: number, op: WriteOp): void {
    const verdict = judge(op, this.tree, callerOf(connection))
    if (typeof verdict === 'number') {
      this.write({ type: 'error' })
      connection.peer.reply(xid, this.lastZxid, verdict, null)
      return
    }
    // a check outside a multi changes nothing and yet takes a zxid
    this.write(verdict ?? { type: 'error' })
    if (verdict?.type === 'create' && verdict.owner === CONTAINER_OWNER) this.setAlarm()
    connection.peer.reply(xid, this.lastZxid, Err.ok, verdict === null ? null : this.bodyOf(op, verdict.path))
  }

  private bodyOf(op: WriteOp, path: string): ReplyBody | null {
    if (op.type === Op.delete) return null
    if (op.type === Op.create) return { kind: 'path', path }
    const stat = this.tree.statOf(this.tree.get(path)!)
    return op.type === Op.setData || op.type === Op.setAcl ? { kind: 'stat', stat } : { kind: 'pathStat', path, stat }
  }

  private multi(connection: Connection, xid: number, ops: Parameters<typeof applyMulti>[0]): void {
    const [zxid, time] = [this.lastZxid + 1, this.options.clock.wall()]
    const outcome = applyMulti(ops, this.tree, callerOf(connection), zxid, time)
    this.lastZxid = zxid
    const txn: Txn = outcome.txns.length === 0 ? { type: 'error' } : { type: 'multi', txns: outcome.txns }
    this.options.journal({ zxid, time, txn })
    for (const effect of outcome.effects) this.watches.fire(effect)
    if (this.tree.containers.size > 0) this.setAlarm()
    connection.peer.reply(xid, zxid, Err.ok, { kind: 'multi', results: outcome.results })
  }

  private auth(connection: Connection, xid: number, op: AuthOp): void {
    const { ids, peer } = connection
    if (op.scheme === 'digest') {
      const id = digestId(op.auth)
      if (!ids.some((known) => known.scheme === 'digest' && known.id === id)) ids.push({ scheme: 'digest', id })
    } else if (op.scheme !== 'ip') {
      peer.reply(xid, 0, Err.authFailed, null)
      this.close(connection)
      return
    }
    peer.reply(xid, 0, Err.ok, null)
  }

  // ------------------------------------------------------------------------------------------------------------------------- reads

  private read(
    connection: Connection,
    op: Exclude<ServerOp, WriteOp | { type: 'malformed' | 'unknown' }>,
  ): ReplyBody | null | number {
    switch (op.type) {
      case Op.exists:
        return this.exists(connection, op)
      case Op.getData: {
        const node = this.readable(connection, op.path, Perm.read)
        if (typeof node === 'number') return node
        if (op.watch) this.watches.data.add(op.path, connection, 'once')
        return { kind: 'dataStat', data: node.data, stat: this.tree.statOf(node) }
      }
      case Op.getChildren:
      case Op.getChildren2: {
        const node = this.readable(connection, op.path, Perm.read)
        if (typeof node === 'number') return node
        if (op.watch) this.watches.child.add(op.path, connection, 'once')
        return { kind: 'children', children: childrenOf(node), stat: op.type === Op.getChildren ? null : this.tree.statOf(node) }
      }
      case Op.getAllChildrenNumber: {
        const node = this.readable(connection, op.path, Perm.read)
        return typeof node === 'number' ? node : { kind: 'int', value: this.tree.countBelow(op.path) }
      }
      case Op.getAcl: {
        const node = this.readable(connection, op.path, Perm.read | Perm.admin)
        if (typeof node === 'number') return node
        const acl = permits(node.acl, Perm.admin, connection.ids) ? node.acl : maskAcl(node.acl)
        return { kind: 'aclStat', acl, stat: this.tree.statOf(node) }
      }
      case Op.sync:
        return { kind: 'path', path: op.path }
      case Op.multiRead:
        return { kind: 'multi', results: op.ops.map((one) => this.readInMulti(connection, one)) }
      case Op.getEphemerals: {
        const all = [...this.tree.ephemeralsOf(connection.session!.id)]
        const prefix = javaTrim(op.path)
        const everything = prefix === '' || prefix === '/'
        return { kind: 'children', children: everything ? all : all.filter((path) => path.startsWith(op.path)), stat: null }
      }
      case Op.whoAmI:
        return { kind: 'clients', clients: connection.ids.map(({ scheme, id }) => ({ scheme, user: userOf(scheme, id) })) }
      case Op.setWatches:
      case Op.setWatches2:
        this.watches.rearm(op, this.tree, connection)
        return null
      case Op.addWatch:
        this.watches.addPersistent(op.path, connection, op.mode === 1)
        return { kind: 'int', value: 0 }
      case Op.checkWatches:
      case Op.removeWatches:
        return this.watcherOp(connection, op)
      default:
        throw new Error(`operation ${op.type} is not a read`)
    }
  }

  /** As in the 3.8 server `exists` needs no READ, and a missing node is watched all the same. */
  private exists(connection: Connection, op: WatchingReadOp): ReplyBody | number {
    if (op.path.includes('\0')) return Err.badArguments
    if (op.watch) this.watches.data.add(op.path, connection, 'once')
    const node = this.tree.get(op.path)
    return node === undefined ? Err.noNode : { kind: 'stat', stat: this.tree.statOf(node) }
  }

  private readable(connection: Connection, path: string, perms: number): ZNode | number {
    const node = this.tree.get(path)
    if (node === undefined) return Err.noNode
    return permits(node.acl, perms, connection.ids) ? node : Err.noAuth
  }

  private readInMulti(connection: Connection, op: MultiReadOp['ops'][number]): MultiResult {
    const node = this.readable(connection, op.path, Perm.read)
    if (typeof node === 'number') return { kind: 'error', err: node }
    if (op.type === Op.getData) return { kind: 'getData', data: node.data, stat: this.tree.statOf(node) }
    return { kind: 'getChildren', children: childrenOf(node) }
  }

  private watcherOp(connection: Connection, op: WatcherOp): null | number {
    const { data, child } = this.watches
    const tables = op.watcherType === 1 ? [child] : op.watcherType === 2 ? [data] : [child, data]
    let found = false
    for (const table of tables) {
      const hit = op.type === Op.removeWatches ? table.remove(op.path, connection) : table.has(op.path)
      found = hit || found
    }
    return found ? null : Err.noWatcher
  }

  // ------------------------------------------------------------------------------------------------------------------------ writes

  /** Journals and applies one write under the next zxid, and tells its watchers. */
  private write(txn: Txn): void {
    const record: LogRecord = { zxid: this.lastZxid + 1, time: this.options.clock.wall(), txn }
    this.options.journal(record)
    for (const effect of this.apply(record)) this.watches.fire(effect)
  }

  private closeSession(session: Session<Connection>): void {
    this.write({ type: 'closeSession', sessionId: session.id })
  }

  private apply({ zxid, time, txn }: LogRecord): readonly Effect[] {
    this.lastZxid = zxid
    switch (txn.type) {
      case 'error':
        return []
      case 'createSession':
        this.sessions.add(txn.sessionId, txn.timeoutMs, this.options.clock.now())
        this.nextSessionId = Math.max(this.nextSessionId, txn.sessionId + 1)
        return []
      case 'closeSession': {
        const session = this.sessions.get(txn.sessionId)
        if (session !== undefined) this.sessions.remove(session)
        const paths = [...this.tree.ephemeralsOf(txn.sessionId)]
        return paths.map((path) => this.tree.apply({ type: 'delete', path }, zxid, time)!)
      }
      case 'multi':
        return txn.txns.flatMap((inner) => this.apply({ zxid, time, txn: inner }))
      default: {
        const effect = this.tree.apply(txn, zxid, time)
        return effect === null ? [] : [effect]
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------------- time

  /** Expires what is due. To be called when the alarm rings; calling it more often does no harm. */
  tick(): void {
    const now = this.options.clock.now()
    for (const session of this.sessions.due(now)) {
      const { connection } = session
      this.closeSession(session)
      if (connection !== null) this.close(connection)
    }
    if (this.containerCheckAt !== null && this.containerCheckAt <= now) {
      this.containerCheckAt = null
      this.deleteEmptyContainers()
    }
    this.alarmAt = Number.POSITIVE_INFINITY
    this.setAlarm()
  }

  /** A container that once had children and has none left is removed. */
  private deleteEmptyContainers(): void {
    for (const path of [...this.tree.containers]) {
      const node = this.tree.get(path)!
      if (node.creates > 0 && node.children?.size === 0) this.write({ type: 'delete', path })
    }
  }

  private setAlarm(): void {
    if (this.tree.containers.size > 0) this.containerCheckAt ??= this.options.clock.now() + CONTAINER_CHECK_MS
    const at = Math.min(this.sessions.nextCheck() ?? Number.POSITIVE_INFINITY, this.containerCheckAt ?? Number.POSITIVE_INFINITY)
    if (at >= this.alarmAt) return
    this.alarmAt = at
    this.options.alarm(at)
  }

  // ---------------------------------------------------------------------------------------------------------------- restart, backup

  /** The state of this moment; see {@link Tree.snapshotRows} for the iterator's rules. */
  snapshot(): { header: SnapshotHeader; rows: RowIterator } {
    const sessions = Array.from(this.sessions.values(), (s) => [s.id, s.timeoutMs] as const)
    return { header: { zxid: this.lastZxid, nextSessionId: this.nextSessionId, sessions }, rows: this.tree.snapshotRows() }
  }

  /**
   * Rebuilds the state of an earlier life. Sessions and their ephemeral nodes come back; their clocks start anew. Records up to the
   * snapshot's zxid are skipped.
   */
  restore(header: SnapshotHeader | null, rows: Iterable<NodeRow>, records: Iterable<LogRecord>): void {
    const now = this.options.clock.now()
    if (header !== null) {
      this.tree.restore(rows)
      this.lastZxid = header.zxid
      this.nextSessionId = Math.max(this.nextSessionId, header.nextSessionId)
      for (const [id, timeoutMs] of header.sessions) this.sessions.add(id, timeoutMs, now)
    }
    for (const record of records) if (record.zxid > this.lastZxid) this.apply(record)
    this.setAlarm()
  }
}

function callerOf(connection: Connection): { sessionId: number; ids: readonly AuthId[] } {
  return { sessionId: connection.session!.id, ids: connection.ids }
}

function childrenOf(node: ZNode): string[] {
  return node.children === null ? [] : [...node.children]
}

/** Java's trim takes every control character for a blank. */
function javaTrim(text: string): string {
  let [start, end] = [0, text.length]
  while (start < end && text.charCodeAt(start) <= 32) start++
  while (end > start && text.charCodeAt(end - 1) <= 32) end--
  return text.slice(start, end)
}

function userOf(scheme: string, id: string): string {
  return scheme === 'digest' ? id.slice(0, id.indexOf(':')) : id
}

function samePassword(given: Buffer, expected: Buffer): boolean {
  return given.length === expected.length && timingSafeEqual(given, expected)
}
