/** Three brokers and a genuine ZooKeeper (or an ensemble) in which everybody reaches everybody through links that can be cut. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RealZooKeeper, realZooKeeperMissing, startRealZooKeeper } from '../../zk/contract/real-zookeeper.ts'
import type { BrokerProcess } from './brokers.ts'
import { eventually } from './brokers.ts'
import { TestCluster } from './cluster.ts'
import { LinkNetwork } from './link-network.ts'
import { ask } from './wire.ts'
import { ZooKeeperProxy } from './zookeeper-proxy.ts'

/** The machine name of every ZooKeeper server in a `LinkNetwork`. */
export const ZOOKEEPER = 'zookeeper'
export const BROKERS = 3

export interface LinkedClusterOptions {
  /** Servers of the ensemble; default 1. */
  readonly zooKeepers?: 1 | 3
  readonly logDirsPerBroker?: 1 | 2
  readonly properties?: Readonly<Record<string, string | number | boolean>>
  /** Called for each log directory before its broker starts. */
  readonly prepareLogDir?: (directory: string) => void
  /** Called for each after the brokers' end. */
  readonly releaseLogDir?: (directory: string) => void
}

/**
 * Small times: faults and recoveries take seconds. Nothing acknowledged may be lost under them. Nothing is compacted: each replica does that
 * when it likes, and replicas are compared byte for byte.
 */
const PROPERTIES: Readonly<Record<string, string | number | boolean>> = {
  'min.insync.replicas': 2,
  'default.replication.factor': 3,
  'replica.lag.time.max.ms': 2000,
  'replica.socket.timeout.ms': 3000,
  'controller.socket.timeout.ms': 3000,
  'replica.high.watermark.checkpoint.interval.ms': 700,
  'offsets.topic.num.partitions': 1,
  'offsets.topic.replication.factor': 3,
  'transaction.state.log.num.partitions': 1,
  'transaction.state.log.replication.factor': 3,
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1000,
  'group.initial.rebalance.delay.ms': 100,
  'group.min.session.timeout.ms': 1000,
  'controlled.shutdown.retry.backoff.ms': 500,
  'auto.create.topics.enable': false,
  'log.cleaner.enable': false,
}

export class LinkedCluster {
  readonly network = new LinkNetwork()
  readonly zooKeeper: RealZooKeeper
  /** Where clients reach broker 0, 1, 2: through the links. */
  readonly ports: number[] = []
  readonly #root: string
  readonly #logDirs = new Map<number, readonly string[]>()
  readonly #recorders: { readonly id: number; readonly proxy: ZooKeeperProxy }[] = []
  readonly #release: ((directory: string) => void) | undefined
  #cluster: TestCluster | undefined

  private constructor(zooKeeper: RealZooKeeper, options: LinkedClusterOptions) {
    this.zooKeeper = zooKeeper
    this.#release = options.releaseLogDir
    this.#root = mkdtempSync(join(tmpdir(), 'samsa-linked-'))
  }

