/**
 * Fetches what this member owns. At most one fetch per broker is under way; a partition is left out while its stream has
 * `queued.max.message.chunks` waiting. Leaders come from the metadata, which follow ZooKeeper.
 */
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../../protocol/errors.ts'
import { lastOffset, nextBatch } from '../../protocol/records/index.ts'
import { byTopic } from '../by-topic.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { OldConsumerConfig } from '../config/index.ts'
import { exceptionOf, type KafkaException } from '../errors.ts'
import { FETCH_MOVED } from '../fetch-errors.ts'
import { RecordSetReader } from '../record-reader.ts'
import { MessageSizeTooLargeException } from './errors.ts'
import type { OwnedPartition } from './stream.ts'

type PartitionAnswer = ResponseOf<'Fetch'>['responses'][number]['partitionResponses'][number]

/** Brokers without fetch sessions, and a client that wants none. */
const NO_SESSION = { sessionId: 0, epoch: -1, forgottenTopicsData: [] } as const
/** How long a broker may wait while some partition is left out because its stream is full: there may be room soon. */
const SHORT_WAIT_MS = 10

export class ClassicFetcher {
  readonly #cluster: ClusterClient
  readonly #config: OldConsumerConfig
  #partitions: readonly OwnedPartition[] = []
  /** Answers to what was asked before the last `stop` count no more. */
  #epoch = 0
  readonly #busy = new Set<number>()
  #scheduled = false

  constructor(cluster: ClusterClient, config: OldConsumerConfig) {
    this.#cluster = cluster
    this.#config = config
    cluster.metadata.onChange(() => this.wake())
  }

  start(partitions: readonly OwnedPartition[]): void {
    this.#partitions = partitions
    this.#cluster.metadata.setTopics([...new Set(partitions.map(({ topic }) => topic))])
    this.wake()
  }

  /** Nothing is put into a stream any more. */
  stop(): void {
    this.#epoch++
    this.#partitions = []
  }

