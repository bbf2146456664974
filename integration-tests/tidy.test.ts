/** The house keeps its own rules: import directions, doors of packages, banned globals, sizes, no orphans, a true ARCHITECTURE.md. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = existsSync(join(here, '..', 'package.json')) ? join(here, '..') : join(here, '..', '..')

/** A module's row, its siblings excluded, and what it may not touch. First match wins. */
const rows: readonly { readonly prefix: string; readonly row: number; readonly siblingsAllowed?: boolean }[] = [
  { prefix: 'integration-tests/', row: 7, siblingsAllowed: true },
  { prefix: 'src/sim/', row: 7 },
  { prefix: 'src/cli/', row: 6 },
  { prefix: 'src/lab/', row: 6 },
  { prefix: 'src/testing/', row: 6 },
  { prefix: 'src/server/broker', row: 6, siblingsAllowed: true },
  { prefix: 'src/server/main', row: 6, siblingsAllowed: true },
  { prefix: 'src/streams/', row: 5 },
  { prefix: 'src/connect/', row: 5 },
  { prefix: 'src/mirror/', row: 5 },
  { prefix: 'src/server/', row: 5 },
  { prefix: 'src/client/', row: 4 },
  { prefix: 'src/replication/', row: 4 },
  { prefix: 'src/controller/', row: 4 },
  { prefix: 'src/coordinator/', row: 4 },
  { prefix: 'src/security/', row: 4 },
  { prefix: 'src/log/', row: 3 },
  { prefix: 'src/rpc/', row: 3 },
  { prefix: 'src/metrics/', row: 3 },
  { prefix: 'zk/', row: 3, siblingsAllowed: true },
  { prefix: 'src/protocol/', row: 2 },
  { prefix: 'src/ports/', row: 1 },
  { prefix: 'src/base/', row: 0 },
]

/** Packages and the only places that may import them. */
const doors: Readonly<Record<string, readonly string[]>> = {
  'node-zookeeper-client': ['zk/client/'],
  pino: ['src/base/logger.ts'],
  commander: ['src/cli/'],
  'async-mutex': ['src/base/mutex.ts'],
  msgpackr: ['zk/server/', 'src/sim/', 'src/lab/', 'src/client/', 'src/streams/', 'integration-tests/'],
  '@node-rs/crc32': ['src/base/crc.ts'],
  koffi: ['src/ports/node/file-sender.ts'],
  esbuild: ['src/cli/build-distribution.ts', 'src/cli/build-package.ts'],
}

