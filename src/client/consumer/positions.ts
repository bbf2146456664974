/** Positions that are not known yet: from the group's offsets, else as `auto.offset.reset` says. */
import type { ClusterClient } from '../cluster-client.ts'
import type { ConsumerConfig } from '../config/index.ts'
import { KafkaException, NoOffsetForPartitionException } from '../errors.ts'
import { asKafkaException } from './batches.ts'
import type { Coordinator } from './coordinator.ts'
import { EARLIEST, LATEST, type OffsetLookup } from './offset-lookup.ts'
import type { Signal } from './signal.ts'
import type { AssignedPartition, Subscription } from './subscription.ts'

export interface PositionsOptions {
  readonly cluster: ClusterClient
  readonly config: ConsumerConfig
  readonly subscription: Subscription
  readonly coordinator: Coordinator
  readonly lookup: OffsetLookup
  readonly signal: Signal
}

export class Positions {
  readonly #options: PositionsOptions
  #failure: KafkaException | undefined

  constructor(options: PositionsOptions) {
    this.#options = options
  }

  /** Starts what look-ups are missing; they go on by themselves. Throws what an earlier one has met that cannot be repeated. */
  advance(): void {
    if (this.#failure !== undefined) {
      const error = this.#failure
      this.#failure = undefined
      throw error
    }
    const { subscription, cluster } = this.#options
    const now = cluster.environment.clock.now()
    const open: AssignedPartition[] = []
    for (const one of subscription.partitions.values()) {
      if (one.wish !== undefined && !one.isLookedUp && one.retryAt <= now) open.push(one)
    }
    if (open.length === 0) return
    this.#start(
      open.filter(({ wish }) => wish === 'committed'),
      (partitions) => this.#committed(partitions),
    )
    this.#start(
      open.filter(({ wish }) => wish !== 'committed'),
      (partitions) => this.#reset(partitions),
    )
  }

  #start(partitions: readonly AssignedPartition[], look: (partitions: readonly AssignedPartition[]) => Promise<void>): void {
    if (partitions.length === 0) return
    const { signal, config, cluster } = this.#options
    const epochs = partitions.map(({ epoch }) => epoch)
    for (const one of partitions) one.isLookedUp = true
    look(partitions)
      .catch((error: unknown) => {
        if (cluster.isClosed) return
        const exception = asKafkaException(error)
        if (!exception.retriable) this.#failure = exception
      })
      .finally(() => {
        for (const [i, one] of partitions.entries()) {
          if (one.epoch !== epochs[i]) continue
          one.isLookedUp = false
          one.retryAt = cluster.environment.clock.now() + config['retry.backoff.ms']
        }
        signal.later(config['retry.backoff.ms'])
        signal.notify()
      })
  }

  async #committed(partitions: readonly AssignedPartition[]): Promise<void> {
    const { coordinator, config } = this.#options
    const epochs = partitions.map(({ epoch }) => epoch)
    // Without a name there is no group whose offsets these could be.
    const found = coordinator.groupId === '' ? new Map() : await coordinator.fetchOffsets(partitions)
    const missing: AssignedPartition[] = []
    for (const [i, one] of partitions.entries()) {
      if (one.epoch !== epochs[i]) continue
      const committed = found.get(one.key)
      if (committed != null) one.moveTo(committed.offset)
      else missing.push(one)
    }
    if (missing.length === 0) return
    const reset = config['auto.offset.reset']
    if (reset === 'none') {
      throw new NoOffsetForPartitionException(
        `Undefined offset with no reset policy for partitions: [${missing.map(({ key }) => key).join(', ')}]`,
        missing.map(({ topic, partition }) => ({ topic, partition })),
      )
    }
    for (const one of missing) one.want(reset)
  }

  async #reset(partitions: readonly AssignedPartition[]): Promise<void> {
    const { lookup, cluster } = this.#options
    const epochs = partitions.map(({ epoch }) => epoch)
    const queries = partitions.map(({ topic, partition, wish }) => ({
      topic,
      partition,
      timestamp: wish === 'earliest' ? EARLIEST : LATEST,
    }))
    const answers = await lookup.some(queries)
    for (const [i, one] of partitions.entries()) {
      if (one.epoch !== epochs[i]) continue
      const answer = answers.get(one.key)
      if (answer instanceof KafkaException || answer === undefined) continue
      cluster.environment.log.info(`reset the offset of ${one.key} to ${answer.offset}`)
      one.moveTo(answer.offset)
      one.retryAt = 0
    }
  }
}
