import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { batchSize, isControlBatch } from '../protocol/records/batch.ts'
import { RecordCursor } from '../protocol/records/record.ts'
import type { PartitionLog } from './log.ts'
import type { TestBroker } from './testing-logs.ts'
import {
  DATA,
  differences,
  diskWith,
  filesOf,
  finish,
  goldenConfigs,
  goldenFile,
  goldenSet,
  openManager,
} from './testing-logs.ts'

interface Expected {
  topic: string
  partition: number
  isolation: string
  offset?: number
  timestamp: number
  key: string | { base64: string } | null
  value: string | { base64: string } | null
  headers?: [string, string | null][]
  beginning: number
  end: number
  records: number
}

function expectedRecords(set: string): Expected[] {
  return goldenFile(`${set}.records.jsonl.gz`)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Expected)
}

/** All records of a log that a consumer would get, read in pieces of about `step` bytes. */
export function readAll(log: PartitionLog, step: number, committed = false): Partial<Expected>[] {
  const result: Partial<Expected>[] = []
  const cursor = new RecordCursor()
  const aborted = new Set<number>()
  const upTo = committed ? log.lastStableOffset : log.logEndOffset
  let offset = log.logStartOffset
  while (offset < upTo) {
    const { records, error, abortedTransactions } = log.read(offset, step, upTo, true, committed)
    assert.equal(error, 0)
    assert.equal(abortedTransactions !== undefined, committed)
    if (records === undefined) break
    const buffer = Buffer.alloc(records.size + 7)
    records.copyTo(buffer, 7)
    const before = offset
    for (let at = 7; at + 12 <= buffer.length && at + batchSize(buffer, at) <= buffer.length; at += batchSize(buffer, at)) {
      cursor.open(buffer, at)
      const control = isControlBatch(buffer, at)
      while (cursor.next()) {
        if (cursor.offset < offset) continue
        offset = cursor.offset + 1
        if (control) continue
        const { key, value, headers, timestamp } = cursor.data()
        const entry = {
          offset: cursor.offset,
          timestamp,
          key: key?.toString('base64'),
          value: value?.toString('base64'),
          headers: headers.map((header) => [header.key, header.value?.toString() ?? null]),
        }
        result.push(entry as unknown as Partial<Expected>)
      }
    }
    assert.ok(offset > before, `no progress at ${before}`)
  }
  assert.equal(aborted.size, 0)
  return result
}

function base64(text: Expected['key']): string | undefined {
  if (text === null) return undefined
  return typeof text === 'string' ? Buffer.from(text, 'utf8').toString('base64') : text.base64
}

async function load(set: string): Promise<TestBroker & { disk: ReturnType<typeof diskWith> }> {
  const disk = diskWith(goldenSet(set))
  const broker = openManager(disk)
  await finish(broker.clock, broker.manager.start(goldenConfigs()))
  return { ...broker, disk }
}

function compareRecords(broker: TestBroker, set: string): number {
  const expected = expectedRecords(set).filter((line) => line.isolation === 'read_uncommitted')
  let checked = 0
  for (const summary of expected.filter((line) => line.offset === undefined)) {
    const log = broker.manager.get(summary.topic, summary.partition) as PartitionLog
    assert.ok(log, `${summary.topic}-${summary.partition}`)
    assert.equal(log.logStartOffset, summary.beginning)
    assert.equal(log.logEndOffset, summary.end)
    const wanted = expected
      .filter((line) => line.topic === summary.topic && line.partition === summary.partition && line.offset !== undefined)
      .map(({ offset, timestamp, key, value, headers }) => ({
        offset,
        timestamp,
        key: base64(key),
        value: base64(value),
        headers: headers ?? [],
      }))
    for (const step of [1, 500, 1_000_000]) assert.deepEqual(readAll(log, step), wanted, `${summary.topic} by ${step}`)
    checked += wanted.length
  }
  return checked
}

describe('golden log directories', () => {
  it('a clean one loads without a byte changed, every record reads back', async () => {
    const before = goldenSet('clean')
    const broker = await load('clean')
    assert.ok(compareRecords(broker, 'clean') > 1000)
    await finish(broker.clock, broker.manager.shutdown())
    const after = filesOf(broker.disk)
    assert.deepEqual(differences(before, after), [])
  })

  it('one left by kill -9 recovers to what the genuine broker makes of it', async () => {
    const broker = await load('killed')
    assert.ok(compareRecords(broker, 'recovered') > 1000)
    await finish(broker.clock, broker.manager.shutdown())
    assert.deepEqual(differences(goldenSet('recovered'), filesOf(broker.disk)), [])
    assert.ok(broker.disk.exists(`${DATA}/.kafka_cleanshutdown`))
  })
})
