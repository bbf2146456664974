import type { ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { Breakage } from './breakages.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import { fetchFrom } from './consumer.ts'
import type { History, Transaction } from './history.ts'
import { produceTo, RETRIABLE } from './producer.ts'

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
const TRIES = 20
const PAUSE_MS = 60

interface Session {
  readonly producerId: number
  readonly producerEpoch: number
  readonly sequences: number[]
  /** Where the next transaction reads on, by partition. */
  readonly positions: number[]
}

/**
 * Reads a topic and writes each value to another one exactly once: values and the offset behind them are committed in one transaction (KIP-98).
 * Several copiers of one transactional id fence each other. After anything unclear it asks for a new epoch and for the committed offsets.
 */
export async function runCopier(client: SimClient, history: History, options: CopierOptions): Promise<void> {
  await new Copier(client, history, options).run()
}

type Answer = { readonly errorCode: number }

function readOffsets({ errorCode, responses }: ResponseOf<'OffsetFetch'>): Answer & { readonly offsets: Map<number, number> } {
  const answers = responses[0]?.partitionResponses ?? []
  return {
    errorCode: errorCode || (answers.find((one) => one.errorCode !== 0)?.errorCode ?? 0),
    offsets: new Map(answers.map(({ partition, offset }) => [partition, Math.max(0, offset)])),
  }
}

class Copier {
  readonly #client: SimClient
  readonly #history: History
  readonly #options: CopierOptions
  readonly #coordinators: (number | undefined)[] = [undefined, undefined]
  #number = 0

  constructor(client: SimClient, history: History, options: CopierOptions) {
    this.#client = client
    this.#history = history
    this.#options = options
  }

  async run(): Promise<void> {
    const rng = this.#client.world.rng.fork(this.#client.name)
    while (!this.#client.isOver) {
      const session = await this.#begin()
      if (session !== undefined) {
        while (!this.#client.isOver && (await this.#copy(session))) await this.#client.sleep(PAUSE_MS)
      }
      await this.#client.sleep(200 + rng.next() * 3000)
    }
  }

  /** Asks the coordinator of the group (0) or of the transactional id (1) until it is no longer to be retried; undefined: it is unclear. */
  async #ask<T extends Answer>(
    type: 0 | 1,
    send: (coordinator: number) => Promise<T | typeof NO_ANSWER>,
  ): Promise<T | undefined> {
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      this.#coordinators[type] ??= await this.#client.coordinator(this.#options.group, type)
      const coordinator = this.#coordinators[type]
      if (coordinator !== undefined) {
        const answer = await send(coordinator)
        if (answer === NO_ANSWER) {
          this.#coordinators[type] = undefined
          return undefined
        }
        if (!RETRIABLE.has(answer.errorCode)) return answer
        if (answer.errorCode !== ErrorCode.CONCURRENT_TRANSACTIONS) this.#coordinators[type] = undefined
      }
      await this.#client.sleep(100)
    }
    return undefined
  }

  /** A new epoch first: after it nothing of an earlier transaction can change the offsets any more. */
  async #begin(): Promise<Session | undefined> {
    const { group, partitions } = this.#options
    const request = { transactionalId: group, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }
    const given = await this.#ask(1, (coordinator) =>
      this.#client.call(coordinator, 'InitProducerId', request, ({ errorCode, producerId, producerEpoch }) => ({
        errorCode,
        producerId,
        producerEpoch,
      })),
    )
    if (given === undefined || given.errorCode !== 0) return undefined
    const offsets = await this.#committedOffsets()
    if (offsets === undefined) return undefined
    return {
      producerId: given.producerId,
      producerEpoch: given.producerEpoch,
      sequences: new Array<number>(partitions).fill(0),
      positions: Array.from({ length: partitions }, (_, partition) => offsets.get(partition) ?? 0),
    }
  }

  /** By partition. Undefined: unclear, or from a coordinator that was none: in 1.1 it answers what it knows until it hears of its successor. */
  async #committedOffsets(): Promise<ReadonlyMap<number, number> | undefined> {
    const { group, from, partitions, trueCoordinator } = this.#options
    const topics = [{ topic: from, partitions: Array.from({ length: partitions }, (_, partition) => ({ partition })) }]
    let isTrue = false
    const committed = await this.#ask(0, async (coordinator) => {
      const wasTrue = coordinator === trueCoordinator()
      const answer = await this.#client.call(coordinator, 'OffsetFetch', { groupId: group, topics }, readOffsets)
      isTrue = wasTrue && coordinator === trueCoordinator()
      return answer
    })
    if (committed === undefined || committed.errorCode !== 0) return undefined
    if (isTrue) return committed.offsets
    this.#client.world.reached('offsets from a deposed coordinator')
    this.#coordinators[0] = undefined
    return undefined
  }

  /** One transaction over one partition. False: begin anew. */
  async #copy(session: Session): Promise<boolean> {
    const { from, to, partitions } = this.#options
    const partition = this.#number % partitions
    const position = session.positions[partition]!
    this.#number++
    const read = await fetchFrom(this.#client, from, partition, position, true)
    if (read === NO_ANSWER || read.error !== 0) {
      this.#client.forgetLeader(from, partition)
      return true
    }
    if (read.next === position) return true
    const transaction = this.#history.begin(this.#client.name)
    transaction.outcome = 'aborted'
    const ids = { transactionalId: this.#options.group, producerId: session.producerId, producerEpoch: session.producerEpoch }
    const isAdded = await this.#ask(1, (coordinator) =>
      this.#client.call(
        coordinator,
        'AddPartitionsToTxn',
        { ...ids, topics: [{ topic: to, partitions: [partition] }] },
        ({ errors }) => ({
          errorCode: errors[0]?.partitionErrors[0]?.errorCode ?? -1,
        }),
      ),
    )
    if (isAdded?.errorCode !== 0) return false
    for (let at = 0; at < read.records.length; at += 10)
      if (!(await this.#produce(session, transaction, partition, read.records.slice(at, at + 10)))) return false
    if (!(await this.#commitOffset(session, partition, read.next))) return false
    return this.#end(session, transaction, () => {
      session.positions[partition] = read.next
    })
  }

  async #produce(
    session: Session,
    transaction: Transaction,
    partition: number,
    records: readonly (readonly [offset: number, value: string])[],
  ): Promise<boolean> {
    const { from, to, group } = this.#options
    const values = records.map(([offset]) => {
      const number = this.#history.copies.size
      const value = `${this.#client.name}:${number}`
      const about = {
        topic: to,
        partition,
        producer: this.#client.name,
        kind: 'transactional',
        transaction: transaction.id,
      } as const
      this.#history.send(value, { ...about, number })
      this.#history.copies.set(value, `${from}-${partition}@${offset}`)
      transaction.values.push(value)
      return value
    })
    const { producerId, producerEpoch, sequences } = session
    const batch = { partition, values, producerId, producerEpoch, baseSequence: sequences[partition]!, transactionalId: group }
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      const result = await produceTo(this.#client, to, -1, batch)
      if (result !== NO_ANSWER) {
        if (result.error === 0 || result.error === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
          sequences[partition]! += values.length
          return true
        }
        if (!RETRIABLE.has(result.error)) return false
      }
      await this.#client.sleep(100)
    }
    return false
  }

  async #commitOffset({ producerId, producerEpoch }: Session, partition: number, offset: number): Promise<boolean> {
    const { group, from } = this.#options
    const ids = { transactionalId: group, producerId, producerEpoch }
    const added = await this.#ask(1, (coordinator) =>
      this.#client.call(coordinator, 'AddOffsetsToTxn', { ...ids, groupId: group }, ({ errorCode }) => ({ errorCode })),
    )
    if (added?.errorCode !== 0) return false
    const topics = [{ topic: from, partitions: [{ partition, offset, metadata: null }] }]
    if (this.#options.breaks.has('offsetsApart')) {
      const apart = await this.#ask(0, (coordinator) =>
        this.#client.call(
          coordinator,
          'OffsetCommit',
          { groupId: group, generationId: -1, memberId: '', topics },
          ({ responses }) => ({
            errorCode: responses[0]!.partitionResponses[0]!.errorCode,
          }),
        ),
      )
      return apart?.errorCode === 0
    }
    const committed = await this.#ask(0, (coordinator) =>
      this.#client.call(coordinator, 'TxnOffsetCommit', { ...ids, groupId: group, topics }, ({ topics: answers }) => ({
        errorCode: answers[0]?.partitions[0]?.errorCode ?? -1,
      })),
    )
    return committed?.errorCode === 0
  }

  async #end({ producerId, producerEpoch }: Session, transaction: Transaction, onDone: () => void): Promise<boolean> {
    const request = { transactionalId: this.#options.group, producerId, producerEpoch, transactionResult: true }
    transaction.outcome = 'unknown'
    const answer = await this.#ask(1, (coordinator) =>
      this.#client.call(coordinator, 'EndTxn', request, ({ errorCode }) => ({ errorCode })),
    )
    if (answer?.errorCode !== 0) {
      this.#client.world.reached(answer === undefined ? 'unclear end of a copy' : 'a copier was fenced')
      return false
    }
    transaction.outcome = 'committed'
    this.#client.world.reached('copied in a transaction')
    onDone()
    return true
  }
}
