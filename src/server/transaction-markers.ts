import type { KafkaZk } from '../../zk/store/types.ts'
import type { BrokerId, PartitionId, TopicPartition } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { MarkerResults, MarkerTransport, TransactionMarker } from '../coordinator/transaction/types.ts'
import type { TransactionalOffsets } from '../coordinator/types.ts'
import type { Clock } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { endTransactionMarker } from '../protocol/records/index.ts'
import type { AppendEntry, ReplicaManager } from '../replication/types.ts'
import { Channel } from '../rpc/channel.ts'
import type { VersionTable } from '../rpc/versions.ts'
import { GROUP_METADATA_TOPIC } from './internal-topics.ts'
import type { MetadataCache } from './metadata-cache.ts'
import type { PartitionError } from './transaction-requests.ts'
import { errorsByTopic, listPartitions } from './transaction-requests.ts'

/** What it takes to write markers on this broker. */
export interface MarkerWriter {
  readonly replicaManager: ReplicaManager
  readonly clock: Clock
  readonly offsets: TransactionalOffsets
  /** `request.timeout.ms` */
  readonly requestTimeoutMs: number
}

/** The answer of WriteTxnMarkers, gathered from its markers; those of one producer share an entry, as in 1.1. */
class Results {
  /** By the producer id as text: one beyond 2^53 is an object. */
  readonly #byProducer = new Map<string, { readonly producerId: number; readonly errors: Map<string, PartitionError> }>()

  /** An entry, though it may stay without partitions. */
  add(producerId: number): Map<string, PartitionError> {
    const key = String(producerId)
    let entry = this.#byProducer.get(key)
    if (entry === undefined) this.#byProducer.set(key, (entry = { producerId, errors: new Map() }))
    return entry.errors
  }

  set(producerId: number, topic: string, partition: PartitionId, errorCode: number): void {
    this.add(producerId).set(partitionKey(topic, partition), { topic, partition, errorCode })
  }

  answer(): MarkerResults {
    return {
      transactionMarkers: [...this.#byProducer.values()].map(({ producerId, errors }) => ({
        producerId,
        topics: errorsByTopic(errors.values()).map(({ topic, errors: partitions }) => ({ topic, partitions })),
      })),
    }
  }
}

/** What every partition of the request gets when it fails as a whole; of several markers of a producer the last one's, as in 1.1. */
export function refuseMarkers(markers: readonly TransactionMarker[], errorCode: number): MarkerResults {
  const results = new Results()
  for (const marker of new Map(markers.map((one) => [String(one.producerId), one])).values()) {
    results.add(marker.producerId)
    for (const { topic, partition } of listPartitions(marker.topics)) results.set(marker.producerId, topic, partition, errorCode)
  }
  return results.answer()
}

/** Without these two there is no control batch; 1.1 cannot even build it and fails the request. */
export function isWritable({ producerId, producerEpoch }: TransactionMarker): boolean {
  return producerId >= 0 && producerEpoch >= 0
}

/**
 * WriteTxnMarkers: appends a control batch to every named partition that this broker leads, waits until they are replicated, and tells the
 * group coordinator of those in `__consumer_offsets`. `done` once, perhaps within the call.
 */
export function appendMarkers(
  writer: MarkerWriter,
  markers: readonly TransactionMarker[],
  done: (results: MarkerResults) => void,
): void {
  const { replicaManager } = writer
  const results = new Results()
  let left = markers.length + 1
  const finishOne = (): void => {
    if (--left === 0) done(results.answer())
  }
  // Followers get the markers of all transactions in one answer.
  replicaManager.holdTurn()
  try {
    for (const marker of markers) appendMarker(writer, marker, results, finishOne)
  } finally {
    replicaManager.releaseTurn()
  }
  finishOne()
}

function appendMarker(writer: MarkerWriter, marker: TransactionMarker, results: Results, finish: () => void): void {
  const { replicaManager, clock, offsets, requestTimeoutMs } = writer
  const { producerId, producerEpoch, coordinatorEpoch, transactionResult: commit } = marker
  const entries: AppendEntry[] = []
  for (const { topic, partition } of listPartitions(marker.topics)) {
    const magic = replicaManager.partition(topic, partition)?.log?.config.messageFormatMagic
    if (magic === undefined) results.set(producerId, topic, partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    else if (magic < 2) results.set(producerId, topic, partition, ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT)
    else {
      const records = endTransactionMarker({ commit, producerId, producerEpoch, coordinatorEpoch, timestamp: clock.wall() })
      entries.push({ topic, partition, records })
    }
  }
  if (entries.length === 0) {
    finish()
    return
  }
  replicaManager.append(-1, requestTimeoutMs, entries, false, (appended) => {
    for (const { topic, partition, error } of appended) results.set(producerId, topic, partition, error)
    const written = appended.filter(({ topic, error }) => topic === GROUP_METADATA_TOPIC && error === ErrorCode.NONE)
    if (written.length > 0) {
      offsets.completeTransaction(
        producerId,
        written.map(({ partition }) => partition),
        commit,
      )
    }
    finish()
  })
}

export interface MarkerChannelOptions {
  readonly brokerId: BrokerId
  readonly writer: MarkerWriter
  readonly metadataCache: MetadataCache
  readonly zk: KafkaZk
  readonly net: Net
  /** `interBrokerVersions` of the configured protocol. */
  readonly versions: VersionTable
  /** `inter.broker.listener.name` */
  readonly listenerName: string
  /** `request.timeout.ms` */
  readonly requestTimeoutMs: number
}

/** Markers to other brokers by one connection each; to this one without any. */
export class MarkerChannels implements MarkerTransport {
  readonly #options: MarkerChannelOptions
  readonly #channels = new Map<BrokerId, Channel>()

  constructor(options: MarkerChannelOptions) {
    this.#options = options
  }

  leaderOf({ topic, partition }: TopicPartition): BrokerId | undefined {
    const { metadataCache, listenerName } = this.#options
    const leader = metadataCache.partition(topic, partition)?.leader
    if (leader === undefined) return undefined
    return metadataCache.endpoint(leader, listenerName) === undefined ? -1 : leader
  }

  async isDeleted({ topic, partition }: TopicPartition): Promise<boolean> {
    const { zk } = this.#options
    const [assignments, deletions] = await Promise.all([zk.getAssignments([topic]), zk.getTopicDeletions()])
    return deletions.includes(topic) || assignments.get(topic)?.has(partition) !== true
  }

  send(
    broker: BrokerId,
    markers: readonly TransactionMarker[],
    done: (error: string | undefined, results: MarkerResults | undefined) => void,
  ): void {
    if (broker === this.#options.brokerId) {
      appendMarkers(this.#options.writer, markers, (results) => done(undefined, results))
      return
    }
    this.#channel(broker).send('WriteTxnMarkers', { transactionMarkers: [...markers] }, (error, response) =>
      done(error === undefined ? undefined : `${error.kind}: ${error.message}`, response),
    )
  }

  #channel(broker: BrokerId): Channel {
    let channel = this.#channels.get(broker)
    if (channel === undefined) {
      const { brokerId, writer, net, versions, listenerName, metadataCache, requestTimeoutMs } = this.#options
      channel = new Channel({
        net,
        clock: writer.clock,
        address: () => metadataCache.endpoint(broker, listenerName),
        clientId: `broker-${brokerId}-txn-marker-sender`,
        versions,
        connectTimeoutMs: requestTimeoutMs,
        requestTimeoutMs,
        reconnectBackoffMs: 50,
      })
      this.#channels.set(broker, channel)
    }
    return channel
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close()
    this.#channels.clear()
  }
}
