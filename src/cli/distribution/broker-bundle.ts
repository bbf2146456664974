/**
 * The broker as one script, because that alone can be loaded with V8's code cache. The cache holds what a broker runs that starts with logs to
 * recover, leads, follows and stops, so that nothing of a start is compiled; all functions would be too many (40 - 60 ms more to load).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAdmin } from '../../client/admin/admin.ts'
import { createProducer } from '../../client/producer/producer.ts'

export const BROKER_BUNDLE = 'broker-bundle.cjs'
const PATIENCE_MS = 30_000

/**
 * A CommonJS file: Node's loader of ES modules costs 10 ms. The script is read as one byte a character (checked when it is made), ten times
 * as fast as UTF-8. Node takes a cache of another version for none.
 */
const starter = `const { readFileSync } = require('node:fs')
const { Script } = require('node:vm')
const filename = require.resolve('./${BROKER_BUNDLE}')
let cachedData
try {
  cachedData = readFileSync(filename + '.cache')
} catch {}
const script = new Script('(function (require, __filename) {' + readFileSync(filename).latin1Slice() + '\\n})', { filename, cachedData })
script.runInThisContext()(require, filename)
`

/** Writes `broker.cjs`, which people and scripts start, beside the script that it loads. */
export function writeStarter(libs: string): void {
  const outfile = join(libs, BROKER_BUNDLE)
  // Comments of packages are still as they were.
  const escapedUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  const escaped = (character: string): string => character.split('').map(escapedUnit).join('')
  writeFileSync(outfile, readFileSync(outfile, 'utf8').replace(/\P{ASCII}/gu, escaped))
  writeFileSync(join(libs, 'broker.cjs'), starter)
}

interface Program {
  readonly child: ChildProcess
  readonly found: RegExpExecArray
}

/** Starts a program of `libs` and resolves when it has printed `line`; rejects with what it printed when it ends before, or takes too long. */
function startProgram(
  libs: string,
  program: string,
  properties: Readonly<Record<string, string>>,
  line: RegExp,
): Promise<Program> {
  const file = join(libs, `${program}.${properties['broker.id'] ?? ''}.properties`)
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const child = spawn(process.execPath, [join(libs, program), file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    child.on('error', reject)
    child.on('exit', () => {
      clearTimeout(timer)
      reject(new Error(`The bundled ${program} does not run: ${printed}`))
    })
    const read = (data: Buffer): void => {
      printed += data.toString()
      const found = line.exec(printed)
      if (found === null) return
      clearTimeout(timer)
      rmSync(file, { force: true })
      resolve({ child, found })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
  })
}

/** Resolves when `child` has ended after SIGTERM. */
function stopProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    child.on('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.kill('SIGTERM')
  })
}

/** The topic is led by both, the replicas on both. */
const TOPIC_PARTITIONS = 8
const ASSIGNMENT: ReadonlyMap<number, readonly number[]> = new Map(
  Array.from({ length: TOPIC_PARTITIONS }, (_, partition) => [partition, partition % 2 === 0 ? [0, 1] : [1, 0]]),
)

/**
 * What a broker does in a cluster: makes logs, leads, follows; is stopped, comes back to logs that it has to recover, catches up; is the last, and stops. `start`
 * starts broker 0 or 1, `onReturn` the one that comes back, whose log directory `forget` has made look as after a crash.
 */
async function liveABrokersLife(
  start: (id: number) => Promise<Program>,
  forget: () => void,
  onReturn: () => Promise<Program>,
): Promise<void> {
  const [peer, first] = await Promise.all([start(1), start(0)])
  const bootstrap = { 'bootstrap.servers': [`127.0.0.1:${peer.found[1]}`] }
  const admin = createAdmin(bootstrap)
  // Both replicas must have a record: that is how long it takes until the one that is back has caught up.
  const producer = createProducer({ ...bootstrap, acks: 'all', retries: 1000, 'retry.backoff.ms': 20 })
  const create = async (topic: string): Promise<void> => {
    await (await admin.createTopics([{ topic, assignment: ASSIGNMENT, configs: { 'min.insync.replicas': '2' } }])).all()
  }
  const fill = (topic: string): Promise<unknown> =>
    Promise.all(Array.from(ASSIGNMENT.keys(), (partition) => producer.send({ topic, partition, value: 'value' })))
  await create('first')
  await fill('first')
  await stopProgram(first.child)
  forget()
  const again = await onReturn()
  await fill('first')
  await create('second')
  await fill('second')
  await producer.close()
  await admin.close()
  await stopProgram(peer.child)
  await stopProgram(again.child)
}

/** Runs bundled brokers on the bundled ZooKeeper, and keeps what the one that came back compiled. Throws when they do not run. */
export async function writeCodeCache(libs: string): Promise<void> {
  const maker = 'make-cache.cjs'
  const cache = join(libs, `${BROKER_BUNDLE}.cache`)
  const save = `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(cache)}, script.createCachedData()))\n`
  writeFileSync(join(libs, maker), starter.replace(/^script\.run/m, `${save}script.run`))
  const folder = mkdtempSync(join(libs, 'make-cache-'))
  const zookeeper = await startProgram(
    libs,
    'zookeeper.mjs',
    { dataDir: join(folder, 'zookeeper'), clientPort: '0', clientPortAddress: '127.0.0.1' },
    /binding to port \S+:(\d+) /,
  )
  const children = [zookeeper.child]
  const logs = (id: number): string => join(folder, `logs-${id}`)
  const start = async (id: number, program: string): Promise<Program> => {
    const properties = {
      'broker.id': `${id}`,
      listeners: 'PLAINTEXT://127.0.0.1:0',
      'zookeeper.connect': `127.0.0.1:${zookeeper.found[1]}`,
      'log.dirs': logs(id),
    }
    const broker = await startProgram(libs, program, properties, /EndPoint\(127\.0\.0\.1,(\d+),[\s\S]* started \(/)
    children.push(broker.child)
    return broker
  }
  try {
    await liveABrokersLife(
      (id) => start(id, 'broker.cjs'),
      () => rmSync(join(logs(0), '.kafka_cleanshutdown')),
      () => start(0, maker),
    )
  } finally {
    for (const child of children.reverse()) await stopProgram(child)
    for (const path of [join(libs, maker), folder]) rmSync(path, { recursive: true, force: true })
  }
  if (!existsSync(cache)) throw new Error('The bundled broker has left no code cache')
}
