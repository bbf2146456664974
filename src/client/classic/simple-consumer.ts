/** The Simple Consumer of 0.8: one connection to one broker; which partition and offset to read is the application's business. */
import type { TopicPartition } from '../../base/ids.ts'
import type { ApiName, ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { lastOffset, nextBatch } from '../../protocol/records/index.ts'
import type { RequestOrMaker, SendOptions } from '../../rpc/channel.ts'
import { byTopic } from '../by-topic.ts'
import { type Environment, environmentOf } from '../environment.ts'
import { exceptionOf, IllegalArgumentException, KafkaException, NetworkException } from '../errors.ts'
import { metadataRequest } from '../metadata/bootstrap-source.ts'
import { Network } from '../network/network.ts'
import type { OffsetAndMetadata, TopicPartitionOffset } from '../producer/types.ts'
import { RecordSetReader } from '../record-reader.ts'
import { Message } from './stream.ts'
import type {
  EARLIEST_TIME,
  FetchedMessages,
  FetchRange,
  LATEST_TIME,
  LeaderInfo,
  MessageAndMetadata,
  SimpleConsumer,
  SimpleConsumerOptions,
} from './types.ts'

/** The one node of our network. */
const BROKER = 0
const ORDINARY_CONSUMER = -1
const SOCKET_TIMEOUT_MS = 30_000
const RECONNECT_BACKOFF_MS = 50
const MAX_IDLE_MS = 540_000
/** Of a whole fetch, where the broker knows such a limit. */
const MAX_RESPONSE_BYTES = 0x7fffffff

/** Throws IllegalArgumentException. Connects with the first call. */
export function createSimpleConsumer(options: SimpleConsumerOptions, environment: Partial<Environment> = {}): SimpleConsumer {
  const { host, port, soTimeout = SOCKET_TIMEOUT_MS } = options
  if (host === '') throw new IllegalArgumentException('host is empty')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new IllegalArgumentException(`port must be 1 to 65535: ${port}`)
  if (!(soTimeout > 0)) throw new IllegalArgumentException(`soTimeout must be positive: ${soTimeout}`)
  return new OneBroker(options, environmentOf(environment))
}

class OneBroker implements SimpleConsumer {
  readonly host: string
  readonly port: number
  readonly #network: Network
  readonly #fetchOptions: SendOptions

  constructor(options: SimpleConsumerOptions, { net, clock, rng }: Environment) {
    const { host, port } = options
    this.host = host
    this.port = port
    this.#fetchOptions = options.fetchVersion === undefined ? {} : { version: options.fetchVersion }
    this.#network = new Network({
      net,
      clock,
      random: () => rng.next(),
      clientId: options.clientId ?? '',
      requestTimeoutMs: options.soTimeout ?? SOCKET_TIMEOUT_MS,
      reconnectBackoffMs: RECONNECT_BACKOFF_MS,
      reconnectBackoffMaxMs: RECONNECT_BACKOFF_MS,
      maxIdleMs: MAX_IDLE_MS,
      addressOf: () => ({ host, port }),
    })
  }

  /** `take` sees the response while its bytes still lie in the receive buffer. A broken connection is tried once more. */
  async #ask<A extends ApiName, T>(
    api: A,
    request: RequestOrMaker<A>,
    take: (response: ResponseOf<A>) => T,
    options: SendOptions = {},
  ): Promise<T> {
    const once = () =>
      new Promise<T>((resolve, reject) => {
        this.#network.send(
          BROKER,
          api,
          request,
          (error, response) => {
            if (response === undefined) return reject(error ?? new KafkaException('no response'))
            resolve(take(response))
          },
          options,
        )
      })
    try {
      return await once()
    } catch (error) {
      if (!(error instanceof NetworkException)) throw error
      return once()
    }
  }

  // ------------------------------------------------------------------ messages

  fetch(
    ranges: readonly FetchRange[],
    { maxWaitMs = 0, minBytes = 0 }: { readonly maxWaitMs?: number; readonly minBytes?: number } = {},
  ): Promise<FetchedMessages[]> {
    const request = {
      replicaId: ORDINARY_CONSUMER,
      maxWaitTime: maxWaitMs,
      minBytes,
      maxBytes: MAX_RESPONSE_BYTES,
      isolationLevel: 0,
      sessionId: 0,
      epoch: -1,
      forgottenTopicsData: [],
      topics: byTopic(ranges, ({ partition, offset, fetchSize }) => ({ partition, fetchOffset: offset, maxBytes: fetchSize })),
    }
    const take = ({ responses, errorCode }: ResponseOf<'Fetch'>) => {
      if (errorCode !== ErrorCode.NONE) throw exceptionOf(errorCode)
      const answers = new Map(
        responses.flatMap(({ topic, partitionResponses }) =>
          partitionResponses.map((answer) => [`${topic}-${answer.partitionHeader.partition}`, answer] as const),
        ),
      )
      return ranges.map((range) => {
        const answer = answers.get(`${range.topic}-${range.partition}`)
        if (answer === undefined) throw new KafkaException(`the broker did not answer for ${range.topic}-${range.partition}`)
        const { errorCode: code, highWatermark } = answer.partitionHeader
        return new Fetched(range, code, highWatermark, Buffer.from(answer.recordSet ?? []))
      })
    }
    return this.#ask('Fetch', request, take, this.#fetchOptions)
  }

  // ------------------------------------------------------------------ offsets of logs

  getOffsetsBefore(wanted: readonly (TopicPartition & { readonly time: number; readonly maxOffsets?: number })[]) {
    const request = {
      replicaId: ORDINARY_CONSUMER,
      topics: byTopic(wanted, ({ partition, time, maxOffsets = 1 }) => ({
        partition,
        timestamp: time,
        maxNumOffsets: maxOffsets,
      })),
    }
    const take = ({ responses }: ResponseOf<'ListOffsets'>) =>
      ordered(wanted, responses, ({ errorCode, offsets }) => ({ errorCode, offsets: [...offsets] }))
    return this.#ask('ListOffsets', request, take, { version: 0 })
  }

  async earliestOrLatestOffset(
    topic: string,
    partition: number,
    time: typeof LATEST_TIME | typeof EARLIEST_TIME,
  ): Promise<number> {
    const [answer] = await this.getOffsetsBefore([{ topic, partition, time }])
    const { errorCode, offsets } = answer!
    if (errorCode !== ErrorCode.NONE) throw exceptionOf(errorCode)
    return offsets[0] ?? -1
  }

  // ------------------------------------------------------------------ leaders

  async findLeader(topic: string, partition: number): Promise<LeaderInfo | null> {
    const { topicMetadata, brokers } = await this.#ask(
      'Metadata',
      (version) => metadataRequest([topic], version, false),
      (response) => response,
    )
    const found = topicMetadata.find((one) => one.topic === topic)
    if (found === undefined || found.errorCode !== ErrorCode.NONE)
      throw exceptionOf(found?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const one = found.partitionMetadata.find((candidate) => candidate.partition === partition)
    if (one === undefined) throw exceptionOf(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const leader = brokers.find(({ nodeId }) => nodeId === one.leader)
    return leader === undefined ? null : { id: leader.nodeId, host: leader.host, port: leader.port }
  }

  // ------------------------------------------------------------------ offsets of groups

  commitOffsets(
    groupId: string,
    offsets: readonly TopicPartitionOffset[],
    version: 0 | 1 = 0,
  ): Promise<(TopicPartition & { readonly errorCode: number })[]> {
    const request = {
      groupId,
      topics: byTopic(offsets, ({ partition, offset, metadata }) => ({ partition, offset, metadata: metadata ?? '' })),
    }
    const take = ({ responses }: ResponseOf<'OffsetCommit'>) => ordered(offsets, responses, ({ errorCode }) => ({ errorCode }))
    return this.#ask('OffsetCommit', request, take, { version })
  }

  fetchOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    version: 0 | 1 = 0,
  ): Promise<(TopicPartition & OffsetAndMetadata & { readonly errorCode: number })[]> {
    const request = { groupId, topics: byTopic(partitions, ({ partition }) => ({ partition })) }
    const take = ({ responses }: ResponseOf<'OffsetFetch'>) =>
      ordered(partitions, responses, ({ offset, metadata, errorCode }) => ({ offset, metadata: metadata ?? '', errorCode }))
    return this.#ask('OffsetFetch', request, take, { version })
  }

  async close(): Promise<void> {
    this.#network.close()
  }
}

