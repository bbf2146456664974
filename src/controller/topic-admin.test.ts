import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { type AssignmentBroker, assignReplicas, brokersForAssignment, interleaveRacks } from './assignment.ts'
import { TestCluster } from './testing-cluster.ts'
import { addPartitions, collidingTopics, createTopic, createTopicWithAssignment, validateTopicName } from './topic-admin.ts'
import { TopicAdminError } from './topic-errors.ts'

const rng = new SeededRng(1)
const ids = (...list: number[]): AssignmentBroker[] => list.map((id) => ({ id }))
const lists = (assignment: ReadonlyMap<number, readonly number[]>): string =>
  [...assignment]
    .sort(([a], [b]) => a - b)
    .map(([p, r]) => `${p}:[${r}]`)
    .join(' ')

function assigned(
  brokers: AssignmentBroker[],
  replicationFactor: number,
  partitions: number,
  start: number,
  firstPartition = 0,
): string {
  return lists(
    assignReplicas(brokers, { partitions, replicationFactor, firstPartition, start: { startIndex: start, shift: start } }),
  )
}

describe('assignment', () => {
  test('without racks', () => {
    assert.equal(
      assigned(ids(0, 1, 2, 3, 4), 3, 12, 0),
      '0:[0,1,2] 1:[1,2,3] 2:[2,3,4] 3:[3,4,0] 4:[4,0,1] 5:[0,2,3] 6:[1,3,4] 7:[2,4,0] 8:[3,0,1] 9:[4,1,2] 10:[0,3,4] 11:[1,4,0]',
    )
    assert.equal(assigned(ids(0, 1, 2, 3, 4), 3, 7, 2), '0:[2,0,1] 1:[3,1,2] 2:[4,2,3] 3:[0,3,4] 4:[1,4,0] 5:[2,1,3] 6:[3,2,4]')
    assert.equal(assigned(ids(1, 2, 3), 2, 4, 1, 3), '3:[2,3] 4:[3,1] 5:[1,2] 6:[2,1]')
    assert.equal(assigned(ids(5, 9), 2, 5, 0), '0:[5,9] 1:[9,5] 2:[5,9] 3:[9,5] 4:[5,9]')
    assert.equal(assigned(ids(4), 1, 2, 0), '0:[4] 1:[4]')
  })

  test('with racks', () => {
    const racks: Record<number, string> = { 0: 'r1', 1: 'r3', 2: 'r3', 3: 'r2', 4: 'r2', 5: 'r1' }
    const brokers = Object.entries(racks).map(([id, rack]) => ({ id: Number(id), rack }))
    assert.deepEqual(
      interleaveRacks(brokers).map(({ id }) => id),
      [0, 3, 1, 5, 4, 2],
    )
    assert.equal(assigned(brokers, 3, 8, 0), '0:[0,3,1] 1:[3,1,5] 2:[1,5,4] 3:[5,4,2] 4:[4,2,0] 5:[2,0,3] 6:[0,4,2] 7:[3,2,0]')
    assert.equal(assigned(brokers, 2, 7, 1), '0:[3,2] 1:[1,0] 2:[5,3] 3:[4,1] 4:[2,5] 5:[0,4] 6:[3,5]')
    const uneven = ids(0, 1, 2, 3).map(({ id }) => ({ id, rack: id === 3 ? 'b' : 'a' }))
    assert.equal(assigned(uneven, 3, 5, 0), '0:[0,3,1] 1:[3,1,2] 2:[1,3,2] 3:[2,3,1] 4:[0,3,1]')
    assert.equal(assigned(uneven, 2, 5, 0), '0:[0,3] 1:[3,1] 2:[1,3] 3:[2,3] 4:[0,3]')
  })

  test('rack modes', () => {
    const mixed = [{ brokerId: 2, rack: 'a' }, { brokerId: 1 }]
    assert.throws(() => brokersForAssignment(mixed, 'enforced'), { name: 'kafka.admin.AdminOperationException' })
    assert.deepEqual(brokersForAssignment(mixed, 'safe'), ids(1, 2))
    assert.deepEqual(brokersForAssignment(mixed, 'disabled'), ids(1, 2))
    assert.throws(
      () => assigned(brokersForAssignment(mixed, 'none'), 1, 1, 0),
      /Not all brokers have rack information for replica/,
    )
    assert.deepEqual(brokersForAssignment([{ brokerId: 2, rack: 'a' }], 'enforced'), [{ id: 2, rack: 'a' }])
  })

  test('counts that cannot be served', () => {
    assert.throws(() => assigned(ids(1), 1, 0, 0), { message: 'Number of partitions must be larger than 0.', code: 37 })
    assert.throws(() => assigned(ids(1), 0, 1, 0), { message: 'Replication factor must be larger than 0.', code: 38 })
    assert.throws(() => assigned(ids(1, 2), 3, 1, 0), {
      message: 'Replication factor: 3 larger than available brokers: 2.',
      code: 38,
    })
  })
})

