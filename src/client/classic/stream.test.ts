import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharedPool } from '../../base/bytes.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { KafkaException } from '../errors.ts'
import { RecordSetReader } from '../record-reader.ts'
import { byteLength, RecordBatchWriter } from '../records.ts'
import { ConsumerTimeoutException } from './errors.ts'
import { type Chunk, MessageStream, type OwnedPartition } from './stream.ts'

const TOPIC = 't'

function streamWith(timeoutMs = -1, clock = new VirtualClock()) {
  let rooms = 0
  const stream = new MessageStream<string | null, string | null>({
    clientId: 'c',
    clock,
    timeoutMs,
    decoders: { key: 'String', value: 'String' },
    onRoom: () => void rooms++,
  })
  const partition: OwnedPartition = {
    topic: TOPIC,
    partition: 0,
    key: 't-0',
    stream,
    threadId: 'x-0',
    fetchOffset: 0,
    consumedOffset: 0,
    isFetching: false,
    retryAt: 0,
  }
  return { stream, partition, clock, rooms: () => rooms }
}

/** Messages `m<offset>` from `from` on. */
function chunk(partition: OwnedPartition, from: number, count: number): Chunk {
  const writer = new RecordBatchWriter(sharedPool, 1024)
  for (let i = from; i < from + count; i++) writer.append(1000, null, 0, `m${i}`, byteLength(`m${i}`))
  const bytes = Buffer.from(writer.seal())
  bytes.writeBigInt64BE(BigInt(from))
  writer.release()
  const reader = new RecordSetReader(bytes, { topic: TOPIC, partition: 0, fetchOffset: from, checkCrcs: true })
  return { partition, reader, nextOffset: from + count }
}

test('a message counts as consumed when the next one is asked for, or when told', () => {
  const { stream, partition } = streamWith()
  stream.offer(chunk(partition, 0, 3))
  assert.equal(stream.poll()?.message, 'm0')
  assert.equal(partition.consumedOffset, 0)
  assert.equal(stream.poll()?.value, 'm1')
  assert.equal(partition.consumedOffset, 1)
  stream.settle()
  assert.equal(partition.consumedOffset, 2)
  assert.equal(stream.poll()?.offset, 2)
  assert.equal(stream.poll(), undefined)
  assert.equal(partition.consumedOffset, 3)
})

test('a rebalance drops what was not handed out; what is in work is not consumed', () => {
  const { stream, partition, rooms } = streamWith()
  stream.offer(chunk(partition, 0, 3))
  stream.offer(chunk(partition, 3, 3))
  assert.equal(stream.waiting, 2)
  assert.equal(stream.poll()?.offset, 0)
  assert.deepEqual([stream.waiting, rooms()], [1, 1])
  stream.clear()
  assert.equal(partition.consumedOffset, 0)
  assert.equal(stream.waiting, 0)
  assert.equal(stream.poll(), undefined)
})

test('waiting: served by the next chunk, ended by the end, one reader at a time', async () => {
  const { stream, partition } = streamWith()
  const waiting = stream.next()
  await assert.rejects(stream.next(), /one reader at a time/)
  stream.offer(chunk(partition, 7, 1))
  assert.equal((await waiting)?.message, 'm7')
  const last = stream.next()
  stream.end()
  assert.equal(await last, undefined)
  assert.equal(await stream.next(), undefined)
  stream.offer(chunk(partition, 8, 1))
  assert.equal(stream.waiting, 0)
})

test('consumer.timeout.ms: the wait rejects, the stream reads on', async () => {
  const { stream, partition, clock } = streamWith(500)
  const waiting = assert.rejects(stream.next(), ConsumerTimeoutException)
  await clock.advance(499)
  stream.clear()
  await clock.advance(1)
  await waiting
  stream.offer(chunk(partition, 0, 1))
  assert.equal((await stream.next())?.message, 'm0')
})

test('leaving a loop counts its message as consumed; an error comes once', async () => {
  const { stream, partition } = streamWith()
  stream.offer(chunk(partition, 0, 2))
  for await (const { offset } of stream) if (offset === 0) break
  assert.equal(partition.consumedOffset, 1)
  stream.offer({ partition, reader: undefined, nextOffset: 2, error: new KafkaException('too large') })
  stream.offer(chunk(partition, 2, 1))
  assert.equal(stream.poll()?.offset, 1)
  await assert.rejects(stream.next(), /too large/)
  assert.equal((await stream.next())?.offset, 2)
})
