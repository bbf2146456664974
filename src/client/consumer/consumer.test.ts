/** The consumer against a scripted broker: membership, commits, positions, calls. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Heard } from '../../rpc/testing-broker.ts'
import {
  CommitFailedException,
  ConcurrentModificationException,
  IllegalStateException,
  NoOffsetForPartitionException,
  RetriableCommitFailedException,
  SerializationException,
  UnsupportedVersionException,
  WakeupException,
} from '../errors.ts'
import { World } from './testing-world.ts'
import type { Consumer, ConsumerRebalanceListener, ConsumerRecords } from './types.ts'

const T0 = { topic: 't', partition: 0 }
const T1 = { topic: 't', partition: 1 }
type Texts = Consumer<Buffer | null, string | null>

const values = (records: ConsumerRecords<unknown, string | null>) => [...records].map(({ value }) => value)
const ids = (partitions: readonly { partition: number }[]) => partitions.map(({ partition }) => partition).join()

/** Polls until something comes. */
async function read(world: World, consumer: Texts): Promise<(string | null)[]> {
  return values(await world.settled(consumer.poll(60_000)))
}

function telling(events: string[]): ConsumerRebalanceListener {
  return {
    onPartitionsRevoked: (partitions) => void events.push(`revoked ${ids(partitions)}`),
    onPartitionsAssigned: (partitions) => void events.push(`assigned ${ids(partitions)}`),
  }
}

test('a member that leads divides the topic, begins at the committed offset or as it is reset, and leaves on close', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  world.append(1, 'x', 'y')
  world.committed.set('t-1', 1)
  const events: string[] = []
  const consumer = world.consumer()
  consumer.subscribe(['t'], telling(events))
  const got = [...(await read(world, consumer))]
  if (got.length < 3) got.push(...(await read(world, consumer)))
  assert.deepEqual(got.sort(), ['a', 'b', 'y'])
  assert.deepEqual(consumer.assignment(), [T0, T1])
  assert.deepEqual([await consumer.position(T0), await consumer.position(T1)], [2, 2])
  await world.settled(consumer.close())
  assert.deepEqual(events, ['revoked ', 'assigned 0,1', 'revoked 0,1'])
  assert.deepEqual(Object.fromEntries(world.committed), { 't-0': 2, 't-1': 2 })
  assert.deepEqual(world.asked('LeaveGroup'), [{ groupId: 'g', memberId: 'member-1' }])
  await assert.rejects(consumer.poll(0), IllegalStateException)
})

test('what is committed automatically is what earlier polls returned', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b', 'c')
  const consumer = world.consumer({ 'auto.commit.interval.ms': 1000, 'max.poll.records': 2 })
  consumer.subscribe(['t'])
  assert.deepEqual(await read(world, consumer), ['a', 'b'])
  await world.clock.advance(2000)
  assert.equal(world.asked('OffsetCommit').length, 0, 'nothing is known of what the caller did with a and b')
  assert.deepEqual(await read(world, consumer), ['c'])
  await world.clock.advance(10)
  assert.equal(world.committed.get('t-0'), 2)
  await world.clock.advance(2000)
  await world.settled(consumer.poll(0))
  await world.clock.advance(10)
  assert.equal(world.committed.get('t-0'), 3)
  await world.settled(consumer.close())
})

test('heartbeats go on while nobody polls, until max.poll.interval.ms; then the member leaves and is fenced', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const consumer = world.consumer({ 'max.poll.interval.ms': 20_000, 'enable.auto.commit': false })
  const events: string[] = []
  consumer.subscribe(['t'], telling(events))
  await read(world, consumer)
  const before = world.asked('Heartbeat').length
  await world.clock.advance(19_000)
  assert.equal(world.asked('Heartbeat').length - before, 6)
  assert.equal(world.asked('LeaveGroup').length, 0)
  await world.clock.advance(1500)
  assert.deepEqual(world.asked('LeaveGroup'), [{ groupId: 'g', memberId: 'member-1' }])
  await world.clock.advance(30_000)
  assert.equal(world.asked('Heartbeat').length - before, 6)
  await assert.rejects(world.settled(consumer.commitSync()), CommitFailedException)
  assert.equal(world.asked('OffsetCommit').length, 0)
  // The next poll makes it a new member.
  await world.settled(consumer.poll(3000))
  assert.deepEqual(
    world.asked('JoinGroup').map(({ memberId }) => memberId),
    ['', ''],
  )
  assert.deepEqual(events, ['revoked ', 'assigned 0,1', 'revoked 0,1', 'assigned 0,1'])
  await world.settled(consumer.close())
})

test('a long poll is no silence', async () => {
  const world = await World.start()
  const consumer = world.consumer({ 'max.poll.interval.ms': 20_000 })
  consumer.subscribe(['t'])
  assert.equal((await world.settled(consumer.poll(100_000))).count, 0)
  assert.equal(world.asked('LeaveGroup').length, 0)
  assert.equal(world.asked('JoinGroup').length, 1)
  await world.settled(consumer.close())
})