describe('topic names', () => {
  const messages: [string, string][] = [
    ['', "Topic name is illegal, it can't be empty"],
    ['.', 'Topic name cannot be "." or ".."'],
    ['..', 'Topic name cannot be "." or ".."'],
    ['x'.repeat(250), `Topic name is illegal, it can't be longer than 249 characters, topic name: ${'x'.repeat(250)}`],
    ['bad name', `Topic name "bad name" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'`],
    ['ä', `Topic name "ä" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'`],
    ['a\n', `Topic name "a\n" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'`],
  ]
  for (const [name, message] of messages) {
    test(JSON.stringify(name.slice(0, 20)), () => {
      assert.throws(() => validateTopicName(name), {
        message,
        code: 17,
        name: 'org.apache.kafka.common.errors.InvalidTopicException',
      })
    })
  }

  test('good ones, and collisions', () => {
    for (const name of ['a', '-', '...', 'x'.repeat(249), 'A.b_c-9']) validateTopicName(name)
    assert.deepEqual(collidingTopics('a.b', ['a_b', 'a.b', 'ab', 'a-b']), ['a_b'])
    assert.deepEqual(collidingTopics('ab', ['ab']), [])
  })
})

describe('verbs', () => {
  const setup = async (): Promise<TestCluster> => {
    const cluster = new TestCluster()
    await cluster.start(0, 1, 2)
    cluster.takeWrites()
    return cluster
  }
  const request = { topic: 't', config: {}, rackAware: 'enforced', rng } as const

  test('creation writes the configuration, then the assignment', async () => {
    const cluster = await setup()
    const start = { startIndex: 1, shift: 0 }
    await createTopic(cluster.zk, { ...request, partitions: 3, replicationFactor: 2, config: { 'retention.ms': '5' }, start })
    const writes = cluster.takeWrites().filter((line) => line.startsWith('tool'))
    assert.deepEqual(writes, [
      'tool: setData /config/topics/t {"version":1,"config":{"retention.ms":"5"}} NONODE',
      'tool: create /config/topics/t {"version":1,"config":{"retention.ms":"5"}}',
      'tool: create /brokers/topics/t {"version":1,"partitions":{"2":[0,1],"1":[2,0],"0":[1,2]}}',
    ])
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
  })

  test('refusals write nothing', async () => {
    const cluster = await setup()
    const { zk } = cluster
    await createTopic(zk, { ...request, topic: 'a_b', partitions: 1, replicationFactor: 1 })
    cluster.takeWrites()
    const refused = (promise: Promise<unknown>, code: number, message: string) => assert.rejects(promise, { code, message })
    const counts = { ...request, partitions: 1, replicationFactor: 1 }
    await refused(createTopic(zk, { ...counts, topic: 'a_b' }), 36, "Topic 'a_b' already exists.")
    await refused(createTopic(zk, { ...counts, topic: 'a.b' }), 17, "Topic 'a.b' collides with existing topics: a_b")
    await refused(
      createTopic(zk, { ...counts, replicationFactor: 4 }),
      38,
      'Replication factor: 4 larger than available brokers: 3.',
    )
    const manual = (...replicas: number[][]) =>
      createTopicWithAssignment(zk, { ...request, assignment: new Map(replicas.entries()) })
    await refused(manual([1], [1, 2]), 39, 'All partitions should have the same number of replicas')
    await refused(manual([1, 1]), 39, 'Duplicate replica assignment found: Map(0 -> ArrayBuffer(1, 1))')
    await refused(manual(), 39, 'All partitions should have the same number of replicas')
    await assert.rejects(createTopic(zk, { ...counts, config: { 'no.such': '1' } }), /Unknown topic config name: no.such/)
    await assert.rejects(
      createTopic(zk, { ...counts, config: { 'retention.ms': 'abc' } }),
      /Invalid value abc for configuration retention.ms/,
    )
    await createTopic(zk, { ...counts, validateOnly: true })
    assert.deepEqual(
      cluster.takeWrites().filter((line) => line.startsWith('tool')),
      [],
    )
  })

  test('a lost answer is read back; a lost race is not ours', async () => {
    const cluster = await setup()
    const racing = { ...cluster.zk }
    let outcome: 'unknown' | 'nodeExists' = 'unknown'
    racing.createTopicAssignment = async (topic, assignment) => {
      await cluster.zk.createTopicAssignment(topic, assignment)
      return outcome
    }
    await createTopicWithAssignment(racing, { ...request, assignment: new Map([[0, [1]]]) })
    racing.topicExists = () => Promise.resolve(false)
    await assert.rejects(createTopicWithAssignment(racing, { ...request, assignment: new Map([[0, [2]]]) }), { code: 36 })
    outcome = 'nodeExists'
    await assert.rejects(createTopicWithAssignment(racing, { ...request, assignment: new Map([[0, [1]]]) }), { code: 36 })
  })

  test('more partitions continue the pattern', async () => {
    const cluster = await setup()
    const { zk } = cluster
    await createTopicWithAssignment(zk, {
      ...request,
      assignment: new Map([
        [0, [1, 2]],
        [1, [2, 0]],
      ]),
    })
    const more = (partitions: number, ...replicas: number[][]) =>
      addPartitions(zk, {
        ...request,
        partitions,
        ...(replicas.length > 0 && { assignment: new Map(replicas.map((list, i) => [2 + i, list])) }),
      })
    assert.equal(lists(await more(4)), '0:[1,2] 1:[2,0] 2:[0,2] 3:[1,2]')
    await cluster.settle()
    assert.deepEqual(await cluster.problems(), [])
    const refused = (promise: Promise<unknown>, code: number, message: RegExp) =>
      assert.rejects(
        promise,
        (error: TopicAdminError) => error instanceof TopicAdminError && error.code === code && message.test(error.message),
      )
    await refused(
      more(4),
      37,
      /^The number of partitions for a topic can only be increased. Topic t currently has 4 partitions, 4 would not be an increase.$/,
    )
    await refused(more(5, [1]), 39, /partition 0 has 2 while partitions \[2\] have replication factors \[1\]/)
    await refused(more(5, [1, 1]), 39, /Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 2/)
    await refused(more(5, []), 39, /Cannot have replication factor of 0 for partition id 2/)
    await refused(more(5, [1, 9]), 8, /partition id 2 are not available: 9/)
    await refused(addPartitions(zk, { ...request, topic: 'none', partitions: 1 }), 3, /'none' does not exist/)
    cluster.tree.put('/brokers/topics/odd', '{"version":1,"partitions":{"1":[0]}}')
    await refused(
      addPartitions(zk, { ...request, topic: 'odd', partitions: 2 }),
      -1,
      /partition id 0 is missing. Assignment: Map\(1 -> ArrayBuffer\(0\)\)/,
    )
  })
})
