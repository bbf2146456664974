import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { crc32c } from '../base/crc.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { Connection } from '../ports/net.ts'
import { createNodeDisk } from '../ports/node/disk.ts'
import { FileSender } from '../ports/node/file-sender.ts'
import { createNodeNet } from '../ports/node/net.ts'
import { baseOffset, batchSize, lastOffset } from '../protocol/records/batch.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import { finish, logConfig, openManager, T0 } from './testing-logs.ts'
import type { LogConfig } from './types.ts'

const sender = new FileSender()
const MIB = 1024 * 1024
const root = fs.mkdtempSync(`${tmpdir()}/samsa-log-`)
after(() => fs.rmSync(root, { recursive: true, force: true }))
let beds = 0

async function bed(overrides: Partial<LogConfig> = {}, disk = createNodeDisk({ sender })) {
  const directory = `${root}/${beds++}`
  fs.mkdirSync(directory)
  const config = logConfig({ maxMessageBytes: 2 * MIB, ...overrides })
  const { manager, clock } = openManager(disk, { defaultConfig: config, logDirs: [directory] })
  await finish(clock, manager.start(new Map()))
  return { manager, clock, log: manager.getOrCreate('t', 0, config, true) }
}

/** The descriptor is closed, within a second. */
async function givenBack(fd: number): Promise<void> {
  for (const end = Date.now() + 1000; Date.now() < end; ) {
    try {
      fs.fstatSync(fd)
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EBADF')
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.fail('the file is still open')
}

function append(log: PartitionLog, bytes: number, mark: number): void {
  const batch = new BatchBuilder({}).append(T0, null, Buffer.alloc(bytes, mark)).build()
  assert.equal(log.appendAsLeader(batch, 0, true).error, 0)
}

function read(log: PartitionLog, from: number, maxBytes = MIB) {
  const { records } = log.read(from, maxBytes, log.logEndOffset, true)
  assert.ok(records !== undefined)
  return records
}

describe('records that the system sends from the file', { skip: !sender.isAvailable }, () => {
  it('lie where they were written, and small ones are copied', async () => {
    const { log } = await bed()
    append(log, 1000, 1)
    append(log, 300_000, 2)
    const { pieces } = read(log, 1)
    pieces!.hold()
    const range = pieces!.inFile!(10, 100_000)
    const bytes = Buffer.alloc(range!.length)
    fs.readSync(range!.fd, bytes, 0, bytes.length, range!.position)
    const copied = Buffer.alloc(100_000)
    assert.ok(pieces!.copyPart(copied, 0, 10, copied.length))
    assert.ok(bytes.equals(copied))
    pieces!.letGo()
    assert.equal(read(log, 0, 1000).pieces!.inFile!(0, 1000), undefined)
  })

  it('are gone once the segment was cut, even where as many came again', async () => {
    const { log } = await bed()
    for (let i = 0; i < 4; i++) append(log, 100_000, i)
    const records = read(log, 0)
    const pieces = records.pieces!
    pieces.hold()
    log.truncateTo(2)
    for (let i = 0; i < 2; i++) append(log, 100_000, 9)
    assert.equal(pieces.inFile!(0, pieces.size), undefined)
    assert.equal(pieces.copyPart(Buffer.alloc(100), 0, 0, 100), false)
    assert.throws(() => records.copyTo(Buffer.alloc(records.size), 0), /was cut/)
    pieces.letGo()
  })

  it('after a restart are not cold while they are in memory; what is warmed up outlives retention', async () => {
    const { log, clock } = await bed({ segmentBytes: 600_000, retentionBytes: 1, fileDeleteDelayMs: 10 })
    for (let i = 0; i < 6; i++) append(log, 250_000, i)
    const records = read(log, 0)
    const warm = await records.warmUp!()
    const wanted = Buffer.alloc(warm.size)
    assert.ok(warm.pieces!.copyPart(wanted, 0, 0, warm.size))
    log.highWatermark = log.logEndOffset
    assert.ok(log.deleteOldSegments() > 0)
    await clock.advance(1000)
    const range = warm.pieces!.inFile!(0, warm.size)
    const bytes = Buffer.alloc(warm.size)
    assert.equal(fs.readSync(range!.fd, bytes, 0, bytes.length, range!.position), warm.size)
    assert.ok(bytes.equals(wanted))
    warm.pieces!.letGo()
    await givenBack(range!.fd)
  })

  it('of a removed segment are given back off the loop: closing the file frees all of its pages', async () => {
    const closes = new Map<string, string[]>()
    const note = (path: string, how: string) => closes.set(path, [...(closes.get(path) ?? []), how])
    const disk = createNodeDisk({ sender })
    const open = disk.open
    disk.open = (path, mode) => {
      const file = open(path, mode)
      const { close, closeOffLoop } = file
      file.close = () => {
        note(path, 'close')
        close.call(file)
      }
      file.closeOffLoop = () => {
        note(path, 'off the loop')
        closeOffLoop!.call(file)
      }
      return file
    }
    const { log, clock } = await bed({ segmentBytes: 600_000, retentionBytes: 1, fileDeleteDelayMs: 10 }, disk)
    for (let i = 0; i < 6; i++) append(log, 250_000, i)
    const { path } = log.segments.at(0)!
    const pieces = read(log, 0).pieces!
    pieces.hold()
    log.highWatermark = log.logEndOffset
    assert.ok(log.deleteOldSegments() > 0)
    await clock.advance(1000)
    assert.equal(closes.get(path), undefined, 'held')
    pieces.letGo()
    assert.deepEqual(closes.get(path), ['off the loop'])
  })
})

/** Reads frames of an int32 length, checks every whole batch in them. */
class Reader {
  readonly socket: Socket
  bytes = 0
  batches = 0
  #chunks: Buffer[] = []
  #have = 0

  constructor(port: number) {
    this.socket = createConnection({ host: '127.0.0.1', port })
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#have += chunk.length
      if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)]
      while (this.#have >= 4 && this.#have >= 4 + this.#chunks[0]!.readInt32BE(0)) {
        const all = Buffer.concat(this.#chunks)
        const end = 4 + all.readInt32BE(0)
        this.#check(all.subarray(4, end))
        this.#have -= end
        this.#chunks = this.#have > 0 ? [all.subarray(end)] : []
        if (this.#have < 4) break
      }
    })
  }

  #check(records: Buffer): void {
    this.bytes += records.length
    let next = -1
    for (let at = 0; at + 61 <= records.length && at + batchSize(records, at) <= records.length; at += batchSize(records, at)) {
      assert.equal(records.readUInt32BE(at + 17), crc32c(records, at + 21, at + batchSize(records, at)), 'CRC')
      if (next >= 0) assert.equal(baseOffset(records, at), next, 'in order')
      next = lastOffset(records, at) + 1
      this.batches++
    }
  }
}

