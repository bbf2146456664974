import { ErrorCode } from '../../protocol/errors.ts'
import { byTopic } from '../by-topic.ts'
import type { ClusterClient } from '../cluster-client.ts'
import {
  exceptionOf,
  GroupAuthorizationException,
  IllegalStateException,
  isRetriable,
  KafkaException,
  NetworkException,
  ProducerFencedException,
  TimeoutException,
} from '../errors.ts'
import type { PartitionQueue } from './batch.ts'
import type { ProducerIdentity } from './identity.ts'
import type { TopicPartitionOffset } from './types.ts'

export type TransactionState =
  | 'uninitialized'
  | 'initializing'
  | 'ready'
  | 'inTransaction'
  | 'committing'
  | 'aborting'
  | 'abortableError'
  | 'fatalError'

export interface TransactionOptions {
  readonly cluster: ClusterClient
  readonly identity: ProducerIdentity
  readonly transactionalId: string
  /** `transaction.timeout.ms` */
  readonly timeoutMs: number
  /** Partitions have become writable, or the state has changed. */
  readonly onProgress: () => void
}

/** The first AddPartitionsToTxn of a transaction may meet the completion of the one before: that takes a moment only. */
const ADD_PARTITIONS_BACKOFF_MS = 20

/**
 * The transactional side of a producer (KIP-98), as the 1.1 client; after an EndTxn of unknown outcome, and after an error, it asks for a new
 * epoch before the next transaction, so that a late EndTxn can decide nothing but its own.
 */
export class Transaction {
  readonly #options: TransactionOptions
  #state: TransactionState = 'uninitialized'
  #error: KafkaException | undefined
  #coordinator: number | undefined
  readonly #members = new Set<PartitionQueue>()
  #wanted = new Set<PartitionQueue>()
  #adding = false
  /** Something of the transaction has reached the coordinator. */
  #hasBegun = false
  /** The next transaction needs a new epoch. */
  #needsEpoch = false
  /** Groups that the coordinator knows to be part of it. */
  readonly #groups = new Set<string>()

  constructor(options: TransactionOptions) {
    this.#options = options
  }

  get state(): TransactionState {
    return this.#state
  }

  get error(): KafkaException | undefined {
    return this.#error
  }

  get isFatal(): boolean {
    return this.#state === 'fatalError'
  }

  /** Whether a batch for the partition may be sent now. */
  has(queue: PartitionQueue): boolean {
    return this.#members.has(queue)
  }

  // ---- states

