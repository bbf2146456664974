import type { ControllerEpoch, Millis, Offset, PartitionId } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import { LoopSlice, nextSlice } from '../base/loop-slice.ts'
import { TimerWheel } from '../base/timer-wheel.ts'
import type { Log, LogConfig, LogManager } from '../log/types.ts'
import type { Clock, Timer } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { Appends } from './appends.ts'
import { RecordDeletions } from './delayed-delete.ts'
import { DelayedFetch } from './delayed-fetch.ts'
import { noCounts, type ReplicationEnvironment, type ReplicationFigures } from './environment.ts'
import { FetchRead } from './fetch-read.ts'
import { FetcherManager } from './fetcher-manager.ts'
import { followerOf } from './fetcher-names.ts'
import { HostedPartitions } from './hosted.ts'
import { IsrExpansions } from './isr-expansions.ts'
import { IsrPropagation } from './isr-propagation.ts'
import { LogDirMoves } from './log-dir-moves.ts'
import type { Partition } from './partition.ts'
import type { LeadershipChange } from './role-changes.ts'
import { RoleChanges } from './role-changes.ts'
import { changeInSlices, staleController } from './role-slices.ts'
import { makeQuotas } from './throttle.ts'
import { Traffic } from './traffic.ts'
import type {
  AppendEntry,
  DeleteRecordsEntry,
  DeleteRecordsResult,
  FetchParams,
  FetchPartitionResult,
  IsrStore,
  LogDirMove,
  PartitionAppendResult,
  PartitionView,
  PeerRpc,
  ReplicaManager,
  ReplicationConfig,
} from './types.ts'

/** How long the ISRs may be checked without a break, and after how many partitions the clock is looked at. */
const SLICE_MS = 4
const LOOK_EVERY = 16
/** Produces that are acknowledged in one go: one fetch of a follower may be what thousands have waited for. */
const ACKS_AT_ONCE = 500

export interface ReplicaManagerOptions {
  readonly config: ReplicationConfig
  readonly clock: Clock
  readonly logs: LogManager
  readonly isrStore: IsrStore
  readonly peers: PeerRpc
  readonly logger: Logger
  /** The topic's configuration now, from a cache: asked when a partition's log is opened. */
  topicConfig(topic: string): LogConfig
}

/** Builds a broker's replica manager. It does nothing by itself before `start`. */
export function createReplicaManager(options: ReplicaManagerOptions): ReplicaManager {
  return new BrokerReplicas(options)
}

class BrokerReplicas implements ReplicaManager {
  controllerEpoch: ControllerEpoch = 0
  readonly figures: ReplicationFigures
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #config: ReplicationConfig
  readonly #logs: LogManager
  readonly #timers: TimerWheel
  readonly #hosted: HostedPartitions
  readonly #fetchers: FetcherManager
  readonly #roles: RoleChanges
  readonly #propagation: IsrPropagation
  readonly #deletions: RecordDeletions
  readonly #moves: LogDirMoves
  readonly #listeners: ((change: LeadershipChange) => void)[] = []
  /** Partitions to settle; filled while a turn is held or a settling is under way. */
  readonly #touched: Partition[] = []
  readonly #appends: Appends
  #held = 0
  #settling = false
  #isrTimer: Timer | undefined
  #checkpointTimer: Timer | undefined
  #lastIsrCheck: Millis = Number.POSITIVE_INFINITY
  #started = false
  #stopped = false

