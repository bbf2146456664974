import type { Millis } from '../../base/ids.ts'
import type { ClusterClient } from '../cluster-client.ts'
import { KafkaException, TimeoutException } from '../errors.ts'
import type { TopicMetadata } from '../metadata/types.ts'
import type { PendingRecord } from './accumulator.ts'
import { Fifo } from './fifo.ts'

export interface UnplacedOptions {
  readonly cluster: ClusterClient
  /** `max.block.ms` */
  readonly maxBlockMs: Millis
  /** The topic is known: the record gets its partition, if it has none, and its place. */
  readonly place: (record: PendingRecord, metadata: TopicMetadata) => void
  readonly fail: (record: PendingRecord, error: KafkaException) => void
  /** None of a topic waits any more. */
  readonly onPlaced: () => void
}

/** Of one topic. */
interface Waiting {
  readonly records: Fifo<PendingRecord>
  bytes: number
  /** When all have found their place, or failed. */
  settled: Promise<void>
}

/** Records of topics whose partitions are not known yet, in their order. */
export class UnplacedRecords {
  readonly #options: UnplacedOptions
  readonly #topics = new Map<string, Waiting>()

  constructor(options: UnplacedOptions) {
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#topics.size === 0
  }

  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  get bytes(): number {
    let bytes = 0
    if (this.#topics.size > 0) for (const waiting of this.#topics.values()) bytes += waiting.bytes
    return bytes
  }

  add(record: PendingRecord, bytes: number): void {
    const { topic } = record
    const known = this.#topics.get(topic)
    const waiting = known ?? { records: new Fifo(), bytes: 0, settled: Promise.resolve() }
    waiting.records.push(record)
    waiting.bytes += bytes
    if (known !== undefined) return
    this.#topics.set(topic, waiting)
    waiting.settled = this.#place(topic, waiting)
  }

  /** Resolves when all that wait now have found their place, or failed. */
  async settled(): Promise<void> {
    await Promise.all([...this.#topics.values()].map(({ settled }) => settled))
  }

  /** Fails all. */
  drop(error: KafkaException): void {
    for (const { records } of this.#topics.values()) for (const record of records.takeAll()) this.#options.fail(record, error)
  }

  /** Records go in their order, each with what is left of its time. */
  async #place(topic: string, { records }: Waiting): Promise<void> {
    const { place, fail, onPlaced } = this.#options
    let hasLookedAgain = false
    for (let record = records.first(); record !== undefined; record = records.first()) {
      const metadata = await this.#topicFor(record, hasLookedAgain)
      // A close may have taken it meanwhile.
      if (records.first() !== record) continue
      if (metadata instanceof KafkaException) {
        records.shift()
        fail(record, metadata)
        continue
      }
      // The topic may have grown: a partition that is not there is looked for once.
      if ((record.partition ?? 0) >= metadata.count) {
        hasLookedAgain = true
        continue
      }
      for (let next: PendingRecord | undefined = record; next !== undefined; next = records.first()) {
        if ((next.partition ?? 0) >= metadata.count) break
        records.shift()
        place(next, metadata)
      }
    }
    this.#topics.delete(topic)
    onPlaced()
  }

  /** What is known of the topic within the record's time, or why it cannot be sent. */
  async #topicFor({ topic, partition, deadline }: PendingRecord, isFresh: boolean): Promise<TopicMetadata | KafkaException> {
    const { metadata, environment } = this.#options.cluster
    const leftMs = (): number => Math.max(0, deadline - environment.clock.now())
    try {
      if (isFresh) await metadata.update(leftMs())
      const known = await metadata.waitForTopic(topic, leftMs())
      if (!isFresh || partition === undefined || partition < known.count) return known
      return new KafkaException(`Invalid partition given with record: ${partition} is not in the range [0...${known.count}).`)
    } catch (error) {
      // As Java, which names the whole time, whatever was left of it.
      if (error instanceof TimeoutException)
        return new TimeoutException(`Failed to update metadata after ${this.#options.maxBlockMs} ms.`)
      return error instanceof KafkaException ? error : new KafkaException(String(error), { cause: error })
    }
  }
}
