import { nextSlice } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'
import type { RemoteReplica } from './isr.ts'
import type { Partition } from './partition.ts'

/** ISR writes that one turn may begin. */
const AT_ONCE = 50

/**
 * Replicas that may join the ISR. When a broker comes back thousands of partitions see it catch up with one fetch, and a write for each of them
 * is more than a turn's work: what is too much comes in the turns that follow, if it still holds then.
 */
export class IsrExpansions {
  readonly #clock: Clock
  readonly #waiting = new Map<RemoteReplica, Partition>()
  /** In this turn. */
  #begun = 0
  #isWatching = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(partition: Partition, replica: RemoteReplica): void {
    if (!partition.mayExpand(replica)) return
    if (this.#begun >= AT_ONCE) {
      this.#waiting.set(replica, partition)
      return
    }
    this.#begun++
    partition.expandIsr(replica)
    this.#watchTurn()
  }

  /** Its turn comes without another fetch. */
  isWaiting(replica: RemoteReplica): boolean {
    return this.#waiting.has(replica)
  }

  #watchTurn(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    nextSlice(this.#clock, () => this.#nextTurn())
  }

  #nextTurn(): void {
    this.#isWatching = false
    this.#begun = 0
    for (const [replica, partition] of this.#waiting) {
      if (this.#begun >= AT_ONCE) break
      this.#waiting.delete(replica)
      if (partition.remote(replica.id) !== replica) continue
      // Should it not join now, then its fetches decide again.
      partition.wake()
      this.add(partition, replica)
    }
  }
}
