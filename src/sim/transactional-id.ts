import { ErrorCode } from '../protocol/errors.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import { produceTo, RETRIABLE } from './producer.ts'

const TRIES = 20
const RETRY_MS = 100

interface Answer {
  readonly errorCode: number
}

/**
 * A transactional id and its present owner: what a client asks of coordinators and leaders, again while the answer is to be retried. No other
 * answer, or none at all, and the client has to `init` anew: 1.1's protocol needs that (H9). Offsets are those of the group of the same name.
 */
export class TransactionalId {
  readonly #client: SimClient
  readonly #id: string
  readonly #coordinators: (number | undefined)[] = [undefined, undefined]
  #producerId = -1
  #producerEpoch = -1
  /** Of the next record, by `topic-partition`. */
  readonly #sequences = new Map<string, number>()

  constructor(client: SimClient, id: string) {
    this.#client = client
    this.#id = id
  }

  /** Another one after each `init`. */
  get generation(): string {
    return `${this.#producerId}/${this.#producerEpoch}`
  }

  get #owner(): { transactionalId: string; producerId: number; producerEpoch: number } {
    return { transactionalId: this.#id, producerId: this.#producerId, producerEpoch: this.#producerEpoch }
  }

  /** Asks the coordinator of the group (0) or of the transactional id (1) until it is no longer to be retried; undefined: it is unclear. */
  async #ask<T extends Answer>(
    type: 0 | 1,
    send: (coordinator: number) => Promise<T | typeof NO_ANSWER>,
  ): Promise<T | undefined> {
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      this.#coordinators[type] ??= await this.#client.coordinator(this.#id, type)
      const coordinator = this.#coordinators[type]
      if (coordinator !== undefined) {
        const answer = await send(coordinator)
        if (answer === NO_ANSWER) {
          this.#coordinators[type] = undefined
          return undefined
        }
        if (!RETRIABLE.has(answer.errorCode)) return answer
        if (answer.errorCode === ErrorCode.CONCURRENT_TRANSACTIONS) this.#client.world.reached('concurrent transactions')
        else this.#coordinators[type] = undefined
      }
      await this.#client.sleep(RETRY_MS)
    }
    return undefined
  }

  /** A new epoch: after it nothing of an earlier transaction can be committed, or change the offsets, any more. */
  async init(transactionTimeoutMs: number): Promise<boolean> {
    const request = { transactionalId: this.#id, transactionTimeoutMs }
    const given = await this.#ask(1, (coordinator) =>
      this.#client.call(coordinator, 'InitProducerId', request, (response) => response),
    )
    if (given?.errorCode !== 0) return false
    this.#producerId = given.producerId
    this.#producerEpoch = given.producerEpoch
    this.#sequences.clear()
    return true
  }

  async addPartition(topic: string, partition: number): Promise<boolean> {
    const request = { ...this.#owner, topics: [{ topic, partitions: [partition] }] }
    const answer = await this.#ask(1, (coordinator) =>
      this.#client.call(coordinator, 'AddPartitionsToTxn', request, ({ errors }) => ({
        errorCode: errors[0]?.partitionErrors[0]?.errorCode ?? -1,
      })),
    )
    return answer?.errorCode === 0
  }

  /** Offset of the batch, -1 when the leader says "duplicate"; undefined: the transaction is not to go on. */
  async produce(topic: string, partition: number, values: readonly string[]): Promise<number | undefined> {
    const key = `${topic}-${partition}`
    const baseSequence = this.#sequences.get(key) ?? 0
    const batch = { ...this.#owner, partition, values, baseSequence }
    for (let tries = 0; tries < TRIES && !this.#client.isOver; tries++) {
      const result = await produceTo(this.#client, topic, -1, batch)
      if (result !== NO_ANSWER) {
        if (result.error === 0 || result.error === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
          this.#sequences.set(key, baseSequence + values.length)
          return result.offset
        }
        if (!RETRIABLE.has(result.error)) return undefined
      }
      await this.#client.sleep(RETRY_MS)
    }
    return undefined
  }

  /** With the transaction. `offset`: where to read on. */
  async sendOffset(topic: string, partition: number, offset: number): Promise<boolean> {
    const about = { ...this.#owner, groupId: this.#id }
    const added = await this.#ask(1, (coordinator) =>
      this.#client.call(coordinator, 'AddOffsetsToTxn', about, (response) => response),
    )
    if (added?.errorCode !== 0) return false
    const topics = [{ topic, partitions: [{ partition, offset, metadata: null }] }]
    const sent = await this.#ask(0, (coordinator) =>
      this.#client.call(coordinator, 'TxnOffsetCommit', { ...about, topics }, ({ topics: answers }) => ({
        errorCode: answers[0]?.partitions[0]?.errorCode ?? -1,
      })),
    )
    return sent?.errorCode === 0
  }

  /** Broken (`offsetsApart`): outside of the transaction. */
  async commitOffsetApart(topic: string, partition: number, offset: number): Promise<boolean> {
    const topics = [{ topic, partitions: [{ partition, offset, metadata: null }] }]
    const request = { groupId: this.#id, generationId: -1, memberId: '', topics }
    const committed = await this.#ask(0, (coordinator) =>
      this.#client.call(coordinator, 'OffsetCommit', request, ({ responses }) => ({
        errorCode: responses[0]?.partitionResponses[0]?.errorCode ?? -1,
      })),
    )
    return committed?.errorCode === 0
  }

  /**
   * By partition, 0 where nothing was committed. Undefined: unclear, or from a coordinator that was none: in 1.1 it answers what it knows until
   * it hears of its successor. `isTrue`: is this the coordinator, by ZooKeeper, now?
   */
  async committedOffsets(
    topic: string,
    partitions: number,
    isTrue: (coordinator: number) => boolean = () => true,
  ): Promise<number[] | undefined> {
    const wanted = Array.from({ length: partitions }, (_, partition) => ({ partition }))
    const request = { groupId: this.#id, topics: [{ topic, partitions: wanted }] }
    let wasTrue = false
    const committed = await this.#ask(0, async (coordinator) => {
      const wasTrueBefore = isTrue(coordinator)
      const answer = await this.#client.call(coordinator, 'OffsetFetch', request, ({ errorCode, responses }) => {
        const answers = responses[0]?.partitionResponses ?? []
        return {
          errorCode: errorCode || (answers.find((one) => one.errorCode !== 0)?.errorCode ?? 0),
          offsets: new Map(answers.map(({ partition, offset }) => [partition, Math.max(0, offset)])),
        }
      })
      wasTrue = wasTrueBefore && isTrue(coordinator)
      return answer
    })
    if (committed?.errorCode !== 0) return undefined
    if (wasTrue) return wanted.map(({ partition }) => committed.offsets.get(partition) ?? 0)
    this.#client.world.reached('offsets from a deposed coordinator')
    this.#coordinators[0] = undefined
    return undefined
  }

  /** Commits or aborts. Undefined: it is unclear. */
  end(commits: boolean): Promise<Answer | undefined> {
    const request = { ...this.#owner, transactionResult: commits }
    return this.#ask(1, (coordinator) => this.#client.call(coordinator, 'EndTxn', request, (response) => response))
  }
}
