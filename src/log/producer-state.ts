import { ErrorCode } from '../protocol/errors.ts'
import {
  baseSequence,
  isControlBatch,
  isTransactional,
  lastOffset,
  lastOffsetDelta,
  lastSequence,
  producerEpoch,
  producerId,
} from '../protocol/records/batch.ts'
import { batchMaxTimestamp, readEndTxnMarker } from './batch-fields.ts'

/** Batches remembered per producer: a retry of one of them is a duplicate, not an error. */
export const REMEMBERED_BATCHES = 5
const NONE = -1

/**
 * Checks of a leader append (log-and-replication 2.4). `full`: client data; `epochOnly`: client writes to `__consumer_offsets`; `none`: what the
 * coordinators write, of which only the offsets of a fenced producer are refused.
 */
export type ProducerValidation = 'full' | 'epochOnly' | 'none'

/** What `.snapshot` keeps of a producer; also what the coordinators may look at. */
export interface ProducerEntry {
  readonly producerId: number
  readonly producerEpoch: number
  /** Sequence of the last record, -1 without data. */
  readonly lastSequence: number
  /** Offset of the last record, -1 without data. */
  readonly lastOffset: number
  /** Last minus first offset of the last batch. */
  readonly offsetDelta: number
  /** Greatest timestamp of the last batch. */
  readonly timestamp: number
  /** -1: no transaction marker seen. */
  readonly coordinatorEpoch: number
  /** -1: no open transaction. */
  readonly currentTxnFirstOffset: number
}

/** A transaction that a marker has just ended. */
export interface CompletedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Offset of the marker. */
  readonly lastOffset: number
  readonly aborted: boolean
}

interface Transaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Offset of its marker; NONE while undecided. */
  lastOffset: number
}

/** Outcome of `check`: 0, an error code, or DUPLICATE. */
export const DUPLICATE = -100

/** State of one producer. The remembered batches are a ring of fixed fields, newest at `count - 1` counted from `head`. */
class Producer {
  readonly id: number
  epoch = NONE
  coordinatorEpoch = NONE
  txnFirstOffset = NONE
  /** Timestamp of the marker that raised the epoch; snapshots of 1.1 do not have it. */
  fenceTimestamp = NONE
  count = 0
  #head = 0
  readonly #sequences = new Int32Array(REMEMBERED_BATCHES)
  readonly #deltas = new Int32Array(REMEMBERED_BATCHES)
  readonly #offsets = new Float64Array(REMEMBERED_BATCHES)
  readonly #timestamps = new Float64Array(REMEMBERED_BATCHES)

  constructor(id: number) {
    this.id = id
  }

  get lastSequence(): number {
    return this.count === 0 ? NONE : this.#sequences[this.#slot(this.count - 1)]!
  }

  get lastOffset(): number {
    return this.count === 0 ? NONE : this.#offsets[this.#slot(this.count - 1)]!
  }

  get lastDelta(): number {
    return this.count === 0 ? 0 : this.#deltas[this.#slot(this.count - 1)]!
  }

  get lastTimestamp(): number {
    return this.count === 0 ? NONE : this.#timestamps[this.#slot(this.count - 1)]!
  }

  adoptEpoch(epoch: number): void {
    if (this.epoch === epoch) return
    this.count = 0
    this.epoch = epoch
  }

  remember(sequence: number, delta: number, offset: number, timestamp: number): void {
    if (this.count === REMEMBERED_BATCHES) this.#head = (this.#head + 1) % REMEMBERED_BATCHES
    else this.count++
    const slot = this.#slot(this.count - 1)
    this.#sequences[slot] = sequence
    this.#deltas[slot] = delta
    this.#offsets[slot] = offset
    this.#timestamps[slot] = timestamp
  }

  /** Index of the remembered batch with exactly these sequences, -1 when none has. */
  find(firstSequence: number, sequence: number): number {
    for (let i = 0; i < this.count; i++) {
      const slot = this.#slot(i)
      const last = this.#sequences[slot]!
      let first = last - this.#deltas[slot]!
      if (first < 0) first += 2147483648
      if (last === sequence && first === firstSequence) return i
    }
    return -1
  }

  offsetOf(index: number): number {
    return this.#offsets[this.#slot(index)]!
  }

  deltaOf(index: number): number {
    return this.#deltas[this.#slot(index)]!
  }

  timestampOf(index: number): number {
    return this.#timestamps[this.#slot(index)]!
  }

  /** Forgets batches that ended below `offset`. */
  dropBatchesBelow(offset: number): void {
    while (this.count > 0 && this.#offsets[this.#head]! < offset) {
      this.#head = (this.#head + 1) % REMEMBERED_BATCHES
      this.count--
    }
  }