test('a rebalance: commit, revoked, join again, assigned; between polls nothing of before can be committed', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  world.append(1, 'x')
  world.assign(0)
  const events: string[] = []
  const consumer = world.consumer({ 'auto.commit.interval.ms': 600_000 })
  consumer.subscribe(['t'], {
    ...telling(events),
    onPartitionsRevoked: (partitions) => {
      events.push(
        `revoked ${ids(partitions)} with ${world.committed.get('t-0')} committed, ${world.asked('JoinGroup').length} joins`,
      )
    },
  })
  assert.deepEqual(await read(world, consumer), ['a', 'b'])
  world.replaced.set('Heartbeat', (heard) => {
    heard.answer<'Heartbeat'>({ errorCode: 27 })
    return true
  })
  await world.clock.advance(3100)
  assert.equal(events.length, 2, 'only poll gives partitions up')
  world.replaced.delete('Heartbeat')
  world.assign(1)
  assert.equal((await world.settled(consumer.poll(0))).count, 0)
  await world.clock.advance(100)
  // The next generation has begun, and poll has not taken it over: t-0 is somebody else's.
  assert.equal(world.generation, 2)
  world.committed.set('t-0', 17)
  await assert.rejects(world.settled(consumer.commitSync()), CommitFailedException)
  assert.equal(world.committed.get('t-0'), 17)
  assert.deepEqual(await read(world, consumer), ['x'])
  assert.deepEqual(events, [
    'revoked  with undefined committed, 0 joins',
    'assigned 0',
    'revoked 0 with 2 committed, 1 joins',
    'assigned 1',
  ])
  assert.equal(world.asked('JoinGroup')[1]?.memberId, 'member-1')
  await world.settled(consumer.close())
})

test('when the coordinator moves, heartbeats follow it and nobody joins again', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const consumer = world.consumer()
  consumer.subscribe(['t'])
  await read(world, consumer)
  world.coordinator = 2
  world.replaced.set('Heartbeat', (heard, broker) => {
    heard.answer<'Heartbeat'>({ errorCode: broker === 2 ? 0 : 16 })
    return true
  })
  await world.clock.advance(20_000)
  const beats = world.heard.filter(({ api }) => api === 'Heartbeat').map(({ broker }) => broker)
  assert.deepEqual([beats[0], new Set(beats.slice(1))], [1, new Set([2])])
  assert.equal(world.asked('JoinGroup').length, 1)
  await world.settled(consumer.commitSync([{ ...T0, offset: 1 }]))
  assert.equal(world.heard.findLast(({ api }) => api === 'OffsetCommit')?.broker, 2)
  await world.settled(consumer.close())
})

test('a coordinator that says nothing for session.timeout.ms is looked for again', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const consumer = world.consumer()
  consumer.subscribe(['t'])
  await read(world, consumer)
  world.replaced.set('Heartbeat', (_heard, broker) => broker === 1)
  world.coordinator = 2
  await world.clock.advance(30_000)
  assert.ok(world.heard.some(({ api, broker }) => api === 'Heartbeat' && broker === 2))
  assert.equal(world.asked('JoinGroup').length, 1)
  await world.settled(consumer.close())
})

test('an answer to a join of before is dropped, and the member that it made leaves', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const held: Heard[] = []
  world.replaced.set('JoinGroup', (heard) => held.push(heard) > 0)
  const consumer = world.consumer()
  consumer.subscribe(['t'])
  await world.settled(consumer.poll(1000))
  assert.equal(held.length, 1)
  await world.settled(consumer.unsubscribe())
  world.join(held[0]!)
  await world.clock.advance(100)
  assert.equal(world.asked('SyncGroup').length, 0)
  assert.deepEqual(world.asked('LeaveGroup'), [{ groupId: 'g', memberId: 'member-1' }])
  assert.deepEqual(consumer.assignment(), [])
  await world.settled(consumer.close())
})

