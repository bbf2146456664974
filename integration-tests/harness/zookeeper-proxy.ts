/**
 * A TCP proxy between one client and ZooKeeper that writes down every write the client asks for and how it was answered, in the order of the
 * answers, over the proxy of `zk/client` that can cut and freeze. It decodes only what it records; bytes pass unchanged.
 */
import assert from 'node:assert/strict'
import { type ProxyObserver, startProxy, type TestProxy } from '../../zk/client/testing-proxy.ts'

export interface RecordedWrite {
  readonly op: 'create' | 'delete' | 'setData' | 'setACL' | 'createSession' | 'closeSession'
  readonly path?: string
  /** Text; null = no data. */
  readonly data?: string | null
  readonly mode?: string
  /** The version the client demanded. */
  readonly expected?: number
  /** `NONODE`, `NODEEXISTS`, `BADVERSION`, ...; absent when it was done. */
  readonly error?: string
}

const errorNames: Readonly<Record<number, string>> = {
  [-101]: 'NONODE',
  [-103]: 'BADVERSION',
  [-110]: 'NODEEXISTS',
  [-111]: 'NOTEMPTY',
  [-2]: 'RUNTIMEINCONSISTENCY',
  [-112]: 'SESSIONEXPIRED',
}
const modes = ['persistent', 'ephemeral', 'persistent sequential', 'ephemeral sequential']

class Jute {
  private at: number
  private readonly bytes: Buffer
  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes
    this.at = at
  }
  int(): number {
    this.at += 4
    return this.bytes.readInt32BE(this.at - 4)
  }
  long(): bigint {
    this.at += 8
    return this.bytes.readBigInt64BE(this.at - 8)
  }
  bool(): boolean {
    return this.bytes[this.at++] !== 0
  }
  buffer(): Buffer | null {
    const length = this.int()
    if (length < 0) return null
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
  string(): string {
    return this.buffer()?.toString('utf8') ?? ''
  }
  acls(): void {
    for (let n = this.int(); n > 0; n--) {
      this.int()
      this.string()
      this.string()
    }
  }
}

function text(data: Buffer | null): string | null {
  return data === null ? null : data.toString('utf8')
}

/** One write of a request body; undefined for reads. */
function decodeWrite(type: number, body: Jute): RecordedWrite | undefined {
  if (type === 1 || type === 15) {
    const path = body.string()
    const data = text(body.buffer())
    body.acls()
    return { op: 'create', path, data, mode: modes[body.int()] ?? 'other' }
  }
  if (type === 2) return { op: 'delete', path: body.string(), expected: body.int() }
  if (type === 5) return { op: 'setData', path: body.string(), data: text(body.buffer()), expected: body.int() }
  if (type === 7) return { op: 'setACL', path: body.string() }
  if (type === -11) return { op: 'closeSession' }
  return undefined
}

interface Pending {
  readonly type: number
  readonly writes: RecordedWrite[]
}

function decodeRequest(frame: Buffer): Pending {
  const jute = new Jute(frame)
  jute.int()
  const type = jute.int()
  if (type !== 14) {
    const write = decodeWrite(type, jute)
    return { type, writes: write === undefined ? [] : [write] }
  }
  const writes: RecordedWrite[] = []
  for (;;) {
    const inner = jute.int()
    const done = jute.bool()
    jute.int()
    if (done) return { type, writes }
    if (inner === 13) {
      jute.string()
      jute.int()
    } else {
      const write = decodeWrite(inner, jute)
      if (write !== undefined) writes.push(write)
    }
  }
}

/** The code that decides a multi: that of the first op that was refused. */
function multiError(reply: Jute): number {
  let worst = 0
  for (;;) {
    const type = reply.int()
    const done = reply.bool()
    const error = reply.int()
    if (done) return worst
    if (type === -1) {
      const code = reply.int()
      if (worst === 0 && code !== 0 && code !== -2) worst = code
      else if (worst === 0 && code === -2) worst = error
    } else if (type === 1) reply.string()
    else if (type === 5) for (let i = 0; i < 17; i++) reply.int()
  }
}

function named(write: RecordedWrite, code: number): RecordedWrite {
  return code === 0 ? write : { ...write, error: errorNames[code] ?? String(code) }
}

class Frames {
  private rest: Buffer = Buffer.alloc(0)
  private readonly onFrame: (frame: Buffer) => void
  constructor(onFrame: (frame: Buffer) => void) {
    this.onFrame = onFrame
  }
  feed(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk])
    while (this.rest.length >= 4 && this.rest.length >= 4 + this.rest.readInt32BE(0)) {
      const length = this.rest.readInt32BE(0)
      this.onFrame(this.rest.subarray(4, 4 + length))
      this.rest = this.rest.subarray(4 + length)
    }
  }
}

/** A proxy that records: what each connection asks is told from the bytes that pass. */
export class ZooKeeperProxy {
  readonly writes: RecordedWrite[] = []
  /** Id and password of the session last established. */
  session: { readonly sessionId: Buffer; readonly password: Buffer } | undefined
  private proxy: TestProxy | undefined

  private constructor() {}

  static async start(target: { host: string; port: number }): Promise<ZooKeeperProxy> {
    const recorder = new ZooKeeperProxy()
    recorder.proxy = await startProxy(target.port, { host: target.host, observe: () => recorder.observe() })
    return recorder
  }

  get port(): number {
    return this.network.port
  }

  private get network(): TestProxy {
    return this.proxy ?? assert.fail('not started')
  }

  private observe(): ProxyObserver {
    const pending: Pending[] = []
    let first = true
    const requests = new Frames((frame) => {
      if (!first) return void pending.push(decodeRequest(frame))
      first = false
      const jute = new Jute(frame)
      jute.int()
      jute.long()
      jute.int()
      // A resumed session is no new one.
      pending.push({ type: 0, writes: jute.long() === 0n ? [{ op: 'createSession' }] : [] })
    })
    const answers = new Frames((frame) => this.answer(frame, pending))
    return { request: (chunk) => requests.feed(chunk), answer: (chunk) => answers.feed(chunk) }
  }

  private answer(frame: Buffer, pending: Pending[]): void {
    const head = pending[0]
    if (head?.type === 0) {
      pending.shift()
      const password = Buffer.from(frame.subarray(20, 36))
      if (frame.readBigInt64BE(8) !== 0n) this.session = { sessionId: Buffer.from(frame.subarray(8, 16)), password }
      this.writes.push(...head.writes)
      return
    }
    const jute = new Jute(frame)
    const xid = jute.int()
    jute.long()
    const error = jute.int()
    if (xid === -1) return
    const asked = pending.shift()
    if (asked === undefined) return
    const code = asked.type === 14 && error === 0 ? multiError(jute) : error
    for (const write of asked.writes) this.writes.push(named(write, code))
  }

  /** Drops the connections; new ones are accepted at once. */
  cut(): void {
    this.network.cut()
  }

  /** Drops the connections and refuses new ones until `heal`. */
  refuse(): void {
    this.network.refuse(true)
    this.network.cut()
  }

  /** Bytes wait in both directions until `heal`. */
  freeze(): void {
    this.network.freeze()
  }

  heal(): void {
    this.network.refuse(false)
    this.network.resume()
  }

  close(): Promise<void> {
    return this.network.close()
  }
}
