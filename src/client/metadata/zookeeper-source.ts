/**
 * Metadata out of ZooKeeper: brokers of /brokers/ids, partitions of /brokers/topics/<t>, leaders of .../partitions/<p>/state. Watches tell
 * of each change; nothing is polled. Events only enqueue; one job after another reads, which arms the watches again, and tells the sink.
 */

import type { KafkaZk } from '../../../zk/store/index.ts'
import {
  BROKER_IDS_PATH,
  type BrokerRegistration,
  CLUSTER_ID_PATH,
  CONTROLLER_PATH,
  decodeClusterId,
  type PartitionState,
  partitionStatePath,
  TOPICS_PATH,
  type TopicAssignment,
  topicPath,
} from '../../../zk/znodes/index.ts'
import type { Logger } from '../../base/logger.ts'
import { SerialQueue } from '../../base/serial-queue.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { type KafkaException, NetworkException } from '../errors.ts'
import { type MetadataSink, type MetadataSource, type Node, type TopicMetadata, type Topics, topicMetadata } from './types.ts'

export interface ZooKeeperSourceOptions {
  /** Opens a session that is not started yet. Called again when a start has failed. */
  readonly open: () => KafkaZk
  readonly sink: MetadataSink
  /** Which listener of a broker is taken. */
  readonly securityProtocol: string
  readonly log: Logger
  /** Topics that were asked for and are not there: brokers may create them. */
  readonly onMissing?: (topics: readonly string[]) => void
}

interface Followed {
  assignment: TopicAssignment
  readonly states: Map<number, PartitionState>
}

export class ZooKeeperSource implements MetadataSource {
  readonly pushes = true
  readonly #options: ZooKeeperSourceOptions
  readonly #queue: SerialQueue
  #zk: KafkaZk | undefined
  #brokers = new Map<number, Node>()
  /** Undefined: not there, followed until it comes. */
  readonly #topics = new Map<string, Followed | undefined>()
  #all = false
  /** Changed and not read yet: topics, and partitions by topic. */
  readonly #dirtyTopics = new Set<string>()
  readonly #dirtyPartitions = new Map<string, Set<number>>()

  constructor(options: ZooKeeperSourceOptions) {
    this.#options = options
    this.#queue = new SerialQueue((error) => options.log.warn('reading metadata from ZooKeeper failed', error))
  }

  /** The session in use; undefined before the first refresh. */
  get zk(): KafkaZk | undefined {
    return this.#zk
  }

