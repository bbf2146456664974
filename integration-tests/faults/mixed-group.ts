/**
 * One group whose members are written with different client libraries (they share an assignor), while members leave, crash and
 * come, and the coordinator's broker is killed and stopped. Guarantees G12, G13: every acknowledged record is consumed, committed offsets
 * never go back, and in each generation every partition has exactly one owner, also by the members' own account. A second group on the same
 * topic gets everything too.
 */
import assert from 'node:assert/strict'
import { Kafka, logLevel } from 'kafkajs'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { checkOwnership, coordinatorOf, emptyAndDelete, generationsOf, OffsetWatch, Writer } from './group-checks.ts'
import { GroupMember, type GroupOfTest, type Program, type SharedAssignor } from './group-members.ts'

export type MemberKind = (group: GroupOfTest, clientId: string) => Program

export interface MixedReport {
  readonly acknowledged: number
  readonly generations: number
  readonly looks: number
  readonly members: readonly { readonly clientId: string; readonly consumed: number; readonly assignments: number }[]
}

const TOPIC = 'mixed'
const GROUP = 'mixture'
const AUDIENCE = 'audience'
const PARTITIONS = 6
const STATE_PARTITIONS = 5

/** `kinds`: one for each place in the group. A member that went is followed by another of its kind. */
export class MixedGroup {
  private readonly cluster: TestCluster
  private readonly kafka: Kafka
  private readonly kinds: readonly MemberKind[]
  private readonly assignor: SharedAssignor
  private readonly seen = new Set<string>()
  private readonly places: GroupMember[] = []
  private readonly everybody: GroupMember[] = []
  private audience: GroupMember | undefined

  private constructor(cluster: TestCluster, kinds: readonly MemberKind[], assignor: SharedAssignor) {
    this.cluster = cluster
    this.assignor = assignor
    this.kinds = kinds
    const retry = { retries: 40, initialRetryTime: 50, maxRetryTime: 500 }
    this.kafka = new Kafka({ clientId: 'observer', brokers: cluster.addresses, logLevel: logLevel.NOTHING, retry })
  }

  static async start(kinds: readonly MemberKind[], assignor: SharedAssignor = 'range'): Promise<MixedGroup> {
    const cluster = await TestCluster.start({
      brokers: 3,
      properties: {
        'min.insync.replicas': 2,
        'offsets.topic.num.partitions': STATE_PARTITIONS,
        'group.initial.rebalance.delay.ms': 0,
      },
    })
    await cluster.createTopic(TOPIC, PARTITIONS, 3)
    return new MixedGroup(cluster, kinds, assignor)
  }

  /** `rounds` times: one leaves, one crashes, the coordinator goes; the kinds take turns. */
  async run(rounds: number): Promise<MixedReport> {
    const writer = new Writer(this.kafka, TOPIC, PARTITIONS)
    await writer.start()
    const offsets = new OffsetWatch(this.kafka, GROUP, TOPIC)
    await offsets.start()
    for (const place of this.kinds.keys()) this.join(place)
    const heard = new Set<string>()
    const audience = new GroupMember('audience', this.kinds.at(-1)!(this.about(AUDIENCE), 'audience'), (value) =>
      heard.add(value),
    )
    this.audience = audience
    await this.consumed('all', 30)
    for (let round = 0; round < rounds; round++) {
      await this.leaveAndReturn(round % this.kinds.length)
      await this.crashAndReturn((round + 1) % this.kinds.length)
      await this.loseCoordinator(round % 2 === 0 ? 'kill' : 'stop')
    }
    const acknowledged = await writer.stop()
    await eventually('everything acknowledged is consumed', () => this.missing(acknowledged, offsets), 60_000)
    await eventually('the other group has it all, too', () => acknowledged.every((value) => heard.has(value)), 60_000)
    await audience.crash()
    assert.equal(audience.fault, undefined)
    await eventually('and committed', () => offsets.committed >= acknowledged.length, 30_000)
    await Promise.all(this.places.map((member) => member.crash()))
    await offsets.stop()
    assert.deepEqual(
      this.everybody.flatMap(({ fault }) => fault ?? []),
      [],
    )
    await emptyAndDelete(this.kafka, GROUP)
    const group = { groupId: GROUP, topic: TOPIC, statePartitions: STATE_PARTITIONS }
    const generations = await generationsOf(this.cluster, group)
    checkOwnership(generations, this.everybody, PARTITIONS)
    const members = this.everybody.map(({ clientId, consumed, assignments }) => {
      return { clientId, consumed, assignments: assignments.length }
    })
    return { acknowledged: acknowledged.length, generations: generations.length, looks: offsets.looks, members }
  }

  /** True: none. Throws what is missing, for the message of who gives up waiting. */
  private missing(acknowledged: readonly string[], offsets: OffsetWatch): true {
    const missing = acknowledged.filter((value) => !this.seen.has(value))
    if (missing.length === 0) return true
    const members = this.places.map(({ clientId, consumed, owned, noise }) => ({ clientId, consumed, owned, noise }))
    const committed = Object.fromEntries(offsets.offsets)
    const partitions = missing.slice(0, 50).map((value) => `${value} of partition ${Number(value.split(' ')[1]) % PARTITIONS}`)
    throw new Error(
      `${missing.length} of ${acknowledged.length}: ${partitions.join(', ')}; ${JSON.stringify({ committed, members })}`,
    )
  }

  private about(groupId: string): GroupOfTest {
    return { bootstrap: this.cluster.bootstrap, topic: TOPIC, groupId, assignor: this.assignor }
  }

  private join(place: number): void {
    const clientId = `member-${place}-${this.everybody.length}`
    const program = this.kinds[place]!(this.about(GROUP), clientId)
    const member = new GroupMember(clientId, program, (value) => this.seen.add(value))
    this.places[place] = member
    this.everybody.push(member)
  }

  /** Those in the group go on consuming, each of them. */
  private async consumed(who: string, count: number): Promise<void> {
    const before = new Map(this.places.map((member) => [member, member.consumed]))
    const hasMoved = ([member, from]: [GroupMember, number]): boolean => {
      assert.equal(member.fault, undefined)
      return member.consumed >= from + count
    }
    await eventually(`${who} consume`, () => [...before].every(hasMoved), 60_000)
  }

  private async leaveAndReturn(place: number): Promise<void> {
    await this.places[place]!.leave()
    const [left] = this.places.splice(place, 1)
    await this.consumed(`the others without ${left!.clientId}, which left,`, 30)
    this.places.splice(place, 0, left!)
    this.join(place)
    await this.consumed('all after one came', 10)
  }

  private async crashAndReturn(place: number): Promise<void> {
    await this.places[place]!.crash()
    // Its successor comes while the coordinator still takes it for alive.
    this.join(place)
    await this.consumed('all after a crash', 10)
  }

  private async loseCoordinator(how: 'kill' | 'stop'): Promise<void> {
    const broker = this.cluster.broker(await coordinatorOf(this.cluster, GROUP, STATE_PARTITIONS))
    await broker[how]()
    await this.consumed(`all after the ${how} of the coordinator`, 20)
    await broker.start()
    await this.cluster.fullIsr(TOPIC, PARTITIONS, 3)
    await this.cluster.fullIsr('__consumer_offsets', STATE_PARTITIONS, 3)
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.everybody, ...(this.audience === undefined ? [] : [this.audience])].map((member) => member.crash()),
    )
    await this.cluster.close()
  }
}
