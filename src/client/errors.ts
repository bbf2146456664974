/**
 * The exceptions of Kafka 1.1's Java clients, by the same names. `code` is the number on the wire (-1 where a failure never was one),
 * `retriable` says whether the same request may succeed later, `invalidMetadata` whether the metadata must be asked for anew first.
 */
import { ErrorCode, type ErrorName, errorInfo } from '../protocol/errors.ts'

/** Base of everything that the clients throw, reject with or hand to callbacks. */
export class KafkaException extends Error {
  override readonly name: string = 'KafkaException'
  /** Kafka's error code; -1 (UNKNOWN_SERVER_ERROR) when the failure has none. */
  readonly code: number
  readonly retriable: boolean = false
  /** InvalidMetadataException of the Java clients: leaders have moved, refresh before the next try. */
  readonly invalidMetadata: boolean = false
  constructor(message: string, options: { readonly code?: number; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = options.code ?? ErrorCode.UNKNOWN_SERVER_ERROR
  }

  /** `NOT_LEADER_FOR_PARTITION` */
  get errorName(): ErrorName {
    return errorInfo(this.code).name
  }
}

/** A wrong key or value of a configuration. */
export class ConfigException extends KafkaException {
  override readonly name = 'ConfigException'
}

/** A call that the object's state does not allow. */
export class IllegalStateException extends KafkaException {
  override readonly name = 'IllegalStateException'
}

/** A wrong argument of a call. */
export class IllegalArgumentException extends KafkaException {
  override readonly name = 'IllegalArgumentException'
}

/** Overlapping calls of a consumer, which is for one caller at a time. */
export class ConcurrentModificationException extends KafkaException {
  override readonly name = 'ConcurrentModificationException'
}

/** `wakeup` was called: from `poll` and other waiting calls. */
export class WakeupException extends KafkaException {
  override readonly name = 'WakeupException'
  constructor(message = 'woken up by wakeup()') {
    super(message)
  }
}

export class SerializationException extends KafkaException {
  override readonly name = 'SerializationException'
}

/** What a broker answered, or what stands for its answer. */
export class ApiException extends KafkaException {
  override readonly name: string
  override readonly retriable: boolean
  override readonly invalidMetadata: boolean
  constructor(code: number, message?: string, cause?: unknown) {
    const info = errorInfo(code)
    super(message ?? info.message, { code, cause })
    this.name = JAVA_NAMES[info.name]
    this.retriable = info.retriable
    this.invalidMetadata = INVALID_METADATA.has(code)
  }
}

/** A deadline passed: of a request, of waiting for metadata or memory, of a batch. Retriable. */
export class TimeoutException extends ApiException {
  constructor(message?: string, cause?: unknown) {
    super(ErrorCode.REQUEST_TIMED_OUT, message, cause)
  }
}

/** `max.block.ms` passed without memory for a record. */
export class BufferExhaustedException extends TimeoutException {
  override readonly name: string = 'BufferExhaustedException'
}

/** The connection broke before the response: the request may or may not have been carried out. Retriable. */
export class NetworkException extends ApiException {
  constructor(message?: string, cause?: unknown) {
    super(ErrorCode.NETWORK_EXCEPTION, message, cause)
  }
}

export class AuthorizationException extends ApiException {}

export class TopicAuthorizationException extends AuthorizationException {
  readonly topics: readonly string[]
  constructor(topics: readonly string[]) {
    super(ErrorCode.TOPIC_AUTHORIZATION_FAILED, `Not authorized to access topics: [${topics.join(', ')}]`)
    this.topics = topics
  }
}

export class GroupAuthorizationException extends AuthorizationException {
  readonly groupId: string
  constructor(groupId: string) {
    super(ErrorCode.GROUP_AUTHORIZATION_FAILED, `Not authorized to access group: ${groupId}`)
    this.groupId = groupId
  }
}

export class InvalidTopicException extends ApiException {
  readonly topics: readonly string[]
  constructor(topics: readonly string[], message = `Invalid topics: [${topics.join(', ')}]`) {
    super(ErrorCode.INVALID_TOPIC_EXCEPTION, message)
    this.topics = topics
  }
}

/** The broker, or its version, does not know what was asked of it. */
export class UnsupportedVersionException extends ApiException {
  constructor(message?: string) {
    super(ErrorCode.UNSUPPORTED_VERSION, message)
  }
}

/** A newer producer has the same transactional id, or the broker ended our transaction: only `close` is left. */
export class ProducerFencedException extends ApiException {
  constructor(message?: string) {
    super(ErrorCode.INVALID_PRODUCER_EPOCH, message)
  }
}

export class OutOfOrderSequenceException extends ApiException {
  constructor(message?: string, code: number = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER) {
    super(code, message)
  }
}

/** Records at the producer's position have been deleted. */
export class UnknownProducerIdException extends OutOfOrderSequenceException {
  constructor(message?: string) {
    super(message, ErrorCode.UNKNOWN_PRODUCER_ID)
  }
}

export class RecordTooLargeException extends ApiException {
  constructor(message?: string) {
    super(ErrorCode.MESSAGE_TOO_LARGE, message)
  }
}

/** The group has gone on without us: what was polled belongs to others now. */
export class CommitFailedException extends KafkaException {
  override readonly name = 'CommitFailedException'
}

/** An asynchronous commit failed in a way that a later one may not. */
export class RetriableCommitFailedException extends KafkaException {
  override readonly name = 'RetriableCommitFailedException'
  override readonly retriable = true
}

/** A partition and what is wrong with its position. */
export class InvalidOffsetException extends ApiException {
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
  constructor(message: string, partitions: readonly { readonly topic: string; readonly partition: number }[]) {
    super(ErrorCode.OFFSET_OUT_OF_RANGE, message)
    this.partitions = partitions
  }
}

/** `auto.offset.reset=none` and no committed offset. */
export class NoOffsetForPartitionException extends InvalidOffsetException {
  override readonly name: string = 'NoOffsetForPartitionException'
}

/** `auto.offset.reset=none` and a position outside of the log. */
export class OffsetOutOfRangeException extends InvalidOffsetException {
  override readonly name: string = 'OffsetOutOfRangeException'
}

/**
 * The exception of an error code, `message` replacing the default text. Codes that 1.1 does not know become UnknownServerException.
 * NONE is a bug of the caller.
 */
export function exceptionOf(code: number, message?: string | null): ApiException {
  const text = message ?? undefined
  switch (code) {
    case ErrorCode.NONE:
      throw new TypeError('NONE is no error')
    case ErrorCode.REQUEST_TIMED_OUT:
      return new TimeoutException(text)
    case ErrorCode.NETWORK_EXCEPTION:
      return new NetworkException(text)
    case ErrorCode.UNSUPPORTED_VERSION:
      return new UnsupportedVersionException(text)
    case ErrorCode.INVALID_PRODUCER_EPOCH:
      return new ProducerFencedException(text)
    case ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
      return new OutOfOrderSequenceException(text)
    case ErrorCode.UNKNOWN_PRODUCER_ID:
      return new UnknownProducerIdException(text)
    case ErrorCode.MESSAGE_TOO_LARGE:
      return new RecordTooLargeException(text)
    case ErrorCode.TOPIC_AUTHORIZATION_FAILED:
    case ErrorCode.GROUP_AUTHORIZATION_FAILED:
    case ErrorCode.CLUSTER_AUTHORIZATION_FAILED:
    case ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED:
      return new AuthorizationException(code, text)
    default:
      return new ApiException(code, text)
  }
}

/** Whether a failure may pass when tried again; false for everything that is no KafkaException. */
export function isRetriable(error: unknown): boolean {
  return error instanceof KafkaException && error.retriable
}

const INVALID_METADATA: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_FOR_PARTITION,
  ErrorCode.NETWORK_EXCEPTION,
  ErrorCode.KAFKA_STORAGE_ERROR,
])

