import { ErrorCode } from '../protocol/errors.ts'

const KINDS = {
  TopicExistsException: ['org.apache.kafka.common.errors', ErrorCode.TOPIC_ALREADY_EXISTS],
  InvalidTopicException: ['org.apache.kafka.common.errors', ErrorCode.INVALID_TOPIC_EXCEPTION],
  InvalidPartitionsException: ['org.apache.kafka.common.errors', ErrorCode.INVALID_PARTITIONS],
  InvalidReplicationFactorException: ['org.apache.kafka.common.errors', ErrorCode.INVALID_REPLICATION_FACTOR],
  InvalidReplicaAssignmentException: ['org.apache.kafka.common.errors', ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  UnknownTopicOrPartitionException: ['org.apache.kafka.common.errors', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  BrokerNotAvailableException: ['org.apache.kafka.common.errors', ErrorCode.BROKER_NOT_AVAILABLE],
  AdminOperationException: ['kafka.admin', ErrorCode.UNKNOWN_SERVER_ERROR],
} as const

export type TopicErrorKind = keyof typeof KINDS

/**
 * A request for a topic that is refused. `name` is the exception that 1.1 throws there (its tools print it), `message` its text,
 * `code` the error on the wire.
 */
export class TopicAdminError extends Error {
  override readonly name: string
  readonly kind: TopicErrorKind
  readonly code: number

  constructor(kind: TopicErrorKind, message: string) {
    super(message)
    const [javaPackage, code] = KINDS[kind]
    this.name = `${javaPackage}.${kind}`
    this.kind = kind
    this.code = code
  }
}
