import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DiskError } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { readOffsetCheckpoint, writeOffsetCheckpoint } from './checkpoints.ts'
import { deleteFolderName, offsetOfFileName, parseLogFolder, segmentFileName } from './file-names.ts'
import { readMetaProperties, writeMetaProperties } from './meta-properties.ts'
import { CorruptSnapshotError, decodeSnapshot, encodeSnapshot } from './producer-snapshots.ts'
import { ProducerState } from './producer-state.ts'
import { TailCache, TailRing } from './tail-cache.ts'

describe('names', () => {
  it('of partition folders are cut at the last dash', () => {
    assert.deepEqual(parseLogFolder('a-b.c-12'), { topic: 'a-b.c', partition: 12, kind: 'current' })
    assert.deepEqual(parseLogFolder('a-3.0123-delete'), { topic: 'a', partition: 3, kind: 'delete' })
    assert.deepEqual(parseLogFolder('a.b-3.0123-future'), { topic: 'a.b', partition: 3, kind: 'future' })
    for (const bad of ['lost+found', 'topic-x', '-1', 'topic-', 'a-delete', 'topic', '', 'a-99999999999'])
      assert.equal(parseLogFolder(bad), undefined, bad)
    const name = deleteFolderName('t'.repeat(249), 7, 'f'.repeat(32))
    assert.ok(name.length <= 255)
    assert.equal(parseLogFolder(name)?.partition, 7)
  })

  it('of segment files begin with their offset', () => {
    assert.equal(segmentFileName(42, '.log'), '00000000000000000042.log')
    assert.equal(offsetOfFileName('00000000000000000042.timeindex.swap'), 42)
    assert.equal(offsetOfFileName('leader-epoch-checkpoint'), undefined)
  })
})

