import { posix, resolve } from 'node:path'
import { type EmbeddedZooKeeper, startEmbeddedZooKeeper } from '../../zk/server/index.ts'
import { type KafkaZk, openKafkaZk } from '../../zk/store/index.ts'
import { brokerIdPath } from '../../zk/znodes/broker-id.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import { createLogger, type Logger, silentLogger } from '../base/logger.ts'
import { createAdmin } from '../client/index.ts'
import type { Disk } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { nodeClock, timezoneOffsetMs } from '../ports/node/clock.ts'
import { nodeDisk } from '../ports/node/disk.ts'
import { BrokerInstance, type SessionIdentity } from './broker-instance.ts'
import { endSession } from './end-session.ts'
import {
  brokerConfig,
  type ClusterOptions,
  checkOptions,
  DEFAULT_SESSION_TIMEOUT_MS,
  MAX_SESSION_TIMEOUT_MS,
  ZOOKEEPER_TICK_MS,
} from './options.ts'

export interface TopicOptions {
  /** Default 1. */
  readonly partitions?: number | undefined
  /** Default: as many as there are brokers, three at most. */
  readonly replicationFactor?: number | undefined
  /** Broker ids by partition, instead of the two counts; the first one is the preferred leader. */
  readonly assignment?: readonly (readonly number[])[] | undefined
  /** Topic configuration by Kafka's names, e.g. `{ 'min.insync.replicas': 2 }`. */
  readonly configs?: { readonly [key: string]: string | number | boolean } | undefined
}

export interface KillOptions {
  /**
   * What becomes of the broker's ZooKeeper session. `end` (default): it ends at once, and so the others notice the death at once. `lapse`: it
   * goes on until the session timeout, as after a real kill -9.
   */
  readonly session?: 'end' | 'lapse' | undefined
}

/** A running cluster. Every call rejects with an Error that says what did not come about; waiting ends after 15 seconds. */
export interface TestCluster {
  /** `host:port,...` of all brokers, running or not: their ports stay the same. */
  readonly bootstrapServers: string
  /** `host:port` */
  readonly zookeeperConnect: string
  /** In ascending order. */
  readonly brokerIds: readonly number[]
  isRunning(brokerId: number): boolean
  /** As kill -9: at once, without a word to anybody. Nothing of it acts any more when the promise resolves; what it wrote is kept. */
  kill(brokerId: number, options?: KillOptions): Promise<void>
  /** Controlled shutdown, as SIGTERM: leaders are moved away first. */
  stop(brokerId: number): Promise<void>
  /** Everything: brokers and ZooKeeper. Nothing of the cluster keeps the process alive afterwards. May be called again. */
  stop(): Promise<void>
  /** Starts a broker that was killed or stopped, on its port and with its logs; one that runs is stopped first. Resolves when it serves. */
  restart(brokerId: number): Promise<void>
  /** Ends the broker's ZooKeeper session; it begins a new one by itself. Resolves when the former one is over. */
  expireSession(brokerId: number): Promise<void>
  /** Waits until there is one. */
  controllerId(): Promise<number>
  /** Resolves when every running broker knows a leader of every partition. */
  createTopic(topic: string, options?: TopicOptions): Promise<void>
  /** The broker that leads the partition; -1 while there is none. */
  leaderOf(topic: string, partition: number): Promise<number>
  /** Broker ids that are in sync, as ZooKeeper has them. */
  inSyncReplicasOf(topic: string, partition: number): Promise<readonly number[]>
  /** Resolves when every replica of every partition of the topic is in sync. */
  waitForReplicas(topic: string): Promise<void>
}

/** Starts brokers and a ZooKeeper in this process, on free ports of 127.0.0.1. Resolves when every broker knows all others and the controller. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  checkOptions(options)
  const cluster = new Cluster(options)
  try {
    await cluster.start()
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return cluster
}

const PATIENCE_MS = 15_000
const POLL_MS = 10

/** A broker, running or not. */
interface Member {
  readonly id: number
  readonly disk: Disk
  readonly logger: Logger
  /** 0 before the first start. */
  port: number
  instance: BrokerInstance | undefined
  /** Why it ended by itself. */
  halted: string | undefined
}

