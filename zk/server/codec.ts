import type { Acl } from '../client/types.ts'
import {
  type ConnectRequest,
  type ConnectResponse,
  type CreateOp,
  MAX_BUFFER,
  type MultiOp,
  type MultiReadOp,
  type MultiResult,
  Op,
  type ReplyBody,
  type ServerOp,
  type ServerStat,
} from './protocol.ts'

/** Thrown by {@link JuteReader} for bytes that cannot be what they should be; never leaves this file. */
class Malformed extends Error {}

/** Cursor over jute-encoded bytes: everything big-endian, -1 as the length of a null. */
export class JuteReader {
  private at: number
  private readonly buffer: Buffer
  private readonly end: number

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer
    this.at = start
    this.end = end
  }

  get remaining(): number {
    return this.end - this.at
  }

  int(): number {
    const at = this.advance(4)
    return this.buffer.readInt32BE(at)
  }

  /** 64 bits as a double; exact below 2^53, and monotonic beyond. */
  long(): number {
    const at = this.advance(8)
    return this.buffer.readInt32BE(at) * 4294967296 + this.buffer.readUInt32BE(at + 4)
  }

  bool(): boolean {
    return this.buffer[this.advance(1)] !== 0
  }

  /** A copy: what is stored must not keep the receive buffer alive, nor change with it. */
  bytes(): Buffer | null {
    const length = this.length()
    if (length === -1) return null
    const at = this.advance(length)
    const copy = Buffer.allocUnsafeSlow(length)
    this.buffer.copy(copy, 0, at, at + length)
    return copy
  }

  nullableString(): string | null {
    const length = this.length()
    if (length === -1) return null
    const at = this.advance(length)
    return this.buffer.toString('utf8', at, at + length)
  }

  string(): string {
    const text = this.nullableString()
    if (text === null) throw new Malformed()
    return text
  }

  strings(): string[] {
    const count = this.count()
    const list: string[] = []
    for (let i = 0; i < count; i++) list.push(this.string())
    return list
  }

  /** A null vector reads as an empty one: both are an invalid ACL. */
  acls(): Acl[] {
    const count = this.int()
    const list: Acl[] = []
    for (let i = 0; i < count; i++) list.push({ perms: this.int(), scheme: this.string(), id: this.string() })
    return list
  }

  private count(): number {
    const count = this.int()
    if (count < 0) throw new Malformed()
    return count
  }

  private length(): number {
    const length = this.int()
    if (length < -1 || length > MAX_BUFFER) throw new Malformed()
    return length
  }

  private advance(bytes: number): number {
    const at = this.at
    if (at + bytes > this.end) throw new Malformed()
    this.at = at + bytes
    return at
  }
}

/** `null`: not a ConnectRequest. */
export function decodeConnect(frame: Buffer, start: number, end: number): ConnectRequest | null {
  const reader = new JuteReader(frame, start, end)
  try {
    reader.int()
    const lastZxidSeen = reader.long()
    const timeoutMs = reader.int()
    const sessionId = reader.long()
    const password = reader.bytes() ?? Buffer.alloc(0)
    return { lastZxidSeen, timeoutMs, sessionId, password, hasReadOnlyFlag: reader.remaining > 0 }
  } catch (error) {
    if (error instanceof Malformed) return null
    throw error
  }
}

/** `null`: not even a request header, or an auth packet that cannot be read; the genuine server drops such a connection. */
export function decodeRequest(frame: Buffer, start: number, end: number): { xid: number; op: ServerOp } | null {
  if (end - start < 8) return null
  const reader = new JuteReader(frame, start, end)
  const xid = reader.int()
  const type = reader.int()
  try {
    return { xid, op: decodeOp(type, reader) }
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return type === Op.auth ? null : { xid, op: { type: 'malformed', write: isWrite(type) } }
  }
}

function isWrite(type: number): boolean {
  return (
    type === Op.create ||
    type === Op.create2 ||
    type === Op.createContainer ||
    type === Op.createTtl ||
    type === Op.delete ||
    type === Op.setData ||
    type === Op.setAcl ||
    type === Op.check ||
    type === Op.multi
  )
}

