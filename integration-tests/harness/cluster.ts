/** A cluster for one test file: a real ZooKeeper where it is installed, brokers of the built distribution, and a session of our own to look. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { endSession } from '../../src/testing/end-session.ts'
import { startTestZooKeeper, type TestZooKeeper } from '../../zk/client/testing-zookeeper.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import { BrokerProcess, distribution, eventually, freePorts, run } from './brokers.ts'
import { ZooKeeperProxy } from './zookeeper-proxy.ts'

/** Internal topics that one broker can hold, of few partitions. */
export const SMALL_INTERNAL_TOPICS = {
  'offsets.topic.num.partitions': 2,
  'offsets.topic.replication.factor': 1,
  'transaction.state.log.num.partitions': 2,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
} as const

export interface ClusterOptions {
  readonly brokers: number
  readonly properties?: Readonly<Record<string, string | number | boolean>>
  /** Each broker reaches ZooKeeper through a proxy that records and can cut. */
  readonly proxied?: boolean
  /** Use this ZooKeeper (`host:port/chroot`) instead of starting one. */
  readonly zookeeper?: string
  /** Further properties of one broker, which will listen on `port`. */
  readonly brokerProperties?: (id: number, port: number) => Promise<Readonly<Record<string, string | number | boolean>>>
  /** Brokers are made but not started. */
  readonly stopped?: boolean
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

export class TestCluster {
  readonly zookeeper: string
  readonly zk: KafkaZk
  readonly brokers: BrokerProcess[] = []
  readonly proxies: ZooKeeperProxy[] = []
  private readonly directory: string
  private readonly server: TestZooKeeper | undefined

  private constructor(server: TestZooKeeper | undefined, zookeeper: string) {
    this.server = server
    this.zookeeper = zookeeper
    this.directory = mkdtempSync(join(tmpdir(), 'samsa-test-'))
    this.zk = openKafkaZk({ connect: zookeeper, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 }, nodeClock, silent)
  }

  static async start(options: ClusterOptions): Promise<TestCluster> {
    const server = options.zookeeper === undefined ? await startTestZooKeeper() : undefined
    const cluster = new TestCluster(server, options.zookeeper ?? server?.connect ?? '')
    try {
      const ports = await freePorts(options.brokers)
      for (const [id, port] of ports.entries()) cluster.brokers.push(await cluster.makeBroker(id, port, options))
      if (options.stopped !== true) await Promise.all(cluster.brokers.map((broker) => broker.start()))
      await cluster.zk.session.start()
      if (options.stopped !== true) await cluster.registered(options.brokers)
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  private async makeBroker(id: number, port: number, options: ClusterOptions): Promise<BrokerProcess> {
    let zookeeper = this.zookeeper
    if (options.proxied === true) {
      const [host = '', rest = ''] = zookeeper.split(':')
      const proxy = await ZooKeeperProxy.start({ host, port: Number.parseInt(rest, 10) })
      this.proxies[id] = proxy
      zookeeper = `127.0.0.1:${proxy.port}`
    }
    return new BrokerProcess({
      id,
      port,
      zookeeper,
      directory: join(this.directory, `broker-${id}`),
      properties: { ...options.properties, ...(await options.brokerProperties?.(id, port)) },
    })
  }

  get addresses(): string[] {
    return this.brokers.map(({ address }) => address)
  }
  get bootstrap(): string {
    return this.addresses.join(',')
  }
  broker(id: number): BrokerProcess {
    return this.brokers[id] ?? assert.fail(`no broker ${id}`)
  }

  async registered(count: number): Promise<void> {
    await eventually(`${count} brokers and a controller`, async () => {
      return (await this.zk.getBrokerIds()).length === count && (await this.controllerId()) !== undefined
    })
  }

  controllerId(): Promise<number | undefined> {
    return this.zk.getControllerId()
  }

  async partitionState(topic: string, partition: number): Promise<PartitionState> {
    return eventually(`state of ${topic}-${partition}`, async () => {
      return (await this.zk.getPartitionStates([{ topic, partition }])).get(`${topic}-${partition}`)
    })
  }

  /** Creates it with the distribution's tool and waits for full in-sync sets. */
  async createTopic(topic: string, partitions: number, replicas: number, ...more: string[]): Promise<void> {
    const words = ['--create', '--topic', topic, '--partitions', `${partitions}`, '--replication-factor', `${replicas}`, ...more]
    const ran = await this.topics(words)
    assert.equal(ran.code, 0, ran.stdout + ran.stderr)
    await this.fullIsr(topic, partitions, replicas)
    await this.knownEverywhere(topic, partitions)
  }

  topics(words: readonly string[]): ReturnType<typeof run> {
    return run(join(distribution, 'bin', 'kafka-topics.sh'), ['--zookeeper', this.zookeeper, ...words])
  }

  async deleteTopic(topic: string): Promise<void> {
    const ran = await this.topics(['--delete', '--topic', topic])
    assert.equal(ran.code, 0, ran.stdout + ran.stderr)
    await eventually(`${topic} is deleted`, async () => !(await this.zk.getTopics()).includes(topic))
  }

  /** Every broker's Metadata names leaders for the topic. */
  async knownEverywhere(topic: string, partitions: number): Promise<void> {
    for (const broker of this.brokers) {
      if (broker.exit !== undefined || broker.child === undefined) continue
      await eventually(`${broker.address} knows ${topic}`, async () => {
        const { stdout } = await run('kcat', ['-b', broker.address, '-L', '-t', topic])
        return (stdout.match(/partition \d+, leader \d+/g) ?? []).length === partitions
      })
    }
  }

  async fullIsr(topic: string, partitions: number, replicas: number): Promise<void> {
    const wanted = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))
    await eventually(
      `${replicas} in-sync replicas of every partition of ${topic}`,
      async () => {
        const states = [...(await this.zk.getPartitionStates(wanted)).values()]
        return states.length === partitions && states.every(({ isr, leader }) => isr.length === replicas && leader >= 0)
      },
      30_000,
    )
  }

