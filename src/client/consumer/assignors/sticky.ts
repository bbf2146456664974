/**
 * The sticky assignor of Kafka 0.11 - 2.2: as balanced as subscriptions allow, and of the assignments that are, one that moves few
 * partitions. Every member brings what it had as user data. Results and bytes equal those of Java's StickyAssignor of 1.1, with two
 * exceptions: a partition that two members claim goes to one of them, and a topic that does not exist is passed over.
 */
import type { TopicPartition } from '../../../base/ids.ts'
import { stickyUserData } from '../../../protocol/embedded/group-protocols.ts'
import { byTopic } from '../../by-topic.ts'
import type { MemberSubscription, PartitionAssignor } from '../types.ts'
import { compareStrings, javaHash, javaOrder, topicPartitionHash } from './java-order.ts'

/** A partition that can be assigned; one object per partition, so identity is equality. */
interface Place {
  readonly topic: string
  readonly partition: number
  /** Members that are subscribed to the topic. */
  readonly candidates: Member[]
  owner: Member | undefined
}

interface Member {
  readonly id: string
  readonly potential: Set<Place>
  /** What it has, in the order in which it got it. */
  owned: Place[]
}

const hashOfPlace = ({ topic, partition }: { topic: string; partition: number }) => topicPartitionHash(topic, partition)
const byLoad = (a: Member, b: Member) => a.owned.length - b.owned.length || compareStrings(a.id, b.id)

export class StickyAssignor implements PartitionAssignor {
  readonly name = 'sticky'
  #owned: readonly TopicPartition[] | undefined

  userData(): Buffer | null {
    return this.#owned === undefined ? null : encodeUserData(this.#owned)
  }

  onAssignment(partitions: readonly TopicPartition[]): void {
    this.#owned = partitions
  }

  assign(partitionCounts: ReadonlyMap<string, number>, members: readonly MemberSubscription[]): Map<string, TopicPartition[]> {
    const world = new World(partitionCounts, members)
    const order = world.sortPlaces()
    const free = world.keepWhatIsValid(order)
    new Balancing(world, order).run(free)
    return new Map(
      [...world.members.values()].map(({ id, owned }) => [id, owned.map(({ topic, partition }) => ({ topic, partition }))]),
    )
  }
}

/** Topics in the order of Java's HashMap, partitions as they were assigned. */
export function encodeUserData(owned: readonly TopicPartition[]): Buffer {
  const topics = byTopic(owned, ({ partition }) => partition)
  return stickyUserData.encode({ previousAssignment: javaOrder(topics, ({ topic }) => javaHash(topic)) })
}

function decodeUserData(data: Buffer | null): TopicPartition[] {
  if (data === null || data.length === 0) return []
  const { previousAssignment } = stickyUserData.decode(data)
  return previousAssignment.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
}

/** Who may have what, and who said they had what. */
class World {
  readonly members = new Map<string, Member>()
  /** By topic and partition. */
  readonly places = new Map<string, Place[]>()
  /** In the order of a Java map. */
  readonly all: readonly Place[]
  /** What members claim, also what they can no longer have; by member. */
  readonly #claims = new Map<Member, (Place | TopicPartition)[]>()
  readonly #isFresh: boolean

