/** What the old producer does with some messages: partition, send, look again at what failed, until the tries are used up. */
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../../protocol/errors.ts'
import { codecNames } from '../../protocol/records/index.ts'
import { byTopic } from '../by-topic.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { OldProducerConfig } from '../config/index.ts'
import { KafkaException } from '../errors.ts'
import { LegacyPartitioner } from '../partitioning.ts'
import { byteLength, RecordBatchWriter } from '../records.ts'
import type { Bytes } from '../serialization.ts'
import { FailedToSendMessageException, MessageSizeTooLargeException } from './errors.ts'
import { javaHashCode } from './java-hash.ts'
import type { OldPartitioner } from './types.ts'

/** Serialized; `partKey` chooses the partition, null: none. */
export interface Outgoing {
  readonly topic: string
  readonly key: Bytes
  readonly partKey: unknown
  readonly value: Bytes
  readonly timestamp: number
}

interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  readonly messages: Outgoing[]
  writer: RecordBatchWriter | undefined
}

/** What a try leaves behind: to be tried again, and what no further try helps. */
interface Round {
  readonly failed: Outgoing[]
  tooLarge: MessageSizeTooLargeException | undefined
}

/** Answers after which no further try helps. */
const TOO_LARGE: ReadonlySet<number> = new Set([ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.RECORD_LIST_TOO_LARGE])
const BATCH_BYTES = 16_384

export class EventHandler {
  readonly #cluster: ClusterClient
  readonly #config: OldProducerConfig
  readonly #partitioner: OldPartitioner | null
  /** Keeps to one partition per topic for messages without a key. */
  readonly #sticky: LegacyPartitioner
  readonly #acks: number
  #refreshedAt: number

  /** `partitioner` null: by the key's hash code. */
  constructor(cluster: ClusterClient, config: OldProducerConfig, partitioner: OldPartitioner | null) {
    this.#cluster = cluster
    this.#config = config
    this.#partitioner = partitioner
    this.#sticky = new LegacyPartitioner(() => cluster.environment.rng.next())
    this.#acks = Number(config['request.required.acks'])
    this.#refreshedAt = cluster.environment.clock.now()
  }

  /** Rejects with FailedToSendMessageException; some messages may have been sent then. What is too large is tried once. */
  async handle(messages: readonly Outgoing[]): Promise<void> {
    const { 'message.send.max.retries': retries, 'retry.backoff.ms': backoffMs } = this.#config
    let open = messages
    let cause: KafkaException | undefined
    for (let left = retries; ; left--) {
      await this.#refreshWhenDue(open)
      const round = await this.#dispatch(open)
      open = round.failed
      cause = round.tooLarge ?? cause
      if (open.length === 0 || left === 0 || this.#cluster.isClosed) break
      this.#cluster.environment.log.info(`Back off for ${backoffMs} ms before retrying send. Remaining retries = ${left}`)
      await this.#cluster.sleep(backoffMs)
      await this.#refresh(open)
    }
    if (open.length > 0) throw new FailedToSendMessageException(`Failed to send messages after ${retries} tries.`, { cause })
    if (cause !== undefined) throw new FailedToSendMessageException(`Failed to send messages: ${cause.message}`, { cause })
  }

  // ------------------------------------------------------------------ metadata

  /** `topic.metadata.refresh.interval.ms`; messages without a key move on with it. */
  async #refreshWhenDue(messages: readonly Outgoing[]): Promise<void> {
    const interval = this.#config['topic.metadata.refresh.interval.ms']
    if (interval < 0 || this.#cluster.environment.clock.now() - this.#refreshedAt <= interval) return
    await this.#refresh(messages)
  }

  async #refresh(messages: readonly Outgoing[]): Promise<void> {
    const { metadata, environment, config } = this.#cluster
    for (const topic of topicsOf(messages)) metadata.add(topic)
    this.#sticky.onNewMetadata()
    this.#refreshedAt = environment.clock.now()
    try {
      await metadata.update(config['request.timeout.ms'])
    } catch (error) {
      environment.log.warn('refreshing the metadata failed', error)
    }
  }

  // ------------------------------------------------------------------ one try

