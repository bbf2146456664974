import { DecodeError, int64Add } from '../../base/bytes.ts'
import {
  groupKey,
  groupValueV0,
  groupValueV1,
  offsetKey,
  offsetValueV0,
  offsetValueV1,
} from '../../protocol/embedded/group-protocols.ts'
import type { CommittedOffset } from './types.ts'

/** Keys and values of `__consumer_offsets`, exactly as 1.1 writes and reads them; each starts with an int16 version. */

const OFFSET_KEY_VERSION = 1
const GROUP_KEY_VERSION = 2
const OFFSET_VALUE_VERSION = 1

/** `expire_timestamp` of a record that leaves it to the broker: commit time + offsets.retention.minutes. */
const NO_TIMESTAMP = -1

export type StateKey =
  | { readonly kind: 'offset'; readonly group: string; readonly topic: string; readonly partition: number }
  | { readonly kind: 'group'; readonly group: string }

/** A group as its record keeps it. */
export interface GroupRecord {
  readonly protocolType: string
  readonly generation: number
  readonly protocol: string | null
  readonly leader: string | null
  readonly members: readonly MemberRecord[]
}

export interface MemberRecord {
  readonly memberId: string
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeout: number
  readonly sessionTimeout: number
  /** Metadata of the chosen protocol. */
  readonly subscription: Buffer
  readonly assignment: Buffer
}

export function encodeOffsetKey(group: string, topic: string, partition: number): Buffer {
  return offsetKey.encode({ group, topic, partition }, OFFSET_KEY_VERSION)
}

export function encodeOffsetValue({ offset, metadata, commitTimestamp, expireTimestamp }: CommittedOffset): Buffer {
  return offsetValueV1.encode({ offset, metadata, commitTimestamp, expireTimestamp }, OFFSET_VALUE_VERSION)
}

export function encodeGroupKey(group: string): Buffer {
  return groupKey.encode({ group }, GROUP_KEY_VERSION)
}

/** Version 0 leaves out rebalance timeouts. */
export function encodeGroupValue(record: GroupRecord, version: 0 | 1): Buffer {
  return version === 0 ? groupValueV0.encode(record, 0) : groupValueV1.encode(record, 1)
}

function versionOf(bytes: Buffer): number {
  if (bytes.length < 2) throw new DecodeError(`${bytes.length} bytes are too short for a version`)
  return bytes.readInt16BE(0)
}

/** Throws `DecodeError` for what no release up to 1.1 writes. */
export function decodeKey(bytes: Buffer): StateKey {
  const version = versionOf(bytes)
  if (version === 0 || version === OFFSET_KEY_VERSION) return { kind: 'offset', ...offsetKey.decode(bytes, 2) }
  if (version === GROUP_KEY_VERSION) return { kind: 'group', ...groupKey.decode(bytes, 2) }
  throw new DecodeError(`key of version ${version}`)
}

/** `retentionMs` completes records without an expiry. Throws `DecodeError`. */
export function decodeOffsetValue(
  key: { readonly topic: string; readonly partition: number },
  bytes: Buffer,
  retentionMs: number,
): CommittedOffset {
  const { topic, partition } = key
  const version = versionOf(bytes)
  if (version === 0) {
    const { offset, metadata, timestamp } = offsetValueV0.decode(bytes, 2)
    return { topic, partition, offset, metadata, commitTimestamp: timestamp, expireTimestamp: int64Add(timestamp, retentionMs) }
  }
  if (version !== OFFSET_VALUE_VERSION) throw new DecodeError(`offset value of version ${version}`)
  const { offset, metadata, commitTimestamp, expireTimestamp } = offsetValueV1.decode(bytes, 2)
  const expiry = expireTimestamp === NO_TIMESTAMP ? int64Add(commitTimestamp, retentionMs) : expireTimestamp
  return { topic, partition, offset, metadata, commitTimestamp, expireTimestamp: expiry }
}

/** Members of version 0 get their session timeout as rebalance timeout. Throws `DecodeError`. */
export function decodeGroupValue(bytes: Buffer): GroupRecord {
  const version = versionOf(bytes)
  if (version === 1) return groupValueV1.decode(bytes, 2)
  if (version !== 0) throw new DecodeError(`group value of version ${version}`)
  const record = groupValueV0.decode(bytes, 2)
  return { ...record, members: record.members.map((member) => ({ ...member, rebalanceTimeout: member.sessionTimeout })) }
}
