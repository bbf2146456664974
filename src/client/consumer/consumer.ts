/** The consumer that a group's coordinator looks after, or that reads what it is told to. */
import type { EpochMillis, Millis, TopicPartition } from '../../base/ids.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { ClusterClient } from '../cluster-client.ts'
import { type ConsumerConfig, type ConsumerOptions, consumerConfig } from '../config/index.ts'
import type { Environment } from '../environment.ts'
import { exceptionOf, IllegalArgumentException, IllegalStateException, TimeoutException } from '../errors.ts'
import type { PartitionMetadata } from '../metadata/types.ts'
import type { MetricValue, OffsetAndMetadata, TopicPartitionOffset } from '../producer/types.ts'
import { type Deserializer, deserializerOf } from '../serialization.ts'
import { assignorsOf } from './assignors/index.ts'
import { type Deserializers, type IndexedBatch, PolledRecords } from './batches.ts'
import { CallGuard } from './call-guard.ts'
import { Commits } from './commits.ts'
import { Coordinator } from './coordinator.ts'
import { Fetcher } from './fetcher.ts'
import { Membership } from './membership.ts'
import { ConsumerMetrics } from './metrics.ts'
import { EARLIEST, LATEST, OffsetLookup } from './offset-lookup.ts'
import { Positions } from './positions.ts'
import { Signal } from './signal.ts'
import { Subscription } from './subscription.ts'
import { Topics } from './topics.ts'
import type {
  CommitCallback,
  Consumer,
  ConsumerInterceptor,
  ConsumerRebalanceListener,
  ConsumerRecords,
  OffsetAndTimestamp,
  RecordBatch,
} from './types.ts'

/** How long one wait of `for await` lasts; then it waits on. */
const ITERATION_MS = 60_000
const CLOSE_TIMEOUT_MS = 30_000
const FEW_RECORDS = 16

/**
 * A consumer with these options (Kafka's keys; `key.deserializer` and `value.deserializer` decide what K and V are). Connects when it is
 * first used. Throws ConfigException.
 */
export function createConsumer<K = Buffer | null, V = Buffer | null>(
  options: ConsumerOptions,
  environment: Partial<Environment> = {},
): Consumer<K, V> {
  return new KafkaConsumer<K, V>(consumerConfig(options), environment)
}

class KafkaConsumer<K, V> implements Consumer<K, V> {
  readonly #config: ConsumerConfig
  readonly #cluster: ClusterClient
  readonly #signal: Signal
  readonly #subscription = new Subscription()
  readonly #metrics: ConsumerMetrics
  readonly #interceptors: readonly ConsumerInterceptor[]
  readonly #deserializers: Deserializers<K, V>
  readonly #coordinator: Coordinator
  readonly #membership: Membership
  readonly #commits: Commits
  readonly #lookup: OffsetLookup
  readonly #positions: Positions
  readonly #fetcher: Fetcher<K, V>
  readonly #guard: CallGuard
  readonly #topics: Topics
  /** Records were handed out before the next ones were asked for. */
  #isFetchDue = false
  #closing: Promise<void> | undefined

