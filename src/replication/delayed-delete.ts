import type { BrokerId, Offset, PartitionId } from '../base/ids.ts'
import { inSlices } from '../base/loop-slice.ts'
import type { TimerWheel, WheelTimer } from '../base/timer-wheel.ts'
import type { Clock } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { ReplicationCounters } from './environment.ts'
import type { Partition } from './partition.ts'
import type { DeleteRecordsEntry, DeleteRecordsResult } from './types.ts'

/** `offset` of DeleteRecords: everything that is committed. */
const UP_TO_HIGH_WATERMARK = -1
/** How long raising log starts may hold the loop, and of how many partitions before the clock is looked at. */
const SLICE_MS = 4
const STEP = 16

type Lookup = (topic: string, partition: PartitionId) => Partition | undefined

/** One partition of a DeleteRecords request. */
interface Deletion {
  readonly topic: string
  readonly partition: PartitionId
  /** What the low watermark has to reach. */
  offset: Offset
  error: number
  lowWatermark: Offset
  isPending: boolean
}

interface Waiting {
  readonly deletions: readonly Deletion[]
  readonly done: (results: readonly DeleteRecordsResult[]) => void
  timer: WheelTimer | undefined
}

/**
 * DeleteRecords requests: the leader raises its log start at once, the answer waits until the log starts of all live replicas have
 * followed. Followers learn the leader's log start from fetch answers and report theirs with the next fetch (v5 and later).
 */
export class RecordDeletions {
  readonly #find: Lookup
  readonly #isAlive: (broker: BrokerId) => boolean
  readonly #timers: TimerWheel
  readonly #counters: Pick<ReplicationCounters, 'expiredDeletions'>
  readonly #clock: Clock
  readonly #waiting = new Set<Waiting>()
  #isClosed = false

  constructor(
    find: Lookup,
    isAlive: (broker: BrokerId) => boolean,
    timers: TimerWheel,
    counters: Pick<ReplicationCounters, 'expiredDeletions'>,
    clock: Clock,
  ) {
    this.#clock = clock
    this.#counters = counters
    this.#find = find
    this.#isAlive = isAlive
    this.#timers = timers
  }

  get size(): number {
    return this.#waiting.size
  }

  /** True: somebody waits, so followers' progress matters. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** `done` once: at once when nothing has to be waited for, else when the last partition is decided or after `timeoutMs`. */
  start(timeoutMs: number, entries: readonly DeleteRecordsEntry[], done: Waiting['done']): void {
    const begun = inSlices(this.#clock, SLICE_MS, this.#beginAll(entries))
    if (begun instanceof Promise) void begun.then((deletions) => this.#await(timeoutMs, deletions, done))
    else this.#await(timeoutMs, begun, done)
  }

  *#beginAll(entries: readonly DeleteRecordsEntry[]): Generator<void, Deletion[]> {
    const deletions: Deletion[] = []
    for (const entry of entries) {
      if (deletions.push(this.#begin(entry)) % STEP === 0) yield
    }
    return deletions
  }

  #await(timeoutMs: number, deletions: readonly Deletion[], done: Waiting['done']): void {
    if (this.#isClosed || !deletions.some(({ isPending }) => isPending)) {
      done(deletions)
      return
    }
    const waiting: Waiting = { deletions, done, timer: undefined }
    waiting.timer = this.#timers.add(Math.max(0, timeoutMs), () => {
      for (const { isPending } of deletions) if (isPending) this.#counters.expiredDeletions++
      this.#finish(waiting)
    })
    this.#waiting.add(waiting)
  }

  /** Followers fetched, or roles changed: what is reached now is answered. */
  recheck(): void {
    for (const waiting of [...this.#waiting]) {
      for (const deletion of waiting.deletions) if (deletion.isPending) this.#decide(deletion)
      if (!waiting.deletions.some(({ isPending }) => isPending)) this.#finish(waiting)
    }
  }

  /** Answers everybody with what was reached. */
  close(): void {
    this.#isClosed = true
    for (const waiting of [...this.#waiting]) this.#finish(waiting)
  }

  #begin({ topic, partition, offset }: DeleteRecordsEntry): Deletion {
    const deletion: Deletion = { topic, partition, offset, error: ErrorCode.NONE, lowWatermark: -1, isPending: false }
    const replica = this.#find(topic, partition)
    deletion.error = refusal(replica)
    if (replica === undefined || deletion.error !== ErrorCode.NONE) return deletion
    if (offset === UP_TO_HIGH_WATERMARK) deletion.offset = replica.highWatermark
    deletion.error = this.#raise(replica, deletion.offset)
    if (deletion.error !== ErrorCode.NONE) return deletion
    deletion.lowWatermark = replica.lowWatermark(this.#isAlive)
    if (deletion.lowWatermark >= deletion.offset) return deletion
    deletion.isPending = true
    // What the answer says if the time is up first; the low watermark stays that of the beginning, as in 1.1.
    deletion.error = ErrorCode.REQUEST_TIMED_OUT
    return deletion
  }

  #raise(replica: Partition, offset: Offset): number {
    const log = replica.requireLog()
    if (offset < 0 || !Number.isSafeInteger(offset)) return ErrorCode.OFFSET_OUT_OF_RANGE
    if (!log.config.delete) return ErrorCode.POLICY_VIOLATION
    if (offset > replica.highWatermark) return ErrorCode.OFFSET_OUT_OF_RANGE
    try {
      log.maybeIncrementLogStartOffset(offset)
      return ErrorCode.NONE
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      return ErrorCode.KAFKA_STORAGE_ERROR
    }
  }

  #decide(deletion: Deletion): void {
    const replica = this.#find(deletion.topic, deletion.partition)
    const error = refusal(replica)
    const low = replica === undefined || error !== ErrorCode.NONE ? -1 : replica.lowWatermark(this.#isAlive)
    if (error === ErrorCode.NONE && low < deletion.offset) return
    deletion.isPending = false
    deletion.error = error
    deletion.lowWatermark = low
  }

  #finish(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return
    waiting.timer?.cancel()
    waiting.done(waiting.deletions)
  }
}

function refusal(replica: Partition | undefined): number {
  if (replica === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (replica.failed) return ErrorCode.KAFKA_STORAGE_ERROR
  return replica.isLeader && replica.log !== undefined ? ErrorCode.NONE : ErrorCode.NOT_LEADER_FOR_PARTITION
}
