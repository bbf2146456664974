import type { BrokerId, Millis } from '../base/ids.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { DelayedFetch } from './delayed-fetch.ts'
import type { FetchRead } from './fetch-read.ts'
import type { RemoteReplica } from './isr.ts'
import type { Partition } from './partition.ts'
import type { TopicTraffic } from './traffic.ts'
import type { FetchParams, FetchPartition } from './types.ts'

/** A partition that rests, in one session. */
export interface Rest {
  readonly session: RestingPartitions
  readonly wanted: FetchPartition
  readonly partition: Partition
  /** Of a follower. */
  readonly replica: RemoteReplica | undefined
}

/** The reader has everything of a led partition, and was told so: only news could change that. */
function isIdle(partition: Partition, wanted: FetchPartition): boolean {
  if (!partition.isLeader) return false
  // Where records were just sent others may come: to rest and to be woken costs more than to be looked at.
  if (wanted.sentRecords) return false
  const { logEndOffset, highWatermark, logStartOffset } = partition.requireLog()
  if (wanted.sentHighWatermark !== highWatermark || wanted.sentLogStartOffset !== logStartOffset) return false
  // Who reads committed records only is not beyond the last stable offset: it has everything when no transaction is open.
  return wanted.fetchOffset === logEndOffset && highWatermark === logEndOffset
}

/**
 * Partitions of a fetch session of which the follower or consumer has everything, and was told so: each of its fetches says of them that this is
 * still so, and their answer nothing. They are looked at again when something of them changes: the partition calls `wake` before it appends
 * and when its log start, its role or its ISR changes. Until then a fetch costs nothing for them.
 */
export class RestingPartitions {
  /** Negative: a consumer. */
  readonly replicaId: BrokerId
  /** A follower's last fetch: then it had everything of all of them. */
  lastFetch: Millis = Number.NEGATIVE_INFINITY
  /** The session's fetch that waits: it takes over whoever wakes. */
  parked: DelayedFetch | undefined
  readonly #onMove: (wanted: FetchPartition, rests: boolean) => void
  readonly #rests = new Map<FetchPartition, Rest>()
  readonly #topics = new Map<TopicTraffic, number>()

  /** `onMove`: from now on the partition rests, or is to be read again. */
  constructor(replicaId: BrokerId, onMove: (wanted: FetchPartition, rests: boolean) => void) {
    this.replicaId = replicaId
    this.#onMove = onMove
  }

  get size(): number {
    return this.#rests.size
  }

  /** A look at all of them, for the statistics. */
  count(all: TopicTraffic): void {
    all.totalFetchRequests += this.#rests.size
    for (const [traffic, partitions] of this.#topics) traffic.totalFetchRequests += partitions
  }

  /** Of a fetch that was read, and noted if it is a follower's: who may rest does, the others are left to wait or to be answered. */
  settleDown(
    params: FetchParams,
    partitions: readonly (Partition | undefined)[],
    { results }: FetchRead,
  ): { params: FetchParams; partitions: readonly (Partition | undefined)[] } {
    const left: FetchPartition[] = []
    const leftPartitions: (Partition | undefined)[] = []
    for (let i = 0; i < results.length; i++) {
      const wanted = params.partitions[i]!
      const { error, records } = results[i]!
      const partition = partitions[i]
      const isEmpty = error === ErrorCode.NONE && records === undefined
      if (!isEmpty || partition === undefined || !this.#settles(wanted, partition)) {
        left.push(wanted)
        leftPartitions.push(partition)
      }
    }
    return left.length === results.length
      ? { params, partitions }
      : { params: { ...params, partitions: left }, partitions: leftPartitions }
  }

  /** True: it rests from now on. */
  #settles(wanted: FetchPartition, partition: Partition): boolean {
    if (!isIdle(partition, wanted)) return false
    const isFollower = this.replicaId >= 0
    const replica = isFollower ? partition.remote(this.replicaId) : undefined
    if (isFollower && !(replica?.aligned && partition.counts(replica))) return false
    const rest = { session: this, wanted, partition, replica }
    this.#rests.set(wanted, rest)
    this.#topics.set(partition.traffic, (this.#topics.get(partition.traffic) ?? 0) + 1)
    partition.rests.push(rest)
    if (replica !== undefined) replica.resting = this
    this.#onMove(wanted, true)
    return true
  }

  /** The reader names it in a request, or does not want it any more. */
  wake(wanted: FetchPartition): void {
    const rest = this.#rests.get(wanted)
    if (rest === undefined) return
    const { rests } = rest.partition
    rests.splice(rests.indexOf(rest), 1)
    this.woken(rest)
  }

  wakeAll(): void {
    for (const wanted of [...this.#rests.keys()]) this.wake(wanted)
  }

  /** For the partition, which forgets the rest: what the follower's fetches have meant so far is noted. */
  woken({ wanted, partition, replica }: Rest): void {
    this.#rests.delete(wanted)
    const others = this.#topics.get(partition.traffic)! - 1
    if (others > 0) this.#topics.set(partition.traffic, others)
    else this.#topics.delete(partition.traffic)
    if (replica?.resting === this) {
      replica.resting = undefined
      replica.noteFetch(replica.logEndOffset, replica.logStartOffset, replica.logEndOffset, this.lastFetch)
    }
    this.#onMove(wanted, false)
    this.parked?.adopt(wanted, partition)
  }
}
