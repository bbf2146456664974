import type { RecordPieces } from '../base/bytes.ts'
import type { EpochMillis, LeaderEpoch, Millis, Offset, PartitionId } from '../base/ids.ts'
import type { LogCleaner } from './cleaner/log-cleaner.ts'

/** Topic-level configuration as the log needs it; frozen, replaced as a whole when the topic's config changes. Names: 1.1 topic configs. */
export interface LogConfig {
  readonly segmentBytes: number
  readonly segmentMs: Millis
  readonly segmentJitterMs: Millis
  readonly segmentIndexBytes: number
  readonly flushMessages: number
  readonly flushMs: Millis
  /** -1: unlimited. */
  readonly retentionBytes: number
  /** -1: unlimited. */
  readonly retentionMs: Millis
  readonly maxMessageBytes: number
  readonly indexIntervalBytes: number
  readonly deleteRetentionMs: Millis
  readonly fileDeleteDelayMs: Millis
  readonly minCompactionLagMs: Millis
  readonly minCleanableDirtyRatio: number
  readonly compact: boolean
  readonly delete: boolean
  readonly uncleanLeaderElectionEnable: boolean
  readonly minInSyncReplicas: number
  readonly compressionType: 'producer' | 'uncompressed' | 'gzip' | 'snappy' | 'lz4'
  readonly preallocate: boolean
  /** Message format: 0 (0.8 - 0.9), 1 (0.10), 2 (0.11 and later). */
  readonly messageFormatMagic: 0 | 1 | 2
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly messageTimestampDifferenceMaxMs: Millis
  readonly leaderReplicationThrottledReplicas: string
  readonly followerReplicationThrottledReplicas: string
}

/** What an append did. On error nothing was appended; `error` is a Kafka error code (ErrorCode.*), 0 = none. */
export interface AppendResult {
  readonly error: number
  /** Why, for the log line. */
  readonly message?: string
  /** -1 when nothing was appended. Of a duplicate: the original offset. */
  readonly firstOffset: Offset
  readonly lastOffset: Offset
  /** With LogAppendTime the broker's time, else -1. */
  readonly logAppendTime: EpochMillis
  readonly logStartOffset: Offset
  readonly bytes: number
  readonly duplicate?: boolean
  /** Records had to be rewritten: another format, other compression, or offsets inside of a compressed set. */
  readonly isConverted?: boolean
}

/**
 * Records found by a read, not yet copied: `copyTo` puts them straight into the outgoing buffer (from the tail cache, or from the file by
 * a synchronous read of what is surely in the page cache). Valid until the end of the current callback unless `pin` was called.
 */
export interface RecordsSlice {
  /** Bytes, always from a batch boundary; the last batch may be cut when the limit demands it. */
  readonly size: number
  /** Set when the bytes lie in memory of their own, which stays valid. */
  readonly bytes?: Buffer
  copyTo(target: Buffer, offset: number): void
  /** Set unless cold: for copying in pieces and in later turns. */
  readonly pieces?: RecordPieces | undefined
  /** True when `copyTo` could block on a cold disk: then call `load` first. */
  readonly cold: boolean
  /** Reads cold data off the loop; the returned slice is never cold. Rejects with `RecordsCutError` when the log is truncated meanwhile. */
  load(): Promise<RecordsSlice>
  /**
   * Set where `pieces` can be sent from the file. As `load`, but the bytes stay where they are, in the system's memory, and are held:
   * `letGo` of the returned slice's `pieces` is the caller's.
   */
  readonly warmUp?: (() => Promise<RecordsSlice>) | undefined
}

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: Offset
}

export interface ReadResult {
  /** OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR or 0. */
  readonly error: number
  /** `undefined`: no data. */
  readonly records: RecordsSlice | undefined
  /** Limit was hit inside the first batch and `minOneMessage` was off. */
  readonly firstEntryIncomplete: boolean
  readonly abortedTransactions?: readonly AbortedTransaction[]
}

export interface TimestampOffset {
  readonly timestamp: EpochMillis
  readonly offset: Offset
}

/**
 * One partition's log. Knows no network, no API version, no ZooKeeper. Append, read and truncate are synchronous; one owner calls them.
 * A disk failure surfaces as `DiskError` after the log directory was marked failed.
 */
export interface Log {
  readonly topic: string
  readonly partition: PartitionId
  /** Absolute path of the partition's folder. */
  readonly directory: string
  /** Entry of log.dirs it lies in. */
  readonly logDir: string
  config: LogConfig
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  readonly recoveryPoint: Offset
  /** Set by the replication layer; bounds deletion, producer expiry and lastStableOffset. Never above logEndOffset. */
  highWatermark: Offset
  /** First offset that may belong to an undecided transaction, else highWatermark. */
  readonly lastStableOffset: Offset
  readonly size: number
  readonly latestEpoch: LeaderEpoch
  /** `startOf`: first offset of an epoch that has begun here; -1: it has not. `firstEpoch`: oldest one that has records; -1: none. */
  readonly epochs: { readonly firstEpoch: LeaderEpoch; startOf(epoch: LeaderEpoch): Offset }

