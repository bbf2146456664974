import { DecodeError } from '../../base/bytes.ts'
import type { Logger } from '../../base/logger.ts'
import {
  controlTypeOf,
  isControlBatch,
  isTransactional,
  magicOf,
  nextBatch,
  producerId,
  RecordCursor,
  RecordsError,
} from '../../protocol/records/index.ts'
import type { GroupRecord, StateKey } from './formats.ts'
import { decodeGroupValue, decodeKey, decodeOffsetValue } from './formats.ts'
import { Group } from './group.ts'
import type { AppendedOffset } from './group-offsets.ts'
import { offsetKeyOf } from './group-offsets.ts'

type OffsetsOfGroup = Map<string, AppendedOffset>

/**
 * Groups of one partition of `__consumer_offsets` from its records, in order: the last value of a key counts, offsets of a transaction count
 * from its commit marker on. A record that cannot be read is logged and left out: the other groups must not suffer for it.
 */
export class GroupLoader {
  readonly #retentionMs: number
  readonly #log: Logger
  readonly #records = new Map<string, GroupRecord>()
  readonly #offsets = new Map<string, OffsetsOfGroup>()
  /** Of open transactions, by producer and group. */
  readonly #transactional = new Map<number, Map<string, OffsetsOfGroup>>()
  readonly #cursor = new RecordCursor()

  constructor(retentionMs: number, log: Logger) {
    this.#retentionMs = retentionMs
    this.#log = log
  }

  /** Whole batches, or messages of older formats. */
  visit(batches: Buffer): void {
    for (let at = 0, size = 0; (size = nextBatch(batches, at, batches.length)) > 0; at += size) {
      try {
        if (magicOf(batches, at) === 2 && isControlBatch(batches, at)) this.#visitMarker(batches, at)
        else this.#visitRecords(batches, at)
      } catch (error) {
        if (!(error instanceof RecordsError)) throw error
        this.#log.error(`A batch of ${size} bytes cannot be read and is left out: ${error.message}`)
      }
    }
  }

  #visitMarker(batches: Buffer, at: number): void {
    const cursor = this.#cursor.open(batches, at)
    if (!cursor.next()) return
    const producer = producerId(batches, at)
    const pending = this.#transactional.get(producer)
    this.#transactional.delete(producer)
    if (pending === undefined || controlTypeOf(cursor.key()) !== 'commit') return
    for (const [group, offsets] of pending) {
      const committed = this.#offsetsOf(this.#offsets, group)
      for (const [key, offset] of offsets) {
        const present = committed.get(key)
        if (present === undefined || present.appendedAt < offset.appendedAt) committed.set(key, offset)
      }
    }
  }

  #visitRecords(batches: Buffer, at: number): void {
    const cursor = this.#cursor.open(batches, at)
    const producer = magicOf(batches, at) === 2 && isTransactional(batches, at) ? producerId(batches, at) : undefined
    let appendedAt = -1
    while (cursor.next()) {
      if (appendedAt < 0) appendedAt = cursor.offset
      try {
        this.#visitRecord(cursor, appendedAt, producer)
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
        this.#log.error(`The record at offset ${cursor.offset} cannot be read and is left out: ${error.message}`)
      }
    }
  }

  #visitRecord(cursor: RecordCursor, appendedAt: number, producer: number | undefined): void {
    const keyBytes = cursor.key()
    if (keyBytes === null) throw new DecodeError('no key')
    const key = decodeKey(keyBytes)
    const value = cursor.value()
    if (key.kind === 'offset') this.#visitOffset(key, value, appendedAt, producer)
    else if (value === null) this.#records.delete(key.group)
    else this.#records.set(key.group, decodeGroupValue(value))
  }

  #visitOffset(key: StateKey & { kind: 'offset' }, value: Buffer | null, appendedAt: number, producer: number | undefined): void {
    const offsets = this.#offsetsOf(producer === undefined ? this.#offsets : this.#pendingOf(producer), key.group)
    const id = offsetKeyOf(key.topic, key.partition)
    if (value === null) offsets.delete(id)
    else offsets.set(id, { committed: decodeOffsetValue(key, value, this.#retentionMs), appendedAt })
  }

  #pendingOf(producer: number): Map<string, OffsetsOfGroup> {
    let pending = this.#transactional.get(producer)
    if (pending === undefined) this.#transactional.set(producer, (pending = new Map()))
    return pending
  }

  #offsetsOf(groups: Map<string, OffsetsOfGroup>, group: string): OffsetsOfGroup {
    let offsets = groups.get(group)
    if (offsets === undefined) groups.set(group, (offsets = new Map()))
    return offsets
  }

  /** All groups that were found: those with a record, and those that have only offsets. To be asked once. */
  groups(): Group[] {
    const groups = new Map<string, Group>()
    for (const [groupId, record] of this.#records) groups.set(groupId, Group.fromRecord(groupId, record))
    const groupOf = (groupId: string): Group => {
      let group = groups.get(groupId)
      if (group === undefined) groups.set(groupId, (group = new Group(groupId)))
      return group
    }
    for (const [groupId, offsets] of this.#offsets) if (offsets.size > 0) groupOf(groupId).offsets.load(offsets)
    for (const [producer, byGroup] of this.#transactional) {
      for (const [groupId, offsets] of byGroup) {
        for (const offset of offsets.values()) groupOf(groupId).offsets.loadTransactional(producer, offset)
      }
    }
    return [...groups.values()]
  }
}
