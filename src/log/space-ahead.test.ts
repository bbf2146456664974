import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { after, describe, it } from 'node:test'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { createNodeDisk } from '../ports/node/disk.ts'
import { SpaceReserver } from '../ports/node/space-reserver.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import type { LogSegment } from './segment.ts'
import { FAST_MS, SpaceAhead, STEP_BYTES } from './space-ahead.ts'
import { finish, logConfig, openManager, T0 } from './testing-logs.ts'
import type { LogConfig } from './types.ts'

const MIB = 1024 * 1024
const root = fs.mkdtempSync(`${tmpdir()}/samsa-space-`)
after(() => fs.rmSync(root, { recursive: true, force: true }))

/** What is asked of a segment: ends of space, and -1 for giving back. */
function rig() {
  const clock = new VirtualClock({ wall: T0 })
  const space = new SpaceAhead(clock)
  const asked: number[] = []
  const segment = {
    baseOffset: 0,
    size: 0,
    reserve: (end: number) => asked.push(end) > 0,
    giveBack: () => void asked.push(-1),
  }
  const append = (bytes: number, segmentBytes = 64 * MIB) => {
    segment.size += bytes
    space.prepare(segment as unknown as LogSegment, bytes, segmentBytes)
  }
  const rest = () => space.rest(segment as unknown as LogSegment)
  return { clock, segment, asked, append, rest }
}

describe('space is set aside', () => {
  it('once a step was written within a second, a step at a time', async () => {
    const { asked, append, clock, segment } = rig()
    append(MIB)
    for (let i = 0; i < 4; i++) append(MIB)
    assert.deepEqual(asked, [], 'the first step is only looked at')
    append(MIB)
    assert.deepEqual(asked, [segment.size + STEP_BYTES])
    for (let i = 0; i < 4; i++) append(MIB)
    assert.equal(asked.length, 1)
    await clock.advance(FAST_MS + 1)
    append(MIB)
    assert.equal(asked.length, 1, 'that step took longer')
  })

  it('on from one segment to the next, and never beyond where its last write may end', () => {
    const { asked, append, segment } = rig()
    for (let i = 0; i < 16; i++) append(MIB, 16 * MIB)
    assert.equal(Math.max(...asked), 15 * MIB)
    asked.length = 0
    segment.baseOffset = 16
    segment.size = 0
    append(MIB, 16 * MIB)
    assert.deepEqual(asked, [MIB + STEP_BYTES])
  })

  it('and goes back from a log that is not written fast any more', async () => {
    const { asked, append, clock, rest } = rig()
    for (let i = 0; i < 6; i++) append(MIB)
    assert.equal(asked.length, 1)
    rest()
    assert.equal(asked.length, 1, 'too early')
    await clock.advance(FAST_MS + 1)
    append(1000)
    rest()
    rest()
    assert.deepEqual(asked.slice(1), [-1])
  })
})

const reserver = new SpaceReserver()
let beds = 0

async function bed(overrides: Partial<LogConfig> = {}, directory = `${root}/${beds++}`, by = reserver) {
  fs.mkdirSync(directory, { recursive: true })
  const config = logConfig({ maxMessageBytes: 2 * MIB, segmentBytes: 32 * MIB, ...overrides })
  const { manager, clock } = openManager(createNodeDisk({ reserver: by }), { defaultConfig: config, logDirs: [directory] })
  await finish(clock, manager.start(new Map()))
  return { manager, clock, directory, log: manager.getOrCreate('t', 0, config, true) }
}

function append(log: PartitionLog, megabytes: number): void {
  for (let i = 0; i < megabytes; i++) {
    const batch = new BatchBuilder({}).append(T0, null, Buffer.alloc(MIB - 100, i)).build()
    assert.equal(log.appendAsLeader(batch, 0, true).error, 0)
  }
}

/** Bytes of the first segment's file, and what the file system holds for it. */
function file(directory: string): { size: number; held: number } {
  const { size, blocks } = fs.statSync(`${directory}/t-0/00000000000000000000.log`)
  return { size, held: blocks * 512 }
}

function assertNothingBehind(directory: string): void {
  const { size, held } = file(directory)
  assert.ok(held - size < MIB / 4, `${held} bytes are held for ${size}`)
}

describe('space that a log has ahead', { skip: !reserver.canReserve(root) }, () => {
  it('changes no size, and goes back when the log rests', async () => {
    const { log, directory, clock } = await bed()
    append(log, 11)
    const { size, held } = file(directory)
    assert.equal(size, log.segments.active.size)
    assert.ok(held - size >= MIB, `${held} bytes are held for ${size}`)
    await clock.advance(4000)
    assertNothingBehind(directory)
    assert.equal(file(directory).size, log.segments.active.size)
    append(log, 1)
    assert.equal(file(directory).size, log.segments.active.size)
  })

  it('goes back when the segment is rolled, and when the log is closed', async () => {
    const { log, directory, clock, manager } = await bed()
    append(log, 11)
    log.roll(0)
    assertNothingBehind(directory)
    const other = await bed()
    append(other.log, 11)
    await finish(other.clock, other.manager.shutdown())
    assertNothingBehind(other.directory)
    await finish(clock, manager.shutdown())
  })

  it('goes back after the death of the process, with no record lost', async () => {
    const { log, directory, manager } = await bed()
    append(log, 11)
    const { size } = file(directory)
    manager.abandon()
    assert.ok(file(directory).held - size >= MIB)
    const again = await bed({}, directory)
    assert.equal(again.log.logEndOffset, 11)
    assert.equal(file(directory).size, size)
    assertNothingBehind(directory)
  })

  it('is what is left of a preallocated file, which stays as it is', async () => {
    const { log, directory, clock } = await bed({ preallocate: true })
    append(log, 11)
    await clock.advance(10_000)
    assert.equal(file(directory).size, 32 * MIB)
  })
})

it('a file system that sets nothing aside is no error', async () => {
  let calls = 0
  const load = () => () => {
    calls++
    return false
  }
  const { log, directory } = await bed({}, undefined, new SpaceReserver({ load, givesBack: () => true }))
  append(log, 20)
  assert.ok(calls > 0)
  assert.equal(file(directory).size, log.segments.active.size)
})