/** Answers in the order of the questions. */
function ordered<P extends { readonly partition: number }, T>(
  asked: readonly TopicPartition[],
  responses: readonly { readonly topic: string; readonly partitionResponses: readonly P[] }[],
  of: (answer: P) => T,
): (TopicPartition & T)[] {
  return asked.map(({ topic, partition }) => {
    const answers = responses.find((one) => one.topic === topic)?.partitionResponses
    const answer = answers?.find((one) => one.partition === partition)
    if (answer === undefined) throw new KafkaException(`the broker did not answer for ${topic}-${partition}`)
    return { topic, partition, ...of(answer) }
  })
}

class Fetched implements FetchedMessages {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: number
  readonly nextOffset: number
  readonly #fetchOffset: number
  readonly #bytes: Buffer

  constructor({ topic, partition, offset }: FetchRange, errorCode: number, highWatermark: number, bytes: Buffer) {
    this.topic = topic
    this.partition = partition
    this.errorCode = errorCode
    this.highWatermark = highWatermark
    this.#fetchOffset = offset
    this.#bytes = bytes
    let next = offset
    for (let at = 0, size = 0; (size = nextBatch(bytes, at, bytes.length)) > 0; at += size)
      next = Math.max(next, lastOffset(bytes, at) + 1)
    this.nextOffset = next
  }

  get sizeInBytes(): number {
    return this.#bytes.length
  }

  *[Symbol.iterator](): Generator<MessageAndMetadata, void, undefined> {
    const { topic, partition } = this
    const reader = new RecordSetReader(this.#bytes, { topic, partition, fetchOffset: this.#fetchOffset, checkCrcs: true })
    while (reader.next()) yield new Message<Buffer | null, Buffer | null>(this, reader, null, null)
  }
}
