import { ErrorCode } from '../protocol/errors.ts'
import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import { fetchFrom } from './consumer.ts'
import type { GroupHistory } from './group-history.ts'
import type { History } from './history.ts'

export interface GroupOptions {
  readonly group: string
  readonly topic: string
  readonly partitions: number
  /** Who coordinates groups by ZooKeeper, and has heard of it; undefined: nobody knows. What it says counts, what another one says may be old. */
  readonly trueCoordinator: () => number | undefined
}

const SESSION_MS = 3000
const HEARTBEAT_MS = 300
const PROTOCOL = 'range'

interface Membership {
  readonly generation: number
  readonly memberId: string
  readonly leader: string
  readonly partitions: readonly number[]
}

/** A consumer of a group: joins, reads what it is given from the committed offset on, commits after each read, leaves with one chance in four. */
export async function runGroupMember(
  client: SimClient,
  history: History,
  groups: GroupHistory,
  options: GroupOptions,
): Promise<void> {
  await new GroupMember(client, history, groups, options).run()
}

class GroupMember {
  readonly #client: SimClient
  readonly #history: History
  readonly #groups: GroupHistory
  readonly #options: GroupOptions
  #memberId = ''
  #coordinator: number | undefined
  #lastHeartbeat = 0

  constructor(client: SimClient, history: History, groups: GroupHistory, options: GroupOptions) {
    this.#client = client
    this.#history = history
    this.#groups = groups
    this.#options = options
  }

  async run(): Promise<void> {
    const rng = this.#client.world.rng.fork(this.#client.name)
    while (!this.#client.isOver) {
      this.#coordinator ??= await this.#client.coordinator(this.#options.group, 0)
      const membership = this.#coordinator === undefined ? undefined : await this.#join(this.#coordinator)
      if (membership === undefined) {
        await this.#client.sleep(100)
        continue
      }
      await this.#consume(membership, rng.next() < 0.25 ? 2000 + rng.next() * 4000 : Number.POSITIVE_INFINITY)
    }
  }

