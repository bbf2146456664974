import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { MemoryDisk } from '../../ports/memory/memory-disk.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { baseOffset, batchSize, nextBatch } from '../../protocol/records/batch.ts'
import type { PartitionLog } from '../log.ts'
import type { TestBroker } from '../testing-logs.ts'
import {
  DATA,
  differences,
  diskWith,
  filesOf,
  finish,
  GOLDEN_WALL,
  goldenConfigs,
  goldenSet,
  openManager,
} from '../testing-logs.ts'
import type { LogConfig } from '../types.ts'
import { DEFAULT_CLEANER_OPTIONS } from './cleaner-options.ts'
import { decoded } from './testing-cleaner.ts'

const TOPICS = /^(compact|txn-compact)/
const cleaner = { ...DEFAULT_CLEANER_OPTIONS, dedupeBufferBytes: 2_000_000, backoffMs: 500 }

function configs(): Map<string, LogConfig> {
  const result = goldenConfigs()
  result.set('compact-purge', { ...result.get('compact-purge')!, deleteRetentionMs: 0 })
  result.set('txn-compact', { ...result.get('txn-compact')!, deleteRetentionMs: 100_000_000_000 })
  return result
}

async function openSet(name: string): Promise<{ disk: MemoryDisk; broker: TestBroker }> {
  const clock = new VirtualClock({ wall: GOLDEN_WALL })
  const disk = diskWith(goldenSet(name), (path) => TOPICS.test(path) || !path.includes('/'), [], clock)
  for (const path of filesOf(disk).keys()) disk.setModifiedTime(`${DATA}/${path}`, GOLDEN_WALL - 1000)
  const broker = openManager(disk, { cleanerEnable: true, cleaner }, clock)
  await finish(clock, broker.manager.start(configs()))
  return { disk, broker }
}

async function cleanAndStop({ manager, clock }: TestBroker): Promise<void> {
  for (const log of manager.all()) log.highWatermark = log.logEndOffset
  await clock.advance(1500)
  await finish(clock, manager.shutdown())
}

/** Files of the compacted logs, with segments decoded: the same text compresses to other bytes elsewhere. */
function comparable(files: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  const result = new Map<string, Buffer>()
  for (const [path, bytes] of files) {
    if (path.endsWith('.log')) result.set(path, Buffer.from(decoded(bytes).join('\n')))
    else result.set(path, bytes)
  }
  return result
}

const isIgnored = (path: string) => !TOPICS.test(path) && path !== 'cleaner-offset-checkpoint'

/** Lines of the cleaner without dates and durations. */
function cleanerLines(lines: readonly string[], name: string): string[] {
  return lines
    .map((line) => line.replace(/^\[[^\]]*\] /, '').replace(/\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC 2026/g, '<date>'))
    .filter((line) => line.includes(` ${name} `) || line.includes(` ${name}.`))
    .filter((line) => /^INFO Cleaner 0/.test(line))
}

/** What was appended between two sets: batches of segments as they were before the second cleaning. */
function appendedTo(log: PartitionLog, files: ReadonlyMap<string, Buffer>): Buffer[] {
  const folder = `${log.topic}-${log.partition}/`
  const batches = new Map<number, Buffer>()
  for (const [path, bytes] of files) {
    // A segment that was cleaned is still there under `.deleted`.
    if (!path.startsWith(folder) || !/\.log(\.deleted)?$/.test(path) || files.has(`${path}.deleted`)) continue
    for (let at = 0; nextBatch(bytes, at, bytes.length) > 0; at += batchSize(bytes, at)) {
      if (baseOffset(bytes, at) >= log.logEndOffset)
        batches.set(baseOffset(bytes, at), bytes.subarray(at, at + batchSize(bytes, at)))
    }
  }
  return [...batches].sort(([a], [b]) => a - b).map(([, bytes]) => Buffer.from(bytes))
}

describe('the cleaner over directories of a genuine broker leaves what the genuine cleaner left', () => {
  it('the first time: segments, indexes, checkpoint', async () => {
    const { disk, broker } = await openSet('recovered')
    await cleanAndStop(broker)
    assert.deepEqual(differences(comparable(goldenSet('cleaned')), comparable(filesOf(disk)), isIgnored), [])
    assert.deepEqual(cleanerLines(broker.lines, 'txn-compact-0').slice(0, 6), [
      'INFO Cleaner 0: Beginning cleaning of log txn-compact-0. (kafka.log.LogCleaner)',
      'INFO Cleaner 0: Building offset map for txn-compact-0... (kafka.log.LogCleaner)',
      'INFO Cleaner 0: Building offset map for log txn-compact-0 for 7 segments in offset range [0, 31). (kafka.log.LogCleaner)',
      'INFO Cleaner 0: Offset map for log txn-compact-0 complete. (kafka.log.LogCleaner)',
      'INFO Cleaner 0: Cleaning log txn-compact-0 (cleaning prior to <date>, discarding tombstones prior to Thu Jan 01 00:00:00 UTC 1970)... (kafka.log.LogCleaner)',
      'INFO Cleaner 0: Cleaning segment 0 in log txn-compact-0 (largest timestamp Fri Jul 14 02:40:00 UTC 2017) into 0, retaining deletes. (kafka.log.LogCleaner)',
    ])
  })

  it('the second time: segments together, tombstones past their time, transactions whose data are gone', async () => {
    const files = goldenSet('cleaned-again')
    const { disk, broker } = await openSet('cleaned')
    let appended = 0
    for (const log of broker.manager.all()) {
      for (const batch of appendedTo(log, files)) {
        assert.equal(log.appendAsFollower(batch).error, 0)
        appended++
      }
    }
    assert.ok(appended > 50, `${appended} batches`)
    await cleanAndStop(broker)
    // Files that waited for their removal since the first time.
    const isOld = (path: string) => isIgnored(path) || /\.(deleted|snapshot)$/.test(path)
    assert.deepEqual(differences(comparable(files), comparable(filesOf(disk)), isOld), [])
  })
})
