import type { BrokerId, Offset, TopicPartition } from '../base/ids.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { Partition } from './partition.ts'
import type { FetchParams, FetchPartition, FetchPartitionResult } from './types.ts'

/** `replica_id` of a consumer that may read any replica, leader or not. */
export const DEBUGGING_CONSUMER_ID: BrokerId = -2

export type PartitionLookup = (topic: string, partition: number) => Partition | undefined

/** Why a fetch of this partition fails without a look at the log; 0 = it may be read. */
export function fetchRefusal(partition: Partition | undefined, replicaId: BrokerId): number {
  if (partition === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (partition.failed) return ErrorCode.KAFKA_STORAGE_ERROR
  if (partition.log === undefined) return ErrorCode.NOT_LEADER_FOR_PARTITION
  if (replicaId === DEBUGGING_CONSUMER_ID) return partition.halted === undefined ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR
  return partition.isLeader ? ErrorCode.NONE : ErrorCode.NOT_LEADER_FOR_PARTITION
}

/** Where the data for this reader ends: followers the log end, consumers the high watermark or the last stable offset. */
export function fetchBound(partition: Partition, params: FetchParams): Offset {
  const log = partition.requireLog()
  if (params.replicaId >= 0) return log.logEndOffset
  return params.isolation === 'readCommitted' ? log.lastStableOffset : log.highWatermark
}

/** One pass over the partitions of a fetch, in request order, until the budget is used up. */
export class FetchRead {
  readonly results: FetchPartitionResult[]
  /** Bytes of records found. */
  bytes = 0
  readonly isFromFollower: boolean
  /** Those of them that count for the leader's replication quota. */
  throttledBytes = 0
  /** Some partition has an error. */
  hasError = false

  constructor(params: FetchParams, partitions: readonly (Partition | undefined)[]) {
    const requested = params.partitions
    this.isFromFollower = params.replicaId >= 0
    this.results = new Array<FetchPartitionResult>(requested.length)
    let budget = params.maxBytes
    let minOne = params.minOneMessage
    for (let i = 0; i < requested.length; i++) {
      const partition = partitions[i]
      if (partition !== undefined) partition.traffic.totalFetchRequests++
      const result = this.#tryRead(params, requested[i]!, partition, budget, minOne)
      this.results[i] = result
      if (result.error !== ErrorCode.NONE) this.hasError = true
      const size = result.records === undefined ? 0 : result.records.size
      if (size === 0) continue
      minOne = false
      budget = Math.max(0, budget - size)
      this.bytes += size
      if (this.isFromFollower && partitions[i]?.isThrottledAsLeader) this.throttledBytes += size
    }
  }

  /** A disk failure has marked the log directory already. */
  #tryRead(
    params: FetchParams,
    wanted: FetchPartition,
    partition: Partition | undefined,
    budget: number,
    minOne: boolean,
  ): FetchPartitionResult {
    try {
      return this.#readOne(params, wanted, partition, budget, minOne)
    } catch (error) {
      if (error instanceof DiskError) return failedFetch(wanted, ErrorCode.KAFKA_STORAGE_ERROR)
      throw error
    }
  }

  #readOne(
    params: FetchParams,
    wanted: FetchPartition,
    partition: Partition | undefined,
    budget: number,
    minOne: boolean,
  ): FetchPartitionResult {
    const refusal = fetchRefusal(partition, params.replicaId)
    if (refusal !== ErrorCode.NONE || partition === undefined) return failedFetch(wanted, refusal)
    if (params.replicaId >= 0 && partition.awaitsQuestion(params.replicaId, wanted.fetchOffset))
      return failedFetch(wanted, ErrorCode.NOT_LEADER_FOR_PARTITION)
    const log = partition.requireLog()
    const committedOnly = params.isolation === 'readCommitted' && params.replicaId < 0
    const lastStable = committedOnly ? log.lastStableOffset : -1
    const from = wanted.fetchOffset
    const bound = fetchBound(partition, params)
    if (from === bound && !committedOnly) return partition.emptyResult(lastStable)
    if (params.replicaId >= 0 && partition.holdsBack(params.replicaId) && from < bound && from >= log.logStartOffset)
      return partition.emptyResult(lastStable)
    const read = log.read(from, Math.min(wanted.maxBytes, budget), bound, minOne, committedOnly)
    if (read.error !== ErrorCode.NONE) return failedFetch(wanted, read.error)
    if (params.replicaId >= 0 && partition.remote(params.replicaId) === undefined) {
      // As a running 1.1.1 does: it gets the records, and does not count.
      partition.logger.warn(`Fetch of replica ${params.replicaId}, which is not assigned`)
    }
    // v3 and later never send a torso of the first batch: consumers could not get past it.
    const torso = params.minOneMessage && read.firstEntryIncomplete
    if (!committedOnly && (read.records === undefined || torso)) return partition.emptyResult(lastStable)
    return {
      topic: wanted.topic,
      partition: wanted.partition,
      error: ErrorCode.NONE,
      highWatermark: log.highWatermark,
      lastStableOffset: lastStable,
      logStartOffset: log.logStartOffset,
      records: torso ? undefined : read.records,
      abortedTransactions: committedOnly ? (read.abortedTransactions ?? []) : undefined,
    }
  }
}

/** Nothing was read: why. */
export function failedFetch({ topic, partition }: TopicPartition, error: number): FetchPartitionResult {
  return {
    topic,
    partition,
    error,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    records: undefined,
    abortedTransactions: undefined,
  }
}
