/** Fetching ahead, and what brokers answer instead of records. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestOf } from '../../protocol/apis/index.ts'
import type { Heard } from '../../rpc/testing-broker.ts'
import { OffsetOutOfRangeException, RecordTooLargeException } from '../errors.ts'
import { FetchSession } from './fetch-session.ts'
import { World } from './testing-world.ts'
import type { Consumer, RecordBatch } from './types.ts'

const T0 = { topic: 't', partition: 0 }
const T1 = { topic: 't', partition: 1 }
type Texts = Consumer<Buffer | null, string | null>

async function read(world: World, consumer: Texts, timeoutMs = 60_000): Promise<string> {
  return [...(await world.settled(consumer.poll(timeoutMs)))].map(({ value }) => value).join('')
}

/** Everything until nothing comes for five seconds. */
async function readAll(world: World, consumer: Texts): Promise<string> {
  let all = ''
  for (let one = ' '; one !== ''; ) {
    one = await read(world, consumer, 5000)
    all += one
  }
  return all
}

const offsetsAsked = (world: World) =>
  world
    .asked('Fetch')
    .map(({ topics }) => topics.flatMap(({ partitions }) => partitions.map(({ fetchOffset }) => fetchOffset)).join())

test('the next fetch is under way when poll has returned, and who does not poll gets no more', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b', 'c', 'd', 'e')
  const consumer = world.consumer({ 'max.poll.records': 2 })
  consumer.assign([T0])
  assert.equal(await read(world, consumer), 'ab')
  await world.clock.advance(1)
  assert.deepEqual(offsetsAsked(world), ['0', '5'])
  world.append(0, 'f')
  await world.clock.advance(20_000)
  world.append(0, 'g')
  assert.equal(await read(world, consumer), 'cd')
  await world.clock.advance(20_000)
  assert.deepEqual(offsetsAsked(world), ['0', '5'], 'one record set is being read, one waits: that is enough')
  assert.equal(await readAll(world, consumer), 'efg')
  assert.equal(await consumer.position(T0), 7)
  await world.settled(consumer.close())
})

test('a few records are handed out before the next ones are asked for, many after that', async () => {
  for (const [count, asked] of [
    [16, ['0', '1']],
    [17, ['0', '17']],
  ] as const) {
    const world = await World.start()
    world.append(0, ...Array.from({ length: count }, () => 'x'))
    const consumer = world.consumer()
    consumer.assign([T0])
    // What is asked for after the caller's first look has the position that the caller wants.
    await world.settled(consumer.poll(60_000).then(() => consumer.seek(T0, 1)))
    await world.clock.advance(1)
    assert.deepEqual(offsetsAsked(world), asked)
    await world.settled(consumer.close())
  }
})

test('fetch.max.bytes bounds what waits in all partitions together', async () => {
  const world = await World.start()
  const text = 'x'.repeat(1000)
  for (const partition of [0, 1]) world.append(partition, text, text)
  const consumer = world.consumer({ 'fetch.max.bytes': 1500, 'max.poll.records': 1 })
  consumer.assign([T0, T1])
  await read(world, consumer)
  await read(world, consumer)
  await world.clock.advance(1000)
  assert.deepEqual(offsetsAsked(world), ['0,0'], 'two record sets are open')
  for (let i = 0; i < 2; i++) await read(world, consumer)
  await world.settled(consumer.poll(2000))
  assert.ok(world.asked('Fetch').length > 1)
  await world.settled(consumer.close())
})

test('an answer from before a seek is dropped', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  world.append(0, 'c')
  const held: Heard[] = []
  world.replaced.set('Fetch', (heard) => held.push(heard) > 0)
  const consumer = world.consumer()
  consumer.assign([T0])
  consumer.seek(T0, 2)
  await read(world, consumer, 1000)
  consumer.seek(T0, 0)
  world.replaced.clear()
  const [stale] = held
  const partitionHeader = { partition: 0, errorCode: 0, highWatermark: 3, abortedTransactions: null }
  const partitionResponses = [{ partitionHeader, recordSet: world.log(0)[1]! }]
  stale?.answer<'Fetch'>({ errorCode: 0, sessionId: 0, responses: [{ topic: 't', partitionResponses }] })
  assert.equal(await readAll(world, consumer), 'abc')
  await world.settled(consumer.close())
})

