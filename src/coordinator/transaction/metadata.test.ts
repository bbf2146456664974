import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { golden } from '../../../integration-tests/harness/golden.ts'
import { AssertionError } from '../../base/assert.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { TransactionSnapshot, TransactionState } from './metadata.ts'
import * as steps from './metadata.ts'
import { legalPreviousStates, NO_PARTITIONS, newTransaction, partitionMap, Transaction, transactionStates } from './metadata.ts'
import { decodeKey, decodeValue, encodeBatch, encodeKey, encodeValue, readChanges } from './records.ts'
import {
  coordinatorError,
  decideAdd,
  decideCompletion,
  decideEnd,
  decideInit,
  decideTimeout,
  isExpired,
  needsProducerId,
} from './rules.ts'

const NOW = 1_500_000_000_000
const P = partitionMap([{ topic: 't', partition: 0 }])

function inState(state: TransactionState, producerEpoch = 3): TransactionSnapshot {
  const isOpen = state === 'Ongoing' || state.startsWith('Prepare')
  return {
    ...newTransaction(7, 1000, NOW),
    producerEpoch,
    state,
    partitions: isOpen ? P : NO_PARTITIONS,
    startTimestamp: isOpen ? NOW : -1,
  }
}

describe('transaction states', () => {
  it('every step is taken from its legal states and from no other', () => {
    const into: Record<string, (from: TransactionSnapshot) => TransactionSnapshot> = {
      Empty: (from) => steps.withNextEpoch(from, 1000, NOW),
      Ongoing: (from) => steps.withPartitions(from, P, NOW),
      PrepareCommit: (from) => steps.prepared(from, true, NOW),
      PrepareAbort: (from) => steps.prepared(from, false, NOW),
      CompleteCommit: (from) => steps.completed(from, NOW),
      CompleteAbort: (from) => steps.completed(from, NOW),
      Dead: (from) => steps.dead(from),
      PrepareEpochFence: (from) => steps.fenced(from),
    }
    let taken = 0
    for (const to of transactionStates) {
      for (const from of transactionStates) {
        const step = () => into[to]!(inState(from))
        if (legalPreviousStates[to].includes(from)) {
          assert.equal(step().state, to, `${from} to ${to}`)
          taken++
        } else if (!(to.startsWith('Complete') && from.startsWith('Prepare'))) {
          assert.throws(step, AssertionError, `${from} to ${to}`)
        }
      }
    }
    assert.equal(taken, 16)
    assert.throws(() => steps.completed(inState('PrepareEpochFence'), NOW), AssertionError)
  })

  it('keeps, counts and clears what belongs to each step', () => {
    const first = steps.withNextEpoch(newTransaction(7, 1000, NOW), 2000, NOW + 1)
    assert.deepEqual(
      [first.producerEpoch, first.timeoutMs, first.startTimestamp, first.lastUpdateTimestamp],
      [0, 2000, -1, NOW + 1],
    )
    const open = steps.withPartitions(first, P, NOW + 2)
    const more = steps.withPartitions(open, partitionMap([{ topic: 'u', partition: 1 }]), NOW + 3)
    assert.deepEqual(
      [more.startTimestamp, more.lastUpdateTimestamp, [...more.partitions.keys()]],
      [NOW + 2, NOW + 3, ['t-0', 'u-1']],
    )
    const fenced = steps.prepared(steps.fenced(more), false, NOW + 4)
    assert.deepEqual([fenced.producerEpoch, fenced.startTimestamp], [1, NOW + 2])
    const done = steps.completed(fenced, NOW + 5)
    assert.deepEqual(
      [done.state, done.producerEpoch, done.partitions.size, done.startTimestamp],
      ['CompleteAbort', 1, 0, NOW + 2],
    )
    assert.equal(steps.withPartitions(done, P, NOW + 6).startTimestamp, NOW + 6)
  })

  it('the last epoch is for fencing only', () => {
    assert.equal(steps.isEpochExhausted(inState('Empty', 32765)), false)
    assert.equal(steps.isEpochExhausted(inState('Empty', 32766)), true)
    assert.equal(steps.fenced(inState('Ongoing', 32766)).producerEpoch, 32767)
    assert.equal(steps.fenced(inState('Ongoing', 32767)).producerEpoch, 32767)
    const rotated = steps.withNewProducerId(inState('CompleteAbort', 32767), 99, 500, NOW)
    assert.deepEqual([rotated.producerId, rotated.producerEpoch, rotated.state], [99, 0, 'Empty'])
  })
})

