/**
 * Guarantees G12, G13 with real clients: a kafkajs group goes on while the broker that coordinates it is killed and while it is stopped.
 * Every acknowledged record is consumed, committed offsets never go back, and the group ends as it should.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Consumer, Kafka, logLevel, Partitioners } from 'kafkajs'
import { coordinatorPartition } from '../../src/base/murmur2.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

const TOPIC = 'consumed'
const GROUP = 'survivors'
const PARTITIONS = 4
const STATE_PARTITIONS = 5

describe('a consumer group loses its coordinator', () => {
  let cluster: TestCluster
  let kafka: Kafka
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      properties: {
        'min.insync.replicas': 2,
        'offsets.topic.num.partitions': STATE_PARTITIONS,
        'group.initial.rebalance.delay.ms': 0,
        'zookeeper.session.timeout.ms': 4000,
      },
    })
    await cluster.createTopic(TOPIC, PARTITIONS, 3)
    const retry = { retries: 40, initialRetryTime: 50, maxRetryTime: 500 }
    kafka = new Kafka({ clientId: 'survivor', brokers: cluster.addresses, logLevel: logLevel.NOTHING, retry })
  })
  after(() => cluster.close())

  it('kill -9 and a controlled shutdown of the coordinator: nothing missed, no committed offset goes back', {
    timeout: 150_000,
  }, async () => {
    const seen = new Set<string>()
    const consumers = [await member(kafka, seen), await member(kafka, seen)]
    const writer = new Writer(kafka)
    await writer.start()
    const offsets = new OffsetWatch(kafka)
    await offsets.start()
    await eventually('both members consume', async () => seen.size > 100, 30_000)
    for (const stop of ['kill', 'stop'] as const) {
      const before = seen.size
      const coordinator = cluster.broker(await leaderOfGroup(cluster))
      await coordinator[stop]()
      await eventually(`the group consumes after the ${stop}`, async () => seen.size > before + 200, 60_000)
      await coordinator.start()
      await cluster.fullIsr(TOPIC, PARTITIONS, 3)
      await cluster.fullIsr('__consumer_offsets', STATE_PARTITIONS, 3)
    }
    const acknowledged = await writer.stop()
    await eventually('everything acknowledged is consumed', async () => acknowledged.every((value) => seen.has(value)), 45_000)
    for (const consumer of consumers) await consumer.disconnect()
    const committed = await offsets.stop()
    assert.ok(committed >= acknowledged.length, `${committed} committed of ${acknowledged.length} acknowledged`)
    assert.ok(offsets.looks > 20, `only ${offsets.looks} looks at the committed offsets`)
    await goneAsItShould(kafka, consumers)
  })
})

async function member(kafka: Kafka, seen: Set<string>): Promise<Consumer> {
  const consumer = kafka.consumer({ groupId: GROUP, sessionTimeout: 6000, rebalanceTimeout: 6000, heartbeatInterval: 300 })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 200,
    eachMessage: async ({ message }) => void seen.add(message.value?.toString() ?? ''),
  })
  return consumer
}

async function leaderOfGroup(cluster: TestCluster): Promise<number> {
  return (await cluster.partitionState('__consumer_offsets', coordinatorPartition(GROUP, STATE_PARTITIONS))).leader
}

/** One record per request: when leaders move, kafkajs can take a request for several of them as done though a part of it was not. */
class Writer {
  private readonly kafka: Kafka
  private readonly acknowledged: string[] = []
  private isOver = false
  private running: Promise<void> | undefined

  constructor(kafka: Kafka) {
    this.kafka = kafka
  }

  async start(): Promise<void> {
    const producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    const write = async (): Promise<void> => {
      for (let i = 0; !this.isOver; i++) {
        const message = { partition: i % PARTITIONS, value: `value ${i}` }
        const isDone = await producer.send({ topic: TOPIC, acks: -1, messages: [message] }).then(
          () => true,
          () => false,
        )
        if (isDone) this.acknowledged.push(message.value)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await producer.disconnect()
    }
    this.running = write()
  }

  async stop(): Promise<readonly string[]> {
    this.isOver = true
    await this.running
    return this.acknowledged
  }
}

/** Asks for the committed offsets again and again. */
class OffsetWatch {
  looks = 0
  private readonly kafka: Kafka
  private readonly last = new Map<number, number>()
  private isOver = false
  private running: Promise<void> | undefined

  constructor(kafka: Kafka) {
    this.kafka = kafka
  }

  async start(): Promise<void> {
    const admin = this.kafka.admin()
    await admin.connect()
    const watch = async (): Promise<void> => {
      while (!this.isOver) {
        // While nobody coordinates there is no answer.
        const answer = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] }).catch(() => undefined)
        if (answer !== undefined)
          this.check(answer[0]!.partitions.map(({ partition, offset }) => [partition, Number(offset)] as const))
        await new Promise((resolve) => setTimeout(resolve, 150))
      }
      const [final] = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] })
      this.check(final!.partitions.map(({ partition, offset }) => [partition, Number(offset)] as const))
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

  /** Sum of the last committed offsets. */
  async stop(): Promise<number> {
    this.isOver = true
    await this.running
    return [...this.last.values()].reduce((sum, offset) => sum + offset, 0)
  }
}

/** Everybody left: the group is Empty, keeps its offsets, and can be deleted. */
async function goneAsItShould(kafka: Kafka, consumers: readonly Consumer[]): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  // kafkajs restarts a consumer some time after a crash; one that comes back after its disconnect is sent away again. A member that has no
  // client any more must go with its session (6 s).
  await eventually(
    'the group is empty',
    async () => {
      await Promise.all(consumers.map((consumer) => consumer.disconnect()))
      return (await admin.describeGroups([GROUP])).groups[0]?.state === 'Empty'
    },
    20_000,
  )
  await admin.deleteGroups([GROUP])
  const listed = (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  assert.ok(!listed.includes(GROUP), 'deleted, and still listed')
  await admin.disconnect()
}
