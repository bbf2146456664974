import type { RecordsSource } from '../../base/bytes.ts'
import type { Millis } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock, Timer } from '../../ports/clock.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { ProducerConfig } from '../config/index.ts'
import {
  AuthorizationException,
  exceptionOf,
  IllegalArgumentException,
  KafkaException,
  OutOfOrderSequenceException,
  TimeoutException,
  TopicAuthorizationException,
  UnsupportedVersionException,
} from '../errors.ts'
import type { Accumulator } from './accumulator.ts'
import { acksOf, answerFor, NO_ANSWER, type PartitionAnswer } from './answer.ts'
import type { PartitionQueue, ProducerBatch } from './batch.ts'
import { expiredBatches } from './expiry.ts'
import type { ProducerIdentity } from './identity.ts'
import { identityChanged, unsafeToContinue } from './identity.ts'
import { LeaderProof } from './leader-proof.ts'
import type { ProducerMetrics } from './metrics.ts'
import { isFatal, type Transaction } from './transaction.ts'

export interface SenderOptions {
  readonly cluster: ClusterClient
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  readonly metrics: ProducerMetrics
  /** With `enable.idempotence`. */
  readonly identity: ProducerIdentity | undefined
  /** With `transactional.id`. */
  readonly transaction: Transaction | undefined
  /** Memory is free again. */
  readonly onMemory: () => void
}

/**
 * Sends batches that are ready, in the turn in which they become so, and settles them. Order of a partition: with idempotence by sequence
 * numbers; else whole with `max.in.flight.requests.per.connection=1`, as in Java.
 */
export class Sender {
  readonly #options: SenderOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #acks: number
  readonly #proof: LeaderProof | undefined
  #isScheduled = false
  #timer: Timer | undefined
  #timerAt: Millis = Number.POSITIVE_INFINITY
  /** Calls of `flush` under way: everything is ready. */
  #flushing = 0
  #isClosing = false
  #rotation = 0
  #underWay = 0
  #isAskingForId = false
  /** What `idle` waits for. */
  #idlers: (() => void)[] = []

  constructor(options: SenderOptions) {
    this.#options = options
    this.#clock = options.cluster.environment.clock
    this.#log = options.cluster.logAs('org.apache.kafka.clients.producer.internals.Sender')
    this.#acks = acksOf(options.config)
    const { config } = options
    if (config['zookeeper.connect'] !== '') this.#proof = new LeaderProof(config['request.timeout.ms'])
    options.cluster.onNodeReady(() => this.drain())
    options.cluster.onNodeDisconnect(() => this.wakeAt(this.#clock.now() + options.config['retry.backoff.ms']))
    options.cluster.metadata.onChange(() => this.wake())
  }

  /** Requests under way. */
  get underWay(): number {
    return this.#underWay
  }

  // ---- when to look

  /** Something may be ready: looks in a later turn, so that all records of this one are seen. */
  wake(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(() => {
      this.#isScheduled = false
      this.drain()
    })
  }

  wakeAt(time: Millis): void {
    if (time >= this.#timerAt || time === Number.POSITIVE_INFINITY) return
    this.#timer?.cancel()
    this.#timerAt = time
    this.#timer = this.#clock.timer(Math.max(0, time - this.#clock.now()), () => {
      this.#timer = undefined
      this.#timerAt = Number.POSITIVE_INFINITY
      this.drain()
    })
  }

  /** Resolves when all that was accepted has been settled. Until then everything is ready to go. */
  async flush(): Promise<void> {
    this.#flushing++
    this.wake()
    try {
      await this.idle()
    } finally {
      this.#flushing--
    }
  }

  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve()
    return new Promise((resolve) => void this.#idlers.push(resolve))
  }

  #isIdle(): boolean {
    return this.#options.accumulator.isEmpty && this.#underWay === 0
  }

