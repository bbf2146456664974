import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../base/buffer-pool.ts'
import { FrameReader } from './framing.ts'
import { SeededRng } from './memory/seeded-rng.ts'
import type { FrameMemory, FrameReceiver } from './net.ts'

const TICK = () => new Promise<void>((resolve) => void setImmediate(resolve))

function frame(payload: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + payload.length)
  bytes.writeInt32BE(payload.length, 0)
  payload.copy(bytes, 4)
  return bytes
}

/** A reader with its receiver; records everything that is called. */
function harness(options: { max?: number; onFrame?: (reader: FrameReader, payload: Buffer) => void } = {}) {
  const pool = new BufferPool()
  const frames: Buffer[] = []
  const events: string[] = []
  let inside = false
  const receiver: FrameReceiver = {
    onFrame(buffer, start, end) {
      assert.equal(inside, false, 'entered from its own call')
      inside = true
      const payload = Buffer.from(buffer.subarray(start, end))
      frames.push(payload)
      options.onFrame?.(reader, payload)
      inside = false
    },
    onReadEnd: () => void events.push(`readEnd after ${frames.length}`),
    maxFrameBytes: () => options.max ?? 100_000_000,
    onBadFrame: (length) => void events.push(`bad ${length}`),
    onClose: () => {},
  }
  const reader: FrameReader = new FrameReader(receiver, pool, {
    stopReading: () => void events.push('stop'),
    startReading: () => void events.push('start'),
    refuseFrame: (length) => void events.push(`refuse ${length}`),
  })
  return { reader, frames, events, pool }
}

/** Plays a stream into a reader as a socket would: into its target when it has one, else into a shared buffer. */
function play(reader: FrameReader, stream: Buffer, from: number, nextBytes: () => number): number {
  const shared = Buffer.alloc(256 * 1024)
  let at = from
  let wanted = true
  while (at < stream.length && wanted) {
    const target = reader.readTarget()
    const room = target ?? shared
    const bytes = Math.min(nextBytes(), room.length, stream.length - at)
    stream.copy(room, 0, at, at + bytes)
    at += bytes
    wanted = target === undefined ? reader.feed(shared, 0, bytes) : reader.filled(bytes)
    shared.fill(0xee)
  }
  return at
}

test('any split of a byte stream gives the same frames', async () => {
  for (let seed = 0; seed < 150; seed++) {
    const rng = new SeededRng(seed)
    const sizes = Array.from(
      { length: 1 + rng.int(0, 40) },
      () => [0, 1, 3, 100, 5000, 40_000, 300_000][rng.int(0, seed % 5 === 0 ? 7 : 6)]! + rng.int(0, 50),
    )
    const payloads = sizes.map((size, i) => Buffer.alloc(size, i + 1))
    const stream = Buffer.concat(payloads.map(frame))
    const pausing = seed % 2 === 1
    const { reader, frames, pool } = harness({
      onFrame: (reader) => {
        if (!pausing || rng.int(0, 3) > 0) return
        reader.pause()
        if (rng.int(0, 2) === 0) reader.resume()
      },
    })
    const grain = [1, 7, 1000, 70_000, 1_000_000][rng.int(stream.length > 100_000 ? 2 : 0, 5)]!
    let at = 0
    while (at < stream.length || reader.isPaused) {
      at = play(reader, stream, at, () => 1 + rng.int(0, grain))
      if (reader.isPaused) reader.resume()
      await TICK()
    }
    assert.equal(frames.length, payloads.length, `seed ${seed}`)
    for (const [i, received] of frames.entries()) assert.ok(received.equals(payloads[i]!), `seed ${seed} frame ${i}`)
    assert.equal(pool.stats().outstanding, 0, `seed ${seed} leaks`)
  }
})

test('frames that lie whole in a chunk are handed over in place, with one end of read', () => {
  const stream = Buffer.concat([
    frame(Buffer.from('one')),
    frame(Buffer.from('two')),
    frame(Buffer.alloc(0)),
    Buffer.from([0, 0]),
  ])
  const seen: [Buffer, number, number][] = []
  let ends = 0
  const receiver: FrameReceiver = {
    onFrame: (buffer, start, end) => void seen.push([buffer, start, end]),
    onReadEnd: () => void ends++,
    maxFrameBytes: () => 100,
    onClose: () => {},
  }
  const reader = new FrameReader(receiver, new BufferPool(), { stopReading() {}, startReading() {}, refuseFrame() {} })
  assert.equal(reader.feed(stream, 0, stream.length), true)
  assert.deepEqual(
    seen.map(([, start, end]) => [start, end]),
    [
      [4, 7],
      [11, 14],
      [18, 18],
    ],
  )
  assert.ok(seen.every(([buffer]) => buffer === stream))
  assert.equal(ends, 1)
  reader.feed(Buffer.from([0]), 0, 1)
  assert.equal(ends, 1, 'a read without a whole frame has no end of read')
})