test('commitSync repeats what may pass; commitAsync tries once; callbacks come in order, within calls', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  const consumer = world.consumer({ 'enable.auto.commit': false })
  consumer.assign([T0])
  await read(world, consumer)
  const answers = [14, 16, 0, 14, 0]
  const refuse = (heard: Heard): boolean => {
    const errorCode = answers.shift() ?? 0
    if (errorCode !== 0) {
      heard.answer<'OffsetCommit'>({ responses: [{ topic: 't', partitionResponses: [{ partition: 0, errorCode }] }] })
    }
    return errorCode !== 0
  }
  world.replaced.set('OffsetCommit', refuse)
  await world.settled(consumer.commitSync())
  assert.deepEqual([world.asked('OffsetCommit').length, world.committed.get('t-0')], [3, 2])
  const told: string[] = []
  consumer.commitAsync([{ ...T0, offset: 1 }], (error) => void told.push(`first ${error?.name}`))
  consumer.commitAsync([{ ...T0, offset: 2, metadata: 'm' }], (error) => void told.push(`second ${error?.name}`))
  await world.clock.advance(1000)
  assert.deepEqual(told, [])
  await world.settled(consumer.poll(0))
  assert.deepEqual(told, [`first ${RetriableCommitFailedException.name}`, 'second undefined'])
  assert.equal(world.asked('OffsetCommit').length, 5)
  const [request] = world.asked('OffsetCommit').slice(-1)
  assert.deepEqual([request?.generationId, request?.memberId, request?.retentionTime], [-1, '', -1])
  await world.settled(consumer.close())
})

test('for await: one batch at a time; what the body broke off in is not committed', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  world.append(0, 'c', 'd')
  const consumer = world.consumer({ 'max.poll.records': 2 })
  consumer.subscribe(['t'])
  const got: (string | null)[] = []
  const loop = async () => {
    for await (const batch of consumer) {
      got.push(...[...batch].map(({ value }) => value))
      if (got.length === 4) throw new Error('the body fails')
    }
  }
  await assert.rejects(world.settled(loop()), /the body fails/)
  await world.settled(consumer.close())
  assert.deepEqual(got, ['a', 'b', 'c', 'd'])
  assert.equal(world.committed.get('t-0'), 2)
})

test('close ends a loop that waits', async () => {
  const world = await World.start()
  const consumer = world.consumer()
  consumer.subscribe(['t'])
  let isOver = false
  const loop = async () => {
    for await (const _ of consumer) assert.fail('nothing is there')
    isOver = true
  }
  const running = loop()
  await world.clock.advance(8000)
  assert.equal(isOver, false)
  await world.settled(Promise.all([consumer.close(), running]))
  assert.equal(isOver, true)
  assert.equal(world.asked('LeaveGroup').length, 1)
})

test('calls may not overlap; wakeup ends the one that waits, or the next', async () => {
  const world = await World.start()
  const consumer = world.consumer()
  await assert.rejects(consumer.poll(0), IllegalStateException)
  consumer.subscribe(['t'])
  assert.throws(() => consumer.assign([T0]), IllegalStateException)
  const waiting = consumer.poll(60_000)
  await world.clock.advance(1000)
  await assert.rejects(consumer.poll(0), ConcurrentModificationException)
  assert.throws(() => consumer.pause([T0]), ConcurrentModificationException)
  consumer.wakeup()
  await assert.rejects(world.settled(waiting), WakeupException)
  consumer.wakeup()
  await assert.rejects(consumer.poll(0), WakeupException)
  await world.settled(consumer.poll(0))
  world.replaced.set('OffsetFetch', () => true)
  const stuck = consumer.committed(T0)
  await world.clock.advance(1000)
  consumer.wakeup()
  await assert.rejects(world.settled(stuck), WakeupException)
  world.replaced.clear()
  await world.settled(consumer.close())
})

test('a listener may commit and seek, also while the consumer closes', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b', 'c')
  const consumer: Texts = world.consumer({ 'enable.auto.commit': false })
  consumer.subscribe(['t'], {
    onPartitionsAssigned: async () => {
      consumer.seek(T0, 1)
      assert.equal(await consumer.position(T0), 1)
    },
    onPartitionsRevoked: async (partitions) => {
      if (partitions.length > 0) await consumer.commitSync()
    },
  })
  assert.deepEqual(await read(world, consumer), ['b', 'c'])
  await world.settled(consumer.close())
  assert.equal(world.committed.get('t-0'), 3)
})

test('a pattern takes in topics that come later, without the internal ones', async () => {
  const world = await World.start()
  world.topics.set('__consumer_offsets', 1)
  world.topics.set('other', 1)
  const consumer = world.consumer({ 'metadata.max.age.ms': 5000 })
  consumer.subscribe(/^(t|__)/)
  await world.settled(consumer.poll(4000))
  assert.deepEqual(consumer.subscription(), ['t'])
  world.topics.set('t2', 1)
  await world.settled(consumer.poll(10_000))
  assert.deepEqual(consumer.subscription(), ['t', 't2'])
  assert.equal(consumer.assignment().length, 3)
  world.topics.set('t2', 2)
  await world.settled(consumer.poll(10_000))
  assert.equal(consumer.assignment().length, 4, 'the leader sees more partitions')
  await world.settled(consumer.close())
})

test('without a policy a missing offset is an error until somebody seeks', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  const consumer = world.consumer({ 'auto.offset.reset': 'none' })
  consumer.assign([T0])
  await assert.rejects(world.settled(consumer.poll(5000)), NoOffsetForPartitionException)
  consumer.seek(T0, 1)
  assert.deepEqual(await read(world, consumer), ['b'])
  await world.settled(consumer.close())
})

