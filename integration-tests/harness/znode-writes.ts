/**
 * Brings recorded ZooKeeper writes (ours and the genuine ones) into one comparable form: what differs from run to run is masked, epochs and
 * versions become differences to the state before the step, and writes of one event that concern different partitions (the genuine broker
 * walks a hash map there) are sorted.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { golden } from './golden.ts'
import type { RecordedWrite } from './zookeeper-proxy.ts'

export interface GoldenStep {
  readonly name: string
  /** In zxid order, `by` without the number of the owner's session. */
  readonly writes: readonly (RecordedWrite & { readonly by: string })[]
}

/** What a node looked like before the step. */
export interface Before {
  readonly controllerEpoch: number
  readonly nodes: ReadonlyMap<string, { readonly data: string | null; readonly version: number }>
}

const folder = golden('znodes/main')

function rows(number: number): { name: string; rows: Record<string, never>[] } {
  const prefix = `${String(number).padStart(2, '0')}-`
  const file = readdirSync(folder).find((name) => name.startsWith(prefix)) ?? ''
  const lines = readFileSync(join(folder, file), 'utf8').trim().split('\n')
  return { name: file.replace('.jsonl', ''), rows: lines.map((line) => JSON.parse(line) as Record<string, never>) }
}

export function goldenStep(number: number): GoldenStep {
  const { name, rows: lines } = rows(number)
  const txns = lines.flatMap(({ txn }) => (txn === undefined ? [] : [txn as RecordedWrite & { by: string }]))
  return { name, writes: txns.map((txn) => ({ ...txn, by: txn.by.replace(/ #\d+$/, '') })) }
}

/** The tree that the step before left behind. */
export function beforeGoldenStep(number: number): Before {
  const nodes = new Map<string, { data: string | null; version: number }>()
  if (number > 1) {
    for (const row of rows(number - 1).rows as unknown as { node?: string; data: string | null; dataVersion: number }[]) {
      if (row.node !== undefined) nodes.set(row.node, { data: row.data, version: row.dataVersion })
    }
  }
  return { controllerEpoch: Number(nodes.get('/controller_epoch')?.data ?? 0), nodes }
}

const STATE = /^\/brokers\/topics\/([^/]+)\/partitions\/(\d+)\/state$/

function maskData(path: string, data: string | null, before: Before): string | null {
  if (data === null) return null
  if (STATE.test(path)) {
    const now = JSON.parse(data) as Record<string, number>
    const then = JSON.parse(before.nodes.get(path)?.data ?? '{"leader_epoch":0,"controller_epoch":0}') as Record<string, number>
    const ahead = (now['controller_epoch'] ?? 0) - before.controllerEpoch
    const epoch = ahead === 0 ? 'now' : now['controller_epoch'] === then['controller_epoch'] ? 'kept' : ahead
    return data
      .replace(/"controller_epoch":\d+/, `"controller_epoch":<${epoch}>`)
      .replace(/"leader_epoch":\d+/, `"leader_epoch":<+${(now['leader_epoch'] ?? 0) - (then['leader_epoch'] ?? 0)}>`)
  }
  if (path === '/controller_epoch') return `<+${Number(data) - before.controllerEpoch}>`
  if (path === '/cluster/id') return data.replace(/"id":"[\w-]{22}"/, '"id":"<id>"')
  return data
    .replace(/"timestamp":"\d+"/, '"timestamp":"<time>"')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
    .replace(/"port":\d+/, '"port":<port>')
}

/** One line per write. */
function line(write: RecordedWrite, before: Before): string {
  const path = write.path ?? ''
  const masked = path.replace(/(isr_change_|config_change_)\d+/, '$1').replace(/(isr_change_|config_change_)$/, '$1<n>')
  const version = before.nodes.get(path)?.version ?? 0
  const relative = STATE.test(path) || path === '/controller_epoch' || path === '/latest_producer_id_block'
  const expected =
    write.expected === undefined || write.expected < 0
      ? write.expected
      : relative
        ? `v+${write.expected - version}`
        : write.expected
  return [
    write.op,
    masked,
    'data' in write && write.data !== undefined ? JSON.stringify(maskData(path, write.data, before)) : '',
    write.mode ?? '',
    expected === undefined ? '' : `expected ${expected}`,
    write.error ?? '',
  ]
    .filter((word) => word !== '')
    .join(' ')
}

/** Writes of the same kind that follow each other, for different partitions, form one batch. */
function kind(write: RecordedWrite): string {
  const path = write.path ?? ''
  if (!path.startsWith('/brokers/topics/')) return `${write.op} ${path} ${write.error ?? ''}`
  return `${write.op} ${path.replace(/^\/brokers\/topics\/[^/]+/, '').replace(/\d+/g, 'N')}`
}

/**
 * Comparable lines of one session's writes. ISR notifications are left out (their moment depends on clocks; they are checked by themselves).
 * The producer-id block comes last: a starting broker claims it in parallel to the election.
 * A leader epoch that rises several times within one step counts from the write before.
 */
export function comparable(writes: readonly RecordedWrite[], before: Before): string[] {
  const nodes = new Map(before.nodes)
  const out: string[] = []
  let batch: string[] = []
  let batchKind = ''
  const flush = (): void => {
    out.push(...batch.sort())
    batch = []
  }
  const isBlock = ({ path }: RecordedWrite): boolean => path === '/latest_producer_id_block'
  for (const write of [...writes.filter((one) => !isBlock(one)), ...writes.filter(isBlock)]) {
    if (write.path?.startsWith('/isr_change_notification/') === true) continue
    if (kind(write) !== batchKind) flush()
    batchKind = kind(write)
    batch.push(line(write, { ...before, nodes }))
    if (write.op === 'setData' && write.error === undefined && write.path !== undefined) {
      nodes.set(write.path, { data: write.data ?? null, version: (nodes.get(write.path)?.version ?? 0) + 1 })
    }
  }
  flush()
  return out
}
