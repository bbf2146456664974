/**
 * The classic clients on a cluster: a ZooKeeper group whose members come, go and lose their sessions while brokers die; a second group that keeps its
 * offsets in Kafka; the Simple Consumer; the old producer.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ConsumerConnector,
  createAdmin,
  createConsumerConnector,
  createOldProducer,
  createProducer,
  createSimpleConsumer,
  EARLIEST_TIME,
  FailedToSendMessageException,
  type KafkaStream,
  LATEST_TIME,
  MessageSizeTooLargeException,
  MessageStreamsExistException,
  type OldConsumerOptions,
  QueueFullException,
  whitelist,
} from '../../src/client/index.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { endSession } from '../../src/testing/end-session.ts'
import { startCluster, type TestCluster } from '../../src/testing/index.ts'
import type { ZkSession } from '../../zk/client/index.ts'
import { type KafkaZk, openKafkaZk } from '../../zk/store/index.ts'
import { eventually } from '../harness/brokers.ts'

const PARTITIONS = 6
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Who reads what, as the members tell it by the hooks of the rebalance listener. */
class Ownership {
  readonly holders = new Map<number, string>()
  readonly faults: string[] = []

  taken(partition: number, name: string): void {
    const holder = this.holders.get(partition)
    if (holder !== undefined && holder !== name) this.faults.push(`${name} began to read ${partition}, which ${holder} reads`)
    this.holders.set(partition, name)
  }

  left(name: string): void {
    for (const [partition, holder] of this.holders) if (holder === name) this.holders.delete(partition)
  }

  read(partition: number, name: string): void {
    const holder = this.holders.get(partition)
    if (holder !== undefined && holder !== name) this.faults.push(`${name} read from ${partition}, which is ${holder}'s`)
  }
}

