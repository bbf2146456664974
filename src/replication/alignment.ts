import type { LeaderEpoch, Offset } from '../base/ids.ts'
import type { Log } from '../log/types.ts'
import type { Partition } from './partition.ts'

/** Largest epoch below `epoch` that has records in the log; -1: none. */
export function epochBefore(log: Log, epoch: LeaderEpoch): LeaderEpoch {
  const end = log.endOffsetForEpoch(epoch - 1)
  if (end < 0) return -1
  let found = epoch - 1
  while (found > 0 && log.endOffsetForEpoch(found - 1) === end) found--
  return found
}

/**
 * Brings a follower's log in line with a new leader's before anything is fetched (KIP-101), by questions of OffsetForLeaderEpoch v0:
 * "where does epoch e end at yours?" The answer does not say whether the leader has e at all; it may be the end of an older epoch, and then
 * records of e below that offset differ from the leader's (H4). So, unless e is the leader's own epoch, a second question for e - 1 follows:
 * an equal answer means that the leader has no record of e, and everything of e goes here too. Then the next older epoch is asked for.
 */
export class Alignment {
  readonly #replica: Partition
  readonly #single: boolean
  #epoch: LeaderEpoch
  #asksStart = false
  #end: Offset = -1
  #done = false

  /** `single`: one question only, as 1.1 (faithful H4). May truncate at once: without any epoch known, to the high watermark. */
  constructor(replica: Partition, single: boolean) {
    this.#replica = replica
    this.#single = single
    this.#epoch = replica.requireLog().latestEpoch
    if (this.#epoch < 0) this.#finishAtHighWatermark()
  }

  get isDone(): boolean {
    return this.#done
  }

  /** Epoch to ask the leader for. */
  get question(): LeaderEpoch {
    return this.#asksStart ? this.#epoch - 1 : this.#epoch
  }

  /** `endOffset` -1: the leader does not know. May truncate the log. */
  answer(endOffset: Offset): void {
    if (this.#asksStart) this.#onStart(endOffset)
    else this.#onEnd(endOffset)
  }

  #onEnd(endOffset: Offset): void {
    if (endOffset < 0) return this.#finishAtHighWatermark()
    const log = this.#replica.requireLog()
    this.#replica.truncateTo(endOffset)
    // What its own epoch holds came from this leader. Before epoch 0 there is nothing to confuse it with.
    if (this.#single || this.#epoch === this.#replica.leaderEpoch || this.#epoch === 0) return this.#finish()
    if (log.latestEpoch < this.#epoch) return this.#continueWith(log.latestEpoch)
    this.#end = endOffset
    this.#asksStart = true
  }

  #onStart(startOffset: Offset): void {
    if (startOffset < 0 || startOffset < this.#end) return this.#finish()
    const log = this.#replica.requireLog()
    const older = epochBefore(log, this.#epoch)
    const ownStart = log.endOffsetForEpoch(this.#epoch - 1)
    this.#replica.truncateTo(ownStart < 0 ? log.logStartOffset : ownStart)
    this.#asksStart = false
    this.#continueWith(older)
  }

  #continueWith(epoch: LeaderEpoch): void {
    this.#epoch = epoch
    if (epoch < 0) this.#finish()
  }

  #finishAtHighWatermark(): void {
    this.#replica.truncateTo(this.#replica.highWatermark)
    this.#finish()
  }

  #finish(): void {
    this.#done = true
  }
}
