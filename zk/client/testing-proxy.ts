import net from 'node:net'

/** A TCP proxy between a client and ZooKeeper that can do to the connection what networks do. */
export interface TestProxy {
  readonly port: number
  readonly connect: string
  /** Connections accepted so far. */
  readonly accepted: number
  /** RST on all connections. */
  cut(): void
  /** Lets this many more bytes of answers through, then cuts. */
  cutAfterAnswerBytes(bytes: number): void
  /** Forwards requests, holds answers back (from the request on that contains `text`); `cut` then loses them. */
  holdAnswers(text?: string): void
  /** Nothing passes either way; the bytes are delivered on `resume`. */
  freeze(): void
  resume(): void
  /** Tells the next connection that its session has expired, without asking the server: the session's nodes are still there. */
  lieExpired(): void
  /** Accepts and closes at once. */
  refuse(refusing: boolean): void
  close(): Promise<void>
}

/** Sees the bytes of one connection as they pass. */
export interface ProxyObserver {
  request(chunk: Buffer): void
  answer(chunk: Buffer): void
}

export interface ProxyOptions {
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Called for each connection that is let through. */
  readonly observe?: () => ProxyObserver
}

interface Link {
  readonly client: net.Socket
  readonly server: net.Socket
}

export async function startProxy(targetPort: number, options: ProxyOptions = {}): Promise<TestProxy> {
  const links = new Set<Link>()
  const clients = new Set<net.Socket>()
  let accepted = 0
  let refusing = false
  let lying = false
  let frozen = false
  let holding = false
  let holdAt: string | undefined
  let budget = Number.POSITIVE_INFINITY
  const cut = () => {
    for (const { client, server } of links) {
      client.resetAndDestroy()
      server.destroy()
    }
    links.clear()
    holding = false
    budget = Number.POSITIVE_INFINITY
  }
  const acceptor = net.createServer((client) => {
    accepted++
    client.on('error', () => {})
    clients.add(client)
    client.on('close', () => clients.delete(client))
    if (refusing) {
      client.resume()
      client.end()
      return
    }
    if (lying) {
      lying = false
      client.once('data', () => client.end(expiredAnswer()))
      return
    }
    const server = net.connect(targetPort, options.host ?? '127.0.0.1')
    for (const socket of [client, server]) socket.setNoDelay(true)
    const observer = options.observe?.()
    const link = { client, server }
    links.add(link)
    server.on('error', () => {})
    client.on('data', (chunk) => {
      observer?.request(chunk)
      if (holdAt !== undefined && chunk.includes(holdAt)) {
        holding = true
        holdAt = undefined
      }
      server.write(chunk)
    })
    server.on('data', (chunk) => {
      if (holding) return
      observer?.answer(chunk)
      const part = chunk.subarray(0, Math.min(chunk.length, budget))
      budget -= part.length
      client.write(part, () => budget <= 0 && cut())
    })
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
    client.on('close', () => links.delete(link))
    if (frozen) pause(link)
  })
  const pause = ({ client, server }: Link) => {
    client.pause()
    server.pause()
  }
  await new Promise<void>((resolve) => acceptor.listen(0, '127.0.0.1', resolve))
  const { port } = acceptor.address() as net.AddressInfo
  return {
    port,
    connect: `127.0.0.1:${port}`,
    get accepted() {
      return accepted
    },
    cut,
    cutAfterAnswerBytes: (bytes) => {
      budget = bytes
    },
    holdAnswers: (text) => {
      if (text === undefined) holding = true
      else holdAt = text
    },
    freeze: () => {
      frozen = true
      for (const link of links) pause(link)
    },
    resume: () => {
      frozen = false
      for (const { client, server } of links) {
        client.resume()
        server.resume()
      }
    },
    lieExpired: () => {
      lying = true
    },
    refuse: (value) => {
      refusing = value
    },
    close: () => {
      cut()
      for (const client of clients) client.destroy()
      return new Promise((resolve) => acceptor.close(() => resolve()))
    },
  }
}

/** A connect response with no session: protocol 0, timeout 0, session 0, 16 bytes of empty password. */
function expiredAnswer(): Buffer {
  const answer = Buffer.alloc(40)
  answer.writeInt32BE(36, 0)
  answer.writeInt32BE(16, 20)
  return answer
}