test('back-to-back big frames are read straight into their buffers, lengths included', () => {
  const { reader, frames } = harness()
  const payloads = [1, 2, 3, 4].map((value) => Buffer.alloc(1_000_000, value))
  const stream = Buffer.concat(payloads.map(frame))
  const shared = Buffer.alloc(1000)
  stream.copy(shared, 0, 0, 1000)
  assert.equal(reader.feed(shared, 0, 1000), true)
  let at = 1000
  for (let reads = 0; at < stream.length; reads++) {
    assert.ok(reads < payloads.length, 'a read per frame')
    const target = reader.readTarget()!
    const bytes = Math.min(target.length, stream.length - at)
    stream.copy(target, 0, at, at + bytes)
    at += bytes
    assert.equal(reader.filled(bytes), true)
  }
  assert.deepEqual(
    frames.map((received, i) => received.equals(payloads[i]!)),
    [true, true, true, true],
  )
})

test('a long length alone takes no more than about a mebibyte; memory follows the bytes', () => {
  const { reader, frames, pool } = harness()
  const payload = Buffer.alloc(9_000_000, 7)
  const stream = frame(payload)
  reader.feed(stream, 0, 4)
  assert.ok(pool.stats().outstandingBytes < 1_200_000)
  let at = 4
  while (at < stream.length) {
    at = play(reader, stream.subarray(0, Math.min(at + 300_000, stream.length)), at, () => 300_000)
    assert.ok(
      pool.stats().outstandingBytes <= Math.max(1_200_000, 4 * at),
      `${pool.stats().outstandingBytes} held for ${at} bytes`,
    )
  }
  assert.ok(frames[0]!.equals(payload))
  assert.equal(pool.stats().outstanding, 0)
})

test('paused: the rest of the read is kept, comes after resume in a later microtask, in order', async () => {
  const { reader, frames, events } = harness({
    onFrame: (reader, payload) => {
      if (payload.toString() !== 'c') reader.pause()
    },
  })
  const stream = Buffer.concat(['a', 'b', 'c', 'd'].map((text) => frame(Buffer.from(text))))
  assert.equal(reader.feed(stream, 0, stream.length), false)
  assert.deepEqual([frames.join(''), events], ['a', ['readEnd after 1', 'stop']])
  reader.resume()
  assert.equal(frames.length, 1, 'not within resume')
  await TICK()
  assert.equal(frames.join(''), 'ab')
  reader.resume()
  reader.pause()
  await TICK()
  assert.equal(frames.join(''), 'ab', 'paused again before anything came')
  reader.resume()
  await TICK()
  assert.equal(frames.join(''), 'abcd')
  assert.equal(events.includes('start'), false, 'd paused')
  reader.resume()
  await TICK()
  assert.equal(events.at(-1), 'start')
})

test('bytes that still come while paused wait behind the kept ones', async () => {
  const { reader, frames } = harness({ onFrame: (reader, payload) => void (payload.toString() === 'a' && reader.pause()) })
  const bytes = Buffer.concat(['a', 'b'].map((text) => frame(Buffer.from(text))))
  reader.feed(bytes, 0, bytes.length)
  const more = frame(Buffer.from('c'))
  assert.equal(reader.feed(more, 0, 2), false)
  assert.equal(reader.feed(more, 2, more.length), false)
  reader.resume()
  await TICK()
  assert.equal(frames.join(''), 'abc')
})

test('negative and too long lengths are refused once, and nothing comes after', () => {
  for (const length of [-1, -2_147_483_648, 101, 2_147_483_647, 0x47455420]) {
    const { reader, frames, events, pool } = harness({ max: 100 })
    const bytes = Buffer.concat([frame(Buffer.from('ok')), Buffer.alloc(4), frame(Buffer.from('never'))])
    bytes.writeInt32BE(length, 6)
    assert.equal(reader.feed(bytes, 0, 8), true)
    assert.equal(reader.feed(bytes, 8, bytes.length), false)
    assert.equal(reader.feed(bytes, 0, 6), false)
    assert.equal(frames.join(), 'ok')
    assert.deepEqual(events, ['readEnd after 1', `bad ${length}`, `refuse ${length}`])
    assert.equal(pool.stats().outstanding, 0)
  }
})

