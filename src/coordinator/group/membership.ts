import type { Millis } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { TimerWheel } from '../../base/timer-wheel.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { Group, Member } from './group.ts'
import { newMember } from './group.ts'
import type { JoinAnswer, JoinDone, JoinGroup, SyncDone, SyncGroup } from './types.ts'
import { NO_BYTES } from './types.ts'

/** What a group's machine needs of the world. */
export interface MembershipEnvironment {
  readonly timers: TimerWheel
  readonly log: Logger
  readonly initialRebalanceDelayMs: Millis
  /** Random UUID of a member id. */
  newMemberSuffix(): string
  /** Writes the group's record; `done` once with SyncGroup's error code, in the same turn or later. */
  storeGroup(group: Group, assignments: ReadonlyMap<string, Buffer>, done: (error: number) => void): void
}

const NO_ASSIGNMENTS: ReadonlyMap<string, Buffer> = new Map()

/** The answer to a refused JoinGroup: generation 0, the member id echoed. */
export function joinError(memberId: string, error: number): JoinAnswer {
  return { error, generationId: 0, protocol: '', leaderId: '', memberId, members: [] }
}

/**
 * The machine of joins, syncs, heartbeats and leaves (Kafka 1.1's rebalance protocol). A request that has to wait is parked in its member
 * and answered by a later event: another request, a timer, the end of a write. Who calls has checked that this broker owns the group.
 */
export class Membership {
  readonly #env: MembershipEnvironment

  constructor(env: MembershipEnvironment) {
    this.#env = env
  }

  // ---------------------------------------------------------------- join

  join(group: Group, request: JoinGroup, done: JoinDone): void {
    const refusal = this.#refuseJoin(group, request)
    if (refusal !== ErrorCode.NONE) done(joinError(request.memberId, refusal))
    else if (request.memberId === '') this.#addMember(group, request, done)
    else this.#rejoin(group, group.members.get(request.memberId)!, request, done)
    this.#maybeCompleteJoin(group)
  }