describe('checkpoint and property files', () => {
  const disk = new MemoryDisk({ rng: new SeededRng('files') })
  disk.makeDirectory('/d')

  it('are read as they were written; malformed ones are errors that name the line', () => {
    const entries = [
      { topic: 'a-b', partition: 0, offset: 5 },
      { topic: 'c', partition: 12, offset: 2 ** 40 },
    ]
    writeOffsetCheckpoint(disk, '/d/x', entries)
    assert.equal(disk.readFile('/d/x').toString(), '0\n2\na-b 0 5\nc 12 1099511627776\n')
    assert.deepEqual(readOffsetCheckpoint(disk, '/d/x'), entries)
    assert.deepEqual(readOffsetCheckpoint(disk, '/d/none'), [])
    for (const [text, why] of [
      ['hello\n', /Malformed line in checkpoint file \(\/d\/x\): hello'/],
      ['1\n0\n', /Unrecognized version of the checkpoint file/],
      ['0\n2\na 0 1\n', /Expected 2 entries in checkpoint file \(\/d\/x\), but found only 1/],
      ['0\n1\na 0\n', /Malformed line in checkpoint file \(\/d\/x\): a 0'/],
      ['0\n1\na x 1\n', /Malformed line/],
    ] as const) {
      disk.writeFileAtomic('/d/x', text)
      assert.throws(
        () => readOffsetCheckpoint(disk, '/d/x'),
        (error) => error instanceof DiskError && why.test(error.message),
        text,
      )
    }
    for (const text of ['', '0\n', '0\n0\n', '0\n1\na  0\t7\n']) {
      disk.writeFileAtomic('/d/x', text)
      assert.ok(readOffsetCheckpoint(disk, '/d/x').length <= 1)
    }
  })

  it('meta.properties has the broker id, a date and version 0', () => {
    assert.equal(readMetaProperties(disk, '/d'), undefined)
    writeMetaProperties(disk, '/d', 1001, Date.UTC(2024, 1, 29, 23, 59, 58))
    assert.equal(disk.readFile('/d/meta.properties').toString(), '#\n#Thu Feb 29 23:59:58 UTC 2024\nversion=0\nbroker.id=1001\n')
    assert.equal(readMetaProperties(disk, '/d'), 1001)
    disk.writeFileAtomic('/d/meta.properties', 'version=1\nbroker.id=0\n')
    assert.throws(() => readMetaProperties(disk, '/d'), /Unrecognized version of the server meta.properties file: 1/)
    disk.writeFileAtomic('/d/meta.properties', 'version=0\nbroker.id=x\n')
    assert.throws(() => readMetaProperties(disk, '/d'), /broker.id .* is not a number: x/)
  })
})

describe('producer snapshots', () => {
  it('survive encoding, and are refused when a bit is wrong', () => {
    const state = new ProducerState()
    const entry = {
      producerId: 4000,
      producerEpoch: 3,
      lastSequence: 9,
      lastOffset: 77,
      offsetDelta: 2,
      timestamp: 5,
      coordinatorEpoch: -1,
      currentTxnFirstOffset: 70,
    }
    state.load(entry, 0)
    assert.equal(state.firstUnstableOffset, 70)
    const bytes = encodeSnapshot(state)
    assert.equal(bytes.length, 56)
    assert.deepEqual(decodeSnapshot(bytes), [entry])
    for (let i = 0; i < bytes.length; i++) {
      const bad = Buffer.from(bytes)
      bad[i]! ^= 0x10
      assert.throws(() => decodeSnapshot(bad), CorruptSnapshotError, `byte ${i}`)
      assert.throws(() => decodeSnapshot(bytes.subarray(0, i)), CorruptSnapshotError, `cut at ${i}`)
    }
  })
})

describe('the tail cache', () => {
  it('mirrors the last bytes of a file, whatever is appended, cut or rolled', () => {
    const rng = new SeededRng('ring')
    const cache = new TailCache({ maxBytes: 4096, firstRingBytes: 256, maxRingBytes: 1024 })
    const ring = new TailRing(cache)
    let file = Buffer.alloc(0)
    let hits = 0
    for (let round = 0; round < 3000; round++) {
      const kind = rng.int(0, 50)
      if (kind === 0) {
        file = file.subarray(0, rng.int(0, file.length + 1))
        ring.truncate(file.length)
      } else if (kind === 1) {
        file = Buffer.alloc(0)
        ring.restart()
      } else {
        const bytes = rng.bytes(rng.int(1, kind === 2 ? 3000 : 90))
        ring.append(bytes, file.length)
        file = Buffer.concat([file, bytes])
      }
      const from = Math.max(0, file.length - rng.int(0, 700))
      const length = rng.int(0, file.length - from + 1)
      if (ring.has(from, length)) {
        const got = Buffer.alloc(length)
        ring.copyTo(got, 0, length, from)
        assert.ok(got.equals(file.subarray(from, from + length)))
        if (length > 0) hits++
      } else ring.missed(file.length - from, file.length)
      assert.ok(cache.bytes <= 1024)
    }
    assert.ok(hits > 500, `${hits} hits`)
    assert.equal(cache.bytes, 1024, 'grown to where the reader is')
    ring.drop()
    assert.equal(cache.bytes, 0)
  })

  it('is bounded over all logs: the ring that was read longest ago goes', () => {
    const cache = new TailCache({ maxBytes: 1024, firstRingBytes: 256, maxRingBytes: 256 })
    const rings = Array.from({ length: 6 }, () => new TailRing(cache))
    for (const ring of rings) {
      ring.missed(10, 0)
      ring.append(Buffer.alloc(10), 0)
    }
    assert.deepEqual(
      rings.map((ring) => ring.isActive),
      [false, false, true, true, true, true],
    )
    assert.equal(cache.bytes, 1024)
  })

  it('gives memory back when nobody reads', () => {
    const cache = new TailCache({ firstRingBytes: 256 })
    const ring = new TailRing(cache)
    ring.append(Buffer.alloc(10), 0)
    assert.equal(cache.bytes, 0, 'nobody has read yet')
    ring.missed(10, 10)
    for (let at = 10; at < 10_000; at += 100) ring.append(Buffer.alloc(100), at)
    assert.equal(ring.isActive, false)
    assert.equal(cache.bytes, 0)
  })
})
