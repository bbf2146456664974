/**
 * Membership in a group that ZooKeeper coordinates. Watches only ask for a rebalance; one runs after the other. A rebalance gives up what is
 * owned, reads the group, computes everybody's share and claims ours: owner nodes exclude each other, so a try against a member that
 * has not let go yet fails and comes again after `rebalance.backoff.ms`.
 */
import type { KafkaZk } from '../../../zk/store/index.ts'
import { BROKER_IDS_PATH, type ConsumerRegistration, consumerIdsPath, TOPICS_PATH, topicPath } from '../../../zk/znodes/index.ts'
import type { Millis, TopicPartition } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import { SerialQueue } from '../../base/serial-queue.ts'
import type { Clock } from '../../ports/clock.ts'
import type { OldConsumerConfig } from '../config/index.ts'
import { assign, type PartitionAssignment, subscribedTopics, threadsByTopic } from './assignment.ts'
import { ConsumerRebalanceFailedException } from './errors.ts'

export interface RebalancerOptions {
  readonly zk: KafkaZk
  readonly config: OldConsumerConfig
  readonly clock: Clock
  readonly log: Logger
  readonly consumerId: string
  /** What this member subscribes to, in the words of its znode. */
  readonly registration: ConsumerRegistration
  /** Nothing is read any more, what was consumed is committed. Called before ownership is given up, and when it is lost. */
  readonly stop: (isLost: boolean) => Promise<void>
  /** Ownership is about to be given up: the listener's first hook. */
  readonly beforeRelease: (owned: readonly TopicPartition[]) => Promise<void>
  /** The offsets to begin at, by `partitionKey`. */
  readonly offsets: (partitions: readonly TopicPartition[]) => Promise<Map<string, number>>
  /** Ours now: read them. `all` is the whole group's assignment. */
  readonly start: (
    mine: readonly PartitionAssignment[],
    offsets: ReadonlyMap<string, number>,
    all: readonly PartitionAssignment[],
  ) => Promise<void>
}

export class Rebalancer {
  readonly #options: RebalancerOptions
  readonly #queue: SerialQueue
  #owned: readonly PartitionAssignment[] = []
  /** Of the session in which we claimed them. */
  #generation = -1
  #isTriggered = false
  #isClosed = false
  #wake: (() => void) | undefined
  /** Topics that match our pattern, to tell changes that concern us. */
  #matching: readonly string[] = []
  readonly #watchedTopics = new Set<string>()

  constructor(options: RebalancerOptions) {
    this.#options = options
    this.#queue = new SerialQueue((error) => options.log.error('error during a rebalance', error))
  }

  get owned(): readonly PartitionAssignment[] {
    return this.#owned
  }

  /** Registers, watches, rebalances. Rejects with ConsumerRebalanceFailedException when all tries have failed. */
  async join(): Promise<void> {
    const { zk, config, consumerId } = this.#options
    zk.onSession({
      name: consumerId,
      beforeInitializingSession: () => this.#lose(),
      afterInitializingSession: () => void this.#queue.post(() => this.#rejoin()),
    })
    await this.#register()
    zk.watchChildren({ path: consumerIdsPath(config['group.id']), onChildChange: () => this.trigger() })
    if (this.#isPattern) zk.watchChildren({ path: TOPICS_PATH, onChildChange: () => this.#topicsChanged() })
    await this.#queue.run(() => this.#rebalance())
  }

  get #isPattern(): boolean {
    return this.#options.registration.pattern !== 'static'
  }

