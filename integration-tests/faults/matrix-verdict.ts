/** Judges a cell when everything is healed: convergence, znodes against brokers' memory, reads to the end, the copy, and the simulator's final checks. */
import { join } from 'node:path'
import type { SimClient } from '../../src/sim/client.ts'
import { NO_ANSWER } from '../../src/sim/client.ts'
import { fetchFrom } from '../../src/sim/consumer.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import { eventually } from '../harness/brokers.ts'
import type { RealWorld } from '../harness/history-world.ts'
import { BROKERS, type LinkedCluster } from '../harness/link-cluster.ts'
import { ask } from '../harness/wire.ts'
import { COPY } from './matrix-copy.ts'
import { type Delivered, type DiskRemains, judgeDisks, judgeRemains, type Replicas } from './matrix-remains.ts'
import { COPIED, EVENTS, PARTITIONS, type Workload } from './matrix-workload.ts'

const CONVERGE_MS = 60_000
const QUIET_MS = 30_000

export class Verdict {
  readonly #world: RealWorld
  readonly #linked: LinkedCluster
  readonly #workload: Workload
  readonly #client: SimClient
  #disks: DiskRemains = { partitions: new Map(), bytes: () => undefined }

  constructor(world: RealWorld, linked: LinkedCluster, workload: Workload) {
    this.#world = world
    this.#linked = linked
    this.#workload = workload
    this.#client = world.client('judge', BROKERS)
  }

  /** Waits until brokers and ZooKeeper agree and all replicas are in sync. False: they do not come to it. */
  async converged(): Promise<boolean> {
    return this.#within(CONVERGE_MS, 'not converged', () => this.#problem())
  }

  /** What is on the disks, after the workload has stopped. False: replicas do not become equal. */
  async judgeLogs(): Promise<boolean> {
    const isQuiet = await this.#quiet()
    judgeDisks(this.#world, this.#workload.history, this.#disks)
    return isQuiet
  }

  /** Everything, after the workload has stopped. */
  async judge(): Promise<void> {
    if (!(await this.judgeLogs()) || !(await this.converged())) return
    const read = {
      all: await this.#readEverything(false),
      committed: await this.#readEverything(true),
      copy: { from: EVENTS, to: COPIED, upTo: await this.#copiedUpTo() },
    }
    await this.#quiet()
    const { cluster, zooKeeper } = this.#linked
    const remains = {
      ...this.#disks,
      ...read,
      brokers: cluster.brokers.map(({ options: { id }, exit, allLog }) => ({ id, hasEnded: exit !== undefined, log: allLog })),
      zooKeeperDirectories: zooKeeper.nodes.map(({ dir }) => join(dir, 'data')),
    }
    judgeRemains(this.#world, this.#workload.history, remains)
    this.#world.network.kill(this.#client.name)
  }

  async #within(ms: number, what: string, problem: () => Promise<string | undefined>): Promise<boolean> {
    let last: string | undefined
    try {
      await eventually(what, async () => (last = await problem()) === undefined, ms)
      return true
    } catch (error) {
      this.#world.violation('liveness', `${what} within ${ms / 1000} s: ${last ?? (error as Error).message}`)
      return false
    }
  }

  async #states(): Promise<Map<string, PartitionState>> {
    const { zk } = this.#linked.cluster
    const topics = await zk.getTopics()
    const assignments = await zk.getAssignments(topics)
    const refs = [...assignments].flatMap(([topic, partitions]) =>
      [...partitions.keys()].map((partition) => ({ topic, partition })),
    )
    return zk.getPartitionStates(refs)
  }

  /** G14, G15, G16: what is still missing. */
  async #problem(): Promise<string | undefined> {
    const { cluster } = this.#linked
    const ids = await cluster.zk.getBrokerIds()
    if (ids.length !== BROKERS) return `registered: ${ids}`
    const controller = await cluster.controllerId()
    if (controller === undefined) return 'no controller'
    if ((await cluster.zk.getReassignments())?.size) return 'a reassignment is there'
    if ((await cluster.zk.getTopicDeletions()).length > 0) return 'a deletion is there'
    const states = await this.#states()
    for (const [key, { leader, isr }] of states)
      if (leader < 0 || isr.length !== BROKERS) return `${key}: leader ${leader}, ISR ${isr}`
    for (const { options, address } of cluster.brokers) {
      const problem =
        (await this.#metadataProblem(address, controller, states)) ?? (await this.#leaderProblem(options.id, states))
      if (problem !== undefined) return `broker ${options.id}: ${problem}`
    }
    return undefined
  }

  async #metadataProblem(
    address: string,
    controller: number,
    states: ReadonlyMap<string, PartitionState>,
  ): Promise<string | undefined> {
    const request = { topics: null, allowAutoTopicCreation: false }
    const metadata = await ask(address, 'Metadata', 5, request, 5000)
    if (metadata.controllerId !== controller) return `controller ${metadata.controllerId} instead of ${controller}`
    if (metadata.brokers.length !== BROKERS) return `knows ${metadata.brokers.length} brokers`
    let known = 0
    for (const { topic, partitionMetadata } of metadata.topicMetadata) {
      for (const { partition, leader, isr, offlineReplicas } of partitionMetadata) {
        const state = states.get(`${topic}-${partition}`)
        known++
        if (state === undefined) return `${topic}-${partition} is not in ZooKeeper`
        if (leader !== state.leader) return `${topic}-${partition} is led by ${leader} instead of ${state.leader}`
        if ([...isr].sort().join() !== [...state.isr].sort().join())
          return `${topic}-${partition}: ISR ${isr}, it is ${state.isr}`
        if (offlineReplicas.length > 0) return `${topic}-${partition}: offline ${offlineReplicas}`
      }
    }
    return known === states.size ? undefined : `knows ${known} partitions of ${states.size}`
  }

