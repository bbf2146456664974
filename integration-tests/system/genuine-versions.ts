/**
 * Our producer, consumer and admin client against brokers of any release: the same steps everywhere; where a release lacks something, that
 * the call says so. By hand, with a cluster that makes topics on demand (`auto.create.topics.enable`, `delete.topic.enable`):
 *
 *     node build/integration-tests/system/genuine-versions.js RELEASE BOOTSTRAP [ZOOKEEPER] [--only REGEX]
 *
 * RELEASE is `0.8.2`, `0.9`, `0.10.2`, `0.11`, `1.1`, `2.8`: what to expect. With ZOOKEEPER the clients find the brokers there, and
 * BOOTSTRAP is not used. One line per step: PASS, FAIL or LACK (the release has no such thing, and the error said so). Exit code 1: a step failed.
 */
import assert from 'node:assert/strict'
import { type Admin, type HeaderInput, UnsupportedVersionException } from '../../src/client/index.ts'
import {
  adminWith,
  consumerWith,
  done,
  has,
  Member,
  other,
  partitionsOf,
  producerWith,
  read,
  runSteps,
  step,
  stepSince,
  topic,
  transacted,
  until,
  valuesOf,
  whileRunning,
  zookeeper,
} from './versions-harness.ts'

const PARTITIONS = 4
const CODECS = ['none', 'gzip', 'snappy', 'lz4'] as const
const PER_CODEC = 50
/** Of `produce-*`, `produce-acks` and `null-key-value`. */
const TOTAL = CODECS.length * PER_CODEC + 6

async function makeTopic(admin: Admin, name: string, partitions: number, configs: Record<string, string> = {}): Promise<void> {
  await (await admin.createTopics([{ topic: name, partitions, replicationFactor: 1, configs }])).all()
  await until(`leaders of ${name}`, async () => {
    const [found] = (await admin.describeTopics([name])).entries
    return found?.[2]?.partitions.length === partitions && found[2].partitions.every(({ leader }) => leader >= 0)
  })
}

stepSince('0.10.2', 'admin-create', async () => {
  const admin = adminWith()
  await makeTopic(admin, topic, PARTITIONS, { 'retention.ms': '86400000' })
  const again = await admin.createTopics([{ topic, partitions: PARTITIONS, replicationFactor: 1 }])
  await assert.rejects(again.all(), { name: 'TopicExistsException' })
  await makeTopic(admin, other, 2)
  await makeTopic(admin, transacted, 1)
})

step('auto-create', async () => {
  const consumer = consumerWith()
  await until('the topic', async () => (await consumer.partitionsFor(topic)).length === PARTITIONS)
  await until('the other topic', async () => (await consumer.partitionsFor(other)).length > 0)
  await done(consumer)
})

step('admin-metadata', async () => {
  const admin = adminWith()
  const [described] = (await admin.describeTopics([topic])).entries
  assert.equal(described?.[2]?.partitions.length, PARTITIONS)
  for (const { leader, isr } of described[2].partitions) assert.ok(isr.includes(leader))
  assert.ok((await admin.listTopics()).some((listed) => listed.topic === topic))
  const { nodes, controller, clusterId } = await admin.describeCluster()
  assert.ok(nodes.length >= 1)
  // Brokers say who the controller is since 0.10, and the cluster's id since 0.10.1; ZooKeeper says the controller always.
  if (has('0.10.2') || zookeeper !== undefined) assert.ok(nodes.some(({ id }) => id === controller?.id))
  if (has('0.10.2') && zookeeper === undefined) assert.equal(clusterId?.length, 22)
})

stepSince('0.11', 'admin-configs', async () => {
  const admin = adminWith()
  const resource = { type: 'topic', name: topic } as const
  const settingOf = async (name: string): Promise<string | null | undefined> => {
    const [described] = (await admin.describeConfigs([resource])).entries
    if (described?.[1]) throw described[1]
    return described?.[2]?.find((entry) => entry.name === name)?.value
  }
  assert.equal(await settingOf('retention.ms'), '86400000')
  await (await admin.alterConfigs(new Map([[resource, { 'max.message.bytes': '500000' }]]))).all()
  await until('the altered config', async () => (await settingOf('max.message.bytes')) === '500000')
})

