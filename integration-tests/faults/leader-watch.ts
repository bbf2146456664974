import type { BrokerId, PartitionId } from '../../src/base/ids.ts'

/** Leaders by `topic-partition`, as ZooKeeper has them; a partition that is not in it has no state. Rejects when ZooKeeper does not answer. */
export type ReadLeaders = () => Promise<ReadonlyMap<string, { readonly leader: BrokerId }>>

/** A leader counts as true once ZooKeeper has named it for so long: it has heard of that by then. */
export const SETTLED_MS = 1000

/** Who leads by ZooKeeper, for clients that have to tell a leader from one that was deposed and does not know it yet. */
export class LeaderWatch {
  readonly #read: ReadLeaders
  readonly #now: () => number
  readonly #leaders = new Map<string, { readonly leader: BrokerId; readonly since: number }>()

  /** `now`: milliseconds of a monotonic clock. */
  constructor(read: ReadLeaders, now: () => number) {
    this.#read = read
    this.#now = now
  }

  /** To be called again and again. Nobody is true while ZooKeeper does not answer. */
  async look(): Promise<void> {
    const states = await this.#read().catch(() => new Map<string, never>())
    for (const key of new Set([...this.#leaders.keys(), ...states.keys()])) {
      const leader = states.get(key)?.leader ?? -1
      if (this.#leaders.get(key)?.leader !== leader) this.#leaders.set(key, { leader, since: this.#now() })
    }
  }

  /** Undefined while leadership may be changing, or when nobody leads. */
  leader(topic: string, partition: PartitionId): BrokerId | undefined {
    const known = this.#leaders.get(`${topic}-${partition}`)
    if (known === undefined || known.leader < 0 || this.#now() - known.since < SETTLED_MS) return undefined
    return known.leader
  }
}
