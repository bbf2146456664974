import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { BufferPool } from '../../base/buffer-pool.ts'
import type { FileRange } from '../../base/bytes.ts'
import type { CloseReason, Connection, DeferredBytes } from '../net.ts'
import { createNodeDisk, nodeDisk } from './disk.ts'
import type { SendCalls } from './file-sender.ts'
import { FileSender } from './file-sender.ts'
import { createNodeNet } from './net.ts'

const MIB = 1024 * 1024
const root = fs.mkdtempSync(`${tmpdir()}/samsa-send-`)
after(() => fs.rmSync(root, { recursive: true, force: true }))

async function until(condition: () => boolean, what: string): Promise<void> {
  const start = performance.now()
  while (!condition()) {
    if (performance.now() - start > 20_000) assert.fail(`not reached: ${what}`)
    await new Promise((resolve) => void setTimeout(resolve, 1))
  }
}

let files = 0
/** A file of bytes that tell their place. */
function makeFile(size: number): { path: string; fd: number; bytes: Buffer } {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8)) & 0xff
  const path = `${root}/${files++}`
  fs.writeFileSync(path, bytes)
  return { path, fd: fs.openSync(path, 'r+'), bytes }
}

/** Part of a file; counts what had to be copied. */
class InFile implements DeferredBytes {
  readonly size: number
  readonly #fd: number
  readonly #position: number
  copied = 0

  constructor(fd: number, position: number, size: number) {
    this.#fd = fd
    this.#position = position
    this.size = size
  }