  async #dispatch(messages: readonly Outgoing[]): Promise<Round> {
    const round: Round = { failed: [], tooLarge: undefined }
    const byLeader = new Map<number, PartitionBatch[]>()
    await this.#learn(messages)
    for (const batch of this.#collate(messages, round.failed)) {
      const leader = this.#cluster.metadata.leaderOf(batch.topic, batch.partition)
      const same = byLeader.get(leader)
      if (leader < 0) round.failed.push(...batch.messages)
      else if (same === undefined) byLeader.set(leader, [batch])
      else same.push(batch)
    }
    await Promise.all([...byLeader].map(([leader, batches]) => this.#send(leader, batches, round)))
    return round
  }

  /** Asks once for topics that nobody knows yet; a broker may be creating them, so their absence is no end. */
  async #learn(messages: readonly Outgoing[]): Promise<void> {
    if (topicsOf(messages).some((topic) => this.#cluster.metadata.topic(topic) === undefined)) await this.#refresh(messages)
  }

  #collate(messages: readonly Outgoing[], failed: Outgoing[]): PartitionBatch[] {
    const batches = new Map<string, PartitionBatch>()
    for (const message of messages) {
      const { topic } = message
      const partition = this.#partitionOf(message)
      if (partition === undefined) {
        failed.push(message)
        continue
      }
      const key = `${topic}-${partition}`
      let batch = batches.get(key)
      if (batch === undefined) batches.set(key, (batch = { topic, partition, messages: [], writer: undefined }))
      batch.messages.push(message)
    }
    return [...batches.values()]
  }

  /** Undefined: cannot be said now. */
  #partitionOf({ topic, partKey }: Outgoing): number | undefined {
    const metadata = this.#cluster.metadata.topic(topic)
    if (metadata === undefined) return undefined
    if (partKey === null || partKey === undefined) {
      return metadata.available.length === 0 ? undefined : this.#sticky.partition(topic, null, null, metadata)
    }
    const { count } = metadata
    const chosen = this.#partitioner?.partition(partKey, count) ?? javaHashCode(partKey) % count
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < count) return chosen
    this.#cluster.environment.log.warn(`Invalid partition id: ${chosen} for topic ${topic}; valid are 0 to ${count - 1}`)
    return undefined
  }

  // ------------------------------------------------------------------ one request

  async #send(leader: number, batches: readonly PartitionBatch[], round: Round): Promise<void> {
    for (const batch of batches) batch.writer = this.#write(batch)
    try {
      const response = await this.#produce(leader, batches)
      if (response !== undefined) this.#judge(batches, response, round)
    } catch (error) {
      if (!(error instanceof KafkaException)) throw error
      this.#cluster.environment.log.warn(`Failed to send producer request to broker ${leader}: ${error.message}`)
      round.failed.push(...batches.flatMap(({ messages }) => messages))
    } finally {
      for (const batch of batches) batch.writer?.release()
    }
  }

  #write({ topic, messages }: PartitionBatch): RecordBatchWriter {
    const writer = new RecordBatchWriter(this.#cluster.pool, BATCH_BYTES)
    for (const { key, value, timestamp } of messages) writer.append(timestamp, key, byteLength(key), value, byteLength(value))
    writer.seal({ codec: this.#codecOf(topic) })
    return writer
  }

  #codecOf(topic: string): number {
    const { 'compression.codec': codec, 'compressed.topics': topics } = this.#config
    if (topics.length > 0 && !topics.includes(topic)) return 0
    return /^\d$/.test(codec) ? Number(codec) : codecNames.indexOf(codec as (typeof codecNames)[number])
  }

  /** Undefined with acks=0: sent, and nothing more is known. */
  #produce(leader: number, batches: readonly PartitionBatch[]): Promise<ResponseOf<'Produce'> | undefined> {
    const request = (version: number) => ({
      transactionalId: null,
      acks: this.#acks,
      timeout: this.#config['request.timeout.ms'],
      topicData: byTopic(batches, ({ partition, writer }) => {
        return { partition, recordSet: version >= 3 ? writer!.bytes : writer!.legacy(version === 2 ? 1 : 0) }
      }).map(({ topic, partitions }) => ({ topic, data: partitions })),
    })
    const { network } = this.#cluster
    if (this.#acks !== 0) return network.request(leader, 'Produce', request)
    return new Promise((resolve, reject) => {
      network.sendOneWay(leader, 'Produce', request, (error) => (error === undefined ? resolve(undefined) : reject(error)))
    })
  }

  #judge(batches: readonly PartitionBatch[], { responses }: ResponseOf<'Produce'>, round: Round): void {
    for (const { topic, partition, messages } of batches) {
      const answers = responses.find((one) => one.topic === topic)?.partitionResponses
      const code = answers?.find((one) => one.partition === partition)?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      if (code === ErrorCode.NONE) continue
      const what = `Produce request for ${topic}-${partition} failed: ${errorName(code)}`
      this.#cluster.environment.log.warn(what)
      if (TOO_LARGE.has(code)) round.tooLarge = new MessageSizeTooLargeException(what, { code })
      else round.failed.push(...messages)
    }
  }
}

function topicsOf(messages: readonly Outgoing[]): string[] {
  return [...new Set(messages.map(({ topic }) => topic))]
}
