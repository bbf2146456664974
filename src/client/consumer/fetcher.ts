/**
 * Fetches ahead. At most one fetch per node is under way. Per partition there are at most two record sets: one that is being handed out and
 * one that came meanwhile; all together stay below `fetch.max.bytes` and one answer per node. Who does not poll gets no more.
 */
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../../protocol/errors.ts'
import { lastOffset, nextBatch } from '../../protocol/records/index.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { ConsumerConfig } from '../config/index.ts'
import {
  exceptionOf,
  type KafkaException,
  OffsetOutOfRangeException,
  RecordTooLargeException,
  TopicAuthorizationException,
} from '../errors.ts'
import { FETCH_MOVED } from '../fetch-errors.ts'
import { RecordSetReader } from '../record-reader.ts'
import { type Deserializers, IndexedBatch } from './batches.ts'
import { FetchSession, type Wanted } from './fetch-session.ts'
import { keepFreedMemory } from './kept-memory.ts'
import { Lease } from './lease.ts'
import type { ConsumerMetrics } from './metrics.ts'
import type { Signal } from './signal.ts'
import type { AssignedPartition, Chunk, Subscription } from './subscription.ts'

type Response = ResponseOf<'Fetch'>
type PartitionAnswer = Response['responses'][number]['partitionResponses'][number]

export interface FetcherOptions<K, V> {
  readonly cluster: ClusterClient
  readonly config: ConsumerConfig
  readonly subscription: Subscription
  readonly signal: Signal
  readonly metrics: ConsumerMetrics
  readonly deserializers: Deserializers<K, V>
}

/** Share of the memory of a response from which on a record set keeps it. */
const MOST = 0.75

interface FetchNode {
  readonly session: FetchSession
  isBusy: boolean
  retryAt: number
}

/** What was asked for a partition. */
interface Asked extends Wanted {
  readonly assigned: AssignedPartition
  readonly epoch: number
}

export class Fetcher<K, V> {
  readonly #options: FetcherOptions<K, V>
  readonly #nodes = new Map<number, FetchNode>()
  /** Partitions with chunks, those that waited longest first. */
  #ready: AssignedPartition[] = []
  #bufferedBytes = 0
  /** Batches of the last `take`, with the memory they lie in. */
  #handedOut: { readonly batch: IndexedBatch<K, V>; readonly lease: Lease | undefined }[] = []
  /** What was handed out last was read raw: its memory comes back, so it is taken from the pool. Fresh memory costs more than all the rest. */
  #isRaw = false

  constructor(options: FetcherOptions<K, V>) {
    this.#options = options
    keepFreedMemory(options.config['max.partition.fetch.bytes'])
  }

  /** Bytes of record sets that wait to be handed out. */
  get bufferedBytes(): number {
    return this.#bufferedBytes
  }

  // ------------------------------------------------------------------ asking

  /** Sends what can be sent now. */
  sendFetches(): void {
    const { cluster, config, subscription, signal } = this.#options
    this.#forgetUnassigned()
    if (this.#bufferedBytes >= config['fetch.max.bytes']) return
    const now = cluster.environment.clock.now()
    const byNode = new Map<number, AssignedPartition[]>()
    let isLeaderless = false
    for (const partition of subscription.partitions.values()) {
      if (!canFetch(partition)) continue
      const leader = cluster.metadata.leaderOf(partition.topic, partition.partition)
      if (leader < 0 || !cluster.metadata.brokers.has(leader)) isLeaderless = true
      else if (partition.retryAt <= now) {
        const same = byNode.get(leader)
        if (same === undefined) byNode.set(leader, [partition])
        else same.push(partition)
      }
    }
    if (isLeaderless) {
      cluster.metadata.requestUpdate()
      signal.later(config['retry.backoff.ms'])
    }
    for (const [nodeId, partitions] of byNode) {
      const node = this.#node(nodeId)
      if (!node.isBusy && node.retryAt <= now) this.#send(nodeId, node, partitions)
    }
  }

  #node(nodeId: number): FetchNode {
    let node = this.#nodes.get(nodeId)
    if (node === undefined) {
      node = { session: new FetchSession(), isBusy: false, retryAt: 0 }
      this.#nodes.set(nodeId, node)
    }
    return node
  }

