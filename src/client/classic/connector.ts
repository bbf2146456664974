/** The High Level Consumer of 0.8: message streams fed by what this member of a ZooKeeper group owns. */
import { type KafkaZk, kafkaZkOn } from '../../../zk/store/index.ts'
import type { ConsumerRegistration } from '../../../zk/znodes/index.ts'
import { partitionKey, type TopicPartition } from '../../base/ids.ts'
import type { Timer } from '../../ports/clock.ts'
import { ClusterClient } from '../cluster-client.ts'
import { commonOfOldConsumer, type OldConsumerConfig, type OldConsumerOptions, oldConsumerConfig } from '../config/index.ts'
import { type Environment, environmentOf } from '../environment.ts'
import { IllegalArgumentException, IllegalStateException } from '../errors.ts'
import type { TopicPartitionOffset } from '../producer/types.ts'
import type { PartitionAssignment } from './assignment.ts'
import { threadOf } from './assignment.ts'
import { MessageStreamsExistException } from './errors.ts'
import { ClassicFetcher } from './fetcher.ts'
import { OffsetStore } from './offset-store.ts'
import { Rebalancer } from './rebalancer.ts'
import { SharedSession } from './shared-session.ts'
import { MessageStream, type OwnedPartition } from './stream.ts'
import type { ConsumerConnector, KafkaStream, OldConsumerRebalanceListener, StreamDecoders, TopicFilter } from './types.ts'

type AnyStream = MessageStream<unknown, unknown>

/** What exists from the first call for streams on. */
interface Running {
  readonly zk: KafkaZk
  readonly cluster: ClusterClient
  readonly fetcher: ClassicFetcher
  readonly offsets: OffsetStore
  readonly rebalancer: Rebalancer
}

/**
 * Throws ConfigException. Nothing is connected before the streams are made.
 */
export function createConsumerConnector(options: OldConsumerOptions, environment: Partial<Environment> = {}): ConsumerConnector {
  return new Connector(oldConsumerConfig(options), environmentOf(environment))
}

class Connector implements ConsumerConnector {
  readonly consumerId: string
  readonly #config: OldConsumerConfig
  readonly #environment: Environment
  readonly #streams: AnyStream[] = []
  /** The stream of a topic's thread. */
  #streamOf: (topic: string, thread: number) => AnyStream | undefined = () => undefined
  #listener: OldConsumerRebalanceListener = {}
  #hasStreams = false
  #running: Running | undefined
  #partitions: readonly OwnedPartition[] = []
  #commitTimer: Timer | undefined
  #closing: Promise<void> | undefined

  constructor(config: OldConsumerConfig, environment: Environment) {
    this.#config = config
    this.#environment = environment
    const { clock, rng, hostName } = environment
    const made = `${hostName}-${Math.floor(clock.wall())}-${rng.bytes(4).toString('hex')}`
    this.consumerId = `${config['group.id']}_${config['consumer.id'] ?? made}`
  }

  // ------------------------------------------------------------------ streams