for (const codec of CODECS) {
  step(`produce-${codec}`, async () => {
    const producer = producerWith({ 'compression.type': codec })
    const sent = Array.from({ length: PER_CODEC }, (_, i) =>
      producer.send({ topic, key: `${codec}-${i % 7}`, value: `${codec}-${i}-${'x'.repeat(i * 10)}` }),
    )
    for (const { offset } of await Promise.all(sent)) assert.ok(offset >= 0)
    await done(producer)
  })
}

step('produce-acks', async () => {
  for (const acks of ['0', '1', 'all'] as const) {
    const producer = producerWith({ acks })
    const { offset } = await producer.send({ topic, partition: 0, value: `acks ${acks}` })
    assert.equal(offset >= 0, acks !== '0')
    await done(producer)
  }
})

step('null-key-value', async () => {
  const producer = producerWith()
  await producer.send({ topic, partition: 0, key: null, value: 'no key' })
  await producer.send({ topic, partition: 0, key: 'tombstone', value: null })
  await producer.send({ topic, partition: 0, key: '', value: '' })
  await done(producer)
})

step('too-large', async () => {
  const producer = producerWith()
  const value = Buffer.alloc(1_500_000, 1)
  await assert.rejects(producer.send({ topic, partition: 0, value }), { name: 'RecordTooLargeException' })
  await done(producer)
})

step('consume', async () => {
  const got = await read(topic, TOTAL)
  assert.equal(got.length, TOTAL)
  const ends = new Map<number, number>()
  for (const { partition, offset } of got) {
    assert.equal(offset, ends.get(partition) ?? 0, 'offsets rise by one in a partition')
    ends.set(partition, offset + 1)
  }
  for (const codec of CODECS) {
    const wanted = Array.from({ length: PER_CODEC }, (_, i) => `${codec}-${i}-${'x'.repeat(i * 10)}`)
    const mine = valuesOf(got).filter((value) => value?.startsWith(`${codec}-`))
    assert.deepEqual(mine.sort(), wanted.sort())
  }
  assert.ok(got.some(({ key, value }) => key === null && value === 'no key'))
  assert.ok(got.some(({ key, value }) => key === 'tombstone' && value === null))
  assert.ok(got.some(({ key, value }) => key === '' && value === ''))
  for (const { timestamp } of got) assert.equal(timestamp >= 0, has('0.10.2'), `timestamp ${timestamp}`)
})

step('keys-keep-their-partition', async () => {
  const byKey = new Map<string, number>()
  for (const { key, partition, value } of await read(topic, TOTAL)) {
    if (key === null || value === null || !/-\d+-/.test(value)) continue
    assert.equal(byKey.get(key) ?? partition, partition, key)
    byKey.set(key, partition)
  }
  assert.equal(byKey.size, 7 * CODECS.length)
})

stepSince('0.11', 'headers', async () => {
  const name = `${topic}-headers`
  const producer = producerWith()
  const headers: HeaderInput[] = [
    { key: 'h', value: 'one' },
    { key: 'h', value: null },
    { key: '', value: '' },
  ]
  try {
    await producer.send({ topic: name, partition: 0, value: 'v', headers })
  } catch (error) {
    // As Java's producer says it.
    if (!has('0.11') && (error as Error).name === 'IllegalArgumentException') throw new UnsupportedVersionException(String(error))
    throw error
  }
  const [record] = await read(name, 1)
  assert.equal(record?.headers, 'h=one,h=null,=')
  await done(producer)
})

step('many-records-in-order', async () => {
  const name = `${topic}-many`
  const producer = producerWith({ 'batch.size': 4096, 'compression.type': 'snappy' })
  const count = 20_000
  const failures: unknown[] = []
  for (let i = 0; i < count; i++) {
    producer.produce({ topic: name, partition: 1, value: `many ${i}` }, (error) => error !== null && failures.push(error))
  }
  await producer.flush()
  assert.deepEqual(failures, [])
  const got = await read(name, count)
  assert.deepEqual(
    valuesOf(got),
    Array.from({ length: count }, (_, i) => `many ${i}`),
  )
  await done(producer)
})

step('beginning-and-end', async () => {
  const consumer = consumerWith()
  const partitions = await partitionsOf(topic)
  for (const offset of (await consumer.beginningOffsets(partitions)).values()) assert.equal(offset, 0)
  const ends = [...(await consumer.endOffsets(partitions)).values()]
  assert.equal(
    ends.reduce((sum, end) => sum + end, 0),
    TOTAL,
  )
  await done(consumer)
})