  #send(nodeId: number, node: FetchNode, partitions: readonly AssignedPartition[]): void {
    const { cluster, config, metrics, signal } = this.#options
    const { clock } = cluster.environment
    const asked = new Map<string, Asked>()
    for (const partition of partitions) {
      const { key, topic, epoch, fetchOffset } = partition
      asked.set(key, { key, topic, partition: partition.partition, fetchOffset, epoch, assigned: partition })
      partition.isFetching = true
    }
    node.isBusy = true
    let sentAt = clock.now()
    cluster.send(
      nodeId,
      'Fetch',
      (version) => {
        sentAt = clock.now()
        // As asked above, whatever was sought or revoked since: the answer is then dropped.
        const session = node.session.next(version, [...asked.values()], config['max.partition.fetch.bytes'])
        return {
          replicaId: -1,
          maxWaitTime: config['fetch.max.wait.ms'],
          minBytes: config['fetch.min.bytes'],
          maxBytes: config['fetch.max.bytes'],
          isolationLevel: config['isolation.level'] === 'read_committed' ? 1 : 0,
          sessionId: session.sessionId,
          epoch: session.epoch,
          topics: session.topics,
          forgettenTopicsData: session.forgettenTopicsData,
        }
      },
      (error, response) => {
        node.isBusy = false
        for (const { assigned } of asked.values()) assigned.isFetching = false
        if (response === undefined) this.#failed(node, error)
        else {
          metrics.fetchLatency.add(clock.now() - sentAt)
          this.#answered(nodeId, node, asked, response)
        }
        signal.notify()
      },
    )
  }

  #failed(node: FetchNode, error: KafkaException | undefined): void {
    const { cluster, config, signal } = this.#options
    node.session.failed()
    if (cluster.isClosed) return
    cluster.environment.log.info(`a fetch failed: ${error?.message}`)
    cluster.metadata.requestUpdate()
    node.retryAt = cluster.environment.clock.now() + config['retry.backoff.ms']
    signal.later(config['retry.backoff.ms'])
  }

  // ------------------------------------------------------------------ answers

  #answered(nodeId: number, node: FetchNode, asked: ReadonlyMap<string, Asked>, response: Response): void {
    if (!node.session.answered(response.errorCode, response.sessionId)) return
    for (const { topic, partitionResponses } of response.responses) {
      for (const answer of partitionResponses) {
        const about = asked.get(`${topic}-${answer.partitionHeader.partition}`)
        if (about === undefined) continue
        const { assigned, epoch, fetchOffset } = about
        // Sought, reset or assigned anew since.
        if (assigned.epoch !== epoch || assigned.fetchOffset !== fetchOffset) continue
        if (this.#options.subscription.isAssigned(assigned)) this.#take(nodeId, assigned, answer)
      }
    }
  }

  #take(nodeId: number, partition: AssignedPartition, { partitionHeader: header, recordSet }: PartitionAnswer): void {
    const { errorCode } = header
    if (errorCode === ErrorCode.NONE) {
      partition.highWatermark = header.highWatermark
      partition.lastStableOffset = header.lastStableOffset
      partition.logStartOffset = header.logStartOffset
      this.#buffer(nodeId, partition, recordSet, header.abortedTransactions)
    } else if (FETCH_MOVED.has(errorCode)) {
      this.#options.cluster.metadata.requestUpdate()
      this.#pause(partition)
    } else if (errorCode === ErrorCode.UNKNOWN_SERVER_ERROR) {
      this.#options.cluster.environment.log.warn(`fetching ${partition.key} at ${partition.fetchOffset}: ${errorName(errorCode)}`)
      this.#pause(partition)
    } else this.#enqueue(partition, undefined, partition.fetchOffset, 0, errorCode)
  }

  #pause(partition: AssignedPartition): void {
    const { cluster, config, signal } = this.#options
    partition.retryAt = cluster.environment.clock.now() + config['retry.backoff.ms']
    signal.later(config['retry.backoff.ms'])
  }

  #buffer(
    nodeId: number,
    partition: AssignedPartition,
    set: Uint8Array | null,
    aborted: PartitionAnswer['partitionHeader']['abortedTransactions'],
  ) {
    if (set === null || set.length === 0) return
    const { config } = this.#options
    const { topic, fetchOffset } = partition
    const { buffer, lease } = this.#keep(nodeId, set)
    const reader = new RecordSetReader(buffer, {
      topic,
      partition: partition.partition,
      fetchOffset,
      checkCrcs: config['check.crcs'],
      aborted: config['isolation.level'] === 'read_committed' ? (aborted ?? []) : null,
    })
    if (reader.isCut) this.#enqueue(partition, undefined, fetchOffset, 0, ErrorCode.MESSAGE_TOO_LARGE)
    else this.#enqueue(partition, reader, endOf(buffer, fetchOffset), buffer.length, ErrorCode.NONE, lease)
  }

  /**
   * What came lies in the receive buffer, for this turn only. It is copied, unless it came in memory of its own and fills most of that: then a
   * record that is held keeps little more than its record set.
   */
  #keep(nodeId: number, set: Uint8Array): { readonly buffer: Buffer; readonly lease: Lease | undefined } {
    const { cluster } = this.#options
    const memory = set.length >= set.buffer.byteLength * MOST ? cluster.network.takeFrame(nodeId) : undefined
    if (memory !== undefined) {
      const buffer = Buffer.from(set.buffer, set.byteOffset, set.length)
      if (this.#isRaw) return { buffer, lease: new Lease(memory.pool, memory.buffer) }
      memory.pool.disown(memory.buffer)
      return { buffer, lease: undefined }
    }
    const owner = this.#isRaw ? cluster.pool.acquire(set.length) : Buffer.allocUnsafeSlow(set.length)
    owner.set(set)
    return { buffer: owner.subarray(0, set.length), lease: this.#isRaw ? new Lease(cluster.pool, owner) : undefined }
  }

  #enqueue(
    partition: AssignedPartition,
    reader: RecordSetReader | undefined,
    nextOffset: number,
    bytes: number,
    error: number,
    lease?: Lease,
  ): void {
    const { fetchOffset } = partition
    partition.chunks.push({ fetchOffset, nextOffset, bytes, reader, error, lease, isStarted: false })
    partition.fetchOffset = nextOffset
    this.#bufferedBytes += bytes
    if (!this.#ready.includes(partition)) this.#ready.push(partition)
  }

  // ------------------------------------------------------------------ handing out

  /**
   * At most so many records and batches, one batch per partition; their positions move on. Throws what stands in the way when there is
   * nothing before it.
   */
  take(maxRecords: number, maxBatches: number): IndexedBatch<K, V>[] {
    const batches: IndexedBatch<K, V>[] = []
    let left = maxRecords
    this.#retireHandedOut()
    this.#forgetUnassigned()
    for (const partition of [...this.#ready]) {
      if (left <= 0 || batches.length >= maxBatches) break
      if (partition.isPaused) continue
      let batch: IndexedBatch<K, V> | undefined
      try {
        batch = this.#takeFrom(partition, left)
      } catch (error) {
        if (batches.length === 0) throw error
        break
      }
      // Others come first next time.
      this.#ready.splice(this.#ready.indexOf(partition), 1)
      if (partition.chunks.length > 0) this.#ready.push(partition)
      if (batch === undefined) continue
      batches.push(batch)
      left -= batch.count
    }
    return batches
  }

  #retireHandedOut(): void {
    if (this.#handedOut.length === 0) return
    this.#isRaw = true
    for (const { batch, lease } of this.#handedOut) {
      if (batch.retire()) lease?.unuse()
      else this.#isRaw = false
    }
    this.#handedOut = []
  }

  #takeFrom(partition: AssignedPartition, max: number): IndexedBatch<K, V> | undefined {
    const { metrics, deserializers } = this.#options
    const { topic, highWatermark } = partition
    while (partition.chunks.length > 0) {
      const chunk = partition.chunks[0]!
      if (chunk.reader === undefined) {
        this.#handleError(partition, chunk)
        return undefined
      }
      chunk.isStarted = true
      const batch = new IndexedBatch<K, V>(topic, partition.partition, highWatermark, deserializers)
      const hasMore = batch.fill(chunk.reader, max)
      if (batch.count > 0) {
        chunk.lease?.use()
        this.#handedOut.push({ batch, lease: chunk.lease })
      }
      if (!hasMore) this.#drop(partition, chunk)
      partition.position = hasMore ? chunk.reader.position : Math.max(chunk.reader.position, chunk.nextOffset)
      if (batch.count === 0) continue
      batch.nextOffset = partition.position
      metrics.fetchBytes.add(batch.bytes)
      metrics.fetchRecords.add(batch.count)
      return batch
    }
    return undefined
  }

  #drop(partition: AssignedPartition, chunk: Chunk): void {
    partition.chunks.shift()
    chunk.lease?.read()
    this.#bufferedBytes -= chunk.bytes
  }

  /** The chunk goes; what is thrown comes again with the next fetch unless somebody seeks. */
  #handleError(partition: AssignedPartition, chunk: Chunk): void {
    const { config } = this.#options
    this.#drop(partition, chunk)
    const { topic, position } = partition
    const reset = config['auto.offset.reset']
    switch (chunk.error) {
      case ErrorCode.OFFSET_OUT_OF_RANGE:
        if (reset === 'none') {
          const what = `Offsets out of range with no configured reset policy for partitions: {${partition.key}=${position}}`
          throw new OffsetOutOfRangeException(what, [{ topic, partition: partition.partition }])
        }
        partition.want(reset)
        return
      case ErrorCode.TOPIC_AUTHORIZATION_FAILED:
        throw new TopicAuthorizationException([topic])
      case ErrorCode.MESSAGE_TOO_LARGE:
        throw new RecordTooLargeException(
          `There are some messages at [Partition=Offset]: {${partition.key}=${position}} whose size is larger than the fetch size ${config['max.partition.fetch.bytes']} and hence cannot be ever returned. Increase the fetch size on the client (using max.partition.fetch.bytes), or decrease the maximum message size the broker will allow (using message.max.bytes).`,
        )
      default:
        throw exceptionOf(chunk.error)
    }
  }

  /** Sought or reset: what lay there is gone from `chunks` already. */
  #forgetUnassigned(): void {
    const { subscription } = this.#options
    this.#ready = this.#ready.filter((one) => subscription.isAssigned(one) && one.chunks.length > 0)
    this.#bufferedBytes = 0
    for (const { chunks } of this.#ready) for (const { bytes } of chunks) this.#bufferedBytes += bytes
  }
}

function canFetch({ isPaused, position, isFetching, chunks }: AssignedPartition): boolean {
  return !isPaused && position >= 0 && !isFetching && (chunks.length === 0 || (chunks.length === 1 && chunks[0]!.isStarted))
}

/** The offset behind the last whole batch. */
function endOf(buffer: Buffer, fetchOffset: number): number {
  let end = fetchOffset
  for (let at = 0, size = 0; (size = nextBatch(buffer, at, buffer.length)) > 0; at += size) {
    end = Math.max(end, lastOffset(buffer, at) + 1)
  }
  return end
}