  constructor(partitionCounts: ReadonlyMap<string, number>, subscriptions: readonly MemberSubscription[]) {
    for (const topic of javaOrder([...partitionCounts.keys()], javaHash)) {
      const count = partitionCounts.get(topic) ?? 0
      this.places.set(
        topic,
        Array.from({ length: count }, (_, partition) => ({ topic, partition, candidates: [], owner: undefined })),
      )
    }
    this.all = javaOrder([...this.places.values()].flat(), hashOfPlace)
    let isFresh = true
    for (const { memberId, topics, userData } of subscriptions) {
      const member: Member = { id: memberId, potential: new Set(), owned: [] }
      this.members.set(memberId, member)
      for (const topic of new Set(topics)) {
        for (const place of this.places.get(topic) ?? []) {
          member.potential.add(place)
          place.candidates.push(member)
        }
      }
      if (userData !== null && userData.length > 0) isFresh = false
      const claimed = decodeUserData(userData)
      this.#claims.set(
        member,
        claimed.map((one) => this.places.get(one.topic)?.[one.partition] ?? one),
      )
    }
    this.#isFresh = isFresh
    this.#dropDoubleClaims()
  }

  /** Of several members that claim a partition the last in the order of a Java map has it. */
  #dropDoubleClaims(): void {
    const claimants = new Map<Place, Member>()
    for (const member of javaOrder([...this.members.values()], ({ id }) => javaHash(id))) {
      for (const one of this.#claims.get(member) ?? []) if ('candidates' in one) claimants.set(one, member)
    }
    for (const [member, claims] of this.#claims) {
      const own = claims.filter((one) => !('candidates' in one) || claimants.get(one) === member)
      this.#claims.set(member, own)
    }
  }

  /** The order in which partitions are given away and looked at again. */
  sortPlaces(): Place[] {
    if (this.#isFresh || !this.#subscriptionsAreEqual()) {
      return [...this.all].sort(
        (a, b) => a.candidates.length - b.candidates.length || compareStrings(a.topic, b.topic) || a.partition - b.partition,
      )
    }
    // In turn from whoever has most, so that those give first.
    const left = [...this.members.values()].map((member) => ({
      id: member.id,
      places: (this.#claims.get(member) ?? []).filter((one): one is Place => 'candidates' in one),
    }))
    const sorted: Place[] = []
    for (;;) {
      let most = left[0]
      for (const one of left) {
        if (most === undefined || one.places.length > most.places.length) most = one
        else if (one.places.length === most.places.length && compareStrings(one.id, most.id) > 0) most = one
      }
      const place = most?.places.shift()
      if (place === undefined) break
      sorted.push(place)
    }
    const seen = new Set(sorted)
    for (const place of this.all) if (!seen.has(place)) sorted.push(place)
    return sorted
  }

  #subscriptionsAreEqual(): boolean {
    const sameSets = <T>(sets: readonly ReadonlySet<T>[]) => {
      const first = sets[0]
      return sets.every((one) => one.size === first?.size && [...one].every((item) => first.has(item)))
    }
    const members = [...this.members.values()]
    return sameSets(this.all.map(({ candidates }) => new Set(candidates))) && sameSets(members.map(({ potential }) => potential))
  }

  /** Members have again what they claim and may have. Returns what is left to give, in order. */
  keepWhatIsValid(order: readonly Place[]): Place[] {
    for (const [member, claims] of this.#claims) {
      for (const one of claims) {
        if (!('candidates' in one) || !member.potential.has(one)) continue
        member.owned.push(one)
        one.owner = member
      }
    }
    return order.filter(({ owner }) => owner === undefined)
  }
}

/** Gives away what is free, then moves partitions while that makes it more even. */
class Balancing {
  readonly #movable: Place[]
  /** Members whose share can change. */
  #players: Member[]
  readonly #moves = new Moves()

  constructor(world: World, order: readonly Place[]) {
    this.#players = [...world.members.values()]
    this.#movable = order.filter(({ candidates }) => candidates.length > 1)
  }