function decodeOp(type: number, r: JuteReader): ServerOp {
  switch (type) {
    case Op.create:
    case Op.create2:
    case Op.createContainer:
    case Op.createTtl:
    case Op.delete:
    case Op.setData:
    case Op.check:
      return decodeMultiOp(type, r)
    case Op.setAcl:
      return { type, path: r.nullableString() ?? '', acl: r.acls(), version: r.int() }
    case Op.exists:
    case Op.getData:
    case Op.getChildren:
    case Op.getChildren2:
      return { type, path: r.string(), watch: r.bool() }
    case Op.getAcl:
    case Op.getAllChildrenNumber:
      return { type, path: r.string() }
    case Op.getEphemerals:
      return { type, path: r.nullableString() ?? '' }
    case Op.sync:
      return { type, path: r.nullableString() }
    case Op.multi:
      return { type, ops: decodeMulti(r) }
    case Op.multiRead:
      return { type, ops: decodeMultiRead(r) }
    case Op.auth:
      r.int()
      return { type, scheme: r.nullableString() ?? '', auth: r.bytes() ?? Buffer.alloc(0) }
    default:
      return decodeWatchOp(type, r)
  }
}

function decodeWatchOp(type: number, r: JuteReader): ServerOp {
  switch (type) {
    case Op.setWatches:
    case Op.setWatches2: {
      const relativeZxid = r.long()
      const [data, exist, child] = [r.strings(), r.strings(), r.strings()]
      const both = type === Op.setWatches2
      return { type, relativeZxid, data, exist, child, persistent: both ? r.strings() : [], recursive: both ? r.strings() : [] }
    }
    case Op.addWatch: {
      const op = { type, path: r.string(), mode: r.int() }
      if (op.mode !== 0 && op.mode !== 1) throw new Malformed()
      return op
    }
    case Op.checkWatches:
    case Op.removeWatches: {
      const op = { type, path: r.string(), watcherType: r.int() }
      if (op.watcherType < 1 || op.watcherType > 3) throw new Malformed()
      return op
    }
    case Op.ping:
    case Op.whoAmI:
    case Op.closeSession:
    case Op.reconfig:
      return { type }
    default:
      return { type: 'unknown', code: type }
  }
}

function decodeMultiOp(type: MultiOp['type'], r: JuteReader): MultiOp {
  switch (type) {
    case Op.delete:
      return { type, path: r.string(), version: r.int() }
    case Op.setData:
      return { type, path: r.nullableString() ?? '', data: r.bytes(), version: r.int() }
    case Op.check:
      return { type, path: r.nullableString() ?? '', version: r.int() }
    default: {
      const op = { type, path: r.string(), data: r.bytes(), acl: r.acls(), flags: r.int() }
      return { ...op, ttl: type === Op.createTtl ? r.long() : -1 }
    }
  }
}

/** Inside a multi the genuine server takes the kind of a create from its flags, not from its op code. */
function createInMulti(op: CreateOp): CreateOp {
  if (op.flags === 5 || op.flags === 6) {
    if (op.type === Op.createTtl) return op
    throw new Malformed()
  }
  return { ...op, type: op.flags === 4 ? Op.createContainer : Op.create, ttl: -1 }
}

function decodeMulti(r: JuteReader): MultiOp[] {
  const ops: MultiOp[] = []
  for (;;) {
    const type = r.int()
    const done = r.bool()
    r.int()
    if (done) return ops
    switch (type) {
      case Op.create:
      case Op.create2:
      case Op.createContainer:
      case Op.createTtl: {
        const op = decodeMultiOp(type, r) as CreateOp
        ops.push(createInMulti(op))
        break
      }
      case Op.delete:
      case Op.setData:
      case Op.check:
        ops.push(decodeMultiOp(type, r))
        break
      default:
        throw new Malformed()
    }
  }
}

function decodeMultiRead(r: JuteReader): MultiReadOp['ops'] {
  const ops: MultiReadOp['ops'][number][] = []
  for (;;) {
    const type = r.int()
    const done = r.bool()
    r.int()
    if (done) return ops
    if (type !== Op.getData && type !== Op.getChildren) throw new Malformed()
    ops.push({ type, path: r.string() })
    r.bool()
  }
}

/** Growing buffer of encoded frames, taken as one piece per write. */
export class JuteWriter {
  private buffer = Buffer.allocUnsafeSlow(512)
  private at = 0

  get length(): number {
    return this.at
  }

  /** Everything written so far, as an own buffer; the writer starts again. */
  take(): Buffer {
    const taken = Buffer.allocUnsafe(this.at)
    this.buffer.copy(taken, 0, 0, this.at)
    this.at = 0
    if (this.buffer.length > 65536) this.buffer = Buffer.allocUnsafeSlow(512)
    return taken
  }

  /** Leaves room for a frame's length and answers its position for {@link endFrame}. */
  beginFrame(): number {
    this.reserve(4)
    this.at += 4
    return this.at
  }

  endFrame(start: number): void {
    this.buffer.writeInt32BE(this.at - start, start - 4)
  }

