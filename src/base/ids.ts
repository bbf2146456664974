/**
 * Number types that must not be mixed. A flavour accepts a plain number (literals, arithmetic, decoded fields)
 * but not a number of another flavour, so swapping two arguments of different meaning does not compile.
 */
type Flavour<T, Name extends string> = T & { readonly __flavour?: Name }

/** `broker.id`; -1 = none / consumer, -2 = debugging consumer. */
export type BrokerId = Flavour<number, 'BrokerId'>
/** A record offset, 0 <= offset <= 2^53 - 1; -1 = unknown. */
export type Offset = Flavour<number, 'Offset'>
/** Leader epoch of one partition; -1 = unknown. */
export type LeaderEpoch = Flavour<number, 'LeaderEpoch'>
/** Epoch of the controller, from `/controller_epoch`. */
export type ControllerEpoch = Flavour<number, 'ControllerEpoch'>
/** Version of a znode's data (`Stat.version`). */
export type ZkVersion = Flavour<number, 'ZkVersion'>
export type PartitionId = Flavour<number, 'PartitionId'>
/** Wall-clock milliseconds since 1970. */
export type EpochMillis = Flavour<number, 'EpochMillis'>
/** Milliseconds of the monotonic clock (fractional), or a duration. */
export type Millis = Flavour<number, 'Millis'>

export interface TopicPartition {
  readonly topic: string
  readonly partition: PartitionId
}

/** The map key of a partition: `topic-partition`, as Kafka prints it. Unique, since the partition follows the last dash. */
export type PartitionKey = Flavour<string, 'PartitionKey'>

export function partitionKey(topic: string, partition: PartitionId): PartitionKey {
  return `${topic}-${partition}`
}
