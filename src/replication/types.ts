import type { BrokerId, ControllerEpoch, EpochMillis, LeaderEpoch, Offset, PartitionId, TopicPartition } from '../base/ids.ts'
import type { AbortedTransaction, Log, LogConfig, RecordsSlice } from '../log/types.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import type { ReplicationFigures } from './environment.ts'
import type { RestingPartitions } from './resting.ts'

// ---------------------------------------------------------------- ports that this module needs; src/server/broker.ts wires them

/** What ZooKeeper has of a partition. */
export interface StoredState {
  readonly leader: BrokerId
  readonly leaderEpoch: LeaderEpoch
  readonly isr: readonly BrokerId[]
  readonly controllerEpoch: ControllerEpoch
  readonly zkVersion: number
}

/** ZooKeeper, as far as a leader needs it. */
export interface IsrStore {
  /** False after a full session timeout of silence: no ISR write may be relied on. */
  readonly trusted: boolean
  /** Conditional write of `/brokers/topics/<t>/partitions/<p>/state`; `unknown` when a lost reply could not be resolved. */
  updateIsr(change: {
    readonly topic: string
    readonly partition: PartitionId
    readonly leader: BrokerId
    readonly leaderEpoch: LeaderEpoch
    readonly isr: readonly BrokerId[]
    readonly controllerEpoch: ControllerEpoch
    readonly expectedVersion: number
  }): Promise<{ readonly outcome: string; readonly zkVersion: number }>
  /** Re-read after `unknown` or a bad version. `undefined`: no such node. */
  readState(partition: TopicPartition): Promise<StoredState | undefined>
  /** Creates one `/isr_change_notification/isr_change_` node. */
  notifyIsrChange(partitions: readonly TopicPartition[]): Promise<boolean>
}

/** One connection to another broker. Responses come in request order; the bytes of a response live only during the callback. */
export interface PeerChannel {
  /** `error` undefined: `response` is there. Never throws; after `close` no callback comes. */
  send<A extends 'Fetch' | 'OffsetForLeaderEpoch' | 'ListOffsets'>(
    api: A,
    request: RequestOf<A>,
    onResponse: (error: string | undefined, response: ResponseOf<A> | undefined) => void,
  ): void
  close(): void
}

export interface PeerRpc {
  /** Client id of a fetcher: `broker-<replicaId>-fetcher-<i>`. Reconnects by itself; a failed request says why. */
  open(leader: BrokerId, clientId: string): PeerChannel
  /** False with an `inter.broker.protocol.version` before 0.11.0-IV2: leaders cannot be asked where epochs end. */
  readonly asksLeaderEpochs: boolean
  /** By the last UpdateMetadata. */
  isAlive(broker: BrokerId): boolean
}

// ---------------------------------------------------------------- what handlers ask

export interface AppendEntry {
  readonly topic: string
  readonly partition: PartitionId
  /** Slice of the receive buffer; valid during the call only (appended before `append` returns). */
  readonly records: Buffer
}

export interface PartitionAppendResult {
  readonly topic: string
  readonly partition: PartitionId
  error: number
  readonly baseOffset: Offset
  readonly logAppendTime: EpochMillis
  readonly logStartOffset: Offset
}

export interface DeleteRecordsEntry {
  readonly topic: string
  readonly partition: PartitionId
  /** First offset to keep; -1 the high watermark. */
  readonly offset: Offset
}

export interface DeleteRecordsResult {
  readonly topic: string
  readonly partition: PartitionId
  readonly error: number
  /** Least log start of the live replicas; -1 with an error other than REQUEST_TIMED_OUT. */
  readonly lowWatermark: Offset
}

export interface LogDirMove {
  readonly topic: string
  readonly partition: PartitionId
  /** As `log.dirs` names it, absolute. */
  readonly logDir: string
}

export interface FetchPartition {
  readonly topic: string
  readonly partition: PartitionId
  readonly fetchOffset: Offset
  /** -1 from consumers. */
  readonly logStartOffset: Offset
  readonly maxBytes: number
  /** In a session: what the reader was told last, and the partition's place in the order of reading. */
  readonly sentHighWatermark?: Offset
  readonly sentLogStartOffset?: Offset
  readonly sentRecords?: boolean
  readonly place?: number
}

/** A follower that asks something, and over which connection. */
export interface Asker {
  readonly id: BrokerId
  readonly connection: number
}

export interface FetchParams {
  /** -1 consumer, -2 debugging consumer, else the follower. */
  readonly replicaId: BrokerId
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  /** v3+: at least one whole batch is returned though it exceeds the limits. */
  readonly minOneMessage: boolean
  readonly isolation: 'readUncommitted' | 'readCommitted'
  /** Number of the connection that it came over, in the order of acceptance; without one it is taken for the newest. */
  readonly connection?: number
  /** Those that rest in the session (`resting`) are not among them. */
  readonly partitions: readonly FetchPartition[]
  readonly resting?: RestingPartitions | undefined
}

export interface FetchPartitionResult {
  readonly topic: string
  readonly partition: PartitionId
  readonly error: number
  readonly highWatermark: Offset
  readonly lastStableOffset: Offset
  readonly logStartOffset: Offset
  readonly records: RecordsSlice | undefined
  readonly abortedTransactions: readonly AbortedTransaction[] | undefined
}

/** A hosted partition, as seen from outside. */
export interface PartitionView {
  readonly topic: string
  readonly partition: PartitionId
  readonly isLeader: boolean
  readonly leaderId: BrokerId
  readonly leaderEpoch: LeaderEpoch
  readonly inSyncReplicas: readonly BrokerId[]
  readonly assignedReplicas: readonly BrokerId[]
  readonly log: Log | undefined
  readonly highWatermark: Offset
  readonly isUnderReplicated: boolean
  readonly isOffline: boolean
}