test('the limit is asked for each frame', () => {
  let max = 10
  const seen: number[] = []
  const receiver: FrameReceiver = {
    onFrame: (_buffer, start, end) => {
      seen.push(end - start)
      max = 1000
    },
    maxFrameBytes: () => max,
    onClose: () => {},
  }
  const reader = new FrameReader(receiver, new BufferPool(), { stopReading() {}, startReading() {}, refuseFrame() {} })
  const bytes = Buffer.concat([frame(Buffer.alloc(10)), frame(Buffer.alloc(500))])
  reader.feed(bytes, 0, bytes.length)
  assert.deepEqual(seen, [10, 500])
})

test('close inside a frame stops delivery and gives the memory back', async () => {
  for (const size of [10, 200_000]) {
    const { reader, frames, events, pool } = harness({ onFrame: (reader) => reader.close() })
    const stream = Buffer.concat([frame(Buffer.alloc(size)), frame(Buffer.alloc(size))])
    play(reader, stream, 0, () => 30_000)
    assert.equal(frames.length, 1)
    reader.resume()
    await TICK()
    assert.deepEqual(events, ['readEnd after 1'])
    assert.equal(pool.stats().outstanding, 0)
  }
})

test('the bytes of a large frame stay until the end of the read', () => {
  const pool = new BufferPool()
  let kept: Buffer | undefined
  let ended = false
  const payload = Buffer.alloc(700_000, 5)
  const receiver: FrameReceiver = {
    onFrame: (buffer, start, end) => void (kept = buffer.subarray(start, end)),
    onReadEnd: () => {
      ended = true
      assert.equal(pool.stats().outstanding, 1, 'its memory is not given back before')
      assert.ok(kept!.equals(payload))
    },
    maxFrameBytes: () => 100_000_000,
    onClose: () => {},
  }
  const reader = new FrameReader(receiver, pool, { stopReading() {}, startReading() {}, refuseFrame() {} })
  play(reader, frame(payload), 0, () => 100_000)
  assert.ok(ended)
  assert.equal(pool.stats().outstanding, 0)
})

test('memory of a large frame that its receiver takes stays as it is; of what lies in a shared chunk there is none to take', () => {
  const { reader, pool, frames } = harness({ onFrame: take })
  const kept: { memory: FrameMemory; payload: Buffer }[] = []
  const refused: number[] = []
  function take(from: FrameReader, payload: Buffer): void {
    // One that is left where it is.
    if (payload[0] === 3) return
    const memory = from.takeFrame()
    if (memory === undefined) refused.push(payload.length)
    else kept.push({ memory, payload })
    assert.equal(from.takeFrame(), undefined, 'once')
  }
  // A small one right behind a large one comes in the same delivery, and must not be given the memory of the one before.
  const payloads = Array.from({ length: 12 }, (_, i) => Buffer.alloc(i % 2 === 0 ? 300_000 : 50, i + 1))
  play(reader, Buffer.concat(payloads.map(frame)), 0, () => 70_000)
  assert.ok(frames.length === 12 && frames.every((one, i) => one.equals(payloads[i]!)))
  assert.deepEqual(
    kept.map(({ payload }) => payload.length),
    Array(5).fill(300_000),
  )
  assert.deepEqual(refused, Array(6).fill(50))
  for (const { memory, payload } of kept)
    assert.ok(memory.pool === pool && memory.buffer.subarray(0, payload.length).equals(payload))
  assert.equal(new Set(kept.map(({ memory }) => memory.buffer.buffer)).size, 5)
  assert.equal(reader.takeFrame(), undefined, 'not outside of onFrame')
  assert.equal(pool.stats().outstanding, 5)
  pool.release(kept[0]!.memory.buffer)
  play(reader, frame(Buffer.alloc(300_000, 99)), 0, () => 70_000)
  assert.equal(kept.at(-1)!.memory.buffer, kept[0]!.memory.buffer, 'what was given back is used again')
  assert.ok(kept.slice(1, 5).every(({ memory, payload }) => memory.buffer.subarray(0, payload.length).equals(payload)))
})

test('close while paused gives the kept bytes back', async () => {
  const { reader, frames, pool } = harness({ onFrame: (reader) => reader.pause() })
  const stream = Buffer.concat(Array.from({ length: 50 }, () => frame(Buffer.alloc(1000))))
  reader.feed(stream, 0, stream.length)
  assert.equal(pool.stats().outstanding, 1)
  reader.resume()
  reader.close()
  await TICK()
  assert.equal(frames.length, 1)
  assert.equal(pool.stats().outstanding, 0)
})
