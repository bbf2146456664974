import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../base/buffer-pool.ts'
import { ByteWriter } from '../base/bytes.ts'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { apis, type RequestOf } from '../protocol/apis/index.ts'
import { beginFrame, endFrame } from '../protocol/framing.ts'
import { baseSequence, isValidBatch } from '../protocol/records/index.ts'
import { Channel } from '../rpc/channel.ts'
import { TestingBroker } from '../rpc/testing-broker.ts'
import { FRAME_ROOM } from './batch-memory.ts'
import { RecordBatchWriter } from './records.ts'

function sealed(pool: BufferPool, value = 'v'.repeat(6000)): RecordBatchWriter {
  const writer = new RecordBatchWriter(pool, 10_000)
  writer.append(5, null, 0, value, value.length)
  writer.seal()
  return writer
}

const requestWith = (recordSet: RecordBatchWriter['source'] | Buffer, topic = 't') => ({
  transactionalId: null,
  acks: 1,
  timeout: 1000,
  topicData: [{ topic, data: [{ partition: 0, recordSet }] }],
})

/** A Produce request as a channel frames it; `isInPlace`: around the records. */
function framed(batch: RecordBatchWriter, topic: string): { bytes: Buffer; isInPlace: boolean } {
  const writer = new ByteWriter()
  writer.takesTail = true
  const frame = beginFrame(writer)
  apis.Produce.encodeRequest(writer, 5, requestWith(batch.source, topic))
  endFrame(writer, frame)
  const { tail } = writer
  return { bytes: tail === undefined ? writer.copy() : Buffer.from(tail.frame(writer.view())), isInPlace: tail !== undefined }
}

test('a frame that ends with the records is the same whether it is completed around them or they are copied', () => {
  const pool = new BufferPool()
  for (const topic of ['t', 'x'.repeat(249), 'y'.repeat(FRAME_ROOM)]) {
    const batch = sealed(pool)
    const first = framed(batch, topic)
    assert.equal(first.isInPlace, topic.length < FRAME_ROOM)
    if (first.isInPlace) batch.source.tail!.letGo()
    // One whose owner knows nothing of this copies.
    for (const recordSet of [batch.bytes, batch.source]) {
      const copying = new ByteWriter()
      const frame = beginFrame(copying)
      apis.Produce.encodeRequest(copying, 5, requestWith(recordSet, topic))
      endFrame(copying, frame)
      assert.deepEqual(first.bytes, copying.copy())
    }
    assert.equal(framed(batch, topic).isInPlace, first.isInPlace)
    // That one may still be on its way: its head stays, and the next one is copied.
    assert.deepEqual(framed(batch, topic), { bytes: first.bytes, isInPlace: false })
  }
})

test('memory goes back when the batch is done and its bytes are written, whichever comes last', () => {
  for (const isReleasedFirst of [true, false]) {
    const pool = new BufferPool()
    const batch = sealed(pool)
    const tail = batch.source.tail!
    tail.frame(Buffer.alloc(20))
    if (isReleasedFirst) batch.release()
    else tail.letGo()
    assert.equal(pool.stats().outstanding, 1)
    if (isReleasedFirst) tail.letGo()
    else batch.release()
    assert.equal(pool.stats().outstanding, 0)
  }
})

test('a batch that gets another number while it is being written goes to other memory: what is written stays', () => {
  const pool = new BufferPool()
  const batch = sealed(pool)
  batch.restamp(1, 0, 7)
  assert.equal(pool.stats().outstanding, 1)
  const tail = batch.source.tail!
  const frame = tail.frame(Buffer.alloc(20))
  const before = Buffer.from(frame)
  batch.restamp(1, 0, 8)
  assert.deepEqual(frame, before)
  assert.equal(baseSequence(batch.bytes, 0), 8)
  assert.ok(isValidBatch(batch.bytes, 0) && isValidBatch(before, 20))
  assert.notEqual(batch.source.tail, tail)
  assert.equal(pool.stats().outstanding, 2)
  tail.letGo()
  assert.equal(pool.stats().outstanding, 1)
  batch.release()
  assert.equal(pool.stats().outstanding, 0)
})

test('a channel writes such a request as one frame and lets go of the records when the connection has taken it', async () => {
  const clock = new VirtualClock()
  const network = new MemoryNetwork(clock, new SeededRng('tail'))
  const broker = await new TestingBroker().start(network.host('b'), 'b', 9092)
  const channel = new Channel({
    net: network.host('a'),
    clock,
    address: () => ({ host: 'b', port: 9092 }),
    clientId: 'c',
    versions: { Produce: 5 },
    connectTimeoutMs: 1000,
    requestTimeoutMs: 60_000,
    reconnectBackoffMs: 50,
  })
  const pool = new BufferPool()
  // More than the network takes at once, so that some wait to be written.
  const batches = Array.from({ length: 60 }, (_, i) => sealed(pool, `${i} `.padEnd(8000, 'v')))
  channel.connect()
  await clock.advance(10)
  network.block('a', 'b')
  for (const batch of batches) channel.send('Produce', requestWith(batch.source), () => {})
  const copies = batches.map((batch) => Buffer.from(batch.bytes))
  for (const batch of batches) batch.release()
  await clock.advance(10)
  const { outstanding } = pool.stats()
  assert.ok(outstanding > 0 && outstanding < batches.length, `${outstanding} are held`)
  network.unblock('a', 'b')
  await clock.advance(1000)
  assert.equal(pool.stats().outstanding, 0)
  const heard = broker.heard.map(({ request }) => (request as RequestOf<'Produce'>).topicData[0]!.data[0]!.recordSet)
  assert.deepEqual(heard, copies)
  channel.close()
  await broker.stop()
})
