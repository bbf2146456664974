import { assert } from '../../base/assert.ts'
import type { PartitionId } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock } from '../../ports/clock.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { Magic } from '../../protocol/records/index.ts'
import { BatchBuilder } from '../../protocol/records/index.ts'
import { sharedCoordinatorError } from '../append-errors.ts'
import type { StateTopic } from '../types.ts'
import { encodeGroupKey, encodeGroupValue, encodeOffsetKey, encodeOffsetValue } from './formats.ts'
import type { Group } from './group.ts'
import type { CommittedOffset, GroupConfig } from './types.ts'

/** Whose transaction offsets belong to. */
export interface Producer {
  readonly producerId: number
  readonly producerEpoch: number
}

/** 1.1 writes commits, unlike other records of this topic, with sequences from 0. */
const COMMIT_SEQUENCE = 0

/** The record does not fit into a batch. */
function isTooLarge(appendError: number): boolean {
  return (
    appendError === ErrorCode.MESSAGE_TOO_LARGE ||
    appendError === ErrorCode.RECORD_LIST_TOO_LARGE ||
    appendError === ErrorCode.INVALID_FETCH_SIZE
  )
}

/** What members see when the assignment could not be written. */
export function syncErrorOf(appendError: number): number {
  if (appendError === ErrorCode.REQUEST_TIMED_OUT) return ErrorCode.REBALANCE_IN_PROGRESS
  if (isTooLarge(appendError)) return ErrorCode.UNKNOWN_SERVER_ERROR
  return sharedCoordinatorError(appendError) ?? appendError
}

/** What a consumer sees when its offsets could not be written. */
export function commitErrorOf(appendError: number): number {
  if (isTooLarge(appendError)) return ErrorCode.INVALID_COMMIT_OFFSET_SIZE
  return sharedCoordinatorError(appendError) ?? appendError
}

/** Writes the records of groups and offsets; answers are already what clients are told. */
export class GroupLog {
  readonly #topic: StateTopic
  readonly #config: GroupConfig
  readonly #clock: Clock
  readonly #log: Logger

  constructor(topic: StateTopic, config: GroupConfig, clock: Clock, log: Logger) {
    this.#topic = topic
    this.#config = config
    this.#clock = clock
    this.#log = log
  }

  /** One batch: the group of this generation with what its members are assigned. */
  storeGroup(
    partition: PartitionId,
    group: Group,
    assignments: ReadonlyMap<string, Buffer>,
    done: (error: number) => void,
  ): void {
    const magic = this.#topic.magicOf(partition)
    if (magic === undefined) {
      done(ErrorCode.NOT_COORDINATOR)
      return
    }
    const value = encodeGroupValue(group.toRecord(assignments), this.#config.groupValueVersion)
    const records = this.#builder(magic).append(this.#clock.wall(), encodeGroupKey(group.groupId), value).build()
    this.#append(partition, records, (error) => done(syncErrorOf(error)))
  }

  /** One batch for all, so that they are committed together; `appendedAt` -1 when they are not in the log. */
  storeOffsets(
    partition: PartitionId,
    groupId: string,
    offsets: readonly CommittedOffset[],
    producer: Producer | undefined,
    done: (error: number, appendedAt: number) => void,
  ): void {
    assert(offsets.length > 0, `a commit of group ${groupId} without offsets`)
    const magic = this.#topic.magicOf(partition)
    const refusal = magic === undefined ? ErrorCode.NOT_COORDINATOR : refuseProducer(magic, producer)
    if (magic === undefined || refusal !== ErrorCode.NONE) {
      done(refusal, -1)
      return
    }
    const builder = this.#builder(magic, producer ?? {}, offsets.length * 96)
    const now = this.#clock.wall()
    for (const offset of offsets) {
      builder.append(now, encodeOffsetKey(groupId, offset.topic, offset.partition), encodeOffsetValue(offset))
    }
    this.#append(partition, builder.build(), (error, baseOffset) => done(commitErrorOf(error), baseOffset))
  }

  /** Not waited for: what is lost of it is removed again by the next check. */
  storeTombstones(partition: PartitionId, groupId: string, offsets: readonly CommittedOffset[], withGroup: boolean): void {
    const magic = this.#topic.magicOf(partition)
    if (magic === undefined || (offsets.length === 0 && !withGroup)) return
    const builder = new BatchBuilder({ magic: magic as Magic, codec: this.#config.compressionCodec })
    const now = this.#clock.wall()
    for (const { topic, partition: of } of offsets) builder.append(now, encodeOffsetKey(groupId, topic, of), null)
    if (withGroup) builder.append(now, encodeGroupKey(groupId), null)
    this.#topic.append(partition, builder.build(), 0, 0, (error) => {
      if (error === ErrorCode.NONE) return
      this.#log.error(
        `Failed to append ${builder.count} tombstones to ${this.#topic.name}-${partition} for group ${groupId}: error ${error}`,
      )
    })
  }

  #builder(magic: number, commit?: Partial<Producer>, sizeHint = 0): BatchBuilder {
    const { producerId, producerEpoch } = commit ?? {}
    return new BatchBuilder({
      magic: magic as Magic,
      codec: this.#config.compressionCodec,
      sizeHint,
      ...(commit !== undefined && { baseSequence: COMMIT_SEQUENCE }),
      ...(producerId !== undefined && producerEpoch !== undefined && { producerId, producerEpoch, transactional: true }),
    })
  }

  #append(partition: PartitionId, records: Buffer, done: (error: number, baseOffset: number) => void): void {
    const { commitRequiredAcks, commitTimeoutMs } = this.#config
    this.#topic.append(partition, records, commitRequiredAcks, commitTimeoutMs, done)
  }
}

/** A transaction needs format 2, and a producer that may have one; 1.1 fails while it builds the batch. */
function refuseProducer(magic: number, producer: Producer | undefined): number {
  if (producer === undefined) return ErrorCode.NONE
  if (magic < 2) return ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT
  return producer.producerEpoch < 0 ? ErrorCode.UNKNOWN_SERVER_ERROR : ErrorCode.NONE
}
