import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { listOffsets } from './02-list-offsets.ts'
import { call, testBroker, testView } from './testing-broker.ts'

type Request = RequestOf<'ListOffsets'>

const request = (partition: number, timestamp: number, more: Partial<Request> = {}): Request => ({
  replicaId: -1,
  isolationLevel: 0,
  topics: [{ topic: 't', partitions: [{ partition, timestamp, maxNumOffsets: 10 }] }],
  ...more,
})

const log = {
  logStartOffset: 2,
  logEndOffset: 20,
  lastStableOffset: 12,
  offsetForTimestamp: (timestamp: number) =>
    timestamp <= 100 ? { timestamp: 100, offset: 11 } : timestamp <= 200 ? { timestamp: 200, offset: 14 } : undefined,
  legacyOffsetsBefore: (timestamp: number, max: number) => (timestamp === -1 ? [20, 16, 10, 2] : [2]).slice(0, max),
}

const { services, replicas } = testBroker()
replicas.views.set('t-0', testView({ highWatermark: 15 }, log))
replicas.views.set('t-1', testView({ isLeader: false, highWatermark: 15 }, log))
replicas.views.set('t-2', testView({ isOffline: true }))
replicas.views.set('t-3', testView({ highWatermark: 15 }, log, { messageFormatMagic: 0 }))

function ask(version: number, wanted: Request): unknown[] {
  const { responses } = call(listOffsets, services, wanted, { version }).response as unknown as {
    responses: { partitionResponses: { errorCode: number; timestamp: number; offset: number; offsets: number[] }[] }[]
  }
  return responses.flatMap(({ partitionResponses }) =>
    partitionResponses.map(({ errorCode, timestamp, offset, offsets }) =>
      version === 0 ? [errorCode, offsets] : [errorCode, timestamp, offset],
    ),
  )
}

test('v1: first and last offset, for consumers the last visible one', () => {
  assert.deepEqual(ask(1, request(0, -2)), [[0, -1, 2]])
  assert.deepEqual(ask(1, request(0, -1)), [[0, -1, 15]])
  assert.deepEqual(ask(2, request(0, -1, { isolationLevel: 1 })), [[0, -1, 12]])
  assert.deepEqual(ask(1, request(0, -1, { replicaId: 1 })), [[0, -1, 20]])
})

test('v1: by time, below the high watermark or the last stable offset', () => {
  assert.deepEqual(ask(1, request(0, 50)), [[0, 100, 11]])
  assert.deepEqual(ask(1, request(0, 150)), [[0, 200, 14]])
  assert.deepEqual(ask(2, request(0, 150, { isolationLevel: 1 })), [[0, -1, -1]])
  assert.deepEqual(ask(1, request(0, 300)), [[0, -1, -1]])
  assert.deepEqual(ask(1, request(3, 50)), [[43, -1, -1]])
})

test('v0: boundaries, those above the high watermark replaced by it', () => {
  assert.deepEqual(ask(0, request(0, -1)), [[0, [15, 10, 2]]])
  assert.deepEqual(ask(0, request(0, -1, { replicaId: 2 })), [[0, [20, 16, 10, 2]]])
  assert.deepEqual(ask(0, request(0, -2)), [[0, [2]]])
  assert.deepEqual(ask(0, request(9, -1)), [[3, []]])
})

test('who may be asked', () => {
  assert.deepEqual(ask(1, request(9, -1)), [[3, -1, -1]])
  assert.deepEqual(ask(1, request(1, -1)), [[6, -1, -1]])
  assert.deepEqual(ask(1, request(2, -1)), [[56, -1, -1]])
  assert.deepEqual(ask(1, request(1, -1, { replicaId: -2 })), [[0, -1, 20]])
  assert.deepEqual(ask(1, request(9, -1, { replicaId: -2 })), [[9, -1, -1]])
})

test('a partition named twice is refused, once', () => {
  const partition = { partition: 0, timestamp: -1, maxNumOffsets: 1 }
  const twice = request(0, -1, { topics: [{ topic: 't', partitions: [partition, partition] }] })
  assert.deepEqual(ask(1, twice), [[42, -1, -1]])
  assert.deepEqual(ask(0, twice), [[0, [15]]])
})
