import { ErrorCode } from '../protocol/errors.ts'

/**
 * What a failed append to a state topic means to the clients of any coordinator: the topic is short of replicas, or its leader is elsewhere.
 * undefined: each coordinator has its own answer.
 */
export function sharedCoordinatorError(appendError: number): number | undefined {
  switch (appendError) {
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.NOT_ENOUGH_REPLICAS:
    case ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE
    case ErrorCode.NOT_LEADER_FOR_PARTITION:
    case ErrorCode.KAFKA_STORAGE_ERROR:
      return ErrorCode.NOT_COORDINATOR
    default:
      return undefined
  }
}