  /** Something has changed: room in a stream, a leader, a response. Sends, later in this turn, what can be sent. */
  wake(): void {
    if (this.#scheduled || this.#partitions.length === 0) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#sendAll()
    })
  }

  #later(): void {
    this.#cluster.environment.clock.timer(this.#config['refresh.leader.backoff.ms'], () => this.wake(), true)
  }

  #sendAll(): void {
    const { metadata, environment } = this.#cluster
    const now = environment.clock.now()
    const byLeader = new Map<number, { ready: OwnedPartition[]; isBlocked: boolean }>()
    let isLeaderless = false
    for (const partition of this.#partitions) {
      if (partition.isFetching || partition.retryAt > now) continue
      const leader = metadata.leaderOf(partition.topic, partition.partition)
      if (leader < 0) {
        isLeaderless = true
        continue
      }
      const same = byLeader.get(leader) ?? { ready: [], isBlocked: false }
      byLeader.set(leader, same)
      if (partition.stream.waiting >= this.#config['queued.max.message.chunks']) same.isBlocked = true
      else if (partition.fetchOffset < 0) this.#resetOffset(partition, leader)
      else same.ready.push(partition)
    }
    // The metadata tell of a new leader by themselves; this is for a change that came before anybody listened.
    if (isLeaderless) {
      metadata.requestUpdate()
      this.#later()
    }
    for (const [leader, { ready, isBlocked }] of byLeader)
      if (ready.length > 0 && !this.#busy.has(leader)) this.#fetch(leader, ready, isBlocked)
  }

  #fetch(leader: number, partitions: readonly OwnedPartition[], isBlocked: boolean): void {
    const config = this.#config
    const epoch = this.#epoch
    const asked = partitions.map((partition) => ({ topic: partition.topic, partition, fetchOffset: partition.fetchOffset }))
    for (const partition of partitions) partition.isFetching = true
    this.#busy.add(leader)
    const wait = config['fetch.wait.max.ms']
    const request = {
      replicaId: -1,
      maxWaitTime: isBlocked ? Math.min(wait, SHORT_WAIT_MS) : wait,
      minBytes: config['fetch.min.bytes'],
      maxBytes: config['fetch.max.bytes'],
      isolationLevel: 0,
      ...NO_SESSION,
      topics: byTopic(asked, ({ partition, fetchOffset }) => {
        return { partition: partition.partition, fetchOffset, maxBytes: config['fetch.message.max.bytes'] }
      }),
    }
    this.#cluster.send(leader, 'Fetch', request, (error, response) => {
      this.#busy.delete(leader)
      for (const partition of partitions) partition.isFetching = false
      if (this.#cluster.isClosed || epoch !== this.#epoch) return this.wake()
      if (response === undefined) this.#failed(partitions, error)
      else this.#answered(partitions, response)
      this.wake()
    })
  }

  #failed(partitions: readonly OwnedPartition[], error: KafkaException | undefined): void {
    this.#cluster.environment.log.info(`a fetch failed: ${error?.message}`)
    this.#cluster.metadata.requestUpdate()
    for (const partition of partitions) this.#pause(partition)
  }

  #pause(partition: OwnedPartition): void {
    partition.retryAt = this.#cluster.environment.clock.now() + this.#config['refresh.leader.backoff.ms']
    this.#later()
  }

  #answered(partitions: readonly OwnedPartition[], response: ResponseOf<'Fetch'>): void {
    const byKey = new Map(partitions.map((partition) => [partition.key, partition]))
    for (const { topic, partitionResponses } of response.responses) {
      for (const answer of partitionResponses) {
        const partition = byKey.get(`${topic}-${answer.partitionHeader.partition}`)
        if (partition !== undefined) this.#take(partition, answer)
      }
    }
  }

  #take(partition: OwnedPartition, { partitionHeader: { errorCode }, recordSet }: PartitionAnswer): void {
    const { environment, metadata } = this.#cluster
    if (errorCode === ErrorCode.NONE) this.#offer(partition, recordSet)
    else if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      environment.log.warn(`Current offset ${partition.fetchOffset} for partition ${partition.key} out of range; reset offset`)
      partition.fetchOffset = -1
    } else if (FETCH_MOVED.has(errorCode)) {
      metadata.requestUpdate()
      this.#pause(partition)
    } else {
      environment.log.warn(`fetching ${partition.key} at ${partition.fetchOffset}: ${errorName(errorCode)}`)
      this.#pause(partition)
    }
  }

  #offer(partition: OwnedPartition, recordSet: Uint8Array | null): void {
    if (recordSet === null || recordSet.length === 0) return
    const { topic, partition: id, fetchOffset, stream } = partition
    // What came lies in the receive buffer, for this turn only.
    const buffer = Buffer.allocUnsafeSlow(recordSet.length)
    buffer.set(recordSet)
    const reader = new RecordSetReader(buffer, { topic, partition: id, fetchOffset, checkCrcs: true })
    if (!reader.isCut) {
      partition.fetchOffset = endOf(buffer, fetchOffset)
      return stream.offer({ partition, reader, nextOffset: partition.fetchOffset })
    }
    const what = `Found a message larger than the maximum fetch size of this consumer on topic ${topic} partition ${id} at fetch offset ${fetchOffset}.`
    const error = new MessageSizeTooLargeException(
      `${what} Increase fetch.message.max.bytes = ${this.#config['fetch.message.max.bytes']}, or decrease the maximum message size the broker will allow.`,
    )
    this.#pause(partition)
    stream.offer({ partition, reader: undefined, nextOffset: fetchOffset, error })
  }

  /** `auto.offset.reset` */
  #resetOffset(partition: OwnedPartition, leader: number): void {
    const { topic, partition: id } = partition
    const timestamp = this.#config['auto.offset.reset'] === 'smallest' ? -2 : -1
    const epoch = this.#epoch
    partition.isFetching = true
    const request = {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ topic, partitions: [{ partition: id, timestamp, maxNumOffsets: 1 }] }],
    }
    this.#cluster.send(leader, 'ListOffsets', request, (error, response) => {
      partition.isFetching = false
      if (epoch !== this.#epoch) return
      const answer = response?.responses[0]?.partitionResponses[0]
      // Version 0 lists offsets, later ones say one.
      const offset = answer === undefined || answer.errorCode !== ErrorCode.NONE ? -1 : (answer.offsets[0] ?? answer.offset)
      if (offset < 0) {
        const why = error ?? (answer !== undefined && answer.errorCode !== 0 ? exceptionOf(answer.errorCode) : undefined)
        this.#failed([partition], why)
      } else {
        partition.fetchOffset = offset
        // With chunks in between the stream will say when it has come so far.
        if (partition.stream.waiting === 0) partition.consumedOffset = offset
      }
      this.wake()
    })
  }
}

/** The offset behind the last whole batch. */
function endOf(buffer: Buffer, fetchOffset: number): number {
  let end = fetchOffset
  for (let at = 0, size = 0; (size = nextBatch(buffer, at, buffer.length)) > 0; at += size)
    end = Math.max(end, lastOffset(buffer, at) + 1)
  return end
}