export interface ReplicaManager {
  readonly controllerEpoch: ControllerEpoch
  /** For metrics. */
  readonly figures: ReplicationFigures
  /** acks 0, 1, -1. `done` is called once, in the same turn unless acks=-1 has to wait; results in the order of `entries`. */
  append(
    acks: number,
    timeoutMs: number,
    entries: readonly AppendEntry[],
    isFromClient: boolean,
    done: (results: readonly PartitionAppendResult[]) => void,
  ): void
  /**
   * Raises log starts of partitions that this broker leads. `done` is called once: when every live replica has followed, or after the
   * timeout (then with REQUEST_TIMED_OUT). Internal topics are the caller's to refuse.
   */
  deleteRecords(
    timeoutMs: number,
    entries: readonly DeleteRecordsEntry[],
    done: (results: readonly DeleteRecordsResult[]) => void,
  ): void
  /** `done` is called once: at once, in the turn of the append that satisfies it, or after maxWaitMs. Record slices live during `done`. */
  fetch(params: FetchParams, done: (results: readonly FetchPartitionResult[]) => void): { cancel(): void } | undefined
  /**
   * Between the two, appends do not yet wake who waits for them; the last release wakes everybody once. For a connection that reads
   * several pipelined produces in one turn: a waiting follower then gets them all in one answer. Calls nest. The last release calls
   * `onFetchesServed` before it answers the appends: what fetches got is best sent first, since everything else waits for followers.
   */
  holdTurn(): void
  releaseTurn(onFetchesServed?: () => void): void
  partition(topic: string, partition: PartitionId): PartitionView | undefined
  partitions(): Iterable<PartitionView>
  /** LeaderAndIsr: whole answer. */
  /** What takes long of a LeaderAndIsr with many new partitions; `becomeLeaderOrFollower` does what is left. */
  makeLogs(request: RequestOf<'LeaderAndIsr'>): Promise<void>
  becomeLeaderOrFollower(request: RequestOf<'LeaderAndIsr'>): ResponseOf<'LeaderAndIsr'>
  /** The same with breaks for others: each partition changes in one turn, many of them in several. */
  becomeLeaderOrFollowerInSlices(request: RequestOf<'LeaderAndIsr'>): Promise<ResponseOf<'LeaderAndIsr'>>
  stopReplicas(request: RequestOf<'StopReplica'>): ResponseOf<'StopReplica'>
  /** UpdateMetadata's epoch rule lives here too: false = stale controller epoch. */
  acceptControllerEpoch(epoch: ControllerEpoch): boolean
  /**
   * `clientId` of the request tells followers (`broker-<id>-fetcher-<i>`) from others: for a follower a question beyond our own epoch means
   * that we are no longer the leader, everybody else gets 1.1.1's answer. `connection`: as in `FetchParams`.
   */
  offsetsForLeaderEpoch(
    request: RequestOf<'OffsetForLeaderEpoch'>,
    clientId?: string | null,
    connection?: number,
  ): ResponseOf<'OffsetForLeaderEpoch'>
  updateTopicConfig(topic: string, config: LogConfig): void
  /** `num.replica.fetchers` changed: partitions are spread over the fetchers anew. */
  resizeFetchers(): void
  /**
   * Moves replicas of this broker to other log directories, in the background (KIP-113). Error codes in the order of `moves`:
   * LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, REPLICA_NOT_AVAILABLE (no log here yet; the choice is remembered for when there is one).
   */
  alterReplicaLogDirs(moves: readonly LogDirMove[]): number[]
  /** Starts ISR expiry, ISR propagation, high-watermark checkpoint timers. */
  start(): void
  /**
   * The broker is leaving: what it stops leading it does not follow any more. A fetch from it would bring it back into an ISR that the
   * controller has just taken it out of, and acks=all would wait for a broker that is gone.
   */
  beginShutdown(): void
  /** Stops fetchers and timers, answers what waits, checkpoints high watermarks. Does not close logs. */
  shutdown(): Promise<void>
  /** Leadership moved (for coordinators and the live view). */
  onLeadershipChange(
    listener: (change: { topic: string; partition: PartitionId; isLeader: boolean; leaderEpoch: LeaderEpoch }) => void,
  ): void
}

export interface QuotaWindow {
  readonly number: number
  readonly seconds: number
}

export interface ReplicationConfig {
  readonly brokerId: BrokerId
  readonly replicaLagTimeMaxMs: number
  readonly replicaFetchWaitMaxMs: number
  readonly replicaFetchMinBytes: number
  readonly replicaFetchMaxBytes: number
  readonly replicaFetchResponseMaxBytes: number
  readonly replicaFetchBackoffMs: number
  readonly numReplicaFetchers: number
  readonly replicaHighWatermarkCheckpointIntervalMs: number
  /** Bytes per second, infinite = no limit; read whenever they are needed, since they change while the broker runs. */
  readonly leaderReplicationThrottledRate: number
  readonly followerReplicationThrottledRate: number
  readonly replicaAlterLogDirsMaxBytesPerSecond: number
  /** `replication.quota.window.num`, `.size.seconds`. */
  readonly replicationQuotaWindow: QuotaWindow
  /** `alter.log.dirs.replication.quota.window.num`, `.size.seconds`. */
  readonly alterLogDirsQuotaWindow: QuotaWindow
  /** `samsa.faithful` names of historic holes to keep open: H4, H5, H6, H11, H12 are this module's; empty = strict. */
  readonly faithful: ReadonlySet<string>
}
