/** Which topics the consumer is interested in, what a pattern matches, and what the metadata say of them. */
import { ErrorCode } from '../../protocol/errors.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { ConsumerConfig } from '../config/index.ts'
import {
  exceptionOf,
  InvalidTopicException,
  type KafkaException,
  TimeoutException,
  TopicAuthorizationException,
} from '../errors.ts'
import { metadataRequest, updateOf } from '../metadata/bootstrap-source.ts'
import type { MetadataChange } from '../metadata/metadata.ts'
import type { PartitionMetadata, TopicMetadata } from '../metadata/types.ts'
import type { Signal } from './signal.ts'
import type { Subscription } from './subscription.ts'

export interface TopicsOptions {
  readonly cluster: ClusterClient
  readonly config: ConsumerConfig
  readonly subscription: Subscription
  readonly signal: Signal
  /** The pattern matches other topics than before. */
  readonly onMatch: () => void
  readonly onPartitionCounts: (countOf: (topic: string) => number) => void
}

export class Topics {
  readonly #options: TopicsOptions
  /** Topics of the whole group, while this member leads it. */
  #ofGroup: readonly string[] = []
  /** With a pattern: the topics have been listed once. */
  #isListed = false
  #failure: KafkaException | undefined

  constructor(options: TopicsOptions) {
    this.#options = options
    options.cluster.metadata.onChange((change) => this.#changed(change))
  }

  /** Tells the metadata what is of interest now. */
  follow(ofGroup: readonly string[] = []): void {
    const { cluster, subscription } = this.#options
    const { mode, topics, partitions } = subscription
    this.#ofGroup = ofGroup
    const assigned = [...partitions.values()].map(({ topic }) => topic)
    cluster.metadata.setTopics(mode === 'pattern' ? 'all' : [...new Set([...topics, ...assigned, ...this.#ofGroup])])
  }

  /** A pattern is of use when the topics have been listed once. */
  get isReady(): boolean {
    return this.#options.subscription.mode !== 'pattern' || this.#isListed
  }

  /** Throws, once, that a topic of interest may not be read or has no valid name. */
  throwFailure(): void {
    const error = this.#failure
    this.#failure = undefined
    if (error !== undefined) throw error
  }

  listForPattern(): void {
    const { cluster, config, subscription, signal } = this.#options
    this.#isListed = false
    cluster.metadata.update(config['request.timeout.ms']).then(
      () => {
        this.#isListed = true
        this.#match()
        signal.notify()
      },
      () => {
        if (!cluster.isClosed && subscription.mode === 'pattern') this.listForPattern()
      },
    )
  }

  #match(): void {
    const { cluster, config, subscription, onMatch } = this.#options
    const { pattern, topics } = subscription
    if (pattern === undefined) return
    const excluded = config['exclude.internal.topics']
    const matching = cluster.metadata
      .topics()
      .filter(({ name, isInternal }) => pattern.test(name) && !(isInternal && excluded))
      .map(({ name }) => name)
      .sort()
    if (matching.length === topics.length && matching.every((name, i) => name === topics[i])) return
    subscription.topics = matching
    onMatch()
  }

  #changed({ topics }: MetadataChange): void {
    const { cluster, subscription, signal, onPartitionCounts } = this.#options
    const { metadata } = cluster
    for (const topic of subscription.mode === 'pattern' ? [] : topics) {
      const code = metadata.topicError(topic)
      if (code === ErrorCode.TOPIC_AUTHORIZATION_FAILED) this.#failure = new TopicAuthorizationException([topic])
      if (code === ErrorCode.INVALID_TOPIC_EXCEPTION) this.#failure = new InvalidTopicException([topic])
    }
    if (subscription.mode === 'pattern' && this.#isListed) this.#match()
    onPartitionCounts((topic) => metadata.topic(topic)?.count ?? 0)
    signal.notify()
  }

  /** For the leader of a group, which follows all its topics from now on. Those that are not there have 0 partitions. */
  async partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const { cluster, config } = this.#options
    const { metadata } = cluster
    this.follow(topics)
    if (topics.some((topic) => metadata.topic(topic) === undefined)) {
      // What is not there by then gets no partitions; when it comes, the group divides anew.
      await metadata.update(config['session.timeout.ms'] / 2).catch((error) => {
        if (!(error instanceof TimeoutException)) throw error
      })
    }
    return new Map(topics.map((topic) => [topic, metadata.topic(topic)?.count ?? 0]))
  }

  async partitionsFor(topic: string): Promise<readonly PartitionMetadata[]> {
    const known = this.#options.cluster.metadata.topic(topic)
    return known?.partitions ?? (await this.#ask([topic])).find(({ name }) => name === topic)?.partitions ?? []
  }

  async list(): Promise<ReadonlyMap<string, readonly PartitionMetadata[]>> {
    const topics = await this.#ask('all')
    return new Map(topics.filter(({ errorCode }) => errorCode === 0).map(({ name, partitions }) => [name, partitions]))
  }

  #ask(topics: readonly string[] | 'all'): Promise<readonly TopicMetadata[]> {
    const { cluster, config } = this.#options
    return cluster.retry('list topics', { timeoutMs: config['request.timeout.ms'] }, async () => {
      const request = (version: number) => metadataRequest(topics, version, true)
      const update = updateOf(await cluster.request(cluster.anyNode(), 'Metadata', request), topics)
      if (topics === 'all') return update.topics
      for (const { name, errorCode } of update.topics) {
        if (errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED) throw new TopicAuthorizationException([name])
        // One that is not there has no partitions; one that is just being made has some soon.
        if (errorCode !== ErrorCode.NONE && errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) throw exceptionOf(errorCode)
      }
      return update.topics
    })
  }
}