test('a paused partition is not fetched and keeps what has come; the other one goes on', async () => {
  const world = await World.start()
  world.append(0, 'a', 'b')
  const consumer = world.consumer({ 'max.poll.records': 1 })
  consumer.assign([T0, T1])
  assert.equal(await read(world, consumer), 'a')
  consumer.pause([T0])
  world.append(1, 'x')
  assert.equal(await readAll(world, consumer), 'x')
  assert.deepEqual(consumer.paused(), [T0])
  world.append(0, 'c')
  const before = world.asked('Fetch').length
  assert.equal(await readAll(world, consumer), '')
  const later = world.asked('Fetch').slice(before)
  assert.ok(
    later.length > 0 &&
      later.every(({ topics }) => !topics.some(({ partitions }) => partitions.some((one) => one.partition === 0))),
  )
  consumer.resume([T0])
  assert.equal(await readAll(world, consumer), 'bc')
  await world.settled(consumer.close())
})

test('an offset out of range is reset as configured, or an error that names it', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const outOfRange = (heard: Heard): boolean => {
    const { topics } = heard.request as RequestOf<'Fetch'>
    const isBeyond = topics.some(({ partitions }) => partitions.some(({ fetchOffset }) => fetchOffset > 1))
    if (isBeyond) world.fetchError(heard, 1)
    return isBeyond
  }
  world.replaced.set('Fetch', outOfRange)
  const consumer = world.consumer()
  consumer.assign([T0])
  consumer.seek(T0, 50)
  assert.equal(await read(world, consumer), 'a')
  await world.settled(consumer.close())
  const strict = world.consumer({ 'auto.offset.reset': 'none' })
  strict.assign([T0])
  strict.seek(T0, 50)
  await assert.rejects(
    world.settled(strict.poll(5000)),
    (error) => error instanceof OffsetOutOfRangeException && /t-0=50/.test(error.message),
  )
  strict.seek(T0, 0)
  assert.equal(await read(world, strict), 'a')
  await world.settled(strict.close())
})

test('when the leader moves, the fetch follows it, without loss or repetition', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const consumer = world.consumer()
  consumer.assign([T0])
  assert.equal(await read(world, consumer), 'a')
  world.leader = 2
  world.replaced.set('Fetch', (heard, broker) => {
    if (broker === 2) return false
    world.fetchError(heard, 6)
    return true
  })
  world.append(0, 'b')
  assert.equal(await readAll(world, consumer), 'b')
  assert.equal(world.heard.findLast(({ api }) => api === 'Fetch')?.broker, 2)
  world.memory.reset('a', 'b2')
  world.append(0, 'c')
  assert.equal(await readAll(world, consumer), 'c')
  await world.settled(consumer.close())
})

test('a fetch session says only what is new; when the broker has lost it, everything again', async () => {
  const world = await World.start()
  world.append(0, 'a')
  const consumer = world.consumer()
  consumer.assign([T0, T1])
  await readAll(world, consumer)
  const full = world.asked('Fetch')[0]
  const later = world.asked('Fetch').at(-1)
  assert.deepEqual([full?.sessionId, full?.epoch, full?.topics[0]?.partitions.length], [0, 0, 2])
  assert.equal(later?.sessionId, 77)
  assert.ok((later?.epoch ?? 0) > 1)
  assert.deepEqual(later?.topics, [], 'nothing has changed')
  world.session = undefined
  const before = world.asked('Fetch').length
  world.append(1, 'x')
  assert.equal(await readAll(world, consumer), 'x')
  const after = world.asked('Fetch').slice(before)
  assert.ok(after.some(({ epoch, topics }) => epoch === 0 && topics[0]?.partitions.length === 2))
  await world.settled(consumer.close())
})

test('sessions: forgotten partitions, a wrong epoch, none below version 7', () => {
  const at = (partition: number, fetchOffset: number) => ({ key: `t-${partition}`, topic: 't', partition, fetchOffset })
  const session = new FetchSession()
  assert.deepEqual([session.next(6, [at(0, 5)], 9).epoch, session.answered(0, 0)], [-1, true])
  assert.equal(session.next(7, [at(0, 5), at(1, 5)], 9).epoch, 0)
  assert.equal(session.answered(0, 4), true)
  const next = session.next(7, [at(1, 6)], 9)
  assert.deepEqual([next.sessionId, next.epoch, next.forgettenTopicsData], [4, 1, [{ topic: 't', partitions: [0] }]])
  assert.deepEqual(next.topics, [{ topic: 't', partitions: [{ partition: 1, fetchOffset: 6, maxBytes: 9 }] }])
  assert.equal(session.answered(71, 0), false)
  const again = session.next(7, [at(1, 6)], 9)
  assert.deepEqual([again.sessionId, again.epoch], [4, 0], 'closes that session and asks for another')
  assert.equal(session.answered(0, 5), true)
  assert.deepEqual([session.next(7, [at(1, 6)], 9).epoch, session.next(7, [at(1, 7)], 9).sessionId], [1, 5])
})

