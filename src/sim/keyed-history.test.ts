import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyedWrite } from './keyed-history.ts'
import { judgeCompaction } from './keyed-history.ts'
import { judgeRetention } from './retention-check.ts'

function written(...writes: [value: string | null, offset: number | undefined][]): ReadonlyMap<string, readonly KeyedWrite[]> {
  return new Map([['k', writes.map(([value, offset]) => ({ value, offset }))]])
}

function problems(log: [offset: number, value: string | null][], writes: ReturnType<typeof written>): readonly string[] {
  return judgeCompaction(
    log.map(([offset, value]) => ({ offset, key: 'k', value })),
    writes,
  ).problems
}

test('the newest acknowledged value must be there, older ones may', () => {
  const writes = written(['a', 1], ['b', 4])
  assert.deepEqual(problems([[4, 'b']], writes), [])
  assert.deepEqual(
    problems(
      [
        [1, 'a'],
        [4, 'b'],
      ],
      writes,
    ),
    [],
  )
  assert.deepEqual(problems([[1, 'a']], writes), ['k: b was acknowledged at 4, there is a at 1'])
  assert.deepEqual(problems([], writes), ['k: b was acknowledged at 4, there is nothing'])
})

test('a tombstone may be gone, what it deleted may not come back', () => {
  const writes = written(['a', 1], [null, 4])
  assert.deepEqual(problems([[4, null]], writes), [])
  assert.deepEqual(problems([], writes), [])
  assert.deepEqual(problems([[1, 'a']], writes), ['k: deleted at 4, there is a at 1'])
})

test('what was written last and never answered may be there or not', () => {
  const writes = written(['a', 1], ['b', undefined])
  assert.deepEqual(problems([[1, 'a']], writes), [])
  assert.deepEqual(problems([[3, 'b']], writes), [])
  assert.deepEqual(problems([[2, null]], written(['a', 1], [null, undefined])), [])
  assert.deepEqual(problems([], written(['a', 1], [null, undefined])), [])
})

test('what is left lies where it was, and nobody else wrote it', () => {
  assert.deepEqual(problems([[2, 'a']], written(['a', 1])), ['k=a was acknowledged at 1, it is at 2'])
  assert.match(
    problems(
      [
        [1, 'a'],
        [2, 'x'],
      ],
      written(['a', 1]),
    )[0]!,
    /@2 k=x: nobody wrote it there/,
  )
  assert.match(
    problems(
      [
        [4, 'b'],
        [1, 'a'],
      ],
      written(['a', 1], ['b', 4]),
    )[0]!,
    /offset 1 comes after 4/,
  )
})

test('retention leaves what it has to, and takes the rest', () => {
  const rule = { retentionBytes: 5000, segmentBytes: 700, deletedUpTo: 10 }
  const judge = (logStartOffset: number, size: number) => judgeRetention({ logStartOffset, logEndOffset: 200, size }, rule)
  assert.equal(judge(0, 3000), undefined)
  assert.equal(judge(50, 5100), undefined)
  assert.equal(judge(10, 100), undefined)
  assert.match(judge(50, 100)!, /100 bytes are left from 50 on/)
  assert.match(judge(0, 20_000)!, /20000 bytes are there/)
  assert.match(judge(300, 100)!, /starts at 300, ends at 200/)
})
