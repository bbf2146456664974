/** The admin client as its users see it: everything of 1.1's AdminClient, and the group calls of its Scala predecessor. */
import type { EpochMillis, Millis, TopicPartition } from '../../base/ids.ts'
import type { KafkaException } from '../errors.ts'
import type { Node, PartitionMetadata } from '../metadata/types.ts'
import type { MetricValue, OffsetAndMetadata } from '../producer/types.ts'

/** Every call takes the time of `request.timeout.ms` unless told otherwise. */
export interface AdminCallOptions {
  readonly timeoutMs?: Millis
}

/**
 * What became of each part of a call, in the order asked: a value, or the error of that part alone. `all` resolves with the values when
 * every part succeeded and rejects with the first error otherwise.
 */
export interface Results<K, V> {
  readonly entries: readonly (readonly [key: K, error: KafkaException | null, value: V | undefined])[]
  all(): Promise<Map<K, V>>
}

/** Either counts, or the replicas of each partition. */
export type NewTopic = {
  readonly topic: string
  readonly configs?: Readonly<Record<string, string>>
} & (
  | { readonly partitions: number; readonly replicationFactor: number }
  | { readonly assignment: ReadonlyMap<number, readonly number[]> }
)

export interface NewPartitions {
  readonly topic: string
  /** The number there will be. */
  readonly totalCount: number
  /** Replicas of each new partition. */
  readonly assignment?: readonly (readonly number[])[]
}

export interface TopicDescription {
  readonly topic: string
  readonly isInternal: boolean
  readonly partitions: readonly PartitionMetadata[]
}

export interface TopicListing {
  readonly topic: string
  readonly isInternal: boolean
}

export interface ClusterDescription {
  readonly clusterId: string | null
  readonly controller: Node | null
  readonly nodes: readonly Node[]
}

export type ConfigResourceType = 'topic' | 'broker'

export interface ConfigResource {
  readonly type: ConfigResourceType
  /** A topic; a broker id; empty: the default of all brokers. */
  readonly name: string
}

export type ConfigSource =
  | 'UNKNOWN'
  | 'TOPIC_CONFIG'
  | 'DYNAMIC_BROKER_CONFIG'
  | 'DYNAMIC_DEFAULT_BROKER_CONFIG'
  | 'STATIC_BROKER_CONFIG'
  | 'DEFAULT_CONFIG'

export interface ConfigEntry {
  readonly name: string
  /** Null: secret. */
  readonly value: string | null
  readonly source: ConfigSource
  readonly isDefault: boolean
  readonly isSensitive: boolean
  readonly isReadOnly: boolean
  /** In order of precedence. */
  readonly synonyms: readonly { readonly name: string; readonly value: string | null; readonly source: ConfigSource }[]
}

export type ResourceType = 'UNKNOWN' | 'ANY' | 'TOPIC' | 'GROUP' | 'CLUSTER' | 'TRANSACTIONAL_ID' | 'DELEGATION_TOKEN'
export type AclOperation =
  | 'UNKNOWN'
  | 'ANY'
  | 'ALL'
  | 'READ'
  | 'WRITE'
  | 'CREATE'
  | 'DELETE'
  | 'ALTER'
  | 'DESCRIBE'
  | 'CLUSTER_ACTION'
  | 'DESCRIBE_CONFIGS'
  | 'ALTER_CONFIGS'
  | 'IDEMPOTENT_WRITE'
export type AclPermissionType = 'UNKNOWN' | 'ANY' | 'DENY' | 'ALLOW'

export interface AclBinding {
  readonly resourceType: ResourceType
  readonly resourceName: string
  /** `User:alice` */
  readonly principal: string
  readonly host: string
  readonly operation: AclOperation
  readonly permissionType: AclPermissionType
}

/** Null matches everything. */
export interface AclBindingFilter {
  readonly resourceType: ResourceType
  readonly resourceName: string | null
  readonly principal: string | null
  readonly host: string | null
  readonly operation: AclOperation
  readonly permissionType: AclPermissionType
}

export interface ReplicaInfo extends TopicPartition {
  readonly size: number
  /** Behind the high watermark (or, of a future replica, behind the current one). */
  readonly offsetLag: number
  readonly isFuture: boolean
}

export interface LogDirInfo {
  readonly path: string
  readonly error: KafkaException | null
  readonly replicas: readonly ReplicaInfo[]
}

export interface TopicPartitionReplica extends TopicPartition {
  readonly brokerId: number
}

export interface ReplicaLogDirInfo {
  readonly currentLogDir: string | null
  readonly currentOffsetLag: number
  /** Where it is being moved to. */
  readonly futureLogDir: string | null
  readonly futureOffsetLag: number
}

export interface Principal {
  readonly principalType: string
  readonly name: string
}

export interface DelegationToken {
  readonly tokenId: string
  readonly owner: Principal
  readonly renewers: readonly Principal[]
  readonly issueTimestamp: EpochMillis
  readonly expiryTimestamp: EpochMillis
  readonly maxTimestamp: EpochMillis
  readonly hmac: Buffer
}

export interface GroupListing {
  readonly groupId: string
  readonly protocolType: string
}

