import type { KafkaException } from '../errors.ts'
import type { PartitionsOf } from '../partitioning.ts'

export interface Node {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface PartitionMetadata {
  readonly partition: number
  /** -1: none now. */
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
  /** 0, or why there is no leader. */
  readonly errorCode: number
}

export interface TopicMetadata extends PartitionsOf {
  readonly name: string
  readonly isInternal: boolean
  /** 0, or why nothing else is known. */
  readonly errorCode: number
  /** Index = partition id; one entry for each id below `count`. */
  readonly partitions: readonly PartitionMetadata[]
}

/** What a source has learnt. Absent parts are as before. */
export interface MetadataUpdate {
  readonly brokers?: readonly Node[]
  /** -1: none known. */
  readonly controllerId?: number
  readonly clusterId?: string | null
  readonly topics: readonly TopicMetadata[]
  /** `topics` are all there are: forget others. */
  readonly complete?: boolean
}

export type Topics = readonly string[] | 'all'

/** Where metadata come from: brokers that are asked, or ZooKeeper that tells. */
export interface MetadataSource {
  /** Changes arrive by themselves: nothing needs to be asked because of its age. */
  readonly pushes: boolean
  /**
   * Finds out about these topics now and follows them (and no others) from then on. `done` is called once, after the update was given to
   * the sink; the error is retriable, or the source is of no use.
   */
  refresh(topics: Topics, done: (error: KafkaException | undefined) => void): void
  close(): Promise<void>
}

export type MetadataSink = (update: MetadataUpdate) => void

const INTERNAL_TOPICS: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state'])

/** Fills gaps between partition ids, and derives `count` and `available`. */
export function topicMetadata(
  name: string,
  errorCode: number,
  known: readonly PartitionMetadata[],
  isInternal: boolean = INTERNAL_TOPICS.has(name),
): TopicMetadata {
  const partitions: PartitionMetadata[] = []
  for (const one of known) if (one.partition >= 0) partitions[one.partition] = one
  for (let partition = 0; partition < partitions.length; partition++) {
    partitions[partition] ??= { partition, leader: -1, replicas: [], isr: [], offlineReplicas: [], errorCode: 5 }
  }
  const available = partitions.filter(({ leader }) => leader >= 0).map(({ partition }) => partition)
  return { name, isInternal, errorCode, partitions, count: partitions.length, available }
}
