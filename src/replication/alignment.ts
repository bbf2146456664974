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
 * Brings a follower's log in line with a new leader's before anything is fetched, by questions of OffsetForLeaderEpoch v0, "where does
 * epoch e end at yours?" (KIP-101):
 * 1. For the epoch n that the controller gave us. It is no question about records: a broker that has not heard of n yet still thinks that it
 *    leads an older epoch, and what it would make of our fetches is worth nothing (H5). One of ours then answers NOT_LEADER_FOR_PARTITION
 *    and is asked again. A genuine 1.1.1 answers -1, also when it does lead n and has appended nothing yet: we go on as 1.1.1 does. When the
 *    last epoch of our log is n, 2 asks the same.
 * 2. For the last epoch e of our log: everything behind the answer will have to go.
 * 3. The answer does not say whether the leader has e at all; it may be the end of an older epoch, and then records of e below that offset
 *    differ from the leader's (H4). So a question for e - 1 follows: an equal answer means that the leader has no record of e.
 * 4. That may be because its log begins there (`epochEnd`): where its log starts is asked for (ListOffsets). Below that there is
 *    nothing to differ from, and what it has deleted may have been committed: only what lies above goes. Else all of e goes, and the next
 *    older epoch is asked for (2).
 * 5. A leader that does not know e may have deleted all that is so old; where its log starts is asked for, too. We cut to our high watermark, as
 *    1.1, but where that lies below the leader's log start we begin there. 1.1 comes to that as well: it fetches from the high watermark,
 *    is out of range, and begins anew; but a broker that was killed may not know its high watermark, and would have an empty log in between, as a
 *    member of the ISR that may lead with it. In 4 the same holds, so that nothing of ours stays that was never committed.
 *
 * Nothing is cut before it is known whether the leader has e: its answer may lie within one of our batches, which goes as a whole, and if a
 * new leader is named then, the log would be left with an end where no record of it ends: a hole, when it goes on from there. What is cut
 * lies between two epochs of ours or between two batches that the leader has too (as later with KIP-279, whose answers name the epoch).
 *
 * No epoch is spared the questions, n neither: what we have of n came from this leader, but it may have been deposed since, have dropped that, and
 * lead again in an epoch that we have not heard of.
 */
export class Alignment {
  readonly #replica: Partition
  readonly #asksTwice: boolean
  #stage: 'probe' | 'end' | 'start' | 'logStart'
  #epoch: LeaderEpoch
  #end: Offset = -1
  #done = false

  /** `probes`: with 1; `asksTwice`: with 3. May truncate at once: without any epoch known, to the high watermark. */
  constructor(replica: Partition, options: { readonly probes: boolean; readonly asksTwice: boolean }) {
    this.#replica = replica
    this.#asksTwice = options.asksTwice
    this.#epoch = replica.requireLog().latestEpoch
    this.#stage = 'probe'
    if (!options.probes || this.#epoch === replica.leaderEpoch) this.#begin()
  }

  get isDone(): boolean {
    return this.#done
  }

  /** No epoch is asked for next, but the leader's log start. */
  get asksLogStart(): boolean {
    return this.#stage === 'logStart'
  }

  /** Epoch to ask the leader for. */
  get question(): LeaderEpoch {
    if (this.#stage === 'probe') return this.#replica.leaderEpoch
    return this.#stage === 'end' ? this.#epoch : this.#epoch - 1
  }

  /** `endOffset` -1: the leader does not know. May truncate the log. */
  answer(endOffset: Offset): void {
    if (this.#stage === 'probe') this.#begin()
    else if (this.#stage === 'end') this.#onEnd(endOffset)
    else this.#onStart(endOffset)
  }

  #begin(): void {
    this.#stage = 'end'
    if (this.#epoch < 0) this.#finishAtHighWatermark()
  }

  #onEnd(endOffset: Offset): void {
    if (endOffset < 0) {
      this.#end = endOffset
      if (this.#asksTwice && this.#replica.highWatermark < this.#replica.requireLog().logEndOffset) this.#stage = 'logStart'
      else this.#finishAtHighWatermark()
      return
    }
    // Before epoch 0 there is nothing to confuse it with.
    if (!this.#asksTwice || this.#epoch === 0) this.#finishAt(endOffset)
    else if (this.#ownStart(this.#epoch) >= endOffset) this.#dropWhatBeginsAt(endOffset)
    else {
      this.#end = endOffset
      this.#stage = 'start'
    }
  }

  #onStart(startOffset: Offset): void {
    if (startOffset < 0 || startOffset < this.#end) this.#finishAt(this.#end)
    else this.#stage = 'logStart'
  }

  /** Answer to `asksLogStart`. May truncate the log. */
  answerLogStart(leaderStart: Offset): void {
    if (leaderStart < this.#end) this.#dropWhatBeginsAt(this.#ownStart(this.#epoch))
    else if (leaderStart > this.#replica.highWatermark) this.#beginAt(leaderStart)
    else if (this.#end < 0) this.#finishAtHighWatermark()
    else this.#finishAt(this.#end)
  }

  /** All epochs that begin at `offset` or behind it go; the next question is about the newest that is left. */
  #dropWhatBeginsAt(offset: Offset): void {
    const log = this.#replica.requireLog()
    let epoch = this.#epoch
    let cut = offset
    while (epoch >= 0 && this.#ownStart(epoch) >= offset) {
      cut = this.#ownStart(epoch)
      epoch = epochBefore(log, epoch)
    }
    this.#replica.truncateTo(epoch < 0 ? offset : cut)
    this.#stage = 'end'
    this.#epoch = epoch
    // What is left, if anything, is from before there were epochs.
    if (epoch < 0) this.#finishAtHighWatermark()
  }

  /** The log end for an epoch without records: a log that took this one's place (KIP-113) has heard of none. */
  #ownStart(epoch: LeaderEpoch): Offset {
    const log = this.#replica.requireLog()
    const start = log.epochs.startOf(epoch)
    return start < 0 ? log.logEndOffset : start
  }

  #finishAt(offset: Offset): void {
    this.#replica.truncateTo(offset)
    this.#finish()
  }

  #finishAtHighWatermark(): void {
    this.#finishAt(this.#replica.highWatermark)
  }

  /** All that would be left lies below. */
  #beginAt(leaderStart: Offset): void {
    this.#replica.truncateFullyAndStartAt(leaderStart)
    this.#finish()
  }

  #finish(): void {
    this.#done = true
  }
}