export interface GroupMember {
  readonly memberId: string
  readonly clientId: string
  readonly host: string
  /** Of protocol type `consumer`, decoded. */
  readonly assignment: readonly TopicPartition[]
}

export interface GroupDescription {
  readonly groupId: string
  readonly state: string
  readonly protocolType: string
  /** The assignor. */
  readonly protocol: string
  readonly coordinator: Node
  readonly members: readonly GroupMember[]
}

export interface Admin {
  readonly clientId: string

  createTopics(
    topics: readonly NewTopic[],
    options?: AdminCallOptions & { readonly validateOnly?: boolean },
  ): Promise<Results<string, void>>
  deleteTopics(topics: readonly string[], options?: AdminCallOptions): Promise<Results<string, void>>
  createPartitions(
    topics: readonly NewPartitions[],
    options?: AdminCallOptions & { readonly validateOnly?: boolean },
  ): Promise<Results<string, void>>
  listTopics(options?: AdminCallOptions & { readonly listInternal?: boolean }): Promise<readonly TopicListing[]>
  describeTopics(topics: readonly string[], options?: AdminCallOptions): Promise<Results<string, TopicDescription>>
  describeCluster(options?: AdminCallOptions): Promise<ClusterDescription>

  describeConfigs(
    resources: readonly ConfigResource[],
    options?: AdminCallOptions & { readonly includeSynonyms?: boolean },
  ): Promise<Results<ConfigResource, readonly ConfigEntry[]>>
  /** Replaces all of a resource's settings. Null as a value: back to the default. */
  alterConfigs(
    configs: ReadonlyMap<ConfigResource, Readonly<Record<string, string | null>>>,
    options?: AdminCallOptions & { readonly validateOnly?: boolean },
  ): Promise<Results<ConfigResource, void>>

  describeAcls(filter: AclBindingFilter, options?: AdminCallOptions): Promise<readonly AclBinding[]>
  createAcls(acls: readonly AclBinding[], options?: AdminCallOptions): Promise<Results<AclBinding, void>>
  deleteAcls(
    filters: readonly AclBindingFilter[],
    options?: AdminCallOptions,
  ): Promise<Results<AclBindingFilter, readonly AclBinding[]>>

  /** By broker id. */
  describeLogDirs(brokers: readonly number[], options?: AdminCallOptions): Promise<Results<number, readonly LogDirInfo[]>>
  describeReplicaLogDirs(
    replicas: readonly TopicPartitionReplica[],
    options?: AdminCallOptions,
  ): Promise<Results<TopicPartitionReplica, ReplicaLogDirInfo>>
  alterReplicaLogDirs(
    replicas: ReadonlyMap<TopicPartitionReplica, string>,
    options?: AdminCallOptions,
  ): Promise<Results<TopicPartitionReplica, void>>

  /** Deletes records below an offset (-1: all); the new log start offsets. */
  deleteRecords(
    before: readonly (TopicPartition & { readonly offset: number })[],
    options?: AdminCallOptions,
  ): Promise<Results<TopicPartition, { readonly lowWatermark: number }>>

  createDelegationToken(
    options?: AdminCallOptions & { readonly renewers?: readonly Principal[]; readonly maxLifeTimeMs?: Millis },
  ): Promise<DelegationToken>
  /** The new expiry time. */
  renewDelegationToken(hmac: Buffer, options?: AdminCallOptions & { readonly renewTimePeriodMs?: Millis }): Promise<EpochMillis>
  expireDelegationToken(hmac: Buffer, options?: AdminCallOptions & { readonly expiryTimePeriodMs?: Millis }): Promise<EpochMillis>
  describeDelegationToken(
    options?: AdminCallOptions & { readonly owners?: readonly Principal[] },
  ): Promise<readonly DelegationToken[]>

  // ---- groups (the Scala AdminClient of 1.1; later releases of the Java one)
  listGroups(options?: AdminCallOptions): Promise<readonly GroupListing[]>
  describeGroups(groupIds: readonly string[], options?: AdminCallOptions): Promise<Results<string, GroupDescription>>
  deleteGroups(groupIds: readonly string[], options?: AdminCallOptions): Promise<Results<string, void>>
  /** By `partitionKey`. Without partitions: all that the group has. */
  listGroupOffsets(
    groupId: string,
    options?: AdminCallOptions & { readonly partitions?: readonly TopicPartition[] },
  ): Promise<Map<string, OffsetAndMetadata>>
  /** Only while the group has no members. */
  alterGroupOffsets(
    groupId: string,
    offsets: readonly (TopicPartition & OffsetAndMetadata)[],
    options?: AdminCallOptions,
  ): Promise<void>
  /** `latest`, `earliest` or a time; by `partitionKey`. */
  listOffsets(
    partitions: readonly (TopicPartition & { readonly at: 'latest' | 'earliest' | EpochMillis })[],
    options?: AdminCallOptions,
  ): Promise<Results<TopicPartition, { readonly offset: number; readonly timestamp: EpochMillis }>>

  metrics(): MetricValue[]
  /** Waits for calls under way for at most `timeoutMs` (default: no limit). Idempotent. */
  close(timeoutMs?: Millis): Promise<void>
}