  int(value: number): this {
    this.reserve(4)
    this.at = this.buffer.writeInt32BE(value, this.at)
    return this
  }

  long(value: number): this {
    this.reserve(8)
    this.buffer.writeInt32BE(Math.floor(value / 4294967296), this.at)
    this.at = this.buffer.writeUInt32BE(value >>> 0, this.at + 4)
    return this
  }

  bool(value: boolean): this {
    this.reserve(1)
    this.buffer[this.at++] = value ? 1 : 0
    return this
  }

  bytes(value: Buffer | null): this {
    if (value === null) return this.int(-1)
    this.int(value.length).reserve(value.length)
    value.copy(this.buffer, this.at)
    this.at += value.length
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.int(-1)
    if (/[\ud800-\udfff]/.test(value)) return this.bytes(javaUtf8(value))
    this.reserve(4 + value.length * 3)
    const length = this.buffer.write(value, this.at + 4, 'utf8')
    this.buffer.writeInt32BE(length, this.at)
    this.at += 4 + length
    return this
  }

  strings(values: readonly string[]): this {
    this.int(values.length)
    for (const value of values) this.string(value)
    return this
  }

  stat(s: ServerStat): this {
    this.long(s.czxid).long(s.mzxid).long(s.ctime).long(s.mtime)
    this.int(s.version).int(s.cversion).int(s.aversion).long(s.ephemeralOwner)
    return this.int(s.dataLength).int(s.numChildren).long(s.pzxid)
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.at + bytes))
    this.buffer.copy(grown, 0, 0, this.at)
    this.buffer = grown
  }
}

/** Java writes a supplementary character as its two surrogates, three bytes each. */
function javaUtf8(text: string): Buffer {
  const parts: Buffer[] = []
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c >= 0xd800 && c <= 0xdfff) parts.push(Buffer.from([0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63)]))
    else parts.push(Buffer.from(text[i]!))
  }
  return Buffer.concat(parts)
}

export function encodeConnectResponse(w: JuteWriter, response: ConnectResponse): void {
  const frame = w.beginFrame()
  w.int(0).int(response.timeoutMs).long(response.sessionId).bytes(response.password)
  if (response.hasReadOnlyFlag) w.bool(false)
  w.endFrame(frame)
}

/** A WatcherEvent under xid -1; state 3 is SyncConnected. */
export function encodeEvent(w: JuteWriter, type: number, path: string): void {
  const frame = w.beginFrame()
  w.int(-1).long(-1).int(0).int(type).int(3).string(path)
  w.endFrame(frame)
}

export function encodeReply(w: JuteWriter, xid: number, zxid: number, err: number, body: ReplyBody | null): void {
  const frame = w.beginFrame()
  w.int(xid).long(zxid).int(err)
  if (body !== null) encodeBody(w, body)
  w.endFrame(frame)
}

function encodeBody(w: JuteWriter, body: ReplyBody): void {
  switch (body.kind) {
    case 'path':
      w.string(body.path)
      return
    case 'pathStat':
      w.string(body.path).stat(body.stat)
      return
    case 'stat':
      w.stat(body.stat)
      return
    case 'dataStat':
      w.bytes(body.data).stat(body.stat)
      return
    case 'aclStat':
      w.int(body.acl.length)
      for (const acl of body.acl) w.int(acl.perms).string(acl.scheme).string(acl.id)
      w.stat(body.stat)
      return
    case 'children':
      w.strings(body.children)
      if (body.stat !== null) w.stat(body.stat)
      return
    case 'int':
      w.int(body.value)
      return
    case 'clients':
      w.int(body.clients.length)
      for (const client of body.clients) w.string(client.scheme).string(client.user)
      return
    case 'multi':
      for (const result of body.results) encodeMultiResult(w, result)
      multiHeader(w, -1, true, -1)
  }
}

function multiHeader(w: JuteWriter, type: number, done: boolean, err: number): void {
  w.int(type).bool(done).int(err)
}

function encodeMultiResult(w: JuteWriter, result: MultiResult): void {
  if (result.kind === 'error') {
    multiHeader(w, -1, false, result.err)
    w.int(result.err)
    return
  }
  multiHeader(w, Op[result.kind], false, 0)
  switch (result.kind) {
    case 'create':
      w.string(result.path)
      return
    case 'create2':
      w.string(result.path).stat(result.stat)
      return
    case 'setData':
      w.stat(result.stat)
      return
    case 'getData':
      w.bytes(result.data).stat(result.stat)
      return
    case 'getChildren':
      w.strings(result.children)
      return
    default:
  }
}
