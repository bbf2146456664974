/** The processes of a local cluster: the embedded ZooKeeper and the brokers, each started from the distribution as a user would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { StartOptions } from './options.ts'

const LIBS = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'dist', 'kafka', 'libs')
/** Marks a data directory as ours, so that `--fresh` never removes anything else. */
const MARKER = '.samsa-data'

export interface ClusterProcess {
  readonly name: string
  readonly logFile: string
  readonly child: ChildProcess
  /** Set when it ended: `exit 1`, `SIGKILL`. */
  ended: string | undefined
  readonly whenEnded: Promise<void>
}

/** An operating error of the start: said in one line, exit 1. */
export class StartError extends Error {}

function portIsFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => done(true)))
  })
}

/** Rejects with a `StartError` that names the first port in use, before anything was started. */
export async function checkPorts(options: StartOptions): Promise<void> {
  const wanted = Array.from({ length: options.brokers }, (_, i) => ({
    port: options.port + i,
    who: `broker ${i}`,
    option: '--port',
  }))
  if (options.zookeeper === undefined)
    wanted.unshift({ port: options.zookeeperPort, who: 'ZooKeeper', option: '--zookeeper-port' })
  for (const { port, who, option } of wanted) {
    if (!(await portIsFree(port)))
      throw new StartError(`port ${port}, wanted for ${who}, is in use; choose another with ${option}`)
  }
}

/** Makes the data directory; with `--fresh` what an earlier start left there goes. Throws `StartError`. */
export function prepareData(options: StartOptions): string {
  const directory = resolve(options.dataDirectory)
  const marker = join(directory, MARKER)
  if (options.fresh && existsSync(directory)) {
    if (!existsSync(marker)) throw new StartError(`--fresh: ${directory} was not made by an earlier start, so it is not removed`)
    rmSync(directory, { recursive: true })
  }
  mkdirSync(directory, { recursive: true })
  writeFileSync(marker, 'data of a local cluster; may be removed when it is stopped\n')
  return directory
}

function run(name: string, program: string, args: readonly string[], logFile: string): ClusterProcess {
  const log = openSync(logFile, 'a')
  // A process group of its own: Ctrl-C in the terminal reaches only the supervisor, which then stops the others in order.
  const child = spawn(process.execPath, [join(LIBS, program), ...args], { stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  const whenEnded = new Promise<void>((done) => {
    child.once('exit', (code, signal) => {
      running.ended = signal ?? `exit ${code}`
      done()
    })
  })
  const running: ClusterProcess = { name, logFile, child, ended: undefined, whenEnded }
  return running
}

function lastLines(file: string, count: number): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n')
}

/** Waits for a line in the process's log after `from`; rejects with a `StartError` when it ends before or `timeoutMs` passes. */
async function waitForLine(running: ClusterProcess, line: RegExp, from: number, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!line.test(readFileSync(running.logFile, 'utf8').slice(from))) {
    if (running.ended !== undefined) {
      throw new StartError(`${running.name} ended (${running.ended}) while it started:\n${lastLines(running.logFile, 8)}`)
    }
    if (performance.now() > deadline)
      throw new StartError(`${running.name} was not ready after ${timeoutMs} ms; see ${running.logFile}`)
    await sleep(10)
  }
}

export async function startZooKeeper(options: StartOptions, data: string): Promise<ClusterProcess> {
  const directory = join(data, 'zookeeper')
  mkdirSync(directory, { recursive: true })
  const properties = join(directory, 'zookeeper.properties')
  writeFileSync(
    properties,
    `${[`dataDir=${join(directory, 'data')}`, `clientPort=${options.zookeeperPort}`, 'clientPortAddress=127.0.0.1', 'tickTime=500'].join('\n')}\n`,
  )
  const logFile = join(directory, 'zookeeper.log')
  appendFileSync(logFile, '')
  const from = readFileSync(logFile, 'utf8').length
  const running = run('ZooKeeper', 'zookeeper.mjs', [properties], logFile)
  await waitForLine(running, /binding to port|serving on/, from, 15_000)
  return running
}

function brokerProperties(options: StartOptions, id: number, connect: string, logs: string): string {
  const replicas = Math.min(3, options.brokers)
  const lines = {
    'broker.id': id,
    listeners: `PLAINTEXT://127.0.0.1:${options.port + id}`,
    'advertised.listeners': `PLAINTEXT://localhost:${options.port + id}`,
    'zookeeper.connect': connect,
    'log.dirs': logs,
    'num.partitions': options.brokers,
    'default.replication.factor': replicas,
    'min.insync.replicas': Math.min(2, replicas),
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': Math.min(2, replicas),
    'delete.topic.enable': true,
  }
  return `${Object.entries(lines)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')}\n`
}

export async function startBroker(options: StartOptions, data: string, id: number, connect: string): Promise<ClusterProcess> {
  const directory = join(data, `broker-${id}`)
  mkdirSync(directory, { recursive: true })
  const properties = join(directory, 'server.properties')
  writeFileSync(properties, brokerProperties(options, id, connect, join(directory, 'logs')))
  const logFile = join(directory, 'server.log')
  appendFileSync(logFile, '')
  const from = readFileSync(logFile, 'utf8').length
  const running = run(`broker ${id}`, 'broker.cjs', [properties], logFile)
  await waitForLine(running, /\[KafkaServer id=\d+\] started/, from, 60_000)
  return running
}

/** SIGTERM, and after `graceMs` SIGKILL. Resolves when it is gone. */
export async function stopProcess(running: ClusterProcess, graceMs: number): Promise<void> {
  if (running.ended !== undefined) return
  running.child.kill('SIGTERM')
  const timer = setTimeout(() => running.child.kill('SIGKILL'), graceMs)
  await running.whenEnded
  clearTimeout(timer)
}
