import type { Cluster } from './cluster.ts'
import type { ZnodeChecker } from './znode-checker.ts'

/** Whether a healed cluster has come to rest: G14, G15, G16 as far as they can be seen from outside. */
export class Convergence {
  readonly #cluster: Cluster
  readonly #znodes: ZnodeChecker

  constructor(cluster: Cluster, znodes: ZnodeChecker) {
    this.#cluster = cluster
    this.#znodes = znodes
  }

  /** What is still missing; undefined when nothing is. */
  problem(): string | undefined {
    return this.#brokers() ?? this.#adminWork() ?? this.#partitions()
  }

  #brokers(): string | undefined {
    const { brokers } = this.#cluster
    for (const { host, id, isUp } of brokers) {
      if (!isUp) return `${host} is not up`
      if (!this.#znodes.liveBrokers.has(id)) return `${host} is not registered`
    }
    const controllers = brokers.filter(({ process }) => process?.server.controller?.isActive)
    return controllers.length === 1 ? undefined : `${controllers.length} controllers`
  }

  #adminWork(): string | undefined {
    const { tree } = this.#cluster.zooKeeper.machine
    for (const path of ['/admin/preferred_replica_election', '/admin/reassign_partitions'])
      if (tree.get(path) !== undefined) return `${path} is there`
    const deletions = tree.get('/admin/delete_topics')?.children
    if (deletions !== undefined && deletions !== null && deletions.size > 0)
      return `topics to delete: ${[...deletions].join(',')}`
    for (const topic of tree.get('/brokers/topics')?.children ?? []) {
      if (![...this.#znodes.partitions.values()].some((one) => one.topic === topic)) return `${topic} has no partition state`
    }
    return undefined
  }

  #partitions(): string | undefined {
    for (const [key, { topic, partition, leader, leaderEpoch, isr }] of this.#znodes.partitions) {
      if (leader < 0) return `${key} has no leader`
      const assigned = this.#cluster.assignment(topic, partition)
      if (assigned.length !== isr.length) return `${key}: ISR ${isr.join(',')} of ${assigned.join(',')} under ${leader}`
      for (const id of assigned) {
        const view = this.#cluster.broker(id)?.process?.server.replicaManager?.partition(topic, partition)
        if (view?.log === undefined) return `broker ${id} has no log of ${key}`
        if (view.leaderId !== leader || view.leaderEpoch !== leaderEpoch)
          return `broker ${id} believes in leader ${view.leaderId} epoch ${view.leaderEpoch} of ${key}, it is ${leader} epoch ${leaderEpoch}`
        if (this.isQuiet && view.log.lastStableOffset !== view.log.logEndOffset)
          return `${key} on broker ${id}: a transaction is open at ${view.log.lastStableOffset} of ${view.log.logEndOffset}`
        if (view.highWatermark !== view.log.logEndOffset && this.isQuiet)
          return `${key} on broker ${id}: high watermark ${view.highWatermark} of ${view.log.logEndOffset}`
      }
    }
    return undefined
  }

  /** Set once nobody writes any more. */
  isQuiet = false
}
