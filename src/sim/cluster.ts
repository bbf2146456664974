import { parseBrokerConfig } from '../server/config/broker-config.ts'
import type { Machine, PortWrappers } from './broker-node.ts'
import { BROKER_PORT, BrokerNode, GOOD_MACHINE, LOG_DIRS } from './broker-node.ts'
import type { World } from './world.ts'
import { SimZooKeeper } from './zookeeper.ts'

export interface ClusterOptions {
  readonly brokers: number
  /** Added to every broker's `server.properties`. */
  readonly properties: Readonly<Record<string, string>>
  readonly wrappers?: PortWrappers
  /** How wrong the clocks of each broker go, in 64ths; missing: not at all. */
  readonly drifts?: readonly number[]
  readonly machine?: Machine
}

export const SESSION_TIMEOUT_MS = 2000
export const REPLICA_LAG_MS = 1500

/** Small and quick: a minute of virtual time sees what takes a real cluster an hour. */
const PROPERTIES: Readonly<Record<string, string>> = {
  'zookeeper.connect': 'zookeeper:2181',
  'zookeeper.session.timeout.ms': String(SESSION_TIMEOUT_MS),
  'zookeeper.connection.timeout.ms': '10000',
  'log.dirs': LOG_DIRS.join(','),
  'replica.lag.time.max.ms': String(REPLICA_LAG_MS),
  'replica.fetch.wait.max.ms': '500',
  'replica.fetch.backoff.ms': '100',
  'replica.socket.timeout.ms': '3000',
  'controller.socket.timeout.ms': '3000',
  'request.timeout.ms': '3000',
  'replica.high.watermark.checkpoint.interval.ms': '700',
  'min.insync.replicas': '2',
  'default.replication.factor': '3',
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '3',
  'transaction.state.log.num.partitions': '1',
  'transaction.state.log.replication.factor': '3',
  'group.initial.rebalance.delay.ms': '100',
  'group.min.session.timeout.ms': '1000',
  'controlled.shutdown.retry.backoff.ms': '500',
  'leader.imbalance.check.interval.seconds': '5',
  'log.segment.delete.delay.ms': '1000',
  'log.flush.offset.checkpoint.interval.ms': '5000',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
  'auto.create.topics.enable': 'false',
  'log.index.size.max.bytes': '4096',
  'log.cleaner.io.buffer.size': '8192',
}

/** What cannot be on three brokers. */
function fewer(brokers: number): Readonly<Record<string, string>> {
  const count = String(brokers)
  return {
    'min.insync.replicas': count,
    'default.replication.factor': count,
    'offsets.topic.replication.factor': count,
    'transaction.state.log.replication.factor': count,
    'transaction.state.log.min.isr': count,
  }
}

export class Cluster {
  readonly world: World
  readonly zooKeeper: SimZooKeeper
  readonly brokers: readonly BrokerNode[]

  constructor(world: World, options: ClusterOptions) {
    this.world = world
    this.zooKeeper = new SimZooKeeper(world)
    this.brokers = Array.from({ length: options.brokers }, (_, id) => {
      const properties = {
        ...PROPERTIES,
        'broker.id': String(id),
        listeners: `PLAINTEXT://:${BROKER_PORT}`,
        ...(options.brokers < 3 && fewer(options.brokers)),
        ...options.properties,
      }
      const config = parseBrokerConfig(new Map(Object.entries(properties)))
      return new BrokerNode({
        id,
        world,
        zooKeeper: this.zooKeeper,
        config,
        wrappers: options.wrappers ?? {},
        drift: options.drifts?.[id] ?? 0,
        machine: options.machine ?? GOOD_MACHINE,
      })
    })
  }

  broker(id: number): BrokerNode | undefined {
    return this.brokers[id]
  }

  /** Whose event has just run. */
  get running(): BrokerNode | undefined {
    return this.world.running.startsWith('broker-') ? this.broker(Number(this.world.running.slice(7))) : undefined
  }

  startAll(): void {
    for (const broker of this.brokers) broker.start()
  }

  /** Replicas of a partition as ZooKeeper has them. */
  assignment(topic: string, partition: number): readonly number[] {
    const data = this.zooKeeper.machine.tree.get(`/brokers/topics/${topic}`)?.data
    const { partitions } = JSON.parse(data?.toString() ?? '{"partitions":{}}') as { partitions: Record<string, number[]> }
    return partitions[String(partition)] ?? []
  }

  get controller(): BrokerNode | undefined {
    return this.brokers.find(({ process }) => process?.isUp === true && process.server.controller?.isActive === true)
  }
}