  /** Asks for a rebalance; what comes while one runs is one more. */
  trigger(): void {
    if (this.#isTriggered || this.#isClosed) return
    this.#isTriggered = true
    this.#queue.post(async () => {
      try {
        await this.#rebalance()
      } catch (error) {
        this.#options.log.error('error during a rebalance', error)
        // The old consumer stays idle here until the next event, though partitions may wait for it.
        this.trigger()
      }
    })
  }

  /** No further rebalance; resolves when the one under way has ended. Owners stay until the session is closed. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake?.()
    await this.#queue.close()
  }

  // ------------------------------------------------------------------ registration

  /** A member of that name in another session (ours, before a restart with the same `consumer.id`) is waited for as long as it can last. */
  async #register(): Promise<void> {
    const { zk, config, clock, consumerId, registration } = this.#options
    const group = config['group.id']
    const deadline = clock.now() + 2 * config['zookeeper.session.timeout.ms']
    const timestamp = String(Math.floor(clock.wall()))
    while ((await zk.registerConsumer(group, consumerId, { ...registration, timestamp })) === 'exists') {
      if (this.#isClosed || clock.now() >= deadline)
        throw new ConsumerRebalanceFailedException(`group ${group} has a member ${consumerId} in another session`)
      await this.#pause(Math.min(1000, config['zookeeper.session.timeout.ms']))
    }
  }

  /** The session is over, and others may own what we did. */
  async #lose(): Promise<void> {
    this.#owned = []
    this.#wake?.()
    await this.#options.stop(true)
  }

  async #rejoin(): Promise<void> {
    if (this.#isClosed) return
    this.#options.log.info(`ZooKeeper session expired; registering ${this.#options.consumerId} again`)
    this.#owned = []
    try {
      await this.#register()
    } catch (error) {
      this.#options.log.error(`${this.#options.consumerId} cannot register again`, error)
      await this.#pause(this.#options.config['rebalance.backoff.ms'])
      this.#queue.post(() => this.#rejoin())
      return
    }
    this.trigger()
  }

  /** Only topics that come or go among those that our pattern allows matter. */
  #topicsChanged(): void {
    this.#queue.post(async () => {
      const { zk, registration, config } = this.#options
      const matching = [...subscribedTopics(registration, await zk.getTopics(), config['exclude.internal.topics']).keys()].sort()
      if (matching.join() !== this.#matching.join()) this.trigger()
    })
  }

  // ------------------------------------------------------------------ a rebalance

  async #rebalance(): Promise<void> {
    const { config, log, consumerId } = this.#options
    // Before anything is read: what changes from here on asks for another one.
    this.#isTriggered = false
    const tries = config['rebalance.max.retries']
    for (let i = 0; i < tries && !this.#isClosed; i++) {
      log.info(`begin rebalancing consumer ${consumerId} try #${i}`)
      try {
        if (await this.#try()) return
      } catch (error) {
        log.info(`exception during rebalance of ${consumerId}`, error)
      }
      if (this.#isClosed) return
      await this.#options.stop(false)
      await this.#pause(config['rebalance.backoff.ms'])
    }
    if (!this.#isClosed) throw new ConsumerRebalanceFailedException(`${consumerId} can't rebalance after ${tries} retries`)
  }

  async #try(): Promise<boolean> {
    const { zk, config, log, consumerId } = this.#options
    const { generation } = zk.session
    if (!(await this.#hasBrokers())) {
      log.warn('no brokers found when trying to rebalance')
      return true
    }
    await this.#options.stop(false)
    await this.#release()
    const all = await this.#assignment()
    const mine = all.filter(({ consumer }) => consumer === consumerId)
    const offsets = await this.#options.offsets(mine)
    if (this.#isClosed || generation !== zk.session.generation) return false
    const claims = mine.map(({ topic, partition, id }) => ({ topic, partition, owner: id }))
    const claimed = await zk.claimPartitions(config['group.id'], claims)
    if (claimed.length < claims.length || this.#isClosed || generation !== zk.session.generation) {
      log.info(`${consumerId}: ${claims.length - claimed.length} partitions still belong to others`)
      // Claims are made in the session of their moment, so what we got is ours in the present one or gone.
      await zk.releasePartitions(config['group.id'], claimed, zk.session.generation)
      return false
    }
    this.#owned = mine
    this.#generation = generation
    await this.#options.start(mine, offsets, all)
    return true
  }

  /** The watch is set only while there are none: brokers come and go otherwise without a rebalance. */
  async #hasBrokers(): Promise<boolean> {
    const { zk } = this.#options
    if ((await zk.getBrokerIds()).length > 0) return true
    const once = () => {
      zk.unwatchChildren(BROKER_IDS_PATH)
      this.trigger()
    }
    zk.watchChildren({ path: BROKER_IDS_PATH, onChildChange: once })
    if ((await zk.getBrokerIds()).length > 0) once()
    return false
  }

  async #release(): Promise<void> {
    const owned = this.#owned
    await this.#options.beforeRelease(owned)
    this.#owned = []
    if (owned.length > 0) await this.#options.zk.releasePartitions(this.#options.config['group.id'], owned, this.#generation)
  }

  /** Reads the group; the reads set the watches again. */
  async #assignment(): Promise<PartitionAssignment[]> {
    const { zk, config, consumerId } = this.#options
    const group = config['group.id']
    const members = await zk.getConsumers(group, await zk.getConsumersInGroup(group))
    const own = members.get(consumerId)
    if (own === undefined) throw new Error(`${consumerId} is not registered`)
    const needsTopics = [...members.values()].some(({ pattern }) => pattern !== 'static')
    const topics = needsTopics ? await zk.getTopics() : []
    const isHidden = config['exclude.internal.topics']
    if (this.#isPattern) this.#matching = [...subscribedTopics(own, topics, isHidden).keys()].sort()
    await this.#watchTopics([...subscribedTopics(own, topics, isHidden).keys()])
    const threads = threadsByTopic(members, topics, isHidden)
    const assignments = await zk.getAssignments([...threads.keys()])
    const partitions = new Map(
      [...assignments].map(([topic, assignment]) => [topic, [...assignment.keys()].sort((a, b) => a - b)] as const),
    )
    return assign(config['partition.assignment.strategy'], { threads, partitions })
  }

  /** Partitions may be added to a topic, and a topic that is not there may be made: `exists` sets a watch in both cases. */
  async #watchTopics(topics: readonly string[]): Promise<void> {
    const { zk } = this.#options
    const wanted = new Set(topics)
    for (const topic of [...this.#watchedTopics]) {
      if (wanted.has(topic)) continue
      zk.unwatchNode(topicPath(topic))
      this.#watchedTopics.delete(topic)
    }
    for (const topic of topics) {
      if (!this.#watchedTopics.has(topic)) zk.watchNode({ path: topicPath(topic), onChange: () => this.trigger() })
      this.#watchedTopics.add(topic)
    }
    await Promise.all(topics.map((topic) => zk.pathExists(topicPath(topic))))
  }

  #pause(ms: Millis): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.timer(ms, () => this.#wake?.())
      this.#wake = () => {
        timer.cancel()
        this.#wake = undefined
        resolve()
      }
    })
  }
}
