import type { Log } from '../log/types.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { settle } from '../ports/memory/virtual-clock.ts'
import { Admin, AGEING, EXPIRING } from './admin.ts'
import { AgeChecker, RETENTION_MS } from './age-checker.ts'
import type { Breakage } from './breakages.ts'
import { portWrappers } from './breakages.ts'
import { SimClient } from './client.ts'
import { Cluster } from './cluster.ts'
import { runConsumer } from './consumer.ts'
import { Convergence } from './convergence.ts'
import { runCopier } from './copier.ts'
import { FinalCheck } from './final-check.ts'
import { GroupHistory } from './group-history.ts'
import { runGroupMember } from './group-member.ts'
import { History } from './history.ts'
import { judgeCompaction, KeyedHistory, keyedRecordsIn } from './keyed-history.ts'
import { runKeyed } from './keyed-producer.ts'
import { bytesOf } from './log-bytes.ts'
import { mutate } from './mutations.ts'
import type { Fault } from './nemesis.ts'
import { Nemesis } from './nemesis.ts'
import { runPipelined } from './pipelined-producer.ts'
import type { RunPlan } from './presets.ts'
import { planRun } from './presets.ts'
import { runProducer } from './producer.ts'
import { ReplicaChecker } from './replica-checker.ts'
import { judgeRetention } from './retention-check.ts'
import type { TraceEntry } from './trace.ts'
import { runTransactional } from './transactional-producer.ts'
import type { Violation } from './world.ts'
import { World } from './world.ts'
import { ZnodeChecker } from './znode-checker.ts'

const WARM_MS = 30_000
const CONVERGE_MS = 60_000
/** Clients have had their last answers by then; what retention takes has gone. */
const DRAIN_MS = 4000
/** Between two looks at a cluster that is to come to rest. */
const LOOK_MS = 50
/** Instead, where nothing needs to get well again. */
const SHORT_MS = 10_000
export const TOPIC = 'events'
const COPY_TOPIC = 'copied'
const COMPACTED = 'compacted'
/** By the slowest of the clocks a run takes so much less time, at most. */
const SLOW_CLOCK_MS = 5000

export interface RunOptions {
  readonly seed: number
  readonly preset: string
  /** Instead of what is drawn: a run that was found once is so kept when seeds draw something else. */
  readonly plan?: Partial<RunPlan>
  /** Instead of the drawn ones. */
  readonly faults?: readonly Fault[]
  /** Added to `server.properties` of all brokers, after the drawn ones. */
  readonly properties?: Readonly<Record<string, string>>
  readonly breaks?: readonly Breakage[]
  /** The only checker that counts: shows that it notices something by itself. */
  readonly only?: string
  readonly isVerbose?: boolean
}

export interface RunResult {
  readonly seed: number
  readonly preset: string
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly virtualMs: number
  readonly events: number
  readonly counts: History['counts']
  readonly sometimes: ReadonlyMap<string, number>
  readonly plan: RunPlan
  readonly trace: readonly TraceEntry[]
}

const RETENTION_BYTES = 5000
const SEGMENT_BYTES = 700

/** Where one of these is drawn, a fetch brings a batch, or what is left of a segment of a few. */
const SLOWING: readonly string[] = ['replica.fetch.response.max.bytes', 'log.index.size.max.bytes']

/** From these, records go without anybody's asking: a consumer of its own reads what is there. */
const LOSING: ReadonlySet<string> = new Set([COMPACTED, EXPIRING, AGEING])

/** What a run writes to, and the settings of each. */
function topicsOf({ workload }: RunPlan): readonly (readonly [string, Readonly<Record<string, string>>])[] {
  return [
    [TOPIC, {}],
    ...(workload.copiers > 0 ? ([[COPY_TOPIC, {}]] as const) : []),
    ...(workload.keyed > 0 ? ([[COMPACTED, COMPACTING]] as const) : []),
    ...(workload.expiring > 0 ? ([[EXPIRING, RETAINING]] as const) : []),
    ...(workload.ageing > 0 ? ([[AGEING, LETTING_GO]] as const) : []),
  ]
}

/** Small segments, nearly always dirty enough. Tombstones outlive every outage of a replica: who misses one keeps what it deletes, as in 1.1. */
const COMPACTING = {
  'cleanup.policy': 'compact',
  'segment.bytes': '900',
  'min.cleanable.dirty.ratio': '0.05',
  'delete.retention.ms': '20000',
}
const RETAINING = { 'retention.bytes': String(RETENTION_BYTES), 'segment.bytes': String(SEGMENT_BYTES) }
const LETTING_GO = { 'retention.ms': String(RETENTION_MS), 'segment.bytes': String(SEGMENT_BYTES) }

