/**
 * Consume, transform, produce: reads a topic as read_committed and writes each record to the same partition of another, with the read
 * offsets in the same transaction. After anything unclear it initializes anew and goes on from the committed offsets (hole H9 of the protocol).
 */
import { ErrorCode } from '../../src/protocol/errors.ts'
import type { Breakage } from '../../src/sim/canaries.ts'
import type { SimClient } from '../../src/sim/client.ts'
import { NO_ANSWER } from '../../src/sim/client.ts'
import { fetchFrom } from '../../src/sim/consumer.ts'
import type { GroupHistory } from '../../src/sim/group-history.ts'
import type { History } from '../../src/sim/history.ts'
import { produceTo, RETRIABLE } from '../../src/sim/producer.ts'

/** Client, group and transactional id. */
export const COPY = 'copy'
const AT_ONCE = 20
const TIMEOUT_MS = 5000
const TRIES = 20

export interface CopyOptions {
  readonly from: string
  readonly to: string
  readonly partitions: number
  readonly breaks: ReadonlySet<Breakage>
}

interface Session {
  readonly producerId: number
  readonly producerEpoch: number
  readonly sequences: number[]
}

type Answer = { readonly errorCode: number }

export async function runCopy(client: SimClient, history: History, groups: GroupHistory, options: CopyOptions): Promise<void> {
  await new Copy(client, history, groups, options).run()
}

class Copy {
  readonly #client: SimClient
  readonly #history: History
  readonly #groups: GroupHistory
  readonly #options: CopyOptions
  readonly #coordinators = new Map<0 | 1, number>()
  #number = 0

  constructor(client: SimClient, history: History, groups: GroupHistory, options: CopyOptions) {
    this.#client = client
    this.#history = history
    this.#groups = groups
    this.#options = options
  }

  async run(): Promise<void> {
    const { partitions } = this.#options
    while (!this.#client.isOver) {
      const session = await this.#init()
      const positions = session === undefined ? undefined : await this.#committed()
      if (session === undefined || positions === undefined) {
        await this.#client.sleep(100)
        continue
      }
      for (let isClear = true; isClear && !this.#client.isOver; ) {
        for (let partition = 0; isClear && partition < partitions; partition++)
          isClear = await this.#copySome(session, positions, partition)
        await this.#client.sleep(20)
      }
    }
    // What is open is aborted by the next owner of the id.
    this.#client.isOver = false
    await this.#init()
    this.#client.isOver = true
  }

