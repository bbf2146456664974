import type { ChildChangeHandler, NodeChangeHandler, SessionHandler, ZkSession } from '../client/types.ts'
import type { AclEntry, AclResource, AclResourceType } from '../znodes/acl.ts'
import type { ConsumerRegistration } from '../znodes/consumers.ts'
import type { DelegationTokenInfo } from '../znodes/delegation-token.ts'
import type {
  BrokerRegistration,
  ConfigEntityType,
  ConfigProperties,
  PartitionRef,
  PartitionState,
  TopicAssignment,
} from '../znodes/types.ts'

/**
 * How a write ended. `unknown`: the connection was lost with it in flight and reading back could not decide; re-read, compare, continue.
 * `fenced`: the `/controller_epoch` check failed: somebody else is controller. `expired`: our session is gone.
 */
export type WriteOutcome = 'ok' | 'badVersion' | 'noNode' | 'nodeExists' | 'fenced' | 'expired' | 'unknown' | 'other'

/** Proof of being controller: the version of `/controller_epoch` that our election wrote. Every controller write checks it in its multi. */
export interface ControllerFence {
  readonly controllerEpoch: number
  readonly epochZkVersion: number
  /** Generation of the session that won; a write under a later one answers `expired`. */
  readonly generation: number
}

export interface PartitionStateWrite extends PartitionRef {
  readonly leader: number
  readonly leaderEpoch: number
  readonly isr: readonly number[]
  readonly controllerEpoch: number
  /** Version the znode must have. */
  readonly expectedVersion: number
}

/** `zkVersion` is that after the write when `ok`. */
export interface PartitionStateWritten extends PartitionRef {
  readonly outcome: WriteOutcome
  readonly zkVersion: number
}

export type ControllerElection =
  | { readonly outcome: 'elected'; readonly fence: ControllerFence }
  /** Another broker is controller. */
  | { readonly outcome: 'lost'; readonly controllerId: number }
  | { readonly outcome: 'expired' | 'error'; readonly message: string }

export type Notification = { readonly name: string; readonly data: Buffer | null }

export type DatedNotification = Notification & {
  /** Creation time, epoch milliseconds. */
  readonly ctime: number
}

/** `owner` is `<consumer>-<thread>`. */
export interface PartitionClaim extends PartitionRef {
  readonly owner: string
}

/**
 * Kafka's verbs on ZooKeeper. Writes that answer nothing throw `ZkError` with the outcome as its code (`fenced`, `expired`, ...); what
 * they delete may be gone already. A znode that holds garbage is logged and taken for absent or empty. Reads throw `ZkError` only for codes that the verb does not describe (session expired, no auth);
 * "is not there" is `undefined` or an absent map entry. Many-key reads are pipelined. Paths, JSON and the order of the writes
 * equal Apache 1.1.1's (golden znodes).
 */
export interface KafkaZk {
  readonly session: ZkSession

  // ---- start-up
  makePersistentPaths(): Promise<void>
  /** With an authorizer. */
  makeAclPaths(): Promise<void>
  /** With `delegation.token.master.key`. */
  makeTokenPaths(): Promise<void>
  /** Reads or creates `/cluster/id`; `generate` gives the 22-character id. */
  getOrCreateClusterId(generate: () => string): Promise<string>
  /** `/brokers/seqid` + reserved.broker.max.id */
  generateBrokerId(reservedBrokerMaxId: number): Promise<number>
  /** JSON version by inter.broker.protocol.version (4 for 1.1). */
  registerBroker(registration: BrokerRegistration): Promise<'registered' | 'exists'>
  updateBrokerRegistration(registration: BrokerRegistration): Promise<void>
  /** Claims the next 1000 producer ids; inclusive. */
  claimProducerIdBlock(brokerId: number): Promise<{ readonly start: number; readonly end: number }>

  // ---- controller election
  /** `undefined`: no controller. Arms the node watch if registered. */
  getControllerId(): Promise<number | undefined>
  /**
   * Creates `/controller`, then raises `/controller_epoch` conditionally. After `error` we may hold `/controller`: delete it
   * (1.1's forced move). `lost` with controllerId -1: the other one has gone again.
   */
  electController(brokerId: number): Promise<ControllerElection>
  getControllerEpoch(): Promise<{ readonly epoch: number; readonly zkVersion: number } | undefined>
  /** Unconditional without a fence, as 1.1 (used by "forced move"). */
  deleteController(fence?: ControllerFence): Promise<void>