  constructor(config: ConsumerConfig, environment: Partial<Environment>) {
    const cluster = new ClusterClient({ config, role: 'consumer', allowAutoTopicCreation: true, environment })
    const { clock } = cluster.environment
    const subscription = this.#subscription
    this.#config = config
    this.#cluster = cluster
    const signal = new Signal(clock)
    this.#signal = signal
    this.#guard = new CallGuard(signal, cluster.environment.log)
    this.#metrics = new ConsumerMetrics(cluster.clientId, () => clock.now(), config['metrics.sample.window.ms'])
    const metrics = this.#metrics
    this.#interceptors = config['interceptor.classes']
    this.#deserializers = {
      // K and V are what the user says that the deserializers give.
      key: deserializerOf(config['key.deserializer']) as Deserializer<K> | null,
      value: deserializerOf(config['value.deserializer']) as Deserializer<V> | null,
    }
    const coordinator = new Coordinator(cluster, config['group.id'], metrics)
    this.#coordinator = coordinator
    this.#membership = new Membership({
      cluster,
      config,
      coordinator,
      signal,
      metrics,
      assignors: assignorsOf(config['partition.assignment.strategy']),
      events: {
        topics: () => subscription.topics,
        onPrepare: () => this.#giveUpPartitions(),
        onAssigned: (partitions) => this.#takePartitions(partitions),
        partitionCounts: (topics) => this.#topics.partitionCounts(topics),
      },
    })
    const membership = this.#membership
    this.#topics = new Topics({
      cluster,
      config,
      subscription,
      signal,
      onMatch: () => membership.rejoin(),
      onPartitionCounts: (countOf) => {
        if (subscription.isShared) membership.metadataChanged(countOf)
      },
    })
    this.#commits = new Commits({ cluster, config, subscription, coordinator, membership, interceptors: this.#interceptors })
    this.#lookup = new OffsetLookup(cluster, config['isolation.level'] === 'read_committed')
    this.#positions = new Positions({ cluster, config, subscription, coordinator, lookup: this.#lookup, signal })
    this.#fetcher = new Fetcher({ cluster, config, subscription, signal, metrics, deserializers: this.#deserializers })
  }

  get clientId(): string {
    return this.#cluster.clientId
  }

  /** The waiting call, or the next one, rejects with WakeupException. */
  wakeup(): void {
    this.#guard.wakeup()
  }

  // ------------------------------------------------------------------ what to read

  subscribe(topics: readonly string[] | RegExp, listener?: ConsumerRebalanceListener): void {
    this.#guard.check()
    if (!(topics instanceof RegExp)) checkTopics(topics)
    if (Array.isArray(topics) && topics.length === 0) {
      void this.#unsubscribe()
      return
    }
    if (this.#config['group.id'] === '') throw exceptionOf(ErrorCode.INVALID_GROUP_ID, 'subscribe needs a group.id')
    this.#subscription.subscribe(topics, listener)
    this.#topics.follow()
    if (topics instanceof RegExp) this.#topics.listForPattern()
    this.#membership.rejoin()
  }

  unsubscribe(): Promise<void> {
    return this.#guard.run(() => this.#unsubscribe())
  }

  async #unsubscribe(): Promise<void> {
    const { listener, isShared } = this.#subscription
    const partitions = this.#subscription.list()
    if (isShared && partitions.length > 0) await this.#guard.listen(() => listener?.onPartitionsRevoked?.(partitions))
    this.#subscription.clear()
    this.#topics.follow()
    if (isShared) await this.#membership.leave()
  }

  assign(partitions: readonly TopicPartition[]): void {
    this.#guard.check()
    checkTopics(partitions.map(({ topic }) => topic))
    if (this.#subscription.mode === 'assigned') this.#commits.autoNow()
    if (partitions.length === 0) {
      void this.#unsubscribe()
      return
    }
    this.#subscription.assign(partitions)
    this.#topics.follow()
  }

  subscription(): readonly string[] {
    return this.#subscription.topics
  }

  assignment(): readonly TopicPartition[] {
    return this.#subscription.list()
  }

  // ------------------------------------------------------------------ rebalances

  async #giveUpPartitions(): Promise<void> {
    await this.#commits.autoSync(this.#config['session.timeout.ms'])
    const partitions = this.#subscription.list()
    await this.#guard.listen(() => this.#subscription.listener?.onPartitionsRevoked?.(partitions))
    this.#topics.follow()
  }

  async #takePartitions(partitions: readonly TopicPartition[]): Promise<void> {
    this.#subscription.setPartitions(partitions, false)
    this.#topics.follow()
    await this.#guard.listen(() => this.#subscription.listener?.onPartitionsAssigned?.(partitions))
  }

  // ------------------------------------------------------------------ reading

  async poll(timeoutMs: Millis): Promise<ConsumerRecords<K, V>> {
    if (timeoutMs < 0 || Number.isNaN(timeoutMs)) throw new IllegalArgumentException(`Timeout must not be negative: ${timeoutMs}`)
    return this.#intercepted(await this.#poll(timeoutMs, Number.POSITIVE_INFINITY))
  }

  async #poll(timeoutMs: Millis, maxBatches: number): Promise<IndexedBatch<K, V>[]> {
    if (this.#guard.isListening) throw new IllegalStateException('poll within a rebalance listener')
    this.#guard.check()
    if (this.#subscription.mode === 'none')
      throw new IllegalStateException('Consumer is not subscribed to any topics or assigned any partitions')
    const { clock } = this.#cluster.environment
    const deadline = clock.now() + timeoutMs
    this.#guard.enter()
    this.#membership.pollBegins()
    this.#commits.undone.clear()
    try {
      for (;;) {
        this.#guard.throwIfWoken()
        this.#topics.throwFailure()
        const seen = this.#signal.count
        const isGood = this.#advance()
        if (isGood === true || (await isGood)) {
          const batches = this.#step(maxBatches)
          if (batches.length > 0) return batches
        } else this.#commits.runCallbacks()
        const leftMs = deadline - clock.now()
        if (leftMs <= 0) return []
        await this.#signal.wait(leftMs, seen)
      }
    } finally {
      this.#membership.pollEnds()
      this.#guard.leave()
    }
  }

  /** Whether there are partitions to read. */
  #advance(): boolean | Promise<boolean> {
    if (!this.#subscription.isShared) return true
    return this.#topics.isReady && this.#membership.advance()
  }

  #step(maxBatches: number): IndexedBatch<K, V>[] {
    this.#commits.runCallbacks()
    this.#commits.auto()
    this.#positions.advance()
    const batches = this.#fetcher.take(this.#config['max.poll.records'], maxBatches)
    // Before the caller works on what came. A few records it has at once: sending takes longer than most do with them.
    if (isFew(batches)) this.#fetchSoon()
    else this.#fetch()
    return batches
  }

  /** When the caller has seen what came, or polls again. */
  #fetchSoon(): void {
    if (this.#isFetchDue) return
    this.#isFetchDue = true
    this.#cluster.environment.clock.soon(() => {
      if (this.#isFetchDue && !this.#guard.isClosing) this.#fetch()
    })
  }

  #fetch(): void {
    this.#isFetchDue = false
    this.#fetcher.sendFetches()
  }

  #intercepted(batches: readonly RecordBatch<K, V>[]): ConsumerRecords<K, V> {
    let records: ConsumerRecords<K, V> = new PolledRecords(batches)
    if (records.isEmpty) return records
    for (const interceptor of this.#interceptors) {
      try {
        // An interceptor gives back what it got, or less of it.
        records = (interceptor.onConsume?.(records) as ConsumerRecords<K, V> | undefined) ?? records
      } catch (error) {
        this.#cluster.environment.log.warn('an interceptor failed in onConsume', error)
      }
    }
    return records
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RecordBatch<K, V>, void, undefined> {
    while (!this.#guard.isClosing) {
      let batches: readonly RecordBatch<K, V>[]
      try {
        const polled = await this.#poll(ITERATION_MS, 1)
        batches = polled.length === 0 ? polled : this.#intercepted(polled).batches
      } catch (error) {
        if (this.#guard.isClosing) return
        throw error
      }
      for (const batch of batches) {
        let isDone = false
        try {
          yield batch
          isDone = true
        } finally {
          if (!isDone) this.#commits.undone.set(`${batch.topic}-${batch.partition}`, batch.firstOffset)
        }
      }
    }
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#guard.check()
    for (const one of partitions.map((partition) => this.#subscription.get(partition))) one.isPaused = true
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#guard.check()
    for (const one of partitions.map((partition) => this.#subscription.get(partition))) one.isPaused = false
    this.#signal.notify()
  }

  paused(): readonly TopicPartition[] {
    return [...this.#subscription.partitions.values()]
      .filter(({ isPaused }) => isPaused)
      .map(({ topic, partition }) => ({ topic, partition }))
  }

  // ------------------------------------------------------------------ positions

  seek(partition: TopicPartition, offset: number): void {
    this.#guard.check()
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new IllegalArgumentException(`seek offset must not be a negative number: ${offset}`)
    this.#subscription.get(partition).moveTo(offset)
  }

  seekToBeginning(partitions: readonly TopicPartition[]): void {
    this.#want('earliest', partitions)
  }

  seekToEnd(partitions: readonly TopicPartition[]): void {
    this.#want('latest', partitions)
  }

  #want(wish: 'earliest' | 'latest', partitions: readonly TopicPartition[]): void {
    this.#guard.check()
    const meant = partitions.length === 0 ? this.#subscription.list() : partitions
    for (const one of meant.map((partition) => this.#subscription.get(partition))) one.want(wish)
  }

  position(partition: TopicPartition): Promise<number> {
    return this.#guard.run(async () => {
      const assigned = this.#subscription.get(partition)
      const { clock } = this.#cluster.environment
      const deadline = clock.now() + this.#config['request.timeout.ms']
      for (;;) {
        const seen = this.#signal.count
        this.#positions.advance()
        if (assigned.position >= 0) return assigned.position
        const leftMs = deadline - clock.now()
        if (leftMs <= 0) throw new TimeoutException(`The position of ${assigned.key} could not be found in time`)
        await this.#signal.wait(leftMs, seen)
      }
    })
  }

  committed(partition: TopicPartition): Promise<OffsetAndMetadata | null> {
    return this.#guard.run(async () => {
      const found = await this.#coordinator.retry('fetch committed offsets', this.#config['request.timeout.ms'], () =>
        this.#coordinator.fetchOffsets([partition]),
      )
      return found.get(`${partition.topic}-${partition.partition}`) ?? null
    })
  }

  commitSync(offsets?: readonly TopicPartitionOffset[]): Promise<void> {
    return this.#guard.run(() =>
      this.#commits.sync(offsets ?? this.#subscription.positions(), this.#config['request.timeout.ms']),
    )
  }

  commitAsync(offsets?: readonly TopicPartitionOffset[], callback?: CommitCallback): void {
    this.#guard.check()
    this.#commits.async(offsets ?? this.#subscription.positions(), callback)
  }

  // ------------------------------------------------------------------ looking around

  partitionsFor(topic: string): Promise<readonly PartitionMetadata[]> {
    return this.#guard.run(() => this.#topics.partitionsFor(topic))
  }

  listTopics(): Promise<ReadonlyMap<string, readonly PartitionMetadata[]>> {
    return this.#guard.run(() => this.#topics.list())
  }

  offsetsForTimes(
    times: readonly (TopicPartition & { readonly timestamp: EpochMillis })[],
  ): Promise<Map<string, OffsetAndTimestamp | null>> {
    return this.#guard.run(async () => {
      const wrong = times.find(({ timestamp }) => timestamp < 0)
      if (wrong !== undefined)
        throw new IllegalArgumentException(
          `The target time for partition ${wrong.topic}-${wrong.partition} is ${wrong.timestamp}. The target time cannot be negative.`,
        )
      return this.#lookup.forTimes(times, this.#config['request.timeout.ms'])
    })
  }

  beginningOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    return this.#ends(partitions, EARLIEST)
  }

  endOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    return this.#ends(partitions, LATEST)
  }

  #ends(partitions: readonly TopicPartition[], timestamp: number): Promise<Map<string, number>> {
    return this.#guard.run(async () => {
      const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp }))
      const found = await this.#lookup.all(queries, this.#config['request.timeout.ms'])
      return new Map([...found].map(([key, { offset }]) => [key, offset]))
    })
  }

  metrics(): MetricValue[] {
    return this.#metrics.values(this.#subscription.partitions.values())
  }

  // ------------------------------------------------------------------ closing

  close(timeoutMs: Millis = CLOSE_TIMEOUT_MS): Promise<void> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  async #close(timeoutMs: Millis): Promise<void> {
    const { clock } = this.#cluster.environment
    const deadline = clock.now() + timeoutMs
    const inTime = (work: () => Promise<void>) => this.#within(deadline - clock.now(), work)
    const idle = this.#guard.close()
    await inTime(() => idle)
    await inTime(() => this.#commits.autoSync(Math.max(0, deadline - clock.now())))
    await inTime(() => this.#commits.settled())
    this.#commits.runCallbacks()
    const { listener, isShared } = this.#subscription
    const partitions = this.#subscription.list()
    if (isShared && partitions.length > 0)
      await inTime(() => this.#guard.listen(() => listener?.onPartitionsRevoked?.(partitions)))
    if (isShared) await inTime(() => this.#membership.leave())
    this.#subscription.clear()
    this.#coordinator.close()
    for (const one of [...this.#interceptors, this.#deserializers.key, this.#deserializers.value]) this.#closeQuietly(one)
    await this.#cluster.close()
    this.#signal.close()
  }

  #closeQuietly(one: { close?(): void } | null): void {
    try {
      one?.close?.()
    } catch (error) {
      this.#cluster.environment.log.warn('closing failed', error)
    }
  }

  /** Resolves when the work is over, whatever came of it, or the time is. */
  #within(timeoutMs: Millis, work: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#cluster.environment.clock.timer(Math.max(0, timeoutMs), resolve)
      const done = () => {
        timer.cancel()
        resolve()
      }
      work().then(done, done)
    })
  }
}

/** Some records, and no more than a caller looks at while a request is being sent. */
function isFew(batches: readonly { readonly count: number }[]): boolean {
  let count = 0
  for (const batch of batches) count += batch.count
  return count > 0 && count <= FEW_RECORDS
}

function checkTopics(topics: readonly string[]): void {
  if (topics.some((topic) => topic.trim() === ''))
    throw new IllegalArgumentException('Topic collection to subscribe to cannot contain null or empty topic')
}
