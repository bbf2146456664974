import type { AppendResult } from '../log/types.ts'
import { ErrorCode } from '../protocol/errors.ts'

/**
 * Refusals of an append that are the client's everyday business: 1.1.1 does not count them as failed requests, and its answer to them
 * carries no log start offset (Produce v5).
 */
export const EXPECTED_APPEND_ERRORS: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.NOT_LEADER_FOR_PARTITION,
  ErrorCode.MESSAGE_TOO_LARGE,
  ErrorCode.RECORD_LIST_TOO_LARGE,
  ErrorCode.CORRUPT_MESSAGE,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.INVALID_TIMESTAMP,
])

/** What a follower does not append. */
export const LATER_EPOCH: AppendResult = {
  error: ErrorCode.NOT_LEADER_FOR_PARTITION,
  message: 'records of a later leader epoch than known here',
  firstOffset: -1,
  lastOffset: -1,
  logAppendTime: -1,
  logStartOffset: -1,
  bytes: 0,
}
