import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'

export interface RealZooKeeperOptions {
  /** 1 (default) is a standalone server, 3 an ensemble. */
  readonly servers?: 1 | 3
  /** Milliseconds; sessions expire on multiples of it. Default 200. */
  readonly tickTime?: number
  /** Default 400. */
  readonly minSessionTimeout?: number
  /** Default 60,000. */
  readonly maxSessionTimeout?: number
  /** Sync every write, default false: kill -9 of the process loses nothing either way. */
  readonly fsync?: boolean
  /** Further lines of zoo.cfg. */
  readonly config?: readonly string[]
}

/** One server process. */
export interface RealZooKeeperNode {
  readonly port: number
  /** `127.0.0.1:port` */
  readonly address: string
  readonly dir: string
  readonly pid: number | null
  /** Starts it (again) on the same port and data; resolves when it serves, in an ensemble when there is a quorum. */
  start(): Promise<void>
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>
  /** SIGSTOP: the process keeps its sockets and says nothing. */
  freeze(): void
  /** SIGCONT. */
  thaw(): void
  /** leader, follower, standalone; `null` when it does not serve. */
  mode(): Promise<string | null>
}

export interface RealZooKeeper {
  /** All servers, as `zookeeper.connect` takes them. */
  readonly connect: string
  readonly nodes: readonly RealZooKeeperNode[]
  /** Kills every server and removes its directory. */
  close(): Promise<void>
}

const START_TIMEOUT_MS = 30_000
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Why no genuine ZooKeeper can be started here; `null` when one can. Looks at `ZOOKEEPER_JAR` and Debian's package. */
export function realZooKeeperMissing(): string | null {
  if (zooKeeperJar() === null) return 'no zookeeper.jar: install the package `zookeeper` or set ZOOKEEPER_JAR'
  javaFound ??= spawnSync('java', ['-version'], { stdio: 'ignore' }).error === undefined
  return javaFound ? null : 'no java in the PATH'
}

let javaFound: boolean | null = null

function zooKeeperJar(): string | null {
  const candidates = [process.env['ZOOKEEPER_JAR'], '/usr/share/java/zookeeper.jar']
  return candidates.find((file): file is string => file !== undefined && fs.existsSync(file)) ?? null
}

/** Starts a genuine ZooKeeper on free loopback ports, in a temporary directory. Rejects with an Error that quotes its output. */
export async function startRealZooKeeper(options: RealZooKeeperOptions = {}): Promise<RealZooKeeper> {
  const missing = realZooKeeperMissing()
  if (missing !== null) throw new Error(missing)
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'samsa-zookeeper-'))
  const nodes = await createNodes(root, options)
  const close = async () => {
    await Promise.all(nodes.map((node) => node.kill()))
    fs.rmSync(root, { recursive: true, force: true })
  }
  try {
    await Promise.all(nodes.map((node) => node.start()))
  } catch (error) {
    await close()
    throw error
  }
  return { connect: nodes.map((node) => node.address).join(','), nodes, close }
}

async function createNodes(root: string, options: RealZooKeeperOptions): Promise<RealNode[]> {
  const count = options.servers ?? 1
  const ports = await freePorts(count * 3)
  const members: string[] = []
  if (count > 1)
    for (let i = 0; i < count; i++) members.push(`server.${i + 1}=127.0.0.1:${ports[count + i]}:${ports[2 * count + i]}`)
  return Array.from({ length: count }, (_, i) => {
    const dir = path.join(root, String(i + 1))
    const port = ports[i]!
    fs.mkdirSync(path.join(dir, 'data'), { recursive: true })
    if (count > 1) fs.writeFileSync(path.join(dir, 'data', 'myid'), String(i + 1))
    fs.writeFileSync(path.join(dir, 'zoo.cfg'), [...configLines(dir, port, options), ...members, ''].join('\n'))
    return new RealNode(dir, port, options.fsync === true)
  })
}

function configLines(dir: string, port: number, options: RealZooKeeperOptions): string[] {
  const { tickTime = 200, minSessionTimeout = 400, maxSessionTimeout = 60_000, config = [] } = options
  return [
    `tickTime=${tickTime}`,
    `minSessionTimeout=${minSessionTimeout}`,
    `maxSessionTimeout=${maxSessionTimeout}`,
    'initLimit=50',
    'syncLimit=25',
    `dataDir=${dir}/data`,
    `clientPort=${port}`,
    'clientPortAddress=127.0.0.1',
    'maxClientCnxns=0',
    'admin.enableServer=false',
    '4lw.commands.whitelist=*',
    ...config,
  ]
}

class RealNode implements RealZooKeeperNode {
  readonly port: number
  readonly dir: string
  private readonly fsync: boolean
  private child: ChildProcess | null = null

  constructor(dir: string, port: number, fsync: boolean) {
    this.dir = dir
    this.port = port
    this.fsync = fsync
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get pid(): number | null {
    return this.child?.pid ?? null
  }

  async start(): Promise<void> {
    if (this.child !== null) throw new Error(`ZooKeeper on port ${this.port} is running already`)
    const output = fs.openSync(path.join(this.dir, 'zookeeper.out'), 'a')
    const child = spawn('java', this.arguments(), { cwd: this.dir, stdio: ['ignore', output, output] })
    fs.closeSync(output)
    this.child = child
    running.add(child)
    child.once('exit', () => {
      running.delete(child)
      if (this.child === child) this.child = null
    })
    await this.ready(child)
  }

  private arguments(): string[] {
    return [
      '-Xms32m',
      '-Xmx256m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Djava.net.preferIPv4Stack=true',
      `-Dzookeeper.forceSync=${this.fsync ? 'yes' : 'no'}`,
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      `${zooKeeperJar()}:/usr/share/java/slf4j-simple.jar`,
      'org.apache.zookeeper.server.quorum.QuorumPeerMain',
      'zoo.cfg',
    ]
  }

  private async ready(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    // a probe in its first moments can hang in the server for ever (ZOOKEEPER-5051), so they come slowly and give up soon
    while (this.child === child && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      if ((await this.mode()) !== null) return
    }
    const output = fs.readFileSync(path.join(this.dir, 'zookeeper.out'), 'utf8').slice(-2000)
    throw new Error(`ZooKeeper on port ${this.port} ${this.child === child ? 'does not serve' : 'ended'}; its output: ${output}`)
  }

  async mode(): Promise<string | null> {
    const answer = await fourLetterWord(this.port, 'srvr', 400)
    return /^Mode: (\w+)/m.exec(answer ?? '')?.[1] ?? null
  }

  stop(): Promise<void> {
    return this.end('SIGTERM')
  }

  kill(): Promise<void> {
    return this.end('SIGKILL')
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this
    if (child === null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    if (signal === 'SIGTERM') child.kill('SIGCONT')
    await ended
  }

  freeze(): void {
    this.child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.child?.kill('SIGCONT')
  }
}

/** Sends one of ZooKeeper's four-letter words; `null` when nothing comes within the time. */
export function fourLetterWord(port: number, word: string, timeoutMs = 1000): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(word))
    let text = ''
    const timer = setTimeout(() => socket.destroy(), timeoutMs)
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(text === '' ? null : text)
    })
  })
}

/**
 * Free loopback ports below the range from which the system takes ports of outgoing connections, so that a stopped server finds its
 * port free again.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let attempt = 0; ports.size < count; attempt++) {
    if (attempt > 1000) throw new Error(`found only ${ports.size} of ${count} free ports`)
    const port = 14_000 + Math.floor(Math.random() * 16_000)
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