  constructor(options: ReplicaManagerOptions) {
    const { clock, config, logs, peers } = options
    this.#clock = clock
    this.#logger = options.logger
    this.#config = config
    this.#logs = logs
    this.#timers = new TimerWheel(clock)
    this.figures = {
      counters: noCounts(),
      quotas: makeQuotas(config, () => clock.now()),
      traffic: new Traffic(),
      fetchers: () => this.#fetchers.all(),
      waiting: () => this.#hosted.waiting(() => this.#deletions.size),
    }
    const env: ReplicationEnvironment = {
      brokerId: config.brokerId,
      config,
      clock,
      timers: this.#timers,
      isrStore: options.isrStore,
      logger: options.logger,
      ...this.figures,
      probing: new Set(),
      expansions: new IsrExpansions(clock),
      isrChanged: (partition) => this.#propagation.add(partition.key, partition),
      settle: (partition) => {
        this.#touch(partition)
        this.#settle()
      },
      steppedDown: (partition) => {
        partition.failWaiting(ErrorCode.NOT_LEADER_FOR_PARTITION)
        const { topic, leaderEpoch } = partition
        this.#tell({ topic, partition: partition.partition, isLeader: false, leaderEpoch })
      },
    }
    this.#hosted = new HostedPartitions(env)
    this.#appends = new Appends({
      env,
      find: (topic, partition) => this.#hosted.get(topic, partition),
      isStopped: () => this.#stopped,
      touch: (partition) => this.#touch(partition),
    })
    this.#fetchers = new FetcherManager(env, peers)
    this.#propagation = new IsrPropagation(clock, options.isrStore)
    this.#moves = new LogDirMoves({
      logs,
      clock,
      logger: options.logger,
      find: (topic, partition) => this.#hosted.get(topic, partition),
      quota: this.figures.quotas.alterLogDirs,
    })
    this.#deletions = new RecordDeletions(
      (topic, partition) => this.#hosted.get(topic, partition),
      (broker) => peers.isAlive(broker),
      this.#timers,
      this.figures.counters,
      this.#clock,
    )
    this.#roles = new RoleChanges({
      env,
      hosted: this.#hosted,
      fetchers: this.#fetchers,
      logs,
      peers,
      topicConfig: (topic) => options.topicConfig(topic),
      changed: (change) => this.#tell(change),
    })
    logs.onDirectoryFailure((logDir) => this.#onDirectoryFailure(logDir))
  }

  // ---------------------------------------------------------------- turns

  holdTurn(): void {
    this.#held++
  }

  releaseTurn(onFetchesServed?: () => void): void {
    if (--this.#held > 0) return
    this.#appends.finishTurn(() => {
      this.#settle()
      onFetchesServed?.()
    })
    this.#settle()
  }

  #touch(partition: Partition): void {
    if (partition.isTouched) return
    partition.isTouched = true
    this.#touched.push(partition)
  }

  /** Callbacks may append or fetch again: what they touch is done by the loop that called them. */
  #settle(): void {
    if (this.#held > 0 || this.#settling) return
    this.#settling = true
    const quota = { left: ACKS_AT_ONCE }
    const left: Partition[] = []
    try {
      for (let i = 0; i < this.#touched.length; i++) {
        const partition = this.#touched[i]!
        partition.isTouched = false
        if (!partition.settle(quota)) left.push(partition)
      }
    } finally {
      this.#touched.length = 0
      this.#settling = false
    }
    if (left.length > 0) nextSlice(this.#clock, () => this.#settleAgain(left))
  }

  #settleAgain(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#touch(partition)
    this.#settle()
  }

  // ---------------------------------------------------------------- append

  append(
    acks: number,
    timeoutMs: number,
    entries: readonly AppendEntry[],
    isFromClient: boolean,
    done: (results: readonly PartitionAppendResult[]) => void,
  ): void {
    this.#appends.append(acks, timeoutMs, entries, isFromClient, this.#held > 0, done)
    this.#settle()
  }

  deleteRecords(
    timeoutMs: number,
    entries: readonly DeleteRecordsEntry[],
    done: (results: readonly DeleteRecordsResult[]) => void,
  ): void {
    this.#deletions.start(timeoutMs, entries, done)
  }

  // ---------------------------------------------------------------- fetch

  fetch(params: FetchParams, done: (results: readonly FetchPartitionResult[]) => void): { cancel(): void } | undefined {
    const partitions = this.#lookup(params)
    const read = new FetchRead(params, partitions)
    if (params.replicaId >= 0) this.#noteFollowerFetch(params, partitions, read)
    const waiting = params.resting === undefined ? { params, partitions } : params.resting.settleDown(params, partitions, read)
    const isEmpty = partitions.length === 0 && params.resting === undefined
    const answerNow = params.maxWaitMs <= 0 || isEmpty || read.hasError || read.bytes >= params.minBytes
    if (answerNow || this.#stopped) {
      this.#answer(read, done)
      this.#settle()
      return undefined
    }
    // Without an error every partition is hosted.
    const delayed = new DelayedFetch(
      waiting.params,
      waiting.partitions as readonly Partition[],
      (late) => this.#lookup(late),
      (late) => this.#answer(late, done),
    )
    if (read.bytes > 0 && delayed.isDue()) delayed.complete()
    else delayed.park(this.#timers, this.figures.counters, this.#clock)
    this.#settle()
    return delayed.isFinished ? undefined : delayed
  }

  #answer(read: FetchRead, done: (results: readonly FetchPartitionResult[]) => void): void {
    if (read.bytes > 0) this.#countRead(read)
    done(read.results)
  }

  #countRead({ isFromFollower, bytes, throttledBytes, results }: FetchRead): void {
    const { quotas, traffic } = this.figures
    if (throttledBytes > 0) quotas.leader.record(throttledBytes)
    if (isFromFollower) traffic.replicationBytesOut += bytes
    else for (const { topic, records } of results) if (records !== undefined) traffic.consumed(traffic.of(topic), records.size)
  }

  #lookup(params: FetchParams): (Partition | undefined)[] {
    const wanted = params.partitions
    this.figures.traffic.all.totalFetchRequests += wanted.length
    params.resting?.count(this.figures.traffic.all)
    const partitions = new Array<Partition | undefined>(wanted.length)
    for (let i = 0; i < wanted.length; i++) partitions[i] = this.#hosted.get(wanted[i]!.topic, wanted[i]!.partition)
    return partitions
  }

  /** The answer carries the high watermark from before this, as in 1.1; a follower learns the new one with its next fetch. */
  #noteFollowerFetch(params: FetchParams, partitions: readonly (Partition | undefined)[], read: FetchRead): void {
    const now = this.#clock.now()
    if (params.resting !== undefined) params.resting.lastFetch = now
    for (let i = 0; i < partitions.length; i++) {
      const partition = partitions[i]
      if (partition === undefined || read.results[i]!.error !== ErrorCode.NONE) continue
      const replica = partition.remote(params.replicaId)
      if (replica === undefined || replica.isLate(params.connection)) continue
      const wanted = params.partitions[i]!
      if (partition.noteFollowerFetch(replica, wanted.fetchOffset, wanted.logStartOffset, now)) this.#touch(partition)
    }
    if (this.#deletions.isWaiting) this.#deletions.recheck()
  }

  // ---------------------------------------------------------------- views and control requests

  partition(topic: string, partition: PartitionId): PartitionView | undefined {
    return this.#hosted.get(topic, partition)
  }

  partitions(): Iterable<PartitionView> {
    return this.#hosted.all()
  }

  acceptControllerEpoch(epoch: ControllerEpoch): boolean {
    if (epoch < this.controllerEpoch) return false
    this.controllerEpoch = epoch
    return true
  }

  async makeLogs({ controllerEpoch, partitionStates }: RequestOf<'LeaderAndIsr'>): Promise<void> {
    const isCurrent = (): boolean => controllerEpoch >= this.controllerEpoch && !this.#stopped
    if (isCurrent()) await this.#roles.makeLogs(partitionStates, isCurrent)
  }

  becomeLeaderOrFollower(request: RequestOf<'LeaderAndIsr'>): ResponseOf<'LeaderAndIsr'> {
    if (!this.acceptControllerEpoch(request.controllerEpoch)) return staleController(request)
    const partitions = this.#roles.leaderAndIsr(request.partitionStates, new Set(request.liveLeaders.map(({ id }) => id)))
    this.#rolesChanged()
    return { errorCode: ErrorCode.NONE, partitions }
  }

  async becomeLeaderOrFollowerInSlices(request: RequestOf<'LeaderAndIsr'>): Promise<ResponseOf<'LeaderAndIsr'>> {
    if (!this.acceptControllerEpoch(request.controllerEpoch)) return staleController(request)
    const ports = {
      clock: this.#clock,
      brokerId: this.#config.brokerId,
      isCurrent: (epoch: ControllerEpoch) => epoch >= this.controllerEpoch && !this.#stopped,
      change: (states: typeof request.partitionStates, liveLeaders: ReadonlySet<number>) =>
        this.#roles.leaderAndIsr(states, liveLeaders),
    }
    // One question for all epochs, one full fetch: not one for each slice.
    this.#fetchers.hold()
    try {
      return await changeInSlices(ports, request)
    } finally {
      this.#fetchers.release()
      this.#rolesChanged()
    }
  }

  #rolesChanged(): void {
    if (this.#stopped) return
    for (const { topic, partition } of this.#logs.futures.all()) {
      const replica = this.#hosted.get(topic, partition)
      if (replica !== undefined) this.#moves.resume(replica)
    }
    // Not earlier: the file would be overwritten before the controller told what is here.
    if (this.#started && this.#checkpointTimer === undefined) this.#checkpointLater()
  }

  stopReplicas(request: RequestOf<'StopReplica'>): ResponseOf<'StopReplica'> {
    if (!this.acceptControllerEpoch(request.controllerEpoch))
      return { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH, partitions: [] }
    return { errorCode: ErrorCode.NONE, partitions: this.#roles.stopReplicas(request) }
  }

  offsetsForLeaderEpoch(
    request: RequestOf<'OffsetForLeaderEpoch'>,
    clientId: string | null = null,
    connection = 0,
  ): ResponseOf<'OffsetForLeaderEpoch'> {
    const follower = followerOf(clientId, connection)
    return {
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, leaderEpoch }) => {
          const replica = this.#hosted.get(topic, partition)
          if (replica === undefined) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, partition, endOffset: -1 }
          const { error, endOffset } = replica.endOffsetForEpoch(leaderEpoch, follower)
          return { errorCode: error, partition, endOffset }
        }),
      })),
    }
  }

  updateTopicConfig(topic: string, config: LogConfig): void {
    this.#logs.updateTopicConfig(topic, config)
  }

  resizeFetchers(): void {
    for (const partition of this.#hosted.all()) {
      if (this.#fetchers.isFollowing(partition)) this.#fetchers.follow(partition, partition.leaderId)
    }
    this.#fetchers.run()
  }

  alterReplicaLogDirs(moves: readonly LogDirMove[]): number[] {
    return moves.map((move) => this.#moves.start(move))
  }

  onLeadershipChange(listener: (change: LeadershipChange) => void): void {
    this.#listeners.push(listener)
  }

  #tell(change: LeadershipChange): void {
    if (this.#deletions.isWaiting) this.#deletions.recheck()
    for (const listener of this.#listeners) listener(change)
  }

  #onDirectoryFailure(logDir: string): void {
    for (const partition of this.#hosted.all()) {
      if (partition.log?.logDir !== logDir) continue
      const wasLeader = partition.isLeader
      this.#fetchers.unfollow(partition)
      partition.markOffline()
      const { topic, leaderEpoch } = partition
      if (wasLeader) this.#tell({ topic, partition: partition.partition, isLeader: false, leaderEpoch })
    }
    this.#fetchers.run()
  }

  // ---------------------------------------------------------------- periodic work

  start(): void {
    this.#started = true
    this.#propagation.start()
    this.#checkIsrLater()
  }

  #checkIsrLater(): void {
    this.#lastIsrCheck = this.#clock.now()
    this.#isrTimer = this.#clock.timer(this.#config.replicaLagTimeMaxMs / 2, () => {
      nextSlice(this.#clock, () => {
        if (this.#stopped) return
        this.#checkIsrs()
        this.#checkIsrLater()
      })
    })
  }

  #checkIsrs(): void {
    const now = this.#clock.now()
    // This process was stopped for a while: the followers' fetches of that time are still in the sockets. They come first.
    if (now - this.#lastIsrCheck > this.#config.replicaLagTimeMaxMs) return
    this.#checkIsrsOf([...this.#hosted.all()], 0, now)
  }

  /** In slices: a dead broker is to be taken out of thousands of lists. */
  #checkIsrsOf(partitions: readonly Partition[], from: number, since: Millis): void {
    const now = this.#clock.now()
    if (this.#stopped || now - since > this.#config.replicaLagTimeMaxMs) return
    const slice = new LoopSlice(this.#clock, SLICE_MS)
    let next = from
    while (next < partitions.length && (next % LOOK_EVERY !== 0 || next === from || !slice.isDue)) {
      const partition = partitions[next++]!
      if (!partition.isLeader) continue
      partition.maybeShrinkIsr(now)
      // A replica outside the ISR holds the high watermark only while it counts as about to come back.
      partition.advanceHighWatermark(now)
      this.#touch(partition)
    }
    this.#settle()
    if (next < partitions.length) nextSlice(this.#clock, () => this.#checkIsrsOf(partitions, next, now))
  }

  #checkpointLater(): void {
    this.#checkpointTimer = this.#clock.timer(this.#config.replicaHighWatermarkCheckpointIntervalMs, () => {
      // Of thousands of partitions it is a slice of its own.
      nextSlice(this.#clock, () => {
        if (this.#stopped) return
        this.#checkpoint()
        this.#checkpointLater()
      })
    })
  }

  #checkpoint(): void {
    const values: { log: Log; highWatermark: Offset }[] = []
    for (const { log } of this.#hosted.all()) if (log !== undefined) values.push({ log, highWatermark: log.highWatermark })
    const unclaimed = this.#roles.unclaimed
    for (const log of unclaimed.size === 0 ? [] : this.#logs.all()) {
      const kept = unclaimed.get(partitionKey(log.topic, log.partition))
      if (kept !== undefined) values.push({ log, highWatermark: Math.min(kept, log.logEndOffset) })
    }
    try {
      this.#logs.checkpointHighWatermarks(values)
    } catch (error) {
      // The log manager has marked the directory failed and told us.
      if (!(error instanceof DiskError)) throw error
    }
  }

  beginShutdown(): void {
    this.#fetchers.leave()
  }

  async shutdown(): Promise<void> {
    this.#stopped = true
    this.#logger.info('Shutting down')
    this.#isrTimer?.cancel()
    this.#checkpointTimer?.cancel()
    this.#propagation.stop()
    this.#fetchers.close()
    for (const partition of this.#hosted.all()) {
      partition.isrUpdates.reset()
      partition.failWaiting(ErrorCode.NOT_LEADER_FOR_PARTITION)
    }
    this.#deletions.close()
    this.#moves.close()
    this.#timers.close()
    this.#checkpoint()
    this.#logger.info('Shut down completely')
  }
}
