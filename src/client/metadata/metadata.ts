/** What the clients know of the cluster, and when they ask again. */
import type { Millis } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock, Timer } from '../../ports/clock.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { exceptionOf, InvalidTopicException, KafkaException, TimeoutException, TopicAuthorizationException } from '../errors.ts'
import type { MetadataSource, MetadataUpdate, Node, TopicMetadata, Topics } from './types.ts'

export interface MetadataOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly source: MetadataSource
  /** `metadata.max.age.ms` */
  readonly maxAgeMs: Millis
  /** `retry.backoff.ms`: at least so long between two refreshes. */
  readonly retryBackoffMs: Millis
  /** Topics of `add` that nobody looked up for so long are forgotten. Default 5 minutes. */
  readonly topicExpiryMs?: Millis
}

export interface MetadataChange {
  /** Topics whose partitions, leaders or error differ from before. */
  readonly topics: readonly string[]
  readonly brokers: boolean
  readonly controller: boolean
}

interface Entry {
  metadata: TopicMetadata
  used: boolean
  usedAt: Millis
}

interface Waiter {
  readonly topic: string
  readonly callback: (error: KafkaException | undefined, topic: TopicMetadata | undefined) => void
  timer: Timer | undefined
}

interface UpdateWaiter {
  readonly callback: (error: KafkaException | undefined) => void
  timer: Timer | undefined
}

const TOPIC_EXPIRY_MS = 300_000

/**
 * Topics of interest are those of `add` (forgotten when unused) and those of `setTopics` (kept). Lookups are synchronous. At most one refresh
 * is under way, and `retry.backoff.ms` lies between two; a wish in the meantime is remembered.
 */
export class Metadata {
  readonly #options: MetadataOptions
  readonly #topics = new Map<string, Entry>()
  /** What `topic` found last, until a topic is forgotten. */
  #lastName: string | undefined
  #lastEntry: Entry | undefined
  #brokers: ReadonlyMap<number, Node> = new Map()
  #controllerId = -1
  #clusterId: string | null = null
  /** Topics of `add`, with the time of their last use. */
  readonly #added = new Map<string, Millis>()
  #set: Topics = []
  readonly #listeners = new Set<(change: MetadataChange) => void>()
  #waiters: Waiter[] = []
  #updateWaiters: UpdateWaiter[] = []
  #nextUpdateWaiters: UpdateWaiter[] = []
  #refreshing = false
  #again = false
  #refreshedAt: Millis = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  #ageTimer: Timer | undefined
  #failures = 0
  #closed = false

  constructor(options: MetadataOptions) {
    this.#options = options
  }

  // ------------------------------------------------------------------ lookups

  get brokers(): ReadonlyMap<number, Node> {
    return this.#brokers
  }

  /** -1: not known. */
  get controllerId(): number {
    return this.#controllerId
  }

  get clusterId(): string | null {
    return this.#clusterId
  }

  /** Undefined when nothing is known of the topic yet, or it is not there. Counts as use. */
  topic(name: string): TopicMetadata | undefined {
    // Producers ask for the same one with every record.
    const entry = name === this.#lastName ? this.#lastEntry : this.#topics.get(name)
    if (entry === undefined || entry.metadata.count === 0) return undefined
    this.#lastName = name
    this.#lastEntry = entry
    entry.used = true
    return entry.metadata
  }

