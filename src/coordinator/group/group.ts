import { assert } from '../../base/assert.ts'
import type { Millis } from '../../base/ids.ts'
import type { WheelTimer } from '../../base/timer-wheel.ts'
import type { GroupRecord } from './formats.ts'
import { GroupOffsets } from './group-offsets.ts'
import type { GroupDescription, GroupState, JoinAnswer, JoinDone, JoinGroup, MemberProtocol, SyncDone } from './types.ts'
import { NO_BYTES } from './types.ts'

export interface MemberIdentity {
  readonly memberId: string
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: Millis
  readonly sessionTimeoutMs: Millis
  readonly protocolType: string
}

/** A member; `group.ts` keeps what depends on several of them. */
export class Member implements MemberIdentity {
  readonly memberId: string
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: Millis
  readonly sessionTimeoutMs: Millis
  readonly protocolType: string
  /** In order of preference; changed by `Group.setProtocols` only. */
  protocols: readonly MemberProtocol[]
  assignment: Buffer = NO_BYTES
  /** Answers its parked JoinGroup; set by `Group.parkJoin` only. */
  awaitingJoin: JoinDone | undefined
  /** Answers its parked SyncGroup. */
  awaitingSync: SyncDone | undefined
  sessionTimer: WheelTimer | undefined

  constructor(identity: MemberIdentity, protocols: readonly MemberProtocol[]) {
    this.memberId = identity.memberId
    this.clientId = identity.clientId
    this.clientHost = identity.clientHost
    this.rebalanceTimeoutMs = identity.rebalanceTimeoutMs
    this.sessionTimeoutMs = identity.sessionTimeoutMs
    this.protocolType = identity.protocolType
    this.protocols = protocols
  }

  /** Same protocols, same order, same bytes. */
  matches(protocols: readonly MemberProtocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every(({ name, metadata }, i) => {
        const mine = this.protocols[i]!
        return mine.name === name && mine.metadata.equals(metadata)
      })
    )
  }

  metadataOf(protocol: string): Buffer {
    const found = this.protocols.find(({ name }) => name === protocol)
    assert(found !== undefined, `member ${this.memberId} does not support protocol ${protocol}`)
    return found.metadata
  }
}

/** The join phase in progress. */
export interface Rebalance {
  /** `initial`: the first members of an empty group wait the whole delay, whoever has joined. */
  readonly kind: 'initial' | 'normal'
  /** What the initial delay may still be extended by. */
  readonly remainingMs: Millis
  readonly timer: WheelTimer
}

const PREVIOUS: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ['PreparingRebalance'],
  PreparingRebalance: ['Stable', 'CompletingRebalance', 'Empty'],
  CompletingRebalance: ['PreparingRebalance'],
  Stable: ['CompletingRebalance'],
  Dead: ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead'],
}

/** One group: members, generation, state, offsets. Only data and the rules that hold between them; time and I/O are elsewhere. */
export class Group {
  readonly groupId: string
  state: GroupState = 'Empty'
  generationId = 0
  /** Undefined until somebody joins: groups that only store offsets have none. */
  protocolType: string | undefined
  protocol: string | undefined
  leaderId: string | undefined
  /** In order of joining. */
  readonly members = new Map<string, Member>()
  readonly offsets = new GroupOffsets()
  rebalance: Rebalance | undefined
  /** Somebody joined during the initial delay. */
  newMemberAdded = false
  /** Members that support a protocol. */
  readonly #supporters = new Map<string, number>()
  #awaitingJoin = 0

  constructor(groupId: string) {
    this.groupId = groupId
  }

  /** As the log says it: with members it is Stable, each of them knowing only the chosen protocol. */
  static fromRecord(groupId: string, record: GroupRecord): Group {
    const group = new Group(groupId)
    group.generationId = record.generation
    group.protocolType = record.protocolType === '' ? undefined : record.protocolType
    group.protocol = record.protocol ?? undefined
    group.leaderId = record.leader ?? undefined
    for (const member of record.members) {
      const { memberId, clientId, clientHost, subscription } = member
      const { rebalanceTimeout: rebalanceTimeoutMs, sessionTimeout: sessionTimeoutMs } = member
      const identity = { memberId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocolType: record.protocolType }
      const loaded = new Member(identity, [{ name: record.protocol ?? '', metadata: subscription }])
      loaded.assignment = member.assignment
      group.add(loaded)
    }
    if (record.members.length > 0) group.state = 'Stable'
    return group
  }

  transitionTo(state: GroupState): void {
    assert(PREVIOUS[state].includes(this.state), `group ${this.groupId} cannot go from ${this.state} to ${state}`)
    this.state = state
  }

  get canRebalance(): boolean {
    return PREVIOUS.PreparingRebalance.includes(this.state)
  }

  // ---- members

