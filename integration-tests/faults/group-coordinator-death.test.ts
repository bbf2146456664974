/**
 * Guarantees G12, G13 with real clients: a kafkajs group goes on while the broker that coordinates it is killed and while it is stopped.
 * Every acknowledged record is consumed, committed offsets never go back, and the group ends as it should.
 *
 * The members are processes of their own and are killed at the end; what empties the group then is the end of their sessions. A consumer of
 * kafkajs in this process cannot be ended for sure: one that crashed starts again by itself, and a `disconnect()` that comes while it joins
 * forgets the consumer without stopping it (2.2.4, `consumer/index.js` and `runner.js`: `stop` does nothing until the join is over). It
 * then stays in the group, also in one of a genuine 1.1.1, for as long as the process lives.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { checkOwnership, coordinatorOf, emptyAndDelete, generationsOf, OffsetWatch, Writer } from './group-checks.ts'
import { GroupMember, kafkajsProgram } from './group-members.ts'

const TOPIC = 'consumed'
const GROUP = 'survivors'
const PARTITIONS = 4
const STATE_PARTITIONS = 5

describe('a consumer group loses its coordinator', () => {
  let cluster: TestCluster
  let kafka: Kafka
  const members: GroupMember[] = []
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
    kafka = new Kafka({ clientId: 'observer', brokers: cluster.addresses, logLevel: logLevel.NOTHING, retry })
  })
  after(async () => {
    await Promise.all(members.map((member) => member.crash()))
    await cluster.close()
  })

  it('kill -9 and a controlled shutdown of the coordinator: nothing missed, no committed offset goes back', {
    timeout: 180_000,
  }, async () => {
    const seen = new Set<string>()
    const group = { bootstrap: cluster.bootstrap, topic: TOPIC, groupId: GROUP, assignor: 'range' as const }
    for (const clientId of ['survivor-1', 'survivor-2'])
      members.push(new GroupMember(clientId, kafkajsProgram(group, clientId), (value) => seen.add(value)))
    const writer = new Writer(kafka, TOPIC, PARTITIONS)
    await writer.start()
    const offsets = new OffsetWatch(kafka, GROUP, TOPIC)
    await offsets.start()
    await eventually('both members consume', () => members.every(({ consumed }) => consumed > 50), 45_000)
    for (const stop of ['kill', 'stop'] as const) {
      const before = seen.size
      const coordinator = cluster.broker(await coordinatorOf(cluster, GROUP, STATE_PARTITIONS))
      await coordinator[stop]()
      await eventually(`the group consumes after the ${stop}`, () => seen.size > before + 200, 60_000)
      await coordinator.start()
      await cluster.fullIsr(TOPIC, PARTITIONS, 3)
      await cluster.fullIsr('__consumer_offsets', STATE_PARTITIONS, 3)
    }
    const acknowledged = await writer.stop()
    await eventually('everything acknowledged is consumed', () => acknowledged.every((value) => seen.has(value)), 45_000)
    await eventually('and committed', () => offsets.committed >= acknowledged.length, 30_000)
    await Promise.all(members.map((member) => member.crash()))
    await offsets.stop()
    assert.ok(offsets.looks > 20, `only ${offsets.looks} looks at the committed offsets`)
    assert.deepEqual(
      members.map(({ fault }) => fault),
      [undefined, undefined],
    )
    await emptyAndDelete(kafka, GROUP)
    const generations = await generationsOf(cluster, { groupId: GROUP, topic: TOPIC, statePartitions: STATE_PARTITIONS })
    checkOwnership(generations, members, PARTITIONS)
    assert.ok(generations.length >= 2, `${generations.length} generations`)
  })
})
