import { assert } from '../base/assert.ts'
import type { BrokerId, LeaderEpoch, Millis } from '../base/ids.ts'
import type { WheelTimer } from '../base/timer-wheel.ts'
import type { ReplicationEnvironment } from './environment.ts'
import { committedIsr, pendingIsr, sameMembers } from './isr.ts'
import type { Partition } from './partition.ts'
import type { StoredState } from './types.ts'

type StateRead = StoredState | undefined

/** First wait before ZooKeeper is asked again; doubles up to the second. */
export const RESOLVE_BACKOFF_MS: Millis = 100
const RESOLVE_BACKOFF_MAX_MS: Millis = 2000
/** After a refused write no new one is tried for this long. */
const REFUSED_BACKOFF_MS: Millis = 100

/**
 * Writes one partition's ISR to ZooKeeper: at most one change at a time, conditional on the version last seen. The partition stays
 * `pending` until an answer or a read proves what is stored:
 * - written: committed.
 * - version differs (H12) or outcome unknown: read. Another epoch: stop leading. A later version under our epoch: adopt it. Our old version
 *   still there: a lost write may yet arrive, so the same write is sent again; whichever of the two comes first settles it, since the other
 *   then finds a newer version.
 * Answers to anything asked before the last change of role are dropped (`#token`).
 */
export class IsrUpdates {
  readonly #partition: Partition
  readonly #env: ReplicationEnvironment
  #token = 0
  #timer: WheelTimer | undefined
  #backoff = RESOLVE_BACKOFF_MS
  #notBefore: Millis = Number.NEGATIVE_INFINITY
  /** The last write was refused for its version: whoever reads that version again reads the past. */
  #refused = false
  /** Token of the question that is out; -1: none. */
  #askingFor = -1

  constructor(partition: Partition, env: ReplicationEnvironment) {
    this.#partition = partition
    this.#env = env
  }

  /** Role or epoch changed: the state that comes with it holds; outcomes of older writes mean nothing. */
  reset(): void {
    this.#token++
    this.#timer?.cancel()
    this.#timer = undefined
    this.#backoff = RESOLVE_BACKOFF_MS
    this.#notBefore = Number.NEGATIVE_INFINITY
  }