  /** The leaders answer, and nobody else does. */
  async #leaderProblem(id: number, states: ReadonlyMap<string, PartitionState>): Promise<string | undefined> {
    const topics = [...states].map(([key, state]) => {
      const at = key.lastIndexOf('-')
      const partitions = [{ partition: Number(key.slice(at + 1)), timestamp: -1 }]
      return { topic: key.slice(0, at), partitions, isLeader: state.leader === id }
    })
    for (const { topic, partitions, isLeader } of topics) {
      const request = { replicaId: -1, topics: [{ topic, partitions }] }
      const { responses } = await ask(this.#linked.broker(id).address, 'ListOffsets', 1, request, 5000)
      const { errorCode } = responses[0]!.partitionResponses[0]!
      if ((errorCode === 0) !== isLeader)
        return `${topic}-${partitions[0]!.partition}: error ${errorCode} from ${isLeader ? 'the leader' : 'a follower'}`
    }
    return undefined
  }

  /** Equal logs everywhere; what is judged is what they were then: a coordinator may still write that a member has not been heard of. */
  #quiet(): Promise<boolean> {
    return this.#within(QUIET_MS, 'not quiet', async () => {
      this.#disks = await this.#onDisks()
      return this.#unequalReplicas(this.#disks)
    })
  }

  /** G7. */
  #unequalReplicas({ partitions, bytes }: DiskRemains): string | undefined {
    for (const [key, { topic, partition, leader, isr }] of partitions) {
      if (leader < 0) return `${key} has no leader`
      const wanted = bytes(leader, topic, partition)
      for (const id of isr) {
        const found = bytes(id, topic, partition)
        if (wanted === undefined || found?.equals(wanted) !== true)
          return `${key}: ${leader} has ${wanted?.length} bytes, ${id} has ${found?.length}`
      }
    }
    return undefined
  }

  /** What a consumer that begins at `from` is handed out until there is no more. */
  async #read(topic: string, partition: number, from: number, isCommitted: boolean): Promise<Delivered> {
    const records: (readonly [number, string])[] = []
    for (let at = from; ; ) {
      const fetched = await eventually(`a fetch of ${topic}-${partition}`, async () => {
        const answer = await fetchFrom(this.#client, topic, partition, at, isCommitted)
        if (answer !== NO_ANSWER && answer.error === 0) return answer
        this.#client.forgetLeader(topic, partition)
        return undefined
      })
      if (fetched.next === at) return records
      records.push(...fetched.records)
      at = fetched.next
    }
  }

  async #readEverything(isCommitted: boolean): Promise<Map<string, Delivered>> {
    const read = new Map<string, Delivered>()
    for (const topic of [EVENTS, COPIED])
      for (let partition = 0; partition < PARTITIONS; partition++)
        read.set(`${topic}-${partition}`, await this.#read(topic, partition, 0, isCommitted))
    return read
  }

  async #copiedUpTo(): Promise<number[]> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition }))
    return eventually('the offsets of the copy', async () => {
      const coordinator = await this.#client.coordinator(COPY, 0)
      if (coordinator === undefined) return undefined
      const request = { groupId: COPY, topics: [{ topic: EVENTS, partitions }] }
      const answer = await this.#client.call(coordinator, 'OffsetFetch', request, ({ errorCode, responses }) =>
        errorCode === 0
          ? responses[0]!.partitionResponses.map(({ partition, offset }) => [partition, offset] as const)
          : undefined,
      )
      if (answer === NO_ANSWER || answer === undefined) return undefined
      const offsets = new Map(answer)
      return partitions.map(({ partition }) => offsets.get(partition) ?? 0)
    })
  }

  /** Whether the copy has nothing left to do. */
  async isCopied(): Promise<boolean> {
    const upTo = await this.#copiedUpTo()
    for (const [partition, offset] of upTo.entries())
      if ((await this.#read(EVENTS, partition, Math.max(0, offset), true)).length > 0) return false
    return true
  }

  /** As it is now. */
  async #onDisks(): Promise<DiskRemains> {
    const partitions = new Map<string, Replicas>()
    const files = new Map<string, Buffer | undefined>()
    for (const [key, { leader, isr }] of await this.#states()) {
      const at = key.lastIndexOf('-')
      const [topic, partition] = [key.slice(0, at), Number(key.slice(at + 1))]
      partitions.set(key, { topic, partition, leader, isr })
      for (const id of [leader, ...isr]) files.set(`${id} ${key}`, this.#linked.replicaBytes(id, topic, partition))
    }
    return { partitions, bytes: (broker, topic, partition) => files.get(`${broker} ${topic}-${partition}`) }
  }
}
