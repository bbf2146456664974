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
  /** Accepts and closes at once. */
  refuse(refusing: boolean): void
  close(): Promise<void>
}

interface Link {
  readonly client: net.Socket
  readonly server: net.Socket
}

export async function startProxy(targetPort: number): Promise<TestProxy> {
  const links = new Set<Link>()
  let accepted = 0
  let refusing = false
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
    if (refusing) return void client.end()
    const server = net.connect(targetPort, '127.0.0.1')
    const link = { client, server }
    links.add(link)
    server.on('error', () => {})
    client.on('data', (chunk) => {
      if (holdAt !== undefined && chunk.includes(holdAt)) {
        holding = true
        holdAt = undefined
      }
      server.write(chunk)
    })
    server.on('data', (chunk) => {
      if (holding) return
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
    refuse: (value) => {
      refusing = value
    },
    close: () => {
      cut()
      return new Promise((resolve) => acceptor.close(() => resolve()))
    },
  }
}
