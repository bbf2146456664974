import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { batchSize } from '../../protocol/records/batch.ts'
import type { Steps } from '../../protocol/records/steps.ts'
import { goldenLines } from '../../protocol/testing-golden.ts'
import type { BatchRetention, Filtered } from './batch-filter.ts'
import { filterBatches, nothingFiltered } from './batch-filter.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import { digest, md5 } from './md5.ts'
import { OffsetMap } from './offset-map.ts'
import { decoded } from './testing-cleaner.ts'

/** One run of 1.1.1's filter: a buffer, which records stay, and what came out. */
interface Golden {
  readonly name: string
  readonly in: string
  readonly retain: string
  readonly batchRetention: 'DELETE' | 'RETAIN_EMPTY' | 'DELETE_EMPTY'
  readonly error?: string
  readonly out: string
  readonly messagesRead: number
  readonly bytesRead: number
  readonly messagesRetained: number
  readonly bytesRetained: number
  readonly maxOffset: string
  readonly maxTimestamp: string
  readonly offsetOfMaxTimestamp: string
}

const retentions = { DELETE: 'delete', RETAIN_EMPTY: 'retainEmpty', DELETE_EMPTY: 'deleteEmpty' } as const

/** All steps, with what other threads do waited for. */
async function done(steps: Steps<void>): Promise<void> {
  for (let step = steps.next(); step.done !== true; ) step = steps.next(await step.value)
}

async function filter(golden: Golden): Promise<Filtered> {
  const input = Buffer.from(golden.in, 'hex')
  const result = nothingFiltered(Buffer.alloc(1 << 16))
  const retention: BatchRetention = retentions[golden.batchRetention]
  const rules = {
    checkBatch: () => retention,
    keepRecord: ({ offset, keyLength }: { offset: number; keyLength: number }) =>
      golden.retain === 'all' ||
      (golden.retain === 'odd offsets' && offset % 2 === 1) ||
      (golden.retain === 'keyed' && keyLength >= 0),
  }
  await done(filterBatches(input, input.length, rules, result))
  return result
}

const goldens = goldenLines<Golden>('compaction.jsonl.gz')

describe('the filter of the cleaner, against 1.1.1', () => {
  it('is compared in 1,044 cases', () => {
    assert.equal(goldens.length, 1044)
  })

  for (const retain of ['all', 'odd offsets', 'none', 'keyed']) {
    it(`keeping ${retain}`, async () => {
      for (const golden of goldens.filter((one) => one.retain === retain)) {
        const about = `${golden.name}, ${golden.retain}, ${golden.batchRetention}`
        if (golden.error !== undefined) {
          await assert.rejects(filter(golden), /Empty batches are only supported/, about)
          continue
        }
        const got = await filter(golden)
        const [out, wanted] = [got.output.subarray(0, got.length), Buffer.from(golden.out, 'hex')]
        assert.deepEqual(decoded(out), decoded(wanted), about)
        const { messagesRead, bytesRead, messagesRetained, maxOffset, maxTimestamp: timestamp, offsetOfMaxTimestamp } = got
        assert.deepEqual(
          { messagesRead, bytesRead, messagesRetained, maxOffset, timestamp, offsetOfMaxTimestamp },
          {
            messagesRead: golden.messagesRead,
            bytesRead: golden.bytesRead,
            messagesRetained: golden.messagesRetained,
            maxOffset: Number(golden.maxOffset),
            timestamp: Number(golden.maxTimestamp),
            offsetOfMaxTimestamp: Number(golden.offsetOfMaxTimestamp),
          },
          about,
        )
        if (out.equals(wanted)) assert.equal(got.bytesRetained, golden.bytesRetained, about)
      }
    })
  }

  it('stops after the batch with which the output outgrows its buffer', async () => {
    const { in: hex } = goldens.find(({ name }) => name === 'three v2 batches')!
    const input = Buffer.from(hex, 'hex')
    const first = batchSize(input, 0)
    const result = nothingFiltered(Buffer.alloc(first + 1))
    await done(filterBatches(input, input.length, { checkBatch: () => 'deleteEmpty', keepRecord: () => true }, result))
    assert.ok(result.isFull)
    assert.equal(result.bytesRead, first + batchSize(input, first))
    assert.ok(result.output.subarray(0, result.length).equals(input.subarray(0, result.bytesRead)))
  })
})

describe('MD5', () => {
  it('is what OpenSSL computes, for every length around the block boundaries', () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = Buffer.from(Array.from({ length: length + 3 }, (_, i) => (i * 131 + length) & 0xff))
      md5(bytes, 3, length)
      const wanted = createHash('md5').update(bytes.subarray(3)).digest('hex')
      assert.equal(Buffer.from(digest.buffer, 0, 16).toString('hex'), wanted, `${length} bytes`)
    }
  })
})

describe('the offset map', () => {
  const key = (n: number) => Buffer.from(`key-${n}`)

  function put(map: OffsetMap, n: number, offset: number): void {
    if (map.mustGrow) for (const _ of map.grow());
    const bytes = key(n)
    map.put(bytes, 0, bytes.length, offset)
  }

  it('knows the last offset of every key, also after it has grown', () => {
    const map = new OffsetMap(24 * 400_000)
    for (let n = 0; n < 150_000; n++) put(map, n, n)
    for (let n = 0; n < 150_000; n += 3) put(map, n, 200_000 + n)
    assert.equal(map.size, 150_000)
    assert.equal(map.latestOffset, 200_000 + 149_997)
    for (let n = 0; n < 150_000; n += 7) assert.equal(map.get(key(n), 0, key(n).length), n % 3 === 0 ? 200_000 + n : n)
    assert.equal(map.get(key(-1), 0, 6), -1)
    map.clear()
    assert.equal(map.get(key(0), 0, 5), -1)
  })

  it('takes no memory before its first key, and answers then too', () => {
    const map = new OffsetMap(24 * 400_000)
    assert.equal(map.get(key(1), 0, key(1).length), -1)
    map.clear()
    assert.equal(map.mustGrow, true)
    put(map, 1, 7)
    assert.deepEqual([map.mustGrow, map.get(key(1), 0, key(1).length), map.get(key(2), 0, key(2).length)], [false, 7, -1])
  })

  it('has as many slots as 24 bytes fit into the memory', () => {
    assert.equal(new OffsetMap(2_000_000).slots, 83333)
    assert.equal(new OffsetMap(134217728).slots, 5592405)
  })
})

describe('transactions as the cleaner sees them', () => {
  const aborted = { producerId: 7, firstOffset: 10, lastOffset: 20, lastStableOffset: 21 }

  it('lets the data of an aborted transaction go, its marker only when no data went by', () => {
    const kept: number[] = []
    const transactions = new CleanedTransactions([aborted], ({ firstOffset }) => void kept.push(firstOffset))
    assert.equal(transactions.onData(7, true, 9), false)
    assert.equal(transactions.onData(7, true, 12), true)
    assert.equal(transactions.onData(8, true, 13), false)
    assert.equal(transactions.onMarker(7, false, false, 20), false)
    assert.deepEqual(kept, [10])
    assert.equal(transactions.onMarker(8, true, false, 21), false)
    assert.equal(transactions.onMarker(8, true, false, 22), true)
    assert.equal(new CleanedTransactions([aborted]).onMarker(7, false, false, 20), true)
  })

  it('lets an empty control batch go and keeps one of an unknown kind', () => {
    const transactions = new CleanedTransactions([])
    assert.equal(transactions.onMarker(7, undefined, true, 5), true)
    assert.equal(transactions.onMarker(7, undefined, false, 6), false)
  })
})
