import { codeOf, refusal } from './codec.ts'
import { type JuteRequest, jute } from './package.ts'
import { type Acl, type CreateMode, OPEN_ACL, type Stat, type ZkRequest, type ZkResponse, type ZkWriteOp } from './types.ts'

/**
 * Requests and replies on the wire. The package builds a record object of every field's description for each of them, which for a
 * thousand partition states is most of what a takeover takes; here they are written and read straight.
 */

const OP = jute.OP_CODES
const OPCODES: Readonly<Record<ZkRequest['op'] | 'check', number>> = {
  create: OP['CREATE']!,
  delete: OP['DELETE']!,
  setData: OP['SET_DATA']!,
  exists: OP['EXISTS']!,
  getData: OP['GET_DATA']!,
  getChildren: OP['GET_CHILDREN2']!,
  getAcl: OP['GET_ACL']!,
  setAcl: OP['SET_ACL']!,
  multi: OP['MULTI']!,
  check: OP['CHECK']!,
}
const ERROR = OP['ERROR']!
/** Since 3.6; the package has not heard of it. */
const MULTI_READ = 22

const MODES: Readonly<Record<CreateMode, number>> = {
  persistent: 0,
  ephemeral: 1,
  persistentSequential: 2,
  ephemeralSequential: 3,
}

/** Length prefix, number of the request, zxid, error. */
const REPLY_HEADER_BYTES = 20

/** A packet that the package numbers and sends, and otherwise leaves alone. */
export class WirePacket implements JuteRequest {
  readonly header: { xid: number; readonly type: number }
  readonly payload = null
  readonly #packet: Buffer

  constructor(type: number, packet: Buffer) {
    this.header = { xid: 0, type }
    this.#packet = packet
  }

  /** Of the packet, without its length prefix. */
  get byteLength(): number {
    return this.#packet.length - 4
  }

  toBuffer(): Buffer {
    this.#packet.writeInt32BE(this.header.xid, 4)
    return this.#packet
  }
}

export class WireRequest extends WirePacket {
  readonly #request: ZkRequest
  readonly #chroot: string

  constructor(request: ZkRequest, watch: boolean, chroot: string) {
    const type = OPCODES[request.op]
    super(type, encode(request, type, watch, chroot))
    this.#request = request
    this.#chroot = chroot
  }

  /** `frame`: the whole reply, length prefix included. Throws when it is not what such a request is answered with. */
  decode(frame: Buffer): ZkResponse {
    const request = this.#request
    const path = request.op === 'multi' ? (request.ops[0]?.path ?? '/') : request.path
    const error = frame.readInt32BE(REPLY_HEADER_BYTES - 4)
    if (error !== 0) return refusal(path, error)
    const reply = new Reply(frame, this.#chroot)
    if (request.op !== 'multi') return answerOf(request.op, path, reply)
    const results = multiResults(request.ops, reply)
    const failed = results.find(({ rawCode }) => rawCode !== 0 && rawCode !== -2) ?? results.find(({ rawCode }) => rawCode !== 0)
    const rawCode = failed?.rawCode ?? 0
    return { code: codeOf(rawCode), rawCode, path, results }
  }
}

/** Many `getData` without watches in one packet (a server's `multiRead`): each has its own answer. */
export class WireReads extends WirePacket {
  readonly #paths: readonly string[]
  readonly #chroot: string

  constructor(paths: readonly string[], chroot: string) {
    const packet = packetInMaking.begin(chroot)
    packet.int(0)
    packet.int(MULTI_READ)
    for (const path of paths) {
      packet.multiHeader(OPCODES.getData, false)
      packet.path(path)
      packet.flag(false)
    }
    packet.multiHeader(-1, true)
    super(MULTI_READ, packet.end())
    this.#paths = paths
    this.#chroot = chroot
  }