  /**
   * Validates, assigns offsets and the leader epoch in place (bytes are the caller's receive buffer), appends with one write.
   * `isFromClient` false: coordinator writes.
   */
  appendAsLeader(records: Buffer, leaderEpoch: LeaderEpoch, isFromClient: boolean): AppendResult
  /**
   * The same in two steps: several record sets that came in one read of a socket become one gathered write. The bytes must stay as they
   * are until `writeStaged`, in the same turn. Only when that has not thrown is anything appended; whatever else is asked of the log in
   * between writes first.
   */
  stageAsLeader(records: Buffer, leaderEpoch: LeaderEpoch, isFromClient: boolean): AppendResult
  writeStaged(): void
  /** Offsets are kept; must start at or after logEndOffset. CORRUPT_MESSAGE and ordering violations are errors in the result. */
  appendAsFollower(records: Buffer): AppendResult
  /** `upTo` exclusive bound (high watermark, LSO or log end). `minOneMessage`: at least the first batch whole, whatever `maxBytes`. */
  read(from: Offset, maxBytes: number, upTo: Offset, minOneMessage: boolean, withAborted?: boolean): ReadResult
  /** Bytes between two offsets as a waiting fetch counts them; -1 when `from` lies on an older segment than `upTo`. */
  bytesBetween(from: Offset, upTo: Offset): number
  /** First record with timestamp >= `timestamp`. */
  offsetForTimestamp(timestamp: EpochMillis): TimestampOffset | undefined
  /** v0 ListOffsets: descending segment offsets older than `timestamp` (-1 latest, -2 earliest). */
  legacyOffsetsBefore(timestamp: EpochMillis, maxOffsets: number): Offset[]
  /**
   * KIP-101, 1.1.1's rules: end offset of `epoch`, -1 undefined. `withPending` false: an epoch in which nothing was appended yet is
   * not known, as in 1.1.1.
   */
  endOffsetForEpoch(epoch: LeaderEpoch, withPending?: boolean): Offset
  /** Records that `epoch` starts at the log end (become leader). */
  startEpoch(epoch: LeaderEpoch): void
  truncateTo(offset: Offset): void
  /** Drops everything; the log then starts and ends at `offset`. */
  truncateFullyAndStartAt(offset: Offset): void
  /** DeleteRecords and follower rule: raises logStartOffset (not above highWatermark); segments below it go later. */
  maybeIncrementLogStartOffset(offset: Offset): void
  /** Called when it was raised, also by retention. */
  onStartMoved: (() => void) | undefined
  /** fsync up to the log end, off the loop, single-flight; then moves the recovery point. */
  flush(): Promise<void>
  /** Producer state lookups for the coordinators' and handlers' needs live in `producerState` (log issue). */
  close(): void
}

/** Logs that are to replace others, in another log directory of the broker (KIP-113). All but `get` and `all` throw DiskError. */
export interface FutureLogManager {
  all(): Iterable<Log>
  get(topic: string, partition: PartitionId): Log | undefined
  /** Remembers where a log that does not exist yet is to be made. */
  prefer(topic: string, partition: PartitionId, logDir: string): void
  /** An empty log in another live directory. */
  create(topic: string, partition: PartitionId, logDir: string, config: LogConfig): Log
  remove(topic: string, partition: PartitionId): void
  /** The future log, which holds all that the current one does, takes its place; the returned log is the current one now. */
  replaceCurrent(topic: string, partition: PartitionId): Log
}

/** All logs of a broker. */
export interface LogManager {
  /** Log directories that work, in configured order. */
  readonly liveDirectories: readonly string[]
  readonly offlineDirectories: readonly string[]
  /** Loads and recovers every log (`num.recovery.threads.per.data.dir`), then starts retention, flush and checkpoint timers. */
  start(topicConfigs: ReadonlyMap<string, LogConfig>): Promise<void>
  get(topic: string, partition: PartitionId): Log | undefined
  /** Creates it when absent, in the live directory with the fewest partitions. Throws DiskError when none is live. */
  getOrCreate(topic: string, partition: PartitionId, config: LogConfig, isNew: boolean): Log
  all(): Iterable<Log>
  updateTopicConfig(topic: string, config: LogConfig): void
  readonly futures: FutureLogManager
  /** Undefined when `log.cleaner.enable` is off. */
  readonly cleaner: LogCleaner | undefined
  /** Renames to `<topic>-<p>.<uuid>-delete`; files go after file.delete.delay.ms. */
  delete(topic: string, partition: PartitionId): void
  /** `replication-offset-checkpoint` of all live directories, merged: high watermarks by partition key. */
  readHighWatermarks(): Map<string, Offset>
  /** Writes `replication-offset-checkpoint`. */
  checkpointHighWatermarks(values: Iterable<{ log: Log; highWatermark: Offset }>): void
  /** Told once per directory that fails. */
  onDirectoryFailure(listener: (logDir: string) => void): void
  /** Flush, checkpoints, `.kafka_cleanshutdown`, locks released. */
  shutdown(): Promise<void>
}