  #noteIdle(): void {
    if (this.#idlers.length === 0 || !this.#isIdle()) return
    for (const resolve of this.#idlers.splice(0)) resolve()
  }

  /** Everything is ready from now on. */
  beginClose(): void {
    this.#isClosing = true
    this.wake()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timerAt = Number.NEGATIVE_INFINITY
  }

  // ---- what to send

  drain(): void {
    const { accumulator } = this.#options
    const now = this.#clock.now()
    this.#expire(now)
    if (accumulator.active.size === 0) return this.#noteIdle()
    if (!this.#mayDrain()) return
    const ready = this.#readyByNode(now)
    for (const [node, queues] of ready) this.#drainNode(node, queues, now)
    this.#noteIdle()
  }

  /** Without an identity nothing can be numbered. */
  #mayDrain(): boolean {
    const { identity, transaction } = this.#options
    if (identity === undefined) return true
    const unresolved = identity.findUnresolved()
    if (unresolved !== undefined) {
      if (transaction === undefined) identity.forget()
      else transaction.failAbortably(unsafeToContinue())
    }
    if (transaction !== undefined) {
      if (transaction.isFatal) this.failAll(transaction.error ?? new KafkaException('the producer has failed'))
      return !transaction.isFatal && transaction.state !== 'abortableError' && identity.isKnown
    }
    if (!identity.isKnown) void this.#askForId(identity)
    return identity.isKnown
  }

  async #askForId(identity: ProducerIdentity): Promise<void> {
    if (this.#isAskingForId) return
    this.#isAskingForId = true
    const { cluster } = this.#options
    try {
      const node = cluster.anyNode()
      const request = { transactionalId: null, transactionTimeoutMs: 0 }
      const answer = await cluster.request(node, 'InitProducerId', request)
      if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode)
      identity.assume(answer.producerId, answer.producerEpoch)
    } catch (error) {
      const failure = error instanceof KafkaException ? error : new KafkaException(String(error))
      if (!failure.retriable && !cluster.isClosed) this.failAll(failure)
      await cluster.sleep(cluster.config['retry.backoff.ms'])
    } finally {
      this.#isAskingForId = false
    }
    this.wake()
  }

  #readyByNode(now: Millis): Map<number, PartitionQueue[]> {
    const { cluster, accumulator } = this.#options
    const ready = new Map<number, PartitionQueue[]>()
    for (const queue of accumulator.active) {
      const head = this.#headOf(queue)
      if (head === undefined) {
        accumulator.active.delete(queue)
        continue
      }
      const readyAt = this.#readyAt(queue, head)
      if (readyAt > now) {
        this.wakeAt(readyAt)
        continue
      }
      if (!this.#isItsTurn(queue, head)) continue
      const leader = cluster.metadata.leaderOf(queue.topic, queue.partition)
      // Also keeps the topic among those of interest.
      if (leader < 0 || cluster.metadata.topic(queue.topic) === undefined) {
        cluster.metadata.add(queue.topic)
        cluster.metadata.requestUpdate()
        this.wakeAt(now + cluster.config['retry.backoff.ms'])
        continue
      }
      const queues = ready.get(leader)
      if (queues === undefined) ready.set(leader, [queue])
      else queues.push(queue)
    }
    return ready
  }

