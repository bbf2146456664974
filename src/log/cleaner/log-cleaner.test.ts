import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryDisk } from '../../ports/memory/memory-disk.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { batchSize, isControlBatch, nextBatch } from '../../protocol/records/batch.ts'
import { BatchBuilder, endTransactionMarker } from '../../protocol/records/builder.ts'
import { recordsOf } from '../../protocol/records/record.ts'
import type { PartitionLog } from '../log.ts'
import type { LogManagerOptions } from '../log-manager-options.ts'
import type { TestBroker } from '../testing-logs.ts'
import { DATA, finish, GOLDEN_WALL, logConfig, openManager } from '../testing-logs.ts'
import type { LogConfig } from '../types.ts'
import type { CleanerOptions } from './cleaner-options.ts'
import { DEFAULT_CLEANER_OPTIONS } from './cleaner-options.ts'

const COMPACT = logConfig({ compact: true, delete: false, segmentBytes: 4000 })
const OTHER = '/other'

interface Started extends TestBroker {
  readonly disk: MemoryDisk
}

async function start(cleaner: Partial<CleanerOptions> = {}, options: Partial<LogManagerOptions> = {}): Promise<Started> {
  const clock = new VirtualClock({ wall: GOLDEN_WALL })
  const disk = new MemoryDisk({ rng: new SeededRng('disk'), clock })
  disk.makeDirectory(DATA)
  return open(disk, clock, cleaner, options)
}

async function open(
  disk: MemoryDisk,
  clock: VirtualClock,
  cleaner: Partial<CleanerOptions> = {},
  options = {},
): Promise<Started> {
  const broker = openManager(
    disk,
    {
      defaultConfig: COMPACT,
      cleanerEnable: true,
      cleaner: { ...DEFAULT_CLEANER_OPTIONS, backoffMs: 1000, ...cleaner },
      ...options,
    },
    clock,
  )
  await finish(clock, broker.manager.start(new Map()))
  return { ...broker, disk }
}

function create({ manager }: TestBroker, topic: string, config: LogConfig = COMPACT): PartitionLog {
  return manager.getOrCreate(topic, 0, config, true)
}

/** A segment of one batch with these keys, closed by a roll; everything is replicated. */
function segment(log: PartitionLog, keys: readonly string[], value: string | null = 'v'): void {
  const builder = new BatchBuilder()
  for (const key of keys) builder.append(GOLDEN_WALL, Buffer.from(key), value === null ? null : Buffer.from(`${value}${key}`))
  assert.equal(log.appendAsLeader(builder.build(), 0, true).error, 0)
  log.roll(0)
  log.highWatermark = log.logEndOffset
}

function batchesIn(log: PartitionLog): Buffer[] {
  const result: Buffer[] = []
  for (const { size, path } of log.segments) {
    const bytes = Buffer.alloc(size)
    log.segments.at([...log.segments].findIndex((one) => one.path === path))!.readSync(bytes, 0, size, 0)
    for (let at = 0; nextBatch(bytes, at, size) > 0; at += batchSize(bytes, at))
      result.push(bytes.subarray(at, at + batchSize(bytes, at)))
  }
  return result
}

/** `offset:key` of every record, markers as `offset!`. */
function shown(log: PartitionLog): string {
  return batchesIn(log)
    .flatMap((batch) =>
      [...recordsOf(batch, 0)].map(({ offset, key }) => (isControlBatch(batch, 0) ? `${offset}!` : `${offset}:${key}`)),
    )
    .join(' ')
}

const cleanings = ({ lines }: TestBroker) => [...lines.join('\n').matchAll(/cleaned log (\S+)/g)].map((match) => match[1])

