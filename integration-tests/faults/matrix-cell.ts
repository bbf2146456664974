/** One cell of the fault matrix: a fresh cluster with roles in their places, the workload, the fault, the verdict. */
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Breakage } from '../../src/sim/canaries.ts'
import { timelineLine } from '../../src/sim/trace.ts'
import type { Violation } from '../../src/sim/world.ts'
import { RealWorld } from '../harness/history-world.ts'
import { LinkedCluster } from '../harness/link-cluster.ts'
import { ROOT_ROWS, ROWS, type Row, type Target } from './matrix-rows.ts'
import { Verdict } from './matrix-verdict.ts'
import { COPIED, EVENTS, PARTITIONS, Workload } from './matrix-workload.ts'

const SERVED = 5

export interface CellName {
  readonly row: Row
  readonly target: Target
}

export interface CellOptions {
  /** Added to `server.properties` of all brokers. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>
  /** Clients that misbehave, for canaries. */
  readonly breaks?: readonly Breakage[]
  /** Where the logs of brokers and the timeline of a cell that failed are kept; default: nowhere. */
  readonly keep?: string
}

export interface CellResult {
  readonly cell: string
  readonly what: string
  /** Acknowledged records before the fault, and in all. */
  readonly acknowledged: { readonly before: number; readonly after: number }
  /** Longest time without an acknowledgement of one partition, from the fault on. */
  readonly unavailableMs: number
  readonly counts: Workload['history']['counts']
  readonly violations: readonly Violation[]
}

/** `kill`: all cells of the row; `kill/leader`: one. Throws naming what there is. */
export function cellsOf(word: string): CellName[] {
  const [name = '', target] = word.split('/')
  const row = [...ROWS, ...ROOT_ROWS].find((one) => one.name === name)
  if (row === undefined) throw new Error(`no row ${name}; there are ${[...ROWS, ...ROOT_ROWS].map((one) => one.name).join(', ')}`)
  const targets = row.targets.filter((one) => target === undefined || one === target)
  if (targets.length === 0) throw new Error(`row ${name} has no target ${target}; it has ${row.targets.join(', ')}`)
  return targets.map((one) => ({ row, target: one }))
}

export function allCells(): CellName[] {
  return ROWS.flatMap(({ name }) => cellsOf(name))
}

/** The target has one role and nobody else has it; answers the broker. */
async function giveRoles(linked: LinkedCluster, target: Target): Promise<number> {
  const controller = await linked.controller()
  const [a, b] = linked.others(controller) as [number, number]
  const leads = (role: Target) => (target === role ? a : b)
  await linked.createTopics([
    { topic: EVENTS, partitions: PARTITIONS, leader: leads('leader') },
    { topic: COPIED, partitions: PARTITIONS, leader: leads('leader') },
    { topic: '__consumer_offsets', partitions: 1, leader: leads('group'), compact: true },
    { topic: '__transaction_state', partitions: 1, leader: leads('transaction'), compact: true },
  ])
  return target === 'controller' ? controller : target === 'zookeeper' ? b : a
}

export async function runCell({ row, target }: CellName, options: CellOptions = {}): Promise<CellResult> {
  const cell = `${row.name}/${target}`
  const linked = await LinkedCluster.start({ ...row.cluster, properties: { ...row.cluster?.properties, ...options.properties } })
  let workload: Workload | undefined
  try {
    const id = await giveRoles(linked, target)
    const world = new RealWorld(cell, linked.ports)
    workload = new Workload(world, linked, new Set(options.breaks))
    const { history, plain } = workload
    const verdict = new Verdict(world, linked, workload)
    workload.start()
    await workload.progress(SERVED)
    const before = history.counts.acks
    const began = world.clock.now()
    const serves = () => workload!.progress(SERVED, plain)
    let unavailableMs = 0
    try {
      await row.run({ linked, workload, target, id, serves })
      const isWhole = await verdict.converged()
      if (isWhole && world.violations.length === 0) {
        await workload.progress(SERVED)
        unavailableMs = Math.max(...plain.map((name) => history.longestGapMs(name, began, world.clock.now())))
        await workload.stop(() => verdict.isCopied())
        await verdict.judge()
      } else if (isWhole) {
        await workload.stop(async () => true)
        await verdict.judgeLogs()
      }
    } catch (error) {
      world.violation('fault', error instanceof assert.AssertionError ? error.message : String((error as Error).stack))
    }
    const acknowledged = { before, after: history.counts.acks }
    if (world.violations.length > 0 && options.keep !== undefined) keepEvidence(join(options.keep, cell), linked, world)
    return { cell, what: row.what, acknowledged, unavailableMs, counts: history.counts, violations: world.violations }
  } finally {
    workload?.close()
    await linked.close()
  }
}

export function line({ cell, what, acknowledged: { before, after }, unavailableMs, violations }: CellResult): string {
  const first = violations[0]
  const verdict = first === undefined ? 'clean' : `${first.check}: ${first.message.slice(0, 300)}`
  const numbers = `${String(before).padStart(5)} ${String(after).padStart(6)} ${String(Math.round(unavailableMs)).padStart(7)} ms`
  return `${cell.padEnd(28)} ${what.padEnd(42)} ${numbers}  ${verdict}`
}

function keepEvidence(directory: string, linked: LinkedCluster, world: RealWorld): void {
  mkdirSync(directory, { recursive: true })
  const seen = world.violations.map(({ check, message }) => `${check}: ${message}\n`)
  writeFileSync(join(directory, 'timeline.txt'), [...seen, ...world.trace.entries.map(timelineLine)].join('\n'))
  for (const { options, logFile } of linked.cluster.brokers) copyFileSync(logFile, join(directory, `broker-${options.id}.log`))
  for (const folder of linked.logDirs())
    cpSync(folder, join(directory, folder.split('/').slice(-2).join('-')), { recursive: true })
}