  /** A batch numbered under an identity that was given up can't be sent again: nobody knows what came before it. */
  #headOf(queue: PartitionQueue): ProducerBatch | undefined {
    const { identity } = this.#options
    for (;;) {
      const head = queue.batches[0]
      if (head === undefined || identity === undefined || !head.hasSequence || identity.owns(head)) return head
      queue.batches.shift()
      this.#fail(head, identityChanged(head, identity), false)
    }
  }

  #readyAt(queue: PartitionQueue, head: ProducerBatch): Millis {
    const { config, accumulator } = this.#options
    if (head.isRetry) return head.lastAttemptAt + config['retry.backoff.ms']
    if (head.isFull || queue.batches.length > 1 || this.#flushing > 0 || this.#isClosing || accumulator.hasWaiters) return 0
    const { transaction } = this.#options
    if (transaction?.state === 'committing') return 0
    return head.createdAt + config['linger.ms']
  }

  /** Order within the partition, and membership in the transaction. */
  #isItsTurn(queue: PartitionQueue, head: ProducerBatch): boolean {
    const { config, identity, transaction, cluster } = this.#options
    if (this.#proof?.mayFollow(queue, cluster.metadata.leaderOf(queue.topic, queue.partition)) === false) return false
    if (config['max.in.flight.requests.per.connection'] === 1 && queue.unanswered.some(({ isInFlight }) => isInFlight))
      return false
    if (identity === undefined) return true
    if (transaction !== undefined && !transaction.has(queue)) {
      transaction.join(queue)
      return false
    }
    // A batch that is repeated goes alone, first things first; nothing new while numbers are in doubt.
    if (head.hasSequence) return queue.unanswered[0] === head
    return !queue.isUnresolved && !queue.unanswered.some(({ isRetry, isInFlight }) => isRetry && !isInFlight)
  }

  #drainNode(node: number, queues: PartitionQueue[], now: Millis): void {
    const { network } = this.#options.cluster
    if (!network.isReady(node)) return network.connect(node)
    let left = queues
    while (left.length > 0 && network.canSend(node)) {
      const batches = this.#collect(left)
      if (batches.length === 0) return
      this.#send(node, batches, now)
      left = left.filter((queue) => {
        const head = queue.batches[0]
        return head !== undefined && this.#readyAt(queue, head) <= now && this.#isItsTurn(queue, head)
      })
    }
  }

  /** At most one batch of each partition, together at most `max.request.size`, but at least one. */
  #collect(queues: readonly PartitionQueue[]): ProducerBatch[] {
    const limit = this.#options.config['max.request.size']
    const batches: ProducerBatch[] = []
    const first = this.#rotation++ % queues.length
    let size = 0
    for (let i = 0; i < queues.length; i++) {
      const queue = queues[(first + i) % queues.length]!
      const head = queue.batches[0]!
      const bytes = head.writer.isSealed ? head.writer.bytes.length : head.writer.size
      if (batches.length > 0 && size + bytes > limit) break
      size += bytes
      queue.batches.shift()
      if (queue.batches.length === 0) this.#options.accumulator.active.delete(queue)
      batches.push(head)
    }
    return batches
  }

  // ---- a request

  #send(node: number, batches: ProducerBatch[], now: Millis): void {
    const { cluster, config, transaction, metrics } = this.#options
    const magic = cluster.produceMagic(node) ?? 2
    const topics = new Map<string, { partition: number; recordSet: Buffer | RecordsSource }[]>()
    const sent: ProducerBatch[] = []
    // It is sent from where it lies.
    const isAlone = batches.length === 1 && magic === 2
    let [bytes, count] = [0, 0]
    for (const batch of batches) {
      const records = this.#recordsOf(batch, magic)
      if (records === undefined) continue
      this.#depart(batch, node, now)
      sent.push(batch)
      bytes += records.length
      count += batch.count
      const entry = { partition: batch.queue.partition, recordSet: isAlone ? batch.writer.source : records }
      const partitions = topics.get(batch.queue.topic)
      if (partitions === undefined) topics.set(batch.queue.topic, [entry])
      else partitions.push(entry)
    }
    if (sent.length === 0) return
    this.#underWay++
    const request = {
      transactionalId: transaction === undefined ? null : config['transactional.id'],
      acks: this.#acks,
      timeout: config['request.timeout.ms'],
      topicData: [...topics].map(([topic, data]) => ({ topic, data })),
    }
    metrics.sent(sent.length, count, bytes)
    const options = { version: cluster.network.versionOf(node, 'Produce') }
    if (this.#acks === 0)
      cluster.network.sendOneWay(node, 'Produce', request, (error) => this.#answered(sent, error, undefined, now))
    else cluster.send(node, 'Produce', request, (error, response) => this.#answered(sent, error, response, now), options)
  }

  /** Undefined: the batch has failed. */
  #recordsOf(batch: ProducerBatch, magic: 0 | 1 | 2): Buffer | undefined {
    const { accumulator, identity, transaction } = this.#options
    const { writer, queue } = batch
    try {
      if (magic < 2 && identity !== undefined)
        throw new UnsupportedVersionException('Idempotence and transactions need brokers of 0.11 or later.')
      if (!writer.isSealed) accumulator.seal(batch, transaction !== undefined)
      if (identity !== undefined && !batch.hasSequence) {
        identity.stamp(batch)
        queue.unanswered.push(batch)
      } else if (identity === undefined && !queue.unanswered.includes(batch)) queue.unanswered.push(batch)
      return magic === 2 ? writer.bytes : writer.legacy(magic)
    } catch (error) {
      const shown =
        error instanceof KafkaException ? error : new IllegalArgumentException(`Magic v${magic}: ${(error as Error).message}`)
      this.#fail(batch, shown, false)
      return undefined
    }
  }

  #depart(batch: ProducerBatch, node: number, now: Millis): void {
    if (batch.isRetry) this.#options.metrics.retried(batch.count)
    batch.attempts++
    batch.sentTo = node
    batch.lastAttemptAt = now
    batch.isInFlight = true
  }

  // ---- its answer

  #answered(
    batches: readonly ProducerBatch[],
    error: KafkaException | undefined,
    response: ResponseOf<'Produce'> | undefined,
    sentAt: Millis,
  ): void {
    this.#underWay--
    this.#options.metrics.answered(this.#clock.now() - sentAt)
    for (const batch of batches) batch.isInFlight = false
    for (const batch of batches) {
      if (error !== undefined) this.#failed(batch, error, { ...NO_ANSWER, errorCode: error.code })
      else if (response === undefined) this.#succeeded(batch, { ...NO_ANSWER, errorCode: ErrorCode.NONE })
      else this.#judge(batch, answerFor(response, batch))
    }
    this.drain()
  }

  #judge(batch: ProducerBatch, answer: PartitionAnswer): void {
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) return this.#succeeded(batch, answer)
    if (errorCode === ErrorCode.MESSAGE_TOO_LARGE && batch.count > 1) return this.#split(batch)
    const { topic } = batch.queue
    this.#failed(
      batch,
      errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED ? new TopicAuthorizationException([topic]) : exceptionOf(errorCode),
      answer,
    )
  }

  #succeeded(batch: ProducerBatch, answer: PartitionAnswer): void {
    this.#options.identity?.acknowledged(batch, answer)
    batch.queue.provenLeader = batch.sentTo
    this.#settle(batch, null, answer)
  }

  #failed(batch: ProducerBatch, error: KafkaException, answer: PartitionAnswer): void {
    const { config, identity, cluster } = this.#options
    if (error.invalidMetadata) cluster.metadata.requestUpdate()
    const isTooEarly = this.#proof?.isTooEarly(batch, error.code, this.#clock.now()) ?? false
    const hasTries = (batch.attempts <= config.retries || isTooEarly) && !cluster.isClosed
    const isWorthIt = error.retriable || (identity?.canRepeat(batch, answer) ?? false)
    if (!hasTries || !isWorthIt) {
      // With tries left the answer was definite: nothing was written.
      return this.#fail(batch, error, hasTries)
    }
    if (identity !== undefined && !identity.owns(batch)) {
      return this.#fail(batch, identityChanged(batch, identity), false)
    }
    const { name } = batch.queue
    this.#log.warn(
      `Got error produce response on topic-partition ${name}, retrying (${config.retries - batch.attempts} attempts left). Error: ${error.errorName}`,
    )
    if (identity !== undefined) batch.writer.restamp(batch.producerId, batch.producerEpoch, batch.baseSequence)
    batch.queue.putBack(batch)
    this.#options.accumulator.active.add(batch.queue)
    this.wakeAt(batch.lastAttemptAt + config['retry.backoff.ms'])
  }

  /** `isDefinite`: the records were surely not written. */
  #fail(batch: ProducerBatch, error: KafkaException, isDefinite: boolean): void {
    const { identity, transaction } = this.#options
    if (identity !== undefined && batch.hasSequence) {
      if (error instanceof OutOfOrderSequenceException && transaction === undefined && identity.owns(batch)) {
        this.#log.error(`The broker refused batch ${batch.baseSequence} of ${batch.queue.name}: ${error.message}. Starting anew.`)
        identity.forget()
      } else if (isDefinite) identity.closeGap(batch)
      else if (identity.owns(batch)) batch.queue.isUnresolved = true
    }
    if (transaction !== undefined) {
      if (isFatal(error)) transaction.failFatally(error)
      else transaction.failAbortably(error)
    } else if (
      identity !== undefined &&
      (error instanceof AuthorizationException || error instanceof UnsupportedVersionException)
    )
      this.#log.error(`Cannot produce with idempotence: ${error.message}`)
    this.#settle(batch, error, NO_ANSWER)
  }

  #settle(batch: ProducerBatch, error: KafkaException | null, answer: PartitionAnswer): void {
    const { accumulator, metrics, onMemory } = this.#options
    batch.queue.answered(batch)
    if (error !== null) metrics.failed(batch.count)
    batch.settle(error, answer.baseOffset, answer.logAppendTime, (thrown) =>
      this.#log.error('Error executing user-provided callback on message', thrown),
    )
    if (accumulator.release(batch)) accumulator.serveLine(this.#clock.now())
    onMemory()
    if (batch.queue.batches.length > 0) accumulator.active.add(batch.queue)
  }

  #split(batch: ProducerBatch): void {
    const { accumulator, config, identity } = this.#options
    this.#log.warn(`Batch of ${batch.count} records for ${batch.queue.name} is too large for the broker; splitting it`)
    accumulator.foundTooLarge(batch)
    const parts = accumulator.split(batch, this.#clock.now())
    batch.isDone = true
    batch.queue.answered(batch)
    for (const part of parts) accumulator.seal(part, this.#options.transaction !== undefined)
    const { queue } = batch
    if (identity !== undefined && batch.hasSequence) identity.divide(batch, parts)
    else queue.batches.unshift(...parts)
    accumulator.active.add(queue)
    accumulator.release(batch)
    this.wakeAt(this.#clock.now() + config['retry.backoff.ms'])
    this.wake()
  }

  // ---- giving up

  /** As 1.1: `request.timeout.ms` also bounds how long a batch waits to be sent. */
  #expire(now: Millis): void {
    const { accumulator, config } = this.#options
    for (const { record, error } of accumulator.expireLine(now)) {
      record.callback?.(error, record.partition ?? -1, -1, -1)
    }
    this.wakeAt(accumulator.lineDeadline)
    const expiry = expiredBatches(accumulator.active, config, now)
    this.wakeAt(expiry.nextAt)
    for (const { batch, text } of expiry.expired) {
      batch.queue.batches.splice(batch.queue.batches.indexOf(batch), 1)
      this.#fail(batch, new TimeoutException(text), false)
    }
  }

  /** Fails everything that is not under way. */
  failAll(error: KafkaException): void {
    const { accumulator } = this.#options
    for (const record of accumulator.takeLine()) record.callback?.(error, record.partition ?? -1, -1, -1)
    for (const queue of [...accumulator.active]) {
      for (const batch of queue.batches.splice(0)) {
        if (batch.hasSequence) {
          queue.isUnresolved = true
          this.#options.transaction?.requireEpoch()
        }
        this.#settle(batch, error, NO_ANSWER)
      }
      accumulator.active.delete(queue)
    }
    this.#noteIdle()
  }
}