stepSince('0.10.2', 'offsets-for-times', async () => {
  const name = `${topic}-times`
  const base = Date.now() - 100_000
  const producer = producerWith()
  for (let i = 0; i < 20; i++) await producer.send({ topic: name, partition: 0, value: `v${i}`, timestamp: base + i * 1000 })
  const consumer = consumerWith()
  const at = async (ms: number) =>
    [...(await consumer.offsetsForTimes([{ topic: name, partition: 0, timestamp: base + ms }])).values()][0]
  assert.deepEqual(await at(6500), { offset: 7, timestamp: base + 7000 })
  assert.equal((await at(6000))?.offset, 6)
  assert.equal(await at(600_000), null)
  await done(producer)
  await done(consumer)
})

step('seek-pause-wakeup', async () => {
  const consumer = consumerWith()
  const at = { topic, partition: 0 }
  consumer.assign([at])
  consumer.seek(at, 5)
  let first = -1
  await until('a record', async () => {
    for (const { offset } of await consumer.poll(200)) first = first < 0 ? offset : first
    return first >= 0
  })
  assert.equal(first, 5)
  consumer.seek(at, 2)
  consumer.pause([at])
  assert.equal((await consumer.poll(300)).count, 0)
  consumer.wakeup()
  await assert.rejects(consumer.poll(1000), { name: 'WakeupException' })
  consumer.resume([at])
  let offset = -1
  await until('records again', async () => {
    for (const record of await consumer.poll(200)) offset = offset < 0 ? record.offset : offset
    return offset >= 0
  })
  assert.equal(offset, 2)
  await done(consumer)
})

step('offset-out-of-range', async () => {
  const at = { topic, partition: 0 }
  const strict = consumerWith({ 'auto.offset.reset': 'none' })
  strict.assign([at])
  strict.seek(at, 1_000_000)
  await assert.rejects(
    until('the error', async () => (await strict.poll(200)).count > 0),
    { name: 'OffsetOutOfRangeException' },
  )
  await done(strict)
})

step('commit-fetch', async () => {
  const groupId = `${topic}-commits`
  const [first, second] = [
    { topic, partition: 0 },
    { topic, partition: 1 },
  ]
  const consumer = consumerWith({ 'group.id': groupId })
  consumer.assign([first, second])
  await consumer.commitSync([{ ...first, offset: 3, metadata: 'note' }])
  await new Promise<void>((resolve, reject) => {
    consumer.commitAsync([{ ...first, offset: 5, metadata: 'note' }], (error) => (error === null ? resolve() : reject(error)))
    until('the callback', async () => (await consumer.poll(50)) === undefined).catch(() => {})
  })
  await done(consumer)
  const next = consumerWith({ 'group.id': groupId })
  next.assign([first, second])
  assert.deepEqual(await next.committed(first), { offset: 5, metadata: 'note' })
  assert.equal(await next.committed(second), null)
  assert.equal(await next.position(first), 5)
  await done(next)
})

for (const assignor of ['range', 'roundrobin', 'sticky']) {
  stepSince('0.9', `group-${assignor}`, async () => {
    const options = { 'group.id': `${topic}-${assignor}`, 'partition.assignment.strategy': assignor }
    const one = new Member([topic], options)
    await whileRunning([one], 'one has all', () => one.owned === PARTITIONS)
    const two = new Member([topic], options)
    await whileRunning([one, two], 'each has two', () => one.owned === 2 && two.owned === 2)
    await two.stop()
    await whileRunning([one], 'one has all again', () => one.owned === PARTITIONS)
    await whileRunning([one], 'nothing is missed', () => new Set([...one.values, ...two.values]).size === TOTAL)
    await one.stop()
  })
}

stepSince('0.9', 'two-groups-get-everything', async () => {
  const members = ['a', 'b'].map((name) => new Member(new RegExp(`^${topic}$`), { 'group.id': `${topic}-${name}` }))
  await whileRunning(members, 'all records', () => members.every(({ values }) => values.size === TOTAL))
  for (const member of members) await member.stop()
})

stepSince('0.9', 'admin-groups', async () => {
  const admin = adminWith()
  const groupId = `${topic}-described`
  const member = new Member([topic], { 'group.id': groupId, 'client.id': 'described' })
  await whileRunning([member], 'an assignment', () => member.owned === PARTITIONS)
  const [described] = (await admin.describeGroups([groupId])).entries
  assert.equal(described?.[2]?.state, 'Stable')
  assert.equal(described[2].members[0]?.assignment.length, PARTITIONS)
  assert.ok((await admin.listGroups()).some((group) => group.groupId === groupId))
  await member.stop()
  if (!has('1.1')) return
  await until('an empty group', async () => (await admin.describeGroups([groupId])).entries[0]?.[2]?.state === 'Empty')
  await (await admin.deleteGroups([groupId])).all()
})

