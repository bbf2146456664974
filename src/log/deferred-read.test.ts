import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RecordPieces } from '../base/bytes.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import { finish, logConfig, openManager, T0 } from './testing-logs.ts'
import type { LogConfig } from './types.ts'

async function bed(overrides: Partial<LogConfig> = {}) {
  const disk = new MemoryDisk({ rng: new SeededRng('deferred') })
  const config = logConfig(overrides)
  const { manager, clock } = openManager(disk, { defaultConfig: config })
  await finish(clock, manager.start(new Map()))
  return { disk, manager, clock, log: manager.getOrCreate('t', 0, config, true) }
}

/** `count` batches of one record; they differ. */
function append(log: PartitionLog, count: number, mark: number): void {
  for (let i = 0; i < count; i++) {
    const value = Buffer.alloc(1000, mark + i)
    assert.equal(log.appendAsLeader(new BatchBuilder({}).append(T0, null, value).build(), 0, true).error, 0)
  }
}

function piecesOf(log: PartitionLog): RecordPieces {
  const { records } = log.read(0, 1 << 20, log.logEndOffset, true)
  assert.ok(records?.pieces !== undefined)
  return records.pieces
}

/** All of it, 700 bytes at a time; `undefined` as soon as something is gone. */
function copyOf(pieces: RecordPieces): Buffer | undefined {
  const bytes = Buffer.alloc(pieces.size)
  for (let from = 0; from < bytes.length; from += 700) {
    if (!pieces.copyPart(bytes, from, from, Math.min(700, bytes.length - from))) return undefined
  }
  return bytes
}

describe('records that are copied later', () => {
  it('are the same in pieces, from the tail cache and from the file, while more is appended', async () => {
    const { log } = await bed()
    append(log, 20, 0)
    const { records } = log.read(0, 1 << 20, log.logEndOffset, true)
    const wanted = Buffer.alloc(records!.size)
    records!.copyTo(wanted, 0)
    const pieces = piecesOf(log)
    pieces.hold()
    append(log, 50, 100)
    assert.ok(copyOf(pieces)!.equals(wanted))
    pieces.letGo()
  })

  it('outlive their segment: retention and rolling take nothing away that is held', async () => {
    const { log, clock, disk } = await bed({ segmentBytes: 30_000, retentionBytes: 1, fileDeleteDelayMs: 10 })
    append(log, 20, 0)
    const pieces = piecesOf(log)
    pieces.hold()
    const wanted = copyOf(pieces)!
    append(log, 60, 100)
    log.highWatermark = log.logEndOffset
    assert.ok(log.deleteOldSegments() > 0)
    await clock.advance(1000)
    const path = `${log.directory}/00000000000000000000.log`
    assert.equal(disk.exists(path) || disk.exists(`${path}.deleted`), false, 'the file is gone')
    assert.ok(copyOf(pieces)!.equals(wanted))
    pieces.letGo()
  })

  it('are gone once the segment was cut, even where as many bytes came again', async () => {
    const { log } = await bed()
    append(log, 20, 0)
    const pieces = piecesOf(log)
    pieces.hold()
    assert.ok(copyOf(pieces) !== undefined)
    log.truncateTo(10)
    append(log, 10, 200)
    assert.equal(copyOf(pieces), undefined)
    pieces.letGo()
    const again = piecesOf(log)
    again.hold()
    assert.ok(copyOf(again) !== undefined)
    again.letGo()
  })

  it('that cannot be read any more are gone, and the directory is offline', async () => {
    const { log, disk } = await bed()
    append(log, 20, 0)
    const pieces = piecesOf(log)
    pieces.hold()
    disk.fail({ code: 'EIO', operation: 'read', path: '.log' })
    assert.equal(copyOf(pieces), undefined)
    assert.throws(() => log.appendAsLeader(new BatchBuilder({}).append(T0, null, null).build(), 0, true), { code: 'EBADF' })
    pieces.letGo()
  })
})