  /** Asks a coordinator (0: of the group, 1: of transactions) until something is not to be retried. Undefined: no clear answer. */
  async #ask<T extends Answer>(type: 0 | 1, send: (broker: number) => Promise<T | typeof NO_ANSWER>): Promise<T | undefined> {
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      const known = this.#coordinators.get(type) ?? (await this.#client.coordinator(COPY, type))
      if (known !== undefined) {
        this.#coordinators.set(type, known)
        const answer = await send(known)
        if (answer === NO_ANSWER) {
          this.#coordinators.delete(type)
          return undefined
        }
        if (!RETRIABLE.has(answer.errorCode)) return answer
        if (answer.errorCode !== ErrorCode.CONCURRENT_TRANSACTIONS) this.#coordinators.delete(type)
      }
      await this.#client.sleep(100)
    }
    return undefined
  }

  async #init(): Promise<Session | undefined> {
    const request = { transactionalId: COPY, transactionTimeoutMs: TIMEOUT_MS }
    const answer = await this.#ask(1, (broker) => this.#client.call(broker, 'InitProducerId', request, (one) => one))
    if (answer === undefined || answer.errorCode !== 0) return undefined
    const { producerId, producerEpoch } = answer
    return { producerId, producerEpoch, sequences: new Array<number>(this.#options.partitions).fill(0) }
  }

  /** Where the transactions that are decided have come to. */
  async #committed(): Promise<number[] | undefined> {
    const { from, partitions } = this.#options
    const all = Array.from({ length: partitions }, (_, partition) => ({ partition }))
    const floors = all.map(({ partition }) => this.#groups.floor(COPY, `${from}-${partition}`))
    const request = { groupId: COPY, topics: [{ topic: from, partitions: all }] }
    const answer = await this.#ask(0, (broker) =>
      this.#client.call(broker, 'OffsetFetch', request, ({ errorCode, responses }) => ({
        errorCode: errorCode || (responses[0]?.partitionResponses.find((one) => one.errorCode !== 0)?.errorCode ?? 0),
        offsets: new Map(responses[0]?.partitionResponses.map(({ partition, offset }) => [partition, Math.max(0, offset)])),
      })),
    )
    if (answer === undefined || answer.errorCode !== 0) return undefined
    const offsets = all.map(({ partition }) => answer.offsets.get(partition) ?? 0)
    for (const [partition, offset] of offsets.entries())
      this.#groups.fetched(COPY, `${from}-${partition}`, offset, floors[partition]!)
    return offsets
  }

  /** One transaction with the next records of a partition, or nothing when there are none. False: initialize anew. */
  async #copySome(session: Session, positions: number[], partition: number): Promise<boolean> {
    const { from, to } = this.#options
    const at = positions[partition]!
    const fetched = await fetchFrom(this.#client, from, partition, at, true)
    if (fetched === NO_ANSWER || fetched.error !== 0) {
      this.#client.forgetLeader(from, partition)
      return true
    }
    const records = fetched.records.slice(0, AT_ONCE)
    if (records.length === 0) {
      positions[partition] = fetched.next
      return true
    }
    const next = records.length < fetched.records.length ? records.at(-1)![0] + 1 : fetched.next
    const transaction = this.#history.begin(COPY)
    // Unless it is told to be committed it never can be: the next thing to come is an initialization.
    transaction.outcome = 'aborted'
    const values = records.map(([offset, value]) => {
      const copied = `${COPY}:${this.#number} ${offset} ${value}`
      const about = { topic: to, partition, producer: COPY, kind: 'transactional', transaction: transaction.id } as const
      this.#history.send(copied, { ...about, number: this.#number++ })
      transaction.values.push(copied)
      return copied
    })
    const isApart = this.#options.breaks.has('offsetsApart')
    if (isApart && !(await this.#commitApart(partition, next))) return false
    if (!(await this.#addPartition(session, partition))) return false
    if (!(await this.#produce(session, partition, values))) return false
    if (!isApart && !(await this.#sendOffset(session, partition, next))) return false
    transaction.outcome = 'unknown'
    const generation = `${session.producerId}/${session.producerEpoch}`
    if (!(await this.#commit(session))) {
      this.#groups.unclear(COPY, `${from}-${partition}`, generation, next)
      return false
    }
    transaction.outcome = 'committed'
    this.#groups.committed(COPY, `${from}-${partition}`, generation, next)
    positions[partition] = next
    return true
  }

  async #addPartition({ producerId, producerEpoch }: Session, partition: number): Promise<boolean> {
    const topics = [{ topic: this.#options.to, partitions: [partition] }]
    const answer = await this.#ask(1, (broker) =>
      this.#client.call(
        broker,
        'AddPartitionsToTxn',
        { transactionalId: COPY, producerId, producerEpoch, topics },
        ({ errors }) => ({ errorCode: errors[0]?.partitionErrors[0]?.errorCode ?? -1 }),
      ),
    )
    return answer?.errorCode === 0
  }

  async #produce(session: Session, partition: number, values: readonly string[]): Promise<boolean> {
    const { producerId, producerEpoch, sequences } = session
    const batch = { partition, values, producerId, producerEpoch, baseSequence: sequences[partition]!, transactionalId: COPY }
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      const result = await produceTo(this.#client, this.#options.to, -1, batch)
      if (result !== NO_ANSWER) {
        if (result.error === 0 || result.error === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
          sequences[partition]! += values.length
          for (const [i, value] of values.entries()) this.#history.ack(value, result.offset < 0 ? -1 : result.offset + i)
          return true
        }
        if (!RETRIABLE.has(result.error)) return false
      }
      await this.#client.sleep(100)
    }
    return false
  }

  async #sendOffset({ producerId, producerEpoch }: Session, partition: number, offset: number): Promise<boolean> {
    const about = { transactionalId: COPY, producerId, producerEpoch, groupId: COPY }
    const added = await this.#ask(1, (broker) => this.#client.call(broker, 'AddOffsetsToTxn', about, (one) => one))
    if (added?.errorCode !== 0) return false
    const topics = [{ topic: this.#options.from, partitions: [{ partition, offset, metadata: null }] }]
    const sent = await this.#ask(0, (broker) =>
      this.#client.call(broker, 'TxnOffsetCommit', { ...about, topics }, (response) => ({
        errorCode: response.topics[0]?.partitions[0]?.errorCode ?? -1,
      })),
    )
    return sent?.errorCode === 0
  }

  /** Broken: outside of the transaction, and before it. */
  async #commitApart(partition: number, offset: number): Promise<boolean> {
    const topics = [{ topic: this.#options.from, partitions: [{ partition, offset, metadata: null }] }]
    const request = { groupId: COPY, generationId: -1, memberId: '', topics }
    const committed = await this.#ask(0, (broker) =>
      this.#client.call(broker, 'OffsetCommit', request, ({ responses }) => ({
        errorCode: responses[0]?.partitionResponses[0]?.errorCode ?? -1,
      })),
    )
    return committed?.errorCode === 0
  }

  async #commit({ producerId, producerEpoch }: Session): Promise<boolean> {
    const request = { transactionalId: COPY, producerId, producerEpoch, transactionResult: true }
    const answer = await this.#ask(1, (broker) => this.#client.call(broker, 'EndTxn', request, (one) => one))
    return answer?.errorCode === 0
  }
}