class Cluster implements TestCluster {
  readonly #options: ClusterOptions
  readonly #directory: string | undefined
  readonly #members: readonly Member[]
  #zooKeeper: EmbeddedZooKeeper | undefined
  #zk: KafkaZk | undefined
  #stopping: Promise<void> | undefined

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#directory = options.directory === undefined ? undefined : resolve(options.directory)
    this.#members = Array.from({ length: options.brokers ?? 1 }, (_, id) => ({
      id,
      disk: this.#directory === undefined ? new MemoryDisk({ clock: nodeClock }) : nodeDisk,
      logger: loggerOf(options, id),
      port: 0,
      instance: undefined,
      halted: undefined,
    }))
  }

  get bootstrapServers(): string {
    return this.#members.map(({ port }) => `127.0.0.1:${port}`).join(',')
  }

  get zookeeperConnect(): string {
    return `127.0.0.1:${this.#zooKeeper?.port ?? 0}`
  }

  get brokerIds(): readonly number[] {
    return this.#members.map(({ id }) => id)
  }

  isRunning(brokerId: number): boolean {
    return this.#member(brokerId).instance?.isAlive === true
  }

  // ---- start and end of the whole

  async start(): Promise<void> {
    // A wrong property is found before anything listens.
    for (const member of this.#members) this.#config(member)
    this.#zooKeeper = await startEmbeddedZooKeeper({
      tickTime: ZOOKEEPER_TICK_MS,
      maxSessionTimeout: MAX_SESSION_TIMEOUT_MS,
      maxClientCnxns: 0,
      // The cluster is gone with the process anyway: nobody waits for the medium.
      fsync: false,
      ...(this.#directory !== undefined && { dataDir: resolve(this.#directory, 'zookeeper') }),
    })
    const sessionTimeoutMs = this.#options.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS
    const connection = { connect: this.zookeeperConnect, sessionTimeoutMs, connectionTimeoutMs: PATIENCE_MS }
    this.#zk = openKafkaZk(connection, nodeClock, silentLogger())
    await Promise.all([this.#zk.session.start(), ...this.#members.map((member) => this.#start(member))])
    await this.#untilKnown('every broker knows all others and the controller')
  }

  stop(brokerId?: number): Promise<void> {
    if (brokerId !== undefined) return this.#stopBroker(brokerId)
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const running = this.#members.flatMap(({ instance }) => (instance?.isAlive ? [instance] : []))
    // In memory there is nothing to leave in good order.
    if (this.#directory === undefined) await Promise.all(running.map((instance) => instance.kill()))
    else {
      // The controller last: it moves the leaders of the others away.
      const isController = ({ server }: BrokerInstance): number => (server.controller?.isActive ? 1 : 0)
      for (const instance of running.sort((a, b) => isController(a) - isController(b))) await instance.stop()
    }
    await this.#zk?.session.close()
    await this.#zooKeeper?.close()
  }

  // ---- one broker

  async kill(brokerId: number, { session = 'end' }: KillOptions = {}): Promise<void> {
    const instance = this.#running(brokerId)
    await instance.kill()
    // It may have had a session less or more a moment ago; its last one counts.
    if (session === 'end' && instance.session !== undefined) await this.#endSession(brokerId, instance.session)
  }

  async #stopBroker(brokerId: number): Promise<void> {
    await this.#running(brokerId).stop()
  }

  async restart(brokerId: number): Promise<void> {
    const member = this.#member(brokerId)
    if (member.instance?.isAlive) await member.instance.stop()
    await this.#start(member)
    await this.#untilKnown(`broker ${brokerId} is known everywhere`)
  }

  async expireSession(brokerId: number): Promise<void> {
    const { session } = this.#running(brokerId)
    if (session === undefined) throw new Error(`broker ${brokerId} has no ZooKeeper session`)
    await this.#endSession(brokerId, session)
  }

  /** Its owner may take the session back for a moment; then once more. */
  async #endSession(brokerId: number, session: SessionIdentity): Promise<void> {
    await this.#until(`the ZooKeeper session of broker ${brokerId} is over`, async () => {
      await endSession(this.zookeeperConnect, session, nodeClock)
      const node = await this.#store().session.request({ op: 'exists', path: brokerIdPath(brokerId) })
      return node.stat?.ephemeralOwner !== session.sessionId
    })
  }

  async #start(member: Member): Promise<void> {
    this.#checkRunning()
    member.halted = undefined
    const instance = new BrokerInstance({
      config: this.#config(member),
      disk: member.disk,
      logger: member.logger,
      onHalt: (reason) => {
        member.halted = reason
      },
    })
    member.instance = instance
    await instance.start()
    member.port = instance.server.listeners[0]?.port ?? 0
  }

  #config({ id, port }: Member): ReturnType<typeof brokerConfig> {
    const logDir = this.#directory === undefined ? '/kafka-logs' : posix.join(this.#directory, `broker-${id}`)
    return brokerConfig(this.#options, { id, port, logDir, zookeeperConnect: this.zookeeperConnect })
  }

  #member(brokerId: number): Member {
    const member = this.#members[brokerId]
    if (member === undefined) throw new Error(`there is no broker ${brokerId}; there are ${this.brokerIds.join(', ')}`)
    return member
  }

  #running(brokerId: number): BrokerInstance {
    const { instance, halted } = this.#member(brokerId)
    if (instance?.isAlive) return instance
    throw new Error(`broker ${brokerId} is not running${halted === undefined ? '' : `: ${halted}`}`)
  }

  #checkRunning(): void {
    if (this.#stopping !== undefined) throw new Error('the cluster was stopped')
  }

  #store(): KafkaZk {
    this.#checkRunning()
    if (this.#zk === undefined) throw new Error('the cluster was not started')
    return this.#zk
  }

  // ---- looking and waiting

  controllerId(): Promise<number> {
    return this.#until('there is a controller', () => this.#store().getControllerId())
  }

  async createTopic(topic: string, options: TopicOptions = {}): Promise<void> {
    const { partitions = 1, replicationFactor = Math.min(3, this.#members.length), assignment, configs = {} } = options
    const admin = createAdmin({ 'bootstrap.servers': this.bootstrapServers, 'client.id': 'samsa-testing' })
    try {
      const texts = Object.fromEntries(Object.entries(configs).map(([key, value]) => [key, `${value}`]))
      const replicas =
        assignment === undefined ? { partitions, replicationFactor } : { assignment: new Map(assignment.entries()) }
      const created = await admin.createTopics([{ topic, configs: texts, ...replicas }], { timeoutMs: PATIENCE_MS })
      await created.all()
    } finally {
      await admin.close()
    }
    const count = assignment?.length ?? partitions
    await this.#until(`every broker knows the leaders of ${topic}`, async () =>
      this.#runningInstances().every(({ server: { metadataCache } }) =>
        Array.from({ length: count }, (_, i) => metadataCache.partition(topic, i)).every((state) => (state?.leader ?? -1) >= 0),
      ),
    )
  }

  async leaderOf(topic: string, partition: number): Promise<number> {
    return (await this.#partition(topic, partition)).leader
  }

  async inSyncReplicasOf(topic: string, partition: number): Promise<readonly number[]> {
    return (await this.#partition(topic, partition)).isr
  }

  async #partition(topic: string, partition: number): Promise<PartitionState> {
    const states = await this.#store().getPartitionStates([{ topic, partition }])
    const state = [...states.values()][0]
    if (state === undefined) throw new Error(`there is no partition ${partition} of topic ${topic}`)
    return state
  }

  async waitForReplicas(topic: string): Promise<void> {
    const zk = this.#store()
    const assignment = (await zk.getAssignments([topic])).get(topic)
    if (assignment === undefined) throw new Error(`there is no topic ${topic}`)
    await this.#until(`all replicas of ${topic} are in sync`, async () => {
      const replicas = [...assignment]
      const states = await zk.getPartitionStates(replicas.map(([partition]) => ({ topic, partition })))
      return replicas.every(([partition, ids]) => states.get(`${topic}-${partition}`)?.isr.length === ids.length)
    })
  }

  #runningInstances(): BrokerInstance[] {
    return this.#members.flatMap(({ instance }) => (instance?.isAlive && instance.server.state === 'running' ? [instance] : []))
  }

  async #untilKnown(what: string): Promise<void> {
    await this.#until(what, async () => {
      const running = this.#runningInstances()
      return running.every(({ server: { metadataCache } }) => {
        const isThere = running.every(({ server }) => metadataCache.isAlive(server.brokerId))
        return isThere && running.some(({ server }) => server.brokerId === metadataCache.controllerId)
      })
    })
  }

  /** Asks again and again until there is an answer other than false and undefined. */
  async #until<T>(what: string, ask: () => Promise<T | false | undefined>): Promise<T> {
    const deadline = nodeClock.now() + PATIENCE_MS
    for (;;) {
      this.#checkRunning()
      const answer = await ask()
      if (answer !== false && answer !== undefined) return answer
      if (nodeClock.now() >= deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`)
      await new Promise<void>((wake) => void nodeClock.timer(POLL_MS, wake))
    }
  }
}

function loggerOf({ logLevel = 'off', onLog }: ClusterOptions, brokerId: number): Logger {
  if (logLevel === 'off') return silentLogger()
  const write = onLog ?? ((line: string) => void process.stdout.write(line))
  return createLogger({
    wall: nodeClock.wall,
    timezoneOffsetMs,
    level: logLevel,
    sink: { write: (line) => write(`broker ${brokerId} ${line}`) },
  })
}
