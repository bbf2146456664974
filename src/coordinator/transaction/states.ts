import { assert } from '../../base/assert.ts'
import type { LeaderEpoch, Millis, PartitionId } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import { coordinatorPartition } from '../../base/murmur2.ts'
import type { Clock } from '../../ports/clock.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { StateTopic } from '../types.ts'
import type { TransactionSnapshot } from './metadata.ts'
import { Transaction } from './metadata.ts'
import { encodeBatch, readChanges } from './records.ts'
import { coordinatorError } from './rules.ts'

/** The transactional ids of one partition of `__transaction_state` during one term of this broker as its leader. */
export class Term {
  readonly partition: PartitionId
  /** Epoch of the coordinator: the partition's leader epoch. */
  readonly epoch: LeaderEpoch
  readonly transactions = new Map<string, Transaction>()
  isLoading = true
  /** Resigned, or elected again: nothing that was learned in this term counts. */
  isOver = false
  /** Decided, but a partition refused the marker because it knows a newer producer or coordinator: tried again now and then. */
  readonly stranded = new Set<Transaction>()

  constructor(partition: PartitionId, epoch: LeaderEpoch) {
    this.partition = partition
    this.epoch = epoch
  }
}

export interface TransactionStatesOptions {
  readonly topic: StateTopic
  readonly clock: Clock
  readonly logger: Logger
  readonly loadBufferBytes: number
}

/** The memory of the transaction coordinator: terms by partition, their loading, and every change written before it counts. */
export class TransactionStates {
  readonly #options: TransactionStatesOptions
  readonly #terms = new Map<PartitionId, Term>()

  constructor(options: TransactionStatesOptions) {
    this.#options = options
  }

  partitionFor(transactionalId: string): PartitionId {
    return coordinatorPartition(transactionalId, this.#options.topic.partitionCount)
  }

  /** The term that an id belongs to, or the error: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS. */
  termOf(transactionalId: string): Term | number {
    const term = this.#terms.get(this.partitionFor(transactionalId))
    if (term === undefined) return ErrorCode.NOT_COORDINATOR
    return term.isLoading ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : term
  }

  /** Those that are loaded. */
  *terms(): Generator<Term> {
    for (const term of this.#terms.values()) if (!term.isLoading) yield term
  }

  /** Reads the partition; resolves with the term when it may serve, undefined when it is over. */
  async elect(partition: PartitionId, epoch: LeaderEpoch): Promise<Term | undefined> {
    const { topic, logger, clock, loadBufferBytes } = this.#options
    const known = this.#terms.get(partition)
    if (known !== undefined && known.epoch >= epoch) return undefined
    this.resign(partition)
    const term = new Term(partition, epoch)
    this.#terms.set(partition, term)
    const name = `${topic.name}-${partition}`
    logger.info(`Loading transaction metadata from ${name} at epoch ${epoch}`)
    const start = clock.now()
    const outcome = await topic.readAll(
      partition,
      loadBufferBytes,
      (batches) => this.#load(term, batches),
      () => term.isOver,
    )
    if (term.isOver || outcome === 'stale') return undefined
    if (outcome === 'failed') {
      // Without its log the broker stops leading the partition; until then the ids stay unknown here.
      logger.error(`Error loading transactions from transaction log ${name}`)
      return undefined
    }
    term.isLoading = false
    logger.info(
      `Finished loading ${term.transactions.size} transaction metadata from ${name} in ${Math.round(clock.now() - start)} milliseconds`,
    )
    return term
  }

  #load({ partition, transactions }: Term, batches: Buffer): void {
    const { topic, logger } = this.#options
    readChanges(
      batches,
      (id, snapshot) => {
        if (snapshot === undefined || snapshot.state === 'Dead') transactions.delete(id)
        else transactions.set(id, new Transaction(id, asLoaded(snapshot)))
      },
      (offset, error) => logger.error(`Record ${offset} of ${topic.name}-${partition} is left out: ${error.message}`),
    )
  }

  /** True when there was a term. */
  resign(partition: PartitionId): boolean {
    const term = this.#terms.get(partition)
    if (term === undefined) return false
    term.isOver = true
    this.#terms.delete(partition)
    return true
  }

  /**
   * Writes the step under way of a transaction; when it is replicated, the step is done. Answers 0 or the coordinator's error. On an error
   * the step is given up, whether its record will survive or not: the next record of the id overrules it. Unless `again`: the caller will
   * write the same step once more.
   */
  write(term: Term, transaction: Transaction, again = false): Promise<number> {
    const target = transaction.pending
    assert(target !== undefined, `${transaction.transactionalId}: nothing to write`)
    return this.#append(term, [[transaction.transactionalId, target]], target.timeoutMs, (error) => {
      if (error === ErrorCode.NONE) transaction.settle()
      else if (!again) transaction.giveUp()
    })
  }

  /** Removes ids whose step under way is Dead. */
  bury(term: Term, transactions: readonly Transaction[], timeoutMs: Millis): Promise<number> {
    const tombstones = transactions.map(({ transactionalId }) => [transactionalId, null] as const)
    return this.#append(term, tombstones, timeoutMs, (error) => {
      for (const transaction of transactions) {
        if (error !== ErrorCode.NONE) transaction.giveUp()
        else if (term.transactions.get(transaction.transactionalId) === transaction)
          term.transactions.delete(transaction.transactionalId)
      }
    })
  }

  /** `settle` is called in the turn of the append's outcome, unless the term is over by then. */
  #append(
    term: Term,
    entries: readonly (readonly [string, TransactionSnapshot | null])[],
    timeoutMs: Millis,
    settle: (error: number) => void,
  ): Promise<number> {
    if (term.isOver) return Promise.resolve(ErrorCode.NOT_COORDINATOR)
    const { topic, clock } = this.#options
    return new Promise((resolve) => {
      topic.append(term.partition, encodeBatch(clock.wall(), entries), -1, timeoutMs, (appendError) => {
        if (term.isOver) {
          resolve(ErrorCode.NOT_COORDINATOR)
          return
        }
        const error = coordinatorError(appendError)
        settle(error)
        resolve(error)
      })
    })
  }
}

/** A fence is never written by 1.1; who finds one takes the transaction for open, and its time-out aborts it. */
function asLoaded(snapshot: TransactionSnapshot): TransactionSnapshot {
  return snapshot.state === 'PrepareEpochFence' ? { ...snapshot, state: 'Ongoing' } : snapshot
}