  /** `frame`: the whole reply, which has no error in its header. Throws when it does not answer every path. */
  decode(frame: Buffer): ZkResponse[] {
    const reply = new Reply(frame, this.#chroot)
    const answers: ZkResponse[] = []
    for (;;) {
      const type = reply.int()
      const isEnd = reply.flag()
      reply.int()
      if (isEnd) break
      const path = this.#paths[answers.length]
      if (path === undefined || (type !== ERROR && type !== OPCODES.getData)) throw new Error(`reads answered with type ${type}`)
      answers.push(type === ERROR ? refusal(path, reply.int()) : answerOf('getData', path, reply))
    }
    if (answers.length !== this.#paths.length) throw new Error(`${answers.length} answers to ${this.#paths.length} reads`)
    return answers
  }
}

function answerOf(op: Exclude<ZkRequest['op'], 'multi'> | 'check', path: string, reply: Reply): ZkResponse {
  switch (op) {
    case 'create':
      return { code: 'ok', rawCode: 0, path: reply.path() }
    case 'delete':
    case 'check':
      return { code: 'ok', rawCode: 0, path }
    case 'getData':
      return { code: 'ok', rawCode: 0, path, data: reply.bytes(), stat: reply.stat() }
    case 'getChildren':
      return { code: 'ok', rawCode: 0, path, children: reply.list(() => reply.text()), stat: reply.stat() }
    case 'getAcl':
      return { code: 'ok', rawCode: 0, path, acl: reply.list(() => reply.acl()), stat: reply.stat() }
    case 'setData':
    case 'exists':
    case 'setAcl':
      return { code: 'ok', rawCode: 0, path, stat: reply.stat() }
  }
}

function multiResults(ops: readonly ZkWriteOp[], reply: Reply): ZkResponse[] {
  const results: ZkResponse[] = []
  for (;;) {
    const type = reply.int()
    const isEnd = reply.flag()
    reply.int()
    if (isEnd) break
    const op = ops[results.length]
    if (op === undefined || (type !== ERROR && type !== OPCODES[op.op])) throw new Error(`a multi answered with type ${type}`)
    // Before the refused op the server says 0, after it "runtime inconsistency"; neither is the reason.
    results.push(type === ERROR ? refusal(op.path, reply.int()) : answerOf(op.op, op.path, reply))
  }
  while (results.length < ops.length) results.push(refusal(ops[results.length]!.path, -2))
  return results
}

// ---- requests

function encode(request: ZkRequest, type: number, watch: boolean, chroot: string): Buffer {
  const packet = packetInMaking.begin(chroot)
  packet.int(0)
  packet.int(type)
  switch (request.op) {
    case 'exists':
    case 'getData':
    case 'getChildren':
      packet.path(request.path)
      packet.flag(watch)
      break
    case 'getAcl':
      packet.path(request.path)
      break
    case 'setAcl':
      packet.path(request.path)
      packet.acls(request.acl)
      packet.int(request.version)
      break
    case 'multi':
      for (const op of request.ops) {
        packet.multiHeader(OPCODES[op.op], false)
        encodeWrite(packet, op)
      }
      packet.multiHeader(-1, true)
      break
    default:
      encodeWrite(packet, request)
  }
  return packet.end()
}

function encodeWrite(packet: Packet, op: ZkWriteOp): void {
  packet.path(op.path)
  if (op.op === 'create') {
    packet.bytes(op.data)
    packet.acls(op.acl ?? OPEN_ACL)
    packet.int(MODES[op.mode])
    return
  }
  if (op.op === 'setData') packet.bytes(op.data)
  // As given: 0 is the version of a node that was never written (the package's transactions take it for "any", D10).
  packet.int(op.version)
}

/** One buffer for all packets while they are made. */
class Packet {
  #buffer = Buffer.allocUnsafe(16 * 1024)
  #at = 0
  #chroot = ''

  begin(chroot: string): this {
    this.#chroot = chroot
    this.#at = 4
    return this
  }

  end(): Buffer {
    this.#buffer.writeInt32BE(this.#at - 4, 0)
    const packet = Buffer.allocUnsafe(this.#at)
    this.#buffer.copy(packet, 0, 0, this.#at)
    return packet
  }

  int(value: number): void {
    this.#room(4)
    this.#at = this.#buffer.writeInt32BE(value, this.#at)
  }

  flag(value: boolean): void {
    this.#room(1)
    this.#at = this.#buffer.writeUInt8(value ? 1 : 0, this.#at)
  }

  bytes(value: Buffer | null): void {
    if (value === null) return this.int(-1)
    this.int(value.length)
    this.#room(value.length)
    this.#at += value.copy(this.#buffer, this.#at)
  }

  text(value: string): void {
    this.#room(4 + 3 * value.length)
    const written = this.#buffer.write(value, this.#at + 4)
    this.#buffer.writeInt32BE(written, this.#at)
    this.#at += 4 + written
  }

  path(path: string): void {
    this.text(this.#chroot === '' ? path : path === '/' ? this.#chroot : this.#chroot + path)
  }

  acls(list: readonly Acl[]): void {
    this.int(list.length)
    for (const { perms, scheme, id } of list) {
      this.int(perms)
      this.text(scheme)
      this.text(id)
    }
  }

  multiHeader(type: number, isEnd: boolean): void {
    this.int(type)
    this.flag(isEnd)
    this.int(-1)
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#at + bytes))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }
}

const packetInMaking = new Packet()

// ---- replies

/** Reads the fields behind a reply's header; a length beyond the end throws. */
class Reply {
  readonly #frame: Buffer
  readonly #chroot: string
  #at = REPLY_HEADER_BYTES

  constructor(frame: Buffer, chroot: string) {
    this.#frame = frame
    this.#chroot = chroot
  }

  int(): number {
    const value = this.#frame.readInt32BE(this.#at)
    this.#at += 4
    return value
  }

  flag(): boolean {
    return this.#frame.readUInt8(this.#at++) !== 0
  }

  /** The frame's memory is the socket's: what is kept is copied. */
  bytes(): Buffer | null {
    const length = this.int()
    if (length < 0) return null
    const from = this.#skip(length)
    const copy = Buffer.allocUnsafe(length)
    this.#frame.copy(copy, 0, from, this.#at)
    return copy
  }

  text(): string {
    const length = Math.max(0, this.int())
    return this.#frame.toString('utf8', this.#skip(length), this.#at)
  }

  path(): string {
    const path = this.text()
    return path === this.#chroot ? '/' : path.slice(this.#chroot.length)
  }

  list<T>(one: () => T): T[] {
    const list: T[] = []
    for (let left = this.int(); left > 0; left--) list.push(one())
    return list
  }

  acl(): Acl {
    return { perms: this.int(), scheme: this.text(), id: this.text() }
  }

  stat(): Stat {
    return {
      czxid: this.#long(),
      mzxid: this.#long(),
      ctime: this.#millis(),
      mtime: this.#millis(),
      version: this.int(),
      cversion: this.int(),
      aversion: this.int(),
      ephemeralOwner: this.#long(),
      dataLength: this.int(),
      numChildren: this.int(),
      pzxid: this.#long(),
    }
  }

  #long(): bigint {
    const value = this.#frame.readBigInt64BE(this.#at)
    this.#at += 8
    return value
  }

  #millis(): number {
    const high = this.int()
    return high * 0x1_0000_0000 + (this.int() >>> 0)
  }

  #skip(length: number): number {
    const from = this.#at
    this.#at += length
    if (this.#at > this.#frame.length) throw new RangeError(`a field of ${length} bytes at ${from} of ${this.#frame.length}`)
    return from
  }
}
