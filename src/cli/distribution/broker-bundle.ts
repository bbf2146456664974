/**
 * The broker as one script, because that alone can be loaded with V8's code cache. The cache holds what a broker runs from its start to its
 * end, with a ZooKeeper, so that nothing of a start is compiled; all functions would be too many (40 - 60 ms more to load).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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

/** Starts a program of `libs` and resolves when it has printed `line`; rejects with what it printed when it ends before, or takes too long. */
function startProgram(
  libs: string,
  program: string,
  properties: Readonly<Record<string, string>>,
  line: RegExp,
): Promise<{ child: ChildProcess; found: RegExpExecArray }> {
  const file = join(libs, `${program}.properties`)
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

/** Runs the bundled broker once, on the bundled ZooKeeper, and keeps what was compiled. Throws when it does not run. */
export async function writeCodeCache(libs: string): Promise<void> {
  const maker = 'make-cache.cjs'
  const cache = join(libs, `${BROKER_BUNDLE}.cache`)
  const save = `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(cache)}, script.createCachedData()))\n`
  writeFileSync(join(libs, maker), starter.replace(/^script\.run/m, `${save}script.run`))
  const [zkData, logs] = [join(libs, 'make-cache-zookeeper'), join(libs, 'make-cache-logs')]
  const zookeeper = await startProgram(
    libs,
    'zookeeper.mjs',
    { dataDir: zkData, clientPort: '0', clientPortAddress: '127.0.0.1' },
    /binding to port \S+:(\d+) /,
  )
  try {
    const broker = await startProgram(
      libs,
      maker,
      {
        'broker.id': '0',
        listeners: 'PLAINTEXT://127.0.0.1:0',
        'zookeeper.connect': `127.0.0.1:${zookeeper.found[1]}`,
        'log.dirs': logs,
      },
      /Starting the controller scheduler/,
    )
    await stopProgram(broker.child)
  } finally {
    await stopProgram(zookeeper.child)
    for (const path of [join(libs, maker), zkData, logs]) rmSync(path, { recursive: true, force: true })
  }
  if (!existsSync(cache)) throw new Error('The bundled broker has left no code cache')
}
