import type { BrokerId, LeaderEpoch, Offset, PartitionId, PartitionKey } from '../base/ids.ts'
import { LoopSlice } from '../base/loop-slice.ts'
import type { LogConfig, LogManager } from '../log/types.ts'
import { DiskError } from '../ports/disk.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { ReplicationEnvironment } from './environment.ts'
import type { FetcherManager } from './fetcher-manager.ts'
import type { HostedPartitions } from './hosted.ts'
import type { Partition, RoleAssignment } from './partition.ts'
import type { PeerRpc, StoredState } from './types.ts'

type PartitionState = RequestOf<'LeaderAndIsr'>['partitionStates'][number]

/** How long new logs may be made without a break. */
const SLICE_MS = 5

export interface LeadershipChange {
  readonly topic: string
  readonly partition: PartitionId
  readonly isLeader: boolean
  readonly leaderEpoch: LeaderEpoch
}

export interface RoleChangePorts {
  readonly env: ReplicationEnvironment
  readonly hosted: HostedPartitions
  readonly fetchers: FetcherManager
  readonly logs: LogManager
  readonly peers: PeerRpc
  topicConfig(topic: string): LogConfig
  changed(change: LeadershipChange): void
}

/** LeaderAndIsr and StopReplica, partition by partition, with 1.1.1's error codes. Epochs of the controller are checked by the caller. */
export class RoleChanges {
  readonly #ports: RoleChangePorts
  /** `replication-offset-checkpoint` as it was at start; an entry goes when its partition appears. */
  #checkpoint: Map<string, Offset> | undefined

  constructor(ports: RoleChangePorts) {
    this.#ports = ports
  }

  /** High watermarks of logs whose partitions the controller has not given us yet. They must stay in the checkpoint. */
  get unclaimed(): ReadonlyMap<PartitionKey, Offset> {
    return (this.#checkpoint ??= this.#ports.logs.readHighWatermarks())
  }

  /**
   * Makes the logs of new partitions, in slices: a thousand of them would hold the loop for longer than heartbeats may wait. One that cannot
   * be made is left to `leaderAndIsr`, which answers for it. When another controller speaks meanwhile they are taken back.
   */
  async makeLogs(states: readonly PartitionState[], isCurrent: () => boolean): Promise<void> {
    const { env, hosted, logs, topicConfig } = this.#ports
    const made: PartitionState[] = []
    const slice = new LoopSlice(env.clock, SLICE_MS)
    for (const state of states) {
      const { topic, partition, isNew, replicas } = state
      if (!isNew || !replicas.includes(env.brokerId)) continue
      if (hosted.get(topic, partition) !== undefined || logs.get(topic, partition) !== undefined) continue
      try {
        logs.getOrCreate(topic, partition, topicConfig(topic), isNew)
        made.push(state)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        return
      }
      if (!slice.isDue) continue
      await slice.turn()
      if (!isCurrent()) return this.#takeBack(made)
    }
  }

  #takeBack(made: readonly PartitionState[]): void {
    const { hosted, logs } = this.#ports
    for (const { topic, partition } of made) {
      if (hosted.get(topic, partition) !== undefined || logs.get(topic, partition) === undefined) continue
      try {
        logs.delete(topic, partition)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
      }
    }
  }

  /** `liveLeaders`: ids of leaders that the request itself gives addresses of. */
  leaderAndIsr(states: readonly PartitionState[], liveLeaders: ReadonlySet<BrokerId>): ResponseOf<'LeaderAndIsr'>['partitions'] {
    const partitions = states.map((state) => this.#ports.hosted.getOrCreate(state.topic, state.partition))
    const errors = states.map((state, i) => this.#refusal(partitions[i]!, state))
    const me = this.#ports.env.brokerId
    const changes: LeadershipChange[] = []
    for (const leads of [true, false]) {
      states.forEach((state, i) => {
        if (errors[i] !== ErrorCode.NONE || (state.leader === me) !== leads) return
        errors[i] = leads
          ? this.#makeLeader(partitions[i]!, state, changes)
          : this.#makeFollower(partitions[i]!, state, changes, liveLeaders)
      })
    }
    // As 1.1: who has no log now is offline, also one that was refused for not being a replica.
    for (const partition of partitions) if (partition.log === undefined && !partition.failed) partition.markOffline()
    this.#ports.fetchers.run()
    for (const change of changes) this.#ports.changed(change)
    return states.map(({ topic, partition }, i) => ({ topic, partition, errorCode: errors[i]! }))
  }

  #refusal(partition: Partition, state: PartitionState): number {
    if (partition.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    if (state.leaderEpoch <= partition.leaderEpoch) {
      partition.logger.info(
        `LeaderAndIsr with leader epoch ${state.leaderEpoch} ignored: the current one is ${partition.leaderEpoch}`,
      )
      return ErrorCode.STALE_CONTROLLER_EPOCH
    }
    if (!state.replicas.includes(this.#ports.env.brokerId)) {
      partition.logger.warn(`LeaderAndIsr ignored: this broker is not among the replicas ${state.replicas.join(',')}`)
      return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    }
    return ErrorCode.NONE
  }

  #makeLeader(partition: Partition, state: PartitionState, changes: LeadershipChange[]): number {
    const { env, fetchers } = this.#ports
    fetchers.unfollow(partition)
    return this.#guardDisk(partition, () => {
      this.#requireLog(partition, state.isNew)
      const lead = (order: RoleAssignment) => {
        const previous = partition.leaderEpoch
        partition.becomeLeader(order, env.clock.now())
        partition.logger.info(
          `${partition.key} starts at Leader Epoch ${state.leaderEpoch} from offset ${partition.leaderEpochStartOffset}. Previous Leader Epoch was: ${previous}`,
        )
        env.settle(partition)
        return describe(partition)
      }
      const confirmed = ({ isr, zkVersion }: StoredState) =>
        void this.#guardDisk(partition, () => this.#ports.changed(lead({ ...state, isr, zkVersion })))
      if (partition.awaitsConfirmation(state, confirmed)) partition.failWaiting(ErrorCode.NOT_LEADER_FOR_PARTITION)
      else changes.push(lead(state))
    })
  }

