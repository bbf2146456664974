import type { BrokerId, Millis, Offset, ZkVersion } from '../base/ids.ts'

/**
 * A partition's in-sync replicas as its leader knows them. `pending`: a write of `wanted` is under way or its outcome is not known,
 * so ZooKeeper may hold either list; whatever must be on every in-sync replica is demanded of the union. `zkVersion` is the version of
 * the state znode that the next write expects.
 */
export type IsrState =
  | { readonly kind: 'committed'; readonly isr: readonly BrokerId[]; readonly zkVersion: ZkVersion }
  | {
      readonly kind: 'pending'
      readonly isr: readonly BrokerId[]
      readonly wanted: readonly BrokerId[]
      readonly zkVersion: ZkVersion
    }

export function committedIsr(isr: readonly BrokerId[], zkVersion: ZkVersion): IsrState {
  return { kind: 'committed', isr, zkVersion }
}

export function pendingIsr(from: IsrState, wanted: readonly BrokerId[]): IsrState {
  return { kind: 'pending', isr: from.isr, wanted, zkVersion: from.zkVersion }
}

/** Members of the list in ZooKeeper, whichever it is: `isr` in its order, then what only `wanted` has. */
export function maximalIsr(state: IsrState): readonly BrokerId[] {
  if (state.kind === 'committed') return state.isr
  return [...state.isr, ...state.wanted.filter((id) => !state.isr.includes(id))]
}

/** Size for NOT_ENOUGH_REPLICAS before an append: what is committed, or the smaller list when a shrink is under way. */
export function assuredIsrSize(state: IsrState): number {
  return state.kind === 'committed' ? state.isr.length : Math.min(state.isr.length, state.wanted.length)
}

export function sameMembers(a: readonly BrokerId[], b: readonly BrokerId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id))
}

/** An answer may be lost with its connection; more than two in a row are not taken to be. */
const MOST_SENT_TO_ASK = 2

/** What a leader knows of another replica. Times are of the monotonic clock. */
export class RemoteReplica {
  readonly id: BrokerId
  /** Its fetch offset; -1 until it fetched in this leadership. */
  logEndOffset: Offset = -1
  /** -1: unknown (fetch before v5). */
  logStartOffset: Offset = -1
  /** Last time at which it had everything the leader had. */
  lastCaughtUp: Millis = Number.NEGATIVE_INFINITY
  /** Time of its last fetch and the leader's log end at that fetch. */
  lastFetch: Millis = Number.NEGATIVE_INFINITY
  leaderEndAtLastFetch: Offset = 0
  /** Member of `maximalIsr`: the high watermark waits for it. */
  counted = false
  /** Its log is known to be in line with this leadership, so its fetch offsets count (see Partition: H5). */
  aligned = false
  /** In its session the partition rests: its last fetch is that of the session. */
  resting: { readonly lastFetch: Millis } | undefined
  /** It has asked where epochs end, in this leadership. */
  #hasAsked = false
  /** Fetches since it asked last that were answered with "ask first". */
  #sentToAsk = 0
  /** Connection of its last question. */
  #askedOver = -1
  /** The same, while no fetch of its has come since. */
  #asksOver = -1
  /** Connection over which it showed that it knows of this leadership. */
  #awareOver = -1
  /** An older one, over which a fetch came since. */
  #lateOver = -1

  constructor(id: BrokerId) {
    this.id = id
  }

  /** A leader epoch begins. `fresh`: we did not lead the epoch before, so nothing known of this replica holds any more. */
  beginEpoch(now: Millis, leaderEnd: Offset, inSync: boolean, fresh: boolean): void {
    this.lastFetch = now
    this.leaderEndAtLastFetch = leaderEnd
    this.lastCaughtUp = inSync ? now : Number.NEGATIVE_INFINITY
    if (!fresh) return
    this.logEndOffset = -1
    this.logStartOffset = -1
    this.aligned = false
    this.#hasAsked = false
    this.#sentToAsk = 0
    this.#asksOver = this.#awareOver = -1
  }

  /** Is its next question the second in a row? A 1.1.1 asks once and fetches. */
  asksOn(connection: number): boolean {
    return connection === this.#asksOver
  }

