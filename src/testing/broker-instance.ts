import type { ZkConnection } from '../../zk/client/guard.ts'
import type { Logger } from '../base/logger.ts'
import type { Disk } from '../ports/disk.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { nodeHttp } from '../ports/node/http.ts'
import { createNodeNet } from '../ports/node/net.ts'
import { nodeRng } from '../ports/node/rng.ts'
import { KafkaServer } from '../server/broker.ts'
import type { BrokerConfig } from '../server/config/broker-config.ts'
import { Life } from './life.ts'
import { diskOf } from './life-disk.ts'
import { httpOf, netOf } from './life-net.ts'
import { zooKeeperOf } from './life-zookeeper.ts'

/** What it takes to go on with a ZooKeeper session: to end it in somebody's place. */
export interface SessionIdentity {
  readonly sessionId: bigint
  readonly password: Buffer
}

export interface InstanceOptions {
  readonly config: BrokerConfig
  readonly disk: Disk
  readonly logger: Logger
  /** The broker ended itself, as a process would with exit code 1. */
  readonly onHalt: (reason: string) => void
}

/** One run of a broker, wired as `server/main.ts` does, over ports that end with it. */
export class BrokerInstance {
  readonly server: KafkaServer
  readonly #life = new Life(nodeClock)
  #connection: ZkConnection | undefined

  constructor({ config, disk, logger, onHalt }: InstanceOptions) {
    const life = this.#life
    const net = createNodeNet({
      onAcceptError: (error) => logger.warn(`[SocketServer] Error while accepting connection: ${error.message}`),
    })
    this.server = new KafkaServer(config, {
      clock: life,
      rng: nodeRng,
      disk: diskOf(life, disk),
      net: netOf(life, net),
      http: httpOf(life, nodeHttp),
      openZkConnection: zooKeeperOf(life, (connection) => {
        this.#connection = connection
      }),
      logger,
      hostName: '127.0.0.1',
      connectionLimits: config.maxConnectionsPerIpOverrides,
      halt: life.guard((reason: string) => {
        logger.error(reason)
        void life.end()
        onHalt(reason)
      }),
    })
  }

  get isAlive(): boolean {
    return this.#life.isAlive
  }

  /** Of the newest session; undefined before there is one. */
  get session(): SessionIdentity | undefined {
    const connection = this.#connection
    if (connection === undefined || connection.sessionId === 0n) return undefined
    return { sessionId: connection.sessionId, password: connection.password }
  }

  /** Resolves when it serves; rejects when it cannot, or when it is killed before. */
  async start(): Promise<void> {
    const killed = this.#life.ended.then((): never => {
      throw new Error(`broker ${this.server.config.brokerId} was killed while it started`)
    })
    try {
      await Promise.race([this.server.startup(), killed])
    } catch (error) {
      await this.#life.end()
      throw error
    }
  }

  /** Controlled shutdown, and the end. Killed meanwhile, it ends too. */
  async stop(): Promise<void> {
    await Promise.race([this.server.shutdown(), this.#life.ended])
    await this.#life.end()
  }

  /** As kill -9. Resolves when nothing of it can act any more and its port and files are free. */
  kill(): Promise<void> {
    return this.#life.end()
  }
}