  clone(): Producer {
    const copy = new Producer(this.id)
    copy.epoch = this.epoch
    copy.coordinatorEpoch = this.coordinatorEpoch
    copy.txnFirstOffset = this.txnFirstOffset
    copy.fenceTimestamp = this.fenceTimestamp
    for (let i = 0; i < this.count; i++) {
      const slot = this.#slot(i)
      copy.remember(this.#sequences[slot]!, this.#deltas[slot]!, this.#offsets[slot]!, this.#timestamps[slot]!)
    }
    return copy
  }

  #slot(index: number): number {
    return (this.#head + index) % REMEMBERED_BATCHES
  }
}

/**
 * Producers of one partition: sequence numbers for idempotence, open transactions, the first unstable offset. Fed with every batch that
 * has a producer id, in log order. Producer ids beyond 2^53 are told apart by their exact value.
 */
export class ProducerState {
  readonly #producers = new Map<number | string, Producer>()
  /** Ascending by first offset. */
  readonly #ongoing: Transaction[] = []
  /** Decided, but the marker is not below the high watermark yet. Ascending by first offset. */
  readonly #unreplicated: Transaction[] = []
  readonly #completed: CompletedTransaction[] = []
  #journal: { producers: Map<number | string, Producer | undefined>; ongoing: Transaction[] } | undefined
  /** The duplicate that `check` found. */
  duplicateFirstOffset = NONE
  duplicateLastOffset = NONE
  duplicateTimestamp = NONE
  /** Why `check` refused, for the log line. */
  refusal = ''

  get isEmpty(): boolean {
    return this.#producers.size === 0 && this.#unreplicated.length === 0
  }

  get size(): number {
    return this.#producers.size
  }

  /** First offset of the oldest transaction that is open, or decided but not yet replicated; -1 when there is none. */
  get firstUnstableOffset(): number {
    const open = this.#ongoing[0]
    const decided = this.#unreplicated[0]
    if (open === undefined) return decided === undefined ? NONE : decided.firstOffset
    return decided === undefined || open.firstOffset < decided.firstOffset ? open.firstOffset : decided.firstOffset
  }

  /** May the batch at `position` be appended by a leader? 0, DUPLICATE (see the fields) or an error code; nothing changes. */
  check(buffer: Buffer, position: number, validation: ProducerValidation, isFromClient: boolean): number {
    const id = producerId(buffer, position)
    const known = this.#producers.get(keyOf(id))
    const epoch = producerEpoch(buffer, position)
    if (isControlBatch(buffer, position)) return this.#checkMarker(buffer, position, known, epoch)
    const first = baseSequence(buffer, position)
    if (isFromClient && known !== undefined && known.epoch === epoch) {
      const found = known.find(first, lastSequence(buffer, position))
      if (found >= 0) {
        this.duplicateLastOffset = known.offsetOf(found)
        this.duplicateFirstOffset = this.duplicateLastOffset - known.deltaOf(found)
        this.duplicateTimestamp = known.timestampOf(found)
        return DUPLICATE
      }
    }
    const error =
      validation === 'none' ? this.#checkCoordinatorWrite(known, epoch) : this.#checkSequence(known, id, epoch, first, validation)
    if (error !== 0) return error
    if (known !== undefined && known.txnFirstOffset !== NONE && !isTransactional(buffer, position)) {
      return this.#refuse(ErrorCode.INVALID_TXN_STATE, `Expected transactional write from producer ${id}`)
    }
    return 0
  }

  /**
   * Offsets of a transaction, which the group coordinator writes. 1.1 takes them under any epoch: a fenced producer's would stay open for ever,
   * or be committed by its successor. That the epoch was raised is proven by a marker; without one here, the coordinator's word counts as in 1.1.
   */
  #checkCoordinatorWrite(known: Producer | undefined, epoch: number): number {
    if (known === undefined || known.coordinatorEpoch === NONE || epoch >= known.epoch) return 0
    return this.#refuseEpoch(epoch, known.epoch)
  }

