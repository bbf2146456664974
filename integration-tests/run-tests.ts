/** `npm test`: every test file, unit tests first and side by side, what starts clusters afterwards and one at a time. Exit 1 when one fails. */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const build = join(dirname(fileURLToPath(import.meta.url)), '..')

function testFiles(folder: string): string[] {
  return readdirSync(join(build, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(build, folder, name))
    .sort()
}

/** Files that start processes or lean on real time; they get the machine to themselves. */
const alone = /[/\\](zk[/\\]client|zk[/\\]store|zk[/\\]contract|integration-tests)[/\\]/

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/** A test that takes longer hangs; it fails then, and the others go on. */
const TIMEOUT_MS = 240_000

/** A failed test may leave a client behind that keeps its process alive; Node ends it from 20.14 on. */
function forcedExit(): string[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isKnown = major > 22 || (major === 22 && minor >= 1) || (major === 20 && minor >= 14)
  return isKnown ? ['--test-force-exit'] : []
}

async function lane(name: string, files: readonly string[], concurrency: number): Promise<Counts> {
  if (files.length === 0) throw new Error(`no test files for ${name}: the build is not complete`)
  process.stdout.write(`\n== ${name}: ${files.length} files\n`)
  const child = spawn(
    process.execPath,
    [
      '--enable-source-maps',
      '--test',
      '--test-reporter=tap',
      `--test-concurrency=${concurrency}`,
      `--test-timeout=${TIMEOUT_MS}`,
      ...forcedExit(),
      ...files,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, SAMSA_TEST: '1' } },
  )
  let tap = ''
  let last = performance.now()
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (chunk: string) => {
    tap += chunk
    // One line per suite or top-level test, as it ends, so that a hanging one can be told by what came before it.
    for (const line of chunk.split('\n')) {
      if (!/^(not )?ok \d+ - /.test(line)) continue
      const seconds = ((performance.now() - last) / 1000).toFixed(1)
      last = performance.now()
      process.stdout.write(`${line.replace(/^(not )?ok \d+ - /, '$1ok ').replace(build, '')} (${seconds} s)\n`)
    }
  })
  const status = await new Promise<number | null>((done) => child.on('close', done))
  const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0)
  const counts = { passed: count('pass'), failed: count('fail') + count('cancelled'), skipped: count('skipped') }
  if (counts.failed > 0 || status !== 0) {
    process.stdout.write(`${failuresIn(tap)}\n`)
    if (counts.failed === 0) counts.failed = 1
  }
  process.stdout.write(`${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
  return counts
}

/** The failing points of a TAP stream with their diagnostics. */
function failuresIn(tap: string): string {
  const lines = tap.split('\n')
  const shown: string[] = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    if (!/^\s*not ok /.test(line)) continue
    const indent = /^\s*/.exec(line)?.[0].length ?? 0
    shown.push(line)
    let j = i + 1
    if (/^\s*---$/.test(lines[j] ?? '')) {
      for (; j < lines.length && !/^\s*\.\.\.$/.test(lines[j] ?? ''); j++) shown.push(lines[j] ?? '')
    }
    if (indent === 0) shown.push('')
  }
  return shown.length > 0 ? shown.join('\n') : tap.slice(-8000)
}

const only = process.argv.slice(2)
const all = ['src', 'zk', 'integration-tests']
  .flatMap(testFiles)
  .filter((file) => only.length === 0 || only.some((word) => file.includes(word)))
const lanes = [
  { name: 'unit tests', files: all.filter((file) => !alone.test(file)), concurrency: 2 },
  { name: 'ZooKeeper and cluster tests', files: all.filter((file) => alone.test(file)), concurrency: 1 },
].filter(({ files }) => only.length === 0 || files.length > 0)
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
for (const { name, files, concurrency } of lanes) {
  const counts = await lane(name, files, concurrency)
  for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counts[key]
}
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
process.exitCode = total.failed === 0 ? 0 : 1
