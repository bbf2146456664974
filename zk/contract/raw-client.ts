import { once } from 'node:events'
import net from 'node:net'

/** Encodes jute by hand, apart from the server's own codec, so that a mistake there cannot hide here. */
export class Packet {
  private readonly parts: Buffer[] = []

  int(value: number): this {
    const b = Buffer.alloc(4)
    b.writeInt32BE(value)
    this.parts.push(b)
    return this
  }

  long(value: bigint): this {
    const b = Buffer.alloc(8)
    b.writeBigInt64BE(value)
    this.parts.push(b)
    return this
  }

  bool(value: boolean): this {
    this.parts.push(Buffer.from([value ? 1 : 0]))
    return this
  }

  bytes(value: Buffer | null): this {
    this.int(value === null ? -1 : value.length)
    if (value !== null) this.parts.push(value)
    return this
  }

  string(value: string | null): this {
    return this.bytes(value === null ? null : Buffer.from(value))
  }

  strings(values: readonly string[]): this {
    this.int(values.length)
    for (const value of values) this.string(value)
    return this
  }

  acl(entries: readonly RawAcl[]): this {
    this.int(entries.length)
    for (const { perms, scheme, id } of entries) this.int(perms).string(scheme).string(id)
    return this
  }

  raw(bytes: Buffer): this {
    this.parts.push(bytes)
    return this
  }

  build(): Buffer {
    return Buffer.concat(this.parts)
  }
}

export interface RawAcl {
  readonly perms: number
  readonly scheme: string
  readonly id: string
}

export const OPEN: readonly RawAcl[] = [{ perms: 31, scheme: 'world', id: 'anyone' }]

export interface RawStat {
  czxid: bigint
  mzxid: bigint
  ctime: bigint
  mtime: bigint
  version: number
  cversion: number
  aversion: number
  ephemeralOwner: bigint
  dataLength: number
  numChildren: number
  pzxid: bigint
}

/** Reads a reply's body from front to back. */
export class Cursor {
  private at = 0
  readonly buffer: Buffer

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  get left(): number {
    return this.buffer.length - this.at
  }

  int(): number {
    this.at += 4
    return this.buffer.readInt32BE(this.at - 4)
  }

  long(): bigint {
    this.at += 8
    return this.buffer.readBigInt64BE(this.at - 8)
  }

  bool(): boolean {
    return this.buffer.readUInt8(this.at++) !== 0
  }

  bytes(): Buffer | null {
    const length = this.int()
    if (length < 0) return null
    if (length > this.left) throw new Error(`a length of ${length} with ${this.left} bytes left`)
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }

  string(): string | null {
    return this.bytes()?.toString() ?? null
  }

  strings(): string[] {
    return Array.from({ length: this.int() }, () => this.string() ?? '<null>')
  }

  acl(): RawAcl[] {
    return Array.from({ length: this.int() }, () => ({ perms: this.int(), scheme: this.string() ?? '', id: this.string() ?? '' }))
  }

  stat(): RawStat {
    return {
      czxid: this.long(),
      mzxid: this.long(),
      ctime: this.long(),
      mtime: this.long(),
      version: this.int(),
      cversion: this.int(),
      aversion: this.int(),
      ephemeralOwner: this.long(),
      dataLength: this.int(),
      numChildren: this.int(),
      pzxid: this.long(),
    }
  }
}

export interface RawReply {
  readonly xid: number
  readonly zxid: bigint
  readonly err: number
  readonly body: Cursor
}

export interface RawEvent {
  readonly type: number
  readonly path: string
}

/** What a server sent, in order. */
export type Received = ({ readonly kind: 'reply' } & RawReply) | ({ readonly kind: 'event' } & RawEvent)

export interface RawConnectOptions {
  readonly timeoutMs?: number
  readonly sessionId?: bigint
  readonly password?: Buffer
  readonly lastZxidSeen?: bigint
  /** Leave the trailing flag of the ConnectRequest out, as old clients do. */
  readonly oldClient?: boolean
}

