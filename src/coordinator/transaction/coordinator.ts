import type { LeaderEpoch, Millis, PartitionId, TopicPartition } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock, Timer } from '../../ports/clock.ts'
import { ErrorCode, errorName } from '../../protocol/errors.ts'
import type { StateLeadership, StateTopic } from '../types.ts'
import { MarkerSender } from './markers.ts'
import type { TransactionSnapshot } from './metadata.ts'
import { dead, newTransaction, partitionMap, Transaction } from './metadata.ts'
import type { Decision, ProducerIdentity } from './rules.ts'
import { decideAdd, decideCompletion, decideEnd, decideInit, decideTimeout, isExpired, needsProducerId } from './rules.ts'
import type { Term } from './states.ts'
import { TransactionStates } from './states.ts'
import type { InitProducerIdResult, MarkerTransport, ProducerIdSource, TransactionConfig } from './types.ts'

export interface TransactionCoordinatorOptions {
  readonly config: TransactionConfig
  readonly topic: StateTopic
  readonly clock: Clock
  readonly logger: Logger
  readonly producerIds: ProducerIdSource
  readonly markers: MarkerTransport
}

/** Pause before a completed transaction is written again. */
const COMPLETION_RETRY_MS = 100
/** Ids that one batch of tombstones removes. */
const TOMBSTONES = 500

/**
 * The transaction coordinator (KIP-98) of the partitions of `__transaction_state` that this broker leads. What a request does is decided by
 * pure rules, written to the partition, and answered when it is replicated; a decision to commit or abort is then carried to the leader of
 * every partition of the transaction. Whoever leads the partition next reads all of that and goes on where it stopped.
 */
export class TransactionCoordinator implements StateLeadership {
  readonly #options: TransactionCoordinatorOptions
  readonly #states: TransactionStates
  readonly #markers: MarkerSender
  readonly #log: Logger
  readonly #timers = new Map<string, Timer>()
  #completionRetries = 0
  #isActive = false

  constructor(options: TransactionCoordinatorOptions) {
    const { topic, clock, logger, config, markers } = options
    this.#options = options
    this.#log = logger
    this.#states = new TransactionStates({ topic, clock, logger, loadBufferBytes: config.loadBufferBytes })
    this.#markers = new MarkerSender(markers, clock, logger)
  }

  /** Serves requests from now on, aborts what is too old, forgets what nobody uses. */
  start(): void {
    const { abortTimedOutIntervalMs, removeExpiredIntervalMs } = this.#options.config
    this.#isActive = true
    this.#every('transaction-abort', abortTimedOutIntervalMs, () => this.#tidyUp())
    this.#every('transactionalId-expiration', removeExpiredIntervalMs, () => this.#removeExpired())
  }

  stop(): void {
    this.#isActive = false
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
    this.#markers.close()
  }

