import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import {
  isControlBatch,
  magicOf,
  nextBatch,
  partitionLeaderEpoch,
  putBaseOffset,
  putLeaderEpoch,
} from '../protocol/records/batch.ts'
import { recordsOf } from '../protocol/records/record.ts'
import type { PartitionLog } from './log.ts'
import { differences, filesOf, finish, goldenConfigs, goldenSet, openManager } from './testing-logs.ts'

const golden = goldenSet('clean')
const configs = goldenConfigs()

/** The batches of a golden partition, in order, each a copy. */
function batchesOf(folder: string): Buffer[] {
  const names = [...golden.keys()].filter((path) => path.startsWith(`${folder}/`) && path.endsWith('.log')).sort()
  const result: Buffer[] = []
  for (const name of names) {
    const bytes = golden.get(name)!
    for (let at = 0, size = 0; (size = nextBatch(bytes, at, bytes.length)) > 0; at += size)
      result.push(Buffer.from(bytes.subarray(at, at + size)))
  }
  return result
}

/** The batch as its producer sent it: counted from 0. */
function asSent(batch: Buffer): Buffer {
  const sent = Buffer.from(batch)
  if (magicOf(sent, 0) === 2) {
    putLeaderEpoch(sent, 0, -1)
    putBaseOffset(sent, 0, 0)
  } else putBaseOffset(sent, 0, [...recordsOf(batch, 0)].length - 1)
  return sent
}

/** What was in one produce request: of plain messages in old formats that is not to be seen; the recording sent three at a time. */
function requestsOf(folder: string, batches: readonly Buffer[]): Buffer[] {
  if (folder !== 'compact-m0-0') return batches.map(asSent)
  return batches.flatMap((_, i) => (i % 3 === 0 ? [Buffer.concat(batches.slice(i, i + 3).map(asSent))] : []))
}

async function writeAgain(folder: string, append: (log: PartitionLog, batches: Buffer[]) => void): Promise<string[]> {
  const topic = folder.slice(0, folder.lastIndexOf('-'))
  const partition = Number(folder.slice(folder.lastIndexOf('-') + 1))
  const disk = new MemoryDisk({ rng: new SeededRng('append') })
  const { manager, clock } = openManager(disk)
  await finish(clock, manager.start(configs))
  const log = manager.getOrCreate(topic, partition, configs.get(topic)!, true)
  append(log, batchesOf(folder))
  log.highWatermark = log.logEndOffset
  if (topic === 'records-deleted') log.maybeIncrementLogStartOffset(17)
  await finish(clock, manager.shutdown())
  const mine = (files: ReadonlyMap<string, Buffer>) => new Map([...files].filter(([path]) => path.startsWith(`${folder}/`)))
  assert.ok(filesOf(disk).size > 5)
  return differences(mine(golden), mine(filesOf(disk)))
}

/** Not producers' bytes any more: the broker converted or stamped them. As follower appends they can still be written again. */
const REWRITTEN = /append|^to-|^mixed|^m0-(?!none)|^segments-m0|^__consumer/
const folders = [
  ...new Set([...golden.keys()].filter((path) => path.includes('/')).map((path) => path.slice(0, path.indexOf('/')))),
]

describe('the files of a log are byte for byte those of Apache Kafka 1.1.1', () => {
  for (const folder of folders.filter((name) => !REWRITTEN.test(name))) {
    it(`${folder}, appended as leader`, async () => {
      const different = await writeAgain(folder, (log, batches) => {
        const epoch = Math.max(0, partitionLeaderEpoch(batches[0]!, 0))
        for (const sent of requestsOf(folder, batches)) {
          const result = log.appendAsLeader(sent, epoch, !isControlBatch(sent, 0))
          assert.equal(result.error, 0, result.message)
          log.highWatermark = log.logEndOffset
        }
      })
      assert.deepEqual(different, [])
    })
  }
  // A follower knows batches only: of an old format it indexes last offsets, and its time index has the last offset of a batch.
  for (const folder of folders.filter((name) =>
    /^(m2|segments-none|segments-gzip|txn|idempotent|compact-gzip|to-|__transaction)/.test(name),
  )) {
    it(`${folder}, appended as follower`, async () => {
      const different = await writeAgain(folder, (log, batches) => {
        for (const batch of batches) assert.equal(log.appendAsFollower(batch).error, 0)
      })
      assert.deepEqual(different, [])
    })
  }
  it('one gathered write of many record sets gives the same files as one at a time', async () => {
    const different = await writeAgain('segments-none-0', (log, batches) => {
      const results = batches.map((batch) => log.stageAsLeader(asSent(batch), 0, true))
      log.writeStaged()
      assert.equal(results.length, batches.length)
      for (const [i, result] of results.entries()) assert.equal(result.firstOffset, i === 0 ? 0 : results[i - 1]!.lastOffset + 1)
    })
    assert.deepEqual(different, [])
  })
})
