import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { BufferPool } from '../../base/buffer-pool.ts'
import { frameOf, netContract, Recorder } from '../contract/net.ts'
import { createNodeNet } from './net.ts'

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms))
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const start = performance.now()
  while (!condition()) {
    if (performance.now() - start > 10_000) assert.fail(`not reached: ${what}`)
    await delay(1)
  }
}

function bed(host: string, turnBudgetMs?: number) {
  const pool = new BufferPool()
  const net = createNodeNet({ pool, ...(turnBudgetMs !== undefined && { turnBudgetMs }) })
  return { net, server: net, client: net, host, until, pass: () => delay(20), outstanding: () => pool.stats().outstanding }
}

netContract('node net', () => bed('127.0.0.1'))
netContract('node net, every turn is too long', () => bed('127.0.0.1', 0))
if (Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))) {
  netContract('node net, IPv6', () => bed('::1'))
} else {
  test('node net, IPv6', { skip: 'this machine has no IPv6 loopback' }, () => {})
}

async function rawPeer(): Promise<{
  far: Recorder
  socket: Socket
  net: ReturnType<typeof createNodeNet>
  close(): Promise<void>
}> {
  const { net } = bed('127.0.0.1')
  const far = new Recorder()
  const listener = await net.listen({ host: '', port: 0 }, (connection) => {
    far.connection = connection
    return far
  })
  const socket = createConnection({ host: '127.0.0.1', port: listener.port })
  socket.on('error', () => {})
  await until(() => far.connection !== undefined, 'accepted')
  return {
    far,
    socket,
    net,
    close: async () => {
      socket.destroy()
      far.connection.destroy()
      await listener.close()
      await until(() => far.closes.length === 1, 'closed')
    },
  }
}

test('this Node reads accepted connections on the fast path: into the one shared buffer', async () => {
  const { far, socket, net, close } = await rawPeer()
  const buffers = new Set<ArrayBufferLike>()
  const original = far.onFrame.bind(far)
  far.onFrame = (buffer, start, end) => {
    buffers.add(buffer.buffer)
    original(buffer, start, end)
  }
  for (let i = 0; i < 20; i++) {
    socket.write(frameOf(Buffer.alloc(1000, i)))
    await until(() => far.frames.length === i + 1, 'frame')
  }
  assert.equal(net.usesFastPath, true)
  assert.equal(buffers.size, 1)
  assert.equal([...buffers][0]!.byteLength, 256 * 1024)
  await close()
})

test('writes keep their order behind what the system did not take, and give their memory back once', async () => {
  const { far, socket, close } = await rawPeer()
  try {
    const sent: Buffer[] = []
    const released: number[] = []
    const send = (bytes: number): void => {
      const number = sent.length
      const buffer = Buffer.alloc(bytes, number)
      sent.push(buffer)
      far.connection.write(buffer, () => released.push(number))
    }
    // Of odd sizes, so that one of them is taken in part; nobody reads.
    while (far.connection.queuedBytes === 0) send(sent.length % 2 === 0 ? 16_000 : 900_000)
    const taken = released.length
    for (let i = 0; i < 20; i++) send(100 + i)
    assert.deepEqual([taken, released.length], [sent.length - 21, taken], 'what the system has not taken is kept')
    const received: Buffer[] = []
    let bytes = 0
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk)
      bytes += chunk.length
      // The system has room again, perhaps before the platform has given it what is kept.
      if (received.length <= 50) send(200)
    })
    await until(() => bytes === sent.reduce((sum, { length }) => sum + length, 0), 'everything')
    assert.ok(Buffer.concat(received).equals(Buffer.concat(sent)))
    await until(() => released.length === sent.length, 'given back')
    assert.deepEqual(released, [...sent.keys()])
  } finally {
    await close()
  }
})

test('an IPv4 peer of a dual-stack listener has its plain address', async () => {
  const { far, close } = await rawPeer()
  assert.equal(far.connection.remoteAddress, '127.0.0.1')
  await close()
})

