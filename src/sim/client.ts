import type { Clock } from '../ports/clock.ts'
import type { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { Net } from '../ports/net.ts'
import type { ApiName, RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { Channel } from '../rpc/channel.ts'
import { BROKER_PORT } from './broker-node.ts'
import type { Surroundings } from './history.ts'
import { ProcessClock } from './process-clock.ts'

/** What clients live in: the simulated world, or that of real processes (`integration-tests/harness/history-world.ts`). */
export interface ClientWorld extends Surroundings {
  readonly clock: Clock
  readonly rng: Pick<SeededRng, 'fork' | 'int' | 'next'>
  readonly network: { host(name: string, clock: Clock): Net; kill(name: string): void }
  /** A rare state was reached. */
  reached(name: string): void
  running: string
}

/** The newest version of each API that 1.1 clients speak and the simulation uses. */
const VERSIONS = {
  Produce: 5,
  Fetch: 7,
  ListOffsets: 2,
  Metadata: 5,
  OffsetCommit: 3,
  OffsetFetch: 3,
  FindCoordinator: 1,
  JoinGroup: 2,
  Heartbeat: 1,
  LeaveGroup: 1,
  SyncGroup: 1,
  CreateTopics: 2,
  DeleteTopics: 1,
  InitProducerId: 0,
  AddPartitionsToTxn: 0,
  AddOffsetsToTxn: 0,
  EndTxn: 0,
  TxnOffsetCommit: 0,
  CreatePartitions: 0,
  DeleteRecords: 0,
} as const satisfies Partial<Record<ApiName, number>>

/** No answer: nobody knows whether the request was carried out. */
export const NO_ANSWER = Symbol('no answer')
export const REQUEST_TIMEOUT_MS = 2500

/** A client machine with its connections. Its programs are loops that end when `isOver`. */
export class SimClient {
  readonly name: string
  readonly world: ClientWorld
  readonly clock: ProcessClock
  readonly brokers: number
  isOver = false
  readonly #channels = new Map<number, Channel>()
  readonly #leaders = new Map<string, number>()
  #turn = 0

  constructor(world: ClientWorld, name: string, brokers: number) {
    this.world = world
    this.name = name
    this.brokers = brokers
    this.clock = new ProcessClock(world.clock, (run) => {
      world.running = name
      run()
    })
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.timer(ms, resolve))
  }

  /** `read` takes what it needs out of the response while its bytes are there. */
  call<A extends keyof typeof VERSIONS, T>(
    broker: number,
    api: A,
    request: RequestInput<A>,
    read: (response: ResponseOf<A>) => T,
  ): Promise<T | typeof NO_ANSWER> {
    return new Promise((resolve) => {
      this.#channel(broker).send(api, request, (error, response) => {
        resolve(error === undefined && response !== undefined ? read(response) : NO_ANSWER)
      })
    })
  }

  #channel(broker: number): Channel {
    let channel = this.#channels.get(broker)
    if (channel === undefined) {
      channel = new Channel({
        net: this.world.network.host(this.name, this.clock),
        clock: this.clock,
        address: () => ({ host: `broker-${broker}`, port: BROKER_PORT }),
        clientId: this.name,
        versions: VERSIONS,
        connectTimeoutMs: 1000,
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        reconnectBackoffMs: 50,
      })
      this.#channels.set(broker, channel)
    }
    return channel
  }

  /** Some broker: the next one each time. */
  anyBroker(): number {
    return this.#turn++ % this.brokers
  }

  /** By the last metadata; asks for it when unknown. */
  async leader(topic: string, partition: number): Promise<number | undefined> {
    const key = `${topic}-${partition}`
    const known = this.#leaders.get(key)
    if (known !== undefined) return known
    await this.call(this.anyBroker(), 'Metadata', { topics: [topic], allowAutoTopicCreation: false }, ({ topicMetadata }) => {
      for (const { topic: name, partitionMetadata } of topicMetadata) {
        for (const { partition: id, leader } of partitionMetadata) if (leader >= 0) this.#leaders.set(`${name}-${id}`, leader)
      }
    })
    return this.#leaders.get(key)
  }

  forgetLeader(topic: string, partition: number): void {
    this.#leaders.delete(`${topic}-${partition}`)
  }

  /** Broker id, or undefined while nobody can tell. */
  async coordinator(key: string, type: 0 | 1): Promise<number | undefined> {
    const found = await this.call(
      this.anyBroker(),
      'FindCoordinator',
      { coordinatorKey: key, coordinatorType: type },
      ({ errorCode, coordinator }) => (errorCode === 0 ? coordinator.nodeId : undefined),
    )
    return found === NO_ANSWER ? undefined : found
  }

  /** The process ends without a word. */
  kill(): void {
    this.isOver = true
    this.clock.kill()
    this.world.network.kill(this.name)
  }
}
