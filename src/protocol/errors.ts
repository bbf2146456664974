/**
 * Error codes of Kafka 1.1 (-1 to 71). `message` is the default text that clients have for a code: an `error_message` field is null
 * on the wire when it would only repeat it. `retriable` is what a 1.1 client does with the code.
 */

export const ErrorCode = {
  UNKNOWN_SERVER_ERROR: -1,
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  INVALID_FETCH_SIZE: 4,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_FOR_PARTITION: 6,
  REQUEST_TIMED_OUT: 7,
  BROKER_NOT_AVAILABLE: 8,
  REPLICA_NOT_AVAILABLE: 9,
  MESSAGE_TOO_LARGE: 10,
  STALE_CONTROLLER_EPOCH: 11,
  OFFSET_METADATA_TOO_LARGE: 12,
  NETWORK_EXCEPTION: 13,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  INVALID_TOPIC_EXCEPTION: 17,
  RECORD_LIST_TOO_LARGE: 18,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  INVALID_COMMIT_OFFSET_SIZE: 28,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  INVALID_TIMESTAMP: 32,
  UNSUPPORTED_SASL_MECHANISM: 33,
  ILLEGAL_SASL_STATE: 34,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REPLICA_ASSIGNMENT: 39,
  INVALID_CONFIG: 40,
  NOT_CONTROLLER: 41,
  INVALID_REQUEST: 42,
  UNSUPPORTED_FOR_MESSAGE_FORMAT: 43,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  DUPLICATE_SEQUENCE_NUMBER: 46,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  INVALID_TRANSACTION_TIMEOUT: 50,
  CONCURRENT_TRANSACTIONS: 51,
  TRANSACTION_COORDINATOR_FENCED: 52,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  SECURITY_DISABLED: 54,
  OPERATION_NOT_ATTEMPTED: 55,
  KAFKA_STORAGE_ERROR: 56,
  LOG_DIR_NOT_FOUND: 57,
  SASL_AUTHENTICATION_FAILED: 58,
  UNKNOWN_PRODUCER_ID: 59,
  REASSIGNMENT_IN_PROGRESS: 60,
  DELEGATION_TOKEN_AUTH_DISABLED: 61,
  DELEGATION_TOKEN_NOT_FOUND: 62,
  DELEGATION_TOKEN_OWNER_MISMATCH: 63,
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: 64,
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: 65,
  DELEGATION_TOKEN_EXPIRED: 66,
  INVALID_PRINCIPAL_TYPE: 67,
  NON_EMPTY_GROUP: 68,
  GROUP_ID_NOT_FOUND: 69,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  INVALID_FETCH_SESSION_EPOCH: 71,
} as const

export type ErrorName = keyof typeof ErrorCode

export interface ErrorInfo {
  readonly code: number
  readonly name: ErrorName
  readonly message: string
  readonly retriable: boolean
}

