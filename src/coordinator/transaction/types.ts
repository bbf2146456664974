import type { BrokerId, Millis, TopicPartition } from '../../base/ids.ts'
import type { RequestOf, ResponseOf } from '../../protocol/apis/index.ts'

export interface TransactionConfig {
  /** `transaction.max.timeout.ms` */
  readonly maxTimeoutMs: Millis
  /** `transactional.id.expiration.ms` */
  readonly idExpirationMs: Millis
  /** `transaction.abort.timed.out.transaction.cleanup.interval.ms` */
  readonly abortTimedOutIntervalMs: Millis
  /** `transaction.remove.expired.transaction.cleanup.interval.ms` */
  readonly removeExpiredIntervalMs: Millis
  /** `transaction.state.log.load.buffer.size` */
  readonly loadBufferBytes: number
  /** `request.timeout.ms`: for tombstones of expired ids. */
  readonly requestTimeoutMs: Millis
}

export type TransactionMarker = RequestOf<'WriteTxnMarkers'>['transactionMarkers'][number]
export type MarkerResults = ResponseOf<'WriteTxnMarkers'>

/** Where markers go. */
export interface MarkerTransport {
  /** Broker that leads the partition and can be reached; -1: none now; undefined: the partition is not known here. */
  leaderOf(partition: TopicPartition): BrokerId | undefined
  /** The partition does not exist any more, or is being deleted: nobody needs its marker. Rejects when that cannot be found out now. */
  isDeleted(partition: TopicPartition): Promise<boolean>
  /** WriteTxnMarkers to a broker, this one too. `done` once: the answer, or why there is none. Never within the call. */
  send(
    broker: BrokerId,
    markers: readonly TransactionMarker[],
    done: (error: string | undefined, results: MarkerResults | undefined) => void,
  ): void
}

/** A fresh producer id. Rejects when ZooKeeper refuses. */
export interface ProducerIdSource {
  take(): Promise<number>
}

export interface InitProducerIdResult {
  readonly error: number
  /** -1 with an error. */
  readonly producerId: number
  /** -1 with an error. */
  readonly producerEpoch: number
}