  /** Known topics, those with an error excepted. */
  topics(): TopicMetadata[] {
    return [...this.#topics.values()].map(({ metadata }) => metadata).filter(({ count }) => count > 0)
  }

  /** 0, or the error that a topic of interest has now. */
  topicError(name: string): number {
    return this.#topics.get(name)?.metadata.errorCode ?? ErrorCode.NONE
  }

  /** Node id; -1: not known, or none. */
  leaderOf(topic: string, partition: number): number {
    return this.#topics.get(topic)?.metadata.partitions[partition]?.leader ?? -1
  }

  // ------------------------------------------------------------------ interest

  /** Makes a topic one of interest until nobody looks it up any more. */
  add(topic: string): void {
    const fresh = !this.#added.has(topic)
    this.#added.set(topic, this.#options.clock.now())
    if (fresh && this.#set !== 'all' && !this.#set.includes(topic)) this.requestUpdate()
  }

  /** Replaces the topics that are kept. */
  setTopics(topics: Topics): void {
    const before = this.#set
    this.#set = topics
    const known = (name: string) => before === 'all' || before.includes(name) || this.#added.has(name)
    if (topics === 'all' ? before !== 'all' : !topics.every(known)) this.requestUpdate()
  }

  #interest(): Topics {
    return this.#set === 'all' ? 'all' : [...new Set([...this.#set, ...this.#added.keys()])]
  }

  // ------------------------------------------------------------------ waiting

  onChange(listener: (change: MetadataChange) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Calls back, never at once, when the partitions of a topic are known; it becomes one of interest. Errors: TimeoutException,
   * TopicAuthorizationException, InvalidTopicException. A topic that is not there is waited for.
   */
  whenTopic(topic: string, timeoutMs: Millis, callback: Waiter['callback']): void {
    const { clock } = this.#options
    if (this.#closed) {
      clock.soon(() => callback(new KafkaException('the client is closed'), undefined))
      return
    }
    const waiter: Waiter = { topic, callback, timer: undefined }
    if (this.topic(topic) !== undefined) {
      this.#added.set(topic, clock.now())
      clock.soon(() => callback(undefined, this.topic(topic)))
      return
    }
    waiter.timer = clock.timer(timeoutMs, () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
      callback(new TimeoutException(`Failed to update metadata after ${Math.round(timeoutMs)} ms.`), undefined)
    })
    this.#waiters.push(waiter)
    this.#added.set(topic, clock.now())
    this.requestUpdate()
  }

  /** As `whenTopic`. */
  waitForTopic(topic: string, timeoutMs: Millis): Promise<TopicMetadata> {
    return new Promise((resolve, reject) => {
      this.whenTopic(topic, timeoutMs, (error, metadata) => {
        if (metadata === undefined) reject(error ?? new KafkaException(`${topic} is not known`))
        else resolve(metadata)
      })
    })
  }

  /** Resolves after a refresh that began after the call. Rejects with TimeoutException. */
  update(timeoutMs: Millis): Promise<void> {
    return new Promise((resolve, reject) => {
      const { clock } = this.#options
      const waiter: UpdateWaiter = { callback: (error) => (error === undefined ? resolve() : reject(error)), timer: undefined }
      waiter.timer = clock.timer(timeoutMs, () => {
        this.#updateWaiters = this.#updateWaiters.filter((other) => other !== waiter)
        this.#nextUpdateWaiters = this.#nextUpdateWaiters.filter((other) => other !== waiter)
        waiter.callback(new TimeoutException(`Failed to update metadata after ${Math.round(timeoutMs)} ms.`))
      })
      this.#nextUpdateWaiters.push(waiter)
      this.requestUpdate()
    })
  }

  // ------------------------------------------------------------------ refreshing

  /** Something said that the metadata are wrong (an error with `invalidMetadata`, a partition without leader): ask again soon. */
  requestUpdate(): void {
    if (this.#closed) return
    if (this.#refreshing) {
      this.#again = true
      return
    }
    if (this.#timer !== undefined) return
    const { clock, retryBackoffMs } = this.#options
    const delay = Math.max(0, this.#refreshedAt + retryBackoffMs - clock.now())
    this.#timer = clock.timer(delay, () => this.#refresh(), true)
  }

  #refresh(): void {
    const { clock, source } = this.#options
    this.#timer = undefined
    this.#refreshing = true
    this.#again = false
    this.#refreshedAt = clock.now()
    this.#expireTopics()
    this.#updateWaiters = [...this.#updateWaiters, ...this.#nextUpdateWaiters]
    this.#nextUpdateWaiters = []
    source.refresh(this.#interest(), (error) => this.#refreshed(error))
  }

  #refreshed(error: KafkaException | undefined): void {
    if (this.#closed) return
    this.#refreshing = false
    this.#refreshedAt = this.#options.clock.now()
    if (error === undefined) {
      this.#failures = 0
      for (const waiter of this.#updateWaiters.splice(0)) {
        waiter.timer?.cancel()
        waiter.callback(undefined)
      }
      this.#watchAge()
    } else {
      if (this.#failures++ === 0) this.#options.log.info(`metadata are not to be had now: ${error.message}`)
      this.#again = true
    }
    if (this.#again || this.#waiters.length > 0) this.requestUpdate()
  }

  #watchAge(): void {
    const { clock, maxAgeMs, source } = this.#options
    if (source.pushes) return
    this.#ageTimer?.cancel()
    this.#ageTimer = clock.timer(maxAgeMs, () => this.requestUpdate(), true)
  }

  #expireTopics(): void {
    const now = this.#options.clock.now()
    const oldest = now - (this.#options.topicExpiryMs ?? TOPIC_EXPIRY_MS)
    const awaited = new Set(this.#waiters.map(({ topic }) => topic))
    for (const [topic, addedAt] of this.#added) {
      const entry = this.#topics.get(topic)
      if (entry?.used) {
        entry.used = false
        entry.usedAt = now
      }
      if (Math.max(addedAt, entry?.usedAt ?? 0) < oldest && !awaited.has(topic)) this.#added.delete(topic)
    }
  }

  // ------------------------------------------------------------------ updates

  /** The sink of the source. */
  apply(update: MetadataUpdate): void {
    if (this.#closed) return
    const changed: string[] = []
    for (const metadata of update.topics) if (this.#put(metadata)) changed.push(metadata.name)
    if (update.complete === true) {
      this.#lastName = this.#lastEntry = undefined
      const present = new Set(update.topics.map(({ name }) => name))
      for (const name of [...this.#topics.keys()]) if (!present.has(name) && this.#topics.delete(name)) changed.push(name)
    }
    const brokers = update.brokers !== undefined && !sameBrokers(this.#brokers, update.brokers)
    if (update.brokers !== undefined && brokers) this.#brokers = new Map(update.brokers.map((node) => [node.id, node]))
    const controller = update.controllerId !== undefined && update.controllerId !== this.#controllerId
    if (update.controllerId !== undefined) this.#controllerId = update.controllerId
    if (update.clusterId !== undefined) this.#clusterId = update.clusterId
    if (changed.length > 0 || brokers || controller) {
      for (const listener of [...this.#listeners]) listener({ topics: changed, brokers, controller })
    }
    this.#settleWaiters()
  }

  #put(metadata: TopicMetadata): boolean {
    const entry = this.#topics.get(metadata.name)
    if (entry === undefined) {
      this.#topics.set(metadata.name, { metadata, used: false, usedAt: this.#options.clock.now() })
      return true
    }
    const same = sameTopic(entry.metadata, metadata)
    entry.metadata = metadata
    return !same
  }

  #settleWaiters(): void {
    if (this.#waiters.length === 0) return
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) {
      const metadata = this.topic(waiter.topic)
      const error = metadata === undefined ? fatalTopicError(waiter.topic, this.topicError(waiter.topic)) : undefined
      if (metadata === undefined && error === undefined) {
        this.#waiters.push(waiter)
        continue
      }
      waiter.timer?.cancel()
      waiter.callback(error, metadata)
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    this.#ageTimer?.cancel()
    const error = new KafkaException('the client is closed')
    for (const waiter of [...this.#waiters.splice(0), ...this.#updateWaiters.splice(0), ...this.#nextUpdateWaiters.splice(0)]) {
      waiter.timer?.cancel()
      waiter.callback(error, undefined)
    }
    this.#listeners.clear()
    await this.#options.source.close()
  }
}

/** Errors that waiting does not heal. */
function fatalTopicError(topic: string, code: number): KafkaException | undefined {
  switch (code) {
    case ErrorCode.NONE:
      return undefined
    case ErrorCode.TOPIC_AUTHORIZATION_FAILED:
      return new TopicAuthorizationException([topic])
    case ErrorCode.INVALID_TOPIC_EXCEPTION:
      return new InvalidTopicException([topic])
    default: {
      const error = exceptionOf(code)
      return error.retriable ? undefined : error
    }
  }
}

function sameBrokers(before: ReadonlyMap<number, Node>, after: readonly Node[]): boolean {
  if (before.size !== after.length) return false
  return after.every(({ id, host, port, rack }) => {
    const node = before.get(id)
    return node !== undefined && node.host === host && node.port === port && node.rack === rack
  })
}

function sameTopic(a: TopicMetadata, b: TopicMetadata): boolean {
  if (a.errorCode !== b.errorCode || a.count !== b.count) return false
  return a.partitions.every((one, i) => {
    const other = b.partitions[i]!
    return (
      one.leader === other.leader &&
      one.errorCode === other.errorCode &&
      sameIds(one.replicas, other.replicas) &&
      sameIds(one.isr, other.isr)
    )
  })
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i])
}
