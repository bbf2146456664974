import { assert } from '../base/assert.ts'
import type { BrokerId, ControllerEpoch, LeaderEpoch, Millis, Offset, PartitionId, PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { AppendResult, Log } from '../log/types.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { baseOffset, lastOffset, nextBatch, partitionLeaderEpoch } from '../protocol/records/batch.ts'
import { LATER_EPOCH } from './append-errors.ts'
import type { DelayedFetch } from './delayed-fetch.ts'
import { AckQueue, type AckQuota, type AppendOutcome } from './delayed-produce.ts'
import { isEmptyResult, makeEmptyResult } from './empty-result.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { epochEnd } from './epoch-ends.ts'
import type { IsrState } from './isr.ts'
import { assuredIsrSize, committedIsr, highWatermarkCandidate, maximalIsr, mayJoinIsr, RemoteReplica, shrinkIsr } from './isr.ts'
import { IsrUpdates } from './isr-updates.ts'
import { doubtOf } from './old-orders.ts'
import type { Rest } from './resting.ts'
import { isThrottledReplica } from './throttle.ts'
import type { TopicTraffic } from './traffic.ts'
import type { Asker, FetchPartitionResult, PartitionView, StoredState } from './types.ts'

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
  readonly traffic: TopicTraffic
  readonly acks = new AckQueue()
  /** Parked fetches with the index of this partition in each; followers wait for the log end, consumers for the high watermark. */
  readonly followerFetches = new Map<DelayedFetch, number>()
  readonly consumerFetches = new Map<DelayedFetch, number>()
  /** Sessions of readers that have everything: `wake` before that changes. */
  readonly rests: Rest[] = []
  readonly #env: ReplicationEnvironment
  /** Records of later epochs than ours are from before the epochs started again. */
  #laterEpochsAreOld = false
  /** First epoch of an unbroken leadership. */
  #leadsSince: LeaderEpoch = -1
  /** Epoch that this broker stopped leading by itself; -1: none. */
  #steppedDownFrom: LeaderEpoch = -1
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
    this.traffic = env.traffic.of(topic)
  }

  /** Least offset that the log was truncated to since somebody set it to infinity: for copies of the log. */
  lowestCut: Offset = Number.POSITIVE_INFINITY

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
    log.onStartMoved = this.wake
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

  /**
   * True: there is a doubt that the order is the controller's present word (`old-orders.ts`). The partition then waits without a role for
   * ZooKeeper's answer, `confirmed` with what is stored, or for the controller.
   */
  awaitsConfirmation(order: RoleAssignment, confirmed: (stored: StoredState) => void): boolean {
    const doubt = doubtOf(order, this.leaderEpoch, this.requireLog().latestEpoch, this.#env.config.faithful)
    if (doubt === undefined) return false
    this.logger.warn(`To lead epoch ${order.leaderEpoch}, but ${doubt}: asking ZooKeeper`)
    this.#stopLeading()
    this.#assign(order)
    this.role = 'none'
    this.leaderId = -1
    this.leaderEpoch = order.leaderEpoch
    this.isrUpdates.confirmRole(this.#env.brokerId, order.leaderEpoch, confirmed)
    return true
  }

  /** Throws DiskError when the epoch can't be recorded. */
  becomeLeader(assignment: RoleAssignment, now: Millis): void {
    const log = this.requireLog()
    // An epoch that we have not heard of may have been led by somebody else, and followers may have truncated to that one's log (H5).
    const isNext = this.leaderEpoch === assignment.leaderEpoch - 1 || this.#env.config.faithful.has('H5')
    const steppedDown = this.#steppedDownFrom >= 0 && this.#steppedDownFrom === this.leaderEpoch
    const goesOn = isNext && (this.role === 'leader' || steppedDown)
    log.startEpoch(assignment.leaderEpoch)
    this.#assign(assignment)
    if (!goesOn) this.#leadsSince = assignment.leaderEpoch
    this.leaderEpochStartOffset = log.logEndOffset
    const known = this.remotes
    this.remotes = assignment.replicas
      .filter((id) => id !== this.#env.brokerId)
      .map((id) => known.find((replica) => replica.id === id) ?? new RemoteReplica(id))
    for (const replica of this.remotes) replica.beginEpoch(now, log.logEndOffset, assignment.isr.includes(replica.id), !goesOn)
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
    const remotes = this.remotes
    this.#stopLeading()
    // If it turns out that the next epoch is ours too, nobody led in between.
    this.remotes = remotes
    this.#steppedDownFrom = this.leaderEpoch
    this.isrState = committedIsr([], this.isrState.zkVersion)
    this.role = 'none'
    this.leaderId = -1
  }

  #assign(assignment: RoleAssignment): void {
    this.wake()
    this.isrUpdates.reset()
    this.#steppedDownFrom = -1
    this.#laterEpochsAreOld = false
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
    // Asked for every partition of every fetch: no message is made unless it is needed.
    if (this.log === undefined) assert(false, `${this.key} has no log`)
    return this.log
  }

  // ---------------------------------------------------------------- leader

  /** Error of a produce before anything is appended, 0 = none. */
  admitAppend(acks: number): number {
    if (this.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    if (this.role !== 'leader') return ErrorCode.NOT_LEADER_FOR_PARTITION
    if (acks === -1 && assuredIsrSize(this.isrState) < this.requireLog().config.minInSyncReplicas)
      return ErrorCode.NOT_ENOUGH_REPLICAS
    return ErrorCode.NONE
  }

  /** `isStaged`: the log writes with the others of this turn (`TurnWrites`). */
  appendAsLeader(records: Buffer, isFromClient: boolean, isStaged = false): AppendResult {
    const log = this.requireLog()
    this.wake()
    const result = isStaged
      ? log.stageAsLeader(records, this.leaderEpoch, isFromClient)
      : log.appendAsLeader(records, this.leaderEpoch, isFromClient)
    if (result.bytes > 0 && result.error === ErrorCode.NONE) {
      this.#appended = true
      if (this.remotes.length === 0 || this.isrState.isr.length === 1) this.advanceHighWatermark(this.#env.clock.now())
    }
    return result
  }

  /**
   * Somebody asks for the end of an epoch. Error or end offset, -1 unknown. When a `follower` asks for a later epoch than ours, the
   * controller has gone on without us: it must not align with this log, and ZooKeeper is asked for the truth.
   */
  endOffsetForEpoch(epoch: LeaderEpoch, follower: Asker | undefined): { readonly error: number; readonly endOffset: Offset } {
    const error = this.failed
      ? ErrorCode.KAFKA_STORAGE_ERROR
      : this.role === 'leader'
        ? ErrorCode.NONE
        : ErrorCode.NOT_LEADER_FOR_PARTITION
    if (error !== ErrorCode.NONE) return { error, endOffset: -1 }
    if (follower !== undefined && !this.#env.config.faithful.has('H5')) {
      if (epoch > this.leaderEpoch) {
        this.isrUpdates.verify()
        return { error: ErrorCode.NOT_LEADER_FOR_PARTITION, endOffset: -1 }
      }
      this.#noteQuestion(epoch, follower)
    }
    return { error, endOffset: epochEnd(this.requireLog(), epoch, follower !== undefined) }
  }

  /** Only a follower of ours asks for an epoch that we have led since (it has heard of this leadership), or two questions in a row. */
  #noteQuestion(epoch: LeaderEpoch, { id, connection }: Asker): void {
    this.wake()
    const { probing } = this.#env
    const remote = this.remote(id)
    const namesUs = epoch >= this.#leadsSince
    if (namesUs || remote?.asksOn(connection)) probing.add(id)
    remote?.noteQuestion(namesUs, probing.has(id), connection)
  }

  /** Error of an acks=all entry once the high watermark has reached it. */
  acknowledgeError(): number {
    const enough = maximalIsr(this.isrState).length >= this.requireLog().config.minInSyncReplicas
    return enough ? ErrorCode.NONE : ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
  }

  awaitAck(outcome: AppendOutcome): void {
    this.acks.add(outcome)
  }

  /** Listed in `leader.replication.throttled.replicas` of its topic: what followers get counts. */
  get isThrottledAsLeader(): boolean {
    return isThrottledReplica(this.requireLog().config.leaderReplicationThrottledReplicas, this.partition, this.#env.brokerId)
  }

  get isThrottledAsFollower(): boolean {
    const setting = this.log?.config.followerReplicationThrottledReplicas
    return setting !== undefined && isThrottledReplica(setting, this.partition, this.#env.brokerId)
  }

  /** A follower that is out of sync gets nothing while the leader's quota is used up (KIP-73). */
  holdsBack(follower: BrokerId): boolean {
    return this.isThrottledAsLeader && this.#env.quotas.leader.isExceeded && !this.isrState.isr.includes(follower)
  }

  remote(id: BrokerId): RemoteReplica | undefined {
    for (const replica of this.remotes) if (replica.id === id) return replica
    return undefined
  }

  /** In the ISR, or about to be proposed without another fetch. */
  counts(replica: RemoteReplica): boolean {
    return replica.counted || this.#env.expansions.isWaiting(replica)
  }

  /** Something is about to change: the next fetch of each session looks at the partition again. */
  readonly wake = (): void => {
    if (this.rests.length > 0) for (const rest of this.rests.splice(0)) rest.session.woken(rest)
  }

  /** A follower's fetch, read without error, arrived. True: the high watermark moved, or may have to. */
  noteFollowerFetch(replica: RemoteReplica, offset: Offset, logStartOffset: Offset, now: Millis): boolean {
    if (!replica.aligned && !this.#align(replica, offset)) return false
    const log = this.requireLog()
    replica.noteFetch(offset, logStartOffset, log.logEndOffset, now)
    if (!replica.counted) this.#env.expansions.add(this, replica)
    if (log.highWatermark < log.logEndOffset) this.advanceHighWatermark(now)
    return this.#highWatermarkMoved
  }

  /**
   * Part of H5: a fetch that was sent in an earlier epoch proves nothing about this leader's log. A follower counts once it has asked where
   * epochs end (`#noteQuestion`). A genuine 1.1.1 does not always ask; it counts when its first fetch lies at or below the start of our
   * epoch, where everybody is after aligning; with unclean elections logs are not compared, so there that would only keep replicas out.
   */
  #align(replica: RemoteReplica, offset: Offset): boolean {
    const { config, probing } = this.#env
    if (config.faithful.has('H5')) replica.aligned = true
    else if (!probing.has(replica.id)) {
      replica.aligned = offset <= this.leaderEpochStartOffset || this.requireLog().config.uncleanLeaderElectionEnable
    }
    return replica.aligned
  }

  /**
   * A follower that asks for epochs, but has not asked since we began to lead: it believes that we led without a break, while we missed an
   * epoch and began anew. Its fetches would never count, so it has to be told. Beyond our end it is out of range first (H11).
   */
  awaitsQuestion(follower: BrokerId, fetchOffset: Offset): boolean {
    const replica = this.remote(follower)
    if (replica?.aligned !== false || this.#env.config.faithful.has('H5') || !this.#env.probing.has(follower)) return false
    if (fetchOffset > this.requireLog().logEndOffset) return false
    const isToAsk = replica.isToAsk()
    if (!isToAsk) this.#env.probing.delete(follower)
    return isToAsk
  }

  /** Is it to be proposed for the ISR now? */
  mayExpand(replica: RemoteReplica): boolean {
    if (this.role !== 'leader' || replica.counted || this.isrState.kind === 'pending') return false
    const epochStart = this.#env.config.faithful.has('H6') ? undefined : this.leaderEpochStartOffset
    return mayJoinIsr(replica, this.highWatermark, epochStart)
  }

  expandIsr(replica: RemoteReplica): void {
    const { isr } = this.isrState
    const wanted = [...isr, replica.id]
    if (this.isrUpdates.propose(wanted)) this.logger.info(`Expanding ISR from ${isr.join(',')} to ${wanted.join(',')}`)
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
    this.wake()
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

  /** Least log start over the replicas on live brokers: what DeleteRecords waits for. */
  lowWatermark(isAlive: (broker: BrokerId) => boolean): Offset {
    let low = this.requireLog().logStartOffset
    for (const replica of this.remotes) if (isAlive(replica.id)) low = Math.min(low, replica.logStartOffset)
    return low
  }

  /** The same object for the same answer: a follower that polls a thousand idle partitions costs no garbage. */
  emptyResult(lastStableOffset: Offset): FetchPartitionResult {
    const log = this.requireLog()
    if (this.#empty === undefined || !isEmptyResult(this.#empty, log, lastStableOffset))
      this.#empty = makeEmptyResult(this, log, lastStableOffset)
    return this.#empty
  }

  // ---------------------------------------------------------------- follower

  /**
   * What a leader sent, verbatim. A cut last batch is left out and fetched again. Records of a later epoch than the controller told us of are
   * refused (H5): somebody else led in between, so our log has to be aligned first, with the next LeaderAndIsr.
   */
  appendAsFollower(records: Buffer, leaderLogStart: Offset): AppendResult {
    const log = this.requireLog()
    if (!this.#laterEpochsAreOld && this.#isFromLaterEpoch(records)) return LATER_EPOCH
    // After DeleteRecords at the leader an empty log, or one of which it has deleted everything, ends inside a batch: it begins with that (KAFKA-6975).
    const end = log.logEndOffset
    const isOver = (end === log.logStartOffset || end <= leaderLogStart) && nextBatch(records, 0, records.length) > 0
    if (isOver && baseOffset(records, 0) < end && lastOffset(records, 0) >= end)
      this.truncateFullyAndStartAt(baseOffset(records, 0))
    return log.appendAsFollower(records)
  }

  /** Epochs start again when somebody made the znodes anew over existing logs; ZooKeeper can tell. */
  #isFromLaterEpoch(records: Buffer): boolean {
    let last = -1
    for (let at = 0, size = 0; (size = nextBatch(records, at, records.length)) > 0; at += size) last = at
    if (last < 0 || partitionLeaderEpoch(records, last) <= this.leaderEpoch || this.#env.config.faithful.has('H5')) return false
    this.isrUpdates.confirmRole(this.leaderId, this.leaderEpoch, () => {
      this.#laterEpochsAreOld = true
    })
    return true
  }

  /** After an append: what the leader said of its high watermark and log start. */
  followLeader(leaderHighWatermark: Offset, leaderLogStart: Offset): void {
    const log = this.requireLog()
    const reached = Math.min(leaderHighWatermark, log.logEndOffset)
    // A new leader may not know yet what was committed before it; forgetting it here would only lose knowledge.
    if (reached > log.highWatermark) log.highWatermark = reached
    if (leaderLogStart > log.logStartOffset) log.maybeIncrementLogStartOffset(Math.min(leaderLogStart, log.highWatermark))
  }

  /** The same records in another log directory (KIP-113). */
  exchangeLog(log: Log): void {
    const highWatermark = this.requireLog().highWatermark
    this.wake()
    this.log = log
    log.onStartMoved = this.wake
    log.highWatermark = Math.max(log.logStartOffset, Math.min(highWatermark, log.logEndOffset))
    if (this.role === 'leader' && log.latestEpoch < this.leaderEpoch) log.startEpoch(this.leaderEpoch)
    this.logger.info(`Replica now lies in ${log.logDir}`)
  }

  truncateTo(offset: Offset): void {
    const log = this.requireLog()
    if (offset >= log.logEndOffset) return
    this.lowestCut = Math.min(this.lowestCut, offset)
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
    this.lowestCut = Number.NEGATIVE_INFINITY
    log.truncateFullyAndStartAt(offset)
    log.highWatermark = offset
  }

  // ---------------------------------------------------------------- who waits

  /**
   * Completes what the changes since the last call allow, in 1.1's order: fetches of followers, for whom all others wait, of consumers, produces.
   * False: more produces than the quota, to be called again. Reentrant.
   */
  settle(quota: AckQuota): boolean {
    const appended = this.#appended
    const moved = this.#highWatermarkMoved
    this.#appended = this.#highWatermarkMoved = false
    if (appended) for (const [fetch, index] of this.followerFetches) fetch.tryComplete(index)
    if (moved) for (const [fetch, index] of this.consumerFetches) fetch.tryComplete(index)
    if (this.role !== 'leader' || this.acks.length === 0) return true
    return this.acks.completeUpTo(this.highWatermark, this.acknowledgeError(), quota)
  }

  /** Role lost or partition gone: produces get `error`, fetches are read again and find out themselves. */
  failWaiting(error: number): void {
    this.wake()
    this.acks.failAll(error)
    for (const fetch of this.followerFetches.keys()) fetch.complete()
    for (const fetch of this.consumerFetches.keys()) fetch.complete()
  }
}
