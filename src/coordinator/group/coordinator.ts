import type { LeaderEpoch, Millis, PartitionId, TopicPartition } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import { coordinatorPartition } from '../../base/murmur2.ts'
import { TimerWheel } from '../../base/timer-wheel.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Rng } from '../../ports/rng.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { StateLeadership, StateTopic, TransactionalOffset, TransactionalOffsets } from '../types.ts'
import { Group } from './group.ts'
import { GroupLoader } from './group-loader.ts'
import type { Producer } from './group-log.ts'
import { GroupLog } from './group-log.ts'
import { joinError, Membership } from './membership.ts'
import type { Leadership } from './partitions.ts'
import { OwnedPartitions } from './partitions.ts'
import type {
  CommittedOffset,
  GroupConfig,
  GroupDescription,
  GroupListing,
  GroupState,
  JoinDone,
  JoinGroup,
  OffsetCommit,
  SyncDone,
  SyncGroup,
} from './types.ts'
import { NO_BYTES } from './types.ts'

export interface GroupCoordinatorOptions {
  readonly topic: StateTopic
  readonly config: GroupConfig
  readonly clock: Clock
  readonly rng: Rng
  readonly log: Logger
}

/** Largest piece of a partition that is decoded in one go, some thousand offsets: code that runs for the first time takes ten times as long. */
const MAX_LOAD_PIECE = 64 * 1024

export interface OffsetsAnswer {
  readonly error: number
  readonly offsets: readonly {
    readonly topic: string
    readonly partition: PartitionId
    readonly offset: number
    readonly metadata: string
  }[]
}

/**
 * The group coordinator (Kafka 1.1): which groups are here, who may ask what, and where their records go. The machine of a group's members
 * is `membership.ts`, its offsets are `group-offsets.ts`. Everything is synchronous but replication and loading; answers that wait come by
 * their callbacks. Requests of groups whose partition this broker does not lead get NOT_COORDINATOR.
 */
export class GroupCoordinator implements StateLeadership, TransactionalOffsets {
  readonly config: GroupConfig
  readonly #topic: StateTopic
  readonly #clock: Clock
  readonly #log: Logger
  readonly #timers: TimerWheel
  readonly #records: GroupLog
  readonly #membership: Membership
  readonly #partitions = new OwnedPartitions()
  readonly #groups = new Map<string, Group>()
  /** Groups with offsets in an open transaction of a producer. */
  readonly #groupsOfProducer = new Map<number, Set<string>>()
  #isActive = false

