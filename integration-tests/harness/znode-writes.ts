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

/** Folder of a scenario, and the chroot in which it ran. */
export type Scenario = 'main' | 'auto' | 'old' | 'consumers' | 'secure'
/** What its brokers had that ours have not: an authorizer, which has a session of its own, and delegation tokens. */
const SECURITY = / #2$|^\/(?:kafka-acl|delegation_token)/
const CHROOTS: Readonly<Partial<Record<Scenario, string>>> = { auto: '/kafka/one' }

function rows(number: number, scenario: Scenario): { name: string; rows: Record<string, never>[] } {
  const folder = golden(`znodes/${scenario}`)
  const prefix = `${String(number).padStart(2, '0')}-`
  const file = readdirSync(folder).find((name) => name.startsWith(prefix)) ?? ''
  const lines = readFileSync(join(folder, file), 'utf8').trim().split('\n')
  return { name: file.replace('.jsonl', ''), rows: lines.map((line) => JSON.parse(line) as Record<string, never>) }
}

export function goldenStep(number: number, scenario: Scenario = 'main'): GoldenStep {
  const { name, rows: lines } = rows(number, scenario)
  const txns = lines.flatMap(({ txn }) => (txn === undefined ? [] : [txn as RecordedWrite & { by: string }]))
  const wanted = txns.filter(({ by, path = '' }) => scenario !== 'secure' || !(SECURITY.test(by) || SECURITY.test(path)))
  const writes = wanted.map((txn) => ({ ...withoutChroot(txn, CHROOTS[scenario] ?? ''), by: txn.by.replace(/ #\d+$/, '') }))
  return { name, writes }
}

/** A write as a session in the chroot sees it; what lies outside keeps its path. */
export function withoutChroot<W extends RecordedWrite>(write: W, chroot: string): W {
  const { path } = write
  return path?.startsWith(`${chroot}/`) === true ? { ...write, path: path.slice(chroot.length) } : write
}

/** The tree that the step before left behind. */
export function beforeGoldenStep(number: number, scenario: Scenario = 'main'): Before {
  const nodes = new Map<string, { data: string | null; version: number }>()
  if (number > 1) {
    const chroot = CHROOTS[scenario] ?? ''
    for (const row of rows(number - 1, scenario).rows as unknown as {
      node?: string
      data: string | null
      dataVersion: number
    }[]) {
      if (row.node?.startsWith(chroot) === true)
        nodes.set(row.node.slice(chroot.length), { data: row.data, version: row.dataVersion })
    }
  }
  return { controllerEpoch: Number(nodes.get('/controller_epoch')?.data ?? 0), nodes }
}

const STATE = /^\/brokers\/topics\/([^/]+)\/partitions\/(\d+)\/state$/

/** `anyIsrOrder`: members join an ISR in the order of their clocks. */
export interface Masks {
  readonly anyIsrOrder?: boolean
  /** Brokers' assignments were drawn. */
  readonly anyReplicas?: boolean
}

function maskData(path: string, data: string | null, before: Before, masks: Masks): string | null {
  if (data === null) return null
  if (masks.anyReplicas === true && path.startsWith('/brokers/topics/')) {
    return maskData(path, data.replace(/\[\d[\d,]*\]/g, '["<drawn>"]').replace(/"leader":\d+/, '"leader":0'), before, {})
  }
  if (STATE.test(path)) {
    const now = JSON.parse(data) as Record<string, number>
    const then = JSON.parse(before.nodes.get(path)?.data ?? '{"leader_epoch":0,"controller_epoch":0}') as Record<string, number>
    const ahead = (now['controller_epoch'] ?? 0) - before.controllerEpoch
    const epoch = ahead === 0 ? 'now' : now['controller_epoch'] === then['controller_epoch'] ? 'kept' : ahead
    const isr = masks.anyIsrOrder === true ? (now['isr'] as unknown as number[]).sort((a, b) => a - b) : undefined
    return (isr === undefined ? data : data.replace(/"isr":\[[\d,]*\]/, `"isr":[${isr}]`))
      .replace(/"controller_epoch":\d+/, `"controller_epoch":<${epoch}>`)
      .replace(/"leader_epoch":\d+/, `"leader_epoch":<+${(now['leader_epoch'] ?? 0) - (then['leader_epoch'] ?? 0)}>`)
  }
  if (path === '/latest_producer_id_block') {
    const first = (text: string | null | undefined): number => Number(/"block_start":"(\d+)"/.exec(text ?? '')?.[1] ?? -1000)
    const ahead = first(data) - first(before.nodes.get(path)?.data)
    return data.replace(/"block_start":"\d+","block_end":"\d+"/, `<+${ahead}>`)
  }
  if (path === '/controller_epoch') return `<+${Number(data) - before.controllerEpoch}>`
  if (path === '/cluster/id') return data.replace(/"id":"[\w-]{22}"/, '"id":"<id>"')
  return (
    data
      .replace(/"timestamp":"\d+"/, '"timestamp":"<time>"')
      // A listener of this name with another protocol stands for the recorded one.
      .replace('"SASL_PLAINTEXT":"SASL_PLAINTEXT"', '"SASL_PLAINTEXT":"PLAINTEXT"')
      .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
      .replace(/"port":\d+/, '"port":<port>')
  )
}

/** One line per write. */
function line(write: RecordedWrite, before: Before, masks: Masks): string {
  const path = write.path ?? ''
  const masked = path
    .replace(/(isr_change_|config_change_|log_dir_event_)\d+/, '$1')
    .replace(/(isr_change_|config_change_|log_dir_event_)$/, '$1<n>')
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
    'data' in write && write.data !== undefined ? JSON.stringify(maskData(path, write.data, before, masks)) : '',
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
export function comparable(writes: readonly RecordedWrite[], before: Before, masks: Masks = {}): string[] {
  const nodes = new Map(before.nodes)
  const out: string[] = []
  let batch: { path: string; text: string }[] = []
  let batchKind = ''
  const flush = (): void => {
    // Stable: what was written to one node keeps its order.
    batch.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
    out.push(...batch.map(({ text }) => text))
    batch = []
  }
  const isBlock = ({ path }: RecordedWrite): boolean => path === '/latest_producer_id_block'
  for (const write of [...writes.filter((one) => !isBlock(one)), ...writes.filter(isBlock)]) {
    if (write.path?.startsWith('/isr_change_notification/') === true) continue
    if (kind(write) !== batchKind) flush()
    batchKind = kind(write)
    batch.push({ path: write.path ?? '', text: line(write, { ...before, nodes }, masks) })
    if (write.op === 'setData' && write.error === undefined && write.path !== undefined) {
      nodes.set(write.path, { data: write.data ?? null, version: (nodes.get(write.path)?.version ?? 0) + 1 })
    }
  }
  flush()
  return out
}

/**
 * Partitions that are moved at the same time finish in an order of chance: writes of a topic's assignment become one write per partition that
 * changed (to a path of its own), writes of the list of reassignments tell only how many are left.
 */
export function partitionByPartition<W extends RecordedWrite>(writes: readonly W[], before: Before): W[] {
  const known = new Map<string, string>()
  const isAssignment = (path: string): boolean => /^\/brokers\/topics\/[^/]+$/.test(path)
  const replicasIn = (data: string): [string, readonly number[]][] =>
    Object.entries((JSON.parse(data) as { partitions: Record<string, number[]> }).partitions)
  for (const [path, { data }] of before.nodes) {
    if (!isAssignment(path) || data === null) continue
    for (const [partition, replicas] of replicasIn(data)) known.set(`${path} ${partition}`, String(replicas))
  }
  return writes.flatMap((write) => {
    const { op, path = '', data } = write
    if (op !== 'setData' || typeof data !== 'string') return [write]
    if (path === '/admin/reassign_partitions') {
      const left = (JSON.parse(data) as { partitions: unknown[] }).partitions.length
      return [{ ...write, data: `${left} left` }]
    }
    if (!isAssignment(path)) return [write]
    return replicasIn(data).flatMap(([partition, replicas]) => {
      const key = `${path} ${partition}`
      if (known.get(key) === String(replicas)) return []
      known.set(key, String(replicas))
      return [{ ...write, path: `${path}#${partition}`, data: JSON.stringify(replicas) }]
    })
  })
}

/** The nodes that `wanted` chooses, masked as writes are: the tree after a step, `before` being the one before it. */
export function comparableTree(after: Before, before: Before, wanted: (path: string) => boolean, masks: Masks = {}): string[] {
  return [...after.nodes]
    .filter(([path]) => wanted(path))
    .map(([path, { data }]) => `${path} ${JSON.stringify(maskData(path, data, before, masks))}`)
    .sort()
}
