import type { Breakage } from './breakages.ts'
import type { SimClient } from './client.ts'
import type { History, Transaction } from './history.ts'
import { TransactionalId } from './transactional-id.ts'

export interface TransactionalOptions {
  readonly topic: string
  readonly partitions: number
  readonly pauseMs: number
  readonly breaks: ReadonlySet<Breakage>
  /** Default an eighth. */
  readonly abortShare?: number
}

const TRANSACTION_TIMEOUT_MS = 5000

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
  readonly #id: TransactionalId
  #number = 0

  constructor(client: SimClient, history: History, options: TransactionalOptions) {
    this.#client = client
    this.#history = history
    this.#options = options
    this.#id = new TransactionalId(client, `id-${client.name}`)
  }

  async run(): Promise<void> {
    while (!this.#client.isOver) {
      if (!(await this.#id.init(TRANSACTION_TIMEOUT_MS))) await this.#client.sleep(200)
      else while (!this.#client.isOver && (await this.#transact())) this.#client.world.reached('transaction after transaction')
    }
  }

  /** One transaction. False: the producer has to be initialized again. */
  async #transact(): Promise<boolean> {
    const rng = this.#client.world.rng.fork(`${this.#client.name} ${this.#number}`)
    const transaction = this.#history.begin(this.#client.name)
    const added = new Set<number>()
    const batches = rng.int(1, 5)
    for (let i = 0; i < batches; i++) {
      await this.#client.sleep(rng.next() * this.#options.pauseMs)
      const partition = rng.int(0, this.#options.partitions)
      if (!added.has(partition) && !(await this.#id.addPartition(this.#options.topic, partition)))
        return this.#giveUp(transaction)
      added.add(partition)
      if (!(await this.#produce(transaction, partition, rng.int(1, 4)))) return this.#giveUp(transaction)
    }
    return this.#end(transaction, rng.next() >= (this.#options.abortShare ?? 1 / 8))
  }

  /** Nobody was told to commit it, and after the next initialization nobody can be. */
  #giveUp(transaction: Transaction): false {
    transaction.outcome = 'aborted'
    this.#client.world.reached('transaction given up')
    return false
  }

  async #produce(transaction: Transaction, partition: number, count: number): Promise<boolean> {
    const { topic } = this.#options
    const values = Array.from({ length: count }, () => {
      const value = `${this.#client.name}:${this.#number}`
      this.#history.sendIn(transaction, value, topic, partition, this.#number++)
      return value
    })
    const offset = await this.#id.produce(topic, partition, values)
    if (offset !== undefined) this.#history.ackBatch(values, offset)
    return offset !== undefined
  }

  async #end(transaction: Transaction, commits: boolean): Promise<boolean> {
    const isNaive = this.#options.breaks.has('naiveTransactions')
    transaction.outcome = commits ? 'unknown' : 'aborted'
    for (;;) {
      const answer = await this.#id.end(commits)
      if (answer === undefined && isNaive && !this.#client.isOver) continue
      if (answer?.errorCode !== 0) {
        this.#client.world.reached('unclear end of a transaction')
        return false
      }
      if (commits) transaction.outcome = 'committed'
      return true
    }
  }
}
