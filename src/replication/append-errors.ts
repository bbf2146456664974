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
