import { ErrorCode, errorName } from '../protocol/errors.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import type { History } from './history.ts'
import type { ProducerOptions, SendResult } from './producer.ts'
import { initProducerId, produceTo, RETRIABLE } from './producer.ts'

/** As many as a broker of 1.1 remembers of each producer. */
const IN_FLIGHT = 5
const BACKOFF_MS = 100

export interface PipelineOptions extends ProducerOptions {
  /** Changes whenever another leader, another epoch or another life of a leader may have forgotten what the one before remembered. */
  readonly leaderLife: (partition: number) => string
}

interface Batch {
  readonly values: readonly string[]
  readonly sequence: number
  /** Whoever led when it was made. */
  readonly leaderLife: string
  /** Later batches that were acknowledged while this one was not. */
  overtaken: number
}

/**
 * An idempotent producer with up to five batches of a partition on their way at once. When one fails it waits for the others' answers and sends
 * all that are left again, in order, under the same sequence numbers. A leader that was started again, or that truncated its log before it led,
 * remembers the last batch of a producer only (1.1's snapshots hold no more): then nobody can tell any more what became of the others, and the
 * producer takes a new id.
 */
export async function runPipelined(client: SimClient, history: History, options: PipelineOptions): Promise<void> {
  const numbers = { next: 0 }
  await Promise.all(
    Array.from({ length: options.partitions }, (_, partition) =>
      new Pipeline(client, history, options, partition, numbers).run(),
    ),
  )
}

class Pipeline {
  readonly #client: SimClient
  readonly #history: History
  readonly #options: PipelineOptions
  readonly #partition: number
  #producer: { readonly id: number; readonly epoch: number } | undefined
  #session = 0
  readonly #numbers: { next: number }
  /** Unacknowledged, in order. */
  #batches: Batch[] = []
  #sequence = 0
  #onItsWay = 0
  #failed = false
  /** A batch of this session was acknowledged: whoever leads must know the producer. */
  #isKnown = false
  #isStuck = false

  constructor(client: SimClient, history: History, options: PipelineOptions, partition: number, numbers: { next: number }) {
    this.#client = client
    this.#history = history
    this.#options = options
    this.#partition = partition
    this.#numbers = numbers
  }

  async run(): Promise<void> {
    const { topic, pauseMs } = this.#options
    const rng = this.#client.world.rng.fork(`${this.#client.name} ${this.#partition}`)
    while (!this.#client.isOver && !this.#isStuck) {
      await this.#client.sleep(rng.next() * pauseMs)
      if (this.#producer === undefined) {
        if (this.#onItsWay > 0) continue
        this.#producer = await initProducerId(this.#client)
        this.#session++
        this.#batches = []
        this.#sequence = 0
        this.#failed = false
        this.#isKnown = false
      } else if (this.#failed) {
        if (this.#onItsWay > 0) continue
        await this.#client.sleep(BACKOFF_MS)
        if ((await this.#client.leader(topic, this.#partition)) === undefined) continue
        this.#failed = false
        this.#client.world.reached('pipeline sent again')
        for (const batch of this.#batches) void this.#send(batch)
      } else if (
        this.#batches.length < IN_FLIGHT &&
        (await this.#client.leader(topic, this.#partition)) !== undefined &&
        !this.#failed
      )
        void this.#send(this.#next(rng.int(1, 4)))
    }
    while (this.#onItsWay > 0) await this.#client.sleep(BACKOFF_MS)
  }

  #next(count: number): Batch {
    const { topic, leaderLife } = this.#options
    const values = Array.from({ length: count }, () => {
      const number = this.#numbers.next++
      const value = `${this.#client.name}:${number}`
      const producer = `${this.#client.name}/${this.#session}`
      this.#history.send(value, { topic, partition: this.#partition, producer, kind: 'idempotent', number })
      return value
    })
    const batch = { values, sequence: this.#sequence, leaderLife: leaderLife(this.#partition), overtaken: 0 }
    this.#sequence += count
    this.#batches.push(batch)
    return batch
  }

  async #send(batch: Batch): Promise<void> {
    const { topic, trueLeader } = this.#options
    const producer = this.#producer!
    this.#onItsWay++
    if (this.#onItsWay > 1) this.#client.world.reached('batches in flight')
    const asked = await this.#client.leader(topic, this.#partition)
    const wasLeader = asked === trueLeader(this.#partition)
    const result = await produceTo(this.#client, topic, -1, {
      partition: this.#partition,
      values: batch.values,
      producerId: producer.id,
      producerEpoch: producer.epoch,
      baseSequence: batch.sequence,
    })
    this.#onItsWay--
    this.#answered(batch, result, wasLeader && asked === trueLeader(this.#partition))
  }

  #answered(batch: Batch, result: SendResult, isLeader: boolean): void {
    const isFirst = this.#batches[0] === batch
    if (result !== NO_ANSWER && (result.error === 0 || result.error === ErrorCode.DUPLICATE_SEQUENCE_NUMBER)) {
      this.#batches = this.#batches.filter((one) => one !== batch)
      this.#isKnown = true
      for (const one of this.#batches) if (one.sequence < batch.sequence) one.overtaken++
      for (const [i, value] of batch.values.entries())
        this.#history.ack(value, result.error === 0 && result.offset >= 0 ? result.offset + i : -1)
      return
    }
    this.#failed = true
    if (result === NO_ANSWER || RETRIABLE.has(result.error)) return
    // Behind one that failed the sequence has a gap; a deposed leader has not seen the last ones.
    if (result.error === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER && !(isFirst && isLeader)) return
    if (result.error === ErrorCode.UNKNOWN_PRODUCER_ID && (!isLeader || (!isFirst && !this.#isKnown))) {
      this.#client.world.reached('producer unknown behind a batch that failed')
      return
    }
    if (result.error === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER && this.#mayBeForgotten(batch)) {
      this.#client.world.reached('more batches in flight than the leader remembers')
      this.#producer = undefined
      return
    }
    this.#isStuck = true
    this.#client.world.violation(
      'idempotence',
      `${this.#client.name} ${this.#options.topic}-${this.#partition} sequence ${batch.sequence}: ${errorName(result.error)}`,
    )
  }

  /**
   * Of the first one that is left: a leader remembers the last five batches of a producer while it goes on leading, else perhaps one. Were so
   * many sent behind this one? They may be in its log whether they were acknowledged or not: a retry waits for replicas like the first attempt,
   * and new batches go out behind it meanwhile (Java's client, too, sends new ones behind a retry).
   */
  #mayBeForgotten({ overtaken, leaderLife }: Batch): boolean {
    const behind = overtaken + this.#batches.length - 1
    if (behind >= IN_FLIGHT) return true
    return behind > 0 && leaderLife !== this.#options.leaderLife(this.#partition)
  }
}
