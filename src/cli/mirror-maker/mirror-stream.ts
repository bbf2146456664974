/**
 * One source of a mirror maker and what becomes of its records. Offsets are committed only behind a flush: what is committed has been
 * acknowledged by the other cluster, so that nothing is lost when the mirror maker dies; some records come twice.
 */
import type { TopicPartition } from '../../base/ids.ts'
import {
  CommitFailedException,
  type ConsumerRecord,
  KafkaException,
  type Producer,
  type TopicPartitionOffset,
  WakeupException,
} from '../../client/index.ts'
import { partitionName } from '../tool.ts'
import { warning } from '../tool-clients.ts'
import type { MirrorSource } from './source.ts'

const COMMIT_FAILED =
  "Failed to commit offsets because the consumer group has rebalanced and assigned partitions to another instance. If you see this regularly, it could indicate that you need to either increase the consumer's session.timeout.ms or reduce the number of records handled on each iteration with max.poll.records"

/** Shared by the streams of a mirror maker. */
export interface MirrorState {
  readonly producer: Producer
  /** Wait for each record's acknowledgement. */
  readonly isSync: boolean
  readonly commitIntervalMs: number
  /** A record could not be sent and the mirror maker ends for it: nothing may be committed any more. */
  readonly hasFailed: () => boolean
  readonly isStopping: () => boolean
  readonly onFailure: (error: Error) => void
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

export class MirrorStream {
  readonly #source: MirrorSource
  readonly #state: MirrorState
  /** Behind the last record handed to the producer, by partition. */
  readonly #offsets = new Map<string, TopicPartitionOffset>()
  #committedAt: number

  constructor(source: MirrorSource, state: MirrorState) {
    this.#source = source
    this.#state = state
    this.#committedAt = state.now()
  }

  /** The waiting call ends. */
  wakeup(): void {
    this.#source.wakeup()
  }

  /** Until the mirror maker stops or fails; then what was sent is committed. Rejects with what went wrong. */
  async run(): Promise<void> {
    try {
      await this.#source.start(async (partitions) => {
        await this.#flushAndCommit()
        this.#forget(partitions)
      })
      while (this.#isOn) {
        await this.#step()
        if (this.#state.now() - this.#committedAt > this.#state.commitIntervalMs) await this.#flushAndCommit()
      }
    } catch (error) {
      if (this.#isOn || !(error instanceof WakeupException)) throw error
    } finally {
      await this.#end()
    }
  }

  get #isOn(): boolean {
    return !this.#state.hasFailed() && !this.#state.isStopping()
  }

  async #step(): Promise<void> {
    for (const record of await this.#source.poll()) {
      if (!this.#isOn) return
      const { topic, partition, offset } = record
      const sent = this.#send(record)
      this.#offsets.set(partitionName(record), { topic, partition, offset: offset + 1 })
      if (sent !== undefined) await sent
    }
  }

  /** A promise when the next one has to wait. */
  #send({ topic, key, value, timestamp, headers }: ConsumerRecord): Promise<void> | undefined {
    const { producer, isSync, onFailure } = this.#state
    const record = { topic, key, value, headers, ...(timestamp < 0 ? {} : { timestamp }) }
    const hasRoom = producer.produce(record, (error) => {
      if (error !== null) onFailure(error)
    })
    if (isSync) return producer.flush()
    return hasRoom ? undefined : this.#drained()
  }

  /** Memory is free again, or nobody will send any more. */
  #drained(): Promise<void> {
    const { producer } = this.#state
    return new Promise((resolve) => {
      const forget = producer.onDrain(() => {
        forget()
        resolve()
      })
      // Everything acknowledged or failed is room, too, whoever hears of it first.
      void producer.flush().then(() => {
        forget()
        resolve()
      })
    })
  }

  async #flushAndCommit(): Promise<void> {
    await this.#state.producer.flush()
    await this.#commit()
    this.#committedAt = this.#state.now()
  }

  async #commit(): Promise<void> {
    if (this.#state.hasFailed() || this.#offsets.size === 0) return
    const offsets = [...this.#offsets.values()]
    this.#offsets.clear()
    try {
      await this.#source.commit(offsets)
    } catch (error) {
      if (error instanceof WakeupException) {
        // Woken up once, for the end: what was flushed is worth a second try.
        await this.#source.commit(offsets)
        throw error
      }
      if (!(error instanceof CommitFailedException)) throw error
      process.stderr.write(warning(COMMIT_FAILED, 'kafka.tools.MirrorMaker$'))
    }
  }

  /** Others go on with them. */
  #forget(partitions: readonly TopicPartition[]): void {
    for (const one of partitions) this.#offsets.delete(partitionName(one))
  }

  async #end(): Promise<void> {
    try {
      await this.#state.producer.flush()
      await this.#commit()
    } catch (error) {
      if (!(error instanceof KafkaException)) throw error
      const { name, message } = error
      if (!(error instanceof WakeupException)) {
        process.stderr.write(warning(`The last offsets could not be committed: ${name}: ${message}`, 'kafka.tools.MirrorMaker$'))
      }
    }
    await this.#source.close()
  }
}