  inFile(from: number, length: number): FileRange {
    return { fd: this.#fd, position: this.#position + from, length }
  }

  copyPart(target: Buffer, offset: number, from: number, length: number): boolean {
    this.copied += length
    return fs.readSync(this.#fd, target, offset, length, this.#position + from) === length
  }
}

async function pair(sender: FileSender) {
  const pool = new BufferPool()
  const net = createNodeNet({ pool, sender })
  const closes: CloseReason[] = []
  let connection: Connection | undefined
  const listener = await net.listen({ host: '127.0.0.1', port: 0 }, (accepted) => {
    connection = accepted
    return { onFrame: () => {}, maxFrameBytes: () => MIB, onClose: (reason) => void closes.push(reason) }
  })
  const reader: Socket = createConnection({ host: '127.0.0.1', port: listener.port })
  const received: Buffer[] = []
  let bytes = 0
  reader.on('error', () => {})
  await until(() => connection !== undefined, 'accepted')
  return {
    connection: connection!,
    reader,
    pool,
    closes,
    read: () =>
      reader.on('data', (chunk: Buffer) => {
        received.push(chunk)
        bytes += chunk.length
      }),
    received: async (count: number) => {
      await until(() => bytes >= count, `${count} bytes, ${bytes} came`)
      return Buffer.concat(received)
    },
    close: async () => {
      reader.destroy()
      connection!.destroy()
      await listener.close()
      await until(() => closes.length === 1, 'closed')
    },
  }
}

const available = new FileSender()
const isLinux = process.platform === 'linux'

test('koffi is installed and finds its binary', { skip: !isLinux }, () => {
  assert.equal(available.isAvailable, true)
})

test('heads, files and tails come in order, none of the file through this process', { skip: !isLinux }, async () => {
  const { fd, bytes } = makeFile(3 * MIB)
  const { connection, read, received, close } = await pair(available)
  read()
  const parts = [new InFile(fd, 0, MIB), new InFile(fd, 1000, 300_001), new InFile(fd, 2 * MIB - 5, MIB + 5)]
  const wanted: Buffer[] = []
  let released = 0
  for (const [i, part] of parts.entries()) {
    connection.writeParts!([Buffer.from(`head ${i}`), part, Buffer.from('tail')], () => void released++)
    const { position } = part.inFile(0, 0)
    wanted.push(Buffer.from(`head ${i}`), bytes.subarray(position, position + part.size), Buffer.from('tail'))
    await received(Buffer.concat(wanted).length)
  }
  connection.write(Buffer.from('plain'))
  wanted.push(Buffer.from('plain'))
  const all = Buffer.concat(wanted)
  assert.ok((await received(all.length)).equals(all))
  assert.deepEqual(
    parts.map(({ copied }) => copied),
    [0, 0, 0],
  )
  assert.equal(released, 3)
  await close()
})

test('a slow reader gets all of it in order, for little memory; what it waits for is not lost', async () => {
  const { fd, path, bytes } = makeFile(24 * MIB)
  const { connection, reader, read, received, pool, close } = await pair(available)
  const part = new InFile(fd, 0, bytes.length)
  let released = 0
  connection.writeParts!([Buffer.from('a'), part, Buffer.from('z')], () => void released++)
  assert.equal(connection.write(Buffer.from('last')), false)
  await new Promise((resolve) => void setTimeout(resolve, 50))
  assert.ok(connection.queuedBytes > 8 * MIB)
  if (isLinux) assert.ok(pool.stats().outstandingBytes < MIB, `${pool.stats().outstandingBytes} bytes held`)
  fs.unlinkSync(path)
  read()
  for (let i = 0; i < 10; i++) {
    reader.pause()
    await new Promise((resolve) => void setTimeout(resolve, 5))
    reader.resume()
  }
  const all = Buffer.concat([Buffer.from('a'), bytes, Buffer.from('zlast')])
  assert.ok((await received(all.length)).equals(all))
  if (isLinux) assert.ok(part.copied < bytes.length / 2, `${part.copied} copied`)
  assert.equal(released, 1)
  await close()
})

test('a file does not overtake what the socket still has to write', async () => {
  const { fd, bytes } = makeFile(MIB)
  // A system that would take it although it has no room for what came before.
  let asked = 0
  const take = (): number => ++asked
  const sender = new FileSender({ load: () => ({ pageBytes: 4096, cachedPages: () => -1, send: take, sendfile: take }) })
  const { connection, read, received, close } = await pair(sender)
  const plain = Buffer.alloc(12 * MIB, 'plain ')
  connection.write(plain)
  connection.writeParts!([new InFile(fd, 0, MIB)], () => {})
  assert.equal(asked, 0)
  read()
  const all = Buffer.concat([plain, bytes])
  assert.ok((await received(all.length)).equals(all))
  await close()
})

test('a file that was cut ends the connection, and everything is given back', async () => {
  const { fd, bytes } = makeFile(24 * MIB)
  const { connection, closes, read, close } = await pair(available)
  let released = 0
  connection.writeParts!([Buffer.from('a'), new InFile(fd, 0, bytes.length)], () => void released++)
  fs.ftruncateSync(fd, 12 * MIB)
  read()
  await until(() => closes.length === 1, 'closed')
  assert.deepEqual([closes, released], [['error'], 1])
  await close()
})

test('a reader that goes away ends it', async () => {
  const { fd, bytes } = makeFile(16 * MIB)
  const { connection, reader, closes, close } = await pair(available)
  let released = 0
  for (let i = 0; i < 2; i++) connection.writeParts!([new InFile(fd, 0, bytes.length)], () => void released++)
  reader.resetAndDestroy()
  await until(() => closes.length === 1, 'closed')
  assert.equal(released, 2)
  await close()
})

test('without koffi everything is copied, and one line says why', async () => {
  const { fd, bytes } = makeFile(2 * MIB)
  const reasons: string[] = []
  const load = (): SendCalls => {
    throw new Error("Cannot find module 'koffi'\nRequire stack")
  }
  const sender = new FileSender({ load, onUnavailable: (reason) => void reasons.push(reason) })
  const { connection, read, received, close } = await pair(sender)
  read()
  const part = new InFile(fd, 0, bytes.length)
  connection.writeParts!([Buffer.from('a'), part], () => {})
  assert.ok((await received(bytes.length + 1)).subarray(1).equals(bytes))
  assert.equal(part.copied, bytes.length)
  assert.equal(sender.isResident({ fd, position: 0, length: 1 }), false)
  const disk = createNodeDisk({ sender })
  const file = disk.open(`${root}/other`, 'create')
  assert.equal(file.descriptor, undefined)
  file.close()
  assert.deepEqual(reasons, ["Cannot find module 'koffi'"])
  await close()
})

test('whatever the system takes at a time and refuses, the stream is the same', async () => {
  const { fd, bytes } = makeFile(3 * MIB)
  for (const refuse of ['head', 'file', 'some'] as const) {
    const { connection, read, received, close } = await pair(
      new FileSender({
        load: () => ({
          pageBytes: 4096,
          cachedPages: () => -1,
          // Takes nothing: what it says it took would be missing.
          send: () => -1,
          sendfile: () => (refuse === 'file' ? -1 : 0),
        }),
      }),
    )
    read()
    const parts = refuse === 'head' ? [Buffer.alloc(5000, 1), new InFile(fd, 0, bytes.length)] : [new InFile(fd, 0, bytes.length)]
    connection.writeParts!(parts, () => {})
    const all = Buffer.concat([...(refuse === 'head' ? [Buffer.alloc(5000, 1)] : []), bytes])
    assert.ok((await received(all.length)).equals(all), refuse)
    await close()
  }
})

test('positions beyond 4 GiB', { skip: !isLinux }, async () => {
  const path = `${root}/sparse`
  const fd = fs.openSync(path, 'w+')
  const text = Buffer.alloc(200_000, 'far away ')
  const position = 5 * 1024 ** 3 + 17
  fs.writeSync(fd, text, 0, text.length, position)
  const { connection, read, received, close } = await pair(available)
  read()
  const part = new InFile(fd, position, text.length)
  connection.writeParts!([part], () => {})
  assert.ok((await received(text.length)).equals(text))
  assert.equal(part.copied, 0)
  await close()
})

test('what was just written is in memory; behind the end of a file nothing is', { skip: !isLinux }, (context) => {
  const disk = createNodeDisk({ sender: available })
  const file = disk.open(`${root}/resident`, 'create')
  file.writeSync(Buffer.alloc(100_000, 1), 0, 100_000, 0)
  if (!file.isResident!(1000, 99_000)) context.skip('this kernel has no cachestat')
  else assert.equal(file.isResident!(90_000, 100_000), false)
  assert.equal(typeof file.descriptor, 'number')
  file.close()
  assert.equal(file.descriptor, undefined, 'by now it may be another file')
  assert.equal(nodeDisk.open(`${root}/resident`, 'read').descriptor, undefined)
})