test('read_committed leaves out what was aborted; markers are passed over, and position and commit count them', async () => {
  const world = await World.start()
  world.appendInTransaction(0, 'a')
  world.endTransaction(0, true)
  world.appendInTransaction(0, 'x')
  world.endTransaction(0, false)
  const everything = world.consumer()
  everything.assign([T0])
  assert.equal(await readAll(world, everything), 'ax')
  await world.settled(everything.close())
  world.committed.clear()
  const consumer = world.consumer({ 'isolation.level': 'read_committed' })
  consumer.assign([T0])
  assert.equal(await readAll(world, consumer), 'a')
  assert.equal(await consumer.position(T0), 4)
  world.append(0, 'b')
  assert.equal(await readAll(world, consumer), 'b')
  await world.settled(consumer.close())
  assert.equal(world.committed.get('t-0'), 5)
})

test('a batch that is damaged stops its partition at its offset until somebody seeks', async () => {
  const world = await World.start()
  world.append(0, 'a')
  world.append(0, 'b')
  world.append(0, 'c')
  const [, damaged] = world.log(0)
  damaged![damaged!.length - 2]! ^= 1
  const consumer = world.consumer()
  consumer.assign([T0])
  assert.equal(await read(world, consumer), 'a')
  for (let i = 0; i < 2; i++) {
    await assert.rejects(world.settled(consumer.poll(5000)), { name: 'CorruptRecordException', message: /t-0 at offset 1/ })
  }
  consumer.seek(T0, 2)
  assert.equal(await readAll(world, consumer), 'c')
  await world.settled(consumer.close())
})

test('below Fetch v3 a batch that does not fit is an error that says what to do', async () => {
  const world = await World.start()
  world.old = { Metadata: 0, Fetch: 1, ListOffsets: 0, OffsetCommit: 2, OffsetFetch: 1, FindCoordinator: 0, ListGroups: 0 }
  world.append(0, 'x'.repeat(100))
  const [batch] = world.log(0).splice(0)
  world.log(0).push(batch!)
  world.replaced.set('Fetch', (heard) => {
    const partitionHeader = { partition: 0, errorCode: 0, highWatermark: 1 }
    const partitionResponses = [{ partitionHeader, recordSet: batch!.subarray(0, 60) }]
    heard.answer<'Fetch'>({ responses: [{ topic: 't', partitionResponses }] })
    return true
  })
  const consumer = world.consumer()
  consumer.assign([T0])
  await assert.rejects(
    world.settled(consumer.poll(5000)),
    (error) => error instanceof RecordTooLargeException && /t-0=0.*max\.partition\.fetch\.bytes/.test(error.message),
  )
  await world.settled(consumer.close())
})

test('a batch read raw gives the bytes of keys and values, null as -1, and can be read again', async () => {
  const world = await World.start()
  world.append(0, 'a', 'bc')
  world.append(0, 'd')
  const consumer = world.consumer({ 'isolation.level': 'read_committed' })
  consumer.assign([T0])
  const [batch] = (await world.settled(consumer.poll(5000))).batches
  const raw: unknown[] = []
  for (let i = 0; i < 2; i++) {
    batch?.forEachRaw((buffer, keyStart, keyEnd, valueStart, valueEnd, offset, timestamp) => {
      raw.push([keyStart, keyEnd, buffer.toString('utf8', valueStart, valueEnd), offset, timestamp])
    })
  }
  const once = [
    [-1, -1, 'a', 0, 1000],
    [-1, -1, 'bc', 1, 1000],
    [-1, -1, 'd', 2, 1000],
  ]
  assert.deepEqual(raw, [...once, ...once])
  assert.deepEqual([batch?.count, batch?.firstOffset, batch?.nextOffset, batch?.highWatermark], [3, 0, 3, 3])
  assert.deepEqual([...(batch ?? [])].map(({ value, timestampType, headers }) => [value, timestampType, headers.length])[1], [
    'bc',
    'CreateTime',
    0,
  ])
  assert.equal(world.asked('Fetch')[0]?.isolationLevel, 1)
  await world.settled(consumer.close())
})

