/**
 * Lays out `dist/kafka/` like an Apache download: `bin/` (1.1's script names), `config/`, `libs/` (one bundled file per program, so that a
 * start reads few files and the folder can be copied anywhere). Runs after `tsc`, over its output.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { BROKER_BUNDLE, writeCodeCache, writeStarter } from './distribution/broker-bundle.ts'
import { distributionFiles } from './distribution/files.ts'
import { javaClasses, tools } from './distribution/tools.ts'

const buildRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const repository = join(buildRoot, '..')
const target = join(repository, 'dist', 'kafka')
const libs = join(target, 'libs')

/** Native or optional packages stay files of their own below `libs/node_modules`. */
const external = ['@node-rs/crc32', 'koffi', 'msgpackr-extract']
/** Scopes of the packages that carry an unscoped one's binaries. */
const binaryScopes: Readonly<Record<string, string>> = { koffi: '@koromix' }
/** What a package needs only to be compiled or read about. */
const superfluous = /\/node_modules\/koffi\/(doc|vendor|lib)$/

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  external,
  logLevel: 'warning',
} as const

async function bundle(): Promise<void> {
  await build({
    ...common,
    entryPoints: {
      zookeeper: join(buildRoot, 'zk/server/server-main.js'),
      tools: join(buildRoot, 'src/cli/main.js'),
      docker: join(buildRoot, 'src/cli/docker/main.js'),
    },
    outdir: join(target, 'libs'),
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    splitting: true,
    chunkNames: 'chunk-[hash]',
    keepNames: true,
    // CommonJS packages inside an ES module still ask for node's own modules by require.
    banner: { js: "import { createRequire as samsaRequire } from 'node:module'; const require = samsaRequire(import.meta.url);" },
  })
}

async function bundleBroker(): Promise<void> {
  await build({
    ...common,
    entryPoints: [join(buildRoot, 'src/server/main.js')],
    outfile: join(libs, BROKER_BUNDLE),
    format: 'iife',
    charset: 'ascii',
    // A script has no loader of its own for them.
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'moduleUrl' },
    banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  })
  writeStarter(libs)
}

/** Copies an external package (and the platform package that carries its binary) beside the bundles. */
function copyPackage(name: string): void {
  const modules = join(repository, 'node_modules')
  const binaries = binaryScopes[name]
  if (binaries !== undefined && existsSync(join(modules, binaries)))
    cpSync(join(modules, binaries), join(target, 'libs', 'node_modules', binaries), { recursive: true, dereference: true })
  const scope = name.startsWith('@') ? (name.split('/')[0] ?? '') : ''
  const base = name.slice(scope === '' ? 0 : scope.length + 1)
  const from = join(modules, scope)
  if (!existsSync(join(from, base))) return
  for (const entry of readdirSync(from)) {
    if (entry === base || (scope !== '' && entry.startsWith(`${base}-`))) {
      cpSync(join(from, entry), join(target, 'libs', 'node_modules', scope, entry), {
        recursive: true,
        dereference: true,
        filter: (source) => !superfluous.test(source),
      })
    }
  }
}

function writeScripts(): void {
  const bin = join(target, 'bin')
  mkdirSync(bin, { recursive: true })
  for (const [name, text] of Object.entries(distributionFiles.bin)) {
    writeFileSync(join(bin, name), text)
    chmodSync(join(bin, name), 0o755)
  }
  const runner = distributionFiles.toolScript
  for (const tool of Object.keys(tools)) {
    writeFileSync(join(bin, `${tool}.sh`), distributionFiles.ownScripts[tool] ?? runner.replace('@TOOL@', tool))
    chmodSync(join(bin, `${tool}.sh`), 0o755)
  }
  const cases = Object.entries(javaClasses).map(([java, program]) => `  ${java}) set -- ${program} "\${@:2}" ;;`)
  writeFileSync(join(bin, 'kafka-run-class.sh'), distributionFiles.runClass.replace('@CASES@', cases.join('\n')))
  chmodSync(join(bin, 'kafka-run-class.sh'), 0o755)
}

function writeConfig(): void {
  const config = join(target, 'config')
  mkdirSync(config, { recursive: true })
  for (const [name, text] of Object.entries(distributionFiles.config)) writeFileSync(join(config, name), text)
  for (const name of ['LICENSE', 'README.md'])
    if (existsSync(join(repository, name))) cpSync(join(repository, name), join(target, name))
}

const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }
rmSync(target, { recursive: true, force: true })
mkdirSync(libs, { recursive: true })
await Promise.all([bundle(), bundleBroker()])
for (const name of external) copyPackage(name)
writeFileSync(
  join(libs, 'package.json'),
  `${JSON.stringify({ name: 'samsa-libs', version: manifest.version, type: 'module' })}\n`,
)
writeScripts()
writeConfig()
await writeCodeCache(libs)
