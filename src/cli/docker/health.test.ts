import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { askBroker } from '../ask.ts'
import { checkHealth } from './health.ts'

/** A server that does this with a question, while `use` runs. */
async function served<T>(serve: (socket: Socket) => void, use: (port: number) => Promise<T>): Promise<T> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.once('data', () => serve(socket))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  try {
    return await use((server.address() as AddressInfo).port)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((done) => server.close(done))
  }
}

/** What the health check says of such a server. */
function checked(serve: (socket: Socket) => void, timeoutMs = 10_000): Promise<number> {
  return served(serve, (port) => checkHealth('127.0.0.1', port, timeoutMs))
}

/** An ApiVersions v0 answer with one API. */
function answer(errorCode: number): Buffer {
  const body = Buffer.from([0, 0, 0, 1, 0, errorCode, 0, 0, 0, 1, 0, 0, 0, 0, 0, 5])
  const frame = Buffer.alloc(4 + body.length)
  frame.writeInt32BE(body.length)
  body.copy(frame, 4)
  return frame
}

describe('health check of the broker image', () => {
  it('an answer is health, also in two pieces', async () => {
    assert.equal(await checked((socket) => void socket.write(answer(0))), 0)
    const inPieces = (socket: Socket): void => {
      socket.write(answer(0).subarray(0, 7))
      setImmediate(() => socket.write(answer(0).subarray(7)))
    }
    assert.equal(await checked(inPieces), 0)
  })

  it('an open port without an answer is none', async () => {
    assert.equal(await checked(() => {}, 100), 1)
    assert.equal(await checked((socket) => socket.destroy()), 1)
  })

  it('an error, a wrong length, a torn answer are none', async () => {
    assert.equal(await checked((socket) => void socket.write(answer(35))), 1)
    assert.equal(await checked((socket) => void socket.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n'))), 1)
    assert.equal(await checked((socket) => void socket.end(answer(0).subarray(0, 12))), 1)
  })

  it('a closed connection is told as such, at once', async () => {
    const ask = (port: number): Promise<unknown> => askBroker({ host: '127.0.0.1', port }, 'ApiVersions', 0, {}, 60_000)
    await assert.rejects(
      served((socket) => socket.destroy(), ask),
      /closed instead of an answer|ECONNRESET/,
    )
  })

  it('a port where nobody listens is none', async () => {
    assert.equal(await checkHealth('127.0.0.1', 1), 1)
  })
})