  #makeFollower(
    partition: Partition,
    state: PartitionState,
    changes: LeadershipChange[],
    liveLeaders: ReadonlySet<BrokerId>,
  ): number {
    const { fetchers, peers } = this.#ports
    return this.#guardDisk(partition, () => {
      this.#requireLog(partition, state.isNew)
      // A controller of 0.8 names the leaders' addresses here first; UpdateMetadata comes behind it.
      if (!peers.isAlive(state.leader) && !liveLeaders.has(state.leader)) {
        // The log exists now, so that its high watermark stays in the checkpoint (KAFKA-1647). Role and epoch stay as they are.
        partition.logger.error(
          `Cannot follow leader ${state.leader} with epoch ${state.leaderEpoch}: it is not among the live brokers`,
        )
        return
      }
      // Nobody else led in between, so what was fetched stays in line (KAFKA-7164).
      const sameLeader = partition.role === 'follower' && partition.leaderId === state.leader
      const keepsFetching = sameLeader && state.leaderEpoch === partition.leaderEpoch + 1 && fetchers.isFollowing(partition)
      partition.becomeFollower(state)
      if (keepsFetching) return
      partition.failWaiting(ErrorCode.NOT_LEADER_FOR_PARTITION)
      fetchers.follow(partition, state.leader)
      changes.push(describe(partition))
    })
  }

  #guardDisk(partition: Partition, work: () => void): number {
    try {
      work()
      return ErrorCode.NONE
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      partition.logger.error('Role change failed for a storage error', error)
      this.#ports.fetchers.unfollow(partition)
      if (!partition.failed) partition.markOffline()
      return ErrorCode.KAFKA_STORAGE_ERROR
    }
  }

  #requireLog(partition: Partition, isNew: boolean): void {
    if (partition.log !== undefined) return
    const { logs, topicConfig } = this.#ports
    this.#checkpoint ??= logs.readHighWatermarks()
    const log = logs.getOrCreate(partition.topic, partition.partition, topicConfig(partition.topic), isNew)
    const checkpointed = this.#checkpoint.get(partition.key)
    if (checkpointed === undefined) partition.logger.info(`No checkpointed highwatermark is found for partition ${partition.key}`)
    partition.adoptLog(log, checkpointed ?? 0)
    this.#checkpoint.delete(partition.key)
  }

  stopReplicas(request: RequestOf<'StopReplica'>): ResponseOf<'StopReplica'>['partitions'] {
    const { hosted, fetchers } = this.#ports
    for (const { topic, partition } of request.partitions) {
      const replica = hosted.get(topic, partition)
      if (replica !== undefined) fetchers.unfollow(replica)
    }
    fetchers.run()
    return request.partitions.map(({ topic, partition }) => ({
      topic,
      partition,
      errorCode: request.deletePartitions ? this.#delete(topic, partition) : ErrorCode.NONE,
    }))
  }

  #delete(topic: string, partition: PartitionId): number {
    const { hosted, logs } = this.#ports
    const replica = hosted.get(topic, partition)
    hosted.remove(topic, partition)
    this.#checkpoint?.delete(`${topic}-${partition}`)
    // The marker goes, the log in the failed directory can't.
    if (replica?.failed === true) return ErrorCode.KAFKA_STORAGE_ERROR
    const wasLeader = replica?.isLeader === true
    replica?.retire()
    try {
      if (logs.get(topic, partition) !== undefined) logs.delete(topic, partition)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      return ErrorCode.KAFKA_STORAGE_ERROR
    }
    if (replica !== undefined) {
      replica.logger.info('Deleted')
      if (wasLeader) this.#ports.changed({ topic, partition, isLeader: false, leaderEpoch: replica.leaderEpoch })
    }
    return ErrorCode.NONE
  }
}

function describe(partition: Partition): LeadershipChange {
  return {
    topic: partition.topic,
    partition: partition.partition,
    isLeader: partition.isLeader,
    leaderEpoch: partition.leaderEpoch,
  }
}