  refresh(topics: Topics, done: (error: KafkaException | undefined) => void): void {
    const work = async () => {
      try {
        await this.#connected()
        const names = await this.#follow(topics)
        await this.#readTopics(names)
        this.#tell(this.#topics.keys(), true)
        const missing = names.filter((name) => this.#topics.get(name) === undefined)
        if (missing.length > 0) this.#options.onMissing?.(missing)
        done(undefined)
      } catch (error) {
        done(new NetworkException(`ZooKeeper: ${(error as Error).message}`, error))
      }
    }
    if (!this.#queue.post(work)) done(new NetworkException('the client is closed'))
  }

  async close(): Promise<void> {
    await this.#queue.close()
    await this.#zk?.session.close()
    this.#zk = undefined
  }

  /** Opens the session and reads brokers and controller, once. */
  async #connected(): Promise<KafkaZk> {
    if (this.#zk !== undefined) return this.#zk
    const zk = this.#options.open()
    try {
      await zk.session.start()
    } catch (error) {
      await zk.session.close()
      throw error
    }
    this.#zk = zk
    zk.watchChildren({ path: BROKER_IDS_PATH, onChildChange: () => this.#queue.post(() => this.#readBrokers()) })
    zk.watchNode({ path: CONTROLLER_PATH, onChange: () => this.#queue.post(() => this.#readController()) })
    zk.onSession({ name: 'metadata', afterInitializingSession: () => void this.#queue.post(() => this.#readEverything()) })
    await this.#readBrokers()
    await this.#readController()
    const id = await zk.session.request({ op: 'getData', path: CLUSTER_ID_PATH })
    this.#options.sink({ clusterId: id.code === 'ok' && id.data != null ? decodeClusterId(id.data) : null, topics: [] })
    return zk
  }

  #open(): KafkaZk {
    if (this.#zk === undefined) throw new NetworkException('the client is closed')
    return this.#zk
  }

  async #readEverything(): Promise<void> {
    await this.#readBrokers()
    await this.#readController()
    const names = await this.#follow(this.#all ? 'all' : [...this.#topics.keys()])
    await this.#readTopics(names)
    this.#tell(this.#topics.keys(), true)
  }

  async #readBrokers(): Promise<void> {
    const registrations = await this.#open().getAllBrokers()
    this.#brokers = new Map()
    for (const registration of registrations) {
      const node = this.#nodeOf(registration)
      if (node !== undefined) this.#brokers.set(node.id, node)
    }
    // A leader counts only while its broker lives.
    this.#tell(this.#topics.keys(), false)
  }

  #nodeOf({ brokerId, endpoints, rack }: BrokerRegistration): Node | undefined {
    const endpoint = endpoints.find(({ securityProtocol }) => securityProtocol === this.#options.securityProtocol)
    return endpoint === undefined ? undefined : { id: brokerId, host: endpoint.host, port: endpoint.port, rack: rack ?? null }
  }

  async #readController(): Promise<void> {
    const controllerId = await this.#open().getControllerId()
    // An absent node gets its watch by `exists` only.
    if (controllerId === undefined && (await this.#open().pathExists(CONTROLLER_PATH))) return this.#readController()
    this.#options.sink({ controllerId: controllerId ?? -1, topics: [] })
  }

  /** Sets the watches for exactly these topics; returns their names. */
  async #follow(topics: Topics): Promise<readonly string[]> {
    const zk = this.#open()
    if (topics === 'all' && !this.#all)
      zk.watchChildren({ path: TOPICS_PATH, onChildChange: () => this.#queue.post(() => this.#readEverything()) })
    if (topics !== 'all' && this.#all) zk.unwatchChildren(TOPICS_PATH)
    this.#all = topics === 'all'
    const names = topics === 'all' ? await zk.getTopics() : topics
    const wanted = new Set(names)
    for (const name of [...this.#topics.keys()]) if (!wanted.has(name)) this.#unfollow(name)
    for (const name of names) {
      if (this.#topics.has(name)) continue
      this.#topics.set(name, undefined)
      zk.watchNode({ path: topicPath(name), onChange: () => this.#topicChanged(name) })
    }
    return names
  }

  #unfollow(name: string): void {
    const zk = this.#open()
    zk.unwatchNode(topicPath(name))
    for (const partition of this.#topics.get(name)?.assignment.keys() ?? []) zk.unwatchNode(partitionStatePath(name, partition))
    this.#topics.delete(name)
  }

  #topicChanged(name: string): void {
    if (this.#dirtyTopics.size === 0) {
      this.#queue.post(async () => {
        const names = [...this.#dirtyTopics].filter((dirty) => this.#topics.has(dirty))
        this.#dirtyTopics.clear()
        await this.#readTopics(names)
        this.#tell(names, false)
      })
    }
    this.#dirtyTopics.add(name)
  }

  #stateChanged(name: string, partition: number): void {
    if (this.#dirtyPartitions.size === 0) {
      this.#queue.post(async () => {
        const dirty = [...this.#dirtyPartitions].filter(([topic]) => this.#topics.get(topic) !== undefined)
        this.#dirtyPartitions.clear()
        await this.#readStates(dirty.flatMap(([topic, partitions]) => [...partitions].map((id) => ({ topic, partition: id }))))
        this.#tell(
          dirty.map(([topic]) => topic),
          false,
        )
      })
    }
    let partitions = this.#dirtyPartitions.get(name)
    if (partitions === undefined) this.#dirtyPartitions.set(name, (partitions = new Set()))
    partitions.add(partition)
  }

  /** Assignments and states of followed topics. */
  async #readTopics(names: readonly string[]): Promise<void> {
    const zk = this.#open()
    const assignments = await zk.getAssignments(names)
    const absent = names.filter((name) => !assignments.has(name))
    const appeared = await Promise.all(absent.map((name) => zk.pathExists(topicPath(name))))
    for (const [name, assignment] of await zk.getAssignments(absent.filter((_, i) => appeared[i])))
      assignments.set(name, assignment)
    const partitions: { topic: string; partition: number }[] = []
    for (const name of names) {
      const assignment = assignments.get(name)
      const before = this.#topics.get(name)
      for (const partition of before?.assignment.keys() ?? [])
        if (assignment?.has(partition) !== true) zk.unwatchNode(partitionStatePath(name, partition))
      for (const partition of assignment?.keys() ?? []) {
        if (before?.assignment.has(partition) !== true)
          zk.watchNode({ path: partitionStatePath(name, partition), onChange: () => this.#stateChanged(name, partition) })
        partitions.push({ topic: name, partition })
      }
      this.#topics.set(name, assignment === undefined ? undefined : { assignment, states: new Map() })
    }
    await this.#readStates(partitions)
  }

  async #readStates(partitions: readonly { readonly topic: string; readonly partition: number }[]): Promise<void> {
    const zk = this.#open()
    const states = await zk.getPartitionStates(partitions)
    const absent = partitions.filter(({ topic, partition }) => !states.has(`${topic}-${partition}`))
    const appeared = await Promise.all(absent.map(({ topic, partition }) => zk.pathExists(partitionStatePath(topic, partition))))
    for (const [key, state] of await zk.getPartitionStates(absent.filter((_, i) => appeared[i]))) states.set(key, state)
    for (const { topic, partition } of partitions) {
      const followed = this.#topics.get(topic)
      const state = states.get(`${topic}-${partition}`)
      if (state === undefined) followed?.states.delete(partition)
      else followed?.states.set(partition, state)
    }
  }

  #tell(names: Iterable<string>, complete: boolean): void {
    this.#options.sink({
      brokers: [...this.#brokers.values()],
      topics: [...names].map((name) => this.#metadataOf(name)),
      complete,
    })
  }

  #metadataOf(name: string): TopicMetadata {
    const followed = this.#topics.get(name)
    if (followed === undefined) return topicMetadata(name, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])
    const partitions = [...followed.assignment].map(([partition, replicas]) => {
      const state = followed.states.get(partition)
      const leader = state !== undefined && this.#brokers.has(state.leader) ? state.leader : -1
      return {
        partition,
        leader,
        replicas,
        isr: state?.isr ?? [],
        offlineReplicas: replicas.filter((id) => !this.#brokers.has(id)),
        errorCode: leader < 0 ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.NONE,
      }
    })
    return topicMetadata(name, ErrorCode.NONE, partitions)
  }
}
