/** Runs the steps of a recorded scenario on a living cluster, and compares each session's writes and the tree afterwards with the recording. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ZkSession } from '../../zk/client/index.ts'
import {
  type Before,
  beforeGoldenStep,
  comparable,
  comparableTree,
  goldenStep,
  type Masks,
  partitionByPartition,
  type Scenario,
  withoutChroot,
} from './znode-writes.ts'
import type { RecordedWrite, ZooKeeperProxy } from './zookeeper-proxy.ts'

export interface StepOptions extends Masks {
  /**
   * A broker that leaves may be put back into an ISR by a fetch that was under way, and is then taken out again: the genuine recordings have
   * such pairs too. They do not count.
   */
  readonly ignoreReturns?: boolean
  readonly settleMs?: number
  /** Compare the order of writes node by node only: what several partitions do at the same time is interleaved by chance. */
  readonly byPath?: boolean
  /** Comparable lines that do not count, of ours and of the recorded ones. */
  readonly ignore?: RegExp
  /** Compare the tree too; default true. */
  readonly tree?: boolean
}

export class ZnodeSteps {
  readonly scenario: Scenario
  private readonly session: ZkSession
  private readonly recorders: () => readonly ZooKeeperProxy[]
  private readonly topics: ReadonlySet<string>
  private readonly chroot: string
  private marks = new Map<ZooKeeperProxy, number>()
  private origin: Before = { controllerEpoch: 0, nodes: new Map() }

  /** `session` sees the tree below `chroot`; `topics`: those that the test has, the genuine scenario had more. */
  constructor(
    scenario: Scenario,
    session: ZkSession,
    recorders: () => readonly ZooKeeperProxy[],
    topics: readonly string[],
    chroot = '',
  ) {
    this.scenario = scenario
    this.session = session
    this.recorders = recorders
    this.topics = new Set(topics)
    this.chroot = chroot
  }

  private concernsUs(path: string): boolean {
    const topic = /^\/(?:brokers|config|admin)\/(?:topics|delete_topics)\/([^/]+)/.exec(path)?.[1]
    return topic === undefined || this.topics.has(topic)
  }

  /** Nodes that a step is judged by: of our topics and of administration, those that were written in it, by us or by the genuine brokers. */
  private judged(number: number): ReadonlySet<string> {
    const written = [
      ...goldenStep(number, this.scenario).writes.map(({ path = '' }) => path),
      ...this.recorders().flatMap((proxy) => this.writesOf(proxy).map(({ path = '' }) => path)),
    ]
    return new Set(written.filter((path) => /^\/(brokers\/topics|config\/topics|admin)\/./.test(path) && this.concernsUs(path)))
  }

  async look(): Promise<Before> {
    const nodes = new Map<string, { data: string | null; version: number }>()
    const walk = async (path: string): Promise<void> => {
      const [data, children] = await this.session.requests([
        { op: 'getData', path },
        { op: 'getChildren', path },
      ])
      if (data?.code !== 'ok') return
      nodes.set(path, { data: data.data?.toString() ?? null, version: data.stat?.version ?? 0 })
      for (const child of children?.children ?? []) await walk(path === '/' ? `/${child}` : `${path}/${child}`)
    }
    await walk('/')
    return { controllerEpoch: Number(nodes.get('/controller_epoch')?.data ?? 0), nodes }
  }

  /** No write for `quietMs`. */
  async settle(quietMs = 700): Promise<void> {
    for (let seen = -1; ; ) {
      const now = this.recorders().reduce((sum, proxy) => sum + proxy.writes.length, 0)
      if (now === seen) return
      seen = now
      await sleep(quietMs)
    }
  }

  /** What a session has written since the last step began. */
  writesOf(proxy: ZooKeeperProxy): RecordedWrite[] {
    return proxy.writes
      .slice(this.marks.get(proxy) ?? 0)
      .map((write) => withoutChroot(write, this.chroot))
      .filter(({ path = '' }) => this.concernsUs(path))
  }

  /** Comparable lines of a session since the last step began. */
  linesOf(proxy: ZooKeeperProxy, masks: StepOptions = {}): string[] {
    const writes = this.writesOf(proxy)
    return lines(masks.ignoreReturns === true ? withoutReturns(writes) : writes, this.origin, masks)
  }

  goldenLines(number: number, owner: string, masks: StepOptions = {}): string[] {
    const writes = goldenStep(number, this.scenario).writes.filter(({ by, path = '' }) => by === owner && this.concernsUs(path))
    return lines(writes, beforeGoldenStep(number, this.scenario), masks)
  }

  /** Runs one step and compares. `who`: recorded owner -> our recorder. */
  async step(
    number: number,
    act: () => Promise<unknown>,
    who: Readonly<Record<string, () => ZooKeeperProxy>>,
    options: StepOptions = {},
  ): Promise<void> {
    await this.settle()
    this.origin = await this.look()
    this.marks = new Map(this.recorders().map((proxy) => [proxy, proxy.writes.length]))
    await act()
    await this.settle(options.settleMs)
    for (const [owner, proxyOf] of Object.entries(who)) {
      const want = this.goldenLines(number, owner, options)
      assert.deepEqual(this.linesOf(proxyOf(), options), want, `${goldenStep(number, this.scenario).name}: ${owner}`)
    }
    if (options.tree === false) return
    const judged = this.judged(number)
    const after = comparableTree(await this.look(), this.origin, (path) => judged.has(path), options)
    const [wantAfter, wantBefore] = [beforeGoldenStep(number + 1, this.scenario), beforeGoldenStep(number, this.scenario)]
    const want = comparableTree(wantAfter, wantBefore, (path) => judged.has(path), options)
    assert.deepEqual(after, want, `${goldenStep(number, this.scenario).name}: the tree afterwards`)
  }
}

function lines(writes: readonly RecordedWrite[], before: Before, options: StepOptions): string[] {
  const counts = (line: string): boolean => options.ignore?.test(line) !== true
  if (options.byPath !== true) return comparable(writes, before, options).filter(counts)
  const all = comparable(partitionByPartition(writes, before), before, options).filter(counts)
  const pathOf = (line: string): string => line.split(' ')[1] ?? ''
  return [...new Set(all.map(pathOf))].sort().flatMap((path) => all.filter((line) => pathOf(line) === path))
}

interface State {
  readonly leader_epoch: number
  readonly isr: readonly number[]
}

function withoutReturns(writes: readonly RecordedWrite[]): RecordedWrite[] {
  const kept: RecordedWrite[] = []
  const last = new Map<string, State>()
  for (let i = 0; i < writes.length; i++) {
    const write = writes[i]!
    const { path = '', data } = write
    const isState = path.endsWith('/state') && typeof data === 'string'
    const now = isState ? (JSON.parse(data) as State) : undefined
    const then = last.get(path)
    // Same epoch, more members: the leader's own write. What follows it on that node takes it back.
    if (now !== undefined && then?.leader_epoch === now.leader_epoch && now.isr.length > then.isr.length) {
      const undone = writes.findIndex((other, at) => at > i && other.path === path)
      if (undone > 0) {
        kept.push(...withoutReturns(writes.slice(i + 1).filter((_, at) => at !== undone - i - 1)))
        return kept
      }
    }
    if (now !== undefined) last.set(path, now)
    kept.push(write)
  }
  return kept
}
