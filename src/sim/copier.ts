import type { Breakage } from './breakages.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import { fetchFrom } from './consumer.ts'
import type { History, Transaction } from './history.ts'
import { TransactionalId } from './transactional-id.ts'

export interface CopierOptions {
  readonly from: string
  readonly to: string
  readonly partitions: number
  /** Consumer group whose offsets say how far the copy has come; also the transactional id. */
  readonly group: string
  readonly breaks: ReadonlySet<Breakage>
  /** Who leads the group's partition of `__consumer_offsets`, by ZooKeeper, now. */
  readonly trueCoordinator: () => number | undefined
}

const TRANSACTION_TIMEOUT_MS = 4000
const PAUSE_MS = 60
const BATCH = 10

/**
 * Reads a topic and writes each value to another one exactly once: values and the offset behind them are committed in one transaction (KIP-98).
 * Several copiers of one transactional id fence each other. After anything unclear it asks for a new epoch and for the committed offsets.
 */
export async function runCopier(client: SimClient, history: History, options: CopierOptions): Promise<void> {
  await new Copier(client, history, options).run()
}

class Copier {
  readonly #client: SimClient
  readonly #history: History
  readonly #options: CopierOptions
  readonly #id: TransactionalId
  #number = 0

  constructor(client: SimClient, history: History, options: CopierOptions) {
    this.#client = client
    this.#history = history
    this.#options = options
    this.#id = new TransactionalId(client, options.group)
  }

  async run(): Promise<void> {
    const rng = this.#client.world.rng.fork(this.#client.name)
    while (!this.#client.isOver) {
      const positions = await this.#begin()
      if (positions !== undefined) {
        while (!this.#client.isOver && (await this.#copy(positions))) await this.#client.sleep(PAUSE_MS)
      }
      await this.#client.sleep(200 + rng.next() * 3000)
    }
  }

  /** Where to read on, by partition. */
  async #begin(): Promise<number[] | undefined> {
    const { from, partitions, trueCoordinator } = this.#options
    if (!(await this.#id.init(TRANSACTION_TIMEOUT_MS))) return undefined
    return this.#id.committedOffsets(from, partitions, (coordinator) => coordinator === trueCoordinator())
  }

  /** One transaction over one partition. False: begin anew. */
  async #copy(positions: number[]): Promise<boolean> {
    const { from, to, partitions, breaks } = this.#options
    const partition = this.#number % partitions
    const position = positions[partition]!
    this.#number++
    const read = await fetchFrom(this.#client, from, partition, position, true)
    if (read === NO_ANSWER || read.error !== 0) {
      this.#client.forgetLeader(from, partition)
      return true
    }
    if (read.next === position) return true
    const transaction = this.#history.begin(this.#client.name)
    transaction.outcome = 'aborted'
    if (!(await this.#id.addPartition(to, partition))) return false
    for (let at = 0; at < read.records.length; at += BATCH)
      if (!(await this.#produce(transaction, partition, read.records.slice(at, at + BATCH)))) return false
    const isSent = breaks.has('offsetsApart')
      ? await this.#id.commitOffsetApart(from, partition, read.next)
      : await this.#id.sendOffset(from, partition, read.next)
    if (!isSent || !(await this.#end(transaction))) return false
    positions[partition] = read.next
    return true
  }

  async #produce(
    transaction: Transaction,
    partition: number,
    records: readonly (readonly [offset: number, value: string])[],
  ): Promise<boolean> {
    const { from, to } = this.#options
    const values = records.map(([offset]) => {
      const number = this.#history.copies.size
      const value = `${this.#client.name}:${number}`
      this.#history.sendIn(transaction, value, to, partition, number)
      this.#history.copies.set(value, `${from}-${partition}@${offset}`)
      return value
    })
    return (await this.#id.produce(to, partition, values)) !== undefined
  }

  async #end(transaction: Transaction): Promise<boolean> {
    transaction.outcome = 'unknown'
    const answer = await this.#id.end(true)
    if (answer?.errorCode !== 0) {
      this.#client.world.reached(answer === undefined ? 'unclear end of a copy' : 'a copier was fenced')
      return false
    }
    transaction.outcome = 'committed'
    this.#client.world.reached('copied in a transaction')
    return true
  }
}
