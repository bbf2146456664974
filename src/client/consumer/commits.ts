/** Commits: by call, awaited or not, and by themselves. */
import type { Millis } from '../../base/ids.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { ConsumerConfig } from '../config/index.ts'
import { IllegalArgumentException, type KafkaException, RetriableCommitFailedException } from '../errors.ts'
import type { TopicPartitionOffset } from '../producer/types.ts'
import { asKafkaException } from './batches.ts'
import { type Coordinator, commitFailed, type GroupIdentity, NO_MEMBER } from './coordinator.ts'
import type { Membership } from './membership.ts'
import type { Subscription } from './subscription.ts'
import type { CommitCallback, ConsumerInterceptor } from './types.ts'

export interface CommitsOptions {
  readonly cluster: ClusterClient
  readonly config: ConsumerConfig
  readonly subscription: Subscription
  readonly coordinator: Coordinator
  readonly membership: Membership
  readonly interceptors: readonly ConsumerInterceptor[]
}

interface Done {
  readonly callback: CommitCallback | undefined
  error: KafkaException | null
  readonly offsets: readonly TopicPartitionOffset[]
  isOver: boolean
}

export class Commits {
  readonly #options: CommitsOptions
  /** Asynchronous ones whose callbacks were not called yet, in order. */
  #open: Done[] = []
  #running = new Set<Promise<void>>()
  #nextAutoAt: Millis
  /** What the caller broke off in the middle of: not done, whatever the position says. By partition. */
  readonly undone = new Map<string, number>()

  constructor(options: CommitsOptions) {
    this.#options = options
    this.#nextAutoAt = options.cluster.environment.clock.now() + options.config['auto.commit.interval.ms']
  }

  #identity(): GroupIdentity {
    const { subscription, membership } = this.#options
    if (!subscription.isShared) return NO_MEMBER
    const { identity } = membership
    if (identity === undefined) throw commitFailed()
    return identity
  }

  /** Rejects with CommitFailedException, TimeoutException, or what the broker says. */
  async sync(offsets: readonly TopicPartitionOffset[], timeoutMs: Millis): Promise<void> {
    const { coordinator, membership } = this.#options
    check(offsets)
    this.runCallbacks()
    if (offsets.length === 0) return
    await coordinator.retry('commit offsets', timeoutMs, () =>
      coordinator.commit(offsets, this.#identity(), (code) => membership.fenced(code)),
    )
    // Those before it on the same connection have been answered too.
    this.runCallbacks()
    this.#tellInterceptors(offsets)
  }

  /** Tried once. */
  async(offsets: readonly TopicPartitionOffset[], callback: CommitCallback | undefined): void {
    check(offsets)
    const { coordinator, membership, cluster } = this.#options
    const done: Done = { callback, error: null, offsets, isOver: false }
    this.#open.push(done)
    let identity: GroupIdentity
    try {
      identity = this.#identity()
    } catch (error) {
      done.error = asKafkaException(error)
      done.isOver = true
      return
    }
    const running = coordinator
      .commit(offsets, identity, (code) => {
        // A member that has come in again since is not meant.
        if (membership.identity?.generation === identity.generation) membership.fenced(code)
      })
      .catch((error) => {
        const exception = asKafkaException(error)
        done.error = exception.retriable
          ? new RetriableCommitFailedException(
              `Offset commit failed with a retriable exception. You should retry committing offsets. (${exception.message})`,
              { code: exception.code, cause: exception },
            )
          : exception
        if (callback === undefined) cluster.environment.log.warn(`asynchronous commit: ${exception.message}`)
      })
      .finally(() => {
        done.isOver = true
        this.#running.delete(running)
      })
    this.#running.add(running)
  }

  /** Callbacks come in the order of the calls, so one that is not over holds up those behind it. */
  runCallbacks(): void {
    while (this.#open[0]?.isOver === true) {
      const { callback, error, offsets } = this.#open.shift()!
      if (error === null) this.#tellInterceptors(offsets)
      callback?.(error, offsets)
    }
  }

  /** Everything asynchronous has been answered. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
    this.runCallbacks()
  }

  #tellInterceptors(offsets: readonly TopicPartitionOffset[]): void {
    for (const interceptor of this.#options.interceptors) {
      try {
        interceptor.onCommit?.(offsets)
      } catch (error) {
        this.#options.cluster.environment.log.warn('an interceptor failed in onCommit', error)
      }
    }
  }

  // ------------------------------------------------------------------ automatic

  get isAutomatic(): boolean {
    return this.#options.config['enable.auto.commit'] && this.#options.coordinator.groupId !== ''
  }

  /** Within poll, before it returns anything new: what is committed is what earlier polls returned. */
  auto(): void {
    if (!this.isAutomatic) return
    const { cluster, config } = this.#options
    const now = cluster.environment.clock.now()
    if (now < this.#nextAutoAt) return
    this.#nextAutoAt = now + config['auto.commit.interval.ms']
    this.autoNow()
  }

  autoNow(): void {
    if (!this.isAutomatic) return
    const { cluster, config } = this.#options
    const offsets = this.#finished()
    if (offsets.length === 0) return
    this.async(offsets, (error) => {
      if (error === null) return
      cluster.environment.log.warn(`automatic commit: ${error.message}`)
      if (error.retriable) this.#nextAutoAt = cluster.environment.clock.now() + config['retry.backoff.ms']
    })
  }

  /** Before partitions are given up. What fails is logged: others then read those records again. */
  async autoSync(timeoutMs: Millis): Promise<void> {
    if (!this.isAutomatic) return
    try {
      await this.sync(this.#finished(), timeoutMs)
    } catch (error) {
      this.#options.cluster.environment.log.warn(`automatic commit: ${asKafkaException(error).message}`)
    }
  }

  #finished(): TopicPartitionOffset[] {
    return this.#options.subscription.positions().map((one) => {
      const undone = this.undone.get(`${one.topic}-${one.partition}`)
      return undone === undefined ? one : { ...one, offset: Math.min(undone, one.offset) }
    })
  }
}

function check(offsets: readonly TopicPartitionOffset[]): void {
  for (const { topic, partition, offset } of offsets) {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new IllegalArgumentException(`Invalid negative offset: ${offset} for ${topic}-${partition}`)
  }
}
