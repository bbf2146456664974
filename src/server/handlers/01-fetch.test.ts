import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordsCutError } from '../../log/records-cut.ts'
import type { RecordsSlice } from '../../log/types.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import type { FetchPartitionResult } from '../../replication/types.ts'
import { fetch } from './01-fetch.ts'
import type { TestBroker } from './testing-broker.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'

type Request = RequestOf<'Fetch'>

function request(topics: readonly string[], more: Partial<Request> = {}): Request {
  return {
    replicaId: -1,
    maxWaitTime: 100,
    minBytes: 1,
    maxBytes: 1000,
    isolationLevel: 0,
    sessionId: 0,
    epoch: -1,
    topics: topics.map((topic) => ({ topic, partitions: [{ partition: 0, fetchOffset: 5, logStartOffset: -1, maxBytes: 100 }] })),
    forgettenTopicsData: [],
    ...more,
  }
}

function slice(text: string, cold = false): RecordsSlice {
  const bytes = Buffer.from(text)
  return {
    size: bytes.length,
    cold,
    copyTo: (target, offset) => {
      assert.equal(cold, false, 'cold data is loaded first')
      target.set(bytes, offset)
    },
    load: async () => slice(text),
  }
}

const found = (topic: string, text: string, more: Partial<FetchPartitionResult> = {}): FetchPartitionResult => ({
  topic,
  partition: 0,
  error: 0,
  highWatermark: 9,
  lastStableOffset: 7,
  logStartOffset: 1,
  records: text === '' ? undefined : slice(text),
  abortedTransactions: undefined,
  ...more,
})

function broker(): TestBroker {
  const made = testBroker()
  updateMetadata(made.cache, { a: [{ leader: 0, replicas: [0] }], b: [{ leader: 0, replicas: [0] }] })
  return made
}

/** Header and records of every partition of an answer. */
function shown(response: unknown): unknown[] {
  const { responses } = response as {
    responses: {
      topic: string
      partitionResponses: { partitionHeader: Record<string, unknown>; recordSet: Buffer | RecordsSlice | null }[]
    }[]
  }
  return responses.flatMap(({ topic, partitionResponses }) =>
    partitionResponses.map(({ partitionHeader: header, recordSet }) => {
      const bytes = Buffer.alloc(
        recordSet === null ? 0 : 'size' in recordSet ? (recordSet as RecordsSlice).size : (recordSet as Buffer).length,
      )
      if (recordSet !== null) 'copyTo' in recordSet ? recordSet.copyTo(bytes, 0) : recordSet.copy(bytes)
      return [
        topic,
        header['errorCode'],
        header['highWatermark'],
        header['lastStableOffset'],
        header['abortedTransactions'],
        bytes.toString(),
      ]
    }),
  )
}

test('what the request asks is what is read', () => {
  const { services, replicas } = broker()
  replicas.fetchResults = ({ partitions }) => partitions.map(({ topic }) => found(topic, 'data'))
  const { response } = call(fetch, services, request(['a', 'b']), { version: 4, connectionNumber: 7 })
  const { partitions, ...params } = replicas.fetched[0]!
  assert.deepEqual(params, {
    replicaId: -1,
    connection: 7,
    maxWaitMs: 100,
    minBytes: 1,
    maxBytes: 1000,
    minOneMessage: true,
    isolation: 'readUncommitted',
    resting: undefined,
  })
  assert.deepEqual(
    partitions.map(({ topic, fetchOffset, maxBytes }) => [topic, fetchOffset, maxBytes]),
    [
      ['a', 5, 100],
      ['b', 5, 100],
    ],
  )
  assert.deepEqual(shown(response), [
    ['a', 0, 9, -1, null, 'data'],
    ['b', 0, 9, -1, null, 'data'],
  ])
  call(fetch, services, request(['a']), { version: 2 })
  assert.equal(replicas.fetched[1]!.minOneMessage, false)
})

