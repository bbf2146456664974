import net from 'node:net'

/** One packet of a client, as the fake server sees it. */
export interface FakePacket {
  readonly xid: number
  readonly type: number
  /** After the request header. */
  readonly body: Buffer
}

export interface FakeConnection {
  readonly socket: net.Socket
  /** Position of this connection, from 0. */
  readonly index: number
  readonly packets: FakePacket[]
  reply(xid: number, err: number, body?: Buffer): void
  event(type: number, path: string): void
}

export interface FakeServerScript {
  /** Undefined: never answer. Default: a session with the timeout that was asked for. */
  readonly onConnect?: (connection: FakeConnection, request: Buffer) => 'accept' | 'silent' | 'expired' | 'close'
  /** Default: pings and closeSession are answered, the rest with error 0 and nothing. */
  readonly onPacket?: (connection: FakeConnection, packet: FakePacket) => boolean | undefined
}

export interface FakeServer {
  readonly port: number
  readonly connect: string
  readonly connections: readonly FakeConnection[]
  close(): Promise<void>
}

/** A server that speaks just enough of ZooKeeper's protocol to misbehave on purpose. */
export async function startFakeServer(script: FakeServerScript = {}): Promise<FakeServer> {
  const connections: FakeConnection[] = []
  let zxid = 1n
  const acceptor = net.createServer((socket) => {
    let pending = Buffer.alloc(0)
    let greeted = false
    const connection: FakeConnection = {
      socket,
      index: connections.length,
      packets: [],
      reply: (xid, err, body = Buffer.alloc(0)) => {
        const head = Buffer.alloc(16)
        head.writeInt32BE(xid, 0)
        head.writeBigInt64BE(++zxid, 4)
        head.writeInt32BE(err, 12)
        socket.write(framed(Buffer.concat([head, body])))
      },
      event: (type, path) => {
        const head = Buffer.alloc(24)
        head.writeInt32BE(-1, 0)
        head.writeBigInt64BE(-1n, 4)
        head.writeInt32BE(type, 16)
        head.writeInt32BE(3, 20)
        socket.write(framed(Buffer.concat([head, ustring(path)])))
      },
    }
    connections.push(connection)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const frame = pending.subarray(4, 4 + pending.readInt32BE(0))
        pending = pending.subarray(4 + frame.length)
        if (!greeted) {
          greeted = true
          greet(connection, frame, script)
        } else handle(connection, frame, script)
      }
    })
  })
  await new Promise<void>((resolve) => acceptor.listen(0, '127.0.0.1', resolve))
  const { port } = acceptor.address() as net.AddressInfo
  return {
    port,
    connect: `127.0.0.1:${port}`,
    connections,
    close: () => {
      for (const { socket } of connections) socket.destroy()
      return new Promise((resolve) => acceptor.close(() => resolve()))
    },
  }
}

function greet(connection: FakeConnection, request: Buffer, script: FakeServerScript): void {
  const verdict = script.onConnect?.(connection, request) ?? 'accept'
  if (verdict === 'silent') return
  if (verdict === 'close') return void connection.socket.end()
  const answer = Buffer.alloc(36)
  if (verdict === 'accept') {
    answer.writeInt32BE(request.readInt32BE(12), 4)
    const asked = request.readBigInt64BE(16)
    answer.writeBigInt64BE(asked === 0n ? 0x1234_5678n + BigInt(connection.index) : asked, 8)
  }
  answer.writeInt32BE(16, 16)
  connection.socket.write(framed(answer))
  if (verdict === 'expired') connection.socket.end()
}

function handle(connection: FakeConnection, frame: Buffer, script: FakeServerScript): void {
  const packet = { xid: frame.readInt32BE(0), type: frame.readInt32BE(4), body: frame.subarray(8) }
  connection.packets.push(packet)
  if (script.onPacket?.(connection, packet) === true) return
  connection.reply(packet.xid, 0)
  if (packet.type === -11) connection.socket.end()
}

export function framed(payload: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(payload.length)
  return Buffer.concat([length, payload])
}

export function ustring(text: string): Buffer {
  return framed(Buffer.from(text))
}

/** A Stat of 68 bytes, all zero but the data version. */
export function statBytes(version = 0): Buffer {
  const stat = Buffer.alloc(68)
  stat.writeInt32BE(version, 32)
  return stat
}
