import type { BrokerId, PartitionKey } from '../base/ids.ts'
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

  constructor(env: ReplicationEnvironment, peers: PeerRpc) {
    this.#env = env
    this.#peers = peers
  }

  /** Number of open connections to leaders. */
  get size(): number {
    return this.#fetchers.size
  }

  isFollowing(partition: Partition): boolean {
    return this.#byPartition.has(partition.key)
  }

  follow(partition: Partition, leader: BrokerId): void {
    this.unfollow(partition)
    const index = fetcherIndex(partition.topic, partition.partition, this.#env.config.numReplicaFetchers)
    const name = `${leader}-${index}`
    let fetcher = this.#fetchers.get(name)
    if (fetcher === undefined) {
      fetcher = new Fetcher(this.#env, this.#peers, leader, index, { halted: (replica, reason) => this.#halted(replica, reason) })
      this.#fetchers.set(name, fetcher)
    }
    fetcher.add(partition)
    this.#byPartition.set(partition.key, fetcher)
  }

  unfollow(partition: Partition): void {
    this.#byPartition.get(partition.key)?.remove(partition.key)
    this.#byPartition.delete(partition.key)
  }

  #halted(replica: Partition, reason: string): void {
    this.#byPartition.delete(replica.key)
    replica.halted = reason
    replica.logger.error(`Replication halted: ${reason}`)
  }

  /** Closes fetchers without partitions, lets the others send what is due. */
  run(): void {
    for (const [name, fetcher] of this.#fetchers) {
      if (fetcher.size > 0) {
        fetcher.run()
        continue
      }
      fetcher.close()
      this.#fetchers.delete(name)
    }
  }

  close(): void {
    for (const fetcher of this.#fetchers.values()) fetcher.close()
    this.#fetchers.clear()
    this.#byPartition.clear()
  }
}
