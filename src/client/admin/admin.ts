import type { EpochMillis, Millis, TopicPartition } from '../../base/ids.ts'
import { ClusterClient } from '../cluster-client.ts'
import { type AdminOptions, adminConfig } from '../config/index.ts'
import type { Environment } from '../environment.ts'
import type { MetricValue, OffsetAndMetadata } from '../producer/types.ts'
import { alterConfigs, describeConfigs } from './configs.ts'
import { AdminContext } from './context.ts'
import { alterGroupOffsets, deleteGroups, describeGroups, listGroupOffsets, listGroups } from './groups.ts'
import { alterReplicaLogDirs, describeLogDirs, describeReplicaLogDirs } from './log-dirs.ts'
import {
  createAcls,
  createDelegationToken,
  deleteAcls,
  describeAcls,
  describeDelegationToken,
  expireDelegationToken,
  renewDelegationToken,
} from './security.ts'
import {
  createPartitions,
  createTopics,
  deleteRecords,
  deleteTopics,
  describeCluster,
  describeTopics,
  listOffsets,
  listTopics,
} from './topics.ts'
import type {
  AclBinding,
  AclBindingFilter,
  Admin,
  AdminCallOptions,
  ConfigResource,
  NewPartitions,
  NewTopic,
  TopicPartitionReplica,
} from './types.ts'

/**
 * An admin client with the keys of 1.1's AdminClientConfig. Throws `ConfigException`. Connects with the first call.
 * @example
 * const admin = createAdmin({ 'bootstrap.servers': ['localhost:9092'] })
 * await (await admin.createTopics([{ topic: 'greetings', partitions: 3, replicationFactor: 1 }])).all()
 * await admin.close()
 */
export function createAdmin(options: AdminOptions, environment: Partial<Environment> = {}): Admin {
  const config = adminConfig(options)
  const cluster = new ClusterClient({ config, role: 'adminclient', allowAutoTopicCreation: false, environment })
  return new KafkaAdmin(new AdminContext(cluster, config))
}

class KafkaAdmin implements Admin {
  readonly #context: AdminContext
  #closing: Promise<void> | undefined

  constructor(context: AdminContext) {
    this.#context = context
  }

  get clientId(): string {
    return this.#context.cluster.clientId
  }

  createTopics(topics: readonly NewTopic[], options?: AdminCallOptions & { readonly validateOnly?: boolean }) {
    return createTopics(this.#context, topics, options)
  }
  deleteTopics(topics: readonly string[], options?: AdminCallOptions) {
    return deleteTopics(this.#context, topics, options)
  }
  createPartitions(topics: readonly NewPartitions[], options?: AdminCallOptions & { readonly validateOnly?: boolean }) {
    return createPartitions(this.#context, topics, options)
  }
  listTopics(options?: AdminCallOptions & { readonly listInternal?: boolean }) {
    return listTopics(this.#context, options)
  }
  describeTopics(topics: readonly string[], options?: AdminCallOptions) {
    return describeTopics(this.#context, topics, options)
  }
  describeCluster(options?: AdminCallOptions) {
    return describeCluster(this.#context, options)
  }

  describeConfigs(resources: readonly ConfigResource[], options?: AdminCallOptions & { readonly includeSynonyms?: boolean }) {
    return describeConfigs(this.#context, resources, options)
  }
  alterConfigs(
    configs: ReadonlyMap<ConfigResource, Readonly<Record<string, string | null>>>,
    options?: AdminCallOptions & { readonly validateOnly?: boolean },
  ) {
    return alterConfigs(this.#context, configs, options)
  }

  describeAcls(filter: AclBindingFilter, options?: AdminCallOptions) {
    return describeAcls(this.#context, filter, options)
  }
  createAcls(acls: readonly AclBinding[], options?: AdminCallOptions) {
    return createAcls(this.#context, acls, options)
  }
  deleteAcls(filters: readonly AclBindingFilter[], options?: AdminCallOptions) {
    return deleteAcls(this.#context, filters, options)
  }

  describeLogDirs(brokers: readonly number[], options?: AdminCallOptions) {
    return describeLogDirs(this.#context, brokers, options)
  }
  describeReplicaLogDirs(replicas: readonly TopicPartitionReplica[], options?: AdminCallOptions) {
    return describeReplicaLogDirs(this.#context, replicas, options)
  }
  alterReplicaLogDirs(replicas: ReadonlyMap<TopicPartitionReplica, string>, options?: AdminCallOptions) {
    return alterReplicaLogDirs(this.#context, replicas, options)
  }

  deleteRecords(before: readonly (TopicPartition & { readonly offset: number })[], options?: AdminCallOptions) {
    return deleteRecords(this.#context, before, options)
  }

  createDelegationToken(options?: Parameters<Admin['createDelegationToken']>[0]) {
    return createDelegationToken(this.#context, options)
  }
  renewDelegationToken(hmac: Buffer, options?: AdminCallOptions & { readonly renewTimePeriodMs?: Millis }) {
    return renewDelegationToken(this.#context, hmac, options)
  }
  expireDelegationToken(hmac: Buffer, options?: AdminCallOptions & { readonly expiryTimePeriodMs?: Millis }) {
    return expireDelegationToken(this.#context, hmac, options)
  }
  describeDelegationToken(options?: Parameters<Admin['describeDelegationToken']>[0]) {
    return describeDelegationToken(this.#context, options)
  }

  listGroups(options?: AdminCallOptions) {
    return listGroups(this.#context, options)
  }
  describeGroups(groupIds: readonly string[], options?: AdminCallOptions) {
    return describeGroups(this.#context, groupIds, options)
  }
  deleteGroups(groupIds: readonly string[], options?: AdminCallOptions) {
    return deleteGroups(this.#context, groupIds, options)
  }
  listGroupOffsets(groupId: string, options?: AdminCallOptions & { readonly partitions?: readonly TopicPartition[] }) {
    return listGroupOffsets(this.#context, groupId, options)
  }
  alterGroupOffsets(groupId: string, offsets: readonly (TopicPartition & OffsetAndMetadata)[], options?: AdminCallOptions) {
    return alterGroupOffsets(this.#context, groupId, offsets, options)
  }
  listOffsets(
    partitions: readonly (TopicPartition & { readonly at: 'latest' | 'earliest' | EpochMillis })[],
    options?: AdminCallOptions,
  ) {
    return listOffsets(this.#context, partitions, options)
  }

  metrics(): MetricValue[] {
    const { network } = this.#context.cluster
    const tags = { 'client-id': this.clientId }
    const value = network.readyNodes().length
    return [{ name: 'connection-count', group: 'admin-client-metrics', tags, value }]
  }

  close(timeoutMs?: Millis): Promise<void> {
    this.#closing ??= this.#context.close(timeoutMs)
    return this.#closing
  }
}