  /** Throws when records cannot be sent now. */
  checkSend(): void {
    this.#checkNoError('perform send')
    if (!this.#options.identity.isKnown)
      throw new IllegalStateException(
        "Cannot perform a 'send' before completing a call to initTransactions when transactions are enabled.",
      )
    if (this.#state !== 'inTransaction') throw new IllegalStateException(`Cannot call send in state ${this.#state}`)
  }

  #checkNoError(what: string): void {
    if (this.#error === undefined) return
    // Java wraps all but fencing.
    if (this.#error instanceof ProducerFencedException) throw this.#error
    throw new KafkaException(
      `Cannot ${what} because at least one previous transactional or idempotent request has failed with errors.`,
      { cause: this.#error, code: this.#error.code },
    )
  }

  #expectState(call: string, allowed: readonly TransactionState[]): void {
    if (!allowed.includes(this.#state)) throw new IllegalStateException(`Cannot call ${call} in state ${this.#state}`)
  }

  /** Only `abort` is left to do. */
  failAbortably(error: KafkaException): void {
    if (this.#state === 'aborting' || this.#state === 'fatalError') return
    if (this.#state !== 'inTransaction' && this.#state !== 'committing') return
    this.#state = 'abortableError'
    this.#error = error
    this.#needsEpoch = true
    this.#options.onProgress()
  }

  /** A numbered batch was dropped: its number is missing under this epoch. */
  requireEpoch(): void {
    this.#needsEpoch = true
  }

  /** Only `close` is left to do. */
  failFatally(error: KafkaException): void {
    if (this.#state === 'fatalError') return
    this.#state = 'fatalError'
    this.#error = error
    this.#options.onProgress()
  }

  // ---- the calls of the producer

  /** Rejects with TimeoutException after `maxBlockMs`; it may then be called again. */
  async initialize(maxBlockMs: number): Promise<void> {
    this.#checkNoError('execute transactional method')
    this.#expectState('initTransactions', ['uninitialized'])
    this.#state = 'initializing'
    const { cluster } = this.#options
    try {
      await this.#renewEpoch(cluster.environment.clock.now() + maxBlockMs)
      this.#state = 'ready'
    } catch (error) {
      if (!(error instanceof TimeoutException)) throw this.#fatal(error)
      this.#state = 'uninitialized'
      throw new TimeoutException(`Timeout expired while initializing transactional state in ${maxBlockMs}ms.`, error)
    }
  }

  begin(): void {
    this.#checkNoError('execute transactional method')
    this.#expectState('beginTransaction', ['ready'])
    this.#state = 'inTransaction'
  }

  /** The partition gets records: it must be part of the transaction before they are sent. */
  join(queue: PartitionQueue): void {
    if (this.#members.has(queue) || this.#wanted.has(queue)) return
    this.#wanted.add(queue)
    // In a later turn, so that the partitions of one burst go together.
    this.#options.cluster.environment.clock.soon(() => void this.#addPartitions())
  }

  async sendOffsets(offsets: readonly TopicPartitionOffset[], groupId: string): Promise<void> {
    this.#checkNoError('execute transactional method')
    this.#expectState('sendOffsetsToTransaction', ['inTransaction'])
    try {
      await this.#addGroup(groupId)
      await this.#commitOffsets(offsets, groupId)
    } catch (error) {
      throw this.#abortable(error)
    }
  }

  /** `flushed`: resolves when everything sent has its answer. */
  async commit(flush: () => Promise<void>): Promise<void> {
    this.#checkNoError('execute transactional method')
    this.#expectState('commitTransaction', ['inTransaction'])
    this.#state = 'committing'
    await flush()
    // A batch may have failed meanwhile.
    this.#checkNoError('execute transactional method')
    await this.#end(true)
  }

  /** `drop`: fails what was not sent yet, and resolves when the rest has its answer. */
  async abort(drop: () => Promise<void>): Promise<void> {
    if (this.#state === 'fatalError') this.#checkNoError('execute transactional method')
    this.#expectState('abortTransaction', ['inTransaction', 'abortableError'])
    this.#state = 'aborting'
    this.#error = undefined
    this.#wanted = new Set()
    await drop()
    if (this.isFatal) throw this.#error ?? new KafkaException('the producer has failed')
    await this.#end(false)
  }

  async #end(isCommit: boolean): Promise<void> {
    try {
      while (this.#adding) await this.#options.cluster.sleep(ADD_PARTITIONS_BACKOFF_MS)
      if (this.#hasBegun) await this.#endTxn(isCommit)
      if (this.#needsEpoch) await this.#renewEpoch(Number.POSITIVE_INFINITY)
    } catch (error) {
      throw this.#fatal(error)
    } finally {
      this.#members.clear()
      this.#wanted = new Set()
      this.#groups.clear()
      this.#hasBegun = false
    }
    this.#state = 'ready'
    this.#error = undefined
    this.#options.onProgress()
  }

  // ---- errors

  #fatal(error: unknown): KafkaException {
    const shown = asKafka(error)
    this.failFatally(shown)
    return shown
  }

  #abortable(error: unknown): KafkaException {
    const shown = asKafka(error)
    if (isFatal(shown)) this.failFatally(shown)
    else this.failAbortably(shown)
    return shown
  }

  // ---- requests

  /** A new epoch under the transactional id; ends what an earlier instance left open. */
  async #renewEpoch(deadline: number): Promise<void> {
    const { cluster, identity, transactionalId, timeoutMs } = this.#options
    const answer = await this.#ask('InitProducerId', deadline, undefined, (node) =>
      cluster.request(node, 'InitProducerId', { transactionalId, transactionTimeoutMs: timeoutMs }),
    )
    identity.assume(answer.producerId, answer.producerEpoch)
    this.#needsEpoch = false
  }

  async #addPartitions(): Promise<void> {
    if (this.#adding || this.#wanted.size === 0) return
    this.#adding = true
    const { cluster, identity, transactionalId, onProgress } = this.#options
    const added = [...this.#wanted]
    try {
      const topics = byTopic(added, ({ partition }) => partition)
      await this.#ask('AddPartitionsToTxn', Number.POSITIVE_INFINITY, ADD_PARTITIONS_BACKOFF_MS, async (node) => {
        this.#hasBegun = true
        const { producerId, producerEpoch } = identity
        const answer = await cluster.request(node, 'AddPartitionsToTxn', {
          transactionalId,
          producerId,
          producerEpoch,
          topics,
        })
        const codes = answer.errors.flatMap(({ partitionErrors }) => partitionErrors.map(({ errorCode }) => errorCode))
        // Where one is refused the others are "not attempted": the reason is the other code.
        const refused = codes.filter((code) => code !== ErrorCode.NONE)
        return { errorCode: refused.find((code) => code !== ErrorCode.OPERATION_NOT_ATTEMPTED) ?? refused[0] ?? ErrorCode.NONE }
      })
      for (const queue of added) if (this.#wanted.delete(queue)) this.#members.add(queue)
    } catch (error) {
      for (const queue of added) this.#wanted.delete(queue)
      this.#abortable(error)
    } finally {
      this.#adding = false
      onProgress()
      if (this.#wanted.size > 0) void this.#addPartitions()
    }
  }

  async #addGroup(groupId: string): Promise<void> {
    if (this.#groups.has(groupId)) return
    const { cluster, identity, transactionalId } = this.#options
    await this.#ask('AddOffsetsToTxn', Number.POSITIVE_INFINITY, undefined, (node) => {
      this.#hasBegun = true
      const { producerId, producerEpoch } = identity
      return cluster.request(node, 'AddOffsetsToTxn', { transactionalId, producerId, producerEpoch, groupId })
    })
    this.#groups.add(groupId)
  }

  async #commitOffsets(offsets: readonly TopicPartitionOffset[], groupId: string): Promise<void> {
    const { cluster, identity, transactionalId } = this.#options
    let left = [...offsets]
    let group: number | undefined
    while (left.length > 0) {
      try {
        group ??= (await cluster.findCoordinator('group', groupId)).id
        const { producerId, producerEpoch } = identity
        const answer = await cluster.request(group, 'TxnOffsetCommit', {
          transactionalId,
          groupId,
          producerId,
          producerEpoch,
          topics: byTopic(left, ({ partition, offset, metadata }) => ({ partition, offset, metadata: metadata ?? '' })),
        })
        const codes = new Map(
          answer.topics.flatMap(({ topic, partitions }) =>
            partitions.map(({ partition, errorCode }) => [`${topic}-${partition}`, errorCode] as const),
          ),
        )
        left = left.filter(({ topic, partition }) => codes.get(`${topic}-${partition}`) !== ErrorCode.NONE)
        const first = left[0]
        if (first === undefined) return
        const code = codes.get(`${first.topic}-${first.partition}`) ?? ErrorCode.UNKNOWN_SERVER_ERROR
        if (code === ErrorCode.GROUP_AUTHORIZATION_FAILED) throw new GroupAuthorizationException(groupId)
        throw exceptionOf(code)
      } catch (error) {
        if (!isRetriable(error) || cluster.isClosed) throw error
        group = undefined
        await cluster.sleep(cluster.config['retry.backoff.ms'])
      }
    }
  }

  async #endTxn(isCommit: boolean): Promise<void> {
    const { cluster, identity, transactionalId } = this.#options
    await this.#ask('EndTxn', Number.POSITIVE_INFINITY, undefined, async (node) => {
      const { producerId, producerEpoch } = identity
      try {
        return await cluster.request(node, 'EndTxn', { transactionalId, producerId, producerEpoch, transactionResult: isCommit })
      } catch (error) {
        // It may still arrive, whenever: the next transaction must have another epoch (KAFKA-17754).
        if (error instanceof NetworkException || error instanceof TimeoutException) this.#needsEpoch = true
        throw error
      }
    })
  }

  /**
   * Asks the coordinator, looking it up where needed, until it answers NONE, an error that stays, or the deadline passes
   * (TimeoutException).
   */
  async #ask<T extends { readonly errorCode: number }>(
    what: string,
    deadline: number,
    busyBackoffMs: number | undefined,
    request: (node: number) => Promise<T>,
  ): Promise<T> {
    const { cluster, transactionalId } = this.#options
    const { clock } = cluster.environment
    for (;;) {
      let failure: KafkaException
      try {
        this.#coordinator ??= (await cluster.findCoordinator('transaction', transactionalId)).id
        const answer = await request(this.#coordinator)
        if (answer.errorCode === ErrorCode.NONE) return answer
        failure = exceptionOf(answer.errorCode)
      } catch (error) {
        failure = asKafka(error)
      }
      const isBusy = failure.code === ErrorCode.CONCURRENT_TRANSACTIONS
      const isLoading = failure.code === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
      if ((!failure.retriable && !isBusy) || cluster.isClosed) throw failure
      if (!isBusy && !isLoading) this.#coordinator = undefined
      if (failure.invalidMetadata) cluster.metadata.requestUpdate()
      const pauseMs = isBusy && busyBackoffMs !== undefined ? busyBackoffMs : cluster.config['retry.backoff.ms']
      if (clock.now() + pauseMs >= deadline) throw new TimeoutException(`${what}: ${failure.message}`, failure)
      await cluster.sleep(pauseMs)
    }
  }
}

/** What no new attempt of this producer can heal. */
const FATAL: ReadonlySet<number> = new Set([
  ErrorCode.INVALID_PRODUCER_EPOCH,
  ErrorCode.INVALID_PRODUCER_ID_MAPPING,
  ErrorCode.INVALID_TXN_STATE,
  ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
  ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
  ErrorCode.UNSUPPORTED_VERSION,
  ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
])

export function isFatal(error: KafkaException): boolean {
  return FATAL.has(error.code)
}

function asKafka(error: unknown): KafkaException {
  return error instanceof KafkaException ? error : new KafkaException(String(error), { cause: error })
}