  /** What an error of the coordinator means for the membership. */
  #onError(error: number): void {
    if (error === ErrorCode.UNKNOWN_MEMBER_ID) this.#memberId = ''
    if (error === ErrorCode.NOT_COORDINATOR || error === ErrorCode.COORDINATOR_NOT_AVAILABLE) this.#coordinator = undefined
  }

  #isTrue(coordinator: number): boolean {
    return this.#options.trueCoordinator() === coordinator
  }

  /** A coordinator that is none any more answers what it knows until it hears of its successor, as in 1.1: another one is to be asked. */
  #leaveDeposed(told: string): undefined {
    this.#client.world.reached(`${told} from a deposed coordinator`)
    this.#coordinator = undefined
    return undefined
  }

  async #join(coordinator: number): Promise<Membership | undefined> {
    const { group, partitions } = this.#options
    const wasTrue = this.#isTrue(coordinator)
    const joined = await this.#client.call(
      coordinator,
      'JoinGroup',
      {
        groupId: group,
        sessionTimeout: SESSION_MS,
        rebalanceTimeout: 2000,
        memberId: this.#memberId,
        protocolType: 'consumer',
        groupProtocols: [{ protocolName: PROTOCOL, protocolMetadata: Buffer.alloc(0) }],
      },
      ({ errorCode, generationId, leaderId, memberId, members }) => ({
        errorCode,
        generationId,
        leaderId,
        memberId,
        members: members.map((member) => member.memberId),
      }),
    )
    if (joined === NO_ANSWER) {
      this.#coordinator = undefined
      return undefined
    }
    if (joined.errorCode !== 0) {
      this.#onError(joined.errorCode)
      return undefined
    }
    this.#memberId = joined.memberId
    const isLeader = joined.leaderId === joined.memberId
    const assignment = isLeader ? assign(joined.members, partitions) : []
    const synced = await this.#client.call(
      coordinator,
      'SyncGroup',
      { groupId: group, generationId: joined.generationId, memberId: joined.memberId, groupAssignment: assignment },
      ({ errorCode, memberAssignment }) => ({ errorCode, mine: memberAssignment.toString() }),
    )
    if (synced === NO_ANSWER) {
      this.#coordinator = undefined
      return undefined
    }
    if (synced.errorCode !== 0) {
      this.#onError(synced.errorCode)
      return undefined
    }
    const isDeposed = !wasTrue || !this.#isTrue(coordinator)
    if (isDeposed && this.#groups.isPast(joined.memberId, joined.generationId)) return this.#leaveDeposed('generation')
    const mine = synced.mine === '' ? [] : (JSON.parse(synced.mine) as number[])
    this.#history.counts.rebalances++
    this.#groups.owns(group, joined.generationId, joined.leaderId, joined.memberId, mine)
    return { generation: joined.generationId, memberId: joined.memberId, leader: joined.leaderId, partitions: mine }
  }

  /** Until the membership ends. */
  async #consume(membership: Membership, forMs: number): Promise<void> {
    const { topic } = this.#options
    const until = this.#client.clock.now() + forMs
    const positions = await this.#committed(membership.partitions)
    if (positions === undefined) return
    this.#lastHeartbeat = this.#client.clock.now()
    while (!this.#client.isOver) {
      if (this.#client.clock.now() > until) return this.#leave()
      if (!(await this.#heartbeat(membership))) return
      for (const partition of membership.partitions) {
        const fetched = await fetchFrom(this.#client, topic, partition, positions.get(partition)!, false)
        if (fetched === NO_ANSWER || fetched.error !== 0) {
          this.#client.forgetLeader(topic, partition)
          continue
        }
        if (fetched.next === positions.get(partition)) continue
        for (const [offset, value] of fetched.records) this.#history.reads(`${topic}-${partition}`, offset, value, false)
        positions.set(partition, fetched.next)
        if (!(await this.#commit(membership, partition, fetched.next))) return
      }
      await this.#client.sleep(50)
    }
  }

  async #heartbeat({ generation, memberId }: Membership): Promise<boolean> {
    if (this.#client.clock.now() - this.#lastHeartbeat < HEARTBEAT_MS) return true
    this.#lastHeartbeat = this.#client.clock.now()
    if (this.#coordinator === undefined) return false
    const request = { groupId: this.#options.group, generationId: generation, memberId }
    const error = await this.#client.call(this.#coordinator, 'Heartbeat', request, ({ errorCode }) => errorCode)
    if (error === 0) return true
    if (error === NO_ANSWER) this.#coordinator = undefined
    else this.#onError(error)
    return false
  }

  /** Where to go on; undefined when that cannot be learned now. */
  async #committed(partitions: readonly number[]): Promise<Map<number, number> | undefined> {
    const { group, topic } = this.#options
    const coordinator = this.#coordinator
    if (coordinator === undefined) return undefined
    const wasTrue = this.#isTrue(coordinator)
    const floors = partitions.map((partition) => this.#groups.floor(group, `${topic}-${partition}`))
    const request = { groupId: group, topics: [{ topic, partitions: partitions.map((partition) => ({ partition })) }] }
    const answer = await this.#client.call(coordinator, 'OffsetFetch', request, ({ errorCode, responses }) => ({
      error: errorCode || (responses[0]?.partitionResponses.find((one) => one.errorCode !== 0)?.errorCode ?? 0),
      offsets: new Map(responses[0]?.partitionResponses.map(({ partition, offset }) => [partition, Math.max(0, offset)])),
    }))
    if (answer === NO_ANSWER || answer.error !== 0) {
      if (answer === NO_ANSWER) this.#coordinator = undefined
      else this.#onError(answer.error)
      return undefined
    }
    const isDeposed = !wasTrue || !this.#isTrue(coordinator)
    for (const [i, partition] of partitions.entries()) {
      const offset = answer.offsets.get(partition) ?? 0
      const key = `${topic}-${partition}`
      if (isDeposed && this.#groups.isBehind(group, key, offset, floors[i]!)) return this.#leaveDeposed('offsets')
      this.#groups.fetched(group, key, offset, floors[i]!)
    }
    return answer.offsets
  }

  async #commit({ generation, memberId, leader }: Membership, partition: number, offset: number): Promise<boolean> {
    const { group, topic } = this.#options
    if (this.#coordinator === undefined) return false
    const key = `${topic}-${partition}`
    const error = await this.#client.call(
      this.#coordinator,
      'OffsetCommit',
      {
        groupId: group,
        generationId: generation,
        memberId,
        topics: [{ topic, partitions: [{ partition, offset, metadata: null }] }],
      },
      ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
    )
    if (error === 0) {
      this.#history.counts.commits++
      this.#groups.committed(group, key, `${generation}/${leader}`, offset)
      return true
    }
    this.#groups.unclear(group, key, `${generation}/${leader}`, offset)
    if (error === NO_ANSWER) this.#coordinator = undefined
    else this.#onError(error)
    return false
  }

  async #leave(): Promise<void> {
    if (this.#coordinator !== undefined) {
      const request = { groupId: this.#options.group, memberId: this.#memberId }
      await this.#client.call(this.#coordinator, 'LeaveGroup', request, () => {})
    }
    this.#memberId = ''
    this.#client.world.reached('member left')
    await this.#client.sleep(500)
  }
}

function assign(members: readonly string[], partitions: number): { memberId: string; memberAssignment: Buffer }[] {
  return members.map((memberId, i) => {
    const mine = Array.from({ length: partitions }, (_, p) => p).filter((p) => p % members.length === i)
    return { memberId, memberAssignment: Buffer.from(JSON.stringify(mine)) }
  })
}
