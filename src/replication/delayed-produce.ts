import type { EpochMillis, Offset, PartitionId } from '../base/ids.ts'
import type { TimerWheel, WheelTimer } from '../base/timer-wheel.ts'
import type { Clock } from '../ports/clock.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { EXPECTED_APPEND_ERRORS } from './append-errors.ts'
import type { PartitionAppendResult } from './types.ts'

/** What became of one entry of a produce; also its place in the queue of what waits for replication. */
export class AppendOutcome implements PartitionAppendResult {
  readonly topic: string
  readonly partition: PartitionId
  error: number
  baseOffset: Offset = -1
  logAppendTime: EpochMillis = -1
  logStartOffset: Offset = -1
  /** The high watermark that makes it safe: offset after the last record. */
  requiredOffset: Offset = 0
  /** The produce that waits for it; undefined when it is decided. */
  waiter: DelayedProduce | undefined

  constructor(topic: string, partition: PartitionId, error: number) {
    this.topic = topic
    this.partition = partition
    this.error = error
  }
}

/** A produce with acks=all, answered when its last undecided entry is. */
export class DelayedProduce {
  readonly #results: readonly AppendOutcome[]
  readonly #done: (results: readonly PartitionAppendResult[]) => void
  #undecided = 0
  #timer: WheelTimer | undefined

  constructor(results: readonly AppendOutcome[], done: (results: readonly PartitionAppendResult[]) => void) {
    this.#results = results
    this.#done = done
  }

  /** `expired` is told of every entry whose time was over. `timeoutMs` of 0 or less: as in 1.1 it expires at once, before any follower can have answered. */
  start(
    undecided: number,
    timers: TimerWheel,
    timeoutMs: number,
    clock: Pick<Clock, 'soon'>,
    expired: (outcome: AppendOutcome) => void,
  ): void {
    this.#undecided = undecided
    if (timeoutMs > 0) this.#timer = timers.add(timeoutMs, () => this.#expire(expired))
    else clock.soon(() => this.#expire(expired))
  }

  decide(outcome: AppendOutcome, error: number): void {
    outcome.error = error
    outcome.waiter = undefined
    if (--this.#undecided > 0) return
    this.#timer?.cancel()
    this.#done(this.#results)
  }

  /** The records stay in the log: REQUEST_TIMED_OUT says only that nobody knows yet. */
  #expire(expired: (outcome: AppendOutcome) => void): void {
    if (this.#undecided === 0) return
    for (const outcome of this.#results) {
      if (outcome.waiter !== this) continue
      outcome.waiter = undefined
      outcome.error = ErrorCode.REQUEST_TIMED_OUT
      expired(outcome)
    }
    this.#undecided = 0
    this.#done(this.#results)
  }
}

/** So many may still be acknowledged in this go. */
export interface AckQuota {
  left: number
}

/** The entries of one partition that wait for the high watermark, by the offset they need. */
export class AckQueue {
  #entries: AppendOutcome[] = []
  #head = 0

  /** Still waiting (those that timed out and were not yet reached are counted). */
  get length(): number {
    return this.#entries.length - this.#head
  }

  add(outcome: AppendOutcome): void {
    this.#dropDecided()
    const entries = this.#entries
    let at = entries.length
    // A recognised duplicate needs an earlier offset than what was appended since.
    while (at > this.#head && entries[at - 1]!.requiredOffset > outcome.requiredOffset) at--
    if (at === entries.length) entries.push(outcome)
    else entries.splice(at, 0, outcome)
  }

  /** Decides what needs at most `highWatermark`, as far as the quota goes: false if that was too little. A callback may add new entries. */
  completeUpTo(highWatermark: Offset, error: number, quota: AckQuota): boolean {
    while (this.#head < this.#entries.length) {
      const outcome = this.#entries[this.#head]!
      if (outcome.requiredOffset > highWatermark) break
      if (quota.left === 0) return false
      quota.left--
      this.#pop()
      outcome.waiter?.decide(outcome, error)
    }
    return true
  }

  failAll(error: number): void {
    const waiting = this.#entries.slice(this.#head)
    this.#entries = []
    this.#head = 0
    for (const outcome of waiting) outcome.waiter?.decide(outcome, error)
  }

  /** Timed-out entries at the front go, so that a stuck high watermark cannot make the queue grow for ever. */
  #dropDecided(): void {
    while (this.#head < this.#entries.length && this.#entries[this.#head]!.waiter === undefined) this.#pop()
  }

  #pop(): void {
    this.#head++
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0
      this.#head = 0
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#entries.length) {
      this.#entries.splice(0, this.#head)
      this.#head = 0
    }
  }
}

/** Whether an answer with this error tells the log start offset (Produce v5). */
export function carriesLogStart(error: number): boolean {
  return !EXPECTED_APPEND_ERRORS.has(error)
}

/** `acks` values of Produce. */
export const ACKS_ALL = -1
