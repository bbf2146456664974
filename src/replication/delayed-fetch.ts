import { nextSlice } from '../base/loop-slice.ts'
import type { TimerWheel, WheelTimer } from '../base/timer-wheel.ts'
import type { Clock } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { ReplicationCounters } from './environment.ts'
import { FetchRead, fetchBound, fetchRefusal } from './fetch-read.ts'
import type { Partition } from './partition.ts'
import type { FetchParams, FetchPartition } from './types.ts'

/** To read more partitions than this is a slice of its own: the fetches of several followers end their waiting together. */
const READ_BESIDE_OTHERS = 500

/** A fetch that waits for `minBytes`, an error or the end of `maxWaitMs`, registered with each of its partitions. */
export class DelayedFetch {
  readonly #params: FetchParams
  readonly #wanted: FetchPartition[]
  /** As found when the fetch came: all are hosted then, since any error answers at once. */
  readonly #partitions: Partition[]
  readonly #lookup: (params: FetchParams) => readonly (Partition | undefined)[]
  readonly #done: (read: FetchRead) => void
  #timer: WheelTimer | undefined
  #finished = false
  /** Since it waits. */
  #clock: Clock | undefined
  #adopted = 0

  /** `lookup` finds the partitions anew for the final read: one may be gone by then. */
  constructor(
    params: FetchParams,
    partitions: readonly Partition[],
    lookup: (params: FetchParams) => readonly (Partition | undefined)[],
    done: (read: FetchRead) => void,
  ) {
    this.#params = params
    this.#wanted = [...params.partitions]
    this.#partitions = [...partitions]
    this.#lookup = lookup
    this.#done = done
  }

  get isFinished(): boolean {
    return this.#finished
  }

  park(timers: TimerWheel, counters: ReplicationCounters, clock: Clock): void {
    const partitions = this.#partitions
    const { resting } = this.#params
    if (resting !== undefined) resting.parked = this
    for (let i = 0; i < partitions.length; i++) this.#waitingAt(partitions[i]!).set(this, i)
    this.#clock = clock
    const expire = (): void => {
      if (this.#finished) return
      if (this.#params.replicaId >= 0) counters.expiredFollowerFetches++
      else counters.expiredConsumerFetches++
      this.complete()
    }
    this.#timer = timers.add(this.#params.maxWaitMs, () => {
      if (this.#partitions.length <= READ_BESIDE_OTHERS) expire()
      else nextSlice(clock, expire)
    })
  }

  #waitingAt({ followerFetches, consumerFetches }: Partition): Map<DelayedFetch, number> {
    return this.#params.replicaId >= 0 ? followerFetches : consumerFetches
  }

  /** A partition of the session rested until now. With too many of them it is not waited longer: most may rest again. */
  adopt(wanted: FetchPartition, partition: Partition): void {
    if (this.#finished) return
    this.#waitingAt(partition).set(this, this.#wanted.length)
    this.#wanted.push(wanted)
    this.#partitions.push(partition)
    if (this.#params.replicaId >= 0 && ++this.#adopted === READ_BESIDE_OTHERS) nextSlice(this.#clock!, () => this.complete())
  }

  /** Something changed in the partition at `index`. */
  tryComplete(index: number): void {
    if (this.#finished) return
    // The usual case: one byte suffices, so only the partition that changed matters.
    if (this.#params.minBytes <= 1) {
      if (this.#available(index) !== 0) this.complete()
      return
    }
    if (this.isDue()) this.complete()
  }

  /** Whether there is nothing to wait for: enough bytes, or data that lies below the active segment, where no more will come. */
  isDue(): boolean {
    let bytes = 0
    for (let i = 0; i < this.#partitions.length; i++) {
      const available = this.#available(i)
      if (available < 0) return true
      bytes += available
    }
    return bytes >= this.#params.minBytes
  }

  /** As `#availableIn`; -1 too when the log directory has just failed: the read finds out. */
  #available(index: number): number {
    try {
      return this.#availableIn(index)
    } catch (error) {
      if (error instanceof DiskError) return -1
      throw error
    }
  }

  /** Bytes that a read would find; -1: answer now (role lost, or the offsets lie on different segments: rolled or truncated). */
  #availableIn(index: number): number {
    const partition = this.#partitions[index]!
    const wanted = this.#wanted[index]!
    if (fetchRefusal(partition, this.#params.replicaId) !== ErrorCode.NONE) return -1
    const log = partition.requireLog()
    const bound = fetchBound(partition, this.#params)
    const from = wanted.fetchOffset
    if (from === bound) return 0
    if (from > log.logEndOffset || from < log.logStartOffset) return -1
    if (from > bound) return log.bytesBetween(bound, from) < 0 ? -1 : 0
    if (this.#params.replicaId >= 0 && partition.holdsBack(this.#params.replicaId)) return 0
    const bytes = log.bytesBetween(from, bound)
    return bytes < 0 ? -1 : Math.min(bytes, wanted.maxBytes)
  }

  /** Reads once more and answers with what is there. */
  complete(): void {
    if (this.#finished) return
    this.#leave()
    let params = this.#params
    if (this.#wanted.length > params.partitions.length) {
      const partitions = this.#wanted.sort((a, b) => a.place! - b.place!)
      params = { ...params, partitions }
    }
    this.#done(new FetchRead(params, this.#lookup(params)))
  }

  /** The requester is gone. */
  cancel(): void {
    if (!this.#finished) this.#leave()
  }

  #leave(): void {
    this.#finished = true
    this.#timer?.cancel()
    const { resting } = this.#params
    if (resting?.parked === this) resting.parked = undefined
    for (const partition of this.#partitions) this.#waitingAt(partition).delete(this)
  }
}