test('read_committed carries the last stable offset and a list of aborted transactions', () => {
  const { services, replicas } = broker()
  replicas.fetchResults = () => [found('a', 'x', { abortedTransactions: [{ producerId: 1, firstOffset: 2 }] }), found('b', '')]
  const { response } = call(fetch, services, request(['a', 'b'], { isolationLevel: 1 }), { version: 4 })
  assert.equal(replicas.fetched[0]!.isolation, 'readCommitted')
  assert.deepEqual(shown(response), [
    ['a', 0, 9, 7, [{ producerId: 1, firstOffset: 2 }], 'x'],
    ['b', 0, 9, 7, [], ''],
  ])
})

test('unknown topics come last and are not read; alone they are answered at once', () => {
  const { services, replicas } = broker()
  replicas.fetchResults = ({ partitions }) => partitions.map(({ topic }) => found(topic, 'x'))
  const { response } = call(fetch, services, request(['nosuch', 'a']), { version: 4 })
  assert.deepEqual(shown(response), [
    ['a', 0, 9, -1, null, 'x'],
    ['nosuch', 3, -1, -1, null, ''],
  ])
  assert.deepEqual(shown(call(fetch, services, request(['nosuch']), { version: 4 }).response), [['nosuch', 3, -1, -1, null, '']])
  assert.equal(replicas.fetched.length, 1)
})

test('error 56 is 6 for readers before v6', () => {
  const { services, replicas } = broker()
  replicas.fetchResults = () => [found('a', '', { error: 56, highWatermark: -1 })]
  assert.deepEqual(shown(call(fetch, services, request(['a']), { version: 5 }).response), [['a', 6, -1, -1, null, '']])
  assert.deepEqual(shown(call(fetch, services, request(['a']), { version: 6 }).response), [['a', 56, -1, -1, null, '']])
})

test('cold data is loaded before the answer', async () => {
  const { services, replicas } = broker()
  replicas.fetchResults = () => [found('a', '', { records: slice('cold', true) }), found('b', 'warm')]
  const running = call(fetch, services, request(['a', 'b']), { version: 4 })
  assert.equal(running.response, undefined)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(shown(running.response), [
    ['a', 0, 9, -1, null, 'cold'],
    ['b', 0, 9, -1, null, 'warm'],
  ])
})

test('cold data that are cut off while they are loaded: that partition alone is refused, as by a follower', async () => {
  const { services, replicas } = broker()
  const cut = { ...slice('cold', true), load: () => Promise.reject(new RecordsCutError('a-0')) }
  replicas.fetchResults = () => [found('a', '', { records: cut }), found('b', 'warm')]
  const running = call(fetch, services, request(['a', 'b']), { version: 4 })
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(shown(running.response), [
    ['a', 6, -1, -1, null, ''],
    ['b', 0, 9, -1, null, 'warm'],
  ])
})

test('a waiting fetch ends with its connection', () => {
  const { services, replicas } = broker()
  const running = call(fetch, services, request(['a']), { version: 4 })
  running.abort()
  assert.equal(replicas.cancelled, 1)
})

test('sessions: the second answer holds what changed', () => {
  const { services, replicas } = broker()
  replicas.fetchResults = ({ partitions }) => partitions.map(({ topic }) => found(topic, topic === 'b' ? 'x' : ''))
  const first = call(fetch, services, request(['a', 'b'], { epoch: 0 }), { version: 7 }).response as { sessionId: number }
  assert.ok(first.sessionId > 0)
  assert.equal(shown(first).length, 2)
  const second = call(fetch, services, request([], { sessionId: first.sessionId, epoch: 1 }), { version: 7 }).response
  assert.deepEqual(shown(second), [['b', 0, 9, -1, null, 'x']])
  assert.deepEqual(call(fetch, services, request([], { sessionId: first.sessionId, epoch: 1 }), { version: 7 }).response, {
    errorCode: 71,
    sessionId: 0,
    responses: [],
  })
  assert.deepEqual(call(fetch, services, request([], { sessionId: 999, epoch: 1 }), { version: 7 }).response, {
    errorCode: 70,
    sessionId: 0,
    responses: [],
  })
})
