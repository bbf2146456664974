import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { BatchBuilder, endTransactionMarker } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import type { BrokerLogManager } from './log-manager.ts'
import { RecordsCutError } from './records-cut.ts'
import { DATA, finish, GOLDEN_WALL, logConfig, openManager, T0 } from './testing-logs.ts'
import type { LogConfig } from './types.ts'

interface Bed {
  readonly disk: MemoryDisk
  readonly manager: BrokerLogManager
  readonly clock: VirtualClock
  readonly log: PartitionLog
}

async function bed(
  overrides: Partial<LogConfig> = {},
  disk = new MemoryDisk({ rng: new SeededRng('log') }),
  clock?: VirtualClock,
): Promise<Bed> {
  const config = logConfig(overrides)
  const opened = openManager(disk, { defaultConfig: config }, clock)
  await finish(opened.clock, opened.manager.start(new Map()))
  return { disk, manager: opened.manager, clock: opened.clock, log: opened.manager.getOrCreate('t', 0, config, true) }
}

interface BatchShape {
  readonly count?: number
  readonly bytes?: number
  readonly timestamp?: number
  readonly baseOffset?: number
  readonly leaderEpoch?: number
}

function batch({ count = 1, bytes = 10, timestamp = T0, baseOffset = 0, leaderEpoch = -1 }: BatchShape = {}): Buffer {
  const builder = new BatchBuilder({ baseOffset, leaderEpoch })
  for (let i = 0; i < count; i++) builder.append(timestamp, null, Buffer.alloc(bytes, count))
  return builder.build()
}

function bytesOf(log: PartitionLog, from: number, maxBytes: number, upTo: number, minOne: boolean): Buffer {
  const { records } = log.read(from, maxBytes, upTo, minOne)
  const buffer = Buffer.alloc(records?.size ?? 0)
  records?.copyTo(buffer, 0)
  return buffer
}

