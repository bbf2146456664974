import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'
import { test } from 'node:test'
import { BufferPool } from '../../base/buffer-pool.ts'
import type { CloseReason, Connection, DeferredBytes, FrameReceiver } from '../net.ts'
import { createNodeNet } from './net.ts'

const MIB = 1024 * 1024

async function until(condition: () => boolean, what: string): Promise<void> {
  const start = performance.now()
  while (!condition()) {
    if (performance.now() - start > 20_000) assert.fail(`not reached: ${what}`)
    await new Promise((resolve) => void setTimeout(resolve, 1))
  }
}

/** Bytes whose value tells their place; remembers how far they were asked for. */
class Deferred implements DeferredBytes {
  readonly size: number
  asked = 0
  /** From here on they are gone. */
  readonly end: number

  constructor(size: number, end = size) {
    this.size = size
    this.end = end
  }

  copyPart(target: Buffer, offset: number, from: number, length: number): boolean {
    if (from + length > this.end) return false
    assert.equal(from, this.asked, 'in order, once')
    for (let i = 0; i < length; i++) target[offset + i] = valueAt(from + i)
    this.asked = from + length
    return true
  }
}

function valueAt(position: number): number {
  return (position * 31 + (position >>> 8)) & 0xff
}

function expectedBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = valueAt(i)
  return bytes
}

/** An accepted connection, and the reader at its other end, which reads nothing before `resume`. */
async function pair() {
  const pool = new BufferPool()
  const net = createNodeNet({ pool })
  const closes: CloseReason[] = []
  let drains = 0
  let connection: Connection | undefined
  const receiver: FrameReceiver = {
    onFrame: () => {},
    maxFrameBytes: () => MIB,
    onDrain: () => void drains++,
    onClose: (reason) => void closes.push(reason),
  }
  const listener = await net.listen({ host: '127.0.0.1', port: 0 }, (accepted) => {
    connection = accepted
    return receiver
  })
  const reader: Socket = createConnection({ host: '127.0.0.1', port: listener.port, allowHalfOpen: true })
  const received: Buffer[] = []
  let ended = false
  reader.on('error', () => {})
  reader.on('end', () => (ended = true))
  await until(() => connection !== undefined, 'accepted')
  return {
    connection: connection!,
    pool,
    closes,
    drains: () => drains,
    read: () => reader.on('data', (chunk: Buffer) => received.push(chunk)),
    received: () => Buffer.concat(received),
    ended: () => ended,
    close: async () => {
      reader.destroy()
      connection!.destroy()
      await listener.close()
      await until(() => closes.length === 1, 'closed')
    },
  }
}

test('a slow reader costs one piece of memory, whatever was queued; then all of it comes, in order', async () => {
  const { connection, pool, read, received, drains, close } = await pair()
  const large = Array.from({ length: 4 }, () => new Deferred(12 * MIB))
  let released = 0
  const goesOn = large.map((part) =>
    connection.writeParts!([Buffer.from('before'), part, Buffer.from('after')], () => void released++),
  )
  assert.equal(connection.write(Buffer.from('last')), false, 'an ordinary write waits its turn')
  assert.equal(goesOn.at(-1), false, 'too much is queued')
  await until(() => connection.queuedBytes > 0 && large[0]!.asked > 0, 'the first pieces left')
  // What the system buffers is its own affair; ours is one piece.
  assert.ok(pool.stats().outstandingBytes <= 2 * MIB, `${pool.stats().outstandingBytes} bytes held`)
  assert.equal(large[3]!.asked, 0, 'not asked for before it can be sent')
  assert.equal(released, 0)
  read()
  const total = 4 * (12 * MIB + 11) + 4
  await until(() => received().length === total, 'all of it')
  const bytes = received()
  const body = expectedBytes(12 * MIB)
  for (let i = 0; i < 4; i++) {
    const at = i * (12 * MIB + 11)
    assert.equal(bytes.toString('latin1', at, at + 6), 'before')
    assert.ok(bytes.subarray(at + 6, at + 6 + body.length).equals(body), `part ${i}`)
    assert.equal(bytes.toString('latin1', at + 6 + body.length, at + 11 + body.length), 'after')
  }
  assert.equal(bytes.toString('latin1', total - 4), 'last')
  await until(() => released === 4 && drains() === 1, 'drained')
  assert.equal(connection.queuedBytes, 0)
  await close()
})

test('end sends what is queued in parts first', async () => {
  const { connection, read, received, ended, closes, close } = await pair()
  connection.writeParts!([new Deferred(9 * MIB)], () => {})
  connection.end()
  assert.equal(connection.write(Buffer.from('too late')), false)
  read()
  await until(ended, 'the end')
  assert.ok(received().equals(expectedBytes(9 * MIB)))
  assert.deepEqual(closes, [])
  await close()
})

test('bytes that are gone close the connection with an error, and everything is given back', async () => {
  const { connection, closes, read, pool, close } = await pair()
  let released = 0
  connection.writeParts!([new Deferred(30 * MIB, 20 * MIB)], () => void released++)
  connection.writeParts!([Buffer.alloc(10)], () => void released++)
  read()
  await until(() => closes.length === 1, 'closed')
  assert.deepEqual([closes, released], [['error'], 2])
  await until(() => pool.stats().outstandingBytes <= 2 * MIB, 'memory given back but for the spare piece')
  await close()
})

test('a reader that goes away releases what was queued', async () => {
  const { connection, closes, close } = await pair()
  let released = 0
  for (let i = 0; i < 3; i++) connection.writeParts!([new Deferred(20 * MIB)], () => void released++)
  assert.equal(released, 0)
  await close()
  assert.equal(closes.length, 1)
  assert.equal(released, 3)
  assert.equal(
    connection.writeParts!([Buffer.alloc(1)], () => void released++),
    false,
  )
  assert.equal(released, 4)
})
