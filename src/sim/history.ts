import type { Clock } from '../ports/clock.ts'

/** What histories and checkers need of the world around them. */
export interface Surroundings {
  readonly clock: Pick<Clock, 'now'>
  readonly trace: { add(where: string, what: string, detail?: unknown): void }
  violation(check: string, message: string): void
}

/** How a send was made: what is promised about it depends on it. */
export type SendKind = 'all' | 'one' | 'idempotent' | 'transactional'

export interface Sent {
  readonly topic: string
  readonly partition: number
  readonly producer: string
  readonly kind: SendKind
  /** Position among the values of its producer. */
  readonly number: number
  /** Of a transactional one. */
  readonly transaction?: number
}

export interface Acked {
  readonly topic: string
  readonly partition: number
  /** -1: the broker says "duplicate" and does not tell where. */
  readonly offset: number
  readonly value: string
  readonly kind: SendKind
}

export type TransactionOutcome = 'open' | 'committed' | 'aborted' | 'unknown'

export interface Transaction {
  readonly id: number
  readonly producer: string
  readonly values: string[]
  outcome: TransactionOutcome
}

/** What the clients asked and what they were told. A lost answer is "unknown", never "failed". */
export class History {
  readonly sent = new Map<string, Sent>()
  readonly acked: Acked[] = []
  /** `topic-partition` -> offset -> value, as consumers were told. */
  readonly read = new Map<string, Map<number, string>>()
  /** The same of read_committed consumers. */
  readonly readCommitted = new Map<string, Map<number, string>>()
  readonly transactions: Transaction[] = []
  /** Value that a copier wrote -> `topic-partition@offset` of what it copied. */
  readonly copies = new Map<string, string>()
  counts = { sends: 0, acks: 0, failures: 0, reads: 0, commits: 0, rebalances: 0 }
  readonly #world: Surroundings

  constructor(world: Surroundings) {
    this.#world = world
  }

  send(value: string, sent: Sent): void {
    this.counts.sends++
    this.sent.set(value, sent)
  }

  /** Within a transaction: `number` among the values of its producer. */
  sendIn(transaction: Transaction, value: string, topic: string, partition: number, number: number): void {
    const { id, producer } = transaction
    this.send(value, { topic, partition, producer, kind: 'transactional', number, transaction: id })
    transaction.values.push(value)
  }

  ack(value: string, offset: number): void {
    const sent = this.sent.get(value)
    if (sent === undefined) return
    this.counts.acks++
    this.acked.push({ topic: sent.topic, partition: sent.partition, offset, value, kind: sent.kind })
  }

  /** `offset`: of the first; -1: the broker says "duplicate" and does not tell where. */
  ackBatch(values: readonly string[], offset: number): void {
    for (const [i, value] of values.entries()) this.ack(value, offset < 0 ? -1 : offset + i)
  }

  /** A consumer was given a value. The same offset must have had it before. */
  reads(partition: string, offset: number, value: string, isCommitted: boolean): void {
    this.counts.reads++
    const map = isCommitted ? this.readCommitted : this.read
    let known = map.get(partition)
    if (known === undefined) map.set(partition, (known = new Map()))
    const before = known.get(offset)
    if (before !== undefined && before !== value)
      this.#world.violation('offset-function', `${partition}@${offset} was read as ${before} and as ${value}`)
    known.set(offset, value)
  }

  begin(producer: string): Transaction {
    const transaction: Transaction = { id: this.transactions.length, producer, values: [], outcome: 'open' }
    this.transactions.push(transaction)
    return transaction
  }
}