/** Simple names of the Java classes of 1.1. */
const JAVA_NAMES: Readonly<Record<ErrorName, string>> = {
  UNKNOWN_SERVER_ERROR: 'UnknownServerException',
  NONE: 'ApiException',
  OFFSET_OUT_OF_RANGE: 'OffsetOutOfRangeException',
  CORRUPT_MESSAGE: 'CorruptRecordException',
  UNKNOWN_TOPIC_OR_PARTITION: 'UnknownTopicOrPartitionException',
  INVALID_FETCH_SIZE: 'InvalidFetchSizeException',
  LEADER_NOT_AVAILABLE: 'LeaderNotAvailableException',
  NOT_LEADER_FOR_PARTITION: 'NotLeaderForPartitionException',
  REQUEST_TIMED_OUT: 'TimeoutException',
  BROKER_NOT_AVAILABLE: 'BrokerNotAvailableException',
  REPLICA_NOT_AVAILABLE: 'ReplicaNotAvailableException',
  MESSAGE_TOO_LARGE: 'RecordTooLargeException',
  STALE_CONTROLLER_EPOCH: 'ControllerMovedException',
  OFFSET_METADATA_TOO_LARGE: 'OffsetMetadataTooLarge',
  NETWORK_EXCEPTION: 'NetworkException',
  COORDINATOR_LOAD_IN_PROGRESS: 'CoordinatorLoadInProgressException',
  COORDINATOR_NOT_AVAILABLE: 'CoordinatorNotAvailableException',
  NOT_COORDINATOR: 'NotCoordinatorException',
  INVALID_TOPIC_EXCEPTION: 'InvalidTopicException',
  RECORD_LIST_TOO_LARGE: 'RecordBatchTooLargeException',
  NOT_ENOUGH_REPLICAS: 'NotEnoughReplicasException',
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 'NotEnoughReplicasAfterAppendException',
  INVALID_REQUIRED_ACKS: 'InvalidRequiredAcksException',
  ILLEGAL_GENERATION: 'IllegalGenerationException',
  INCONSISTENT_GROUP_PROTOCOL: 'InconsistentGroupProtocolException',
  INVALID_GROUP_ID: 'InvalidGroupIdException',
  UNKNOWN_MEMBER_ID: 'UnknownMemberIdException',
  INVALID_SESSION_TIMEOUT: 'InvalidSessionTimeoutException',
  REBALANCE_IN_PROGRESS: 'RebalanceInProgressException',
  INVALID_COMMIT_OFFSET_SIZE: 'InvalidCommitOffsetSizeException',
  TOPIC_AUTHORIZATION_FAILED: 'TopicAuthorizationException',
  GROUP_AUTHORIZATION_FAILED: 'GroupAuthorizationException',
  CLUSTER_AUTHORIZATION_FAILED: 'ClusterAuthorizationException',
  INVALID_TIMESTAMP: 'InvalidTimestampException',
  UNSUPPORTED_SASL_MECHANISM: 'UnsupportedSaslMechanismException',
  ILLEGAL_SASL_STATE: 'IllegalSaslStateException',
  UNSUPPORTED_VERSION: 'UnsupportedVersionException',
  TOPIC_ALREADY_EXISTS: 'TopicExistsException',
  INVALID_PARTITIONS: 'InvalidPartitionsException',
  INVALID_REPLICATION_FACTOR: 'InvalidReplicationFactorException',
  INVALID_REPLICA_ASSIGNMENT: 'InvalidReplicaAssignmentException',
  INVALID_CONFIG: 'InvalidConfigurationException',
  NOT_CONTROLLER: 'NotControllerException',
  INVALID_REQUEST: 'InvalidRequestException',
  UNSUPPORTED_FOR_MESSAGE_FORMAT: 'UnsupportedForMessageFormatException',
  POLICY_VIOLATION: 'PolicyViolationException',
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'OutOfOrderSequenceException',
  DUPLICATE_SEQUENCE_NUMBER: 'DuplicateSequenceException',
  INVALID_PRODUCER_EPOCH: 'ProducerFencedException',
  INVALID_TXN_STATE: 'InvalidTxnStateException',
  INVALID_PRODUCER_ID_MAPPING: 'InvalidPidMappingException',
  INVALID_TRANSACTION_TIMEOUT: 'InvalidTxnTimeoutException',
  CONCURRENT_TRANSACTIONS: 'ConcurrentTransactionsException',
  TRANSACTION_COORDINATOR_FENCED: 'TransactionCoordinatorFencedException',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'TransactionalIdAuthorizationException',
  SECURITY_DISABLED: 'SecurityDisabledException',
  OPERATION_NOT_ATTEMPTED: 'OperationNotAttemptedException',
  KAFKA_STORAGE_ERROR: 'KafkaStorageException',
  LOG_DIR_NOT_FOUND: 'LogDirNotFoundException',
  SASL_AUTHENTICATION_FAILED: 'SaslAuthenticationException',
  UNKNOWN_PRODUCER_ID: 'UnknownProducerIdException',
  REASSIGNMENT_IN_PROGRESS: 'ReassignmentInProgressException',
  DELEGATION_TOKEN_AUTH_DISABLED: 'DelegationTokenDisabledException',
  DELEGATION_TOKEN_NOT_FOUND: 'DelegationTokenNotFoundException',
  DELEGATION_TOKEN_OWNER_MISMATCH: 'DelegationTokenOwnerMismatchException',
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: 'UnsupportedByAuthenticationException',
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: 'DelegationTokenAuthorizationException',
  DELEGATION_TOKEN_EXPIRED: 'DelegationTokenExpiredException',
  INVALID_PRINCIPAL_TYPE: 'InvalidPrincipalTypeException',
  NON_EMPTY_GROUP: 'GroupNotEmptyException',
  GROUP_ID_NOT_FOUND: 'GroupIdNotFoundException',
  FETCH_SESSION_ID_NOT_FOUND: 'FetchSessionIdNotFoundException',
  INVALID_FETCH_SESSION_EPOCH: 'InvalidFetchSessionEpochException',
}
