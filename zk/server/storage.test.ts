import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { crc32 } from './frames.ts'
import type { LogRecord } from './protocol.ts'
import { listFiles } from './recovery.ts'
import { type SnapshotSource, Storage } from './storage.ts'

const warnings: string[] = []
const log = { debug() {}, info() {}, warn: (m: string) => warnings.push(m), error: (m: string) => warnings.push(m) }

function inDirectory(name: string, body: (dir: string) => void | Promise<void>): void {
  test(name, async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'samsa-storage-'))
    warnings.length = 0
    try {
      await body(dir)
    } finally {
      fs.rmSync(dir, { recursive: true, force: true })
    }
  })
}

function record(zxid: number): LogRecord {
  return { zxid, time: 1, txn: { type: 'setData', path: '/x', data: Buffer.from(`value ${zxid}`) } }
}

/** A snapshot with one node for each transaction up to `zxid`. */
function source(zxid: number): SnapshotSource {
  let at = 0
  return {
    header: { zxid, nextSessionId: 1, sessions: [[5, 6000]], secret: Buffer.alloc(16, 9) },
    rows: {
      next() {
        if (at === zxid) return { done: true, value: undefined }
        at++
        return { done: false, value: [`/n${at}`, null, [], at, at, at, 0, 0, 0, 0, 0, 0] }
      },
      return: () => ({ done: true, value: undefined }),
    },
  }
}

function open(dir: string, fsync = false) {
  return Storage.open({ dir, fsync, log })
}

/** Writes records `from` to `to`, each in a frame of its own. */
async function fill(storage: Storage, from: number, to: number): Promise<void> {
  for (let zxid = from; zxid <= to; zxid++) {
    storage.append(record(zxid))
    storage.flush()
    while (storage.durable < storage.appended) await new Promise((resolve) => setImmediate(resolve))
  }
}

async function fresh(dir: string, records: number): Promise<void> {
  const { storage, recovered } = open(dir)
  assert.equal(recovered.header, null)
  storage.initialize(source(0))
  await fill(storage, 1, records)
  await storage.close()
}

function zxids(dir: string): number[] {
  const { storage, recovered } = open(dir)
  void storage.close()
  return recovered.records.map((r) => r.zxid)
}