describe('under load', { skip: !sender.isAvailable }, () => {
  const connections: Connection[] = []
  let port = 0
  let close: () => Promise<void>
  before(async () => {
    const listener = await createNodeNet({ sender }).listen({ host: '127.0.0.1', port: 0 }, (connection) => {
      connections.push(connection)
      return { onFrame: () => {}, maxFrameBytes: () => MIB, onClose: () => {} }
    })
    port = listener.port
    close = () => listener.close()
  })
  after(async () => {
    for (const connection of connections) connection.destroy()
    await close()
  })

  it('readers, also slow ones, see whole batches while segments roll, are deleted and cut', async () => {
    const rng = new SeededRng('send')
    const { log, clock } = await bed({ segmentBytes: 3 * MIB, retentionBytes: 6 * MIB, fileDeleteDelayMs: 5 })
    const readers = Array.from({ length: 6 }, () => new Reader(port))
    while (connections.length < readers.length) await new Promise((resolve) => void setTimeout(resolve, 1))
    let cuts = 0
    for (let round = 0; round < 150; round++) {
      append(log, rng.int(1000, 400_000), round & 0xff)
      log.highWatermark = log.logEndOffset
      if (rng.int(0, 20) === 0) {
        // As a follower that lost its unconfirmed end: nobody was sent that.
        append(log, 300_000, 0xee)
        log.truncateTo(log.logEndOffset - 1)
        cuts++
      }
      if (rng.int(0, 10) === 0) log.deleteOldSegments()
      await clock.advance(10)
      for (const [i, connection] of connections.entries()) {
        if (connection.queuedBytes > 4 * MIB) continue
        const slice = read(log, rng.int(log.logStartOffset, log.logEndOffset), rng.int(1000, 2 * MIB))
        const ready = slice.cold && slice.warmUp !== undefined ? await slice.warmUp() : slice.cold ? await slice.load() : slice
        const head = Buffer.alloc(4)
        head.writeInt32BE(ready.size)
        if (ready.pieces === undefined || ready.size < 2000) {
          const bytes = Buffer.alloc(ready.size)
          ready.copyTo(bytes, 0)
          connection.write(Buffer.concat([head, bytes]))
        } else {
          const { pieces } = ready
          if (ready === slice) pieces.hold()
          connection.writeParts!([head, pieces], () => pieces.letGo())
        }
        const { socket } = readers[i]!
        if (i < 3 && rng.int(0, 4) === 0) socket.pause()
        else socket.resume()
      }
      await new Promise((resolve) => void setImmediate(resolve))
    }
    for (const { socket } of readers) socket.resume()
    const end = performance.now() + 10_000
    while (connections.some(({ queuedBytes }) => queuedBytes > 0) && performance.now() < end)
      await new Promise((resolve) => void setTimeout(resolve, 5))
    assert.ok(cuts > 5)
    for (const { bytes, batches, socket } of readers) {
      assert.ok(bytes > 3 * MIB && batches > 15, `${bytes} bytes, ${batches} batches`)
      socket.destroy()
    }
  })
})
