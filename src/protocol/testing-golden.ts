import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { int64ToBigInt } from '../base/bytes.ts'
import type { AnyType, Fields } from './schema.ts'

/** The recorded bytes of a genuine 1.1.1 (integration-tests/golden/wire), for tests. */
function goldenFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'integration-tests/golden/wire'))) {
    if (dirname(folder) === folder) throw new Error('integration-tests/golden/wire is in no folder above this file')
    folder = dirname(folder)
  }
  return join(folder, 'integration-tests/golden/wire')
}

export function goldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(goldenFolder(), name), 'utf8')) as T
}

export function goldenLines<T>(name: string): T[] {
  const text = gunzipSync(readFileSync(join(goldenFolder(), name))).toString('utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}

export function camelCase(name: string): string {
  return name.replace(/[_-]([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** A golden value with our field names. */
export function withOurNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withOurNames)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [camelCase(name), withOurNames(inner)]))
}

/** A decoded value as the golden files write it: bytes in hex, int64 as decimal text, only the fields of `version`. */
export function asGolden(fields: Fields, value: Record<string, unknown>, version: number): Record<string, unknown> {
  const present = Object.entries(fields).filter(([, type]) => type.existsIn(version))
  return Object.fromEntries(present.map(([name, type]) => [name, valueAsGolden(type, value[name], version)]))
}

function valueAsGolden(type: AnyType, value: unknown, version: number): unknown {
  if (value === null) return null
  if (type.kind === 'array') return (value as unknown[]).map((element) => valueAsGolden(type.element!, element, version))
  if (type.kind === 'struct') return asGolden(type.fields!, value as Record<string, unknown>, version)
  if (type.kind === 'int64') return int64ToBigInt(value as number).toString()
  return Buffer.isBuffer(value) ? value.toString('hex') : value
}

/** A small seeded generator, so that a failure can be run again. */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 4294967296) * below)
  }
}