describe('storage', () => {
  test('CRC-32 of the check string', () => {
    assert.equal(crc32(Buffer.from('123456789'), 0, 9), 0xcbf43926)
  })

  inDirectory('what was written comes back, and goes on', async (dir) => {
    await fresh(dir, 3)
    const { storage, recovered } = open(dir)
    assert.deepEqual([recovered.header?.zxid, recovered.header?.sessions, recovered.rows.length], [0, [[5, 6000]], 0])
    assert.deepEqual(recovered.header?.secret, Buffer.alloc(16, 9))
    assert.deepEqual(
      recovered.records.map((r) => ({ ...r })),
      [record(1), record(2), record(3)],
    )
    await fill(storage, 4, 5)
    await storage.close()
    assert.deepEqual(zxids(dir), [1, 2, 3, 4, 5])
  })

  inDirectory('records that come during a write go together in the next one, and are durable in order', async (dir) => {
    const { storage } = open(dir, true)
    storage.initialize(source(0))
    const steps: number[] = []
    storage.onDurable = () => steps.push(storage.durable)
    for (let zxid = 1; zxid <= 500; zxid++) {
      storage.append(record(zxid))
      storage.flush()
      assert.equal(storage.durable, 0)
    }
    await storage.close()
    assert.deepEqual(steps, [1, 500])
    assert.equal(zxids(dir).length, 500)
  })

  inDirectory('the log cut anywhere in its last frame: all before it is there, and writing goes on', async (dir) => {
    await fresh(dir, 3)
    const file = listFiles(dir, 'log')[0]!.file
    const whole = fs.readFileSync(file)
    const two = fs.mkdtempSync(path.join(dir, 'two-'))
    await fresh(two, 2)
    const start = fs.statSync(listFiles(two, 'log')[0]!.file).size
    for (let length = start; length < whole.length; length++) {
      fs.writeFileSync(file, whole.subarray(0, length))
      const { storage, recovered } = open(dir)
      assert.deepEqual(
        recovered.records.map((r) => r.zxid),
        [1, 2],
        `cut to ${length}`,
      )
      await fill(storage, 3, 3)
      await storage.close()
      assert.deepEqual(zxids(dir), [1, 2, 3])
    }
    assert.match(warnings.join(), /dropping \d+ bytes of an unfinished write/)
  })

  inDirectory('zeros at the end, as some file systems leave them, are a torn write too', async (dir) => {
    await fresh(dir, 2)
    fs.appendFileSync(listFiles(dir, 'log')[0]!.file, Buffer.alloc(100))
    assert.deepEqual(zxids(dir), [1, 2])
  })

  for (const [what, offset] of [
    ['length', 8],
    ['checksum', 13],
    ['payload', 20],
  ] as const) {
    inDirectory(
      `a flipped bit in a ${what} before the last frame: no start, and the message names file and offset`,
      async (dir) => {
        await fresh(dir, 3)
        const file = listFiles(dir, 'log')[0]!.file
        const bytes = fs.readFileSync(file)
        bytes[offset]! ^= 1
        fs.writeFileSync(file, bytes)
        assert.throws(() => open(dir), new RegExp(`${file} is damaged at offset 8$`))
      },
    )
  }

  inDirectory('a snapshot replaces the log before it; the two newest are kept', async (dir) => {
    await fresh(dir, 3)
    const { storage } = open(dir)
    for (const zxid of [3, 6, 9]) {
      const done = storage.snapshot(source(zxid))
      await fill(storage, zxid + 1, zxid + 3)
      await done
    }
    await storage.close()
    assert.deepEqual(
      listFiles(dir, 'snapshot').map((f) => f.zxid),
      [6, 9],
    )
    assert.deepEqual(
      listFiles(dir, 'log').map((f) => f.zxid),
      [6, 9],
    )
    const { recovered } = open(dir)
    assert.equal(recovered.rows.length, 9)
    assert.deepEqual(zxids(dir), [10, 11, 12])
  })

  inDirectory('a damaged newest snapshot: the older one and its longer log do', async (dir) => {
    await fresh(dir, 3)
    const { storage } = open(dir)
    await storage.snapshot(source(3))
    await fill(storage, 4, 5)
    await storage.close()
    const file = listFiles(dir, 'snapshot').at(-1)!.file
    fs.truncateSync(file, fs.statSync(file).size - 3)
    assert.deepEqual(zxids(dir), [1, 2, 3, 4, 5])
    assert.match(warnings.join(), /damaged; trying an older one/)
  })

  inDirectory('a log file that is missing in between is not passed over', async (dir) => {
    await fresh(dir, 3)
    const { storage } = open(dir)
    await storage.snapshot(source(3))
    await fill(storage, 4, 5)
    await storage.close()
    fs.rmSync(listFiles(dir, 'snapshot').at(-1)!.file)
    fs.rmSync(listFiles(dir, 'log')[0]!.file)
    assert.throws(() => open(dir), /transactions 0x1 to 0x3 are missing/)
  })

  inDirectory('logs without a snapshot are not taken for an empty server', async (dir) => {
    await fresh(dir, 1)
    fs.rmSync(listFiles(dir, 'snapshot')[0]!.file)
    assert.throws(() => open(dir), /no snapshot: refusing to start with an empty tree/)
  })

  inDirectory("a genuine server's directory is not taken for an empty one", (dir) => {
    fs.mkdirSync(path.join(dir, 'version-2'))
    assert.throws(() => open(dir), /holds the data of an Apache ZooKeeper/)
  })

  inDirectory('a crash between opening a log and writing to it', async (dir) => {
    await fresh(dir, 2)
    fs.writeFileSync(path.join(dir, 'log.2'), '')
    fs.writeFileSync(path.join(dir, 'snapshot.2.tmp'), 'half a snapsh')
    assert.deepEqual(zxids(dir), [1, 2])
    const { storage } = open(dir)
    await fill(storage, 3, 3)
    await storage.close()
    assert.deepEqual(zxids(dir), [1, 2, 3])
    assert.equal(fs.existsSync(path.join(dir, 'snapshot.2.tmp')), false)
  })

  for (const fsync of [true, false]) {
    inDirectory(`a disk that refuses is told once, and nothing more becomes durable (fsync ${fsync})`, async (dir) => {
      const { storage } = open(dir, fsync)
      storage.initialize(source(0))
      const failures: string[] = []
      storage.onFailure = (error) => failures.push(error.message)
      await fill(storage, 1, 1)
      fs.rmSync(dir, { recursive: true })
      // the next log file cannot be made
      await storage.snapshot(source(1))
      storage.append(record(2))
      storage.flush()
      await storage.close()
      assert.equal(storage.durable, 1)
      assert.match(failures.join(), /ENOENT/)
      assert.equal(failures.length, 1)
    })
  }
})