  run(free: readonly Place[]): void {
    const everybody = this.#players
    const isFirst = everybody.every(({ owned }) => owned.length === 0)
    for (const place of free) {
      const taker = this.#leastLoaded(place, everybody)
      taker?.owned.push(place)
      place.owner = taker
    }
    this.#players = everybody.filter(({ owned, potential }) => {
      return owned.length < potential.size || owned.some(({ candidates }) => candidates.length > 1)
    })
    const before = this.#players.map(({ owned }) => [...owned])
    const scoreBefore = this.#score()
    const hasMoved = this.#moveUntilEven()
    if (isFirst || !hasMoved || this.#score() < scoreBefore) return
    for (const [i, member] of this.#players.entries()) member.owned = before[i]!
    for (const member of this.#players) for (const place of member.owned) place.owner = member
  }

  #leastLoaded(place: Place, among: readonly Member[]): Member | undefined {
    let best: Member | undefined
    for (const member of among) {
      if (member.potential.has(place) && (best === undefined || byLoad(member, best) < 0)) best = member
    }
    return best
  }

  /** Sum of all differences between two members' shares: 0 is best. */
  #score(): number {
    const sizes = this.#players.map(({ owned }) => owned.length)
    let score = 0
    for (const [i, a] of sizes.entries()) for (const b of sizes.slice(i + 1)) score += Math.abs(a - b)
    return score
  }

  #moveUntilEven(): boolean {
    let hasMoved = false
    for (let again = true; again; ) {
      again = false
      for (const place of this.#movable) {
        if (this.#isEven()) break
        const load = place.owner?.owned.length ?? 0
        if (!place.candidates.some(({ owned }) => load > owned.length + 1)) continue
        this.#move(place)
        hasMoved = true
        again = true
      }
    }
    return hasMoved
  }

  /** Nobody could take a partition from somebody who has more. */
  #isEven(): boolean {
    const sizes = this.#players.map(({ owned }) => owned.length)
    if (Math.min(...sizes) >= Math.max(...sizes) - 1) return true
    for (const member of this.#players) {
      for (const { owner } of member.potential) {
        if (owner !== undefined && owner !== member && member.owned.length < owner.owned.length) return false
      }
    }
    return true
  }

  #move(place: Place): void {
    const from = place.owner
    const to = this.#leastLoaded(place, this.#players)
    if (from === undefined || to === undefined) return
    const moved = this.#moves.best(place, from, to)
    const loser = moved.owner
    if (loser === undefined) return
    this.#moves.record(moved, loser, to)
    loser.owned.splice(loser.owned.indexOf(moved), 1)
    to.owned.push(moved)
    moved.owner = to
  }
}

/** Moves of this round, so that a partition goes back rather than another one of its topic forth. */
class Moves {
  readonly #last = new Map<Place, { from: Member; to: Member }>()
  /** By topic and pair: partitions in the order of their moves, and the most there ever were. */
  readonly #byPair = new Map<string, { places: Place[]; most: number }>()

  record(place: Place, from: Member, to: Member): void {
    const before = this.#last.get(place)
    if (before !== undefined) {
      this.#forget(place, before)
      if (before.from === to) return
    }
    const pair = { from: before?.from ?? from, to }
    this.#last.set(place, pair)
    const key = pairKey(place.topic, pair.from, pair.to)
    const entry = this.#byPair.get(key) ?? { places: [], most: 0 }
    entry.places.push(place)
    entry.most = Math.max(entry.most, entry.places.length)
    this.#byPair.set(key, entry)
  }

  #forget(place: Place, { from, to }: { from: Member; to: Member }): void {
    this.#last.delete(place)
    const key = pairKey(place.topic, from, to)
    const entry = this.#byPair.get(key)
    if (entry === undefined) return
    entry.places = entry.places.filter((other) => other !== place)
    if (entry.places.length === 0) this.#byPair.delete(key)
  }

  /** The partition to move instead of `place`: one of its topic that went the other way, if there is one. */
  best(place: Place, from: Member, to: Member): Place {
    const origin = this.#last.get(place)?.from ?? from
    const back = this.#byPair.get(pairKey(place.topic, to, origin))
    return back === undefined ? place : (javaOrder(back.places, hashOfPlace, back.most)[0] ?? place)
  }
}

function pairKey(topic: string, from: Member, to: Member): string {
  return JSON.stringify([topic, from.id, to.id])
}