/** One seed: warm up, faults, healing, convergence, verdict. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const { seed, preset } = options
  const drawn = planRun(new SeededRng(`${preset} ${seed}`), preset)
  const plan: RunPlan = {
    ...drawn,
    ...options.plan,
    faults: options.faults ?? options.plan?.faults ?? drawn.faults,
    properties: { ...(options.plan?.properties ?? drawn.properties), ...options.properties },
  }
  const world = new World(seed, plan.weather, options.isVerbose)
  world.only = options.only
  const undo = mutate(options.breaks ?? [])
  const onLost = (error: unknown) => {
    const text = error instanceof Error ? error.stack : String(error)
    if ((error as Error)?.name !== 'CrashSignal') world.violation('no-bug', `${world.running}: nobody caught ${text}`)
  }
  // A process that died inside a disk call leaves rejections behind that mean nothing, and throws through a microtask of its own when the call
  // was made there; a test runner would take them for failures.
  const restore = UNCAUGHT.map((event) => takeOver(event, onLost))
  try {
    return await new Run(world, plan, options).run()
  } finally {
    await settle()
    undo()
    for (const giveBack of restore) giveBack()
  }
}

const UNCAUGHT = ['unhandledRejection', 'uncaughtException'] as const

/** `listener` alone hears of this event of the process, until the function that is returned is called. */
function takeOver(event: (typeof UNCAUGHT)[number], listener: (error: unknown) => void): () => void {
  const emitter: NodeJS.EventEmitter = process
  const others = emitter.listeners(event) as ((error: unknown) => void)[]
  emitter.removeAllListeners(event)
  emitter.on(event, listener)
  return () => {
    emitter.off(event, listener)
    for (const other of others) emitter.on(event, other)
  }
}

class Run {
  readonly #world: World
  readonly #plan: RunPlan
  readonly #options: RunOptions
  readonly #breaks: ReadonlySet<Breakage>
  readonly #cluster: Cluster
  readonly #history: History
  readonly #keyed = new KeyedHistory()
  readonly #znodes: ZnodeChecker
  readonly #admin: Admin
  readonly #clients: SimClient[] = []
  /** Clients that have not ended yet. */
  #running = 0

