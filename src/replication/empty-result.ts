import type { Offset, TopicPartition } from '../base/ids.ts'
import type { Log } from '../log/types.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { FetchPartitionResult } from './types.ts'

/** What a reader gets that has everything. */
export function makeEmptyResult({ topic, partition }: TopicPartition, log: Log, lastStableOffset: Offset): FetchPartitionResult {
  return {
    topic,
    partition,
    error: ErrorCode.NONE,
    highWatermark: log.highWatermark,
    lastStableOffset,
    logStartOffset: log.logStartOffset,
    records: undefined,
    abortedTransactions: undefined,
  }
}

/** Is it still what `makeEmptyResult` would say? */
export function isEmptyResult(kept: FetchPartitionResult, log: Log, lastStableOffset: Offset): boolean {
  return (
    kept.highWatermark === log.highWatermark &&
    kept.logStartOffset === log.logStartOffset &&
    kept.lastStableOffset === lastStableOffset
  )
}