  /**
   * It asked where an epoch ends. `namesUs`: one that we have led since: it has heard of this leadership, and all that it asks over this
   * connection is asked in it. One of ours (`probes`) that has not may have asked the questions before this one in an earlier leadership
   * of the same leader, and got answers that are void; and it may hear only now of leaders between the two and cut its log by theirs. So nothing
   * that it has counts. Of a 1.1.1 nobody can know. `connection`: as in `FetchParams`.
   */
  noteQuestion(namesUs: boolean, probes: boolean, connection: number): void {
    this.#hasAsked = true
    this.#sentToAsk = 0
    this.#askedOver = this.#asksOver = connection
    this.#lateOver = -1
    if (namesUs) this.#awareOver = connection
    this.aligned = !probes || connection === this.#awareOver
    if (!this.aligned) this.logEndOffset = -1
  }

  /**
   * Was this fetch of its sent before its last question? It asks and fetches over one connection, and closes that before it makes another one; what
   * is still on its way over an older one says where its log ended before it was cut, and nothing in it shows that (until KIP-320). One
   * request at most: over a connection on which a second one follows the answer the replica lives, in whatever order they were accepted.
   */
  isLate(connection: number | undefined): boolean {
    if (connection === undefined || connection >= this.#askedOver) return false
    if (connection === this.#lateOver) this.#askedOver = connection
    else this.#lateOver = connection
    return connection < this.#askedOver
  }

  /** Must it ask before its fetches count? Who asked once and fetches on, however often it is told, was one of ours and is a 1.1.1 now. */
  isToAsk(): boolean {
    this.#asksOver = -1
    if (this.#hasAsked && this.#sentToAsk === MOST_SENT_TO_ASK) this.aligned = true
    else this.#sentToAsk++
    return !this.aligned
  }

  /**
   * A fetch at `offset` arrived. Caught up now when it asks for the log end; caught up at its previous fetch when it asks for what was the
   * log end then (a follower that is always a moment behind a busy leader is in sync, KAFKA-4485).
   */
  noteFetch(offset: Offset, logStartOffset: Offset, leaderEnd: Offset, now: Millis): void {
    this.#asksOver = -1
    if (offset >= leaderEnd) this.lastCaughtUp = Math.max(this.lastCaughtUp, now)
    else if (offset >= this.leaderEndAtLastFetch) this.lastCaughtUp = Math.max(this.lastCaughtUp, this.lastFetch)
    this.leaderEndAtLastFetch = leaderEnd
    this.lastFetch = now
    this.logEndOffset = offset
    this.logStartOffset = logStartOffset
  }

  isCaughtUp(now: Millis, lagTimeMax: Millis): boolean {
    const caughtUp = this.resting === undefined ? this.lastCaughtUp : Math.max(this.lastCaughtUp, this.resting.lastFetch)
    return now - caughtUp <= lagTimeMax
  }
}

/**
 * The offset that every replica which may be in sync has reached: least log end over the maximal ISR and over whoever was caught up within
 * `replica.lag.time.max.ms` (about to come back). -1 while one of them has not been heard of.
 */
export function highWatermarkCandidate(
  leaderEnd: Offset,
  remotes: readonly RemoteReplica[],
  now: Millis,
  lagTimeMax: Millis,
): Offset {
  let candidate = leaderEnd
  for (const replica of remotes) {
    if (replica.logEndOffset < candidate && (replica.counted || replica.isCaughtUp(now, lagTimeMax)))
      candidate = replica.logEndOffset
  }
  return candidate
}

/** The ISR without those that were not caught up within `lagTimeMax`; the same array when nobody lags. The leader always stays. */
export function shrinkIsr(
  isr: readonly BrokerId[],
  leader: BrokerId,
  remotes: readonly RemoteReplica[],
  now: Millis,
  lagTimeMax: Millis,
): readonly BrokerId[] {
  for (const id of isr) {
    if (isLagging(id, leader, remotes, now, lagTimeMax))
      return isr.filter((one) => !isLagging(one, leader, remotes, now, lagTimeMax))
  }
  return isr
}

function isLagging(id: BrokerId, leader: BrokerId, remotes: readonly RemoteReplica[], now: Millis, lagTimeMax: Millis): boolean {
  if (id === leader) return false
  for (const replica of remotes) if (replica.id === id) return !replica.isCaughtUp(now, lagTimeMax)
  return true
}

/**
 * May it join? It must have everything committed and, since the high watermark of a new leader may lag behind what was committed,
 * everything from before the leader's epoch (H6, KAFKA-7128). `epochStart` undefined: the rule of 1.1.1 without that check.
 */
export function mayJoinIsr(replica: RemoteReplica, highWatermark: Offset, epochStart: Offset | undefined): boolean {
  return replica.logEndOffset >= highWatermark && (epochStart === undefined || replica.logEndOffset >= epochStart)
}