describe('the log cleaner', () => {
  it('begins with the dirtiest log and leaves those that are clean enough', async () => {
    const broker = await start()
    const [half, most, little] = ['half', 'most', 'little'].map((topic) => create(broker, topic))
    for (const log of [half!, most!, little!]) segment(log, ['a', 'b', 'c'])
    await broker.clock.advance(1100)
    assert.deepEqual(cleanings(broker), ['half-0', 'most-0', 'little-0'])
    segment(little!, ['a'])
    segment(half!, ['a', 'b', 'c'])
    segment(half!, ['a'])
    segment(most!, ['a', 'b', 'c', 'd', 'e', 'f'])
    segment(most!, ['a', 'b', 'c', 'd', 'e', 'f'])
    await broker.clock.advance(1100)
    assert.deepEqual(cleanings(broker).slice(3), ['most-0', 'half-0'])
    assert.equal(shown(most!), '9:a 10:b 11:c 12:d 13:e 14:f')
    assert.equal(shown(half!), '4:b 5:c 6:a')
    assert.equal(shown(little!), '0:a 1:b 2:c 3:a')
    assert.equal(broker.disk.readFile(`${DATA}/cleaner-offset-checkpoint`).toString(), '0\n3\nhalf 0 7\nmost 0 15\nlittle 0 3\n')
    assert.ok(broker.manager.cleaner!.maxDirtyPercent < 50)
  })

  it('touches nothing above the high watermark: what makes a record go might not stay', async () => {
    const broker = await start()
    const log = create(broker, 't', { ...COMPACT, minCleanableDirtyRatio: 0 })
    segment(log, ['a', 'b'])
    log.appendAsLeader(new BatchBuilder().append(GOLDEN_WALL, Buffer.from('a'), Buffer.from('x')).build(), 0, true)
    log.roll(0)
    log.appendAsLeader(new BatchBuilder().append(GOLDEN_WALL, Buffer.from('a'), Buffer.from('x')).build(), 0, true)
    log.highWatermark = 2
    await broker.clock.advance(2100)
    assert.equal(shown(log), '0:a 1:b 2:a 3:a')
    log.highWatermark = 4
    await broker.clock.advance(1100)
    assert.equal(shown(log), '1:b 2:a 3:a')
  })

  it('leaves records that are younger than min.compaction.lag.ms', async () => {
    const broker = await start()
    const log = create(broker, 't', { ...COMPACT, minCompactionLagMs: 60_000 })
    segment(log, ['a'])
    segment(log, ['a'])
    await broker.clock.advance(30_000)
    assert.equal(shown(log), '0:a 1:a')
    await broker.clock.advance(31_500)
    assert.equal(shown(log), '1:a')
  })

  it('drops a tombstone when delete.retention.ms is over, and not before', async () => {
    const broker = await start()
    const log = create(broker, 't', { ...COMPACT, segmentBytes: 90, deleteRetentionMs: 10_000, minCleanableDirtyRatio: 0 })
    segment(log, ['a', 'b'])
    segment(log, ['a'], null)
    await broker.clock.advance(1100)
    assert.equal(shown(log), '1:b 2:a')
    segment(log, ['c'])
    await broker.clock.advance(1100)
    assert.equal(shown(log), '1:b 2:a 3:c')
    await broker.clock.advance(20_000)
    segment(log, ['d'])
    await broker.clock.advance(1100)
    assert.equal(shown(log), '1:b 2:a 3:c 4:d')
    await broker.clock.advance(20_000)
    segment(log, ['e'])
    await broker.clock.advance(1100)
    assert.equal(shown(log), '1:b 3:c 4:d 5:e')
  })

  it('goes on where the offset map was full', async () => {
    const broker = await start({ dedupeBufferBytes: 24 * 10, loadFactor: 0.5 })
    const log = create(broker, 't', { ...COMPACT, minCleanableDirtyRatio: 0 })
    segment(log, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    segment(log, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    await broker.clock.advance(5000)
    assert.equal(shown(log), '7:a 8:b 9:c 10:d 11:e 12:f 13:g')
    assert.ok(cleanings(broker).length > 2)
  })

  it('reads a batch that is larger than its buffer', async () => {
    const broker = await start({ ioBufferBytes: 1000, maxMessageBytes: 2000 })
    const log = create(broker, 't', { ...COMPACT, segmentBytes: 100_000, maxMessageBytes: 20_000 })
    for (const letter of 'xyz') segment(log, ['a', 'b'], letter.repeat(4000))
    await broker.clock.advance(2000)
    assert.equal(shown(log), '4:a 5:b')
  })

  it('keeps the marker of a transaction whose data lie in another segment', async () => {
    const broker = await start()
    const log = create(broker, 't', { ...COMPACT, segmentBytes: 90, deleteRetentionMs: 0, minCleanableDirtyRatio: 0 })
    const producer = { producerId: 9, producerEpoch: 0, transactional: true }
    const data = new BatchBuilder({ ...producer, baseSequence: 0 })
      .append(GOLDEN_WALL, Buffer.from('a'), Buffer.from('1'))
      .build()
    assert.equal(log.appendAsLeader(data, 0, true).error, 0)
    log.roll(0)
    const marker = endTransactionMarker({ ...producer, commit: true, coordinatorEpoch: 0, timestamp: GOLDEN_WALL })
    assert.equal(log.appendAsLeader(marker, 0, false).error, 0)
    log.roll(0)
    for (let i = 0; i < 3; i++) {
      await broker.clock.advance(5000)
      segment(log, [`x${i}`])
    }
    await broker.clock.advance(5000)
    assert.match(shown(log), /^0:a 1! /)
    // Recovery from nothing but the segments finds no open transaction.
    broker.disk.processCrash()
    for (const { name } of broker.disk.list(`${DATA}/t-0`))
      if (name.endsWith('.snapshot')) broker.disk.remove(`${DATA}/t-0/${name}`)
    broker.disk.writeFileAtomic(`${DATA}/recovery-point-offset-checkpoint`, '0\n0\n')
    const again = await open(broker.disk, new VirtualClock({ wall: GOLDEN_WALL }))
    const recovered = again.manager.get('t', 0)!
    recovered.highWatermark = recovered.logEndOffset
    assert.equal(recovered.lastStableOffset, recovered.logEndOffset)
  })

  it('marks a log with a damaged batch as uncleanable and goes on with the others', async () => {
    const broker = await start()
    const [bad, good] = [create(broker, 'bad'), create(broker, 'good')]
    for (const log of [bad, good]) for (let i = 0; i < 3; i++) segment(log, ['a', 'b'])
    broker.disk.corrupt(`${DATA}/bad-0/00000000000000000002.log`, 70)
    await broker.clock.advance(3000)
    assert.equal(shown(good), '4:a 5:b')
    assert.ok(broker.lines.some((line) => /WARN .*Marking its partition \(bad-0\) as uncleanable/.test(line)))
    assert.equal(broker.manager.cleaner!.uncleanablePartitions, 1)
    assert.equal([...bad.segments].length, 4)
    assert.deepEqual(
      broker.disk.list(`${DATA}/bad-0`).filter(({ name }) => name.endsWith('.cleaned')),
      [],
    )
  })

  it('gives up a log that is truncated meanwhile, and cleans it again from there', async () => {
    const broker = await start({ maxBytesPerSecond: 100 })
    const log = create(broker, 't')
    for (let i = 0; i < 6; i++) segment(log, ['a', 'b', 'c'])
    await broker.clock.advance(1500)
    log.truncateTo(9)
    await broker.clock.advance(20_000)
    assert.ok(broker.lines.some((line) => line.includes('The cleaning for partition t-0 is aborted: t-0 has lost segments')))
    assert.deepEqual(
      broker.disk.list(`${DATA}/t-0`).filter(({ name }) => /cleaned|swap/.test(name)),
      [],
    )
    assert.equal(log.logEndOffset, 9)
    log.highWatermark = 9
    await broker.clock.advance(60_000)
    assert.equal(shown(log), '6:a 7:b 8:c')
  })

  it('lowers its checkpoint when a log is truncated below it, forgets it with the log', async () => {
    const broker = await start()
    const log = create(broker, 't')
    for (let i = 0; i < 4; i++) segment(log, ['a', 'b'])
    await broker.clock.advance(1500)
    const checkpoint = () => broker.disk.readFile(`${DATA}/cleaner-offset-checkpoint`).toString()
    assert.equal(checkpoint(), '0\n1\nt 0 8\n')
    log.truncateTo(2)
    assert.equal(checkpoint(), '0\n1\nt 0 0\n')
    broker.manager.delete('t', 0)
    assert.equal(checkpoint(), '0\n0\n')
  })

  it('leaves a log alone while it moves to another directory, and takes its checkpoint along', async () => {
    const broker = await start({}, { logDirs: [DATA, OTHER] })
    const log = create(broker, 't')
    const [from, to] = log.logDir === DATA ? [DATA, OTHER] : [OTHER, DATA]
    for (let i = 0; i < 4; i++) segment(log, ['a', 'b'])
    await broker.clock.advance(1500)
    const future = broker.manager.futures.create('t', 0, to, COMPACT)
    for (let i = 0; i < 4; i++) segment(log, ['a', 'b'])
    await broker.clock.advance(5000)
    assert.equal(cleanings(broker).length, 1)
    for (const batch of batchesIn(log)) assert.equal(future.appendAsFollower(Buffer.from(batch)).error, 0)
    broker.manager.futures.replaceCurrent('t', 0)
    assert.equal(broker.disk.readFile(`${to}/cleaner-offset-checkpoint`).toString(), '0\n1\nt 0 8\n')
    assert.equal(broker.disk.readFile(`${from}/cleaner-offset-checkpoint`).toString(), '0\n0\n')
  })

  it('reads and writes no faster than log.cleaner.io.max.bytes.per.second', async () => {
    const broker = await start({ maxBytesPerSecond: 1000, ioBufferBytes: 400 })
    const log = create(broker, 't')
    for (let i = 0; i < 60; i++) segment(log, ['a', 'b', 'c'])
    const bytes = log.size
    // Everything is read twice.
    const least = (2 * bytes * 1000) / 1000 - 1000
    let waited = 0
    for (; cleanings(broker).length === 0 && waited < 100_000; waited += 100) await broker.clock.advance(100)
    assert.ok(waited >= least && waited < least + 5000, `${waited} ms for ${bytes} bytes`)
  })

  it('deletes old segments of logs with both policies', async () => {
    const broker = await start()
    const log = create(broker, 't', { ...COMPACT, delete: true, retentionMs: 60_000 })
    segment(log, ['a'])
    await broker.clock.advance(30_000)
    assert.equal(log.logStartOffset, 0)
    await broker.clock.advance(40_000)
    assert.equal(log.logStartOffset, 1)
  })

  it('takes other settings while it runs', async () => {
    const broker = await start({ backoffMs: 1_000_000 })
    const log = create(broker, 't')
    for (let i = 0; i < 3; i++) segment(log, ['a'])
    await broker.clock.advance(20_000)
    assert.deepEqual(cleanings(broker), [])
    await finish(broker.clock, broker.manager.cleaner!.reconfigure({ ...DEFAULT_CLEANER_OPTIONS, threads: 2 }))
    await broker.clock.advance(10)
    assert.deepEqual(cleanings(broker), ['t-0'])
    assert.ok(broker.lines.some((line) => line.includes('[kafka-log-cleaner-thread-1]: Starting')))
    await finish(broker.clock, broker.manager.shutdown())
    assert.equal(broker.lines.filter((line) => line.includes(': Stopped')).length, 3)
  })
})
