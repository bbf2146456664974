import type { Connection, FrameReceiver, Net } from '../../ports/net.ts'

/** A connection without a network: tests push frames in and look at what was written. */
export class TestConnection implements Connection {
  readonly remoteAddress: string
  readonly remotePort = 50_000
  readonly localAddress = '127.0.0.1'
  readonly localPort = 9092
  queuedBytes = 0
  receiver!: FrameReceiver
  isPaused = false
  isEnded = false
  /** One entry per `write`. */
  readonly writes: Buffer[] = []
  /** When true, `write` says that too much is queued. */
  isFull = false
  readonly #waiting: Buffer[] = []

  constructor(remoteAddress = '10.0.0.1') {
    this.remoteAddress = remoteAddress
  }

  /** Frames that arrive in one read. */
  receive(...frames: readonly Buffer[]): void {
    this.#waiting.push(...frames)
    this.#deliver()
  }

  #deliver(): void {
    const read: Buffer[] = []
    while (this.#waiting.length > 0 && !this.isPaused && !this.isEnded) {
      const shared = Buffer.concat([Buffer.alloc(3), this.#waiting.shift()!])
      read.push(shared)
      this.receiver.onFrame(shared, 3, shared.length)
    }
    this.receiver.onReadEnd?.()
    // The port's buffer is shared: what a frame was must not be readable after the read.
    for (const shared of read) shared.fill(0xee)
  }

  write(buffer: Uint8Array, released?: () => void): boolean {
    this.writes.push(Buffer.from(buffer))
    released?.()
    return !this.isFull
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.#deliver()
  }

  end(): void {
    this.isEnded = true
    this.receiver.onClose('local')
  }

  destroy(): void {
    this.end()
  }

  /** Answers so far, without length: correlation id and body. */
  answers(): { correlationId: number; body: Buffer }[] {
    const bytes = Buffer.concat(this.writes)
    const list: { correlationId: number; body: Buffer }[] = []
    for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) {
      list.push({ correlationId: bytes.readInt32BE(at + 4), body: bytes.subarray(at + 8, at + 4 + bytes.readInt32BE(at)) })
    }
    return list
  }
}

/** A port to which tests connect by hand. */
export class TestNet implements Net {
  #accept: ((connection: Connection) => FrameReceiver | undefined) | undefined
  isStarted = false

  listen: Net['listen'] = async ({ host, port }, accept) => {
    this.#accept = accept
    return {
      host,
      port: port === 0 ? 9092 : port,
      close: async () => {},
      start: () => {
        this.isStarted = true
      },
    }
  }

  connect: Net['connect'] = () => {
    throw new Error('not a client')
  }

  /** undefined: refused. */
  open(remoteAddress?: string): TestConnection | undefined {
    const connection = new TestConnection(remoteAddress)
    const receiver = this.#accept!(connection)
    if (!receiver) return undefined
    connection.receiver = receiver
    return connection
  }
}
