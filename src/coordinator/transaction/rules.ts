import type { EpochMillis, Millis } from '../../base/ids.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { sharedCoordinatorError } from '../append-errors.ts'
import type { Partitions, Transaction, TransactionSnapshot } from './metadata.ts'
import { completed, fenced, isEpochExhausted, prepared, withNewProducerId, withNextEpoch, withPartitions } from './metadata.ts'

/**
 * What a request does to a transactional id: an error code to answer at once, or the next snapshot, which must be written first. Pure;
 * order of checks and codes are 1.1.1's.
 */
export type Decision = { readonly error: number } | { readonly next: TransactionSnapshot }

/** Who asks. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

const refuse = (error: number): Decision => ({ error })

/**
 * InitProducerId. `newProducerId` must be given when the epochs are used up (`needsProducerId`). An open transaction is aborted first, with
 * a higher epoch: the decision is then PrepareAbort, and CONCURRENT_TRANSACTIONS the answer.
 */
export function decideInit(
  { current, pending }: Transaction,
  timeoutMs: Millis,
  newProducerId: number | undefined,
  now: EpochMillis,
): Decision {
  if (pending !== undefined) return refuse(ErrorCode.CONCURRENT_TRANSACTIONS)
  if (current.state === 'PrepareCommit' || current.state === 'PrepareAbort') return refuse(ErrorCode.CONCURRENT_TRANSACTIONS)
  if (current.state === 'Ongoing') return { next: prepared(fenced(current), false, now) }
  if (!isEpochExhausted(current)) return { next: withNextEpoch(current, timeoutMs, now) }
  return newProducerId === undefined
    ? refuse(ErrorCode.CONCURRENT_TRANSACTIONS)
    : { next: withNewProducerId(current, newProducerId, timeoutMs, now) }
}

/** True when `decideInit` would ask for another producer id. */
export function needsProducerId({ current, pending }: Transaction): boolean {
  const isResting = current.state === 'Empty' || current.state === 'CompleteCommit' || current.state === 'CompleteAbort'
  return pending === undefined && isResting && isEpochExhausted(current)
}

/** AddPartitionsToTxn and AddOffsetsToTxn. */
export function decideAdd(transaction: Transaction, by: ProducerIdentity, added: Partitions, now: EpochMillis): Decision {
  const { current, pending, producerEpoch } = transaction
  if (current.producerId !== by.producerId) return refuse(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
  if (producerEpoch !== by.producerEpoch || producerEpoch < 0) return refuse(ErrorCode.INVALID_PRODUCER_EPOCH)
  if (pending !== undefined) return refuse(ErrorCode.CONCURRENT_TRANSACTIONS)
  if (current.state === 'PrepareCommit' || current.state === 'PrepareAbort') return refuse(ErrorCode.CONCURRENT_TRANSACTIONS)
  if (current.state === 'Ongoing' && [...added.keys()].every((key) => current.partitions.has(key))) return refuse(ErrorCode.NONE)
  return { next: withPartitions(current, added, now) }
}

/** EndTxn. An epoch above the present one is not noticed here, but when the decision is written: as 1.1.1. */
export function decideEnd(transaction: Transaction, by: ProducerIdentity, isCommit: boolean, now: EpochMillis): Decision {
  const { current, pending, producerEpoch } = transaction
  if (current.producerId !== by.producerId) return refuse(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
  if (by.producerEpoch < producerEpoch) return refuse(ErrorCode.INVALID_PRODUCER_EPOCH)
  if (pending !== undefined) return refuse(ErrorCode.CONCURRENT_TRANSACTIONS)
  const same = (committed: boolean, error: number): Decision =>
    refuse(committed === isCommit ? error : ErrorCode.INVALID_TXN_STATE)
  switch (current.state) {
    case 'Ongoing':
      return { next: prepared(current, isCommit, now) }
    case 'CompleteCommit':
      return same(true, ErrorCode.NONE)
    case 'CompleteAbort':
      return same(false, ErrorCode.NONE)
    case 'PrepareCommit':
      return same(true, ErrorCode.CONCURRENT_TRANSACTIONS)
    case 'PrepareAbort':
      return same(false, ErrorCode.CONCURRENT_TRANSACTIONS)
    default:
      return refuse(ErrorCode.INVALID_TXN_STATE)
  }
}

/** The step of a transaction that is open for longer than its time-out; undefined: none is due. */
export function decideTimeout({ current, pending }: Transaction, now: EpochMillis): TransactionSnapshot | undefined {
  if (pending !== undefined || current.state !== 'Ongoing' || current.startTimestamp + current.timeoutMs >= now) return undefined
  return prepared(fenced(current), false, now)
}

/** A written decision whose markers nobody writes; undefined: it has none. The next snapshot is for when they are written. */
export function decideCompletion({ current, pending }: Transaction, now: EpochMillis): TransactionSnapshot | undefined {
  const isDecided = current.state === 'PrepareCommit' || current.state === 'PrepareAbort'
  return isDecided && pending === undefined ? completed(current, now) : undefined
}

/** Nothing happened to the id for `transactional.id.expiration.ms`, and nothing is open. */
export function isExpired({ current, pending }: Transaction, expirationMs: Millis, now: EpochMillis): boolean {
  if (pending !== undefined || current.lastUpdateTimestamp > now - expirationMs) return false
  return current.state === 'Empty' || current.state === 'CompleteCommit' || current.state === 'CompleteAbort'
}

/** The coordinator's code for a failed append to `__transaction_state`. */
export function coordinatorError(appendError: number): number {
  switch (appendError) {
    case ErrorCode.REQUEST_TIMED_OUT:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
      return ErrorCode.UNKNOWN_SERVER_ERROR
    default:
      return sharedCoordinatorError(appendError) ?? appendError
  }
}
