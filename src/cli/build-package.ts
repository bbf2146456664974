/**
 * Lays out `dist/npm/`, the npm package's code: for `samsa` and `samsa/testing` one bundled CommonJS file each, a thin ES module over it (so
 * that a program which mixes both kinds has one library, not two), and declarations. Packages stay outside: they are `dependencies`.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const repository = [join(here, '..', '..'), join(here, '..', '..', '..')].find((folder) =>
  existsSync(join(folder, 'tsconfig.json')),
)
if (repository === undefined) throw new Error(`${here} is not within the repository`)
const target = join(repository, 'dist', 'npm')

/** Entry of the package -> source. */
const entries = { index: 'src/client/index.ts', testing: 'src/testing/index.ts' } as const
const names = Object.keys(entries) as (keyof typeof entries)[]

/** The test cluster uses the library as its users do: one library, one set of error classes. */
const clientStaysOutside: Plugin = {
  name: 'client-stays-outside',
  setup({ onResolve }) {
    onResolve({ filter: /\/client\/index\.ts$/ }, ({ importer }) =>
      importer.includes('/src/testing/') ? { path: './index.js', external: true } : undefined,
    )
  },
}

async function bundle(name: keyof typeof entries): Promise<void> {
  await build({
    entryPoints: [join(repository!, entries[name])],
    outfile: join(target, `${name}.js`),
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    keepNames: true,
    plugins: [clientStaysOutside],
    define: { 'import.meta.url': 'samsaUrl' },
    banner: { js: "const samsaUrl = require('node:url').pathToFileURL(__filename).href" },
    logLevel: 'warning',
  })
}

/** Named exports one by one: Node cannot always see those of a CommonJS file. */
function writeModule(name: keyof typeof entries): void {
  const library = createRequire(import.meta.url)(join(target, `${name}.js`)) as object
  const names = Object.keys(library).sort()
  writeFileSync(
    join(target, `${name}.mjs`),
    `import library from './${name}.js'\nexport const { ${names.join(', ')} } = library\n`,
  )
}

function writeDeclarations(): void {
  const project = join(target, 'tsconfig.json')
  writeFileSync(
    project,
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: { declaration: true, emitDeclarationOnly: true, sourceMap: false, rootDir: '../..', outDir: 'types' },
      files: [...Object.values(entries), 'zk/client/node-zookeeper-client.d.ts'].map((file) => `../../${file}`),
      include: [],
      exclude: [],
    }),
  )
  const tsc = createRequire(import.meta.url).resolve('typescript/package.json')
  execFileSync(process.execPath, [join(dirname(tsc), 'bin', 'tsc'), '-p', project], { stdio: 'inherit' })
  rmSync(project)
  for (const [name, source] of Object.entries(entries)) {
    const text = `/// <reference types="node" />\nexport * from './types/${source.replace(/\.ts$/, '.js')}'\n`
    for (const ending of ['.d.ts', '.d.mts']) writeFileSync(join(target, `${name}${ending}`), text)
  }
}

const SPECIFIER = /((?:from|import\()\s*['"]\.[^'"]+)\.ts(?=['"])/g

/** Declarations that no entry leads to say nothing to a user; the others name each other as JavaScript files, which every compiler accepts. */
function prune(): void {
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    const text = readFileSync(file, 'utf8').replace(SPECIFIER, '$1.js')
    writeFileSync(file, text)
    for (const [, specifier] of text.matchAll(/(?:from|import\()\s*['"](\.[^'"]+)\.js['"]/g)) {
      visit(join(dirname(file), `${specifier}.d.ts`))
    }
  }
  for (const name of names) visit(join(target, `${name}.d.ts`))
  for (const path of readdirSync(join(target, 'types'), { recursive: true, encoding: 'utf8' })) {
    const file = join(target, 'types', path)
    if (path.endsWith('.d.ts') && !reached.has(file)) rmSync(file)
  }
}

rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })
// The declarations below are those of CommonJS, which both kinds of users may import.
writeFileSync(join(target, 'package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`)
for (const name of names) await bundle(name)
for (const name of names) writeModule(name)
writeDeclarations()
prune()
process.stdout.write(`${relative(process.cwd(), target)}\n`)