describe('answers by state', () => {
  const by = { producerId: 7, producerEpoch: 3 }
  const outcome = (decision: { error: number } | { next: TransactionSnapshot }): number | string =>
    'error' in decision ? decision.error : decision.next.state
  const { NONE, CONCURRENT_TRANSACTIONS: CONCURRENT, INVALID_TXN_STATE: BAD_STATE } = ErrorCode
  const expected: Record<string, [init: number | string, add: number | string, commit: number | string, abort: number | string]> =
    {
      Empty: ['Empty', 'Ongoing', BAD_STATE, BAD_STATE],
      Ongoing: ['PrepareAbort', NONE, 'PrepareCommit', 'PrepareAbort'],
      PrepareCommit: [CONCURRENT, CONCURRENT, CONCURRENT, BAD_STATE],
      PrepareAbort: [CONCURRENT, CONCURRENT, BAD_STATE, CONCURRENT],
      CompleteCommit: ['Empty', 'Ongoing', NONE, BAD_STATE],
      CompleteAbort: ['Empty', 'Ongoing', BAD_STATE, NONE],
    }
  for (const [state, [init, add, commit, abort]] of Object.entries(expected)) {
    it(state, () => {
      const transaction = new Transaction('id', inState(state as TransactionState))
      assert.equal(outcome(decideInit(transaction, 1000, undefined, NOW)), init)
      assert.equal(outcome(decideAdd(transaction, by, P, NOW)), add)
      assert.equal(outcome(decideEnd(transaction, by, true, NOW)), commit)
      assert.equal(outcome(decideEnd(transaction, by, false, NOW)), abort)
      assert.equal(decideCompletion(transaction, NOW) !== undefined, state.startsWith('Prepare'))
      transaction.begin(transaction.current)
      assert.equal(outcome(decideInit(transaction, 1000, undefined, NOW)), CONCURRENT)
      assert.equal(outcome(decideAdd(transaction, by, P, NOW)), CONCURRENT)
      assert.equal(outcome(decideEnd(transaction, by, true, NOW)), CONCURRENT)
      assert.equal(decideCompletion(transaction, NOW), undefined)
    })
  }

  it('who asks is checked first: producer id, then epoch', () => {
    const transaction = new Transaction('id', inState('PrepareCommit'))
    const other = { producerId: 8, producerEpoch: 0 }
    const older = { producerId: 7, producerEpoch: 2 }
    const newer = { producerId: 7, producerEpoch: 4 }
    for (const decide of [decideAdd, (t: Transaction, who: typeof by) => decideEnd(t, who, true, NOW)]) {
      assert.equal(outcome(decide(transaction, other, P, NOW)), ErrorCode.INVALID_PRODUCER_ID_MAPPING)
      assert.equal(outcome(decide(transaction, older, P, NOW)), ErrorCode.INVALID_PRODUCER_EPOCH)
    }
    assert.equal(outcome(decideAdd(transaction, newer, P, NOW)), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(outcome(decideEnd(new Transaction('id', inState('Empty')), newer, true, NOW)), BAD_STATE)
    assert.equal(outcome(decideEnd(new Transaction('id', inState('Ongoing')), newer, true, NOW)), 'PrepareCommit')
  })

  it('a fence counts while it is being written', () => {
    const transaction = new Transaction('id', inState('Ongoing'))
    const fence = decideInit(transaction, 1000, undefined, NOW)
    assert.ok('next' in fence)
    transaction.begin(fence.next)
    assert.equal(outcome(decideEnd(transaction, by, true, NOW)), ErrorCode.INVALID_PRODUCER_EPOCH)
    assert.equal(outcome(decideAdd(transaction, by, P, NOW)), ErrorCode.INVALID_PRODUCER_EPOCH)
  })

  it('new partitions of an open transaction are written, known ones are not', () => {
    const transaction = new Transaction('id', inState('Ongoing'))
    assert.equal(outcome(decideAdd(transaction, by, partitionMap([{ topic: 't', partition: 1 }]), NOW)), 'Ongoing')
    assert.equal(outcome(decideAdd(transaction, by, NO_PARTITIONS, NOW)), NONE)
    assert.equal(outcome(decideAdd(new Transaction('id', inState('Empty')), by, NO_PARTITIONS, NOW)), 'Ongoing')
  })

  it('time-out, expiry, exhaustion', () => {
    const open = new Transaction('id', inState('Ongoing'))
    assert.equal(decideTimeout(open, NOW + 1000), undefined)
    assert.equal(decideTimeout(open, NOW + 1001)?.producerEpoch, 4)
    assert.equal(isExpired(open, 10, NOW + 1001), false)
    const idle = new Transaction('id', inState('CompleteCommit', 32766))
    assert.equal(isExpired(idle, 10, NOW + 9), false)
    assert.equal(isExpired(idle, 10, NOW + 10), true)
    assert.equal(decideTimeout(idle, NOW + 5000), undefined)
    assert.equal(needsProducerId(idle), true)
    assert.equal(needsProducerId(open), false)
    assert.equal(outcome(decideInit(idle, 1000, undefined, NOW)), CONCURRENT)
    const rotated = decideInit(idle, 1000, 55, NOW)
    assert.ok('next' in rotated && rotated.next.producerId === 55 && rotated.next.producerEpoch === 0)
  })

  it("errors of the append become the coordinator's", () => {
    const codes = [3, 19, 20, 7, 6, 56, 10, 18, 0, -1, 2].map((code) => coordinatorError(code))
    assert.deepEqual(codes, [15, 15, 15, 15, 16, 16, -1, -1, 0, -1, 2])
  })
})

describe('records of __transaction_state', () => {
  interface Line {
    readonly kind: string
    readonly hex: string
    readonly value: Record<string, string | number>
  }
  const lines = readFileSync(golden('wire/groups.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
    .filter(({ kind }) => kind.startsWith('__transaction_state'))

  it('equal those of the genuine serializer', () => {
    assert.equal(lines.length, 9)
    for (const { kind, hex, value } of lines) {
      const bytes = Buffer.from(hex, 'hex')
      if (kind.endsWith('key')) {
        assert.equal(decodeKey(bytes), value['transactionalId'])
        assert.equal(encodeKey(String(value['transactionalId'])).toString('hex'), hex)
        continue
      }
      const snapshot = decodeValue(bytes)
      assert.equal(snapshot.state, value['state'])
      assert.deepEqual(
        [
          snapshot.producerId,
          snapshot.producerEpoch,
          snapshot.timeoutMs,
          snapshot.lastUpdateTimestamp,
          snapshot.startTimestamp,
        ].map(String),
        ['producerId', 'producerEpoch', 'timeout', 'lastUpdateTimestamp', 'startTimestamp'].map((name) => String(value[name])),
      )
      assert.equal(encodeValue(snapshot).toString('hex'), hex)
    }
  })

  it('of a genuine cluster are read and written the same', () => {
    const records = gunzipSync(readFileSync(golden('wire/live/internal-topics.jsonl.gz')))
      .toString('utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { topic: string; key: string; value: string | null })
      .filter(({ topic }) => topic === '__transaction_state')
    assert.ok(records.length >= 8, `${records.length} records`)
    for (const { key, value } of records) {
      assert.equal(encodeKey(decodeKey(Buffer.from(key, 'hex'))).toString('hex'), key)
      if (value !== null) assert.equal(encodeValue(decodeValue(Buffer.from(value, 'hex'))).toString('hex'), value)
    }
  })

  it('a record that cannot be read is told and left out', () => {
    const good = encodeBatch(NOW, [
      ['a', inState('Ongoing')],
      ['b', null],
    ])
    const bad = encodeBatch(NOW, [['c', inState('Empty')]])
    // The status byte stands before the null list and two timestamps, and one byte for the count of headers follows.
    const status = bad.length - 1 - 16 - 4 - 1
    assert.equal(bad[status], 0)
    bad[status] = 9
    const seen: string[] = []
    const faults: string[] = []
    readChanges(
      Buffer.concat([bad, good]),
      (id, snapshot) => seen.push(`${id} ${snapshot?.state ?? 'tombstone'}`),
      (offset, error) => faults.push(`${offset}: ${error.message}`),
    )
    assert.deepEqual(seen, ['a Ongoing', 'b tombstone'])
    assert.deepEqual(faults, ['0: transaction status 9'])
  })
})