describe('reading', () => {
  it('gives what a naive search over all batches gives, in the tail cache, from files, after truncation', async () => {
    const rng = new SeededRng('reads')
    const { log, manager, clock } = await bed({ segmentBytes: 4000, indexIntervalBytes: 200 })
    let mostSegments = 0
    let model: { from: number; to: number; segment: number; bytes: Buffer }[] = []
    for (let round = 0; round < 400; round++) {
      if (rng.int(0, 30) === 0 && model.length > 0) {
        const cut = model[rng.int(0, model.length)]!
        log.truncateTo(cut.from)
        model = model.filter((entry) => entry.to <= cut.from)
      }
      mostSegments = Math.max(mostSegments, log.segments.length)
      const count = rng.int(1, 6)
      const sent = batch({ count, bytes: rng.int(0, 120) })
      const { firstOffset } = log.appendAsLeader(sent, 0, true)
      model.push({
        from: firstOffset,
        to: firstOffset + count,
        segment: log.segments.active.baseOffset,
        bytes: Buffer.from(sent),
      })
      for (let k = 0; k < 4; k++) {
        const from = k === 0 ? firstOffset : rng.int(0, log.logEndOffset)
        const upTo = k === 1 ? rng.int(from, log.logEndOffset + 1) : log.logEndOffset
        const maxBytes = rng.int(0, 900)
        const minOne = rng.int(0, 2) === 0
        const start = model.findIndex((entry) => entry.to > from)
        const segment = model[start]!.segment
        // Data end before the batch that holds the bound, as 1.1 reads.
        const within = model.slice(start).filter((entry) => entry.segment === segment && entry.to <= upTo)
        const all = Buffer.concat(within.map((entry) => entry.bytes))
        const limit = minOne ? Math.max(maxBytes, model[start]!.bytes.length) : maxBytes
        const got = bytesOf(log, from, maxBytes, upTo, minOne)
        assert.ok(
          got.equals(all.subarray(0, limit)),
          `${got.length} of ${Math.min(all.length, limit)} bytes, round ${round}: ${from} up to ${upTo}, ${maxBytes} bytes`,
        )
        if (segment === log.segments.active.baseOffset && upTo === log.logEndOffset)
          assert.equal(log.bytesBetween(from, upTo), all.length)
      }
    }
    assert.ok(mostSegments > 5, `only ${mostSegments} segments`)
    for (let i = 0; i < 99; i++) log.appendAsLeader(batch({ bytes: 100 }), 0, true)
    assert.equal(log.bytesBetween(0, log.logEndOffset), -1, 'an older segment')
    await finish(clock, manager.shutdown())
  })

  it('says that old data are cold, loads them off the loop, then finds them warm', async () => {
    const first = await bed()
    for (let i = 0; i < 50; i++) first.log.appendAsLeader(batch({ bytes: 1000 }), 0, true)
    assert.equal(first.log.read(0, 1000, 50, true).records!.cold, false, 'this process wrote it')
    const wanted = bytesOf(first.log, 10, 5000, 50, true)
    await finish(first.clock, first.manager.shutdown())
    const { log, manager, clock } = await bed({}, first.disk)
    const { records } = log.read(10, 5000, 50, true)
    assert.equal(records!.cold, true)
    const loaded = await finish(clock, records!.load())
    const buffer = Buffer.alloc(loaded.size)
    loaded.copyTo(buffer, 0)
    assert.ok(buffer.equals(wanted))
    assert.equal(loaded.cold, false)
    assert.equal(await loaded.load(), loaded)
    assert.equal(log.read(20, 5000, 50, true).records!.cold, false, 'read ahead')
    assert.equal(log.read(0, 5000, 50, true).records!.cold, true, 'before it')
    log.appendAsLeader(batch({ bytes: 1000 }), 0, true)
    assert.equal(log.read(50, 5000, 51, true).records!.cold, false, 'appended now')
    await finish(clock, manager.shutdown())
  })

  it('says so when old data are cut off while they are loaded, even where as many bytes came again; the disk is not to blame', async () => {
    const first = await bed()
    for (let i = 0; i < 50; i++) first.log.appendAsLeader(batch({ bytes: 1000 }), 0, true)
    await finish(first.clock, first.manager.shutdown())
    for (const refill of [0, 50]) {
      const { log, manager, clock } = await bed({}, first.disk)
      const { records } = log.read(10, 50_000, 50, true)
      assert.equal(records!.cold, true)
      const loading = assert.rejects(finish(clock, records!.load()), RecordsCutError)
      log.truncateTo(20)
      for (let i = 0; i < refill; i++) log.appendAsLeader(batch({ bytes: 1000 }), 1, true)
      await loading
      assert.deepEqual(manager.offlineDirectories, [])
      assert.equal(log.read(10, 1000, 20, true).error, 0)
      for (let i = log.logEndOffset; i < 50; i++) log.appendAsLeader(batch({ bytes: 1000 }), 1, true)
      await finish(clock, manager.shutdown())
    }
  })

  it('keeps a segment open for a load while its files are removed', async () => {
    const first = await bed()
    first.log.appendAsLeader(batch({ bytes: 500 }), 0, true)
    await finish(first.clock, first.manager.shutdown())
    const { log, manager, clock } = await bed({ fileDeleteDelayMs: 0 }, first.disk)
    const slice = log.read(0, 1000, 1, true).records!
    const loading = slice.load()
    log.truncateFullyAndStartAt(0)
    await clock.advance(10)
    assert.equal((await finish(clock, loading)).size, slice.size)
    await finish(clock, manager.shutdown())
  })

  it('answers the old ListOffsets from segment times', async () => {
    const time = new VirtualClock({ wall: GOLDEN_WALL })
    const timed = new MemoryDisk({ rng: new SeededRng('old'), clock: time })
    const { log, manager, clock } = await bed({ segmentBytes: 300 }, timed, time)
    const ends: number[] = []
    for (let i = 0; i < 6; i++) {
      log.appendAsLeader(batch({ bytes: 150 }), 0, true)
      ends.push(clock.wall())
      await clock.advance(1000)
    }
    const bases = [...log.segments].map((segment) => segment.baseOffset)
    assert.deepEqual(bases, [0, 1, 2, 3, 4, 5])
    assert.deepEqual(log.legacyOffsetsBefore(-1, 3), [6, 5, 4])
    assert.deepEqual(log.legacyOffsetsBefore(-2, 9), [0])
    assert.deepEqual(log.legacyOffsetsBefore(ends[2]!, 9), [2, 1, 0])
    assert.deepEqual(log.legacyOffsetsBefore(ends[0]! - 5000, 9), [])
    await finish(clock, manager.shutdown())
  })
})

