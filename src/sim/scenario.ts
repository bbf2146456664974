import { BatchBuilder } from '../protocol/records/index.ts'
import { Admin } from './admin.ts'
import type { Breakage } from './breakages.ts'
import { portWrappers } from './breakages.ts'
import { NO_ANSWER, SimClient } from './client.ts'
import { Cluster } from './cluster.ts'
import { bytesOf, recordsIn } from './log-bytes.ts'
import type { SendResult } from './producer.ts'
import { produceTo } from './producer.ts'
import { World } from './world.ts'
import { ZnodeChecker } from './znode-checker.ts'

const PATIENCE_MS = 30_000
export const SCENARIO_TOPIC = 'classroom'

/** What the same steps lead to. `lost`: what was promised and is gone; acknowledged records where nothing else is said. */
export interface ScenarioOutcome {
  readonly lost: readonly string[]
  readonly remark?: string
}

export interface HoleScenario {
  readonly hole: string
  readonly about: string
  run(faithful: boolean): Promise<ScenarioOutcome>
}

/** A cluster that is led by hand, step by step; the same steps in a faithful and in a strict cluster show what a hole costs. */
export class Scenario {
  readonly world: World
  readonly cluster: Cluster
  readonly znodes: ZnodeChecker
  readonly client: SimClient
  readonly admin: Admin
  readonly acked: string[] = []

  constructor(brokers: number, properties: Readonly<Record<string, string>>, breaks: readonly Breakage[] = []) {
    this.world = new World(1)
    this.cluster = new Cluster(this.world, {
      brokers,
      properties: { 'auto.leader.rebalance.enable': 'false', ...properties },
      wrappers: portWrappers(new Set(breaks)),
    })
    this.znodes = new ZnodeChecker(this.world, this.cluster.zooKeeper, true)
    this.client = new SimClient(this.world, 'client', brokers)
    this.admin = new Admin(this.cluster, this.znodes)
  }

  /** Starts all brokers, `controller` first, and makes a topic of one partition on `replicas`. */
  async start(controller: number, replicas: readonly number[]): Promise<void> {
    this.cluster.brokers[controller]!.start()
    await this.until(`broker ${controller} is the controller`, () => this.cluster.controller?.id === controller)
    this.cluster.startAll()
    await this.until('all brokers are up', () => this.cluster.brokers.every(({ isUp }) => isUp))
    const request = {
      topic: SCENARIO_TOPIC,
      numPartitions: -1,
      replicationFactor: -1,
      replicaAssignment: [{ partition: 0, replicas: [...replicas] }],
      configEntries: [],
    }
    const created = this.client.call(controller, 'CreateTopics', { createTopicRequests: [request], timeout: 3000 }, () => {})
    await this.until('the topic is led', () => this.leader === replicas[0])
    await this.wait(created)
    await this.run(500)
  }

  broker(id: number) {
    return this.cluster.brokers[id]!
  }

  /** By ZooKeeper; -1: nobody. */
  get leader(): number {
    return this.#state?.leader ?? -1
  }

  get isr(): readonly number[] {
    return this.#state?.isr ?? []
  }

  get #state() {
    return this.znodes.partitions.get(`${SCENARIO_TOPIC}-0`)
  }

  async run(ms: number): Promise<void> {
    await this.world.run(ms)
    this.#checkViolations()
  }

  /** Takes events until it is so. Throws an Error that names it when it does not come about. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const cameTrue = await this.world.run(PATIENCE_MS, isSo)
    this.#checkViolations()
    if (!cameTrue) throw new Error(`did not happen: ${what} (leader ${this.leader}, ISR ${this.isr.join(',')})`)
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    let outcome: { readonly value: T } | undefined
    promise.then((value) => {
      outcome = { value }
    })
    await this.until('an answer', () => outcome !== undefined)
    return outcome!.value
  }

  #checkViolations(): void {
    const bug = this.world.violations.find(({ check }) => check === 'no-bug')
    if (bug !== undefined) throw new Error(bug.message)
  }

  /** Sends values with acks=all and notes those that are acknowledged. */
  async produce(...values: string[]): Promise<SendResult> {
    const result = await this.wait(produceTo(this.client, SCENARIO_TOPIC, -1, { partition: 0, values }))
    if (result !== NO_ANSWER && result.error === 0) this.acked.push(...values)
    return result
  }

  /** The same with acks=1, to a broker that leads. */
  async produceToOne(broker: number, ...values: string[]): Promise<void> {
    await this.until(`${broker} leads`, () => this.view(broker)?.isLeader === true)
    await this.wait(this.produceDirectly(broker, 1, ...values))
  }

  /** To a broker, whatever ZooKeeper says; the answer is its error code. */
  produceDirectly(broker: number, acks: number, ...values: string[]): Promise<number | typeof NO_ANSWER> {
    return this.client.call(
      broker,
      'Produce',
      { transactionalId: null, acks, timeout: 1000, topicData: [topicDataOf(values)] },
      ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
    )
  }

  /** Reassignment in another order, then a preferred election, as the tools do it. */
  async moveLeader(to: number): Promise<void> {
    this.admin.apply({ kind: 'moveLeader', at: 0, forMs: 0, broker: 0, other: 0, draw: 0 })
    await this.until(`ZooKeeper says that ${to} leads`, () => this.leader === to)
  }

  /** The same to any replica, wherever it stands in the assignment. */
  async moveLeaderTo(to: number): Promise<void> {
    const moved = this.admin.moveLeaderTo(SCENARIO_TOPIC, 0, to)
    await this.until(`ZooKeeper says that ${to} leads`, () => this.leader === to)
    await this.wait(moved)
  }

  view(id: number) {
    return this.broker(id).process?.server.replicaManager?.partition(SCENARIO_TOPIC, 0)
  }

  /** What a broker has stored. */
  stored(id: number): string[] {
    const log = this.view(id)?.log
    return log === undefined ? [] : recordsIn(bytesOf(log, 0, log.logEndOffset)).map(({ value }) => value)
  }

  end(id: number): number {
    return this.view(id)?.log?.logEndOffset ?? -1
  }

  highWatermark(id: number): number {
    return this.view(id)?.highWatermark ?? -1
  }

  /** Starts whoever is down, lifts every cut, and waits until everybody that can be is in the ISR. */
  async healAll(): Promise<void> {
    this.world.network.heal()
    this.cluster.zooKeeper.heal()
    for (const broker of this.cluster.brokers) broker.start()
    await this.until('there is a leader', () => this.leader >= 0 && this.broker(this.leader).isUp)
    await this.run(8000)
  }

  /** Acknowledged values that the leader does not have. */
  lost(): string[] {
    const stored = new Set(this.stored(this.leader))
    return this.acked.filter((value) => !stored.has(value))
  }
}

function topicDataOf(values: readonly string[]) {
  const builder = new BatchBuilder()
  for (const value of values) builder.append(0, null, Buffer.from(value))
  return { topic: SCENARIO_TOPIC, data: [{ partition: 0, recordSet: builder.build() }] }
}
