import assert from 'node:assert/strict'
import { join } from 'node:path'
import { distribution, eventually, run } from './brokers.ts'
import { type ClusterOptions, TestCluster } from './cluster.ts'
import { ZnodeSteps } from './znode-steps.ts'
import type { Scenario } from './znode-writes.ts'
import { ZooKeeperProxy } from './zookeeper-proxy.ts'

/** Three brokers as the recorded ones were configured, each behind a recorder, and a recorder for tools. */
export class ZnodeCluster {
  readonly cluster: TestCluster
  readonly tool: ZooKeeperProxy

  private constructor(cluster: TestCluster, tool: ZooKeeperProxy) {
    this.cluster = cluster
    this.tool = tool
  }

  /** `stopped`: no broker is started; else they start one after the other, the first becomes controller. */
  static async start(properties: ClusterOptions['properties'] = {}, stopped = false): Promise<ZnodeCluster> {
    const common = { 'zookeeper.session.timeout.ms': 12000, 'zookeeper.connection.timeout.ms': 30000 }
    const cluster = await TestCluster.start({
      brokers: 3,
      proxied: true,
      stopped: true,
      properties: { ...common, ...properties },
    })
    try {
      if (!stopped) {
        for (const broker of cluster.brokers) await broker.start()
        await cluster.registered(cluster.brokers.length)
      }
      const [host = '', port = ''] = cluster.zookeeper.split(':')
      return new ZnodeCluster(cluster, await ZooKeeperProxy.start({ host, port: Number(port) }))
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** Recorder of a broker, in the form that steps name owners by. */
  proxy(id: number): () => ZooKeeperProxy {
    return () => this.cluster.proxies[id] ?? assert.fail(`no broker ${id}`)
  }

  /** Steps of a scenario that are judged by these topics. */
  steps(topics: readonly string[], scenario: Scenario = 'main'): ZnodeSteps {
    return new ZnodeSteps(scenario, this.cluster.zk.session, () => [...this.cluster.proxies, this.tool], topics)
  }

  /** A tool of the distribution (`kafka-topics`, ...), on ZooKeeper through the tools' recorder. */
  async runTool(name: string, ...words: string[]): ReturnType<typeof run> {
    return run(join(distribution, 'bin', `${name}.sh`), ['--zookeeper', `127.0.0.1:${this.tool.port}`, ...words])
  }

  topics(...words: string[]): ReturnType<typeof run> {
    return this.runTool('kafka-topics', ...words)
  }

  /** With full in-sync sets. */
  async createTopic(topic: string, assignment: string): Promise<void> {
    await this.topics('--create', '--topic', topic, '--replica-assignment', assignment)
    const replicas = assignment.split(',').map((one) => one.split(':').length)
    await this.cluster.fullIsr(topic, replicas.length, replicas[0] ?? 0)
  }

  controller(): Promise<number> {
    return eventually('a controller', () => this.cluster.controllerId())
  }

  async becomesController(id: number): Promise<void> {
    while ((await this.controller()) !== id) {
      await this.cluster.zk.deleteController()
      await this.controller()
    }
  }

  /** A recorded election that any broker may win: the winner writes what the recorded one wrote. */
  async assertWinner(steps: ZnodeSteps, number: number, recorded: number): Promise<void> {
    const winner = await this.controller()
    const want = steps
      .goldenLines(number, `broker ${recorded}`)
      .map((line) => line.replace(`\\"brokerid\\":${recorded}`, `\\"brokerid\\":${winner}`))
    assert.deepEqual(steps.linesOf(this.proxy(winner)()), want)
  }

  async close(): Promise<void> {
    await this.tool.close()
    await this.cluster.close()
  }
}
