import { assert } from '../base/assert.ts'
import type { BrokerId, ControllerEpoch, LeaderEpoch, Millis, Offset, PartitionId, PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { AppendResult, Log } from '../log/types.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { baseOffset, lastOffset, nextBatch } from '../protocol/records/batch.ts'
import type { DelayedFetch } from './delayed-fetch.ts'
import { AckQueue } from './delayed-produce.ts'
import type { AppendOutcome } from './delayed-produce.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { assuredIsrSize, committedIsr, highWatermarkCandidate, maximalIsr, mayJoinIsr, RemoteReplica, shrinkIsr } from './isr.ts'
import type { IsrState } from './isr.ts'
import { IsrUpdates } from './isr-updates.ts'
import type { FetchPartitionResult, PartitionView } from './types.ts'

export type Role = 'none' | 'leader' | 'follower'

/** One entry of a LeaderAndIsr request, as far as a partition takes it over. */
export interface RoleAssignment {
  readonly controllerEpoch: ControllerEpoch
  readonly leader: BrokerId
  readonly leaderEpoch: LeaderEpoch
  readonly isr: readonly BrokerId[]
  readonly zkVersion: number
  readonly replicas: readonly BrokerId[]
}

/**
 * One replica of a partition and, when it leads, what it knows of the others. Synchronous; every method leaves the object consistent, and
 * whoever called one that may have moved the log end, the high watermark or the role calls `settle` afterwards.
 */
export class Partition implements PartitionView {
  readonly topic: string
  readonly partition: PartitionId
  readonly key: PartitionKey
  readonly logger: Logger
  /** Undefined until the first LeaderAndIsr and when offline. */
  log: Log | undefined
  /** Its log directory failed, or its log could not be created: only StopReplica with delete clears that. */
  failed = false
  /** Why replication was halted for good by the strict rule H11; cleared by the next role. */
  halted: string | undefined
  role: Role = 'none'
  leaderId: BrokerId = -1
  leaderEpoch: LeaderEpoch = -1
  controllerEpoch: ControllerEpoch = 0
  assignedReplicas: readonly BrokerId[] = []
  remotes: readonly RemoteReplica[] = []
  isrState: IsrState = committedIsr([], 0)
  /** Log end when this leader epoch began here; -1 as follower. */
  leaderEpochStartOffset: Offset = -1
  readonly isrUpdates: IsrUpdates
  readonly acks = new AckQueue()
  /** Parked fetches with the index of this partition in each; followers wait for the log end, consumers for the high watermark. */
  readonly followerFetches = new Map<DelayedFetch, number>()
  readonly consumerFetches = new Map<DelayedFetch, number>()
  readonly #env: ReplicationEnvironment
  /** Listed for `settle`. */
  isTouched = false
  #appended = false
  #highWatermarkMoved = false
  #empty: FetchPartitionResult | undefined

  constructor(topic: string, partition: PartitionId, env: ReplicationEnvironment) {
    this.topic = topic
    this.partition = partition
    this.key = partitionKey(topic, partition)
    this.#env = env
    this.logger = env.logger.child(`[Partition ${this.key} broker=${env.brokerId}]`, 'kafka.cluster.Partition')
    this.isrUpdates = new IsrUpdates(this, env)
  }

  get isOffline(): boolean {
    return this.failed || this.halted !== undefined
  }

  get isLeader(): boolean {
    return this.role === 'leader'
  }

  /** As committed; empty on followers. */
  get inSyncReplicas(): readonly BrokerId[] {
    return this.isrState.isr
  }

  get highWatermark(): Offset {
    return this.log === undefined ? -1 : this.log.highWatermark
  }

  get isUnderReplicated(): boolean {
    return this.role === 'leader' && this.isrState.isr.length < this.assignedReplicas.length
  }

  // ---------------------------------------------------------------- roles

  /** A log appears: the high watermark is what was checkpointed, not above the log end. */
  adoptLog(log: Log, checkpointedHighWatermark: Offset): void {
    this.log = log
    log.highWatermark = Math.max(log.logStartOffset, Math.min(checkpointedHighWatermark, log.logEndOffset))
  }

  /** Its folder failed or it can't be created. Everything waiting is answered KAFKA_STORAGE_ERROR. */
  markOffline(): void {
    this.failed = true
    this.log = undefined
    this.#stopLeading()
    this.role = 'none'
    this.failWaiting(ErrorCode.KAFKA_STORAGE_ERROR)
  }

  /** Deleted: nobody finds it any more; who waits learns that it is unknown. */
  retire(): void {
    this.#stopLeading()
    this.role = 'none'
    this.log = undefined
    this.failWaiting(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  }

  /** Throws DiskError when the epoch can't be recorded. */
  becomeLeader(assignment: RoleAssignment, now: Millis): void {
    const log = this.requireLog()
    const fresh = this.role !== 'leader'
    log.startEpoch(assignment.leaderEpoch)
    this.#assign(assignment)
    this.leaderEpochStartOffset = log.logEndOffset
    const known = this.remotes
    this.remotes = assignment.replicas
      .filter((id) => id !== this.#env.brokerId)
      .map((id) => known.find((replica) => replica.id === id) ?? new RemoteReplica(id))
    for (const replica of this.remotes) replica.beginEpoch(now, log.logEndOffset, assignment.isr.includes(replica.id), fresh)
    this.setIsrState(committedIsr([...assignment.isr], assignment.zkVersion))
    this.role = 'leader'
    this.leaderId = this.#env.brokerId
    this.leaderEpoch = assignment.leaderEpoch
    this.advanceHighWatermark(now)
  }

  becomeFollower(assignment: RoleAssignment): void {
    this.#stopLeading()
    this.#assign(assignment)
    this.isrState = committedIsr([], assignment.zkVersion)
    this.role = 'follower'
    this.leaderId = assignment.leader
    this.leaderEpoch = assignment.leaderEpoch
  }

  /** ZooKeeper names another leader or a later epoch: no more leading until the controller says what we are. */
  stepDown(): void {
    this.#stopLeading()
    this.isrState = committedIsr([], this.isrState.zkVersion)
    this.role = 'none'
    this.leaderId = -1
  }

  #assign(assignment: RoleAssignment): void {
    this.isrUpdates.reset()
    this.halted = undefined
    this.controllerEpoch = assignment.controllerEpoch
    this.assignedReplicas = [...assignment.replicas]
  }

  #stopLeading(): void {
    this.isrUpdates.reset()
    this.leaderEpochStartOffset = -1
    this.remotes = []
  }

  requireLog(): Log {
    assert(this.log !== undefined, `${this.key} has no log`)
    return this.log
  }

  // ---------------------------------------------------------------- leader

  /** Error of a produce before anything is appended, 0 = none. */
  admitAppend(acks: number): number {
    if (this.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    if (this.role !== 'leader') return ErrorCode.NOT_LEADER_FOR_PARTITION
    if (acks === -1 && assuredIsrSize(this.isrState) < this.requireLog().config.minInSyncReplicas) return ErrorCode.NOT_ENOUGH_REPLICAS
    return ErrorCode.NONE
  }

  appendAsLeader(records: Buffer, isFromClient: boolean): AppendResult {
    const result = this.requireLog().appendAsLeader(records, this.leaderEpoch, isFromClient)
    if (result.bytes > 0 && result.error === ErrorCode.NONE) {
      this.#appended = true
      if (this.remotes.length === 0 || this.isrState.isr.length === 1) this.advanceHighWatermark(this.#env.clock.now())
    }
    return result
  }

  /** Error of an acks=all entry once the high watermark has reached it. */
  acknowledgeError(): number {
    const enough = maximalIsr(this.isrState).length >= this.requireLog().config.minInSyncReplicas
    return enough ? ErrorCode.NONE : ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
  }

  awaitAck(outcome: AppendOutcome): void {
    this.acks.add(outcome)
  }

  remote(id: BrokerId): RemoteReplica | undefined {
    for (const replica of this.remotes) if (replica.id === id) return replica
    return undefined
  }

  /** A follower's fetch, read without error, arrived. True: the high watermark moved, or may have to. */
  noteFollowerFetch(replica: RemoteReplica, offset: Offset, logStartOffset: Offset, now: Millis): boolean {
    if (!replica.aligned && !this.#align(replica, offset)) return false
    replica.noteFetch(offset, logStartOffset, this.requireLog().logEndOffset, now)
    if (!replica.counted) this.#maybeExpand(replica)
    this.advanceHighWatermark(now)
    return this.#highWatermarkMoved
  }

  /**
   * Part of H5. In a new leadership a follower first aligns its log with ours, so its first fetch lies at or below the start of our epoch.
   * One beyond that was sent in an earlier epoch of a log that is not ours: it proves nothing. With unclean elections logs are
   * not compared (as in 1.1), so there the rule would only keep replicas out.
   */
  #align(replica: RemoteReplica, offset: Offset): boolean {
    const config = this.#env.config
    replica.aligned =
      offset <= this.leaderEpochStartOffset || config.faithful.has('H5') || this.requireLog().config.uncleanLeaderElectionEnable
    return replica.aligned
  }

  #maybeExpand(replica: RemoteReplica): void {
    if (this.isrState.kind === 'pending') return
    const epochStart = this.#env.config.faithful.has('H6') ? undefined : this.leaderEpochStartOffset
    if (!mayJoinIsr(replica, this.highWatermark, epochStart)) return
    const wanted = [...this.isrState.isr, replica.id]
    if (this.isrUpdates.propose(wanted)) this.logger.info(`Expanding ISR from ${this.isrState.isr.join(',')} to ${wanted.join(',')}`)
  }

  /** Periodic. */
  maybeShrinkIsr(now: Millis): void {
    if (this.role !== 'leader' || this.isrState.kind === 'pending') return
    const isr = this.isrState.isr
    const wanted = shrinkIsr(isr, this.#env.brokerId, this.remotes, now, this.#env.config.replicaLagTimeMaxMs)
    if (wanted.length === isr.length) return
    if (this.isrUpdates.propose(wanted)) this.logger.info(`Shrinking ISR from ${isr.join(',')} to ${wanted.join(',')}`)
  }

  setIsrState(state: IsrState): void {
    this.isrState = state
    const members = maximalIsr(state)
    for (const replica of this.remotes) replica.counted = members.includes(replica.id)
  }

  /** Only ever forward. */
  advanceHighWatermark(now: Millis): void {
    const log = this.requireLog()
    const candidate = highWatermarkCandidate(log.logEndOffset, this.remotes, now, this.#env.config.replicaLagTimeMaxMs)
    if (candidate <= log.highWatermark) return
    log.highWatermark = candidate
    this.#highWatermarkMoved = true
  }

  /** Least log start over all replicas: what DeleteRecords waits for. */
  lowWatermark(): Offset {
    let low = this.requireLog().logStartOffset
    for (const replica of this.remotes) low = Math.min(low, replica.logStartOffset)
    return low
  }

  /** The same object for the same answer: a follower that polls a thousand idle partitions costs no garbage. */
  emptyResult(lastStableOffset: Offset): FetchPartitionResult {
    const log = this.requireLog()
    const kept = this.#empty
    if (
      kept !== undefined &&
      kept.highWatermark === log.highWatermark &&
      kept.logStartOffset === log.logStartOffset &&
      kept.lastStableOffset === lastStableOffset
    ) {
      return kept
    }
    this.#empty = {
      topic: this.topic,
      partition: this.partition,
      error: ErrorCode.NONE,
      highWatermark: log.highWatermark,
      lastStableOffset,
      logStartOffset: log.logStartOffset,
      records: undefined,
      abortedTransactions: undefined,
    }
    return this.#empty
  }

  // ---------------------------------------------------------------- follower

  /** What a leader sent, verbatim. A cut last batch is left out and fetched again. */
  appendAsFollower(records: Buffer): AppendResult {
    const log = this.requireLog()
    // An empty log that starts inside a batch (after DeleteRecords at the leader) begins with the whole batch (KAFKA-6975).
    const end = log.logEndOffset
    const startsInside = end === log.logStartOffset && nextBatch(records, 0, records.length) > 0
    if (startsInside && baseOffset(records, 0) < end && lastOffset(records, 0) >= end) this.truncateFullyAndStartAt(baseOffset(records, 0))
    return log.appendAsFollower(records)
  }

  /** After an append: what the leader said of its high watermark and log start. */
  followLeader(leaderHighWatermark: Offset, leaderLogStart: Offset): void {
    const log = this.requireLog()
    const reached = Math.min(leaderHighWatermark, log.logEndOffset)
    // A new leader may not know yet what was committed before it; forgetting it here would only lose knowledge.
    if (reached > log.highWatermark) log.highWatermark = reached
    if (leaderLogStart > log.logStartOffset) log.maybeIncrementLogStartOffset(Math.min(leaderLogStart, log.highWatermark))
  }

  truncateTo(offset: Offset): void {
    const log = this.requireLog()
    if (offset >= log.logEndOffset) return
    if (offset < log.highWatermark) {
      this.#env.counters.truncationsBelowHighWatermark++
      this.logger.warn(`Truncating to ${offset}, below the high watermark ${log.highWatermark}`)
      log.highWatermark = Math.max(offset, log.logStartOffset)
    }
    log.truncateTo(offset)
  }

  truncateFullyAndStartAt(offset: Offset): void {
    const log = this.requireLog()
    this.logger.info(`Truncating fully, starting at ${offset}`)
    log.truncateFullyAndStartAt(offset)
    log.highWatermark = offset
  }

  // ---------------------------------------------------------------- who waits

  /** Completes what the changes since the last call allow: produces, fetches of followers, fetches of consumers. Reentrant. */
  settle(): void {
    const appended = this.#appended
    const moved = this.#highWatermarkMoved
    this.#appended = this.#highWatermarkMoved = false
    if (this.role === 'leader' && this.acks.length > 0) this.acks.completeUpTo(this.highWatermark, this.acknowledgeError())
    if (appended) for (const [fetch, index] of this.followerFetches) fetch.tryComplete(index)
    if (moved) for (const [fetch, index] of this.consumerFetches) fetch.tryComplete(index)
  }

  /** Role lost or partition gone: produces get `error`, fetches are read again and find out themselves. */
  failWaiting(error: number): void {
    this.acks.failAll(error)
    for (const fetch of this.followerFetches.keys()) fetch.complete()
    for (const fetch of this.consumerFetches.keys()) fetch.complete()
  }
}