describe('rolling', () => {
  it('begins a segment when the append would exceed segment.bytes', async () => {
    const { log, manager, clock } = await bed({ segmentBytes: 250 })
    for (let i = 0; i < 5; i++) log.appendAsLeader(batch({ bytes: 40 }), 0, true)
    assert.deepEqual(
      [...log.segments].map((segment) => segment.baseOffset),
      [0, 2, 4],
    )
    const large = log.appendAsLeader(batch({ bytes: 300 }), 0, true)
    assert.equal(large.error, ErrorCode.RECORD_LIST_TOO_LARGE)
    assert.equal(log.logEndOffset, 5)
    await finish(clock, manager.shutdown())
  })

  it('goes by the time of the records, and without timestamps by the clock', async () => {
    const { log, manager, clock } = await bed({ segmentMs: 1000 })
    log.appendAsLeader(batch({ timestamp: T0 }), 0, true)
    log.appendAsLeader(batch({ timestamp: T0 + 1000 }), 0, true)
    await clock.advance(100_000)
    log.appendAsLeader(batch({ timestamp: T0 - 5000 }), 0, true)
    assert.equal(log.segments.length, 1)
    log.appendAsLeader(batch({ timestamp: T0 + 1001 }), 0, true)
    assert.equal(log.segments.length, 2)
    log.truncateFullyAndStartAt(0)
    log.appendAsLeader(batch({ timestamp: -1 }), 0, true)
    await clock.advance(900)
    log.appendAsLeader(batch({ timestamp: -1 }), 0, true)
    assert.equal(log.segments.length, 1)
    await clock.advance(200)
    log.appendAsLeader(batch({ timestamp: -1 }), 0, true)
    assert.equal(log.segments.length, 2)
    await finish(clock, manager.shutdown())
  })

  it('happens when an index is full', async () => {
    const { log, manager, clock } = await bed({ segmentIndexBytes: 48, indexIntervalBytes: 1 })
    for (let i = 0; i < 12; i++) log.appendAsLeader(batch({ timestamp: T0 + i }), 0, true)
    // Room for 6 offset entries and 4 time entries, one of which is kept for the end.
    assert.deepEqual(
      [...log.segments].map((segment) => segment.baseOffset),
      [0, 4, 8],
    )
    await finish(clock, manager.shutdown())
  })

  it('follows relative offsets that would overflow', async () => {
    const { log, manager, clock } = await bed()
    log.appendAsFollower(batch({ baseOffset: 0, leaderEpoch: 0 }))
    log.appendAsFollower(batch({ baseOffset: 2 ** 31 + 5, leaderEpoch: 0 }))
    assert.deepEqual(
      [...log.segments].map((segment) => segment.baseOffset),
      [0, 6],
    )
    assert.equal(log.logEndOffset, 2 ** 31 + 6)
    await finish(clock, manager.shutdown())
  })
})

