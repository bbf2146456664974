import { assert } from '../../base/assert.ts'
import type { EpochMillis, Millis, PartitionKey, TopicPartition } from '../../base/ids.ts'
import { partitionKey } from '../../base/ids.ts'

/** States of a transaction (KIP-98); the index is the byte in `__transaction_state`. */
export const transactionStates = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const
export type TransactionState = (typeof transactionStates)[number]

/** From which states a state may be entered. Dead (the id expires) and PrepareEpochFence (a newer producer came) are never written. */
export const legalPreviousStates: Readonly<Record<TransactionState, readonly TransactionState[]>> = {
  Empty: ['Empty', 'CompleteCommit', 'CompleteAbort'],
  Ongoing: ['Ongoing', 'Empty', 'CompleteCommit', 'CompleteAbort'],
  PrepareCommit: ['Ongoing'],
  PrepareAbort: ['Ongoing', 'PrepareEpochFence'],
  CompleteCommit: ['PrepareCommit'],
  CompleteAbort: ['PrepareAbort'],
  Dead: ['Empty', 'CompleteCommit', 'CompleteAbort'],
  PrepareEpochFence: ['Ongoing'],
}

export type Partitions = ReadonlyMap<PartitionKey, TopicPartition>
export const NO_PARTITIONS: Partitions = new Map()

export const NO_EPOCH = -1
export const MAX_EPOCH = 32767
const NO_START = -1

/** What the coordinator knows of one transactional id, as one record of `__transaction_state` has it. Immutable. */
export interface TransactionSnapshot {
  readonly producerId: number
  /** -1: the id has never been given out. */
  readonly producerEpoch: number
  /** As the producer asked: an open transaction is aborted when it is older. */
  readonly timeoutMs: Millis
  readonly state: TransactionState
  /** In the transaction: where the markers go. */
  readonly partitions: Partitions
  /** -1: none was started. */
  readonly startTimestamp: EpochMillis
  readonly lastUpdateTimestamp: EpochMillis
}

export function partitionMap(partitions: Iterable<TopicPartition>): Map<PartitionKey, TopicPartition> {
  const map = new Map<PartitionKey, TopicPartition>()
  for (const { topic, partition } of partitions) map.set(partitionKey(topic, partition), { topic, partition })
  return map
}

/** A new transactional id. */
export function newTransaction(producerId: number, timeoutMs: Millis, now: EpochMillis): TransactionSnapshot {
  return {
    producerId,
    producerEpoch: NO_EPOCH,
    timeoutMs,
    state: 'Empty',
    partitions: NO_PARTITIONS,
    startTimestamp: NO_START,
    lastUpdateTimestamp: now,
  }
}

/** The last epoch that is given out; the one behind it is left for fencing its owner. */
export function isEpochExhausted({ producerEpoch }: TransactionSnapshot): boolean {
  return producerEpoch >= MAX_EPOCH - 1
}

/** InitProducerId: the next epoch. */
export function withNextEpoch(from: TransactionSnapshot, timeoutMs: Millis, now: EpochMillis): TransactionSnapshot {
  assert(!isEpochExhausted(from), `no epoch behind ${from.producerEpoch}`)
  return withProducer(from, from.producerId, from.producerEpoch + 1, timeoutMs, now)
}

/** InitProducerId when the epochs are used up: another producer id. */
export function withNewProducerId(
  from: TransactionSnapshot,
  producerId: number,
  timeoutMs: Millis,
  now: EpochMillis,
): TransactionSnapshot {
  return withProducer(from, producerId, 0, timeoutMs, now)
}

function withProducer(from: TransactionSnapshot, producerId: number, producerEpoch: number, timeoutMs: Millis, now: EpochMillis) {
  const cleared = { partitions: NO_PARTITIONS, startTimestamp: NO_START, lastUpdateTimestamp: now }
  return moved(from, 'Empty', { producerId, producerEpoch, timeoutMs, ...cleared })
}

/** The first partitions begin the transaction. */
export function withPartitions(from: TransactionSnapshot, added: Partitions, now: EpochMillis): TransactionSnapshot {
  return moved(from, 'Ongoing', {
    partitions: new Map([...from.partitions, ...added]),
    startTimestamp: from.state === 'Ongoing' ? from.startTimestamp : now,
    lastUpdateTimestamp: now,
  })
}

/** A newer producer, or the time-out: whoever has the present epoch is shut out. At the last epoch of all it stays as it is. */
export function fenced(from: TransactionSnapshot): TransactionSnapshot {
  return moved(from, 'PrepareEpochFence', { producerEpoch: Math.min(from.producerEpoch + 1, MAX_EPOCH) })
}

/** The decision; once it is written it cannot be changed. */
export function prepared(from: TransactionSnapshot, isCommit: boolean, now: EpochMillis): TransactionSnapshot {
  return moved(from, isCommit ? 'PrepareCommit' : 'PrepareAbort', { lastUpdateTimestamp: now })
}

/** All markers are written. */
export function completed(from: TransactionSnapshot, now: EpochMillis): TransactionSnapshot {
  const state = from.state === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort'
  return moved(from, state, { partitions: NO_PARTITIONS, lastUpdateTimestamp: now })
}

/** The id expires. */
export function dead(from: TransactionSnapshot): TransactionSnapshot {
  return moved(from, 'Dead', { partitions: NO_PARTITIONS })
}

function moved(from: TransactionSnapshot, state: TransactionState, changes: Partial<TransactionSnapshot>): TransactionSnapshot {
  assert(legalPreviousStates[state].includes(from.state), `a transaction cannot go from ${from.state} to ${state}`)
  return { ...from, ...changes, state }
}

/**
 * One transactional id in the memory of its coordinator: what is written for good, and the step that is being written. While there is one,
 * nothing else may change.
 */
export class Transaction {
  readonly transactionalId: string
  current: TransactionSnapshot
  /** Target of the step under way; from the moment a decision is written until its markers are, the complete state. */
  pending: TransactionSnapshot | undefined

  constructor(transactionalId: string, current: TransactionSnapshot) {
    this.transactionalId = transactionalId
    this.current = current
  }

  /** The epoch that producers are measured by: a fence counts from the moment it is decided. */
  get producerEpoch(): number {
    return this.pending?.state === 'PrepareAbort' ? this.pending.producerEpoch : this.current.producerEpoch
  }

  begin(target: TransactionSnapshot): void {
    assert(this.pending === undefined, `${this.transactionalId}: ${this.pending?.state} is under way`)
    this.pending = target
  }

  /** What was being written is. */
  settle(): void {
    assert(this.pending !== undefined, `${this.transactionalId}: nothing is under way`)
    this.current = this.pending
    this.pending = undefined
  }

  /** It could not be written, or nobody knows. */
  giveUp(): void {
    this.pending = undefined
  }
}