  #every(name: string, intervalMs: Millis, work: () => void): void {
    const timer = this.#options.clock.timer(
      intervalMs,
      () => {
        work()
        if (this.#isActive) this.#every(name, intervalMs, work)
      },
      true,
    )
    this.#timers.set(name, timer)
  }

  /** Partitions whose marker has no leader to go to (metric UnknownDestinationQueueSize). */
  get unknownDestinations(): number {
    return this.#markers.homeless
  }

  /** Completed transactions that could not be written yet (metric LogAppendRetryQueueSize). */
  get completionRetries(): number {
    return this.#completionRetries
  }

  partitionFor(transactionalId: string): PartitionId {
    return this.#states.partitionFor(transactionalId)
  }

  // ---------------------------------------------------------------- leadership

  /** Reads the partition and finishes what the coordinator before has decided. */
  onElection(partition: PartitionId, leaderEpoch: LeaderEpoch): void {
    void this.#take(partition, leaderEpoch)
  }

  async #take(partition: PartitionId, leaderEpoch: LeaderEpoch): Promise<void> {
    const term = await this.#states.elect(partition, leaderEpoch)
    if (term === undefined || term.isOver) return
    for (const transaction of term.transactions.values()) this.#completeIfDecided(term, transaction)
  }

  onResignation(partition: PartitionId): void {
    if (this.#states.resign(partition))
      this.#log.info(`Unloaded the transactions of partition ${partition} of the transaction topic`)
  }

  // ---------------------------------------------------------------- requests

  /**
   * InitProducerId. Null id: a fresh producer id, epoch 0, no state. Else INVALID_REQUEST (empty), INVALID_TRANSACTION_TIMEOUT,
   * NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, CONCURRENT_TRANSACTIONS, or the id's next epoch. Rejects when
   * no producer id can be had.
   */
  async initProducerId(transactionalId: string | null, timeoutMs: Millis): Promise<InitProducerIdResult> {
    if (transactionalId === null) return granted(await this.#options.producerIds.take(), 0)
    if (transactionalId === '') return refused(ErrorCode.INVALID_REQUEST)
    if (timeoutMs <= 0 || timeoutMs > this.#options.config.maxTimeoutMs) return refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    const term = this.#termOf(transactionalId)
    if (typeof term === 'number') return refused(term)
    const known = term.transactions.get(transactionalId)
    const freshId = known === undefined || needsProducerId(known) ? await this.#options.producerIds.take() : undefined
    if (term.isOver) return refused(ErrorCode.NOT_COORDINATOR)
    const now = this.#options.clock.wall()
    let transaction = term.transactions.get(transactionalId)
    if (transaction === undefined) {
      // It may have expired while another producer id was fetched for it, or nothing was fetched: that one comes again.
      if (freshId === undefined) return refused(ErrorCode.CONCURRENT_TRANSACTIONS)
      transaction = new Transaction(transactionalId, newTransaction(freshId, timeoutMs, now))
      term.transactions.set(transactionalId, transaction)
    }
    const decision = decideInit(transaction, timeoutMs, freshId, now)
    if ('error' in decision) return refused(decision.error)
    const { next } = decision
    transaction.begin(next)
    if (next.state === 'PrepareAbort') {
      const error = await this.#writeDecision(term, transaction, next.producerEpoch)
      return refused(error === ErrorCode.NONE ? ErrorCode.CONCURRENT_TRANSACTIONS : error)
    }
    const error = await this.#states.write(term, transaction)
    if (error !== ErrorCode.NONE) return refused(error)
    this.#log.info(
      `Initialized transactionalId ${transactionalId} with producerId ${next.producerId} and producer epoch ${next.producerEpoch}`,
    )
    return granted(next.producerId, next.producerEpoch)
  }

  /**
   * AddPartitionsToTxn, AddOffsetsToTxn: 0 when all of them are in the transaction. INVALID_REQUEST (empty id), INVALID_PRODUCER_ID_MAPPING,
   * INVALID_PRODUCER_EPOCH, CONCURRENT_TRANSACTIONS, and the coordinator's codes.
   */
  async addPartitions(transactionalId: string, by: ProducerIdentity, partitions: readonly TopicPartition[]): Promise<number> {
    const found = this.#find(transactionalId)
    if (typeof found === 'number') return found
    const { term, transaction } = found
    const decision = decideAdd(transaction, by, partitionMap(partitions), this.#options.clock.wall())
    return this.#carryOut(decision, (next) => {
      transaction.begin(next)
      return this.#states.write(term, transaction)
    })
  }

  /** EndTxn: 0 when the decision is written; markers follow by themselves. Codes as `addPartitions`, and INVALID_TXN_STATE. */
  async endTransaction(transactionalId: string, by: ProducerIdentity, isCommit: boolean): Promise<number> {
    const found = this.#find(transactionalId)
    if (typeof found === 'number') return found
    const { term, transaction } = found
    const decision = decideEnd(transaction, by, isCommit, this.#options.clock.wall())
    return this.#carryOut(decision, (next) => {
      transaction.begin(next)
      return this.#writeDecision(term, transaction, by.producerEpoch)
    })
  }

  #carryOut(decision: Decision, write: (next: TransactionSnapshot) => Promise<number>): Promise<number> | number {
    return 'error' in decision ? decision.error : write(decision.next)
  }

  #termOf(transactionalId: string): Term | number {
    return this.#isActive ? this.#states.termOf(transactionalId) : ErrorCode.COORDINATOR_NOT_AVAILABLE
  }

  #find(transactionalId: string): { term: Term; transaction: Transaction } | number {
    if (transactionalId === '') return ErrorCode.INVALID_REQUEST
    const term = this.#termOf(transactionalId)
    if (typeof term === 'number') return term
    const transaction = term.transactions.get(transactionalId)
    return transaction === undefined ? ErrorCode.INVALID_PRODUCER_ID_MAPPING : { term, transaction }
  }

  // ---------------------------------------------------------------- decisions

  /** Writes the step under way, which is a decision, and sets the markers going. */
  async #writeDecision(term: Term, transaction: Transaction, producerEpoch: number): Promise<number> {
    const error = await this.#states.write(term, transaction)
    if (error !== ErrorCode.NONE) return error
    if (term.isOver) return ErrorCode.NOT_COORDINATOR
    // EndTxn with an epoch above ours: 1.1.1 has written the decision by now, but nobody carries it out. Here `#tidyUp` does, in time.
    if (transaction.current.producerEpoch !== producerEpoch) return ErrorCode.INVALID_PRODUCER_EPOCH
    this.#completeIfDecided(term, transaction)
    return ErrorCode.NONE
  }

  /** From the written decision to the written completion. */
  #completeIfDecided(term: Term, transaction: Transaction): void {
    const next = decideCompletion(transaction, this.#options.clock.wall())
    if (next === undefined) return
    transaction.begin(next)
    this.#sendMarkers(term, transaction)
  }

  #sendMarkers(term: Term, transaction: Transaction): void {
    const { transactionalId, current } = transaction
    this.#markers.add({
      transactionalId,
      producerId: current.producerId,
      producerEpoch: current.producerEpoch,
      isCommit: current.state === 'PrepareCommit',
      coordinatorEpoch: term.epoch,
      partitions: current.partitions,
      isCancelled: () => term.isOver,
      onDone: () => void this.#writeCompletion(term, transaction),
      onFenced: (error) => {
        this.#log.warn(`${transactionalId} stays in ${current.state}: a partition refused its marker with ${errorName(error)}`)
        term.stranded.add(transaction)
      },
    })
  }

  async #writeCompletion(term: Term, transaction: Transaction): Promise<void> {
    const error = await this.#states.write(term, transaction, true)
    if (error === ErrorCode.NONE || term.isOver) return
    this.#log.info(`Completion of ${transaction.transactionalId} is written again: ${errorName(error)}`)
    this.#completionRetries++
    this.#options.clock.timer(
      COMPLETION_RETRY_MS,
      () => {
        this.#completionRetries--
        if (!term.isOver && this.#isActive) void this.#writeCompletion(term, transaction)
      },
      true,
    )
  }

  // ---------------------------------------------------------------- periodic work

  /** Aborts what is open for too long, and takes up again what was decided and got stuck. */
  #tidyUp(): void {
    const now = this.#options.clock.wall()
    for (const term of this.#states.terms()) {
      const stranded = [...term.stranded]
      term.stranded.clear()
      for (const transaction of stranded) this.#sendMarkers(term, transaction)
      for (const transaction of term.transactions.values()) {
        const next = decideTimeout(transaction, now)
        if (next === undefined) this.#completeIfDecided(term, transaction)
        else void this.#abortTimedOut(term, transaction, next)
      }
    }
  }

  async #abortTimedOut(term: Term, transaction: Transaction, next: TransactionSnapshot): Promise<void> {
    transaction.begin(next)
    const error = await this.#writeDecision(term, transaction, next.producerEpoch)
    const how = error === ErrorCode.NONE ? 'Completed rollback of' : `Rollback failed with ${errorName(error)} for the`
    this.#log.info(`${how} ongoing transaction of transactionalId: ${transaction.transactionalId} due to timeout`)
  }

  #removeExpired(): void {
    const { idExpirationMs, requestTimeoutMs } = this.#options.config
    const now = this.#options.clock.wall()
    for (const term of this.#states.terms()) {
      const expired = [...term.transactions.values()].filter((transaction) => isExpired(transaction, idExpirationMs, now))
      for (const transaction of expired) transaction.begin(dead(transaction.current))
      for (let i = 0; i < expired.length; i += TOMBSTONES) {
        void this.#states.bury(term, expired.slice(i, i + TOMBSTONES), requestTimeoutMs)
      }
    }
  }
}

function granted(producerId: number, producerEpoch: number): InitProducerIdResult {
  return { error: ErrorCode.NONE, producerId, producerEpoch }
}

function refused(error: number): InitProducerIdResult {
  return { error, producerId: -1, producerEpoch: -1 }
}
