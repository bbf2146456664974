import type { BrokerId, LeaderEpoch, Millis, PartitionId, PartitionKey, TopicPartition } from '../../base/ids.ts'
import { partitionKey } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock } from '../../ports/clock.ts'
import { ErrorCode, errorName } from '../../protocol/errors.ts'
import type { Partitions } from './metadata.ts'
import type { MarkerResults, MarkerTransport, TransactionMarker } from './types.ts'

/** A decided transaction whose partitions have to learn the decision. */
export interface MarkerJob {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  readonly isCommit: boolean
  readonly coordinatorEpoch: LeaderEpoch
  readonly partitions: Partitions
  /** The coordinator's term is over: its successor writes the markers. */
  isCancelled(): boolean
  /** Every partition has its marker. */
  onDone(): void
  /** A partition knows a newer producer or coordinator: this decision is not ours to spread. */
  onFenced(error: number): void
}

/** Pause before the first and the longest before another try. */
const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 500
/** Requests on the way to one broker; what comes meanwhile goes together in the next. */
const MAX_IN_FLIGHT = 2

/** What a marker's error means for its partition. */
type Reaction = 'done' | 'retry' | 'fenced'

function reactionTo(error: number): Reaction {
  switch (error) {
    case ErrorCode.NONE:
    // Too old to hold transactions: there is nothing to end.
    case ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case ErrorCode.UNSUPPORTED_VERSION:
      return 'done'
    case ErrorCode.INVALID_PRODUCER_EPOCH:
    case ErrorCode.TRANSACTION_COORDINATOR_FENCED:
      return 'fenced'
    default:
      return 'retry'
  }
}

/** One job on its way: the partitions that have no marker yet. */
class Delivery {
  readonly job: MarkerJob
  readonly waiting: Map<PartitionKey, TopicPartition>
  retryMs: Millis = FIRST_RETRY_MS
  isFenced = false

  constructor(job: MarkerJob) {
    this.job = job
    this.waiting = new Map(job.partitions)
  }

  get isOver(): boolean {
    return this.isFenced || this.job.isCancelled()
  }
}

interface Parcel {
  readonly delivery: Delivery
  readonly partitions: readonly TopicPartition[]
}

interface BrokerQueue {
  parcels: Parcel[]
  inFlight: number
}

/** Brings markers to the leaders of all partitions of decided transactions, until each has them. */
export class MarkerSender {
  readonly #transport: MarkerTransport
  readonly #clock: Clock
  readonly #log: Logger
  readonly #queues = new Map<BrokerId, BrokerQueue>()
  #homeless = 0
  #isClosed = false

  constructor(transport: MarkerTransport, clock: Clock, log: Logger) {
    this.#transport = transport
    this.#clock = clock
    this.#log = log
  }

  add(job: MarkerJob): void {
    const delivery = new Delivery(job)
    this.#route(delivery, [...delivery.waiting.values()])
  }

  close(): void {
    this.#isClosed = true
    this.#queues.clear()
  }

  /** Partitions without a leader that could be told (metric UnknownDestinationQueueSize). */
  get homeless(): number {
    return this.#homeless
  }

  #route(delivery: Delivery, partitions: readonly TopicPartition[]): void {
    if (this.#isClosed || delivery.isOver) return
    if (delivery.waiting.size === 0) {
      delivery.job.onDone()
      return
    }
    const byBroker = new Map<BrokerId, TopicPartition[]>()
    const homeless: TopicPartition[] = []
    for (const partition of partitions) {
      const leader = this.#transport.leaderOf(partition)
      if (leader === undefined) void this.#askWhetherDeleted(delivery, partition)
      else if (leader < 0) homeless.push(partition)
      else if (byBroker.has(leader)) byBroker.get(leader)!.push(partition)
      else byBroker.set(leader, [partition])
    }
    if (homeless.length > 0) {
      this.#homeless += homeless.length
      this.#retryLater(delivery, homeless, () => (this.#homeless -= homeless.length))
    }
    for (const [broker, ofBroker] of byBroker) this.#enqueue(broker, { delivery, partitions: ofBroker })
  }

