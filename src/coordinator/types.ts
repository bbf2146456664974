import type { LeaderEpoch, Millis, Offset, PartitionId, TopicPartition } from '../base/ids.ts'

/**
 * The ports that both coordinators stand on. A coordinator's state is a compacted topic: it appends to the partitions of that topic which
 * this broker leads, and reads a partition from its start when the broker becomes its leader. `src/server` wires them to the replica manager.
 */

/**
 * Called once with 0 or the error of the append, and the offset of the first record; -1 when nothing was appended. With an offset and an
 * error (REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND) the records are in the log, and nobody knows yet whether they stay.
 */
export type AppendDone = (error: number, baseOffset: Offset) => void

export interface StateTopic {
  readonly name: string
  /** As it was when the broker started, else what the configuration would make: which partition a key belongs to hangs on it. */
  readonly partitionCount: number
  /** Magic of the topic's message format here; undefined: this broker has no such partition. */
  magicOf(partition: PartitionId): number | undefined
  /** Appends as leader, not as a client's write; `done` at once (acks 0, 1) or when it is replicated (-1), late by `timeoutMs` at most. */
  append(partition: PartitionId, records: Buffer, acks: number, timeoutMs: Millis, done: AppendDone): void
  /**
   * Visits all batches from the log start to the log end, in pieces of about `chunkBytes`; a piece holds whole batches and lives only
   * during the call. Afterwards waits until all of it is replicated: what a leader knows and its followers do not could still be lost.
   * `stale` is asked between pieces; true ends it with 'stale', as does the loss of leadership. 'failed': the disk.
   */
  readAll(
    partition: PartitionId,
    chunkBytes: number,
    visit: (batches: Buffer) => void,
    stale: () => boolean,
  ): Promise<'done' | 'stale' | 'failed'>
}

/** Leadership of a state topic's partition moved; `leaderEpoch` is the epoch of the coordinator. */
export interface StateLeadership {
  onElection(partition: PartitionId, leaderEpoch: LeaderEpoch): void
  onResignation(partition: PartitionId): void
}

export interface TransactionalOffset extends TopicPartition {
  readonly offset: Offset
  /** Null as clients may send it. */
  readonly metadata: string | null
}

/** What transactions need of the group coordinator (TxnOffsetCommit, WriteTxnMarkers, AddOffsetsToTxn). */
export interface TransactionalOffsets {
  /** Partition of `__consumer_offsets` that keeps the group. */
  partitionFor(groupId: string): PartitionId
  /**
   * Appends offsets to the group's partition as part of the producer's transaction: pending until its marker. `done` gets an error code per
   * partition, in the order of `offsets`.
   */
  commitTransactionalOffsets(
    groupId: string,
    producerId: number,
    producerEpoch: number,
    offsets: readonly TransactionalOffset[],
    done: (errors: readonly number[]) => void,
  ): void
  /** Markers of the producer were appended to these partitions of `__consumer_offsets`: its pending offsets there count, or are dropped. */
  completeTransaction(producerId: number, partitions: readonly PartitionId[], isCommit: boolean): void
}