const table: readonly (readonly [name: ErrorName, retriable: boolean, message: string])[] = [
  ['UNKNOWN_SERVER_ERROR', false, 'The server experienced an unexpected error when processing the request'],
  ['NONE', false, 'NONE'],
  ['OFFSET_OUT_OF_RANGE', false, 'The requested offset is not within the range of offsets maintained by the server.'],
  ['CORRUPT_MESSAGE', true, 'This message has failed its CRC checksum, exceeds the valid size, or is otherwise corrupt.'],
  ['UNKNOWN_TOPIC_OR_PARTITION', true, 'This server does not host this topic-partition.'],
  ['INVALID_FETCH_SIZE', false, 'The requested fetch size is invalid.'],
  ['LEADER_NOT_AVAILABLE', true, 'There is no leader for this topic-partition as we are in the middle of a leadership election.'],
  ['NOT_LEADER_FOR_PARTITION', true, 'This server is not the leader for that topic-partition.'],
  ['REQUEST_TIMED_OUT', true, 'The request timed out.'],
  ['BROKER_NOT_AVAILABLE', false, 'The broker is not available.'],
  ['REPLICA_NOT_AVAILABLE', false, 'The replica is not available for the requested topic-partition'],
  ['MESSAGE_TOO_LARGE', false, 'The request included a message larger than the max message size the server will accept.'],
  ['STALE_CONTROLLER_EPOCH', false, 'The controller moved to another broker.'],
  ['OFFSET_METADATA_TOO_LARGE', false, 'The metadata field of the offset request was too large.'],
  ['NETWORK_EXCEPTION', true, 'The server disconnected before a response was received.'],
  ['COORDINATOR_LOAD_IN_PROGRESS', true, "The coordinator is loading and hence can't process requests."],
  ['COORDINATOR_NOT_AVAILABLE', true, 'The coordinator is not available.'],
  ['NOT_COORDINATOR', true, 'This is not the correct coordinator.'],
  ['INVALID_TOPIC_EXCEPTION', false, 'The request attempted to perform an operation on an invalid topic.'],
  ['RECORD_LIST_TOO_LARGE', false, 'The request included message batch larger than the configured segment size on the server.'],
  ['NOT_ENOUGH_REPLICAS', true, 'Messages are rejected since there are fewer in-sync replicas than required.'],
  ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', true, 'Messages are written to the log, but to fewer in-sync replicas than required.'],
  ['INVALID_REQUIRED_ACKS', false, 'Produce request specified an invalid value for required acks.'],
  ['ILLEGAL_GENERATION', false, 'Specified group generation id is not valid.'],
  [
    'INCONSISTENT_GROUP_PROTOCOL',
    false,
    "The group member's supported protocols are incompatible with those of existing members or first group member tried to join with empty protocol type or empty protocol list.",
  ],
  ['INVALID_GROUP_ID', false, 'The configured groupId is invalid'],
  ['UNKNOWN_MEMBER_ID', false, 'The coordinator is not aware of this member.'],
  [
    'INVALID_SESSION_TIMEOUT',
    false,
    'The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms and group.max.session.timeout.ms).',
  ],
  ['REBALANCE_IN_PROGRESS', false, 'The group is rebalancing, so a rejoin is needed.'],
  ['INVALID_COMMIT_OFFSET_SIZE', false, 'The committing offset data size is not valid'],
  ['TOPIC_AUTHORIZATION_FAILED', false, 'Not authorized to access topics: [Topic authorization failed.]'],
  ['GROUP_AUTHORIZATION_FAILED', false, 'Not authorized to access group: Group authorization failed.'],
  ['CLUSTER_AUTHORIZATION_FAILED', false, 'Cluster authorization failed.'],
  ['INVALID_TIMESTAMP', false, 'The timestamp of the message is out of acceptable range.'],
  ['UNSUPPORTED_SASL_MECHANISM', false, 'The broker does not support the requested SASL mechanism.'],
  ['ILLEGAL_SASL_STATE', false, 'Request is not valid given the current SASL state.'],
  ['UNSUPPORTED_VERSION', false, 'The version of API is not supported.'],
  ['TOPIC_ALREADY_EXISTS', false, 'Topic with this name already exists.'],
  ['INVALID_PARTITIONS', false, 'Number of partitions is invalid.'],
  ['INVALID_REPLICATION_FACTOR', false, 'Replication-factor is invalid.'],
  ['INVALID_REPLICA_ASSIGNMENT', false, 'Replica assignment is invalid.'],
  ['INVALID_CONFIG', false, 'Configuration is invalid.'],
  ['NOT_CONTROLLER', true, 'This is not the correct controller for this cluster.'],
  [
    'INVALID_REQUEST',
    false,
    'This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.',
  ],
  ['UNSUPPORTED_FOR_MESSAGE_FORMAT', false, 'The message format version on the broker does not support the request.'],
  ['POLICY_VIOLATION', false, 'Request parameters do not satisfy the configured policy.'],
  ['OUT_OF_ORDER_SEQUENCE_NUMBER', false, 'The broker received an out of order sequence number'],
  ['DUPLICATE_SEQUENCE_NUMBER', false, 'The broker received a duplicate sequence number'],
  [
    'INVALID_PRODUCER_EPOCH',
    false,
    "Producer attempted an operation with an old epoch. Either there is a newer producer with the same transactionalId, or the producer's transaction has been expired by the broker.",
  ],
  ['INVALID_TXN_STATE', false, 'The producer attempted a transactional operation in an invalid state'],
  [
    'INVALID_PRODUCER_ID_MAPPING',
    false,
    'The producer attempted to use a producer id which is not currently assigned to its transactional id',
  ],
  [
    'INVALID_TRANSACTION_TIMEOUT',
    false,
    'The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms).',
  ],
  [
    'CONCURRENT_TRANSACTIONS',
    false,
    'The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing',
  ],
  [
    'TRANSACTION_COORDINATOR_FENCED',
    false,
    'Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer',
  ],
  ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', false, 'Transactional Id authorization failed'],
  ['SECURITY_DISABLED', false, 'Security features are disabled.'],
  [
    'OPERATION_NOT_ATTEMPTED',
    false,
    'The broker did not attempt to execute this operation. This may happen for batched RPCs where some operations in the batch failed, causing the broker to respond without trying the rest.',
  ],
  ['KAFKA_STORAGE_ERROR', true, 'Disk error when trying to access log file on the disk.'],
  ['LOG_DIR_NOT_FOUND', false, 'The user-specified log directory is not found in the broker config.'],
  ['SASL_AUTHENTICATION_FAILED', false, 'SASL Authentication failed.'],
  [
    'UNKNOWN_PRODUCER_ID',
    false,
    "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question. This could happen if, for instance, the producer's records were deleted because their retention time had elapsed. Once the last records of the producerId are removed, the producer's metadata is removed from the broker, and future appends by the producer will return this exception.",
  ],
  ['REASSIGNMENT_IN_PROGRESS', false, 'A partition reassignment is in progress'],
  ['DELEGATION_TOKEN_AUTH_DISABLED', false, 'Delegation Token feature is not enabled.'],
  ['DELEGATION_TOKEN_NOT_FOUND', false, 'Delegation Token is not found on server.'],
  ['DELEGATION_TOKEN_OWNER_MISMATCH', false, 'Specified Principal is not valid Owner/Renewer.'],
  [
    'DELEGATION_TOKEN_REQUEST_NOT_ALLOWED',
    false,
    'Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels.',
  ],
  ['DELEGATION_TOKEN_AUTHORIZATION_FAILED', false, 'Delegation Token authorization failed.'],
  ['DELEGATION_TOKEN_EXPIRED', false, 'Delegation Token is expired.'],
  ['INVALID_PRINCIPAL_TYPE', false, 'Supplied principalType is not supported'],
  ['NON_EMPTY_GROUP', false, 'The group The group is not empty is not empty'],
  ['GROUP_ID_NOT_FOUND', false, 'The group id The group id does not exist was not found'],
  ['FETCH_SESSION_ID_NOT_FOUND', true, 'The fetch session ID was not found'],
  ['INVALID_FETCH_SESSION_EPOCH', true, 'The fetch session epoch is invalid'],
]

/** All errors, by ascending code. */
export const errors: readonly ErrorInfo[] = table.map(([name, retriable, message]) => ({
  code: ErrorCode[name],
  name,
  message,
  retriable,
}))

const unknown = errors[0]!

/** The table's row of a code; a code that 1.1 does not know counts as UNKNOWN_SERVER_ERROR, as its clients do. */
export function errorInfo(code: number): ErrorInfo {
  return errors[code + 1] ?? unknown
}

/** `NOT_LEADER_FOR_PARTITION`, or `UNKNOWN_SERVER_ERROR` for a code that 1.1 does not know. */
export function errorName(code: number): ErrorName {
  return errorInfo(code).name
}

/** The text for an `error_message` field: null when it is the default one. */
export function wireErrorMessage(code: number, message: string | null | undefined): string | null {
  if (code === ErrorCode.NONE || message === null || message === undefined) return null
  return message === errorInfo(code).message ? null : message
}
