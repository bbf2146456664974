import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { settle } from '../ports/memory/virtual-clock.ts'
import { Admin } from './admin.ts'
import type { Breakage } from './canaries.ts'
import { portWrappers } from './canaries.ts'
import { SimClient } from './client.ts'
import { Cluster } from './cluster.ts'
import { runConsumer } from './consumer.ts'
import { Convergence } from './convergence.ts'
import { FinalCheck } from './final-check.ts'
import { GroupHistory } from './group-history.ts'
import { runGroupMember } from './group-member.ts'
import { History } from './history.ts'
import type { Fault } from './nemesis.ts'
import { Nemesis } from './nemesis.ts'
import type { RunPlan } from './presets.ts'
import { planRun } from './presets.ts'
import { runProducer } from './producer.ts'
import { ReplicaChecker } from './replica-checker.ts'
import type { TraceEntry } from './trace.ts'
import { runTransactional } from './transactional-producer.ts'
import type { Violation } from './world.ts'
import { World } from './world.ts'
import { ZnodeChecker } from './znode-checker.ts'

const WARM_MS = 30_000
const CONVERGE_MS = 60_000
const DRAIN_MS = 4000
export const TOPIC = 'events'

export interface RunOptions {
  readonly seed: number
  readonly preset: string
  /** Instead of the drawn ones. */
  readonly faults?: readonly Fault[]
  /** Added to `server.properties` of all brokers, after the drawn ones. */
  readonly properties?: Readonly<Record<string, string>>
  readonly breaks?: readonly Breakage[]
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

/** One seed: warm up, faults, healing, convergence, verdict. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const { seed, preset } = options
  const drawn = planRun(new SeededRng(`${preset} ${seed}`), preset)
  const plan: RunPlan = {
    ...drawn,
    faults: options.faults ?? drawn.faults,
    properties: { ...drawn.properties, ...options.properties },
  }
  const world = new World(seed, plan.weather, options.isVerbose)
  const onRejection = (error: unknown) => {
    const text = error instanceof Error ? error.stack : String(error)
    if ((error as Error)?.name !== 'CrashSignal') world.violation('no-bug', `${world.running}: unhandled rejection ${text}`)
  }
  // A process that died inside a disk call leaves rejections behind that mean nothing; a test runner would take them for failures.
  const others = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', onRejection)
  try {
    return await new Run(world, plan, options).run()
  } finally {
    await settle()
    process.off('unhandledRejection', onRejection)
    for (const listener of others) process.on('unhandledRejection', listener)
  }
}

class Run {
  readonly #world: World
  readonly #plan: RunPlan
  readonly #options: RunOptions
  readonly #breaks: ReadonlySet<Breakage>
  readonly #cluster: Cluster
  readonly #history: History
  readonly #znodes: ZnodeChecker
  readonly #admin: Admin
  readonly #clients: SimClient[] = []

  constructor(world: World, plan: RunPlan, options: RunOptions) {
    this.#world = world
    this.#plan = plan
    this.#options = options
    this.#breaks = new Set(options.breaks)
    this.#cluster = new Cluster(world, {
      brokers: plan.brokers,
      properties: plan.properties,
      wrappers: portWrappers(this.#breaks),
    })
    this.#history = new History(world)
    this.#znodes = new ZnodeChecker(world, this.#cluster.zooKeeper, plan.expects.allowsUnclean)
    new ReplicaChecker(this.#cluster, this.#znodes, plan.expects)
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
    const topic = this.#admin.createTopic(TOPIC, partitions, replication).then(() => {
      created = true
    })
    const isWarm = await this.#world.run(
      WARM_MS,
      () => created && [...this.#znodes.partitions.values()].filter(({ isr }) => isr.length === replication).length >= partitions,
    )
    if (!isWarm && this.#world.violations.length === 0) this.#world.violation('liveness', 'the cluster did not come up')
    if (isWarm) await topic
    return isWarm
  }

  #startFaults(): Nemesis {
    const { workload, faults, slowZooKeeperMs } = this.#plan
    this.#cluster.zooKeeper.slowMs = slowZooKeeperMs
    const { partitions } = this.#plan
    const groups = new GroupHistory(this.#world)
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
    for (let i = 0; i < workload.consumers; i++)
      this.#client(`reader-${i}`, (client) => runConsumer(client, this.#history, { ...common, isCommitted: false }))
    for (let i = 0; i < workload.committedConsumers; i++)
      this.#client(`committed-${i}`, (client) => runConsumer(client, this.#history, { ...common, isCommitted: true }))
    for (let i = 0; i < workload.transactional; i++)
      this.#client(`transactional-${i}`, (client) => runTransactional(client, this.#history, common))
    for (let i = 0; i < workload.groupMembers; i++)
      this.#client(`member-${i}`, (client) => runGroupMember(client, this.#history, groups, { ...common, group: 'group' }))
    const nemesis = new Nemesis(
      this.#cluster,
      this.#admin,
      this.#clients.map(({ name }) => name),
    )
    nemesis.schedule(faults)
    return nemesis
  }

  #client(name: string, main: (client: SimClient) => Promise<void>): void {
    const client = new SimClient(this.#world, name, this.#plan.brokers)
    this.#clients.push(client)
    main(client).catch((error: unknown) => this.#world.violation('no-bug', `${name}: ${(error as Error).stack}`))
  }

  async #converge(): Promise<void> {
    const world = this.#world
    if (world.violations.length > 0) return
    const convergence = new Convergence(this.#cluster, this.#znodes)
    const acked = this.#history.counts.acks
    const isServing = () => this.#history.counts.acks > acked || this.#plan.workload.pauseMs === 0
    let next = 0
    const isDone = () => {
      if (world.clock.now() < next) return false
      next = world.clock.now() + 50
      return isServing() && convergence.problem() === undefined
    }
    if (!(await world.run(CONVERGE_MS, isDone)) && world.violations.length === 0) {
      const why = convergence.problem() ?? 'nothing is acknowledged'
      world.violation('liveness', `not converged ${CONVERGE_MS} ms after healing: ${why}`)
      return
    }
    for (const client of this.#clients) client.isOver = true
    convergence.isQuiet = true
    await world.run(DRAIN_MS)
    if (!(await world.run(CONVERGE_MS, () => convergence.problem() === undefined)) && world.violations.length === 0)
      world.violation('liveness', `not quiet: ${convergence.problem()}`)
    if (world.violations.length > 0) return
    new FinalCheck(this.#cluster, this.#znodes, this.#history, this.#plan.expects).run()
  }

  #result(): RunResult {
    const { clock, events, sometimes, trace, violations } = this.#world
    trace.mix(`end ${clock.now()} ${events} ${JSON.stringify(this.#history.counts)}`)
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