describe('classic clients', () => {
  let cluster: TestCluster
  let zk: KafkaZk

  before(async () => {
    cluster = await startCluster({ brokers: 3 })
    zk = openKafkaZk(
      { connect: cluster.zookeeperConnect, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 },
      nodeClock,
      silent,
    )
    await zk.session.start()
  })
  after(async () => {
    await zk?.session.close()
    await cluster?.stop()
  })

  const optionsOf = (group: string, more: OldConsumerOptions = {}): OldConsumerOptions => ({
    'zookeeper.connect': cluster.zookeeperConnect,
    'group.id': group,
    'auto.offset.reset': 'smallest',
    'auto.commit.interval.ms': 200,
    'rebalance.backoff.ms': 100,
    'rebalance.max.retries': 100,
    ...more,
  })

  class Member {
    readonly name: string
    readonly connector: ConsumerConnector
    readonly values = new Set<string>()
    readonly ownership: Ownership
    session: ZkSession | undefined

    constructor(name: string, group: string, ownership: Ownership, more: OldConsumerOptions = {}) {
      this.name = name
      this.ownership = ownership
      this.connector = createConsumerConnector(optionsOf(group, more), {
        openZk: (options) => {
          const opened = openKafkaZk(options, nodeClock, silent)
          this.session = opened.session
          return opened
        },
      })
      this.connector.setConsumerRebalanceListener({
        // Slow to let go, so that others come too early.
        beforeReleasingPartitions: async () => {
          await sleep(50)
          ownership.left(name)
        },
        beforeStartingFetchers: (consumerId, assignment) => {
          for (const [partition, { consumer }] of assignment.get('events') ?? [])
            if (consumer === consumerId) ownership.taken(partition, name)
        },
      })
    }

    drain(streams: Iterable<KafkaStream>): void {
      for (const stream of streams) {
        void (async () => {
          for await (const { partition, value } of stream) {
            this.ownership.read(partition, this.name)
            this.values.add(String(value))
          }
        })()
      }
    }

    async joins(threads: number): Promise<this> {
      this.drain((await this.connector.createMessageStreams({ events: threads })).get('events') ?? [])
      return this
    }

    async joinsByPattern(threads: number): Promise<this> {
      this.drain(await this.connector.createMessageStreamsByFilter(whitelist('ev.*'), threads))
      return this
    }

    async leaves(): Promise<void> {
      this.ownership.left(this.name)
      await this.connector.shutdown()
    }

    /** As after a pause longer than the session. */
    async expires(): Promise<void> {
      this.ownership.left(this.name)
      const { sessionId, password } = this.session ?? assert.fail('no session')
      await endSession(cluster.zookeeperConnect, { sessionId, password }, nodeClock)
    }
  }

  async function everythingOwned(members: readonly Member[]): Promise<void> {
    await eventually('every partition has its owner', () => {
      const owned = members.flatMap(({ connector }) => connector.ownedPartitions().map(({ partition }) => partition))
      return owned.length === PARTITIONS && new Set(owned).size === PARTITIONS
    })
  }

  it('members come, go and expire, a broker dies: owners exclude each other, nothing is lost, two groups get everything', async () => {
    await cluster.createTopic('events', { partitions: PARTITIONS, replicationFactor: 3 })
    const ownership = new Ownership()
    const acknowledged = new Set<string>()
    const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all', retries: 100, 'linger.ms': 5 })
    let isProducing = true
    const production = (async () => {
      for (let i = 0; isProducing; i++) {
        const value = `${i}`
        const sent = producer.send({ topic: 'events', partition: i % PARTITIONS, value }).then(() => void acknowledged.add(value))
        if (i % 50 === 49) await sent
      }
    })()

    const one = await new Member('one', 'group', ownership).joins(1)
    const two = await new Member('two', 'group', ownership).joins(2)
    const other = await new Member('other', 'kafka-group', new Ownership(), { 'offsets.storage': 'kafka' }).joins(2)
    const three = await new Member('three', 'group', ownership).joinsByPattern(1)
    await everythingOwned([one, two, three])
    const victim = await cluster.leaderOf('events', 0)
    await cluster.kill(victim)
    await one.leaves()
    await everythingOwned([two, three])
    const four = await new Member('four', 'group', ownership, { 'fetch.message.max.bytes': 20_000 }).joins(3)
    await everythingOwned([two, three, four])
    await two.expires()
    await eventually('its session is another one', async () => (await zk.getConsumersInGroup('group')).length === 3)
    await everythingOwned([two, three, four])
    await cluster.restart(victim)
    await three.leaves()
    await everythingOwned([two, four])
    isProducing = false
    await production
    await producer.close()

    assert.ok(acknowledged.size > 200, `${acknowledged.size} messages`)
    const lacking = (members: readonly Member[]) =>
      [...acknowledged].filter((value) => !members.some(({ values }) => values.has(value))).slice(0, 5)
    await eventually('both groups have everything', () => {
      assert.deepEqual(lacking([one, two, three, four]), [])
      assert.deepEqual(lacking([other]), [])
      return true
    })
    assert.deepEqual(ownership.faults, [])
    await Promise.all([two, four, other].map((member) => member.leaves()))

    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'events', partition }))
    assert.deepEqual(await zk.getConsumersInGroup('group'), [])
    assert.deepEqual([...(await zk.getPartitionOwners('group', partitions))], [])
    // dual.commit.enabled: what Kafka has, ZooKeeper has too.
    const ends = await Promise.all(partitions.map(({ partition }) => endOf('events', partition)))
    for (const group of ['group', 'kafka-group'])
      assert.deepEqual([...(await zk.getConsumerOffsets(group, partitions)).values()], ends, group)
    const inKafka = await eventually('the coordinator answers', async () => {
      const found = await Promise.all(cluster.brokerIds.map((id) => offsetsInKafka(id, 'kafka-group', partitions)))
      return found.find((answers) => answers.every(({ errorCode, offset }) => errorCode === 0 && offset >= 0))
    })
    assert.deepEqual(
      inKafka.map(({ offset }) => offset),
      ends,
    )
  })

  async function consumerOf(id: number) {
    const { endpoints } = (await zk.getBroker(id)) ?? assert.fail(`broker ${id}`)
    const { host, port } = endpoints[0]!
    return createSimpleConsumer({ host, port })
  }

  async function offsetsInKafka(id: number, group: string, partitions: readonly { topic: string; partition: number }[]) {
    const consumer = await consumerOf(id)
    try {
      return await consumer.fetchOffsets(group, partitions, 1)
    } finally {
      await consumer.close()
    }
  }

  async function brokerConsumer() {
    return consumerOf(cluster.brokerIds[0]!)
  }

  async function endOf(topic: string, partition: number): Promise<number> {
    const consumer = await consumerOf(await cluster.leaderOf(topic, partition))
    try {
      return await consumer.earliestOrLatestOffset(topic, partition, LATEST_TIME)
    } finally {
      await consumer.close()
    }
  }

  it('the Simple Consumer: leaders, fetches, offsets of logs and of groups; the old producer, sync', async () => {
    await cluster.createTopic('simple', { partitions: 1 })
    const producer = createOldProducer({ 'metadata.broker.list': cluster.bootstrapServers, 'request.required.acks': '-1' })
    for (let i = 0; i < 10; i++) await producer.send({ topic: 'simple', key: `k${i}`, message: `m${i}` })
    const big = producer.send({ topic: 'simple', message: Buffer.alloc(2_000_000) })
    await assert.rejects(big, (error: Error) => {
      return error instanceof FailedToSendMessageException && error.cause instanceof MessageSizeTooLargeException
    })
    await producer.close()

    const any = await brokerConsumer()
    const leader = (await any.findLeader('simple', 0)) ?? assert.fail('no leader')
    assert.equal(leader.id, await cluster.leaderOf('simple', 0))
    await assert.rejects(any.findLeader('simple', 1), /partition/)
    await any.close()

    const consumer = createSimpleConsumer(leader)
    assert.equal(await consumer.earliestOrLatestOffset('simple', 0, EARLIEST_TIME), 0)
    const [before] = await consumer.getOffsetsBefore([{ topic: 'simple', partition: 0, time: LATEST_TIME, maxOffsets: 5 }])
    assert.deepEqual(before, { topic: 'simple', partition: 0, errorCode: 0, offsets: [10, 0] })
    for (const fetchVersion of [0, 1, 2, 3, 4, 6]) {
      const versioned = createSimpleConsumer({ ...leader, fetchVersion })
      const [fetched] = await versioned.fetch([{ topic: 'simple', partition: 0, offset: 4, fetchSize: 100_000 }])
      const got = [...fetched!].map(({ offset, key, message }) => `${offset} ${key} ${message}`)
      assert.deepEqual(got, ['4 k4 m4', '5 k5 m5', '6 k6 m6', '7 k7 m7', '8 k8 m8', '9 k9 m9'], `version ${fetchVersion}`)
      assert.deepEqual([fetched!.errorCode, fetched!.nextOffset, fetched!.highWatermark], [0, 10, 10])
      await versioned.close()
    }
    const [beyond] = await consumer.fetch([{ topic: 'simple', partition: 0, offset: 11, fetchSize: 1000 }])
    assert.equal(beyond!.errorCode, 1)

    const here = { topic: 'simple', partition: 0 }
    assert.deepEqual(await consumer.fetchOffsets('sc', [here]), [{ ...here, offset: -1, metadata: '', errorCode: 3 }])
    assert.deepEqual(await consumer.commitOffsets('sc', [{ ...here, offset: 7 }]), [{ ...here, errorCode: 0 }])
    assert.deepEqual(await consumer.fetchOffsets('sc', [here]), [{ ...here, offset: 7, metadata: '', errorCode: 0 }])
    assert.deepEqual([...(await zk.getConsumerOffsets('sc', [here]))], [['simple-0', 7]])
    await consumer.close()
  })

  it('streams: consumer.timeout.ms, offsets of what was handed out, a topic that comes later, one set of streams only', async () => {
    await cluster.createTopic('late-1', { partitions: 1 })
    const connector = createConsumerConnector(optionsOf('late', { 'consumer.timeout.ms': 300, 'auto.commit.enable': false }))
    const [stream] = await connector.createMessageStreamsByFilter(whitelist('late-.*'))
    await assert.rejects(connector.createMessageStreams({ x: 1 }), MessageStreamsExistException)
    await assert.rejects(stream!.next(), /ConsumerTimeoutException/)
    await cluster.createTopic('late-2', { partitions: 1 })
    await eventually('the new topic is ours', () => connector.ownedPartitions().length === 2)
    const admin = createAdmin({ 'bootstrap.servers': cluster.bootstrapServers })
    await (await admin.createPartitions([{ topic: 'late-1', totalCount: 3 }])).all()
    await admin.close()
    await eventually('the new partitions are ours', () => connector.ownedPartitions().length === 4)
    const producer = createOldProducer({ 'metadata.broker.list': cluster.bootstrapServers, 'request.required.acks': '1' })
    await producer.send({ topic: 'late-2', message: 'a' }, { topic: 'late-2', message: 'b' })
    await producer.close()
    const first = await eventually('a message', () => stream!.next())
    assert.equal(String(first.message), 'a')
    await connector.commitOffsets()
    const offset = async () => (await zk.getConsumerOffsets('late', [{ topic: 'late-2', partition: 0 }])).get('late-2-0')
    assert.equal(await offset(), 1)
    assert.equal(String((await stream!.next())?.message), 'b')
    await connector.shutdown()
    assert.equal(await stream!.next(), undefined)
    // auto.commit.enable=false: leaving commits nothing.
    assert.equal(await offset(), 1)
  })

  it('the old producer, async: batches, a queue that is full, everything sent by close', async () => {
    await cluster.createTopic('queued', { partitions: 3 })
    const options = {
      'metadata.broker.list': cluster.bootstrapServers,
      'producer.type': 'async',
      'request.required.acks': '-1',
      'queue.buffering.max.ms': 3_600_000,
      'queue.buffering.max.messages': 20,
      'batch.num.messages': 20,
      'compression.codec': 'gzip',
    } as const
    const full = createOldProducer({ ...options, 'queue.enqueue.timeout.ms': 0 })
    await assert.rejects(
      full.send(...Array.from({ length: 100 }, (_, i) => ({ topic: 'queued', message: `${i}` }))),
      QueueFullException,
    )
    await full.close()
    const queued = await Promise.all([0, 1, 2].map((partition) => endOf('queued', partition)))
    // Without a key: all on one partition. Those before the full queue were taken.
    assert.equal(queued.filter((end) => end > 0).length, 1)
    const sum = queued.reduce((a, b) => a + b)
    assert.ok(sum >= 20 && sum < 100, `${sum}`)

    const patient = createOldProducer(options)
    await patient.send(...Array.from({ length: 55 }, (_, i) => ({ topic: 'queued', message: `${i}`, partKey: i })))
    await patient.close()
    const ends = await Promise.all([0, 1, 2].map((partition) => endOf('queued', partition)))
    const sent = ends.map((end, partition) => end - queued[partition]!)
    // An integer's hash code is itself.
    assert.deepEqual(sent, [19, 18, 18])
  })

  it('no broker is there: the member waits for one', async () => {
    for (const id of cluster.brokerIds) await cluster.kill(id)
    await eventually('nobody is registered', async () => (await zk.getBrokerIds()).length === 0)
    const connector = createConsumerConnector(optionsOf('patient', { 'consumer.timeout.ms': 15_000 }))
    const [stream] = (await connector.createMessageStreams({ simple: 1 })).get('simple') ?? []
    assert.deepEqual(connector.ownedPartitions(), [])
    await Promise.all(cluster.brokerIds.map((id) => cluster.restart(id)))
    assert.equal(String((await stream!.next())?.message), 'm0')
    await connector.shutdown()
  })
})