  constructor(world: World, plan: RunPlan, options: RunOptions) {
    this.#world = world
    this.#plan = plan
    this.#options = options
    this.#breaks = new Set(options.breaks)
    this.#cluster = new Cluster(world, {
      brokers: plan.brokers,
      properties: plan.properties,
      drifts: plan.drifts,
      machine: plan.machine,
      wrappers: portWrappers(this.#breaks),
    })
    this.#history = new History(world)
    this.#znodes = new ZnodeChecker(world, this.#cluster.zooKeeper, plan.expects.allowsUnclean)
    new ReplicaChecker(this.#cluster, this.#znodes, plan.expects)
    if (plan.workload.ageing > 0) new AgeChecker(this.#cluster, AGEING)
    this.#admin = new Admin(this.#cluster, this.#znodes)
  }

  async run(): Promise<RunResult> {
    if (await this.#warm()) {
      const nemesis = this.#startFaults()
      await this.#world.run(this.#plan.faultsMs)
      nemesis.heal()
      await this.#converge()
    }
    return this.#result()
  }

  async #warm(): Promise<boolean> {
    const { partitions, replication } = this.#plan
    this.#cluster.startAll()
    let created = false
    const topics = topicsOf(this.#plan)
    const made = Promise.all(
      topics.map(([topic, settings]) => this.#admin.createTopic(topic, partitions, replication, settings)),
    ).then(() => {
      created = true
    })
    const isWarm = await this.#world.run(
      WARM_MS,
      () =>
        created &&
        [...this.#znodes.partitions.values()].filter(({ isr }) => isr.length === replication).length >=
          partitions * topics.length,
    )
    if (!isWarm && this.#world.violations.length === 0) this.#world.violation('liveness', 'the cluster did not come up')
    if (isWarm) await made
    return isWarm
  }

  /** Epoch and life of whoever leads by ZooKeeper. */
  #leaderLife(partition: number): string {
    const state = this.#znodes.partitions.get(`${TOPIC}-${partition}`)
    return `${state?.leaderEpoch}/${this.#cluster.broker(state?.leader ?? -1)?.starts}`
  }

  /** Who coordinates groups by ZooKeeper, if it has heard of that. */
  #trueCoordinator(): number | undefined {
    const state = this.#znodes.partitions.get('__consumer_offsets-0')
    const replicas = this.#cluster.broker(state?.leader ?? -1)?.process?.server.replicaManager
    return replicas?.partition('__consumer_offsets', 0)?.leaderEpoch === state?.leaderEpoch ? state?.leader : undefined
  }

  #startFaults(): Nemesis {
    const { workload, faults, slowZooKeeperMs } = this.#plan
    this.#cluster.zooKeeper.slowMs = slowZooKeeperMs
    const { partitions } = this.#plan
    const groups = new GroupHistory(this.#world)
    const trueCoordinator = () => this.#trueCoordinator()
    const common = {
      topic: TOPIC,
      partitions,
      pauseMs: workload.pauseMs,
      breaks: this.#breaks,
      trueLeader: (partition: number) => this.#znodes.partitions.get(`${TOPIC}-${partition}`)?.leader,
    }
    for (const kind of ['all', 'one', 'idempotent'] as const) {
      for (let i = 0; i < workload[kind]; i++)
        this.#client(`${kind}-${i}`, (client) => runProducer(client, this.#history, { ...common, kind }))
    }
    for (let i = 0; i < workload.pipelined; i++)
      this.#client(`pipelined-${i}`, (client) => {
        const leaderLife = (partition: number) => this.#leaderLife(partition)
        return runPipelined(client, this.#history, { ...common, kind: 'idempotent', leaderLife })
      })
    for (let i = 0; i < workload.consumers; i++)
      this.#client(`reader-${i}`, (client) => runConsumer(client, this.#history, { ...common, isCommitted: false }))
    for (let i = 0; i < workload.committedConsumers; i++)
      this.#client(`committed-${i}`, (client) => runConsumer(client, this.#history, { ...common, isCommitted: true }))
    for (let i = 0; i < workload.transactional; i++)
      this.#client(`transactional-${i}`, (client) =>
        runTransactional(client, this.#history, { ...common, abortShare: workload.abortShare }),
      )
    for (let i = 0; i < workload.groupMembers; i++)
      this.#client(`member-${i}`, (client) =>
        runGroupMember(client, this.#history, groups, { ...common, group: 'group', trueCoordinator }),
      )
    for (let i = 0; i < workload.copiers; i++) {
      const options = { from: TOPIC, to: COPY_TOPIC, partitions, group: 'copier', breaks: this.#breaks, trueCoordinator }
      this.#client(`copier-${i}`, (client) => runCopier(client, this.#history, options))
    }
    for (let i = 0; i < workload.keyed; i++)
      this.#client(`keyed-${i}`, (client) => runKeyed(client, this.#keyed, { ...common, topic: COMPACTED, kind: 'idempotent' }))
    for (const topic of [EXPIRING, AGEING] as const) {
      for (let i = 0; i < workload[topic]; i++)
        this.#client(`${topic}-${i}`, (client) => runProducer(client, this.#history, { ...common, topic, kind: 'all' }))
    }
    for (const [topic] of topicsOf(this.#plan).filter(([name]) => LOSING.has(name)))
      this.#client(`reader-${topic}`, (client) => runConsumer(client, this.#history, { ...common, topic, isCommitted: false }))
    const nemesis = new Nemesis(
      this.#cluster,
      this.#admin,
      this.#znodes,
      this.#clients.map(({ name }) => name),
    )
    nemesis.schedule(faults)
    return nemesis
  }

  #client(name: string, main: (client: SimClient) => Promise<void>): void {
    const client = new SimClient(this.#world, name, this.#plan.brokers)
    this.#clients.push(client)
    this.#running++
    main(client)
      .catch((error: unknown) => this.#world.violation('no-bug', `${name}: ${(error as Error).stack}`))
      .finally(() => this.#running--)
  }

  async #converge(): Promise<void> {
    const world = this.#world
    if (world.violations.length > 0) return
    const convergence = new Convergence(this.#cluster, this.#znodes)
    const acked = this.#history.counts.acks
    const isServing = () => this.#history.counts.acks > acked || this.#plan.workload.pauseMs === 0
    const isDone = this.#nowAndThen(() => isServing() && convergence.problem() === undefined)
    const limit = this.#plan.expects.liveness ? CONVERGE_MS : SHORT_MS
    if (!(await this.#convergesWithin(limit, isDone)) && world.violations.length === 0 && this.#plan.expects.liveness) {
      const why = convergence.problem() ?? 'nothing is acknowledged'
      world.violation('liveness', `not converged ${CONVERGE_MS} ms after healing: ${why}`)
      return
    }
    for (const client of this.#clients) client.isOver = true
    convergence.isQuiet = true
    await world.run(DRAIN_MS, () => this.#running === 0)
    if (this.#plan.workload.expiring > 0) await this.#expire()
    const isQuiet = await world.run(
      limit,
      this.#nowAndThen(() => convergence.problem() === undefined),
    )
    if (!isQuiet && world.violations.length === 0 && this.#plan.expects.liveness)
      world.violation('liveness', `not quiet: ${convergence.problem()}`)
    if (world.violations.length > 0) return
    this.#checkFinal()
    if (this.#plan.workload.ageing === 0 || !this.#plan.expects.liveness) return
    await world.run(RETENTION_MS + SLOW_CLOCK_MS)
    await this.#expire()
    this.#checkAged()
  }

  /** Under load; followers that get a batch or so at a time can be slower than clients are, for ever: these without it. */
  async #convergesWithin(limitMs: number, isDone: () => boolean): Promise<boolean> {
    if (await this.#world.run(limitMs, isDone)) return true
    if (!SLOWING.some((setting) => this.#plan.properties[setting] !== undefined)) return false
    this.#world.reached('followers slower than clients')
    for (const client of this.#clients) client.isOver = true
    return this.#world.run(limitMs, isDone)
  }

  /** A round of retention on every broker, and time for what follows from it. */
  async #expire(): Promise<void> {
    for (const node of this.#cluster.brokers) node.expireSegments()
    await this.#world.run(DRAIN_MS)
  }

  /** A look that is too dear for every event. */
  #nowAndThen(look: () => boolean): () => boolean {
    const { clock } = this.#world
    let next = 0
    return () => {
      if (clock.now() < next) return false
      next = clock.now() + LOOK_MS
      return look()
    }
  }

  #log(broker: number, topic: string, partition: number): Log | undefined {
    return this.#cluster.broker(broker)?.process?.server.replicaManager?.partition(topic, partition)?.log
  }

  #checkFinal(): void {
    const starts = this.#checkRetention()
    const startOf = (partition: string) => starts.get(partition) ?? 0
    const bytes = (broker: number, topic: string, partition: number): Buffer | undefined => {
      const log = this.#log(broker, topic, partition)
      return log === undefined ? undefined : bytesOf(log, startOf(`${topic}-${partition}`), log.logEndOffset)
    }
    const violation = (check: string, message: string) => this.#world.violation(check, message)
    const evidence = { partitions: this.#znodes.partitions, bytes, violation, compacted: new Set([COMPACTED]), startOf }
    new FinalCheck(evidence, this.#history, this.#plan.expects).run()
    this.#checkCompaction(bytes)
  }

  /** Judges what retention by size has left, and says from where on every replica has each partition that loses its old segments. */
  #checkRetention(): ReadonlyMap<string, number> {
    const starts = new Map<string, number>()
    for (const [key, { topic, partition, isr }] of this.#znodes.partitions) {
      if (topic !== EXPIRING && topic !== AGEING) continue
      const deletedUpTo = this.#admin.deletedUpTo.get(key) ?? 0
      for (const id of isr) {
        const log = this.#log(id, topic, partition)
        if (log === undefined) continue
        starts.set(key, Math.max(starts.get(key) ?? 0, log.logStartOffset))
        if (topic === AGEING) continue
        const problem = judgeRetention(log, { retentionBytes: RETENTION_BYTES, segmentBytes: SEGMENT_BYTES, deletedUpTo })
        if (problem !== undefined) this.#world.violation('retention', `${key} on broker ${id}: ${problem}`)
      }
    }
    return starts
  }

  /** Nobody has written for longer than `retention.ms`: all must be gone. */
  #checkAged(): void {
    for (const [key, { topic, partition, isr }] of this.#znodes.partitions) {
      if (topic !== AGEING) continue
      for (const id of isr) {
        const { logStartOffset, logEndOffset } = this.#log(id, topic, partition)!
        if (logStartOffset < logEndOffset)
          this.#world.violation('retention', `${key} on broker ${id}: ${logStartOffset} to ${logEndOffset} outlived their time`)
      }
    }
  }

  #checkCompaction(bytes: (broker: number, topic: string, partition: number) => Buffer | undefined): void {
    for (const [key, { topic, partition, isr }] of this.#znodes.partitions) {
      const written = this.#keyed.partitions.get(key)
      if (topic !== COMPACTED || written === undefined) continue
      for (const id of isr) {
        const log = bytes(id, topic, partition)
        if (log === undefined) continue
        const { problems, isCompacted, forgotten } = judgeCompaction(keyedRecordsIn(log), written)
        for (const problem of problems) this.#world.violation('compaction', `${key} on broker ${id}: ${problem}`)
        if (isCompacted) this.#world.reached('log compacted')
        if (forgotten > 0) this.#world.reached('key forgotten')
      }
    }
  }

  #result(): RunResult {
    const { clock, events, sometimes, trace, violations } = this.#world
    trace.mix(`end ${clock.now()} ${JSON.stringify(this.#history.counts)}`)
    return {
      seed: this.#options.seed,
      preset: this.#options.preset,
      violations,
      traceHash: trace.hash,
      virtualMs: clock.now(),
      events,
      counts: this.#history.counts,
      sometimes,
      plan: this.#plan,
      trace: trace.entries,
    }
  }
}
