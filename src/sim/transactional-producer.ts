import { ErrorCode } from '../protocol/errors.ts'
import type { Breakage } from './breakages.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import type { History, Transaction } from './history.ts'
import { produceTo, RETRIABLE } from './producer.ts'

export interface TransactionalOptions {
  readonly topic: string
  readonly partitions: number
  readonly pauseMs: number
  readonly breaks: ReadonlySet<Breakage>
  /** Default an eighth. */
  readonly abortShare?: number
}

const TRANSACTION_TIMEOUT_MS = 5000
const TRIES = 20

interface Session {
  readonly id: number
  readonly epoch: number
  readonly sequences: number[]
}

/**
 * Transactions of a few batches, some of them aborted. After anything unclear it asks InitProducerId again, which the protocol of 1.1 needs (H9):
 * what was not told to commit by then must never be committed.
 */
export async function runTransactional(client: SimClient, history: History, options: TransactionalOptions): Promise<void> {
  await new TransactionalProducer(client, history, options).run()
}

class TransactionalProducer {
  readonly #client: SimClient
  readonly #history: History
  readonly #options: TransactionalOptions
  readonly #id: string
  #coordinator: number | undefined
  #number = 0

  constructor(client: SimClient, history: History, options: TransactionalOptions) {
    this.#client = client
    this.#history = history
    this.#options = options
    this.#id = `id-${client.name}`
  }

  async run(): Promise<void> {
    while (!this.#client.isOver) {
      const session = await this.#init()
      if (session === undefined) return
      while (!this.#client.isOver && (await this.#transact(session))) this.#client.world.reached('transaction after transaction')
    }
  }

  /** Asks the coordinator until it answers with something that is not to be retried; undefined when it is over. */
  async #ask<T extends { readonly errorCode: number }>(
    send: (coordinator: number) => Promise<T | typeof NO_ANSWER>,
  ): Promise<T | typeof NO_ANSWER | undefined> {
    const { world } = this.#client
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      this.#coordinator ??= await this.#client.coordinator(this.#id, 1)
      if (this.#coordinator !== undefined) {
        const answer = await send(this.#coordinator)
        if (answer === NO_ANSWER) {
          this.#coordinator = undefined
          return NO_ANSWER
        }
        if (!RETRIABLE.has(answer.errorCode)) return answer
        if (answer.errorCode === ErrorCode.CONCURRENT_TRANSACTIONS) world.reached('concurrent transactions')
        else this.#coordinator = undefined
      }
      await this.#client.sleep(100)
    }
    return undefined
  }

  async #init(): Promise<Session | undefined> {
    while (!this.#client.isOver) {
      const request = { transactionalId: this.#id, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }
      const answer = await this.#ask((coordinator) =>
        this.#client.call(coordinator, 'InitProducerId', request, (response) => response),
      )
      if (answer !== undefined && answer !== NO_ANSWER && answer.errorCode === 0) {
        const sequences = new Array<number>(this.#options.partitions).fill(0)
        return { id: answer.producerId, epoch: answer.producerEpoch, sequences }
      }
      await this.#client.sleep(200)
    }
    return undefined
  }

  /** One transaction. False: the producer has to be initialized again. */
  async #transact(session: Session): Promise<boolean> {
    const rng = this.#client.world.rng.fork(`${this.#client.name} ${this.#number}`)
    const transaction = this.#history.begin(this.#client.name)
    const added = new Set<number>()
    const batches = rng.int(1, 5)
    for (let i = 0; i < batches; i++) {
      await this.#client.sleep(rng.next() * this.#options.pauseMs)
      const partition = rng.int(0, this.#options.partitions)
      if (!added.has(partition) && !(await this.#addPartition(session, partition))) return this.#giveUp(transaction)
      added.add(partition)
      if (!(await this.#produce(session, transaction, partition, rng.int(1, 4)))) return this.#giveUp(transaction)
    }
    return this.#end(session, transaction, rng.next() >= (this.#options.abortShare ?? 1 / 8))
  }

  /** Nobody was told to commit it, and after the next initialization nobody can be. */
  #giveUp(transaction: Transaction): false {
    transaction.outcome = 'aborted'
    this.#client.world.reached('transaction given up')
    return false
  }

  async #addPartition({ id, epoch }: Session, partition: number): Promise<boolean> {
    const { topic } = this.#options
    const request = {
      transactionalId: this.#id,
      producerId: id,
      producerEpoch: epoch,
      topics: [{ topic, partitions: [partition] }],
    }
    const answer = await this.#ask((coordinator) =>
      this.#client.call(coordinator, 'AddPartitionsToTxn', request, ({ errors }) => ({
        errorCode: errors[0]?.partitionErrors[0]?.errorCode ?? -1,
      })),
    )
    return answer !== undefined && answer !== NO_ANSWER && answer.errorCode === 0
  }

  async #produce(session: Session, transaction: Transaction, partition: number, count: number): Promise<boolean> {
    const { topic } = this.#options
    const values = Array.from({ length: count }, () => {
      const value = `${this.#client.name}:${this.#number}`
      const about = { topic, partition, producer: this.#client.name, kind: 'transactional', transaction: transaction.id } as const
      this.#history.send(value, { ...about, number: this.#number++ })
      transaction.values.push(value)
      return value
    })
    const batch = {
      partition,
      values,
      producerId: session.id,
      producerEpoch: session.epoch,
      baseSequence: session.sequences[partition]!,
      transactionalId: this.#id,
    }
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      const result = await produceTo(this.#client, topic, -1, batch)
      if (result !== NO_ANSWER) {
        const isDone = result.error === 0 || result.error === ErrorCode.DUPLICATE_SEQUENCE_NUMBER
        if (isDone) {
          session.sequences[partition]! += count
          for (const [i, value] of values.entries()) this.#history.ack(value, result.offset < 0 ? -1 : result.offset + i)
          return true
        }
        if (!RETRIABLE.has(result.error)) return false
      }
      await this.#client.sleep(100)
    }
    return false
  }

  async #end({ id, epoch }: Session, transaction: Transaction, commits: boolean): Promise<boolean> {
    const request = { transactionalId: this.#id, producerId: id, producerEpoch: epoch, transactionResult: commits }
    const isNaive = this.#options.breaks.has('naiveTransactions')
    transaction.outcome = commits ? 'unknown' : 'aborted'
    for (;;) {
      const answer = await this.#ask((coordinator) => this.#client.call(coordinator, 'EndTxn', request, (response) => response))
      if (answer === NO_ANSWER && isNaive && !this.#client.isOver) continue
      if (answer === undefined || answer === NO_ANSWER || answer.errorCode !== 0) {
        this.#client.world.reached('unclear end of a transaction')
        return false
      }
      if (commits) transaction.outcome = 'committed'
      return true
    }
  }
}