  #refuseJoin(group: Group, { memberId, protocolType, protocols }: JoinGroup): number {
    const isEmpty = group.state === 'Empty'
    if (!isEmpty && (group.protocolType !== protocolType || !group.supportsAny(protocols)))
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    // A group whose first members have all gone again is not Empty before its rebalance ends.
    if ((isEmpty || group.members.size === 0) && (protocols.length === 0 || protocolType === ''))
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if (memberId !== '' && !group.members.has(memberId)) return ErrorCode.UNKNOWN_MEMBER_ID
    return group.state === 'Dead' ? ErrorCode.UNKNOWN_MEMBER_ID : ErrorCode.NONE
  }

  #addMember(group: Group, request: JoinGroup, done: JoinDone): void {
    const member = newMember(request, `${request.clientId}-${this.#env.newMemberSuffix()}`)
    if (group.state === 'PreparingRebalance' && group.generationId === 0) group.newMemberAdded = true
    group.add(member)
    group.parkJoin(member, done)
    this.#maybeRebalance(group, `adding new member ${member.memberId}`)
  }

  /**
   * A member that comes again unchanged has missed its answer, and gets it once more; the leader of a Stable group wants to assign anew, so
   * everybody has to join again.
   */
  #rejoin(group: Group, member: Member, request: JoinGroup, done: JoinDone): void {
    const { memberId } = member
    const isLeader = group.leaderId === memberId
    const isSettled = group.state === 'CompletingRebalance' || (group.state === 'Stable' && !isLeader)
    if (isSettled && member.matches(request.protocols)) {
      done(group.joinAnswer(memberId, isLeader && group.state === 'CompletingRebalance'))
      return
    }
    group.setProtocols(member, request.protocols)
    group.parkJoin(member, done)
    this.#maybeRebalance(group, `updating metadata of member ${memberId}`)
  }

  #maybeRebalance(group: Group, reason: string): void {
    if (!group.canRebalance) return
    if (group.state === 'CompletingRebalance') this.#dropAssignments(group, ErrorCode.REBALANCE_IN_PROGRESS)
    const fromEmpty = group.state === 'Empty'
    group.transitionTo('PreparingRebalance')
    this.#env.log.info(
      `Preparing to rebalance group ${group.groupId} with old generation ${group.generationId} (${reason}, ${group.members.size} members)`,
    )
    if (fromEmpty) {
      const delay = this.#env.initialRebalanceDelayMs
      this.#waitInitially(group, delay, Math.max(group.rebalanceTimeoutMs - delay, 0))
    } else {
      const timer = this.#env.timers.add(group.rebalanceTimeoutMs, () => this.#completeJoin(group))
      group.rebalance = { kind: 'normal', remainingMs: 0, timer }
      this.#maybeCompleteJoin(group)
    }
  }

  /** Newcomers of a brand-new group each extend the wait, until the rebalance timeout is used up (KIP-134). */
  #waitInitially(group: Group, delayMs: Millis, remainingMs: Millis): void {
    const timer = this.#env.timers.add(delayMs, () => {
      if (!group.newMemberAdded || remainingMs === 0) {
        this.#completeJoin(group)
        return
      }
      group.newMemberAdded = false
      const next = Math.min(this.#env.initialRebalanceDelayMs, remainingMs)
      this.#waitInitially(group, next, Math.max(remainingMs - delayMs, 0))
    })
    group.rebalance = { kind: 'initial', remainingMs, timer }
  }

  #maybeCompleteJoin(group: Group): void {
    if (group.state === 'PreparingRebalance' && group.rebalance?.kind === 'normal' && group.allHaveJoined)
      this.#completeJoin(group)
  }

  #completeJoin(group: Group): void {
    group.rebalance?.timer.cancel()
    for (const member of [...group.members.values()]) {
      if (member.awaitingJoin === undefined) this.#drop(group, member)
    }
    group.beginGeneration()
    const { groupId, generationId } = group
    if (group.state === 'Empty') {
      this.#env.log.info(`Group ${groupId} with generation ${generationId} is now empty`)
      this.#env.storeGroup(group, NO_ASSIGNMENTS, (error) => {
        // If the broker fails now, the previous generation comes back, and its members time out.
        if (error !== ErrorCode.NONE) this.#env.log.warn(`Failed to write empty metadata for group ${groupId}: error ${error}`)
      })
      return
    }
    this.#env.log.info(`Stabilized group ${groupId} generation ${generationId} (${group.members.size} members)`)
    for (const member of [...group.members.values()]) {
      this.#restartSession(group, member)
      group.takeJoin(member)?.(group.joinAnswer(member.memberId, member.memberId === group.leaderId))
    }
  }

  // ---------------------------------------------------------------- sync

  sync(group: Group, request: SyncGroup, done: SyncDone): void {
    const member = group.members.get(request.memberId)
    if (member === undefined) done(ErrorCode.UNKNOWN_MEMBER_ID, NO_BYTES)
    else if (request.generationId !== group.generationId) done(ErrorCode.ILLEGAL_GENERATION, NO_BYTES)
    else if (group.state === 'PreparingRebalance') done(ErrorCode.REBALANCE_IN_PROGRESS, NO_BYTES)
    else if (group.state === 'Stable') {
      this.#restartSession(group, member)
      done(ErrorCode.NONE, member.assignment)
    } else if (group.state === 'CompletingRebalance') {
      member.awaitingSync = done
      if (member.memberId === group.leaderId) this.#assign(group, request.assignments)
    } else done(ErrorCode.UNKNOWN_MEMBER_ID, NO_BYTES)
  }

  #assign(group: Group, given: ReadonlyMap<string, Buffer>): void {
    const { generationId } = group
    this.#env.log.info(`Assignment received from leader for group ${group.groupId} for generation ${generationId}`)
    this.#env.storeGroup(group, given, (error) => {
      // Somebody may have joined or left while it was written; then all of this is void.
      if (group.state !== 'CompletingRebalance' || group.generationId !== generationId) return
      if (error !== ErrorCode.NONE) {
        this.#dropAssignments(group, error)
        this.#maybeRebalance(group, `error ${error} when storing the assignment`)
        return
      }
      for (const member of group.members.values()) member.assignment = given.get(member.memberId) ?? NO_BYTES
      group.transitionTo('Stable')
      this.#answerSyncs(group, ErrorCode.NONE)
    })
  }

  #dropAssignments(group: Group, error: number): void {
    for (const member of group.members.values()) member.assignment = NO_BYTES
    this.#answerSyncs(group, error)
  }

  #answerSyncs(group: Group, error: number): void {
    for (const member of [...group.members.values()]) {
      const done = member.awaitingSync
      if (done === undefined) continue
      member.awaitingSync = undefined
      this.#restartSession(group, member)
      done(error, member.assignment)
    }
  }

  // ---------------------------------------------------------------- heartbeat, commit, leave, failure

  heartbeat(group: Group, memberId: string, generationId: number): number {
    const member = group.members.get(memberId)
    if (member === undefined || group.state === 'Empty' || group.state === 'Dead') return ErrorCode.UNKNOWN_MEMBER_ID
    if (group.state === 'CompletingRebalance') return ErrorCode.REBALANCE_IN_PROGRESS
    if (generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION
    this.#restartSession(group, member)
    return group.state === 'Stable' ? ErrorCode.NONE : ErrorCode.REBALANCE_IN_PROGRESS
  }

  /** May this member, or with a generation below 0 a simple consumer, commit offsets? */
  admitCommit(group: Group, memberId: string, generationId: number): number {
    if (group.state === 'Dead') return ErrorCode.UNKNOWN_MEMBER_ID
    if (generationId < 0 && group.state === 'Empty') return ErrorCode.NONE
    if (group.state === 'CompletingRebalance') return ErrorCode.REBALANCE_IN_PROGRESS
    const member = group.members.get(memberId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION
    this.#restartSession(group, member)
    return ErrorCode.NONE
  }

  leave(group: Group, memberId: string): number {
    const member = group.members.get(memberId)
    if (member === undefined || group.state === 'Dead') return ErrorCode.UNKNOWN_MEMBER_ID
    this.#env.log.info(`Member ${memberId} has left group ${group.groupId}`)
    this.#removeAndRebalance(group, member, `removing member ${memberId} on LeaveGroup`)
    return ErrorCode.NONE
  }

  /** A member that waits for an answer of ours is alive; its timer starts again with the answer. */
  #restartSession(group: Group, member: Member): void {
    member.sessionTimer?.cancel()
    member.sessionTimer = this.#env.timers.add(Math.max(member.sessionTimeoutMs, 0), () => {
      member.sessionTimer = undefined
      if (member.awaitingJoin !== undefined || member.awaitingSync !== undefined) return
      this.#env.log.info(`Member ${member.memberId} in group ${group.groupId} has failed, removing it from the group`)
      this.#removeAndRebalance(group, member, `removing member ${member.memberId} on heartbeat expiration`)
    })
  }

  #removeAndRebalance(group: Group, member: Member, reason: string): void {
    this.#drop(group, member)
    if (group.state === 'Stable' || group.state === 'CompletingRebalance') this.#maybeRebalance(group, reason)
    else this.#maybeCompleteJoin(group)
  }

  #drop(group: Group, member: Member): void {
    member.sessionTimer?.cancel()
    member.sessionTimer = undefined
    group.remove(member)
    const { awaitingJoin, awaitingSync } = member
    member.awaitingJoin = member.awaitingSync = undefined
    awaitingJoin?.(joinError(member.memberId, ErrorCode.UNKNOWN_MEMBER_ID))
    awaitingSync?.(ErrorCode.UNKNOWN_MEMBER_ID, NO_BYTES)
  }

  // ---------------------------------------------------------------- moving

  /** The group was read from the log: its members have a whole session timeout to find us. */
  loaded(group: Group): void {
    for (const member of group.members.values()) this.#restartSession(group, member)
  }

  /** Another broker owns the group now, or it is deleted. */
  unload(group: Group): void {
    group.transitionTo('Dead')
    group.rebalance?.timer.cancel()
    group.rebalance = undefined
    for (const member of group.members.values()) {
      member.sessionTimer?.cancel()
      member.sessionTimer = undefined
      group.takeJoin(member)?.(joinError(member.memberId, ErrorCode.NOT_COORDINATOR))
      const sync = member.awaitingSync
      member.awaitingSync = undefined
      sync?.(ErrorCode.NOT_COORDINATOR, NO_BYTES)
    }
  }
}
