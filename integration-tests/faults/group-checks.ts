/** What a group's tests watch from outside: a writer, the committed offsets, the generations in the group's own records. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Kafka, Partitioners } from 'kafkajs'
import { coordinatorPartition } from '../../src/base/murmur2.ts'
import { decodeGroupValue, decodeKey } from '../../src/coordinator/group/formats.ts'
import { consumerAssignment } from '../../src/protocol/embedded/group-protocols.ts'
import { nextBatch, type RecordData, recordsOf } from '../../src/protocol/records/index.ts'
import { eventually } from '../harness/brokers.ts'
import type { TestCluster } from '../harness/cluster.ts'
import { replicaBytes } from '../harness/replicas.ts'
import { type GroupMember, SESSION_TIMEOUT_MS } from './group-members.ts'

export async function coordinatorOf(cluster: TestCluster, groupId: string, statePartitions: number): Promise<number> {
  return (await cluster.partitionState('__consumer_offsets', coordinatorPartition(groupId, statePartitions))).leader
}

/**
 * One record per request: when leaders move, kafkajs can take a request for several of them as done though a part of it was not. It also
 * reports a record as sent, without a request and without an offset, when the metadata it has do not name the partition (2.2.4,
 * `cluster.findLeaderForPartitions`); then only what comes with an offset is acknowledged.
 */
export class Writer {
  private readonly kafka: Kafka
  private readonly topic: string
  private readonly partitions: number
  private readonly pauseMs: number
  private readonly acknowledged: string[] = []
  private isOver = false
  private running: Promise<void> | undefined

  constructor(kafka: Kafka, topic: string, partitions: number, pauseMs = 5) {
    this.kafka = kafka
    this.topic = topic
    this.partitions = partitions
    this.pauseMs = pauseMs
  }

  async start(): Promise<void> {
    const producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    const write = async (): Promise<void> => {
      for (let i = 0; !this.isOver; i++) {
        const message = { partition: i % this.partitions, value: `value ${i}` }
        const isDone = await producer.send({ topic: this.topic, acks: -1, messages: [message] }).then(
          ([sent]) => sent?.baseOffset !== undefined,
          () => false,
        )
        if (isDone) this.acknowledged.push(message.value)
        await sleep(this.pauseMs)
      }
      await producer.disconnect()
    }
    this.running = write()
  }

  /** The values that were acknowledged. */
  async stop(): Promise<readonly string[]> {
    this.isOver = true
    await this.running
    return this.acknowledged
  }
}

/** Asks for the committed offsets again and again; they must never go back. */
export class OffsetWatch {
  looks = 0
  private readonly kafka: Kafka
  private readonly groupId: string
  private readonly topic: string
  private readonly last = new Map<number, number>()
  private isOver = false
  private running: Promise<void> | undefined

  constructor(kafka: Kafka, groupId: string, topic: string) {
    this.kafka = kafka
    this.groupId = groupId
    this.topic = topic
  }

  async start(): Promise<void> {
    const admin = this.kafka.admin()
    await admin.connect()
    const ask = async (): Promise<(readonly [partition: number, offset: number])[]> => {
      const [answer] = await admin.fetchOffsets({ groupId: this.groupId, topics: [this.topic] })
      return answer!.partitions.map(({ partition, offset }) => [partition, Number(offset)] as const)
    }
    const watch = async (): Promise<void> => {
      while (!this.isOver) {
        // While nobody coordinates there is no answer.
        const answer = await ask().catch(() => undefined)
        if (answer !== undefined) this.check(answer)
        await sleep(150)
      }
      this.check(await ask())
      await admin.disconnect()
    }
    this.running = watch()
    this.running.catch(() => {})
  }

  private check(offsets: readonly (readonly [partition: number, offset: number])[]): void {
    this.looks++
    for (const [partition, offset] of offsets) {
      const before = this.last.get(partition) ?? -1
      assert.ok(offset >= before, `the committed offset of partition ${partition} went from ${before} to ${offset}`)
      this.last.set(partition, offset)
    }
  }

