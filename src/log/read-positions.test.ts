import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Disk } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { baseOffset, batchSize, lastOffset } from '../protocol/records/batch.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import { finish, logConfig, openManager, T0 } from './testing-logs.ts'

interface Bed {
  readonly log: PartitionLog
  /** Reads of `.log` files so far. */
  reads(): number
}

async function bed(): Promise<Bed> {
  const disk: Disk = new MemoryDisk()
  disk.makeDirectory('/logs')
  let reads = 0
  const open = disk.open.bind(disk)
  disk.open = (path, mode) => {
    const file = open(path, mode)
    const read = file.readSync.bind(file)
    file.readSync = (buffer, offset, length, position) => {
      if (path.endsWith('.log')) reads++
      return read(buffer, offset, length, position)
    }
    return file
  }
  const config = logConfig({ segmentBytes: 20_000_000 })
  const { manager, clock } = openManager(disk, { defaultConfig: config, logDirs: ['/logs'] })
  await finish(clock, manager.start(new Map()))
  return { log: manager.getOrCreate('t', 0, config, true), reads: () => reads }
}

function append(log: PartitionLog, bytes: number, records = 1): void {
  const builder = new BatchBuilder({})
  for (let i = 0; i < records; i++) builder.append(T0, null, Buffer.alloc(bytes, 7))
  assert.equal(log.appendAsLeader(builder.build(), 0, true).error, 0)
}

/** What a consumer gets, and the offset that it asks for next. */
function fetch(log: PartitionLog, from: number, maxBytes: number): { bytes: Buffer; next: number } {
  const { records } = log.read(from, maxBytes, log.logEndOffset, true)
  assert.ok(records !== undefined)
  const bytes = Buffer.alloc(records.size)
  records.copyTo(bytes, 0)
  let next = from
  for (let at = 0; at + 61 <= bytes.length && at + batchSize(bytes, at) <= bytes.length; at += batchSize(bytes, at))
    next = lastOffset(bytes, at) + 1
  return { bytes, next }
}

/** What `from` is answered with, worked out from the whole log. */
function expected(whole: Buffer, from: number, maxBytes: number): Buffer {
  let at = 0
  while (lastOffset(whole, at) < from) at += batchSize(whole, at)
  return whole.subarray(at, Math.min(whole.length, at + Math.max(maxBytes, batchSize(whole, at))))
}

/** First offset of the batch that holds `offset`. */
function batchBefore(whole: Buffer, offset: number): number {
  return baseOffset(expected(whole, offset, 0), 0)
}

describe('a reader that goes on where it stopped', () => {
  it('costs one read of the file, not a look for the batch before', async () => {
    const { log, reads } = await bed()
    for (let i = 0; i < 100; i++) append(log, 5000)
    let { next } = fetch(log, 0, 18_000)
    for (let i = 0; i < 5; i++) {
      const before = reads()
      const answer = fetch(log, next, 18_000)
      assert.equal(baseOffset(answer.bytes, 0), next)
      assert.equal(reads() - before, 1)
      next = answer.next
    }
  })

  it('gets what stands there, whatever was read, cut and written before', async () => {
    const rng = new SeededRng(11)
    const { log } = await bed()
    const whole = (): Buffer => fetch(log, 0, 10_000_000).bytes
    const readers = Array.from({ length: 24 }, () => 0)
    for (let step = 0; step < 1500; step++) {
      const what = rng.int(0, 99)
      if (what < 20 || log.logEndOffset < 20) append(log, rng.int(10, 3000), rng.int(1, 5))
      else if (what < 23) log.truncateTo(batchBefore(whole(), rng.int(log.logEndOffset - 15, log.logEndOffset)))
      const which = rng.int(0, readers.length)
      const from = readers[which]!
      if (from >= log.logEndOffset) {
        readers[which] = rng.int(0, log.logEndOffset)
        continue
      }
      const maxBytes = rng.int(100, 12_000)
      const { bytes, next } = fetch(log, from, maxBytes)
      assert.ok(bytes.equals(expected(whole(), from, maxBytes)), `step ${step}: from ${from}, ${maxBytes} bytes`)
      readers[which] = next
    }
  })
})