/** A ZooKeeper connection with nothing between the test and the bytes: no heartbeats, no reconnect. */
export class RawClient {
  readonly socket: net.Socket
  sessionId = 0n
  password = Buffer.alloc(16)
  /** As granted. */
  timeoutMs = 0
  /** Bytes of the ConnectResponse, without its length. */
  connectResponse: Buffer | null = null
  /** Everything received and not yet taken. */
  readonly inbox: Received[] = []
  private nextXid = 1
  private pending: Buffer = Buffer.alloc(0)
  private wake: (() => void) | null = null
  private ended = false

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.onData(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.ended = true
      this.wake?.()
    })
  }

  /** A TCP connection that has said nothing yet. */
  static async open(port: number): Promise<RawClient> {
    const socket = net.connect(port, '127.0.0.1')
    const client = new RawClient(socket)
    await once(socket, 'connect')
    return client
  }

  /** Opens or resumes a session; afterwards `sessionId` is 0 if it was refused. Rejects when the server just closes. */
  static async connect(port: number, options: RawConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(port)
    const { timeoutMs = 30_000, sessionId = 0n, password = Buffer.alloc(16), lastZxidSeen = 0n, oldClient = false } = options
    const request = new Packet().int(0).long(lastZxidSeen).int(timeoutMs).long(sessionId).bytes(password)
    if (!oldClient) request.bool(false)
    client.sendFrame(request.build())
    await client.until(() => client.connectResponse !== null)
    if (client.connectResponse === null) throw new Error('the server closed the connection without an answer')
    const cursor = new Cursor(client.connectResponse)
    cursor.int()
    client.timeoutMs = cursor.int()
    client.sessionId = cursor.long()
    client.password = Buffer.from(cursor.bytes()!)
    return client
  }

  get closed(): boolean {
    return this.ended
  }

  sendFrame(payload: Buffer): void {
    const header = Buffer.alloc(4)
    header.writeInt32BE(payload.length)
    this.socket.write(Buffer.concat([header, payload]))
  }

  /** Sends a request and answers its xid. */
  send(type: number, body: Buffer | Packet = Buffer.alloc(0), xid = this.nextXid++): number {
    const bytes = body instanceof Packet ? body.build() : body
    this.sendFrame(new Packet().int(xid).int(type).raw(bytes).build())
    return xid
  }

  /** Sends a request and waits for its reply; events that come before stay in the inbox. `null` when the server closed instead. */
  async call(type: number, body: Buffer | Packet = Buffer.alloc(0), xid?: number): Promise<RawReply | null> {
    const sent = xid === undefined ? this.send(type, body) : this.send(type, body, xid)
    let found = -1
    await this.until(() => (found = this.inbox.findIndex((r) => r.kind === 'reply' && r.xid === sent)) !== -1)
    return found === -1 ? null : (this.inbox.splice(found, 1)[0] as RawReply & { kind: 'reply' })
  }

  /** Takes the events received so far. */
  takeEvents(): RawEvent[] {
    const events = this.inbox.filter((r): r is RawEvent & { kind: 'event' } => r.kind === 'event')
    this.inbox.splice(0, this.inbox.length, ...this.inbox.filter((r) => r.kind !== 'event'))
    return events.map(({ type, path }) => ({ type, path }))
  }

  async event(): Promise<RawEvent> {
    await this.until(() => this.inbox.some((r) => r.kind === 'event'))
    const at = this.inbox.findIndex((r) => r.kind === 'event')
    if (at === -1) throw new Error('the server closed the connection instead of sending an event')
    const { type, path } = this.inbox.splice(at, 1)[0] as RawEvent & { kind: 'event' }
    return { type, path }
  }

  /** Waits until the condition holds or the connection is closed. */
  async until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!condition() && !this.ended) {
      if (Date.now() > deadline) throw new Error(`nothing came for ${timeoutMs} ms`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 250)
        this.wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  async waitClosed(timeoutMs = 10_000): Promise<void> {
    await this.until(() => false, timeoutMs).catch((error) => {
      if (!this.ended) throw error
    })
  }

  /** Cuts the connection; the session stays. */
  async cut(): Promise<void> {
    this.socket.destroy()
    if (!this.ended) await once(this.socket, 'close')
  }

  /** Closes the session and the connection. */
  async close(): Promise<void> {
    if (!this.ended && this.sessionId !== 0n) {
      this.send(-11)
      await this.waitClosed()
    }
    await this.cut()
  }

  private onData(chunk: Buffer): void {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk])
    let at = 0
    while (this.pending.length - at >= 4) {
      const length = this.pending.readInt32BE(at)
      if (this.pending.length - at - 4 < length) break
      this.frame(this.pending.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    this.pending = this.pending.subarray(at)
    this.wake?.()
  }

  private frame(bytes: Buffer): void {
    if (this.connectResponse === null) {
      this.connectResponse = bytes
      return
    }
    const body = new Cursor(bytes)
    const [xid, zxid, err] = [body.int(), body.long(), body.int()]
    if (xid !== -1) {
      this.inbox.push({ kind: 'reply', xid, zxid, err, body })
      return
    }
    const [type] = [body.int(), body.int()]
    this.inbox.push({ kind: 'event', type, path: body.string() ?? '<null>' })
  }
}