  /** Starts a change unless one is under way or ZooKeeper cannot be relied on. False: not now. */
  propose(wanted: readonly BrokerId[]): boolean {
    const partition = this.#partition
    if (partition.isrState.kind === 'pending' || !this.#env.isrStore.trusted) return false
    if (this.#env.clock.now() < this.#notBefore) return false
    assert(
      wanted.includes(this.#env.brokerId),
      `${partition.key}: ISR ${wanted.join(',')} lacks the leader ${this.#env.brokerId}`,
    )
    partition.setIsrState(pendingIsr(partition.isrState, wanted))
    this.#backoff = RESOLVE_BACKOFF_MS
    this.#write()
    return true
  }

  /** Are we still leader by ZooKeeper? If not, step down. */
  verify(): void {
    if (this.#partition.isrState.kind === 'pending') return
    this.#ask((stored) => stored !== undefined && this.#isDeposed(stored))
  }

  /** Calls `onCurrent` with what is stored when ZooKeeper still has the partition's leader and epoch. */
  confirmRole(leader: BrokerId, leaderEpoch: LeaderEpoch, onCurrent: (stored: StoredState) => void): void {
    this.#ask(
      (stored) => {
        if (stored?.leader === leader && stored.leaderEpoch === leaderEpoch) onCurrent(stored)
      },
      (stored) => stored === undefined || stored.leaderEpoch < leaderEpoch,
    )
  }

  /** One question at a time, until it is answered or the role changes. `isPast`: the server that answered lags behind; it is asked again. */
  #ask(onAnswer: (stored: StateRead) => void, isPast: (stored: StateRead) => boolean = () => false): void {
    const token = this.#token
    if (this.#askingFor === token) return
    this.#askingFor = token
    const { topic, partition } = this.#partition
    const again = () => {
      if (token === this.#token) this.#env.timers.add(RESOLVE_BACKOFF_MAX_MS, read)
    }
    const answered = (stored: StateRead) => {
      if (token !== this.#token) return
      if (isPast(stored)) return again()
      this.#askingFor = -1
      onAnswer(stored)
    }
    const read = () => {
      if (token !== this.#token) return
      if (this.#env.isrStore.trusted) this.#env.isrStore.readState({ topic, partition }).then(answered, again)
      else again()
    }
    read()
  }

  #write(): void {
    const partition = this.#partition
    const state = partition.isrState
    assert(state.kind === 'pending', `${partition.key}: ISR write without a pending change`)
    const token = ++this.#token
    this.#refused = false
    const change = {
      topic: partition.topic,
      partition: partition.partition,
      leader: this.#env.brokerId,
      leaderEpoch: partition.leaderEpoch,
      isr: state.wanted,
      controllerEpoch: partition.controllerEpoch,
      expectedVersion: state.zkVersion,
    }
    this.#env.isrStore.updateIsr(change).then(
      (written) => token === this.#token && this.#onWritten(written.outcome, written.zkVersion),
      () => token === this.#token && this.#readLater(),
    )
  }

  #onWritten(outcome: string, zkVersion: number): void {
    const partition = this.#partition
    switch (outcome) {
      case 'ok':
        this.#commit(this.#wanted(), zkVersion)
        return
      case 'badVersion':
        this.#env.counters.failedIsrUpdates++
        partition.logger.info(
          `Cached zkVersion [${partition.isrState.zkVersion}] not equal to that in zookeeper, skip updating ISR`,
        )
        if (this.#env.config.faithful.has('H12')) this.#revert()
        else {
          this.#refused = true
          this.#read()
        }
        return
      case 'noNode':
        this.#env.counters.failedIsrUpdates++
        this.#revert()
        return
      default:
        // Lost, or the session ended with it: it may have been stored.
        this.#readLater()
    }
  }

  #wanted(): readonly BrokerId[] {
    const state = this.#partition.isrState
    assert(state.kind === 'pending', `${this.#partition.key}: no pending ISR change`)
    return state.wanted
  }

  #commit(isr: readonly BrokerId[], zkVersion: number): void {
    const partition = this.#partition
    const before = partition.isrState.isr
    if (isr.length < before.length) this.#env.counters.isrShrinks++
    else if (isr.length > before.length) this.#env.counters.isrExpands++
    partition.setIsrState(committedIsr(isr, zkVersion))
    this.#backoff = RESOLVE_BACKOFF_MS
    this.#env.isrChanged(partition)
    partition.advanceHighWatermark(this.#env.clock.now())
    this.#env.settle(partition)
  }

  /** The change was certainly not stored. */
  #revert(): void {
    const partition = this.#partition
    this.#notBefore = this.#env.clock.now() + REFUSED_BACKOFF_MS
    partition.setIsrState(committedIsr(partition.isrState.isr, partition.isrState.zkVersion))
    partition.advanceHighWatermark(this.#env.clock.now())
    this.#env.settle(partition)
  }

  #readLater(): void {
    this.#timer?.cancel()
    this.#timer = this.#env.timers.add(this.#backoff, () => this.#read())
    this.#backoff = Math.min(this.#backoff * 2, RESOLVE_BACKOFF_MAX_MS)
  }

  #read(): void {
    if (!this.#env.isrStore.trusted) {
      this.#readLater()
      return
    }
    const token = ++this.#token
    this.#env.isrStore.readState({ topic: this.#partition.topic, partition: this.#partition.partition }).then(
      (state) => token === this.#token && this.#onRead(state),
      () => token === this.#token && this.#readLater(),
    )
  }

  #onRead(stored: StateRead): void {
    const partition = this.#partition
    if (stored === undefined) {
      this.#revert()
      return
    }
    if (this.#isDeposed(stored)) return
    // An older epoch or version is a read that was served before the write which we know of.
    if (stored.leaderEpoch < partition.leaderEpoch || stored.zkVersion < partition.isrState.zkVersion) {
      this.#readLater()
      return
    }
    if (stored.zkVersion === partition.isrState.zkVersion) {
      if (this.#refused) this.#readLater()
      else this.#write()
      return
    }
    if (!sameMembers(stored.isr, this.#wanted())) partition.logger.info(`Adopting ISR ${stored.isr.join(',')} found in ZooKeeper`)
    this.#commit(stored.isr, stored.zkVersion)
  }

  /** True: another epoch or leader is stored, and we have stopped leading. */
  #isDeposed(stored: NonNullable<StateRead>): boolean {
    const partition = this.#partition
    const { leader, leaderEpoch } = stored
    if (leaderEpoch < partition.leaderEpoch || (leaderEpoch === partition.leaderEpoch && leader === this.#env.brokerId))
      return false
    partition.logger.warn(
      `ZooKeeper has leader ${leader} with epoch ${leaderEpoch}, this broker led epoch ${partition.leaderEpoch}: stepping down`,
    )
    partition.stepDown()
    this.#env.steppedDown(partition)
    return true
  }
}