  #checkSequence(known: Producer | undefined, id: number, epoch: number, first: number, validation: ProducerValidation): number {
    if (known !== undefined && epoch < known.epoch) return this.#refuseEpoch(epoch, known.epoch)
    if (validation === 'epochOnly') return 0
    const outOfOrder = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    if (known === undefined || known.epoch === NONE) {
      if (first === 0) return 0
      return this.#refuse(
        ErrorCode.UNKNOWN_PRODUCER_ID,
        `Found no record of producerId=${id} on the broker. It is possible that the last message with the producerId=${id} has been removed due to hitting the retention limit.`,
      )
    }
    if (epoch !== known.epoch) {
      if (first === 0) return 0
      return this.#refuse(outOfOrder, `Invalid sequence number for new epoch: ${epoch} (request epoch), ${first} (seq. number)`)
    }
    const last = known.lastSequence
    if (last === NONE && first !== 0) {
      return this.#refuse(
        outOfOrder,
        `Out of order sequence number for producerId ${id}: found ${first} (incoming seq. number), but expected 0`,
      )
    }
    if (first === last + 1 || (first === 0 && last === 2147483647)) return 0
    return this.#refuse(
      outOfOrder,
      `Out of order sequence number for producerId ${id}: ${first} (incoming seq. number), ${last} (current end sequence number)`,
    )
  }

  #checkMarker(buffer: Buffer, position: number, known: Producer | undefined, epoch: number): number {
    if (known === undefined) return 0
    if (epoch < known.epoch) return this.#refuseEpoch(epoch, known.epoch)
    const marker = readEndTxnMarker(buffer, position)
    if (marker !== undefined && marker.coordinatorEpoch < known.coordinatorEpoch) {
      return this.#refuse(
        ErrorCode.TRANSACTION_COORDINATOR_FENCED,
        `Invalid coordinator epoch: ${marker.coordinatorEpoch} (zombie), ${known.coordinatorEpoch} (current)`,
      )
    }
    return 0
  }

  #refuseEpoch(epoch: number, known: number): number {
    const why = `Producer's epoch is no longer valid. There is probably another producer with a newer epoch. ${epoch} (request epoch), ${known} (server epoch)`
    return this.#refuse(ErrorCode.INVALID_PRODUCER_EPOCH, why)
  }

  #refuse(error: number, why: string): number {
    this.refusal = why
    return error
  }

  /** Takes the batch at `position` into account. Completed transactions collect until `takeCompleted`. */
  apply(buffer: Buffer, position: number): void {
    const id = producerId(buffer, position)
    const epoch = producerEpoch(buffer, position)
    const last = lastOffset(buffer, position)
    if (isControlBatch(buffer, position)) {
      const marker = readEndTxnMarker(buffer, position)
      // An empty control batch is all that compaction left of a transaction.
      if (marker !== undefined) {
        this.#noteFence(id, epoch, batchMaxTimestamp(buffer, position))
        this.#applyMarker(id, epoch, last, marker.commit, marker.coordinatorEpoch)
      }
      return
    }
    const producer = this.#modify(id)
    producer.adoptEpoch(epoch)
    const delta = lastOffsetDelta(buffer, position)
    producer.remember(lastSequence(buffer, position), delta, last, Number(batchMaxTimestamp(buffer, position)))
    if (producer.txnFirstOffset !== NONE || !isTransactional(buffer, position)) return
    producer.txnFirstOffset = last - delta
    this.#open({ producerId: id, firstOffset: last - delta, lastOffset: NONE })
  }

  #applyMarker(id: number, epoch: number, offset: number, commit: boolean, coordinatorEpoch: number): void {
    const producer = this.#modify(id)
    producer.adoptEpoch(epoch)
    const firstOffset = producer.txnFirstOffset === NONE ? offset : producer.txnFirstOffset
    if (producer.txnFirstOffset === NONE) this.#open({ producerId: id, firstOffset, lastOffset: NONE })
    producer.txnFirstOffset = NONE
    producer.coordinatorEpoch = coordinatorEpoch
    this.#completed.push({ producerId: id, firstOffset, lastOffset: offset, aborted: !commit })
  }

  #noteFence(id: number, epoch: number, timestamp: number): void {
    const producer = this.#modify(id)
    if (epoch > producer.epoch) producer.fenceTimestamp = timestamp
  }

  /** True when `apply` met a marker since the last `takeCompleted`. */
  get hasCompleted(): boolean {
    return this.#completed.length > 0
  }

  /** Closes the transactions that were ended and tells each with the last stable offset that it leaves. */
  takeCompleted(visit: (transaction: CompletedTransaction, lastStableOffset: number) => void): void {
    for (const completed of this.#completed) {
      const index = this.#ongoing.findIndex((transaction) => transaction.firstOffset === completed.firstOffset)
      if (index >= 0) {
        const [transaction] = this.#ongoing.splice(index, 1)
        transaction!.lastOffset = completed.lastOffset
        insertSorted(this.#unreplicated, transaction!)
      }
      visit(completed, this.#ongoing[0]?.firstOffset ?? completed.lastOffset + 1)
    }
    this.#completed.length = 0
  }

  /** Transactions whose marker lies below `highWatermark` are stable. True when there were any. */
  onHighWatermark(highWatermark: number): boolean {
    if (this.#unreplicated.length === 0) return false
    let kept = 0
    for (const transaction of this.#unreplicated)
      if (transaction.lastOffset >= highWatermark) this.#unreplicated[kept++] = transaction
    const changed = kept !== this.#unreplicated.length
    this.#unreplicated.length = kept
    return changed
  }

  /** From here on changes can be undone, until `commit` or `rollback`. */
  begin(): void {
    this.#journal = { producers: new Map(), ongoing: [...this.#ongoing] }
  }

  commit(): void {
    this.#journal = undefined
  }

  rollback(): void {
    const journal = this.#journal
    if (journal === undefined) return
    for (const [key, producer] of journal.producers) {
      if (producer === undefined) this.#producers.delete(key)
      else this.#producers.set(key, producer)
    }
    this.#ongoing.splice(0, this.#ongoing.length, ...journal.ongoing)
    this.#completed.length = 0
    this.#journal = undefined
  }

  clear(): void {
    this.#producers.clear()
    this.#ongoing.length = 0
    this.#unreplicated.length = 0
    this.#completed.length = 0
  }

  /** The head of the log went up to `logStartOffset`: producers whose data is gone are dropped, with their open transactions. */
  truncateHead(logStartOffset: number): void {
    for (const [key, producer] of this.#producers) {
      producer.dropBatchesBelow(logStartOffset)
      if (producer.lastOffset >= logStartOffset) continue
      this.#producers.delete(key)
      removeWhere(this.#ongoing, (transaction) => keyOf(transaction.producerId) === key)
    }
    removeWhere(this.#unreplicated, (transaction) => transaction.lastOffset < logStartOffset)
  }

  /**
   * Drops producers idle for `expirationMs` that have no open transaction. 1.1 goes by the timestamp of their last batch only, and so forgets at
   * once whom a marker has just fenced (KAFKA-9144).
   */
  removeExpired(wall: number, expirationMs: number): void {
    for (const [key, producer] of this.#producers) {
      const lastTimestamp = Math.max(producer.lastTimestamp, producer.fenceTimestamp)
      if (producer.txnFirstOffset === NONE && wall - lastTimestamp >= expirationMs) this.#producers.delete(key)
    }
  }

  /** From a snapshot. How old a fence without a batch is does not stand there; it lasts from `wall` on. */
  load(entry: ProducerEntry, wall: number): void {
    const producer = new Producer(entry.producerId)
    producer.epoch = entry.producerEpoch
    producer.coordinatorEpoch = entry.coordinatorEpoch
    producer.txnFirstOffset = entry.currentTxnFirstOffset
    if (entry.lastOffset >= 0) producer.remember(entry.lastSequence, entry.offsetDelta, entry.lastOffset, entry.timestamp)
    else producer.fenceTimestamp = wall
    this.#producers.set(keyOf(entry.producerId), producer)
    if (entry.currentTxnFirstOffset !== NONE) {
      this.#open({ producerId: entry.producerId, firstOffset: entry.currentTxnFirstOffset, lastOffset: NONE })
    }
  }

  get(id: number): ProducerEntry | undefined {
    const producer = this.#producers.get(keyOf(id))
    return producer === undefined ? undefined : entryOf(producer)
  }

  *entries(): Generator<ProducerEntry> {
    for (const producer of this.#producers.values()) yield entryOf(producer)
  }

  #modify(id: number): Producer {
    const key = keyOf(id)
    let producer = this.#producers.get(key)
    if (this.#journal !== undefined && !this.#journal.producers.has(key)) this.#journal.producers.set(key, producer?.clone())
    if (producer === undefined) {
      producer = new Producer(id)
      this.#producers.set(key, producer)
    }
    return producer
  }

  #open(transaction: Transaction): void {
    insertSorted(this.#ongoing, transaction)
  }
}

function entryOf(producer: Producer): ProducerEntry {
  return {
    producerId: producer.id,
    producerEpoch: producer.epoch,
    lastSequence: producer.lastSequence,
    lastOffset: producer.lastOffset,
    offsetDelta: producer.lastDelta,
    timestamp: producer.lastTimestamp,
    coordinatorEpoch: producer.coordinatorEpoch,
    currentTxnFirstOffset: producer.txnFirstOffset,
  }
}

function keyOf(id: number): number | string {
  return typeof id === 'number' ? id : String(id)
}

/** A transaction that begins where another one does replaces it, as in 1.1's map. */
function insertSorted(list: Transaction[], transaction: Transaction): void {
  let at = list.length
  while (at > 0 && list[at - 1]!.firstOffset > transaction.firstOffset) at--
  if (at > 0 && list[at - 1]!.firstOffset === transaction.firstOffset) list[at - 1] = transaction
  else list.splice(at, 0, transaction)
}

function removeWhere<T>(list: T[], gone: (item: T) => boolean): void {
  let kept = 0
  for (const item of list) if (!gone(item)) list[kept++] = item
  list.length = kept
}
