/**
 * TCP proxies between named machines. Every connection has a link of two directions, each of which can be blocked (bytes and the end of the
 * connection wait, as behind a network that drops packets), or made slow. Who dials a Kafka port is told from the client id of the first
 * request: brokers use `broker-1-fetcher-0`, `1`, ... (they are then called `1`), other clients their own name.
 */
import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Milliseconds added to each chunk, and bytes per second. */
export interface Slowness {
  readonly delayMs: number
  readonly bytesPerSecond: number
}

export interface LinkOptions {
  /** Loopback port of the real server. */
  readonly target: number
  /** Its name. */
  readonly to: string
  /** Name of all who dial; absent: by the client id of the first request. */
  readonly from?: string
}

/** Above this much waiting in one direction its source is not read any more. */
const HIGH_WATER_BYTES = 1 << 20

/** `1` for what broker 1 sends as fetcher, controller or transaction coordinator; else the client id itself. */
function machineOf(clientId: string): string {
  return /^broker-(\d+)-/.exec(clientId)?.[1] ?? clientId
}

/** Client id of the first request; undefined while too few bytes are there. */
function firstClientId(bytes: Buffer): string | undefined {
  if (bytes.length < 14) return undefined
  const length = bytes.readInt16BE(12)
  if (length < 0) return ''
  return bytes.length < 14 + length ? undefined : bytes.toString('utf8', 14, 14 + length)
}

interface Chunk {
  readonly bytes: Buffer
  readonly due: number
}

/** One direction of one connection. */
class Pipe {
  from: string | undefined
  to: string | undefined
  readonly #network: LinkNetwork
  readonly #source: Socket
  readonly #sink: Socket
  #chunks: Chunk[] = []
  #waiting = 0
  #due = 0
  #isEnded = false
  #timer: NodeJS.Timeout | undefined

  constructor(network: LinkNetwork, source: Socket, sink: Socket) {
    this.#network = network
    this.#source = source
    this.#sink = sink
  }

  push(bytes: Buffer): void {
    const slow = this.#network.slownessOf(this.from, this.to)
    const now = performance.now()
    this.#due = slow === undefined ? now : Math.max(this.#due, now + slow.delayMs) + (bytes.length * 1000) / slow.bytesPerSecond
    this.#chunks.push({ bytes, due: this.#due })
    this.#waiting += bytes.length
    if (this.#waiting > HIGH_WATER_BYTES) this.#source.pause()
    this.pump()
  }

  /** What has come so far; its owner is still unknown. */
  get held(): Buffer {
    return Buffer.concat(this.#chunks.map(({ bytes }) => bytes))
  }

  /** The source is gone: so will the sink be, once it has everything. A client's unsent bytes die with it, a broker's arrive late. */
  end(): void {
    this.#isEnded = true
    if (!/^\d+$/.test(this.from ?? '')) this.#chunks = []
    this.pump()
  }

  pump(): void {
    if (this.from === undefined || this.to === undefined) {
      if (this.#isEnded) this.#sink.destroy()
      return
    }
    if (this.#network.isBlocked(this.from, this.to)) return
    clearTimeout(this.#timer)
    const now = performance.now()
    while (this.#chunks.length > 0 && this.#chunks[0]!.due <= now) {
      const { bytes } = this.#chunks.shift()!
      this.#waiting -= bytes.length
      if (!this.#sink.destroyed) this.#sink.write(bytes)
    }
    if (this.#waiting <= HIGH_WATER_BYTES) this.#source.resume()
    if (this.#chunks.length > 0) this.#timer = setTimeout(() => this.pump(), Math.max(1, this.#chunks[0]!.due - now))
    else if (this.#isEnded) this.#sink.end()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#source.destroy()
    this.#sink.destroy()
  }
}

export class LinkNetwork {
  readonly #servers: Server[] = []
  readonly #pipes = new Set<Pipe>()
  readonly #blocked = new Set<string>()
  readonly #slow = new Map<string, Slowness>()

  /** Opens a port that leads to `target`. */
  async open(options: LinkOptions): Promise<number> {
    const server = createServer((client) => this.#accept(client, options))
    this.#servers.push(server)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return (server.address() as AddressInfo).port
  }

  #accept(client: Socket, { target, to, from }: LinkOptions): void {
    const server = connect(target, '127.0.0.1')
    const requests = new Pipe(this, client, server)
    const answers = new Pipe(this, server, client)
    requests.to = answers.from = to
    requests.from = answers.to = from
    this.#pipes.add(requests).add(answers)
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', () => {})
    client.on('data', (bytes) => {
      requests.push(bytes)
      if (requests.from !== undefined) return
      const clientId = firstClientId(requests.held)
      if (clientId === undefined) return
      requests.from = answers.to = machineOf(clientId)
      requests.pump()
    })
    server.on('data', (bytes) => answers.push(bytes))
    client.on('close', () => requests.end())
    server.on('close', () => answers.end())
    const isOver = () => {
      if (client.destroyed && server.destroyed) for (const pipe of [requests, answers]) this.#pipes.delete(pipe)
    }
    client.on('close', isOver)
    server.on('close', isOver)
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.has(`${from}>${to}`)
  }

  slownessOf(from: string | undefined, to: string | undefined): Slowness | undefined {
    return this.#slow.get(`${from}>${to}`)
  }

  /** Nothing from one machine reaches the other until `heal`. */
  block(from: string, to: string): void {
    assert.notEqual(from, to, 'a machine always reaches itself')
    this.#blocked.add(`${from}>${to}`)
  }

  /** Both directions. */
  cut(a: string, b: string): void {
    this.block(a, b)
    this.block(b, a)
  }

  /** Both directions. */
  slow(a: string, b: string, slowness: Slowness): void {
    this.#slow.set(`${a}>${b}`, slowness).set(`${b}>${a}`, slowness)
  }

  /** Ends everything that was done to links; what waited arrives. */
  heal(): void {
    this.#blocked.clear()
    this.#slow.clear()
    for (const pipe of this.#pipes) pipe.pump()
  }

  async close(): Promise<void> {
    this.#blocked.clear()
    for (const pipe of this.#pipes) pipe.close()
    await Promise.all(this.#servers.map((server) => new Promise((done) => server.close(done))))
  }
}
