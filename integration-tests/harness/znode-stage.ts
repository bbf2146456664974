import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { startTestZooKeeper, type TestZooKeeper } from '../../zk/client/testing-zookeeper.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import { type BrokerProcess, distribution, freePorts, run } from './brokers.ts'
import { ZooKeeperProxy } from './zookeeper-proxy.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Two brokers behind recorders, and a third recorder for tools. */
export class ZnodeStage {
  readonly directory = mkdtempSync(join(tmpdir(), 'samsa-znodes-'))
  readonly zookeeper: TestZooKeeper
  readonly proxies: readonly ZooKeeperProxy[]
  readonly ports: readonly number[]
  readonly zk: KafkaZk
  brokers: BrokerProcess[] = []

  private constructor(zookeeper: TestZooKeeper, proxies: readonly ZooKeeperProxy[], ports: readonly number[], chroot: string) {
    this.zookeeper = zookeeper
    this.proxies = proxies
    this.ports = ports
    const connect = `${zookeeper.connect}${chroot}`
    this.zk = openKafkaZk({ connect, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 }, nodeClock, silent)
  }

  static async start(chroot: string): Promise<ZnodeStage> {
    const zookeeper = await startTestZooKeeper()
    const target = { host: '127.0.0.1', port: zookeeper.port }
    const proxies = await Promise.all([0, 1, 2].map(() => ZooKeeperProxy.start(target)))
    const stage = new ZnodeStage(zookeeper, proxies, await freePorts(4), chroot)
    await stage.zk.session.start()
    return stage
  }

  proxy(index: number): ZooKeeperProxy {
    return this.proxies[index] ?? assert.fail()
  }

  broker(index: number): BrokerProcess {
    return this.brokers[index] ?? assert.fail()
  }

  topics(chroot: string, ...words: string[]): ReturnType<typeof run> {
    const connect = `127.0.0.1:${this.proxy(2).port}${chroot}`
    return run(join(distribution, 'bin', 'kafka-topics.sh'), ['--zookeeper', connect, ...words])
  }

  async close(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.kill()))
    await this.zk.session.close()
    await Promise.all(this.proxies.map((proxy) => proxy.close()))
    await this.zookeeper.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
