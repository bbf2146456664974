/** Judges what is left of a cell when everything is healed, read and quiet: pure, so that each rule can be broken in a test. */
import { FinalCheck } from '../../src/sim/final-check.ts'
import type { History } from '../../src/sim/history.ts'
import { recordsIn } from '../../src/sim/log-bytes.ts'
import { ZnodeChecker } from '../../src/sim/znode-checker.ts'
import type { RealWorld } from '../harness/history-world.ts'
import { readZooKeeperLog, ZooKeeperReplay } from '../harness/history-zookeeper-log.ts'

/** Offset and value, in the order of their delivery. */
export type Delivered = readonly (readonly [offset: number, value: string])[]

export interface Replicas {
  readonly topic: string
  readonly partition: number
  readonly leader: number
  readonly isr: readonly number[]
}

/** What lies on the disks. */
export interface DiskRemains {
  readonly partitions: ReadonlyMap<string, Replicas>
  /** All segments of a replica; undefined: the broker has none. */
  bytes(broker: number, topic: string, partition: number): Buffer | undefined
}

export interface Remains extends DiskRemains {
  /** By `topic-partition`: what consumers of both isolation levels get from the beginning to the end. */
  readonly all: ReadonlyMap<string, Delivered>
  readonly committed: ReadonlyMap<string, Delivered>
  /** What was copied from where to where, and each partition's committed offset. */
  readonly copy: { readonly from: string; readonly to: string; readonly upTo: readonly number[] }
  readonly brokers: readonly { readonly id: number; readonly hasEnded: boolean; readonly log: string }[]
  /** `dataDir` of each server of the ensemble. */
  readonly zooKeeperDirectories: readonly string[]
}

/** What no log of a broker may hold, whatever was done to it. */
const BUG = /unhandled|uncaught|AssertionError|TypeError|RangeError|ReferenceError|assertion failed/i

/** `copy:7 12 plain-0:3`: the 7th attempt to write something, of the record at offset 12. */
export function copiedFrom(value: string): { readonly offset: number; readonly value: string } {
  const [, offset = '', ...rest] = value.split(' ')
  return { offset: Number(offset), value: rest.join(' ') }
}

/** Durability, replicas, order, transactions: the simulator's final checks. */
export function judgeDisks(world: RealWorld, history: History, { partitions, bytes }: DiskRemains): void {
  const evidence = { partitions, bytes, violation: (check: string, message: string) => world.violation(check, message) }
  new FinalCheck(evidence, history, { durability: true }).run()
}

export function judgeRemains(world: RealWorld, history: History, remains: Remains): void {
  checkDelivered(world, history, remains)
  checkCopy(world, remains)
  // Readers have added to what must be there.
  judgeDisks(world, history, remains)
  checkBrokers(world, remains)
  checkWrites(world, remains)
}

/** Everything that lies there is delivered; histories take note of it. */
function checkDelivered(world: RealWorld, history: History, remains: Remains): void {
  for (const [key, records] of remains.committed) for (const [offset, value] of records) history.reads(key, offset, value, true)
  for (const [key, records] of remains.all) {
    for (const [offset, value] of records) history.reads(key, offset, value, false)
    const { topic, partition, leader } = remains.partitions.get(key)!
    const bytes = remains.bytes(leader, topic, partition) ?? Buffer.alloc(0)
    const there = recordsIn(bytes).filter(({ control }) => control === undefined).length
    if (records.length !== there) world.violation('delivered', `${key}: ${records.length} of ${there} records are delivered`)
  }
}

/** G10: each committed record once, in order, up to the committed offset, and nothing else. */
function checkCopy(world: RealWorld, { committed, copy: { from, to, upTo } }: Remains): void {
  for (const [partition, end] of upTo.entries()) {
    const input = (committed.get(`${from}-${partition}`) ?? []).filter(([offset]) => offset < end)
    const output = (committed.get(`${to}-${partition}`) ?? []).map(([, value]) => copiedFrom(value))
    const at = output.findIndex(({ offset, value }, i) => input[i]?.[0] !== offset || input[i]?.[1] !== value)
    if (at < 0 && input.length === output.length) continue
    const i = at < 0 ? Math.min(input.length, output.length) : at
    const shown = `the ${i}th of ${output.length} is ${JSON.stringify(output[i])?.slice(0, 100)}`
    const message = `copy of partition ${partition}: ${shown}, ${input.length} read, there ${String(input[i]).slice(0, 100)}`
    world.violation('exactly-once', message)
  }
}

function checkBrokers(world: RealWorld, { brokers }: Remains): void {
  for (const { id, hasEnded, log } of brokers) {
    if (hasEnded) world.violation('no-bug', `broker ${id} is gone: ${log.slice(-1000)}`)
    const line = log.split('\n').find((one) => BUG.test(one))
    if (line !== undefined) world.violation('no-bug', `broker ${id} logged: ${line}`)
  }
}

/** Every write to ZooKeeper in its order: epochs, elections out of in-sync sets, deposed controllers. */
function checkWrites(world: RealWorld, { brokers, zooKeeperDirectories }: Remains): void {
  const logs = zooKeeperDirectories.map(readZooKeeperLog)
  const [longest = []] = logs.sort((a, b) => b.length - a.length)
  const replay = new ZooKeeperReplay()
  const checker = new ZnodeChecker(world, replay, false)
  replay.run(longest)
  if (checker.controllerEpoch === 0 || checker.liveBrokers.size !== brokers.length)
    world.violation(
      'zookeeper-log',
      `${longest.length} writes end in epoch ${checker.controllerEpoch}, brokers ${[...checker.liveBrokers]}`,
    )
}
