/** Random interleavings of members, timers, writes and failovers; what must hold in all of them. A failing seed can be run again. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ErrorCode } from '../../protocol/errors.ts'
import { seededRandom } from '../../protocol/testing-golden.ts'
import { SECOND, TestCoordinator } from './testing-groups.ts'

const PARTITIONS = 6
const SEEDS = 24
const STEPS = 300

/** A member as clients behave; it does one thing at a time. */
interface Actor {
  id: string
  generation: number
  assignment: string | undefined
  /** Waits for an answer. */
  isBusy: boolean
  /** Asked to sync next, with the members to assign to when it leads. */
  toSync: readonly string[] | undefined
  needsJoin: boolean
}

class World {
  readonly random: (below: number) => number
  test: TestCoordinator
  readonly actors = new Set<Actor>()
  /** Who owns a partition, by generation. */
  readonly owners = new Map<string, string>()
  acknowledged = -1
  highestGeneration = 0
  readonly counts = { stable: 0, failovers: 0, expired: 0, failedWrites: 0 }

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.test = new TestCoordinator({ initialRebalanceDelayMs: this.random(2) * 1000 })
  }

  add(): void {
    this.actors.add({ id: '', generation: -1, assignment: undefined, isBusy: false, toSync: undefined, needsJoin: true })
  }

  act(actor: Actor): void {
    if (actor.isBusy) return
    if (actor.needsJoin) this.join(actor)
    else if (actor.toSync !== undefined) this.sync(actor, actor.toSync)
    else if (this.random(3) === 0) this.commit(actor)
    else this.heard(actor, this.test.coordinator.heartbeat('g', actor.id, actor.generation))
  }

  join(actor: Actor): void {
    const { test } = this
    actor.isBusy = true
    actor.needsJoin = false
    actor.assignment = undefined
    const protocols = ['range', 'roundrobin']
      .slice(0, 1 + this.random(2))
      .map((name) => ({ name, metadata: Buffer.from([this.random(2)]) }))
    const request = { memberId: actor.id, protocols, rebalanceTimeoutMs: 15 * SECOND, sessionTimeoutMs: 6 * SECOND }
    test.coordinator.join({ groupId: 'g', clientId: 'c', clientHost: '/', protocolType: 'consumer', ...request }, (answer) => {
      actor.isBusy = false
      if (answer.error !== ErrorCode.NONE) {
        this.heard(actor, answer.error)
        return
      }
      assert.ok(
        answer.generationId >= this.highestGeneration,
        `generation ${answer.generationId} after ${this.highestGeneration}`,
      )
      this.highestGeneration = answer.generationId
      assert.equal(answer.members.length > 0, answer.leaderId === answer.memberId, 'only the leader sees the members')
      actor.id = answer.memberId
      actor.generation = answer.generationId
      actor.toSync = answer.members.map(({ memberId }) => memberId)
    })
  }

  sync(actor: Actor, members: readonly string[]): void {
    const { generation } = actor
    actor.isBusy = true
    actor.toSync = undefined
    const assignments = new Map<string, Buffer>()
    for (let p = 0; p < PARTITIONS && members.length > 0; p++) {
      const member = members[p % members.length]!
      assignments.set(member, Buffer.concat([assignments.get(member) ?? Buffer.alloc(0), Buffer.from([p])]))
    }
    this.test.coordinator.sync({ groupId: 'g', generationId: generation, memberId: actor.id, assignments }, (error, bytes) => {
      actor.isBusy = false
      this.heard(actor, error)
      if (error !== ErrorCode.NONE) return
      this.counts.stable++
      actor.assignment = bytes.toString('hex')
      for (const partition of bytes) {
        const claim = `${generation} ${partition}`
        const owner = this.owners.get(claim) ?? actor.id
        assert.equal(owner, actor.id, `partition ${partition} has two owners in generation ${generation}`)
        this.owners.set(claim, actor.id)
      }
    })
  }

  commit(actor: Actor): void {
    const offset = this.acknowledged + 1 + this.random(5)
    const box = this.test.commit(offset, { memberId: actor.id, generationId: actor.generation })
    if (box.error === undefined) {
      this.test.topic.release()
      if (box.error === undefined) return
    }
    if (box.error === ErrorCode.NONE) this.acknowledged = offset
    else this.heard(actor, box.error)
  }

  /** As clients take it: who is unknown comes as a new member, who is behind joins again. */
  heard(actor: Actor, error: number): void {
    if (error === ErrorCode.NONE) return
    actor.toSync = undefined
    actor.needsJoin = true
    if (error === ErrorCode.UNKNOWN_MEMBER_ID) {
      actor.id = ''
      this.counts.expired++
    }
    const known: number[] = [
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.ILLEGAL_GENERATION,
      ErrorCode.REBALANCE_IN_PROGRESS,
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    ]
    const moving: number[] = [
      ErrorCode.NOT_COORDINATOR,
      ErrorCode.COORDINATOR_NOT_AVAILABLE,
      ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ]
    assert.ok(known.includes(error) || moving.includes(error), `a member is told error ${error}`)
  }

  async failover(): Promise<void> {
    this.counts.failovers++
    const old = this.test
    const { topic } = old
    topic.error = 0
    for (let p = 0; p < topic.partitionCount; p++) old.coordinator.onResignation(p)
    topic.release(ErrorCode.NOT_LEADER_FOR_PARTITION)
    topic.hold = false
    old.coordinator.shutdown()
    this.test = await new TestCoordinator({}, topic, old.clock, this.random(1e6)).start()
    // A generation is known to the log from its SyncGroup on; one without is begun again.
    this.highestGeneration = 0
    // What was in flight may be in the log or not; it was not acknowledged.
    this.acknowledged = Math.max(this.acknowledged, this.test.fetch())
  }

  async step(): Promise<void> {
    const { random, test } = this
    const { topic } = test
    const list = [...this.actors]
    const actor = list[random(Math.max(1, list.length))]
    const dice = random(100)
    if (dice < 70 && actor !== undefined) this.act(actor)
    else if (dice < 80) test.clock.advanceSync(random(4) === 0 ? random(8000) : random(400))
    else if (dice < 84 && list.length < 6) this.add()
    else if (dice < 86 && actor !== undefined) {
      this.actors.delete(actor)
      if (random(2) === 0 && actor.id !== '') test.coordinator.leave('g', actor.id)
    } else if (dice < 91) topic.hold = random(2) === 0
    else if (dice < 96) {
      const error = random(3) === 0 ? ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND : 0
      if (error !== 0 && topic.waiting > 0) this.counts.failedWrites++
      topic.release(error)
    } else if (dice < 97) await this.failover()
    assert.ok(this.test.fetch() >= this.acknowledged, 'a committed offset went back')
  }

  /** Nothing fails any more: the group must come to rest with exactly the members that are left. */
  settle(): void {
    const { test } = this
    test.topic.hold = false
    test.topic.release()
    for (let i = 0; i < 120; i++) {
      for (const actor of this.actors) this.act(actor)
      test.clock.advanceSync(500)
    }
    const { state, members } = test.coordinator.describe('g')
    if (this.actors.size === 0) {
      assert.ok(state === 'Empty' || state === 'Dead', `nobody is left, and the group is ${state}`)
      return
    }
    assert.equal(state, 'Stable')
    assert.deepEqual(members.map(({ memberId }) => memberId).sort(), [...this.actors].map(({ id }) => id).sort())
    const owned = [...this.actors].flatMap(({ assignment }) => [...Buffer.from(assignment ?? '', 'hex')])
    assert.deepEqual(owned.sort(), [0, 1, 2, 3, 4, 5], 'every partition has one owner')
    for (const { isBusy } of this.actors) assert.ok(!isBusy, 'a request was never answered')
  }
}

it('one owner per partition and generation, committed offsets never go back, and no group is stuck', async () => {
  const totals = { stable: 0, failovers: 0, expired: 0, failedWrites: 0 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(seed)
    await world.test.start()
    try {
      for (let i = 0; i < STEPS; i++) await world.step()
      world.settle()
    } catch (error) {
      ;(error as Error).message = `seed ${seed}: ${(error as Error).message}`
      throw error
    }
    for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += world.counts[key]
  }
  // The world must not be too tame.
  assert.ok(
    totals.stable > 300 && totals.failovers > 20 && totals.expired > 20 && totals.failedWrites > 3,
    JSON.stringify(totals),
  )
})