describe('follower appends', () => {
  it('keep offsets and epochs, refuse what does not follow', async () => {
    const { log, manager, clock, disk } = await bed({ segmentBytes: 400 })
    const records = Buffer.concat([
      batch({ count: 2, baseOffset: 0, leaderEpoch: 3 }),
      batch({ count: 2, baseOffset: 5, leaderEpoch: 4 }),
      batch({ bytes: 200, baseOffset: 9, leaderEpoch: 4 }),
      batch({ baseOffset: 10, leaderEpoch: 4 }).subarray(0, 40),
    ])
    const result = log.appendAsFollower(records)
    assert.deepEqual([result.error, result.firstOffset, result.lastOffset], [0, 0, 9])
    assert.deepEqual(log.epochs.entries, [
      [3, 0],
      [4, 5],
    ])
    assert.equal(log.segments.length, 2, 'more than a segment holds is rolled batch by batch')
    assert.equal(log.appendAsFollower(batch({ baseOffset: 9, leaderEpoch: 4 })).error, ErrorCode.OFFSET_OUT_OF_RANGE)
    const broken = batch({ baseOffset: 10, leaderEpoch: 4 })
    broken[65]! ^= 1
    assert.equal(log.appendAsFollower(broken).error, ErrorCode.CORRUPT_MESSAGE)
    assert.equal(log.logEndOffset, 10)
    await clock.advance(1)
    assert.equal(disk.readFile(`${DATA}/t-0/leader-epoch-checkpoint`).toString(), '0\n2\n3 0\n4 5\n')
    await finish(clock, manager.shutdown())
  })

  it('start an empty log at the batch that straddles its start (KAFKA-6361)', async () => {
    const { log, manager, clock } = await bed()
    log.truncateFullyAndStartAt(7)
    const result = log.appendAsFollower(batch({ count: 5, baseOffset: 5, leaderEpoch: 1 }))
    assert.deepEqual([result.error, log.logStartOffset, log.logEndOffset], [0, 5, 10])
    await finish(clock, manager.shutdown())
  })
})

describe('leader epochs', () => {
  it('give the end offset of an epoch by the rules of 1.1.1', async () => {
    const { log, manager, clock, disk } = await bed()
    assert.equal(log.endOffsetForEpoch(0), -1)
    for (const epoch of [2, 2, 5, 7]) log.appendAsLeader(batch(), epoch, true)
    const answers = [-1, 0, 1, 2, 3, 5, 6, 7, 8].map((epoch) => [epoch, log.endOffsetForEpoch(epoch)])
    assert.deepEqual(answers, [
      [-1, -1],
      [0, -1],
      [1, -1],
      [2, 2],
      [3, 2],
      [5, 3],
      [6, 3],
      [7, 4],
      [8, -1],
    ])
    // A new leader knows where its epoch begins; the file only what was appended.
    log.startEpoch(9)
    assert.deepEqual(
      [log.latestEpoch, log.endOffsetForEpoch(9), log.endOffsetForEpoch(7), log.endOffsetForEpoch(8)],
      [9, 4, 4, 4],
    )
    assert.deepEqual(
      [2, 3, 5, 9].map((epoch) => log.epochs.startOf(epoch)),
      [0, -1, 2, 4],
    )
    await clock.advance(1)
    const file = () => disk.readFile(`${DATA}/t-0/leader-epoch-checkpoint`).toString()
    assert.equal(file(), '0\n3\n2 0\n5 2\n7 3\n')
    log.appendAsLeader(batch(), 9, true)
    await clock.advance(1)
    assert.equal(file(), '0\n4\n2 0\n5 2\n7 3\n9 4\n')
    log.truncateTo(3)
    assert.equal(file(), '0\n2\n2 0\n5 2\n')
    log.highWatermark = 3
    log.maybeIncrementLogStartOffset(1)
    await clock.advance(1)
    assert.equal(file(), '0\n2\n2 1\n5 2\n')
    await finish(clock, manager.shutdown())
  })
})