stepSince('0.11', 'idempotent', async () => {
  const producer = producerWith({ 'enable.idempotence': true, 'batch.size': 100 })
  const values = Array.from({ length: 500 }, (_, i) => `i${i}`)
  await Promise.all(values.map((value) => producer.send({ topic: other, partition: 1, value })))
  assert.deepEqual(valuesOf(await read(other, 500)), values)
  await done(producer)
})

stepSince('0.11', 'transactions', async () => {
  const transactional = { 'enable.idempotence': true, 'transactional.id': transacted }
  const at = { topic: transacted, partition: 0 }
  const producer = producerWith(transactional)
  await producer.initTransactions()
  producer.beginTransaction()
  for (const value of ['kept 1', 'kept 2']) void producer.send({ ...at, value })
  await producer.sendOffsetsToTransaction([{ ...at, offset: 2 }], `${transacted}-group`)
  await producer.commitTransaction()
  producer.beginTransaction()
  void producer.send({ ...at, value: 'dropped' })
  await producer.flush()
  await producer.abortTransaction()
  producer.beginTransaction()
  void producer.send({ ...at, value: 'kept 3' })
  await producer.commitTransaction()
  const committed = await read(transacted, 3, { 'isolation.level': 'read_committed' })
  assert.deepEqual(valuesOf(committed), ['kept 1', 'kept 2', 'kept 3'])
  assert.deepEqual(valuesOf(await read(transacted, 4)), ['kept 1', 'kept 2', 'dropped', 'kept 3'])
  const group = consumerWith({ 'group.id': `${transacted}-group` })
  assert.equal((await group.committed(at))?.offset, 2)
  await done(group)
  producer.beginTransaction()
  await producer.send({ ...at, value: 'open' })
  await checkStableEnd(at)
  const successor = producerWith(transactional)
  await successor.initTransactions()
  const fenced = /ProducerFenced|InvalidProducerEpoch/
  void producer.send({ ...at, value: 'fenced' }).catch(() => {})
  await assert.rejects(producer.commitTransaction(), (error: Error) => fenced.test(`${error.name} ${error.cause}`))
  await done(successor)
})

/** The last stable offset is one below the end while a transaction has one record. */
async function checkStableEnd(at: { topic: string; partition: number }): Promise<void> {
  const [stable, all] = [consumerWith({ 'isolation.level': 'read_committed' }), consumerWith()]
  const [[lso], [end]] = [[...(await stable.endOffsets([at])).values()], [...(await all.endOffsets([at])).values()]]
  assert.equal(end! - lso!, 1)
  await done(stable)
  await done(all)
}

stepSince('1.1', 'admin-partitions-and-log-dirs', async () => {
  const admin = adminWith()
  await (await admin.createPartitions([{ topic: other, totalCount: 5 }])).all()
  await until('five partitions', async () => (await admin.describeTopics([other])).entries[0]?.[2]?.partitions.length === 5)
  const { nodes } = await admin.describeCluster()
  const dirs = await (await admin.describeLogDirs([nodes[0]!.id])).all()
  assert.ok([...dirs.values()][0]!.length > 0)
})

stepSince('0.11', 'delete-records', async () => {
  const admin = adminWith()
  const deleted = await (await admin.deleteRecords([{ topic: other, partition: 1, offset: 7 }])).all()
  assert.equal([...deleted.values()][0]?.lowWatermark, 7)
})

stepSince('0.11', 'acls-without-authorizer', async () => {
  const all = { resourceName: null, principal: null, host: null, permissionType: 'ANY', operation: 'ANY' } as const
  const asked = adminWith().describeAcls({ resourceType: 'TOPIC', ...all })
  if (!has('0.11')) return void (await asked)
  await assert.rejects(asked, { name: 'SecurityDisabledException' })
})

stepSince('0.10.2', 'admin-delete', async () => {
  const admin = adminWith()
  await (await admin.deleteTopics([other])).all()
  await until('the topic to be gone', async () => !(await admin.listTopics()).some((listed) => listed.topic === other))
})

await runSteps()