  // ---- brokers
  getBrokerIds(): Promise<number[]>
  getBroker(brokerId: number): Promise<BrokerRegistration | undefined>
  getAllBrokers(): Promise<BrokerRegistration[]>

  // ---- topics and partitions
  /** All topic names; arms the child watch if registered. */
  getTopics(): Promise<string[]>
  getAssignments(topics: readonly string[]): Promise<Map<string, TopicAssignment>>
  topicExists(topic: string): Promise<boolean>
  createTopicAssignment(topic: string, assignment: TopicAssignment): Promise<WriteOutcome>
  setTopicAssignment(topic: string, assignment: TopicAssignment, fence?: ControllerFence): Promise<WriteOutcome>
  /** key: `topic-partition`; absent when the znode does not exist. */
  getPartitionStates(partitions: readonly PartitionRef[]): Promise<Map<string, PartitionState>>
  /** `partitions`, `<p>` and `state` nodes of new partitions (1.1's order: all parents, then all states). */
  createPartitionStates(
    states: readonly Omit<PartitionStateWrite, 'expectedVersion'>[],
    fence: ControllerFence,
  ): Promise<PartitionStateWritten[]>
  setPartitionStates(states: readonly PartitionStateWrite[], fence: ControllerFence): Promise<PartitionStateWritten[]>
  /** The leader's ISR write: conditional, without fence; reads back after bad version or loss (1.1 rule: same leader, epochs and ISR = success). */
  updateIsr(state: PartitionStateWrite): Promise<PartitionStateWritten>
  deleteTopicZnodes(topic: string, fence: ControllerFence): Promise<WriteOutcome>

  // ---- configuration
  /** Names are node names (sanitized; `<default>`; `<user>/clients/<client>` below users). Absent: no node. */
  getConfigs(type: ConfigEntityType, names: readonly string[]): Promise<Map<string, ConfigProperties>>
  /** `below`: of an entity's own children, e.g. `<user>/clients`. */
  getAllConfigEntities(type: ConfigEntityType, below?: string): Promise<string[]>
  /** 1.1's order: setData, and on no node create. */
  setConfig(type: ConfigEntityType, name: string, config: ConfigProperties): Promise<void>
  createConfigChangeNotification(entityPath: string): Promise<void>
  deleteTopicConfig(topic: string, fence: ControllerFence): Promise<void>

  // ---- admin nodes
  getTopicDeletions(): Promise<string[]>
  createDeleteTopic(topic: string): Promise<WriteOutcome>
  deleteTopicDeletions(topics: readonly string[], fence: ControllerFence): Promise<void>
  /** Absent: undefined. Arms the node watch if registered. */
  getPreferredReplicaElection(): Promise<PartitionRef[] | undefined>
  createPreferredReplicaElection(partitions: readonly PartitionRef[]): Promise<WriteOutcome>
  deletePreferredReplicaElection(fence: ControllerFence): Promise<void>
  getReassignments(): Promise<Map<string, readonly number[]> | undefined>
  /** The tool's: `nodeExists` when one is under way. */
  createReassignments(reassignments: ReadonlyMap<string, readonly number[]>): Promise<WriteOutcome>
  /** 1.1's order: setData, and on no node create. */
  setReassignments(reassignments: ReadonlyMap<string, readonly number[]>, fence?: ControllerFence): Promise<WriteOutcome>
  deleteReassignments(fence: ControllerFence): Promise<void>

  // ---- notifications (sequential children)
  createIsrChangeNotification(partitions: readonly PartitionRef[]): Promise<WriteOutcome>
  /** Names sorted; arms the child watch if registered. */
  getIsrChangeNotifications(): Promise<string[]>
  readIsrChangeNotifications(names: readonly string[]): Promise<PartitionRef[]>
  deleteIsrChangeNotifications(names: readonly string[], fence: ControllerFence): Promise<void>
  createLogDirEventNotification(brokerId: number): Promise<void>
  getLogDirEventNotifications(): Promise<string[]>
  readLogDirEventNotifications(names: readonly string[]): Promise<number[]>
  deleteLogDirEventNotifications(names: readonly string[], fence: ControllerFence): Promise<void>
  getConfigChangeNotifications(): Promise<string[]>
  readConfigChangeNotification(name: string): Promise<DatedNotification | undefined>
  deleteConfigChangeNotification(name: string): Promise<void>