describe('flushing', () => {
  it('is single-flight, and moves the recovery point to where it began', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('flush') })
    const { log, manager, clock } = await bed({}, disk)
    log.appendAsLeader(batch(), 0, true)
    let syncs = 0
    disk.onOperation = (operation, path) => {
      if (operation === 'sync' && path.endsWith('.log')) syncs++
    }
    const flushes = [log.flush(), log.flush(), log.flush()]
    log.appendAsLeader(batch(), 0, true)
    await finish(clock, Promise.all(flushes))
    assert.deepEqual([syncs, log.recoveryPoint, log.logEndOffset], [1, 1, 2])
    await finish(clock, log.flush())
    assert.deepEqual([syncs, log.recoveryPoint], [2, 2])
    await finish(clock, log.flush())
    assert.equal(syncs, 2, 'nothing new')
    await finish(clock, manager.shutdown())
  })

  it("with flush.messages comes before the append returns; flush.ms is the flusher's", async () => {
    const { log, manager, clock, disk } = await bed({ flushMessages: 3 })
    for (let i = 0; i < 3; i++) log.appendAsLeader(batch(), 0, true)
    assert.equal(log.recoveryPoint, 3)
    disk.powerLoss()
    manager.abandon()
    const again = await bed({}, disk, clock)
    assert.equal(again.log.logEndOffset, 3)
    await finish(clock, again.manager.shutdown())
    const config = logConfig({ flushMs: 1000 })
    const timed = openManager(new MemoryDisk({ rng: new SeededRng('timed') }), { defaultConfig: config, flushCheckMs: 500 })
    await finish(timed.clock, timed.manager.start(new Map()))
    const other = timed.manager.getOrCreate('t', 0, config, true)
    other.appendAsLeader(batch(), 0, true)
    assert.equal(other.recoveryPoint, 0)
    await timed.clock.advance(32_000)
    assert.equal(other.recoveryPoint, 1)
    await finish(timed.clock, timed.manager.shutdown())
  })

  it('that was asked for before a truncation does not move the recovery point beyond the end', async () => {
    const { log, manager, clock } = await bed({ segmentBytes: 200 })
    for (let i = 0; i < 4; i++) log.appendAsLeader(batch({ bytes: 50 }), 0, true)
    log.truncateTo(1)
    await clock.advance(10)
    assert.ok(log.recoveryPoint <= log.logEndOffset)
    await finish(clock, manager.shutdown())
  })
})

describe('retention', () => {
  const old = GOLDEN_WALL - 10_000
  async function segments(overrides: Partial<LogConfig>, timestamps: readonly number[]): Promise<Bed> {
    const made = await bed({ segmentBytes: 150, fileDeleteDelayMs: 1000, ...overrides })
    for (const timestamp of timestamps) made.log.appendAsLeader(batch({ bytes: 60, timestamp }), 0, true)
    return made
  }
  const bases = (log: PartitionLog) => [...log.segments].map((segment) => segment.baseOffset)

  it('by time: the oldest segments that are old enough, as far as they are replicated', async () => {
    const { log, manager, clock, disk } = await segments({ retentionMs: 5000 }, [old, old, GOLDEN_WALL, old])
    manager.cleanupLogs()
    assert.deepEqual(bases(log), [0, 1, 2, 3], 'the high watermark is not known')
    log.highWatermark = 1
    manager.cleanupLogs()
    assert.deepEqual(bases(log), [1, 2, 3])
    log.highWatermark = 4
    manager.cleanupLogs()
    assert.deepEqual([bases(log), log.logStartOffset], [[2, 3], 2])
    assert.ok(disk.exists(`${DATA}/t-0/00000000000000000001.log.deleted`))
    await clock.advance(1001)
    assert.ok(!disk.exists(`${DATA}/t-0/00000000000000000001.log.deleted`))
    assert.equal(log.read(1, 100, 4, true).error, ErrorCode.OFFSET_OUT_OF_RANGE)
    await clock.advance(6000)
    manager.cleanupLogs()
    assert.deepEqual([bases(log), log.logStartOffset, log.size], [[4], 4, 0], 'an idle active segment goes too')
    manager.cleanupLogs()
    assert.deepEqual(bases(log), [4], 'an empty one stays')
    await finish(clock, manager.shutdown())
  })

  it('by size: never below retention.bytes', async () => {
    const { log, manager, clock } = await segments({ retentionBytes: 300 }, [old, old, old, old, old])
    const each = log.size / 5
    log.highWatermark = 5
    manager.cleanupLogs()
    assert.ok(log.size >= 300 && log.size - each < 300, `${log.size}`)
    await finish(clock, manager.shutdown())
  })

  it('by log start; not at all without the delete policy', async () => {
    const { log, manager, clock } = await segments({}, [old, old, old])
    log.highWatermark = 3
    log.maybeIncrementLogStartOffset(2)
    assert.deepEqual(bases(log), [0, 1, 2], 'not at once')
    log.config = logConfig({ segmentBytes: 150, compact: true, delete: false })
    manager.cleanupLogs()
    assert.deepEqual(bases(log), [0, 1, 2])
    log.config = logConfig({ segmentBytes: 150 })
    manager.cleanupLogs()
    assert.deepEqual(bases(log), [2])
    await finish(clock, manager.shutdown())
  })
})