  /** This broker may just not have heard of the partition yet: only ZooKeeper knows that it is gone. */
  async #askWhetherDeleted(delivery: Delivery, partition: TopicPartition): Promise<void> {
    const { transactionalId } = delivery.job
    const name = partitionKey(partition.topic, partition.partition)
    let isDeleted = false
    try {
      isDeleted = await this.#transport.isDeleted(partition)
    } catch (error) {
      this.#log.warn(
        `Cannot find out whether ${name} still exists, for a marker of ${transactionalId}: ${(error as Error).message}`,
      )
    }
    if (!isDeleted) {
      this.#retryLater(delivery, [partition])
      return
    }
    this.#log.info(`${name} does not exist any more: no transaction marker of ${transactionalId} for it`)
    this.#delivered(delivery, partition)
  }

  #retryLater(delivery: Delivery, partitions: readonly TopicPartition[], before?: () => void): void {
    const pause = delivery.retryMs
    delivery.retryMs = Math.min(pause * 2, LONGEST_RETRY_MS)
    this.#clock.timer(
      pause,
      () => {
        before?.()
        this.#route(delivery, partitions)
      },
      true,
    )
  }

  #delivered(delivery: Delivery, { topic, partition }: TopicPartition): void {
    const key = partitionKey(topic, partition)
    if (!delivery.waiting.delete(key) || delivery.waiting.size > 0 || delivery.isOver || this.#isClosed) return
    delivery.job.onDone()
  }

  // ---------------------------------------------------------------- one broker

  #enqueue(broker: BrokerId, parcel: Parcel): void {
    let queue = this.#queues.get(broker)
    if (queue === undefined) this.#queues.set(broker, (queue = { parcels: [], inFlight: 0 }))
    queue.parcels.push(parcel)
    this.#flush(broker, queue)
  }

  #flush(broker: BrokerId, queue: BrokerQueue): void {
    if (this.#isClosed || queue.inFlight >= MAX_IN_FLIGHT) return
    const parcels = queue.parcels.filter(({ delivery }) => !delivery.isOver)
    queue.parcels = []
    if (parcels.length === 0) return
    queue.inFlight++
    this.#transport.send(broker, parcels.map(markerOf), (error, results) => {
      queue.inFlight--
      if (this.#isClosed) return
      if (results === undefined) this.#unanswered(broker, parcels, error ?? 'no answer')
      else this.#answered(broker, parcels, results)
      this.#flush(broker, queue)
    })
  }

  /** Nobody knows whether they were written: written twice does no harm while the transaction is not complete. */
  #unanswered(broker: BrokerId, parcels: readonly Parcel[], why: string): void {
    this.#log.info(`Transaction markers for broker ${broker} are sent again: ${why}`)
    for (const { delivery, partitions } of parcels) this.#retryLater(delivery, partitions)
  }

  #answered(broker: BrokerId, parcels: readonly Parcel[], results: MarkerResults): void {
    const errors = errorsOf(results)
    for (const { delivery, partitions } of parcels) {
      const again: TopicPartition[] = []
      for (const partition of partitions) {
        const { producerId, transactionalId } = delivery.job
        const error = errors.get(markerKey(producerId, partition)) ?? ErrorCode.UNKNOWN_SERVER_ERROR
        const reaction = reactionTo(error)
        if (reaction === 'done') this.#delivered(delivery, partition)
        else if (reaction === 'retry') again.push(partition)
        else this.#fenced(delivery, error)
        if (reaction !== 'done') {
          const name = partitionKey(partition.topic, partition.partition)
          this.#log.info(`Marker of ${transactionalId} for ${name} refused by broker ${broker}: ${errorName(error)}`)
        }
      }
      if (again.length > 0 && !delivery.isOver) this.#retryLater(delivery, again)
    }
  }

  #fenced(delivery: Delivery, error: number): void {
    if (delivery.isOver) return
    delivery.isFenced = true
    delivery.job.onFenced(error)
  }
}

function markerKey(producerId: number, { topic, partition }: TopicPartition): string {
  return `${producerId} ${partitionKey(topic, partition)}`
}

function errorsOf({ transactionMarkers }: MarkerResults): Map<string, number> {
  const errors = new Map<string, number>()
  for (const { producerId, topics } of transactionMarkers) {
    for (const { topic, partitions } of topics) {
      for (const { partition, errorCode } of partitions) errors.set(markerKey(producerId, { topic, partition }), errorCode)
    }
  }
  return errors
}

function markerOf({ delivery: { job }, partitions }: Parcel): TransactionMarker {
  const byTopic = new Map<string, PartitionId[]>()
  for (const { topic, partition } of partitions) {
    const ids = byTopic.get(topic)
    if (ids === undefined) byTopic.set(topic, [partition])
    else ids.push(partition)
  }
  return {
    producerId: job.producerId,
    producerEpoch: job.producerEpoch,
    transactionResult: job.isCommit,
    topics: [...byTopic].map(([topic, ids]) => ({ topic, partitions: ids })),
    coordinatorEpoch: job.coordinatorEpoch,
  }
}