  async createMessageStreams<K, V>(
    topicCounts: Readonly<Record<string, number>> | ReadonlyMap<string, number>,
    decoders: StreamDecoders<K, V> = {},
  ): Promise<Map<string, KafkaStream<K, V>[]>> {
    const counts = new Map(topicCounts instanceof Map ? topicCounts : Object.entries(topicCounts))
    for (const [topic, count] of counts) checkCount(`topicCounts of ${topic}`, count)
    this.#once()
    const streams = new Map([...counts].map(([topic, count]) => [topic, this.#make(count, decoders)]))
    this.#streamOf = (topic, thread) => streams.get(topic)?.[thread] as AnyStream | undefined
    await this.#begin({ pattern: 'static', subscription: counts, timestamp: '' })
    return streams
  }

  async createMessageStreamsByFilter<K, V>(
    filter: TopicFilter,
    count = 1,
    decoders: StreamDecoders<K, V> = {},
  ): Promise<KafkaStream<K, V>[]> {
    checkCount('streams', count)
    this.#once()
    const streams = this.#make(count, decoders)
    this.#streamOf = (_topic, thread) => streams[thread] as AnyStream | undefined
    await this.#begin({ pattern: filter.kind, subscription: new Map([[filter.regex, count]]), timestamp: '' })
    return streams
  }

  #once(): void {
    if (this.#closing !== undefined) throw new IllegalStateException('the connector is shut down')
    if (this.#hasStreams) throw new MessageStreamsExistException('a connector can create message streams at most once')
    this.#hasStreams = true
  }

  #make<K, V>(count: number, decoders: StreamDecoders<K, V>): MessageStream<K, V>[] {
    return Array.from({ length: count }, (_, i) => {
      const stream = new MessageStream<K, V>({
        clientId: this.#config['client.id'],
        clock: this.#environment.clock,
        timeoutMs: this.#config['consumer.timeout.ms'],
        decoders,
        onRoom: () => this.#running?.fetcher.wake(),
      })
      stream.threadIds = [threadOf(this.consumerId, i).id]
      this.#streams.push(stream as unknown as AnyStream)
      return stream
    })
  }

  setConsumerRebalanceListener(listener: OldConsumerRebalanceListener): void {
    if (this.#hasStreams)
      throw new MessageStreamsExistException('the rebalance listener can only be set before message streams are created')
    this.#listener = listener
  }

  // ------------------------------------------------------------------ life

  async #begin(registration: ConsumerRegistration): Promise<void> {
    const config = this.#config
    const { clock, log, openZk } = this.#environment
    const base = openZk({
      connect: config['zookeeper.connect'],
      sessionTimeoutMs: config['zookeeper.session.timeout.ms'],
      connectionTimeoutMs: config['zookeeper.connection.timeout.ms'],
    })
    const shared = new SharedSession(base.session)
    const view = () => kafkaZkOn(shared.view(), {}, clock, log)
    const zk: KafkaZk = { ...view(), session: base.session }
    const cluster = new ClusterClient({
      config: commonOfOldConsumer(config),
      role: 'consumer',
      allowAutoTopicCreation: false,
      environment: { ...this.#environment, openZk: view },
    })
    const offsets = new OffsetStore(cluster, zk, config)
    const fetcher = new ClassicFetcher(cluster, config)
    const rebalancer = this.#rebalancerOf(zk, offsets, fetcher, registration)
    this.#running = { zk, cluster, fetcher, offsets, rebalancer }
    await base.session.start()
    await rebalancer.join()
    if (config['auto.commit.enable'] && this.#closing === undefined) this.#commitLater()
  }

  #rebalancerOf(zk: KafkaZk, offsets: OffsetStore, fetcher: ClassicFetcher, registration: ConsumerRegistration): Rebalancer {
    const { clock, log } = this.#environment
    return new Rebalancer({
      zk,
      config: this.#config,
      clock,
      log,
      consumerId: this.consumerId,
      registration,
      stop: (isLost) => this.#stopReading(isLost),
      beforeRelease: (owned) => this.#told(async () => this.#listener.beforeReleasingPartitions?.(idsByTopic(owned))),
      offsets: (partitions) => offsets.fetch(partitions, () => this.#closing !== undefined),
      start: async (mine, begin, all) => {
        this.#partitions = mine.map((one) => this.#own(one, begin))
        await this.#told(async () => this.#listener.beforeStartingFetchers?.(this.consumerId, ownersByTopic(all)))
        fetcher.start(this.#partitions)
      },
    })
  }

  #own({ topic, partition, thread, id }: PartitionAssignment, begin: ReadonlyMap<string, number>): OwnedPartition {
    const key = partitionKey(topic, partition)
    const offset = begin.get(key) ?? -1
    const stream = this.#streamOf(topic, thread)
    if (stream === undefined) throw new Error(`${id} has no stream for ${topic}`)
    return {
      topic,
      partition,
      key,
      stream,
      threadId: id,
      fetchOffset: offset,
      consumedOffset: offset,
      isFetching: false,
      retryAt: 0,
    }
  }

  /** What was not handed out is dropped, what was is committed while it is still ours. */
  async #stopReading(isLost: boolean): Promise<void> {
    this.#running?.fetcher.stop()
    for (const stream of this.#streams) stream.clear()
    const partitions = this.#partitions
    this.#partitions = []
    if (isLost || !this.#config['auto.commit.enable']) return
    try {
      await this.#running?.offsets.commit(partitions.map(offsetOf), 0)
    } catch (error) {
      this.#environment.log.error('committing offsets before a rebalance failed', error)
    }
  }

  async #told(hook: () => Promise<void>): Promise<void> {
    try {
      await hook()
    } catch (error) {
      this.#environment.log.error('the rebalance listener failed', error)
    }
  }

  ownedPartitions(): readonly TopicPartition[] {
    return (this.#running?.rebalancer.owned ?? []).map(({ topic, partition }) => ({ topic, partition }))
  }

  // ------------------------------------------------------------------ offsets

  async commitOffsets(offsets?: readonly TopicPartitionOffset[]): Promise<void> {
    if (this.#closing !== undefined) throw new IllegalStateException('the connector is shut down')
    for (const stream of this.#streams) stream.settle()
    await this.#running?.offsets.commit(offsets ?? this.#partitions.map(offsetOf), this.#config['offsets.commit.max.retries'])
  }

  #commitLater(): void {
    this.#commitTimer = this.#environment.clock.timer(
      this.#config['auto.commit.interval.ms'],
      async () => {
        const { offsets, zk } = this.#running!
        try {
          // Unheard of for a whole session time others may own what we read: theirs count.
          if (zk.session.trusted) await offsets.commit(this.#partitions.map(offsetOf), this.#config['offsets.commit.max.retries'])
        } catch (error) {
          this.#environment.log.error('the automatic commit failed', error)
        }
        if (this.#closing === undefined) this.#commitLater()
      },
      true,
    )
  }

  // ------------------------------------------------------------------ end

  shutdown(): Promise<void> {
    this.#closing ??= this.#shutdown()
    return this.#closing
  }

  async #shutdown(): Promise<void> {
    this.#commitTimer?.cancel()
    for (const stream of this.#streams) stream.settle()
    const running = this.#running
    running?.fetcher.stop()
    // ZooKeeper may be away: after a session time there is nothing left to give back.
    const leaving = this.#leave().catch((error) => this.#environment.log.error('committing offsets at shutdown failed', error))
    await new Promise<void>((resolve) => {
      const timer = this.#environment.clock.timer(this.#config['zookeeper.session.timeout.ms'], resolve)
      void leaving.then(() => {
        timer.cancel()
        resolve()
      })
    })
    for (const stream of this.#streams) stream.end()
    // Registration and owners go with the session.
    await running?.cluster.close()
    await running?.zk.session.close()
    await leaving
  }

  async #leave(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    await running.rebalancer.close()
    // A rebalance that was under way may have begun to read again.
    running.fetcher.stop()
    for (const stream of this.#streams) stream.end()
    if (this.#config['auto.commit.enable'])
      await running.offsets.commit(this.#partitions.map(offsetOf), this.#config['offsets.commit.max.retries'])
  }
}

function checkCount(what: string, count: number): void {
  if (!Number.isInteger(count) || count < 1) throw new IllegalArgumentException(`${what} must be a positive integer: ${count}`)
}

function offsetOf({ topic, partition, consumedOffset }: OwnedPartition): TopicPartitionOffset {
  return { topic, partition, offset: consumedOffset }
}

function idsByTopic(owned: readonly TopicPartition[]): Map<string, number[]> {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of owned) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  return topics
}

function ownersByTopic(all: readonly PartitionAssignment[]) {
  const topics = new Map<string, Map<number, { consumer: string; threadId: string }>>()
  for (const { topic, partition, consumer, id } of all) {
    const owners = topics.get(topic) ?? new Map<number, { consumer: string; threadId: string }>()
    topics.set(topic, owners.set(partition, { consumer, threadId: id }))
  }
  return topics
}
