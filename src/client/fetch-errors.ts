import { ErrorCode } from '../protocol/errors.ts'

/** Error codes of a fetch after which the metadata are asked for and the fetch is repeated: the partition has moved, or will be there again. */
export const FETCH_MOVED: ReadonlySet<number> = new Set([
  ErrorCode.NOT_LEADER_FOR_PARTITION,
  ErrorCode.REPLICA_NOT_AVAILABLE,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
])
