/** Brokers as processes of the built distribution, on ports of their own, in a temporary folder. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const build = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
export const distribution = join(build, '..', 'dist', 'kafka')

/** Ports that were free a moment ago; the servers that take them bind soon after. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}

/** Polls until `condition` gives something other than undefined or false; fails naming `what` and its last error. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 15_000,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) assert.fail(`not within ${timeoutMs} ms: ${what}${last === undefined ? '' : ` (${last})`}`)
    await sleep(20)
  }
}

export interface BrokerOptions {
  readonly id: number
  readonly port: number
  readonly zookeeper: string
  readonly directory: string
  readonly properties?: Readonly<Record<string, string | number | boolean>>
}

export class BrokerProcess {
  readonly options: BrokerOptions
  child: ChildProcess | undefined
  exit: { code: number | null; signal: NodeJS.Signals | null } | undefined
  private whenExited: Promise<void> = Promise.resolve()
  private logFrom = 0

  constructor(options: BrokerOptions) {
    this.options = options
    mkdirSync(options.directory, { recursive: true })
  }

  get address(): string {
    return `127.0.0.1:${this.options.port}`
  }
  get logFile(): string {
    return join(this.options.directory, 'server.log')
  }
  get logDirectory(): string {
    return join(this.options.directory, 'logs')
  }
  /** What it has logged since its last start. */
  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').slice(this.logFrom) : ''
  }

  /** What it has logged since the test began. */
  get allLog(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : ''
  }

  private writeProperties(): string {
    const { id, port, zookeeper, directory, properties } = this.options
    const all = {
      'broker.id': id,
      listeners: `PLAINTEXT://127.0.0.1:${port}`,
      'zookeeper.connect': zookeeper,
      'log.dirs': join(directory, 'logs'),
      'zookeeper.session.timeout.ms': 2000,
      'zookeeper.connection.timeout.ms': 15000,
      'auto.leader.rebalance.enable': false,
      ...properties,
    }
    const file = join(directory, 'server.properties')
    writeFileSync(
      file,
      Object.entries(all)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    return file
  }

  /** Starts the process without waiting for anything. */
  launch(): void {
    const file = this.writeProperties()
    this.logFrom = existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').length : 0
    const log = openSync(this.logFile, 'a')
    const child = spawn(join(distribution, 'bin', 'kafka-server-start.sh'), [file], { stdio: ['ignore', log, log] })
    closeSync(log)
    this.child = child
    this.exit = undefined
    started.add(child)
    this.whenExited = new Promise((done) => {
      child.once('exit', (code, signal) => {
        this.exit = { code, signal }
        started.delete(child)
        done()
      })
    })
  }

  async start(timeoutMs = 20_000): Promise<void> {
    this.launch()
    await eventually(
      `broker ${this.options.id} started`,
      () => {
        if (this.exit !== undefined)
          assert.fail(`broker ${this.options.id} ended with ${this.exit.code ?? this.exit.signal}: ${this.log.slice(-3000)}`)
        return this.log.includes(`[KafkaServer id=${this.options.id}] started`)
      },
      timeoutMs,
    )
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal)
  }

  async ended(timeoutMs = 30_000): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    await Promise.race([this.whenExited, sleep(timeoutMs, undefined, { ref: false })])
    return this.exit ?? assert.fail(`broker ${this.options.id} is still there after ${timeoutMs} ms: ${this.log.slice(-2000)}`)
  }

  /** SIGTERM; the exit code must be 0. */
  async stop(): Promise<void> {
    if (this.exit !== undefined || this.child === undefined) return
    this.signal('SIGTERM')
    assert.deepEqual(await this.ended(), { code: 0, signal: null }, this.log.slice(-2000))
  }

  async kill(): Promise<void> {
    if (this.exit !== undefined || this.child === undefined) return
    this.signal('SIGKILL')
    await this.ended()
  }
}

/** Nothing that a test started outlives the test process. */
const started = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL')
})

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; `input` is its standard input. */
export function run(
  program: string,
  args: readonly string[],
  options: { input?: string | Buffer; timeoutMs?: number } = {},
): Promise<Ran> {
  return new Promise((done) => {
    const child = execFile(
      program,
      [...args],
      { maxBuffer: 1 << 30, timeout: options.timeoutMs ?? 60_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        done({ code, stdout, stderr })
      },
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input ?? '')
  })
}

/** kcat with the bootstrap server; fails the test when it ends with another code than 0. */
export async function kcat(bootstrap: string, args: readonly string[], input?: string | Buffer): Promise<string> {
  const ran = await run('kcat', ['-b', bootstrap, ...args], input === undefined ? {} : { input })
  assert.equal(ran.code, 0, `kcat ${args.join(' ')}: ${ran.stderr}`)
  return ran.stdout
}
