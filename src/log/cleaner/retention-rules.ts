import {
  isControlBatch,
  isTransactional,
  lastOffset,
  lastSequence,
  producerId,
  recordsCount,
} from '../../protocol/records/batch.ts'
import type { RecordCursor } from '../../protocol/records/record.ts'
import { readEndTxnMarker } from '../batch-fields.ts'
import type { PartitionLog } from '../log.ts'
import type { BatchRetention, FilterRules } from './batch-filter.ts'
import type { CleanedTransactions } from './cleaned-transactions.ts'
import type { CleaningStats } from './cleaning-stats.ts'
import type { OffsetMap } from './offset-map.ts'

/** Which records of one segment survive its cleaning: log-and-replication 4.4. */
export class RetentionRules implements FilterRules {
  /** Set per segment. */
  transactions: CleanedTransactions
  retainDeletes = true
  readonly #log: PartitionLog
  readonly #map: OffsetMap
  readonly #stats: CleaningStats
  /** Producers whose transaction has batches in what was kept, but no marker yet. 1.1 forgets them from one segment to the next. */
  readonly #undecided = new Set<string>()
  #discardRecords = false
  #isMarker = false

  constructor(log: PartitionLog, map: OffsetMap, stats: CleaningStats, transactions: CleanedTransactions) {
    this.#log = log
    this.#map = map
    this.#stats = stats
    this.transactions = transactions
  }

  checkBatch(buffer: Buffer, at: number): BatchRetention {
    const id = producerId(buffer, at)
    this.#isMarker = isControlBatch(buffer, at)
    this.#discardRecords = this.#isMarker ? this.#discardsMarker(buffer, at, id) : seeData(this.transactions, buffer, at)
    if (this.#isLastOf(id, buffer, at)) {
      this.#note(id, buffer, at)
      return 'retainEmpty'
    }
    if (this.#discardRecords) return 'delete'
    this.#note(id, buffer, at)
    return 'deleteEmpty'
  }

  #discardsMarker(buffer: Buffer, at: number, id: number): boolean {
    const isUseless = seeMarker(this.transactions, buffer, at)
    const key = String(id)
    const decides = this.#undecided.delete(key)
    return isUseless && !decides && !this.retainDeletes
  }

  #note(id: number, buffer: Buffer, at: number): void {
    if (!this.#isMarker && isTransactional(buffer, at)) this.#undecided.add(String(id))
  }

  /** The batch with a producer's last sequence stays, if only as a header: without it the producer would be out of sequence. */
  #isLastOf(id: number, buffer: Buffer, at: number): boolean {
    if (id < 0) return false
    const producer = this.#log.producerState(id)
    return producer !== undefined && producer.lastSequence === lastSequence(buffer, at)
  }

  keepRecord(cursor: RecordCursor): boolean {
    if (this.#discardRecords) return false
    if (cursor.offset > this.#map.latestOffset) return true
    if (cursor.keyLength < 0) {
      this.#stats.invalidMessages++
      return false
    }
    // In 1.1 a record with the key of a marker can make the marker go.
    if (this.#isMarker) return true
    if (cursor.valueLength < 0 && !this.retainDeletes) return false
    const last = this.#map.get(cursor.buffer, cursor.keyPosition, cursor.keyLength)
    return last < 0 || cursor.offset >= last
  }
}

/** Tells the transactions of a data batch; true when it belongs to an aborted one. */
export function seeData(transactions: CleanedTransactions, buffer: Buffer, at: number): boolean {
  return transactions.onData(producerId(buffer, at), isTransactional(buffer, at), lastOffset(buffer, at))
}

/** Tells them of a control batch; true when it is of no more use. */
export function seeMarker(transactions: CleanedTransactions, buffer: Buffer, at: number): boolean {
  const marker = readEndTxnMarker(buffer, at)
  return transactions.onMarker(producerId(buffer, at), marker?.commit, recordsCount(buffer, at) === 0, lastOffset(buffer, at))
}