  constructor({ topic, config, clock, rng, log }: GroupCoordinatorOptions) {
    this.config = config
    this.#topic = topic
    this.#clock = clock
    this.#log = log
    this.#timers = new TimerWheel(clock, { background: true })
    this.#records = new GroupLog(topic, config, clock, log)
    this.#membership = new Membership({
      timers: this.#timers,
      log,
      initialRebalanceDelayMs: config.initialRebalanceDelayMs,
      newMemberSuffix: () => uuidFrom(rng.bytes(16)),
      storeGroup: (group, assignments, done) =>
        this.#records.storeGroup(this.partitionFor(group.groupId), group, assignments, done),
    })
  }

  startup(): void {
    this.#isActive = true
    this.#log.info('Startup complete.')
    this.#checkExpirationLater()
  }

  /** Requests are refused from now on; nobody who waits is answered. */
  shutdown(): void {
    this.#isActive = false
    this.#timers.close()
    this.#log.info('Shutdown complete.')
  }

  /** Partition of `__consumer_offsets` that keeps the group. */
  partitionFor(groupId: string): PartitionId {
    return coordinatorPartition(groupId, this.#topic.partitionCount)
  }

  #unavailable(groupId: string): number {
    if (!this.#isActive) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    return this.#partitions.isOwned(this.partitionFor(groupId)) ? ErrorCode.NONE : ErrorCode.NOT_COORDINATOR
  }

  #isLoading(groupId: string): boolean {
    return this.#partitions.isLoading(this.partitionFor(groupId))
  }

  /** 0 when the group is here and can be worked with. */
  #refusal(groupId: string): number {
    const error = this.#unavailable(groupId)
    if (error !== ErrorCode.NONE) return error
    return this.#isLoading(groupId) ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NONE
  }

  #addGroup(groupId: string): Group {
    const group = new Group(groupId)
    this.#groups.set(groupId, group)
    return group
  }

  // ---------------------------------------------------------------- members

  join(request: JoinGroup, done: JoinDone): void {
    const { groupId, memberId } = request
    const error = this.#refuseJoin(request)
    if (error !== ErrorCode.NONE) {
      done(joinError(memberId, error))
      return
    }
    this.#membership.join(this.#groups.get(groupId) ?? this.#addGroup(groupId), request, done)
  }

  #refuseJoin({ groupId, memberId, sessionTimeoutMs }: JoinGroup): number {
    if (!this.#isActive) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    if (groupId === '') return ErrorCode.INVALID_GROUP_ID
    const error = this.#refusal(groupId)
    if (error !== ErrorCode.NONE) return error
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.config
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) return ErrorCode.INVALID_SESSION_TIMEOUT
    return memberId !== '' && !this.#groups.has(groupId) ? ErrorCode.UNKNOWN_MEMBER_ID : ErrorCode.NONE
  }

  /** While loading the group is simply unknown. */
  sync(request: SyncGroup, done: SyncDone): void {
    const error = this.#unavailable(request.groupId)
    const group = error === ErrorCode.NONE ? this.#groups.get(request.groupId) : undefined
    if (group === undefined) done(error === ErrorCode.NONE ? ErrorCode.UNKNOWN_MEMBER_ID : error, NO_BYTES)
    else this.#membership.sync(group, request, done)
  }

  /** While loading every heartbeat is fine. */
  heartbeat(groupId: string, memberId: string, generationId: number): number {
    const error = this.#unavailable(groupId)
    if (error !== ErrorCode.NONE) return error
    if (this.#isLoading(groupId)) return ErrorCode.NONE
    const group = this.#groups.get(groupId)
    return group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : this.#membership.heartbeat(group, memberId, generationId)
  }

  leave(groupId: string, memberId: string): number {
    const error = this.#refusal(groupId)
    if (error !== ErrorCode.NONE) return error
    const group = this.#groups.get(groupId)
    return group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : this.#membership.leave(group, memberId)
  }

  // ---------------------------------------------------------------- offsets

  /** `done` gets an error code per offset, in the order of `offsets`. */
  commitOffsets({ groupId, generationId, memberId, offsets }: OffsetCommit, done: (errors: readonly number[]) => void): void {
    let error = this.#refusal(groupId)
    let group = this.#groups.get(groupId)
    if (error === ErrorCode.NONE && group === undefined) {
      // The group does not use Kafka for its membership.
      if (generationId < 0) group = this.#addGroup(groupId)
      else error = ErrorCode.ILLEGAL_GENERATION
    }
    if (error === ErrorCode.NONE && group !== undefined) error = this.#membership.admitCommit(group, memberId, generationId)
    if (error !== ErrorCode.NONE || group === undefined) done(offsets.map(() => error))
    else this.#storeOffsets(group, offsets, undefined, done)
  }

  /** Membership and generation do not matter here: the transaction fences. */
  commitTransactionalOffsets(
    groupId: string,
    producerId: number,
    producerEpoch: number,
    offsets: readonly TransactionalOffset[],
    done: (errors: readonly number[]) => void,
  ): void {
    const error = this.#refusal(groupId)
    if (error !== ErrorCode.NONE) {
      done(offsets.map(() => error))
      return
    }
    const group = this.#groups.get(groupId) ?? this.#addGroup(groupId)
    if (group.state === 'Dead') {
      done(offsets.map(() => ErrorCode.UNKNOWN_MEMBER_ID))
      return
    }
    const now = this.#clock.wall()
    const expireTimestamp = now + this.config.offsetsRetentionMs
    const committed = offsets.map(({ topic, partition, offset, metadata }) => {
      return { topic, partition, offset, metadata: metadata ?? '', commitTimestamp: now, expireTimestamp }
    })
    this.#storeOffsets(group, committed, { producerId, producerEpoch }, done)
  }

  #storeOffsets(
    group: Group,
    offsets: readonly CommittedOffset[],
    producer: Producer | undefined,
    done: (errors: readonly number[]) => void,
  ): void {
    const isStored = ({ metadata }: CommittedOffset): boolean => metadata.length <= this.config.offsetMetadataMaxLength
    const stored = offsets.filter(isStored)
    const answer = (error: number): void =>
      done(offsets.map((offset) => (isStored(offset) ? error : ErrorCode.OFFSET_METADATA_TOO_LARGE)))
    if (stored.length === 0) {
      answer(ErrorCode.NONE)
      return
    }
    if (producer === undefined) group.offsets.prepare(stored)
    else group.offsets.prepareTransactional()
    this.#records.storeOffsets(this.partitionFor(group.groupId), group.groupId, stored, producer, (error, appendedAt) => {
      if (producer !== undefined) {
        // What is in the log is decided by the transaction's marker, also when nobody knows yet whether it is replicated.
        group.offsets.endTransactional(producer.producerId, stored, appendedAt)
        if (appendedAt >= 0 && group.state !== 'Dead') this.#noteProducer(producer.producerId, group.groupId)
      } else if (error === ErrorCode.NONE) group.offsets.appended(stored, appendedAt)
      else group.offsets.failed(stored)
      answer(error)
    })
  }

  #noteProducer(producerId: number, groupId: string): void {
    const groups = this.#groupsOfProducer.get(producerId)
    if (groups === undefined) this.#groupsOfProducer.set(producerId, new Set([groupId]))
    else groups.add(groupId)
  }

  completeTransaction(producerId: number, partitions: readonly PartitionId[], isCommit: boolean): void {
    for (const partition of partitions) {
      const leadership = this.#partitions.get(partition)
      if (leadership?.isLoading === true) leadership.markers.push({ producerId, isCommit })
    }
    this.#complete(producerId, new Set(partitions), isCommit)
  }

  #complete(producerId: number, partitions: ReadonlySet<PartitionId>, isCommit: boolean): void {
    const groups = this.#groupsOfProducer.get(producerId)
    if (groups === undefined) return
    for (const groupId of [...groups]) {
      if (!partitions.has(this.partitionFor(groupId))) continue
      groups.delete(groupId)
      this.#groups.get(groupId)?.offsets.completeTransaction(producerId, isCommit)
    }
    if (groups.size === 0) this.#groupsOfProducer.delete(producerId)
  }

  /** `partitions` null: all that have an offset. Others get -1 and no metadata; offsets of open transactions are not there yet. */
  fetchOffsets(groupId: string, partitions: readonly TopicPartition[] | null): OffsetsAnswer {
    const error = this.#refusal(groupId)
    if (error !== ErrorCode.NONE) return { error, offsets: [] }
    const group = this.#groups.get(groupId)
    const offsets = group === undefined || group.state === 'Dead' ? undefined : group.offsets
    if (partitions === null) return { error, offsets: [...(offsets?.all() ?? [])] }
    return {
      error,
      offsets: partitions.map(
        ({ topic, partition }) => offsets?.get(topic, partition) ?? { topic, partition, offset: -1, metadata: '' },
      ),
    }
  }

  // ---------------------------------------------------------------- looking and deleting

  describe(groupId: string): GroupDescription {
    const error = this.#refusal(groupId)
    const unknown = { protocolType: '', protocol: '', members: [] }
    if (error !== ErrorCode.NONE) return { error, state: '', ...unknown }
    return this.#groups.get(groupId)?.describe() ?? { error, state: 'Dead', ...unknown }
  }

  /** Groups of this broker; while a partition is loaded, those known so far with COORDINATOR_LOAD_IN_PROGRESS. */
  list(): GroupListing {
    if (!this.#isActive) return { error: ErrorCode.COORDINATOR_NOT_AVAILABLE, groups: [] }
    return {
      error: this.#partitions.isAnyLoading ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NONE,
      groups: [...this.#groups.values()].map(({ groupId, protocolType }) => ({ groupId, protocolType: protocolType ?? '' })),
    }
  }

  /** KIP-229: a group without members goes with its offsets. Error code by group. */
  deleteGroups(groupIds: Iterable<string>): Map<string, number> {
    return new Map([...groupIds].map((groupId) => [groupId, this.#deleteGroup(groupId)]))
  }

  #deleteGroup(groupId: string): number {
    if (!this.#isActive) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    if (groupId === '') return ErrorCode.INVALID_GROUP_ID
    const error = this.#refusal(groupId)
    if (error !== ErrorCode.NONE) return error
    const group = this.#groups.get(groupId)
    if (group === undefined || group.state === 'Dead') return ErrorCode.GROUP_ID_NOT_FOUND
    if (group.state !== 'Empty') return ErrorCode.NON_EMPTY_GROUP
    this.#membership.unload(group)
    this.#cleanUp(group, group.offsets.removeAll())
    return ErrorCode.NONE
  }

  /** Offsets were taken out of the group: tombstones for them, and for the group itself when nothing is left of it. */
  #cleanUp(group: Group, removed: readonly CommittedOffset[]): void {
    const { groupId } = group
    if (group.state === 'Empty' && group.offsets.isEmpty) {
      this.#log.info(`Group ${groupId} transitioned to Dead in generation ${group.generationId}`)
      this.#membership.unload(group)
    }
    const isGone = group.state === 'Dead'
    if (isGone) this.#forget(group)
    // A group that never had members has no record of its own.
    this.#records.storeTombstones(this.partitionFor(groupId), groupId, removed, isGone && group.generationId > 0)
  }

  /** Returns how many offsets were taken out. */
  #cleanUpAll(take: (group: Group) => CommittedOffset[]): number {
    let count = 0
    for (const group of [...this.#groups.values()]) {
      const removed = take(group)
      count += removed.length
      if (removed.length > 0 || (group.state === 'Empty' && group.offsets.isEmpty)) this.#cleanUp(group, removed)
    }
    return count
  }

  #forget(group: Group): void {
    if (this.#groups.get(group.groupId) === group) this.#groups.delete(group.groupId)
    for (const [producerId, groups] of this.#groupsOfProducer) {
      if (groups.delete(group.groupId) && groups.size === 0) this.#groupsOfProducer.delete(producerId)
    }
  }

  /** Their topics were deleted: nobody needs these offsets any more. */
  partitionsDeleted(partitions: readonly TopicPartition[]): void {
    if (partitions.length === 0) return
    const count = this.#cleanUpAll((group) => group.offsets.remove(partitions))
    this.#log.info(`Removed ${count} offsets associated with deleted partitions: ${partitions.map(nameOf).join(', ')}.`)
  }

  #checkExpirationLater(): void {
    this.#timers.add(this.config.retentionCheckIntervalMs, () => {
      this.#removeExpired()
      this.#checkExpirationLater()
    })
  }

  #removeExpired(): void {
    const now = this.#clock.wall()
    const count = this.#cleanUpAll((group) => group.offsets.removeExpired(now))
    this.#log.info(`Removed ${count} expired offsets in ${elapsed(this.#clock.wall() - now)}.`)
  }

  // ---------------------------------------------------------------- leadership

  onElection(partition: PartitionId, leaderEpoch: LeaderEpoch): void {
    if (this.#partitions.goesOn(partition, leaderEpoch)) return
    this.#unloadGroups(partition)
    this.#log.info(`Scheduling loading of offsets and group metadata from ${this.#topic.name}-${partition}`)
    // A load ends in values; what it throws is a bug and ends the process.
    void this.#load(this.#partitions.begin(partition, leaderEpoch))
  }

  onResignation(partition: PartitionId): void {
    if (this.#partitions.get(partition) === undefined) return
    this.#partitions.end(partition)
    const count = this.#unloadGroups(partition)
    this.#log.info(`Finished unloading ${this.#topic.name}-${partition}. Removed ${count} cached groups.`)
  }

  async #load(leadership: Leadership): Promise<void> {
    const { partition } = leadership
    const started = this.#clock.now()
    const loader = new GroupLoader(this.config.offsetsRetentionMs, this.#log)
    const isStale = (): boolean => !this.#isActive || !this.#partitions.isCurrent(leadership)
    const piece = Math.min(this.config.loadBufferBytes, MAX_LOAD_PIECE)
    const outcome = await this.#topic.readAll(partition, piece, (batches) => loader.visit(batches), isStale)
    if (outcome === 'failed') this.#log.error(`Error loading offsets from ${this.#topic.name}-${partition}`)
    if (outcome !== 'done' || isStale()) return
    for (const group of loader.groups()) this.#adopt(group)
    this.#partitions.loaded(leadership)
    for (const { producerId, isCommit } of leadership.markers) this.#complete(producerId, new Set([partition]), isCommit)
    this.#log.info(
      `Finished loading offsets and group metadata from ${this.#topic.name}-${partition} in ${elapsed(this.#clock.now() - started)}.`,
    )
  }

  #adopt(group: Group): void {
    this.#groups.set(group.groupId, group)
    for (const producerId of group.offsets.producers) this.#noteProducer(producerId, group.groupId)
    this.#membership.loaded(group)
  }

  #unloadGroups(partition: PartitionId): number {
    let count = 0
    for (const group of [...this.#groups.values()]) {
      if (this.partitionFor(group.groupId) !== partition) continue
      this.#log.info(`Unloading group metadata for ${group.groupId} with generation ${group.generationId}`)
      this.#forget(group)
      this.#membership.unload(group)
      count++
    }
    return count
  }

  // ---------------------------------------------------------------- metrics

  get numGroups(): number {
    return this.#groups.size
  }

  numGroupsIn(state: GroupState): number {
    let count = 0
    for (const group of this.#groups.values()) if (group.state === state) count++
    return count
  }

  get numOffsets(): number {
    let count = 0
    for (const { offsets } of this.#groups.values()) count += offsets.size
    return count
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

function elapsed(ms: Millis): string {
  return `${Math.round(ms)} milliseconds`
}

/** Version 4 by 16 random bytes. */
function uuidFrom(random: Buffer): string {
  const bytes = Buffer.from(random)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