/** Folders that talk to the platform by themselves; everybody else goes through the ports. */
// The virtual clock needs one real turn of the loop to let promises settle.
const platformFolders = [
  'src/ports/node/',
  'src/ports/memory/virtual-clock.ts',
  'src/cli/',
  'src/lab/',
  'zk/',
  'integration-tests/',
  'src/server/main.ts',
  'src/sim/main.ts',
  'src/sim/workers.ts',
]
const bannedGlobals =
  /(?<![.\w'"`])(Date\.now|new Date\(\)|performance\.now|Math\.random|setTimeout|setInterval|setImmediate)(?![\w'"`])/
const bannedModules = /^node:(fs|net|dgram|http|https|timers|child_process|worker_threads|dns|tls|os)/
const tables = [/-defs\.ts$/, /errors\.ts$/, /\/apis\/\d\d-/, /distribution\/files\.ts$/]

const entries = [
  'src/server/main.ts',
  'zk/server/server-main.ts',
  'src/cli/main.ts',
  'src/cli/build-distribution.ts',
  'src/cli/build-package.ts',
  'src/cli/docker/main.ts',
  'src/lab/main.ts',
  'src/sim/main.ts',
  'integration-tests/run-tests.ts',
]

interface Source {
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
}

function walk(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'golden' || entry.name === 'node_modules' ? [] : walk(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

function importsOf(path: string, text: string): string[] {
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '')
  return found.map((target) => (target.startsWith('.') ? relative(root, join(root, dirname(path), target)) : target))
}

const sources: readonly Source[] = ['src', 'zk', 'integration-tests'].flatMap(walk).map((path) => {
  const text = readFileSync(join(root, path), 'utf8')
  return { path, text, imports: importsOf(path, text) }
})
const isTest = (path: string): boolean =>
  /\.test\.ts$|\/testing[\w-]*\.ts$|\/contract\//.test(path) || path.startsWith('integration-tests/')

function ruleOf(path: string): (typeof rows)[number] {
  const rule = rows.find(({ prefix }) => path.startsWith(prefix))
  assert.ok(rule, `${path} has no row: every folder of src/ and zk/ stands in design section 2`)
  return rule
}

/** The module that siblings are told apart by: `src/log/`, `zk/`. */
const moduleOf = (path: string): string => (path.startsWith('zk/') ? 'zk/' : path.split('/').slice(0, 2).join('/'))

/** Empty when the import is allowed. */
export function importFault(from: string, to: string): string {
  if (from.startsWith('zk/') && to.startsWith('src/') && !isTest(from)) return 'zk/ never imports src/'
  const [a, b] = [ruleOf(from), ruleOf(to)]
  if (isTest(from)) return ''
  if (isTest(to)) return 'product code never imports tests'
  if (moduleOf(from) === moduleOf(to)) {
    return b.row > a.row ? `row ${a.row} imports row ${b.row}` : ''
  }
  if (b.row > a.row) return `row ${a.row} imports row ${b.row}`
  if (b.row === a.row && a.siblingsAllowed !== true && a.row !== 6) return `siblings of row ${a.row}`
  return ''
}

function functionSizes(text: string): { line: number; size: number }[] {
  const lines = text.split('\n')
  const sizes: { line: number; size: number }[] = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    const opens =
      /^(\s*)(export )?(async )?function[ *]|^(\s*)(static |async |private |override |get |set |\*)*[\w#]+(<[^>]*>)?\([^;]*\{$|^(\s*)(export )?const \w+.*=>\s*\{$/.exec(
        line,
      )
    if (opens === null || !line.trimEnd().endsWith('{') || /^\s*(if|for|while|switch|catch|describe|it|test)\b/.test(line))
      continue
    const indent = /^\s*/.exec(line)?.[0] ?? ''
    let end = i + 1
    while (end < lines.length && !(lines[end]?.startsWith(`${indent}}`) && !lines[end]?.startsWith(`${indent}} else`))) end++
    sizes.push({ line: i + 1, size: end - i + 1 })
  }
  return sizes
}

describe('tidy', () => {
  it('imports go down only, never sideways', () => {
    const faults = sources.flatMap(({ path, imports }) =>
      imports
        .filter((target) => /^(src|zk|integration-tests)\//.test(target))
        .map((target) => ({ target, fault: importFault(path, target) }))
        .filter(({ fault }) => fault !== '')
        .map(({ target, fault }) => `${path} imports ${target}: ${fault}`),
    )
    assert.deepEqual(faults, [])
  })

  it('the import rule refuses what it should (canary)', () => {
    assert.notEqual(importFault('src/log/log.ts', 'src/replication/partition.ts'), '')
    assert.notEqual(importFault('src/controller/controller.ts', 'src/replication/partition.ts'), '')
    assert.notEqual(importFault('zk/client/session.ts', 'src/base/assert.ts'), '')
    assert.equal(importFault('src/server/handlers/00-produce.ts', 'src/replication/types.ts'), '')
  })

  it('each package enters through its one door', () => {
    const faults = sources.flatMap(({ path, imports }) =>
      imports
        .filter((target) => doors[target] !== undefined && !isTest(path))
        .filter((target) => !(doors[target] ?? []).some((door) => path.startsWith(door)))
        .map((target) => `${path} imports ${target}`),
    )
    assert.deepEqual(faults, [])
  })

  it('only ports/node and the programs touch the platform', () => {
    const faults = sources
      .filter(({ path }) => !isTest(path) && !platformFolders.some((folder) => path.startsWith(folder)))
      .flatMap(({ path, text, imports }) => {
        const modules = imports.filter((target) => bannedModules.test(target)).map((target) => `${path} imports ${target}`)
        const globals = text
          .split('\n')
          .map((line, i) => ({ line, i }))
          .filter(({ line }) => !/^\s*(\*|\/\/|\/\*)/.test(line) && bannedGlobals.test(line))
          .map(({ line, i }) => `${path}:${i + 1} ${line.trim()}`)
        return [...modules, ...globals]
      })
    assert.deepEqual(faults, [])
    assert.match('const t = Date.now()', bannedGlobals)
  })

  it('files have at most 500 lines and functions at most 70', () => {
    const faults = sources
      .filter(({ path }) => !tables.some((table) => table.test(path)) && !isTest(path))
      .flatMap(({ path, text }) => {
        const lines = text.split('\n').length
        const long = functionSizes(text)
          .filter(({ size }) => size > 70)
          .map(({ line, size }) => `${path}:${line} function of ${size} lines`)
        return lines > 501 ? [`${path} has ${lines} lines`, ...long] : long
      })
    assert.deepEqual(faults, [])
    const long = ['function x() {', ...Array.from({ length: 71 }, () => '  y()'), '}'].join('\n')
    assert.equal(functionSizes(long)[0]?.size, 73)
  })

  it('nobody leaves a file that no other file imports', () => {
    const imported = new Set(sources.flatMap(({ imports }) => imports))
    const orphans = sources
      .map(({ path }) => path)
      .filter(
        (path) =>
          !imported.has(path) &&
          !entries.includes(path) &&
          !/\.(test|d)\.ts$/.test(path) &&
          !path.startsWith('integration-tests/'),
      )
    assert.deepEqual(orphans, [])
  })

  it('every file that ARCHITECTURE.md names exists', () => {
    const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
    const named = [...text.matchAll(/`((?:src|zk|integration-tests|docker)\/[\w./-]+)`/g)].map((match) => match[1] ?? '')
    assert.ok(named.length > 20, 'ARCHITECTURE.md walks the house')
    assert.deepEqual(
      named.filter((path) => !existsSync(join(root, path))),
      [],
    )
  })
})
