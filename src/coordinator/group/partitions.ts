import type { LeaderEpoch, PartitionId } from '../../base/ids.ts'

/** One leadership of a partition; the object is the token of its load. */
export interface Leadership {
  readonly partition: PartitionId
  leaderEpoch: LeaderEpoch
  isLoading: boolean
  /** Markers that came while loading: they lie behind what was read, or are known already. */
  readonly markers: { readonly producerId: number; readonly isCommit: boolean }[]
}

/**
 * Which partitions of the state topic are ours. As in 1.1 a partition that is loaded for the first time is not ours yet (NOT_COORDINATOR);
 * one that we had before stays ours while it is loaded again (COORDINATOR_LOAD_IN_PROGRESS).
 */
export class OwnedPartitions {
  readonly #leaderships = new Map<PartitionId, Leadership>()
  readonly #owned = new Set<PartitionId>()

  isOwned(partition: PartitionId): boolean {
    return this.#owned.has(partition)
  }

  isLoading(partition: PartitionId): boolean {
    return this.#leaderships.get(partition)?.isLoading === true
  }

  get isAnyLoading(): boolean {
    for (const { isLoading } of this.#leaderships.values()) if (isLoading) return true
    return false
  }

  get(partition: PartitionId): Leadership | undefined {
    return this.#leaderships.get(partition)
  }

  /** Nobody else led since it was loaded: what is known stays true. */
  goesOn(partition: PartitionId, leaderEpoch: LeaderEpoch): boolean {
    const present = this.#leaderships.get(partition)
    if (present === undefined || present.isLoading || leaderEpoch > present.leaderEpoch + 1) return false
    present.leaderEpoch = leaderEpoch
    return true
  }

  begin(partition: PartitionId, leaderEpoch: LeaderEpoch): Leadership {
    const leadership: Leadership = { partition, leaderEpoch, isLoading: true, markers: [] }
    this.#leaderships.set(partition, leadership)
    return leadership
  }

  isCurrent(leadership: Leadership): boolean {
    return this.#leaderships.get(leadership.partition) === leadership
  }

  loaded(leadership: Leadership): void {
    leadership.isLoading = false
    this.#owned.add(leadership.partition)
  }

  end(partition: PartitionId): void {
    this.#leaderships.delete(partition)
    this.#owned.delete(partition)
  }
}
