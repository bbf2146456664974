import type { EpochMillis, Offset, PartitionId } from '../../base/ids.ts'
import type { CommittedOffset } from './types.ts'

/** Also unique for the negative partitions that clients may send. */
export function offsetKeyOf(topic: string, partition: PartitionId): string {
  return `${partition} ${topic}`
}

/** An offset and where its record lies: what was appended later wins, whatever order acknowledgements and markers come in. */
export interface AppendedOffset {
  readonly committed: CommittedOffset
  /** Base offset of the batch in the group's partition. */
  readonly appendedAt: Offset
}

/**
 * Offsets of one group: committed ones, those whose record is being replicated, and those of open transactions. No I/O; the caller appends
 * the records between `prepare` and `appended` or `failed`.
 */
export class GroupOffsets {
  #committed = new Map<string, AppendedOffset>()
  /** The latest one in flight per partition. */
  readonly #pending = new Map<string, CommittedOffset>()
  /** Appended in a transaction that is still open, by producer id. */
  readonly #transactional = new Map<number, Map<string, AppendedOffset>>()
  #transactionalInFlight = 0
  /** No committed offset expires earlier. */
  #earliestExpiry: EpochMillis = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#committed.size
  }

  /** Anything that keeps the group worth keeping. */
  get isEmpty(): boolean {
    return (
      this.#committed.size === 0 &&
      this.#pending.size === 0 &&
      this.#transactional.size === 0 &&
      this.#transactionalInFlight === 0
    )
  }

  get(topic: string, partition: PartitionId): CommittedOffset | undefined {
    return this.#committed.get(offsetKeyOf(topic, partition))?.committed
  }

  *all(): IterableIterator<CommittedOffset> {
    for (const { committed } of this.#committed.values()) yield committed
  }

  /** All from the log at load, by `offsetKeyOf`. The map is this object's from now on: a large group is not put together again. */
  load(offsets: Map<string, AppendedOffset>): void {
    this.#committed = offsets
    for (const { committed } of offsets.values()) this.#earliestExpiry = Math.min(this.#earliestExpiry, committed.expireTimestamp)
  }

  #put(key: string, offset: AppendedOffset): void {
    const present = this.#committed.get(key)
    if (present !== undefined && present.appendedAt >= offset.appendedAt) return
    this.#committed.set(key, offset)
    this.#earliestExpiry = Math.min(this.#earliestExpiry, offset.committed.expireTimestamp)
  }

  // ---- commits

  prepare(offsets: readonly CommittedOffset[]): void {
    for (const offset of offsets) this.#pending.set(offsetKeyOf(offset.topic, offset.partition), offset)
  }

  /** Replicated. An offset whose topic was deleted meanwhile is not pending any more and stays away. */
  appended(offsets: readonly CommittedOffset[], appendedAt: Offset): void {
    for (const committed of offsets) {
      const key = offsetKeyOf(committed.topic, committed.partition)
      const latest = this.#pending.get(key)
      if (latest === undefined) continue
      this.#put(key, { committed, appendedAt })
      if (latest === committed) this.#pending.delete(key)
    }
  }

  failed(offsets: readonly CommittedOffset[]): void {
    for (const offset of offsets) {
      const key = offsetKeyOf(offset.topic, offset.partition)
      if (this.#pending.get(key) === offset) this.#pending.delete(key)
    }
  }

  // ---- transactions

  prepareTransactional(): void {
    this.#transactionalInFlight++
  }

  /** The append ended. `appendedAt` -1: nothing was appended, and what the producer committed before stays as it is. */
  endTransactional(producerId: number, offsets: readonly CommittedOffset[], appendedAt: Offset): void {
    this.#transactionalInFlight--
    if (appendedAt < 0) return
    for (const committed of offsets) this.loadTransactional(producerId, { committed, appendedAt })
  }

  loadTransactional(producerId: number, offset: AppendedOffset): void {
    let pending = this.#transactional.get(producerId)
    if (pending === undefined) this.#transactional.set(producerId, (pending = new Map()))
    const key = offsetKeyOf(offset.committed.topic, offset.committed.partition)
    const present = pending.get(key)
    if (present === undefined || present.appendedAt < offset.appendedAt) pending.set(key, offset)
  }

  hasTransactional(producerId: number): boolean {
    return this.#transactional.has(producerId)
  }

  /** Producers with an open transaction here. */
  get producers(): Iterable<number> {
    return this.#transactional.keys()
  }

  completeTransaction(producerId: number, isCommit: boolean): void {
    const pending = this.#transactional.get(producerId)
    this.#transactional.delete(producerId)
    if (!isCommit || pending === undefined) return
    for (const [key, offset] of pending) this.#put(key, offset)
  }

  // ---- removal; what was committed is returned, for the tombstones

  removeExpired(now: EpochMillis): CommittedOffset[] {
    if (this.#earliestExpiry >= now) return []
    const removed: CommittedOffset[] = []
    this.#earliestExpiry = Number.POSITIVE_INFINITY
    for (const [key, { committed }] of this.#committed) {
      if (committed.expireTimestamp < now && !this.#pending.has(key)) {
        this.#committed.delete(key)
        removed.push(committed)
      } else this.#earliestExpiry = Math.min(this.#earliestExpiry, committed.expireTimestamp)
    }
    return removed
  }

  /** The partitions' topics were deleted. */
  remove(partitions: readonly { readonly topic: string; readonly partition: PartitionId }[]): CommittedOffset[] {
    const removed: CommittedOffset[] = []
    for (const { topic, partition } of partitions) {
      const key = offsetKeyOf(topic, partition)
      this.#pending.delete(key)
      for (const [producerId, pending] of this.#transactional) {
        pending.delete(key)
        if (pending.size === 0) this.#transactional.delete(producerId)
      }
      const present = this.#committed.get(key)
      if (present === undefined) continue
      this.#committed.delete(key)
      removed.push(present.committed)
    }
    return removed
  }

  removeAll(): CommittedOffset[] {
    const removed = [...this.all()]
    this.#committed.clear()
    this.#pending.clear()
    this.#transactional.clear()
    return removed
  }
}