  add(member: Member): void {
    if (this.members.size === 0) this.protocolType = member.protocolType
    assert(member.protocolType === this.protocolType, `member of type ${member.protocolType} in a group of ${this.protocolType}`)
    this.leaderId ??= member.memberId
    this.members.set(member.memberId, member)
    this.#count(member.protocols, 1)
  }

  /** Its parked requests are the caller's to answer. The longest-standing other member follows a leader. */
  remove(member: Member): void {
    if (!this.members.delete(member.memberId)) return
    this.#count(member.protocols, -1)
    if (member.awaitingJoin !== undefined) this.#awaitingJoin--
    if (this.leaderId === member.memberId) this.leaderId = this.members.keys().next().value
  }

  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1)
    member.protocols = protocols
    this.#count(protocols, 1)
  }

  #count(protocols: readonly MemberProtocol[], by: number): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.#supporters.get(name) ?? 0) + by
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }

  parkJoin(member: Member, done: JoinDone): void {
    if (member.awaitingJoin === undefined) this.#awaitingJoin++
    member.awaitingJoin = done
  }

  takeJoin(member: Member): JoinDone | undefined {
    const done = member.awaitingJoin
    if (done !== undefined) this.#awaitingJoin--
    member.awaitingJoin = undefined
    return done
  }

  get allHaveJoined(): boolean {
    return this.#awaitingJoin === this.members.size
  }

  /** Milliseconds the slowest member may take to join again. */
  get rebalanceTimeoutMs(): Millis {
    let longest = 0
    for (const { rebalanceTimeoutMs } of this.members.values()) longest = Math.max(longest, rebalanceTimeoutMs)
    return longest
  }

  // ---- protocols

  /** One of them is known to all members. */
  supportsAny(protocols: readonly MemberProtocol[]): boolean {
    return this.members.size === 0 || protocols.some(({ name }) => this.#isCommon(name))
  }

  #isCommon(protocol: string): boolean {
    return this.#supporters.get(protocol) === this.members.size
  }

  /** Each member votes for the first of its protocols that all know; the earliest voted one wins a tie. */
  #selectProtocol(): string {
    const votes = new Map<string, number>()
    for (const { memberId, protocols } of this.members.values()) {
      const vote = protocols.find(({ name }) => this.#isCommon(name))?.name
      assert(vote !== undefined, `member ${memberId} of group ${this.groupId} has no protocol in common with the others`)
      votes.set(vote, (votes.get(vote) ?? 0) + 1)
    }
    return [...votes].reduce((best, candidate) => (candidate[1] > best[1] ? candidate : best))[0]
  }

  // ---- generations

  /** The join phase is over: all members that are left have joined. */
  beginGeneration(): void {
    assert(this.allHaveJoined, `group ${this.groupId} begins a generation before all have joined`)
    this.generationId = (this.generationId + 1) | 0
    this.newMemberAdded = false
    this.rebalance = undefined
    if (this.members.size > 0) {
      this.protocol = this.#selectProtocol()
      this.transitionTo('CompletingRebalance')
    } else {
      this.protocol = undefined
      this.transitionTo('Empty')
    }
  }

  /** What a member is told of the current generation; `withMembers` for the leader. */
  joinAnswer(memberId: string, withMembers: boolean): JoinAnswer {
    const protocol = this.protocol ?? ''
    const members = withMembers
      ? [...this.members.values()].map((member) => ({ memberId: member.memberId, metadata: member.metadataOf(protocol) }))
      : []
    return { error: 0, generationId: this.generationId, protocol, leaderId: this.leaderId ?? '', memberId, members }
  }

  /** The record of this generation; `assignments` undefined: the members' present ones. */
  toRecord(assignments?: ReadonlyMap<string, Buffer>): GroupRecord {
    const { protocol } = this
    return {
      protocolType: this.protocolType ?? '',
      generation: this.generationId,
      protocol: protocol ?? null,
      leader: this.leaderId ?? null,
      members: [...this.members.values()].map((member) => ({
        memberId: member.memberId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.sessionTimeoutMs,
        subscription: protocol === undefined ? NO_BYTES : member.metadataOf(protocol),
        assignment: assignments === undefined ? member.assignment : (assignments.get(member.memberId) ?? NO_BYTES),
      })),
    }
  }

  /** Only a Stable group shows what its members have. */
  describe(): GroupDescription {
    const { state, protocol } = this
    const isStable = state === 'Stable'
    return {
      error: 0,
      state,
      protocolType: this.protocolType ?? '',
      protocol: isStable ? (protocol ?? '') : '',
      members: [...this.members.values()].map((member) => ({
        memberId: member.memberId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        metadata: isStable && protocol !== undefined ? member.metadataOf(protocol) : NO_BYTES,
        assignment: isStable ? member.assignment : NO_BYTES,
      })),
    }
  }
}

/** A new member of the group that asks to join. */
export function newMember(request: JoinGroup, memberId: string): Member {
  return new Member({ ...request, memberId }, request.protocols)
}