  /** The last committed offset of each partition. */
  get offsets(): ReadonlyMap<number, number> {
    return this.last
  }

  /** Sum of the last committed offsets. */
  get committed(): number {
    return [...this.last.values()].reduce((sum, offset) => sum + Math.max(offset, 0), 0)
  }

  /** After a last look. Rejects when an offset went back. */
  async stop(): Promise<void> {
    this.isOver = true
    await this.running
  }
}

/** Partitions of the topic by client id, as the coordinator handed them out. */
export interface Generation {
  readonly id: number
  readonly owners: ReadonlyMap<string, readonly number[]>
}

function* recordsIn(log: Buffer): Generator<RecordData> {
  for (let at = 0, size = 0; (size = nextBatch(log, at, log.length)) > 0; at += size) yield* recordsOf(log, at)
}

/** Every generation with members that the group's partition keeps, from the segments of a broker that leads it. */
export async function generationsOf(
  cluster: TestCluster,
  { groupId, topic, statePartitions }: { groupId: string; topic: string; statePartitions: number },
): Promise<Generation[]> {
  const leader = cluster.broker(await coordinatorOf(cluster, groupId, statePartitions))
  const generations: Generation[] = []
  for (const { key, value } of recordsIn(
    replicaBytes(leader, '__consumer_offsets', coordinatorPartition(groupId, statePartitions)),
  )) {
    if (key === null || value === null) continue
    const about = decodeKey(key)
    if (about.kind !== 'group' || about.group !== groupId) continue
    const { generation, members } = decodeGroupValue(value)
    const owners = new Map(
      members.map(({ clientId, assignment }) => {
        // Behind an int16 version; empty for a member that the leader left out.
        const topicPartitions = assignment.length === 0 ? [] : consumerAssignment.decode(assignment, 2).topicPartitions
        return [clientId, topicPartitions.filter((one) => one.topic === topic).flatMap(({ partitions }) => partitions)]
      }),
    )
    if (members.length > 0) generations.push({ id: generation, owners })
  }
  return generations
}

/** Each generation gives every partition to exactly one member, and what a member says that it owned is what it was given, in order. */
export function checkOwnership(generations: readonly Generation[], members: readonly GroupMember[], partitions: number): void {
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  for (const [i, { id, owners }] of generations.entries()) {
    const owned = [...owners.values()].flat().sort((a, b) => a - b)
    assert.deepEqual(owned, all, `generation ${id}: ${JSON.stringify([...owners])}`)
    const before = generations[i - 1]?.id ?? 0
    assert.ok(id >= before, `generation ${id} after ${before}`)
  }
  for (const { clientId, assignments } of members) {
    let from = 0
    for (const assignment of assignments) {
      const wanted = [...assignment].sort((a, b) => a - b).join()
      const at = generations.findIndex(({ owners }, i) => {
        const given = owners.get(clientId)
        return i >= from && given !== undefined && [...given].sort((a, b) => a - b).join() === wanted
      })
      assert.notEqual(at, -1, `${clientId} owned [${wanted}], which no generation from ${generations[from]?.id} on gave to it`)
      from = at
    }
  }
}

/** Everybody is gone: the group becomes Empty, keeps its offsets, and can be deleted. */
export async function emptyAndDelete(kafka: Kafka, groupId: string): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const describe = async () => (await admin.describeGroups([groupId])).groups[0]
  let last = ''
  const isEmpty = async (): Promise<boolean> => {
    const group = await describe()
    last = `${group?.state} of ${group?.members.map(({ clientId }) => clientId)}`
    return group?.state === 'Empty'
  }
  await eventually('the group is empty', isEmpty, 5 * SESSION_TIMEOUT_MS).catch((error) => assert.fail(`${error}; it is ${last}`))
  await admin.deleteGroups([groupId])
  const listed = (await admin.listGroups()).groups.map((group) => group.groupId)
  assert.ok(!listed.includes(groupId), 'deleted, and still listed')
  await admin.disconnect()
}
