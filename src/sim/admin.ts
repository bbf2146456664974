import { openZkSession } from '../../zk/client/index.ts'
import { kafkaZkOn } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import { NO_ANSWER, SimClient } from './client.ts'
import type { Cluster } from './cluster.ts'
import type { Fault } from './nemesis.ts'
import type { ZnodeChecker } from './znode-checker.ts'

/** The topic whose old segments go when it has grown. */
export const EXPIRING = 'expiring'
/** The topic whose old segments go by their age. */
export const AGEING = 'ageing'

const FORMATS: readonly string[] = ['0.9.0', '0.10.2', '0.11.0', '1.0']

/** The administrator: requests to the controller, and the tools that write znodes. */
export class Admin {
  readonly client: SimClient
  readonly #cluster: Cluster
  readonly #znodes: ZnodeChecker
  #zk: KafkaZk | undefined
  #topics = 0
  /** Topics whose deletion was asked for. */
  readonly deleted = new Set<string>()
  /** `topic-partition` -> up to where records were asked to be deleted. */
  readonly deletedUpTo = new Map<string, number>()
  /** Topics made during the run that nobody writes to. */
  readonly spare: string[] = []

  constructor(cluster: Cluster, znodes: ZnodeChecker) {
    this.#cluster = cluster
    this.#znodes = znodes
    this.client = new SimClient(cluster.world, 'admin', cluster.brokers.length)
  }