test("records keep the memory that they came in when they fill it, and it is nobody else's", async () => {
  const world = await World.start()
  const consumer = world.consumer({ 'value.deserializer': 'ByteArray', 'max.poll.records': 2 })
  consumer.assign([T0, T1])
  const held: { value: Buffer; wanted: Buffer }[] = []
  const memory: number[] = []
  // Of a pooled buffer of 80 KiB the large set takes most, the small one little.
  for (const [round, size] of [24_000, 24_000, 9000, 24_000, 9000, 24_000].entries()) {
    const sent = [0, 1, 2].map((i) => Buffer.alloc(size, `${round}${i}`))
    world.append(0, ...sent.map(String))
    for (let left = 3; left > 0; ) {
      for (const record of await world.settled(consumer.poll(5000))) {
        const value = record.value as unknown as Buffer
        held.push({ value, wanted: sent[3 - left]! })
        memory.push(value.buffer.byteLength)
        left--
      }
    }
    // A fetch of both partitions goes on: its buffers are used again and again.
    for (let i = 0; i < 3; i++) {
      const text = `${i}`.repeat(70_000)
      world.append(1, text)
      const [other] = [...(await world.settled(consumer.poll(5000)))]
      assert.equal(String(other?.value), text)
    }
  }
  for (const [i, { value, wanted }] of held.entries()) assert.ok(value.equals(wanted), `record ${i} has changed`)
  const pooled = 80 * 1024
  const taken = memory.filter((bytes) => bytes === pooled).length
  assert.ok(taken >= 6, `of 12 large ones ${taken} lie where they were received`)
  assert.ok(
    [6, 7, 8, 12, 13, 14].every((i) => memory[i]! < 30_000),
    `small ones: ${memory}`,
  )
  const { outstanding } = world.memory.pool.stats()
  assert.ok(outstanding < 3, `${outstanding} buffers are away`)
  await world.settled(consumer.close())
})

test('memory of batches read raw is used again with the next poll; what was read as records, or not yet, stays', async () => {
  const world = await World.start()
  const consumer = world.consumer({ 'max.poll.records': 2 })
  consumer.assign([T0])
  type Batch = RecordBatch<unknown, unknown> | undefined
  const memory = new Set<ArrayBufferLike>()
  let raws = 0
  const rawOf = (batch: Batch): string[] => {
    const values: string[] = []
    batch?.forEachRaw((buffer, _keyStart, _keyEnd, start, end) => {
      values.push(buffer.toString('utf8', start, end))
      memory.add(buffer.buffer)
    })
    raws++
    return values
  }
  const valuesOf = (batch: Batch): string[] => [...(batch ?? [])].map(({ value }) => String(value))
  const kept: [batch: Batch, wanted: string[]][] = []
  for (let round = 0; round < 12; round++) {
    // Above what the pool takes care of; three records are two polls.
    const sent = ['a', 'b', 'c'].map((name) => `${name}${round}`.padEnd(5000, name))
    world.append(0, ...sent)
    const halves = [sent.slice(0, 2), sent.slice(2)]
    for (const [i, wanted] of halves.entries()) {
      const [batch] = (await world.settled(consumer.poll(5000))).batches
      if (round % 4 === 2 && i === 0) kept.push([batch, wanted])
      else if (round % 4 === 3) {
        assert.deepEqual(valuesOf(batch), wanted)
        kept.push([batch, wanted])
      } else {
        assert.deepEqual(rawOf(batch), wanted)
        if (round === 5) kept.push([batch, []])
      }
    }
  }
  for (const [batch, wanted] of kept) {
    if (wanted.length > 0) assert.deepEqual(valuesOf(batch), wanted)
    else assert.throws(() => rawOf(batch), { name: 'IllegalStateException' })
    if (wanted.length === 0) assert.throws(() => valuesOf(batch), { name: 'IllegalStateException' })
  }
  assert.ok(memory.size < raws / 2, `${memory.size} buffers for ${raws} batches`)
  await world.settled(consumer.close())
})
