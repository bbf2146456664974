import type { BrokerId, PartitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { Fetcher } from './fetcher.ts'
import { fetcherIndex } from './fetcher-names.ts'
import type { Partition } from './partition.ts'
import type { PeerRpc } from './types.ts'

/** Fetchers by leader broker and index. Changes take effect with `run`. */
export class FetcherManager {
  readonly #env: ReplicationEnvironment
  readonly #peers: PeerRpc
  readonly #fetchers = new Map<string, Fetcher>()
  readonly #byPartition = new Map<PartitionKey, Fetcher>()
  readonly #logger: Logger
  /** Since the last `run`. */
  readonly #added: string[] = []
  readonly #removed: string[] = []
  #isLeaving = false
  #held = 0

  constructor(env: ReplicationEnvironment, peers: PeerRpc) {
    this.#env = env
    this.#peers = peers
    this.#logger = env.logger.child(`[ReplicaFetcherManager on broker ${env.brokerId}]`, 'kafka.server.ReplicaFetcherManager')
  }

  /** Number of open connections to leaders. */
  get size(): number {
    return this.#fetchers.size
  }

  all(): Iterable<Fetcher> {
    return this.#fetchers.values()
  }

  isFollowing(partition: Partition): boolean {
    return this.#byPartition.has(partition.key)
  }

  /** From now on nobody new is followed; what is followed already goes on until it is stopped. */
  leave(): void {
    this.#isLeaving = true
  }

  follow(partition: Partition, leader: BrokerId): void {
    this.unfollow(partition)
    if (this.#isLeaving) return
    const index = fetcherIndex(partition.topic, partition.partition, this.#env.config.numReplicaFetchers)
    const name = `${leader}-${index}`
    let fetcher = this.#fetchers.get(name)
    if (fetcher === undefined) {
      fetcher = new Fetcher(this.#env, this.#peers, leader, index, { halted: (replica, reason) => this.#halted(replica, reason) })
      this.#fetchers.set(name, fetcher)
    }
    fetcher.add(partition)
    this.#byPartition.set(partition.key, fetcher)
    this.#added.push(`[${partition.key}, initOffset ${partition.log?.highWatermark ?? 0} to broker ${leader}] `)
  }

  unfollow(partition: Partition): void {
    this.#byPartition.get(partition.key)?.remove(partition.key)
    if (this.#byPartition.delete(partition.key)) this.#removed.push(partition.key)
  }

  #halted(replica: Partition, reason: string): void {
    this.#byPartition.delete(replica.key)
    replica.halted = reason
    replica.logger.error(`Replication halted: ${reason}`)
  }

  /** Until `release` changes have no effect yet: more of them will come. */
  hold(): void {
    this.#held++
  }

  release(): void {
    this.#held--
    this.run()
  }

  /** Closes fetchers without partitions, lets the others send what is due. */
  run(): void {
    if (this.#held > 0) return
    this.#sayChanges()
    for (const [name, fetcher] of this.#fetchers) {
      if (fetcher.size > 0) {
        fetcher.run()
        continue
      }
      fetcher.close()
      this.#fetchers.delete(name)
    }
  }

  /** One line for all that changed, as 1.1. */
  #sayChanges(): void {
    if (this.#removed.length > 0) this.#logger.info(`Removed fetcher for partitions ${this.#removed.join(',')}`)
    if (this.#added.length > 0) this.#logger.info(`Added fetcher for partitions List(${this.#added.join(', ')})`)
    this.#removed.length = 0
    this.#added.length = 0
  }

  close(): void {
    this.#logger.info('shutting down')
    for (const fetcher of this.#fetchers.values()) fetcher.close()
    this.#fetchers.clear()
    this.#byPartition.clear()
    this.#logger.info('shutdown completed')
  }
}
