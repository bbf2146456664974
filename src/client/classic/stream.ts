/** A message stream: chunks that the fetcher put in, messages that the application takes out. */
import type { Millis, TopicPartition } from '../../base/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { RecordHeader } from '../../protocol/records/index.ts'
import { IllegalStateException, type KafkaException } from '../errors.ts'
import type { RecordSetReader, RecordView } from '../record-reader.ts'
import { type Deserializer, deserializerOf } from '../serialization.ts'
import { ConsumerTimeoutException } from './errors.ts'
import type { KafkaStream, MessageAndMetadata, StreamDecoders } from './types.ts'

/** Timers of Node go no further. */
const MAX_TIMER_MS = 0x7fffffff

/** A partition while this member owns it. Each rebalance makes new ones. */
export interface OwnedPartition extends TopicPartition {
  readonly key: string
  readonly stream: StreamQueue
  readonly threadId: string
  /** What to fetch next; negative: to be found out by `auto.offset.reset`. */
  fetchOffset: number
  /** What to commit: the offset behind the last message that counts as consumed. Negative: none. */
  consumedOffset: number
  isFetching: boolean
  retryAt: Millis
}

/** Messages of one partition, or what went wrong. */
export interface Chunk {
  readonly partition: OwnedPartition
  readonly reader: RecordSetReader | undefined
  /** The offset behind the chunk. */
  readonly nextOffset: number
  readonly error?: KafkaException
}

/** What the fetcher sees of a stream. */
export interface StreamQueue {
  /** Chunks that nobody has begun to read. */
  readonly waiting: number
  offer(chunk: Chunk): void
}

export interface StreamOptions<K, V> {
  readonly clientId: string
  readonly clock: Clock
  /** `consumer.timeout.ms` */
  readonly timeoutMs: Millis
  readonly decoders: StreamDecoders<K, V>
  /** A chunk was begun: there is room for another. */
  readonly onRoom: () => void
}

interface Waiter<T> {
  readonly resolve: (message: T | undefined) => void
  readonly reject: (error: unknown) => void
  timer: { cancel(): void } | undefined
}

export class MessageStream<K, V> implements KafkaStream<K, V>, StreamQueue {
  readonly clientId: string
  threadIds: readonly string[] = []
  readonly #options: StreamOptions<K, V>
  readonly #key: Deserializer<K> | null
  readonly #value: Deserializer<V> | null
  #chunks: Chunk[] = []
  #current: Chunk | undefined
  /** The message handed out last, which counts as consumed when the next one is asked for. */
  #last: { readonly partition: OwnedPartition; readonly nextOffset: number } | undefined
  #waiter: Waiter<MessageAndMetadata<K, V>> | undefined
  #ended = false

  constructor(options: StreamOptions<K, V>) {
    this.#options = options
    this.clientId = options.clientId
    this.#key = deserializerOf(options.decoders.key ?? null) as Deserializer<K> | null
    this.#value = deserializerOf(options.decoders.value ?? null) as Deserializer<V> | null
  }

  // ------------------------------------------------------------------ the fetcher's side

  get waiting(): number {
    return this.#chunks.length
  }

  offer(chunk: Chunk): void {
    if (this.#ended) return
    this.#chunks.push(chunk)
    this.#serveWaiter()
  }

  /** A rebalance: what was not handed out yet will be fetched again, by whoever owns it then. */
  clear(): void {
    this.#chunks = []
    this.#current = undefined
  }

  /** What was handed out counts as consumed. */
  settle(): void {
    if (this.#last === undefined) return
    this.#last.partition.consumedOffset = this.#last.nextOffset
    this.#last = undefined
  }

  end(): void {
    this.clear()
    this.#ended = true
    this.#serveWaiter()
  }

  // ------------------------------------------------------------------ the reader's side

  poll(): MessageAndMetadata<K, V> | undefined {
    this.settle()
    for (;;) {
      if (this.#current === undefined) {
        this.#current = this.#chunks.shift()
        if (this.#current === undefined) return undefined
        this.#options.onRoom()
      }
      const { partition, reader, nextOffset, error } = this.#current
      if (reader === undefined) {
        this.#current = undefined
        if (error !== undefined) throw error
      } else if (reader.next()) {
        this.#last = { partition, nextOffset: reader.position }
        return new Message(partition, reader, this.#key, this.#value)
      } else {
        partition.consumedOffset = nextOffset
        this.#current = undefined
      }
    }
  }

  next(): Promise<MessageAndMetadata<K, V> | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiter !== undefined) throw new IllegalStateException('a stream is for one reader at a time')
      const message = this.poll()
      if (message !== undefined || this.#ended) return resolve(message)
      this.#waiter = { resolve, reject, timer: this.#timeout() }
    })
  }

  #timeout(): { cancel(): void } | undefined {
    const { timeoutMs, clock } = this.#options
    if (timeoutMs < 0) return undefined
    return clock.timer(Math.min(timeoutMs, MAX_TIMER_MS), () => {
      const waiter = this.#waiter
      this.#waiter = undefined
      waiter?.reject(new ConsumerTimeoutException(`no message within consumer.timeout.ms = ${timeoutMs}`))
    })
  }

  #serveWaiter(): void {
    const waiter = this.#waiter
    if (waiter === undefined) return
    let message: MessageAndMetadata<K, V> | undefined
    try {
      message = this.poll()
    } catch (error) {
      this.#waiter = undefined
      waiter.timer?.cancel()
      waiter.reject(error)
      return
    }
    if (message === undefined && !this.#ended) return
    this.#waiter = undefined
    waiter.timer?.cancel()
    waiter.resolve(message)
  }

  [Symbol.asyncIterator](): AsyncIterator<MessageAndMetadata<K, V>, void> {
    return {
      next: async () => {
        const value = await this.next()
        return value === undefined ? { done: true, value: undefined } : { done: false, value }
      },
      // Who leaves the loop has done with the message.
      return: async () => {
        this.settle()
        return { done: true, value: undefined }
      },
    }
  }
}

/** Key and value are made when asked for, once. */
export class Message<K, V> implements MessageAndMetadata<K, V> {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly timestampType: MessageAndMetadata['timestampType']
  readonly #view: RecordView
  readonly #keyDecoder: Deserializer<K> | null
  readonly #valueDecoder: Deserializer<V> | null
  #key: K | undefined
  #value: V | undefined

  constructor(
    { topic, partition }: TopicPartition,
    reader: RecordSetReader,
    keyDecoder: Deserializer<K> | null,
    valueDecoder: Deserializer<V> | null,
  ) {
    this.topic = topic
    this.partition = partition
    this.#view = reader.view()
    this.offset = this.#view.offset
    this.timestamp = this.#view.timestamp
    this.timestampType = reader.timestampType
    this.#keyDecoder = keyDecoder
    this.#valueDecoder = valueDecoder
  }

  get key(): K {
    if (this.#key === undefined) this.#key = this.#decode(this.#keyDecoder, this.#view.key)
    return this.#key
  }

  get value(): V {
    if (this.#value === undefined) this.#value = this.#decode(this.#valueDecoder, this.#view.value)
    return this.#value
  }

  get message(): V {
    return this.value
  }

  get headers(): readonly RecordHeader[] {
    return this.#view.headers
  }

  /** Without a decoder the type is that of the bytes. */
  #decode<T>(decoder: Deserializer<T> | null, data: Buffer | null): T {
    return decoder === null ? (data as T) : decoder.deserialize(this.topic, data)
  }
}
