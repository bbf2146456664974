import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a genuine Kafka did to ZooKeeper: `integration-tests/golden/znodes` (its README describes the files). */
const here = dirname(fileURLToPath(import.meta.url))
// From zk/znodes, or from build/zk/znodes.
const root = [join(here, '..', '..'), join(here, '..', '..', '..')].map((folder) =>
  join(folder, 'integration-tests/golden/znodes'),
)

export interface GoldenTransaction {
  readonly by: string
  readonly op: string
  readonly path?: string
  readonly data?: string | null | { readonly base64: string }
  readonly mode?: string
  readonly expected?: number
  readonly error?: string
}

export interface GoldenNode {
  readonly node: string
  readonly data: string | null | { readonly base64: string }
  readonly dataVersion: number
  readonly ephemeralOwner: unknown
}

export interface GoldenStep {
  /** `main/01-start-broker-0` */
  readonly name: string
  readonly transactions: readonly GoldenTransaction[]
  readonly nodes: readonly GoldenNode[]
}

function list(folder: string): string[] {
  for (const base of root) {
    try {
      return readdirSync(join(base, folder)).map((name) => join(folder, name))
    } catch {}
  }
  throw new Error(`integration-tests/golden/znodes/${folder} is missing`)
}

function readText(path: string): string {
  for (const base of root) {
    try {
      return readFileSync(join(base, path), 'utf8')
    } catch {}
  }
  throw new Error(`integration-tests/golden/znodes/${path} is missing`)
}

/** All steps of a scenario, in order: `main`, `consumers`, `secure`, `auto`, `old`, `versions/0.9.0.1`, ... */
export function goldenSteps(scenario: string): GoldenStep[] {
  return list(scenario)
    .filter((path) => path.endsWith('.jsonl'))
    .sort()
    .map(goldenStep)
}

export function goldenStep(path: string): GoldenStep {
  const lines = readText(path)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { txn?: GoldenTransaction } & Partial<GoldenNode>)
  return {
    name: path.replace(/\.jsonl$/, ''),
    transactions: lines.flatMap(({ txn }) => (txn === undefined ? [] : [txn])),
    nodes: lines.filter((line): line is GoldenNode => line.node !== undefined),
  }
}

export function goldenVersions(): string[] {
  return list('versions')
}

export function bytesOf(data: GoldenNode['data'] | undefined): Buffer | null {
  if (data === null || data === undefined) return null
  return typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.base64, 'base64')
}
