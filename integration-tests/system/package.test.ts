/**
 * The npm package as its users have it: packed, installed into a project of its own, its types checked by `tsc` with the strictest options, and
 * the examples of `integration-tests/examples` run, as ES modules and as CommonJS.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { builtinModules, createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))
const sources = join(here, '..', '..')
const repository = existsSync(join(sources, 'package.json')) ? sources : join(sources, '..')
const examples = join(repository, 'integration-tests', 'examples')
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }

/** What a user's compiler must accept and refuse. `@ts-expect-error` fails when there is no error. */
const TYPES = `
import { createAdmin, createConsumer, createProducer, KafkaException, type ProducerOptions, type RecordMetadata } from 'samsa'
import { startCluster, type BrokerProperties, type ClusterOptions } from 'samsa/testing'

const maybe: number | undefined = Math.random() > 2 ? 1 : undefined
const options: ProducerOptions = { 'bootstrap.servers': 'localhost:9092', 'linger.ms': maybe }
// @ts-expect-error a wrong key
const wrongKey: ProducerOptions = { 'bootstrap.server': 'localhost:9092' }
// @ts-expect-error a wrong value
const wrongValue: ProducerOptions = { 'linger.ms': true }
const properties: BrokerProperties = { 'min.insync.replicas': 2, 'auto.create.topics.enable': false, 'log.retention.ms': maybe }
// @ts-expect-error a wrong key
const wrongProperty: BrokerProperties = { 'min.insync.replica': 2 }
// @ts-expect-error a wrong value
const wrongPropertyValue: BrokerProperties = { 'auto.create.topics.enable': 'yes' }
// @ts-expect-error the cluster sets it
const ownProperty: BrokerProperties = { 'broker.id': 1 }
const cluster: ClusterOptions = { brokers: maybe, properties, directory: undefined }

export async function use(): Promise<RecordMetadata> {
  const running = await startCluster(cluster)
  const consumer = createConsumer<string, number>({ 'bootstrap.servers': running.bootstrapServers.split(',') })
  for await (const batch of consumer) for (const record of batch) record.value.toFixed()
  const admin = createAdmin({ 'zookeeper.connect': running.zookeeperConnect })
  await admin.close()
  const metadata = await createProducer(options).send({ topic: 't', value: Buffer.alloc(1) })
  // @ts-expect-error no number without a serializer
  await createProducer(options).send({ topic: 't', value: 1 })
  if (new Error() instanceof KafkaException) throw new Error('?')
  return metadata
}
export { wrongKey, wrongValue, wrongProperty, wrongPropertyValue, ownProperty }
`

/** A cluster from the installed package, until standard input ends. */
const CLUSTER = `
import { startCluster } from 'samsa/testing'
const cluster = await startCluster()
console.log(cluster.bootstrapServers, cluster.zookeeperConnect)
process.stdin.on('end', () => cluster.stop()).resume()
`

/** Both doors lead to one library; the test cluster throws its errors. */
const ONE_LIBRARY = `
import { createRequire } from 'node:module'
import * as modules from 'samsa'
import { startCluster } from 'samsa/testing'
const commons = createRequire(import.meta.url)('samsa')
const same = Object.keys(commons).filter((name) => commons[name] === modules[name])
const cluster = await startCluster()
const error = await cluster.createTopic('no such name!').catch((error) => error)
await cluster.stop()
console.log(same.length === Object.keys(modules).length, error instanceof modules.KafkaException, error.name)
`

const kinds = { module: 'esm', commonjs: 'cjs' } as const
type Kind = keyof typeof kinds

/** Environment of a program that is not part of this test run. */
const plainEnvironment = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined }

describe('the npm package', () => {
  const project = mkdtempSync(join(tmpdir(), 'samsa-package-'))
  let cluster: ChildProcess | undefined
  let bootstrap = ''
  let zookeeper = ''
  let packed: readonly string[] = []

  before(async () => {
    const builder = ['js', 'ts'].map((ending) => join(sources, 'src', 'cli', `build-package.${ending}`)).find(existsSync)
    assert.ok(builder, 'src/cli/build-package is there')
    await run(process.execPath, [...process.execArgv.filter((word) => !word.startsWith('--test')), builder], { cwd: repository })
    // The repository may be in use: its scripts (a whole build) do not run here.
    const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', project]
    const { stdout } = await run('npm', pack, { cwd: repository })
    const [tarball] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[]
    packed = tarball?.files.map(({ path }) => path) ?? []
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'a-users-project', private: true, type: 'module' }))
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
    await run('npm', ['install', ...quiet, join(project, tarball?.filename ?? '')], { cwd: project })
    linkNodeTypes()
    await Promise.all([compile('module'), compile('commonjs')])
    writeFileSync(join(project, 'cluster.mjs'), CLUSTER)
    cluster = spawn(process.execPath, ['cluster.mjs'], {
      cwd: project,
      env: plainEnvironment,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    for await (const line of createInterface(cluster.stdout!)) {
      ;[bootstrap = '', zookeeper = ''] = line.split(' ')
      break
    }
    assert.match(bootstrap, /^127\.0\.0\.1:\d+$/)
  })

  after(async () => {
    if (cluster?.exitCode === null) {
      const exited = new Promise((resolve) => cluster?.on('exit', resolve))
      cluster.stdin!.end()
      await exited
    }
    rmSync(project, { recursive: true, force: true })
  })

  function linkNodeTypes(): void {
    const types = join(project, 'node_modules', '@types')
    mkdirSync(types, { recursive: true })
    symlinkSync(join(repository, 'node_modules', '@types', 'node'), join(types, 'node'))
  }

  /** A user's project of this kind of modules, checked and compiled with the repository's own compiler. */
  async function compile(kind: Kind): Promise<void> {
    const folder = join(project, kinds[kind])
    mkdirSync(folder)
    cpSync(examples, folder, { recursive: true })
    writeFileSync(join(folder, 'types.ts'), TYPES)
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: kind }))
    const compilerOptions = {
      target: 'es2023',
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      outDir: 'out',
      rootDir: '.',
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
    await run(process.execPath, [compiler, '-p', folder]).catch((error: { stdout?: string }) => {
      assert.fail(`${kind}: ${error.stdout ?? String(error)}`)
    })
  }

  async function example(kind: Kind, name: string, ...flags: string[]): Promise<string> {
    const script = join(project, kinds[kind], 'out', `${name}.js`)
    const env = { ...plainEnvironment, BOOTSTRAP_SERVERS: bootstrap, ZOOKEEPER_CONNECT: zookeeper }
    return (await run(process.execPath, [...flags, script], { env, timeout: 60_000 })).stdout
  }

  it('holds the library and nothing else, and depends on what that needs', () => {
    const others = packed.filter((path) => !path.startsWith('dist/npm/'))
    assert.deepEqual(others.sort(), ['LICENSE', 'README.md', 'package.json'])
    const library = join(project, 'node_modules', 'samsa', 'dist', 'npm')
    const needed = new Set<string>()
    for (const file of ['index.js', 'testing.js']) {
      for (const [, name = ''] of readFileSync(join(library, file), 'utf8').matchAll(
        /(?:require|samsaUrl\))\(["']([^"'.][^"']*)["']\)/g,
      )) {
        if (!name.startsWith('node:') && !builtinModules.includes(name)) needed.add(/^(@[^/]+\/)?[^/]+/.exec(name)![0])
      }
    }
    assert.deepEqual([...needed].sort(), Object.keys(manifest.dependencies).sort())
  })

  it('the examples are short', () => {
    const files = readdirSync(examples)
    assert.ok(files.length >= 5)
    for (const file of files) assert.ok(readFileSync(join(examples, file), 'utf8').split('\n').length <= 40, file)
  })

  it('import and require give one library', async () => {
    writeFileSync(join(project, 'one.mjs'), ONE_LIBRARY)
    const { stdout } = await run(process.execPath, ['one.mjs'], { cwd: project, env: plainEnvironment, timeout: 60_000 })
    assert.match(stdout, /^true true \S*InvalidTopicException\n$/)
  })

  for (const kind of Object.keys(kinds) as Kind[]) {
    it(`${kind}: produce, consume, transaction, admin`, async () => {
      const orders = async (): Promise<[string, string]> => [await example(kind, 'produce'), await example(kind, 'consume')]
      const [[produced, consumed], transacted, administered] = await Promise.all([
        orders(),
        example(kind, 'transaction'),
        example(kind, 'admin'),
      ])
      assert.match(produced, /^first order: partition 0, offset \d+\n1000 orders, 0 failures\n$/)
      assert.match(consumed, /^reading 1 partitions\n\d+: customer-1 ordered "first"\n1001 orders\n$/)
      assert.match(transacted, /^moved 10\nmoved 20\nnothing moved: RangeError: amount -1\n$/)
      assert.match(administered, /^1 brokers, the controller is 0\nmetrics: created\nno such name!: \S+\npartition 0: leader 0/)
    })

    it(`${kind}: the classic consumer`, async () => {
      const archived = await example(kind, 'classic-consumer')
      assert.match(archived, /^0\/\d+: customer-1 ordered "first"\n1001 messages\n$/)
    })

    it(`${kind}: the test with a cluster of its own`, async () => {
      const output = await example(kind, 'test-cluster', '--test', '--test-reporter=tap')
      assert.match(output, /^# pass 1$/m)
      assert.match(output, /^# fail 0$/m)
    })
  }

  it('every example is run', () => {
    const text = readFileSync(fileURLToPath(import.meta.url), 'utf8')
    for (const file of readdirSync(examples)) assert.match(text, new RegExp(`'${basename(file, '.ts')}'`), file)
  })
})
