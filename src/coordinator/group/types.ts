import type { EpochMillis, Millis, Offset, PartitionId } from '../../base/ids.ts'

/** Settings of the group coordinator; names of 1.1's broker configuration in the comments. */
export interface GroupConfig {
  /** group.min.session.timeout.ms */
  readonly minSessionTimeoutMs: Millis
  /** group.max.session.timeout.ms */
  readonly maxSessionTimeoutMs: Millis
  /** group.initial.rebalance.delay.ms */
  readonly initialRebalanceDelayMs: Millis
  /** offset.metadata.max.bytes, counted in UTF-16 units. */
  readonly offsetMetadataMaxLength: number
  /** offsets.load.buffer.size */
  readonly loadBufferBytes: number
  /** offsets.topic.compression.codec */
  readonly compressionCodec: number
  /** offsets.retention.minutes */
  readonly offsetsRetentionMs: Millis
  /** offsets.retention.check.interval.ms */
  readonly retentionCheckIntervalMs: Millis
  /** offsets.commit.timeout.ms */
  readonly commitTimeoutMs: Millis
  /** offsets.commit.required.acks */
  readonly commitRequiredAcks: number
  /** Version of a group's record: 0 when inter.broker.protocol.version is below 0.10.1-IV0. */
  readonly groupValueVersion: 0 | 1
}

/** As DescribeGroups names them. */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

export interface MemberProtocol {
  readonly name: string
  readonly metadata: Buffer
}

export interface JoinGroup {
  readonly groupId: string
  /** Empty: a new member. */
  readonly memberId: string
  readonly clientId: string
  /** As Java shows an address: `/127.0.0.1`. */
  readonly clientHost: string
  readonly rebalanceTimeoutMs: Millis
  readonly sessionTimeoutMs: Millis
  readonly protocolType: string
  /** In the member's order of preference. */
  readonly protocols: readonly MemberProtocol[]
}

export interface JoinAnswer {
  readonly error: number
  readonly generationId: number
  readonly protocol: string
  readonly leaderId: string
  readonly memberId: string
  /** Only for the leader. */
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[]
}

export interface SyncGroup {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly assignments: ReadonlyMap<string, Buffer>
}

/** `done` of a SyncGroup. */
export type SyncDone = (error: number, assignment: Buffer) => void
export type JoinDone = (answer: JoinAnswer) => void

/** A committed offset, as its record says it. */
export interface CommittedOffset {
  readonly topic: string
  readonly partition: PartitionId
  readonly offset: Offset
  readonly metadata: string
  readonly commitTimestamp: EpochMillis
  readonly expireTimestamp: EpochMillis
}

export interface OffsetCommit {
  readonly groupId: string
  /** -1 and an empty member id: a simple consumer. */
  readonly generationId: number
  readonly memberId: string
  readonly offsets: readonly CommittedOffset[]
}

export interface GroupDescription {
  readonly error: number
  readonly state: GroupState | ''
  readonly protocolType: string
  readonly protocol: string
  readonly members: readonly {
    readonly memberId: string
    readonly clientId: string
    readonly clientHost: string
    readonly metadata: Buffer
    readonly assignment: Buffer
  }[]
}

export interface GroupListing {
  readonly error: number
  readonly groups: readonly { readonly groupId: string; readonly protocolType: string }[]
}

export const NO_BYTES: Buffer = Buffer.alloc(0)