describe('a fence of which the marker that raised the epoch is all there is', () => {
  const DAYS_7 = 604_800_000
  const written = (producerEpoch: number): Buffer =>
    new BatchBuilder({ producerId: 7, producerEpoch, baseSequence: 0, transactional: true })
      .append(GOLDEN_WALL, null, Buffer.from('v'))
      .build()
  const fence = (log: PartitionLog): void => {
    const marker = { commit: false, producerId: 7, producerEpoch: 1, coordinatorEpoch: 0, timestamp: GOLDEN_WALL }
    assert.equal(log.appendAsLeader(endTransactionMarker(marker), 0, false).error, 0)
  }
  const isFenced = (log: PartitionLog): void => {
    for (const isFromClient of [true, false])
      assert.equal(log.appendAsLeader(written(0), 0, isFromClient).error, ErrorCode.INVALID_PRODUCER_EPOCH)
  }

  it('lasts as long as a producer is remembered', async () => {
    const { log, clock } = await bed()
    fence(log)
    // The wall clock only: what periodic tasks do is not the question.
    clock.wallOffset += GOLDEN_WALL + DAYS_7 - 1 - clock.wall()
    log.removeExpiredProducers()
    isFenced(log)
    clock.wallOffset++
    log.removeExpiredProducers()
    assert.equal(log.appendAsLeader(written(0), 0, false).error, 0)
  })

  it('outlives restarts, orderly or not; counted from there it ends', async () => {
    const first = await bed()
    fence(first.log)
    await finish(first.clock, first.manager.shutdown())
    const second = await bed({}, first.disk, first.clock)
    isFenced(second.log)
    first.disk.processCrash()
    const third = await bed({}, first.disk, first.clock)
    isFenced(third.log)
    third.clock.wallOffset += DAYS_7
    third.log.removeExpiredProducers()
    assert.equal(third.log.appendAsLeader(written(0), 0, true).error, 0)
  })
})

describe('a flush under way', () => {
  it('does not take the files that retention removes meanwhile for a failed disk', async () => {
    const clock = new VirtualClock({ wall: GOLDEN_WALL })
    for (let fileDeleteDelayMs = 0; fileDeleteDelayMs < 60; fileDeleteDelayMs += 3) {
      const disk = new MemoryDisk({ rng: new SeededRng('flush'), clock, syncDelayMs: 5 })
      const { log, manager } = await bed(
        { segmentBytes: 1000, retentionBytes: 1000, retentionMs: -1, fileDeleteDelayMs, indexIntervalBytes: 100 },
        disk,
        clock,
      )
      for (let i = 0; i < 30; i++) log.appendAsLeader(batch({ bytes: 200, timestamp: T0 + i }), 0, true)
      log.highWatermark = log.logEndOffset
      assert.ok(log.segments.length > 3)
      const flushed = log.flush()
      await clock.advance(4)
      assert.ok(log.deleteOldSegments() > 0)
      await clock.advance(500)
      await flushed
      assert.deepEqual(manager.offlineDirectories, [])
      assert.equal(log.recoveryPoint, log.logEndOffset)
      assert.deepEqual(
        disk.list(log.directory).filter(({ name }) => name.endsWith('.deleted')),
        [],
      )
    }
  })
})

it('a truncation that takes nothing of a decided transaction does not make it open again where the high watermark stays', async () => {
  const { log } = await bed()
  const transaction = { producerId: 7, producerEpoch: 0, timestamp: GOLDEN_WALL }
  const sent = new BatchBuilder({ ...transaction, baseSequence: 0, transactional: true }).append(
    GOLDEN_WALL,
    null,
    Buffer.from('v'),
  )
  log.appendAsLeader(sent.build(), 0, true)
  log.appendAsLeader(endTransactionMarker({ ...transaction, commit: true, coordinatorEpoch: 0 }), 0, false)
  log.appendAsLeader(batch(), 0, true)
  log.highWatermark = 2
  log.truncateTo(2)
  assert.deepEqual([log.highWatermark, log.lastStableOffset, log.logEndOffset], [2, 2, 2])
})
