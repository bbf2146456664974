import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realZooKeeperMissing, startRealZooKeeper } from '../contract/real-zookeeper.ts'
import type { ZkClock, ZkLog } from './types.ts'

/** A ZooKeeper for tests: the real one where java and its jar are installed, else the embedded one. */
export interface TestZooKeeper {
  readonly kind: 'real' | 'embedded'
  readonly port: number
  /** `127.0.0.1:port` */
  readonly connect: string
  stop(): Promise<void>
  /** Ends it (the real one by SIGKILL) and begins again on the same port, with its data unless wiped. */
  restart(options?: { wipe?: boolean }): Promise<void>
}

/** `ZK_TEST_SERVER=embedded` asks for the embedded one although the real one is there. */
export const realZooKeeperAvailable: boolean = process.env['ZK_TEST_SERVER'] !== 'embedded' && realZooKeeperMissing() === null

/** Session times between 400 ms and 60 s, ticks of 200 ms. */
export async function startTestZooKeeper(): Promise<TestZooKeeper> {
  return realZooKeeperAvailable ? startReal() : startEmbedded()
}

async function startEmbedded(): Promise<TestZooKeeper> {
  const { startEmbeddedZooKeeper } = await import('../server/index.ts')
  const dir = mkdtempSync(join(tmpdir(), 'samsa-zk-'))
  const dataDir = join(dir, 'data')
  const begin = (port: number) =>
    startEmbeddedZooKeeper({
      port,
      dataDir,
      tickTime: 200,
      minSessionTimeout: 400,
      maxSessionTimeout: 60_000,
      fsync: false,
      maxClientCnxns: 0,
    })
  let server = await begin(0)
  const { port } = server
  return {
    kind: 'embedded',
    port,
    connect: `127.0.0.1:${port}`,
    stop: async () => {
      await server.close()
      rmSync(dir, { recursive: true, force: true })
    },
    restart: async (options) => {
      await server.close()
      if (options?.wipe === true) rmSync(dataDir, { recursive: true, force: true })
      server = await begin(port)
    },
  }
}

async function startReal(): Promise<TestZooKeeper> {
  const server = await startRealZooKeeper()
  const node = server.nodes[0]!
  return {
    kind: 'real',
    port: node.port,
    connect: server.connect,
    stop: () => server.close(),
    restart: async (options) => {
      await node.kill()
      if (options?.wipe === true) {
        rmSync(join(node.dir, 'data'), { recursive: true, force: true })
        mkdirSync(join(node.dir, 'data'))
      }
      await node.start()
    },
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Polls until `condition` holds; throws naming `what` after `limitMs`. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, limitMs = 8000): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`)
    await sleep(10)
  }
}

export const testClock: ZkClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  timer: (delayMs, fn, background) => {
    const handle = setTimeout(fn, delayMs)
    if (background === true) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Keeps what is logged; errors and warnings can be asserted on. */
export function testLog(): ZkLog & { readonly lines: string[] } {
  const lines: string[] = []
  const add = (level: string) => (message: string) => {
    lines.push(`${level} ${message}`)
    if (process.env['ZK_TEST_LOG'] !== undefined) console.error(level, message)
  }
  return { lines, debug: add('DEBUG'), info: add('INFO'), warn: add('WARN'), error: add('ERROR') }
}