test('brokers of 0.9 are spoken to in their versions; 0.8.2 has no groups, but can be read', async () => {
  const world = await World.start()
  world.old = { Metadata: 0, Fetch: 1, ListOffsets: 0, OffsetCommit: 2, OffsetFetch: 1, FindCoordinator: 0, JoinGroup: 0 }
  Object.assign(world.old, { Heartbeat: 0, LeaveGroup: 0, SyncGroup: 0, ListGroups: 0 })
  world.append(0, 'a')
  const nine = world.consumer()
  nine.subscribe(['t'])
  assert.deepEqual(await read(world, nine), ['a'])
  await world.settled(nine.close())
  assert.equal(world.committed.get('t-0'), 1)
  world.old = { Metadata: 0, Fetch: 0, ListOffsets: 0, OffsetCommit: 1, OffsetFetch: 1, FindCoordinator: 0 }
  const eight = world.consumer()
  eight.subscribe(['t'])
  await assert.rejects(
    world.settled(eight.poll(10_000)),
    (error) => error instanceof UnsupportedVersionException && /0\.9/.test(error.message),
  )
  await world.settled(eight.unsubscribe())
  eight.assign([T0])
  world.committed.clear()
  assert.deepEqual(await read(world, eight), ['a'])
  await world.settled(eight.commitSync())
  assert.equal(world.committed.get('t-0'), 1)
  await assert.rejects(world.settled(eight.offsetsForTimes([{ ...T0, timestamp: 5 }])), UnsupportedVersionException)
  await world.settled(eight.close())
})

test('offsets of the log, by end and by time; a consumer without a group commits nothing by itself', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  const consumer = world.consumer({ 'group.id': '' })
  assert.throws(() => consumer.subscribe(['t']), { name: 'InvalidGroupIdException' })
  assert.deepEqual(await world.settled(consumer.endOffsets([T0, T1])), new Map([['t-0', 2], ['t-1', 0]])) // biome-ignore format: pairs
  assert.deepEqual(await world.settled(consumer.beginningOffsets([T0])), new Map([['t-0', 0]]))
  const times = await world.settled(consumer.offsetsForTimes([{ ...T0, timestamp: 5 }, { ...T1, timestamp: 5000 }])) // biome-ignore format: pairs
  assert.deepEqual([times.get('t-0'), times.get('t-1')], [{ offset: 0, timestamp: 1000 }, null])
  consumer.assign([T0])
  consumer.seekToEnd([T0])
  assert.equal(await world.settled(consumer.position(T0)), 2)
  consumer.seekToBeginning([])
  assert.deepEqual(await read(world, consumer), ['a', 'b'])
  await world.settled(consumer.close())
  assert.deepEqual([world.asked('OffsetFetch').length, world.asked('OffsetCommit').length], [0, 0])
})

test('a record that cannot be read says which, and the others can', async () => {
  const world = await World.start()
  world.append(0, '1', 'two', '3')
  const value = {
    deserialize: (_topic: string, data: Buffer | null) => {
      if (Number.isNaN(Number(data))) throw new Error('no number')
      return Number(data)
    },
  }
  const consumer = world.consumer<Buffer | null, number>({ 'value.deserializer': value })
  consumer.assign([T0])
  const [one, two, three] = [...(await world.settled(consumer.poll(5000)))]
  assert.deepEqual([one?.value, three?.value], [1, 3])
  assert.throws(
    () => two?.value,
    (error) => error instanceof SerializationException && /t-0 at offset 1/.test(error.message),
  )
  await world.settled(consumer.close())
})

test('interceptors see what is returned and committed; what they throw harms nobody', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  const seen: string[] = []
  const noting = {
    onConsume: <T extends { count: number }>(records: T) => {
      seen.push(`consumed ${records.count}`)
      return records
    },
    onCommit: (offsets: readonly { offset: number }[]) => void seen.push(`committed ${offsets[0]?.offset}`),
    close: () => void seen.push('closed'),
  }
  const failing = {
    onConsume: (): never => {
      throw new Error('no')
    },
  }
  const consumer = world.consumer({ 'interceptor.classes': [failing, noting], 'enable.auto.commit': false })
  consumer.assign([T0])
  await read(world, consumer)
  await world.settled(consumer.commitSync())
  const metrics = new Map(consumer.metrics().map(({ name, value }) => [name, value]))
  assert.deepEqual(
    [metrics.get('records-consumed-total'), metrics.get('records-lag-max'), metrics.get('commit-total')],
    [2, 0, 1],
  )
  await world.settled(consumer.close())
  assert.deepEqual(seen, ['consumed 2', 'committed 2', 'closed'])
})