  static async start(options: LinkedClusterOptions = {}): Promise<LinkedCluster> {
    assert.equal(realZooKeeperMissing(), null)
    const linked = new LinkedCluster(await startRealZooKeeper({ servers: options.zooKeepers ?? 1 }), options)
    try {
      linked.#cluster = await TestCluster.start({
        brokers: BROKERS,
        zookeeper: linked.zooKeeper.connect,
        properties: { ...PROPERTIES, ...options.properties },
        brokerProperties: (id, port) => linked.#wire(id, port, options),
      })
      return linked
    } catch (error) {
      await linked.close()
      throw error
    }
  }

  async #wire(id: number, port: number, options: LinkedClusterOptions): Promise<Record<string, string>> {
    const outside = await this.network.open({ target: port, to: `${id}` })
    this.ports[id] = outside
    const servers = await Promise.all(this.zooKeeper.nodes.map((node) => this.#wireZooKeeper(id, node.port)))
    const logDirs = ['a', 'b'].slice(0, options.logDirsPerBroker ?? 1).map((name) => join(this.#root, `broker-${id}`, name))
    for (const directory of logDirs) {
      mkdirSync(directory, { recursive: true })
      options.prepareLogDir?.(directory)
    }
    this.#logDirs.set(id, logDirs)
    return {
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${outside}`,
      'zookeeper.connect': servers.map((server) => `127.0.0.1:${server}`).join(','),
      'log.dirs': logDirs.join(','),
    }
  }

  /** Behind the link stands a proxy that knows the session. */
  async #wireZooKeeper(id: number, port: number): Promise<number> {
    const proxy = await ZooKeeperProxy.start({ host: '127.0.0.1', port })
    this.#recorders.push({ id, proxy })
    return this.network.open({ target: proxy.port, from: `${id}`, to: ZOOKEEPER })
  }

  get cluster(): TestCluster {
    return this.#cluster ?? assert.fail('not started')
  }

  broker(id: number): BrokerProcess {
    return this.cluster.broker(id)
  }

  /** Ids of the brokers but these. */
  others(...ids: readonly number[]): number[] {
    return Array.from({ length: BROKERS }, (_, id) => id).filter((id) => !ids.includes(id))
  }

  async controller(): Promise<number> {
    return eventually('a controller', async () => this.cluster.controllerId())
  }

  /** Ends the session of a broker as its expiry would. Only with one ZooKeeper. */
  async expireSession(id: number): Promise<void> {
    assert.equal(this.zooKeeper.nodes.length, 1)
    const recorder = this.#recorders.find((one) => one.id === id)
    await this.cluster.endSessionOf(id, recorder?.proxy ?? assert.fail(`no proxy of broker ${id}`))
  }

  /** Topics of `partitions` partitions whose replicas stand everywhere and whose leader is the given broker. */
  async createTopics(
    topics: readonly {
      readonly topic: string
      readonly partitions: number
      readonly leader: number
      readonly compact?: boolean
    }[],
  ): Promise<void> {
    const address = this.broker(await this.controller()).address
    const createTopicRequests = topics.map(({ topic, partitions, leader, compact }) => ({
      topic,
      numPartitions: -1,
      replicationFactor: -1,
      replicaAssignment: Array.from({ length: partitions }, (_, partition) => ({
        partition,
        replicas: [leader, ...this.others(leader)],
      })),
      configEntries: compact === true ? [{ configName: 'cleanup.policy', configValue: 'compact' }] : [],
    }))
    const { topicErrors } = await ask(address, 'CreateTopics', 2, { createTopicRequests, timeout: 10_000 })
    for (const { topic, errorCode, errorMessage } of topicErrors) assert.equal(errorCode, 0, `${topic}: ${errorMessage}`)
    for (const { topic, partitions } of topics) await this.cluster.fullIsr(topic, partitions, BROKERS)
  }

  /** Of all brokers. */
  logDirs(): string[] {
    return [...this.#logDirs.values()].flat()
  }

  /** The folder of a replica, in whatever log directory it lies; undefined: there is none. */
  replicaFolder(id: number, topic: string, partition: number): string | undefined {
    return this.#logDirs
      .get(id)
      ?.map((directory) => join(directory, `${topic}-${partition}`))
      .find((folder) => existsSync(folder))
  }

  /** All segments of a replica, one after the other. */
  replicaBytes(id: number, topic: string, partition: number): Buffer | undefined {
    const folder = this.replicaFolder(id, topic, partition)
    if (folder === undefined) return undefined
    const segments = readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .sort()
    return Buffer.concat(segments.map((name) => readFileSync(join(folder, name))))
  }

  async close(): Promise<void> {
    await this.#cluster?.close()
    await this.network.close()
    await Promise.all(this.#recorders.map(({ proxy }) => proxy.close()))
    await this.zooKeeper.close()
    for (const directory of this.logDirs()) this.#release?.(directory)
    rmSync(this.#root, { recursive: true, force: true })
  }
}