  async #zooKeeper(): Promise<KafkaZk> {
    if (this.#zk !== undefined) return this.#zk
    const { clock } = this.client
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    const options = { connect: 'zookeeper:2181', sessionTimeoutMs: 10_000, connectionTimeoutMs: 60_000 }
    const session = openZkSession(options, clock, quiet, this.#cluster.zooKeeper.connections('admin', clock))
    const zk = kafkaZkOn(session, {}, clock, quiet)
    this.#zk = zk
    await session.start()
    return zk
  }

  /** Tries until the topic is there. */
  async createTopic(
    topic: string,
    partitions: number,
    replication: number,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const configEntries = Object.entries(settings).map(([configName, configValue]) => ({ configName, configValue }))
    for (;;) {
      const controller = this.#cluster.controller?.id ?? this.client.anyBroker()
      const error = await this.client.call(
        controller,
        'CreateTopics',
        {
          createTopicRequests: [
            { topic, numPartitions: partitions, replicationFactor: replication, replicaAssignment: [], configEntries },
          ],
          timeout: 2000,
        },
        ({ topicErrors }) => topicErrors[0]!.errorCode,
      )
      if (error === 0 || error === 36) return
      await this.client.sleep(200)
    }
  }

  /** Tries once; what becomes of it is for the cluster to say. */
  apply(fault: Fault): void {
    const run = this.#run(fault)
    run.catch((error: unknown) => this.#cluster.world.trace.add('admin', fault.kind, `failed: ${(error as Error).message}`))
  }

  async #run({ kind, draw, broker }: Fault): Promise<void> {
    const controller = this.#cluster.controller?.id ?? broker
    const partitions = [...this.#znodes.partitions.values()].filter(({ topic }) => !this.deleted.has(topic))
    const one = partitions[draw % Math.max(1, partitions.length)]
    switch (kind) {
      case 'createTopic': {
        const topic = `spare-${this.#topics++}`
        this.spare.push(topic)
        await this.#request(controller, topic, 1 + (draw % 3))
        return
      }
      case 'deleteTopic': {
        const topic = this.spare.shift()
        if (topic === undefined) return
        this.deleted.add(topic)
        const done = await this.client.call(controller, 'DeleteTopics', { topics: [topic], timeout: 2000 }, () => true)
        if (done === NO_ANSWER) await (await this.#zooKeeper()).createDeleteTopic(topic)
        return
      }
      case 'addPartitions': {
        const topic = this.spare[0]
        if (topic === undefined) return
        const count = partitions.filter((other) => other.topic === topic).length + 1
        const change = { topic, newPartitions: { count, assignment: null } }
        await this.client.call(
          controller,
          'CreatePartitions',
          { topicPartitions: [change], timeout: 2000, validateOnly: false },
          () => {},
        )
        return
      }
      case 'preferredElection':
        await (await this.#zooKeeper()).createPreferredReplicaElection(
          partitions.map(({ topic, partition }) => ({ topic, partition })),
        )
        return
      case 'reassign': {
        if (one === undefined) return
        const replicas = this.#cluster.brokers.map(({ id }) => (id + draw) % this.#cluster.brokers.length)
        const size = one.topic.startsWith('__') ? 3 : Math.min(3, replicas.length)
        await (await this.#zooKeeper()).createReassignments(new Map([[`${one.topic}-${one.partition}`, replicas.slice(0, size)]]))
        return
      }
      case 'moveController':
        await this.deleteController()
        return
      case 'moveLeader': {
        if (one === undefined) return
        const assigned = this.#cluster.assignment(one.topic, one.partition)
        await this.moveLeaderTo(
          one.topic,
          one.partition,
          assigned[(1 + (draw % Math.max(1, assigned.length - 1))) % assigned.length]!,
        )
        return
      }
      case 'deleteRecords':
        await this.#deleteRecords(draw)
        return
      case 'changeFormat':
        if (one !== undefined) await this.#changeFormat(one.topic, FORMATS[draw % FORMATS.length]!)
        return
      default:
        throw new Error(`not a fault of ours: ${kind}`)
    }
  }

  /** Reassignment in another order, then a preferred election, as the tools do it. */
  async moveLeaderTo(topic: string, partition: number, to: number): Promise<void> {
    const assigned = this.#cluster.assignment(topic, partition)
    const at = assigned.indexOf(to)
    const rotated = [...assigned.slice(at), ...assigned.slice(0, at)]
    const zk = await this.#zooKeeper()
    await this.#untilGone('/admin/reassign_partitions')
    await zk.createReassignments(new Map([[`${topic}-${partition}`, rotated]]))
    await this.#untilGone('/admin/reassign_partitions')
    await zk.createPreferredReplicaElection([{ topic, partition }])
  }

  /** Another replica of some partition becomes the preferred one, and the election is asked for at once. */
  async preferAnother(): Promise<void> {
    const zk = await this.#zooKeeper()
    const moved = [...this.#znodes.partitions.values()].find(
      ({ topic, partition, leader }) => leader >= 0 && this.#cluster.assignment(topic, partition)[0] !== leader,
    )
    const one = moved ?? [...this.#znodes.partitions.values()][0]
    if (one === undefined) return
    if (moved === undefined)
      await this.moveLeaderTo(one.topic, one.partition, one.isr.find((id) => id !== one.leader) ?? one.leader)
    else await zk.createPreferredReplicaElection([{ topic: one.topic, partition: one.partition }])
  }

  async deleteController(): Promise<void> {
    await (await this.#zooKeeper()).session.request({ op: 'delete', path: '/controller', version: -1 })
  }

  /** Asks a leader to let go of a part of what is committed in the topic that is there for that. */
  async #deleteRecords(draw: number): Promise<void> {
    const all = [...this.#znodes.partitions.values()].filter(({ topic, leader }) => topic === EXPIRING && leader >= 0)
    const one = all[draw % Math.max(1, all.length)]
    const log = one && this.#cluster.broker(one.leader)?.process?.server.replicaManager?.partition(one.topic, one.partition)?.log
    if (one === undefined || log === undefined) return
    const offset = log.logStartOffset + Math.floor(((log.highWatermark - log.logStartOffset) * (draw % 100)) / 100)
    const key = `${one.topic}-${one.partition}`
    this.deletedUpTo.set(key, Math.max(this.deletedUpTo.get(key) ?? 0, offset))
    const partitions = [{ partition: one.partition, offset }]
    const done = await this.client.call(
      one.leader,
      'DeleteRecords',
      { topics: [{ topic: one.topic, partitions }], timeout: 2000 },
      ({ topics }) => topics[0]!.partitions[0]!.errorCode === 0,
    )
    if (done === true && offset > 0) this.#cluster.world.reached('records deleted')
  }

  /** The state of a partition is written as it is. */
  async touchState(topic: string, partition: number): Promise<void> {
    const { session } = await this.#zooKeeper()
    const path = `/brokers/topics/${topic}/partitions/${partition}/state`
    const { data, stat } = await session.request({ op: 'getData', path })
    if (stat !== undefined) await session.request({ op: 'setData', path, data: data ?? null, version: stat.version })
  }

  async #changeFormat(topic: string, version: string): Promise<void> {
    const zk = await this.#zooKeeper()
    await zk.setConfig('topics', topic, { 'message.format.version': version })
    await zk.createConfigChangeNotification(`topics/${topic}`)
  }

  /** At most two seconds. */
  async #untilGone(path: string): Promise<void> {
    for (let tries = 0; tries < 40 && this.#cluster.zooKeeper.machine.tree.get(path) !== undefined; tries++)
      await this.client.sleep(50)
  }

  async #request(controller: number, topic: string, partitions: number): Promise<void> {
    const request = {
      topic,
      numPartitions: partitions,
      replicationFactor: Math.min(3, this.#cluster.brokers.length),
      replicaAssignment: [],
      configEntries: [],
    }
    await this.client.call(controller, 'CreateTopics', { createTopicRequests: [request], timeout: 2000 }, () => {})
  }
}