test('bytes one at a time, then half a frame and the end of the stream', async () => {
  const { far, socket, close } = await rawPeer()
  socket.setNoDelay(true)
  for (const byte of frameOf('slow')) {
    socket.write(Buffer.from([byte]))
    await delay(1)
  }
  await until(() => far.text === 'slow', 'frame')
  socket.end(frameOf('never whole').subarray(0, 9))
  await until(() => far.closes.length === 1, 'closed')
  assert.deepEqual([far.text, far.closes], ['slow', ['remote']])
  await close()
})

test('a peer that ends its side after its requests still has them delivered', async () => {
  const { far, socket, close } = await rawPeer()
  socket.end(Buffer.concat([frameOf('a'), frameOf('b')]))
  await until(() => far.closes.length === 1, 'closed')
  assert.deepEqual([far.text, far.closes], ['ab', ['remote']])
  await close()
})

test('a reset by the peer closes with remote', async () => {
  const { far, socket, close } = await rawPeer()
  socket.resetAndDestroy()
  await until(() => far.closes.length === 1, 'closed')
  assert.deepEqual(far.closes, ['remote'])
  await close()
})

test('an impossible port and an unknown host end with an error, not with an exception', async () => {
  const { net } = bed('127.0.0.1')
  const badPort = new Recorder()
  net.connect({ host: '127.0.0.1', port: 70_000, timeoutMs: 1000 }, badPort)
  const badHost = new Recorder()
  net.connect({ host: 'no-such-host.invalid', port: 9092, timeoutMs: 20_000 }, badHost)
  await until(() => badPort.closes.length + badHost.closes.length === 2, 'closed')
  assert.deepEqual([badPort.closes, badHost.closes], [['error'], ['error']])
  assert.equal(badPort.error?.code, 'ERR_SOCKET_BAD_PORT')
})

test('without the internals the net falls back to data events with the same frames', async () => {
  // The fallback is chosen per connection by looking for the handle: hide it.
  const { Socket } = await import('node:net')
  const pause = Socket.prototype.pause
  const { net } = bed('127.0.0.1')
  const far = new Recorder()
  const listener = await net.listen({ host: '127.0.0.1', port: 0, paused: true }, (connection) => {
    far.connection = connection
    return far
  })
  const near = new Recorder()
  near.connection = net.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 }, near)
  await until(() => near.connects === 1, 'connected')
  await delay(20)
  const handles = hideHandles()
  listener.start()
  handles.restore()
  assert.equal(net.usesFastPath, false)
  far.hook = (payload, connection) => {
    connection.write(frameOf(payload))
    if (payload.length === 1) connection.pause()
  }
  near.connection.write(Buffer.concat([frameOf('x'), frameOf('behind the pause')]))
  near.connection.write(frameOf(Buffer.alloc(2_000_000, 3)))
  await until(() => near.frames.length === 1, 'first')
  await delay(20)
  assert.equal(far.frames.length, 1)
  far.connection.resume()
  await until(() => near.frames.length === 3, 'rest')
  assert.deepEqual(
    near.frames.map((frame) => frame.length),
    [1, 16, 2_000_000],
  )
  near.connection.end()
  await until(() => near.closes.length === 1 && far.closes.length === 1, 'closed')
  assert.deepEqual([near.closes, far.closes], [['local'], ['remote']])
  await listener.close()
  assert.equal(Socket.prototype.pause, pause)
})

/** Makes handles look as if they had no `useUserBuffer`, the method that the fast path needs. */
function hideHandles(): { restore(): void } {
  const sample = createConnection({ port: 1, host: '127.0.0.1' }) as unknown as {
    _handle: object
    on(e: string, f: () => void): void
    destroy(): void
  }
  sample.on('error', () => {})
  let prototype: object | null = Object.getPrototypeOf(sample._handle)
  while (prototype !== null && !Object.hasOwn(prototype, 'useUserBuffer')) prototype = Object.getPrototypeOf(prototype)
  sample.destroy()
  assert.ok(prototype !== null)
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'useUserBuffer')!
  Object.defineProperty(prototype, 'useUserBuffer', { ...descriptor, value: undefined })
  return { restore: () => void Object.defineProperty(prototype, 'useUserBuffer', descriptor) }
}