  /** Every partition has a leader, and none of `except` is one. */
  async everyPartitionLed(topic: string, partitions: number, except: readonly number[]): Promise<void> {
    const wanted = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))
    await eventually(`leaders of ${topic} other than ${except}`, async () => {
      const states = [...(await this.zk.getPartitionStates(wanted)).values()]
      return states.length === partitions && states.every(({ leader }) => leader >= 0 && !except.includes(leader))
    })
  }

  /** The registration of a broker: owner session and data. */
  async brokerNode(id: number): Promise<{ owner: bigint; data: string } | undefined> {
    const answer = await this.zk.session.request({ op: 'getData', path: `/brokers/ids/${id}` })
    if (answer.code !== 'ok' || answer.stat === undefined) return undefined
    return { owner: answer.stat.ephemeralOwner, data: answer.data?.toString() ?? '' }
  }

  /** Ends the broker's session as its expiry would: another client takes it over by id and password, and closes it. */
  async expireSession(id: number): Promise<void> {
    const proxy = this.proxies[id] ?? assert.fail('expireSession needs a proxied cluster')
    await this.endSessionOf(id, proxy)
  }

  /** The same of a session that `proxy` has seen. Its owner may take it back for a moment; then once more. */
  async endSessionOf(id: number, proxy: ZooKeeperProxy): Promise<void> {
    const { sessionId, password } = proxy.session ?? assert.fail(`broker ${id} has no session yet`)
    const session = { sessionId: sessionId.readBigInt64BE(), password }
    const [server = ''] = this.zookeeper.split('/')
    await eventually(
      `the session of broker ${id} is over`,
      async () => {
        await endSession(server, session, nodeClock)
        return (await this.brokerNode(id))?.owner !== session.sessionId
      },
      30_000,
    )
  }

  /** Kills ZooKeeper and starts it again on the same port, with its data. */
  async restartZooKeeper(): Promise<void> {
    await (this.server ?? assert.fail('this ZooKeeper is not ours')).restart()
  }

  async close(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.kill()))
    await this.zk.session.close()
    await Promise.all(this.proxies.map((proxy) => proxy.close()))
    await this.server?.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
