import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

const JAR = process.env['ZOOKEEPER_JAR'] ?? '/usr/share/java/zookeeper.jar'

/** `ZK_TEST_SERVER=embedded` asks for the embedded one although the real one is there. */
export const realZooKeeperAvailable: boolean = process.env['ZK_TEST_SERVER'] !== 'embedded' && existsSync(JAR) && hasJava()

function hasJava(): boolean {
  try {
    execFileSync('java', ['-version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

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
  const dir = mkdtempSync(join(tmpdir(), 'samsa-zk-'))
  const port = await freePort()
  const config = {
    tickTime: 200,
    minSessionTimeout: 400,
    maxSessionTimeout: 60_000,
    initLimit: 50,
    syncLimit: 25,
    dataDir: join(dir, 'data'),
    clientPort: port,
    clientPortAddress: '127.0.0.1',
    maxClientCnxns: 0,
    'admin.enableServer': false,
    '4lw.commands.whitelist': '*',
  }
  mkdirSync(config.dataDir)
  const lines = Object.entries(config).map(([key, value]) => `${key}=${value}`)
  writeFileSync(join(dir, 'zoo.cfg'), `${lines.join('\n')}\n`)
  let child = await spawnReal(dir, port)
  const killNow = () => child.kill('SIGKILL')
  process.on('exit', killNow)
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await exited
  }
  return {
    kind: 'real',
    port,
    connect: `127.0.0.1:${port}`,
    stop: async () => {
      await end()
      process.off('exit', killNow)
      rmSync(dir, { recursive: true, force: true })
    },
    restart: async (options) => {
      await end()
      if (options?.wipe === true) {
        rmSync(config.dataDir, { recursive: true, force: true })
        mkdirSync(config.dataDir)
      }
      child = await spawnReal(dir, port)
    },
  }
}

async function spawnReal(dir: string, port: number): Promise<ChildProcess> {
  const jvm = [
    '-Xms32m',
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Djava.net.preferIPv4Stack=true',
    '-Dzookeeper.forceSync=no',
  ]
  const main = ['-cp', JAR, 'org.apache.zookeeper.server.quorum.QuorumPeerMain', join(dir, 'zoo.cfg')]
  const child = spawn('java', [...jvm, ...main], { stdio: 'ignore' })
  const deadline = Date.now() + 20_000
  // Not faster: a connection in a server's first moments hangs (ZOOKEEPER-5051).
  while (!(await srvr(port)).includes('Mode:')) {
    if (Date.now() > deadline || child.exitCode !== null) {
      child.kill('SIGKILL')
      throw new Error(`ZooKeeper did not start on port ${port}`)
    }
    await sleep(50)
  }
  return child
}

function srvr(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write('srvr'))
    socket.setTimeout(400, () => socket.destroy())
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
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
