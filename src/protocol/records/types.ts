import type { EpochMillis, LeaderEpoch, Millis, Offset } from '../../base/ids.ts'
import type { Magic, TimestampType } from './batch.ts'

/** Compression codecs by id, as attributes carry them. */
export const codecNames = ['none', 'gzip', 'snappy', 'lz4'] as const
export type CodecName = (typeof codecNames)[number]

/** The topic's rules and the moment of an append. */
export interface AppendRules {
  /** Offset of the first record, the log end. */
  readonly firstOffset: Offset
  /** Stamped into format 2 batches. */
  readonly leaderEpoch: LeaderEpoch
  /** Broker time: LogAppendTime, and the base of `timestampDifferenceMaxMs`. */
  readonly now: EpochMillis
  /** `compression.type` of the topic. */
  readonly compressionType: 'producer' | 'uncompressed' | 'gzip' | 'snappy' | 'lz4'
  /** `message.format.version` of the topic, as a magic. */
  readonly topicMagic: Magic
  /** `message.timestamp.type`. */
  readonly timestampType: TimestampType
  /** `message.timestamp.difference.max.ms`; Infinity or 2^63 for no limit. */
  readonly timestampDifferenceMaxMs: Millis
  /** `cleanup.policy` contains compact: every record needs a key. */
  readonly compacted: boolean
  /** From a Produce request; false for coordinators and markers. */
  readonly isFromClient: boolean
  /** `max.message.bytes`, for each entry with its 12 bytes in front. */
  readonly maxMessageBytes: number
}

/** What became of a record set. With an `error` nothing else is meaningful and the log stays as it is. */
export interface ValidatedAppend {
  /** Kafka error code: 0, CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, INVALID_TIMESTAMP, UNSUPPORTED_FOR_MESSAGE_FORMAT, UNKNOWN_SERVER_ERROR. */
  readonly error: number
  /** Why, for the log line. */
  readonly message: string | undefined
  /** The bytes to append: the given ones patched in place (cut after the last whole entry), or new ones. Empty: nothing to append. */
  readonly buffer: Buffer
  /** True when `buffer` is new: converted or compressed anew. */
  readonly rebuilt: boolean
  /** Offset after the last record; `firstOffset` when there are none. */
  readonly nextOffset: Offset
  /** Greatest timestamp of the records, -1 when they have none; with LogAppendTime `now`. */
  readonly maxTimestamp: EpochMillis
  /** Offset of the first record with that timestamp; where the header alone is known (compressed batch, LogAppendTime) the last offset. */
  readonly offsetOfMaxTimestamp: Offset
  /** Codec of the producer's last compressed entry, 0 none. */
  readonly sourceCodec: number
  /** Number of entries in `buffer`. */
  readonly batches: number
}