  // ---- offsets of groups that keep them in ZooKeeper (OffsetCommit, OffsetFetch v0)
  /** key: `topic-partition`; absent when there is none. */
  getConsumerOffsets(group: string, partitions: readonly PartitionRef[]): Promise<Map<string, number>>
  /** 1.1's order: setData, and on no node create. */
  setConsumerOffset(group: string, partition: PartitionRef, offset: number): Promise<void>

  // ---- groups that coordinate through ZooKeeper (the consumer of 0.8 - 1.1)
  getConsumerGroups(): Promise<string[]>
  /** Names of the members; arms the child watch of `ids` if registered. */
  getConsumersInGroup(group: string): Promise<string[]>
  getConsumers(group: string, consumers: readonly string[]): Promise<Map<string, ConsumerRegistration>>
  /** `exists`: another session has a member of that name. */
  registerConsumer(group: string, consumer: string, registration: ConsumerRegistration): Promise<'registered' | 'exists'>
  /** Key: `topic-partition`, value: the owning thread's id; absent when nobody owns it. */
  getPartitionOwners(group: string, partitions: readonly PartitionRef[]): Promise<Map<string, string>>
  /** Creates the owner nodes, in this order; returns those claims that succeeded. The others are owned by somebody. */
  claimPartitions(group: string, claims: readonly PartitionClaim[]): Promise<PartitionClaim[]>
  /** Only in the session (`generation`) that claimed them: a later one would delete what others own now. */
  releasePartitions(group: string, partitions: readonly PartitionRef[], generation: number): Promise<void>
  /** Whether `/consumers/<group>/offsets` is there. */
  hasConsumerOffsets(group: string): Promise<boolean>
  /** `/consumers/<group>` and everything below it. */
  deleteConsumerGroup(group: string): Promise<void>

  // ---- ACLs
  getAclResourceNames(type: AclResourceType): Promise<string[]>
  /** Absent: undefined. Throws ZnodeError for garbage: a resource whose ACLs cannot be read must not be taken for open. */
  getAcls(resource: AclResource): Promise<{ readonly acls: AclEntry[]; readonly zkVersion: number } | undefined>
  /** `expectedVersion` undefined: create. `badVersion` / `nodeExists` / `noNode`: read again and decide anew. */
  setAcls(
    resource: AclResource,
    acls: readonly AclEntry[],
    expectedVersion: number | undefined,
  ): Promise<{ readonly outcome: WriteOutcome; readonly zkVersion: number }>
  deleteAcls(resource: AclResource, expectedVersion: number): Promise<WriteOutcome>
  createAclChangeNotification(resource: AclResource): Promise<void>
  /** Names sorted; arms the child watch if registered. */
  getAclChangeNotifications(): Promise<string[]>
  readAclChangeNotification(name: string): Promise<DatedNotification | undefined>
  deleteAclChangeNotification(name: string): Promise<void>

  // ---- delegation tokens
  getTokenIds(): Promise<string[]>
  getTokens(tokenIds: readonly string[]): Promise<Map<string, DelegationTokenInfo>>
  setToken(token: DelegationTokenInfo): Promise<void>
  deleteToken(tokenId: string): Promise<void>
  createTokenChangeNotification(tokenId: string): Promise<void>
  getTokenChangeNotifications(): Promise<string[]>
  readTokenChangeNotification(name: string): Promise<DatedNotification | undefined>
  deleteTokenChangeNotification(name: string): Promise<void>

  // ---- watches (paths are those of zk/znodes)
  watchNode(handler: NodeChangeHandler): void
  unwatchNode(path: string): void
  /** `exists`, which arms the watch of a registered node also when it is absent. */
  pathExists(path: string): Promise<boolean>
  watchChildren(handler: ChildChangeHandler): void
  unwatchChildren(path: string): void
  onSession(handler: SessionHandler): void
}

/** A code that a verb does not describe. `code` is ZooKeeper's name for it. */
export class ZkError extends Error {
  override readonly name = 'ZkError'
  readonly code: string
  readonly path: string
  constructor(code: string, path: string, message: string) {
    super(message)
    this.code = code
    this.path = path
  }
}
