import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestOf } from '../../protocol/apis/index.ts'
import type { PartitionAppendResult } from '../../replication/types.ts'
import { produce } from './00-produce.ts'
import type { TestBroker } from './testing-broker.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'

function request(acks: number, partitions: readonly (readonly [string, number, string?])[]): RequestOf<'Produce'> {
  return {
    transactionalId: null,
    acks,
    timeout: 100,
    topicData: partitions.map(([topic, partition, records]) => ({
      topic,
      data: [{ partition, recordSet: Buffer.from(records ?? 'ab', 'hex') }],
    })),
  }
}

const appended = (topic: string, partition: number, error = 0): PartitionAppendResult => ({
  topic,
  partition,
  error,
  baseOffset: error === 0 ? 10 : -1,
  logAppendTime: -1,
  logStartOffset: error === 0 ? 0 : -1,
})

function broker(errors: Record<string, number> = {}): TestBroker {
  const made = testBroker()
  const one = [{ leader: 0, replicas: [0] }]
  updateMetadata(made.cache, { a: one, b: one, __consumer_offsets: one })
  made.replicas.appendResults = (entries) =>
    entries.map(({ topic, partition }) => appended(topic, partition, errors[`${topic}-${partition}`]))
  return made
}

const codes = (response: unknown): Record<string, number> => {
  const entries: [string, number][] = []
  for (const { topic, partitionResponses } of (
    response as { responses: { topic: string; partitionResponses: { partition: number; errorCode: number }[] }[] }
  ).responses) {
    for (const { partition, errorCode } of partitionResponses) entries.push([`${topic}-${partition}`, errorCode])
  }
  return Object.fromEntries(entries)
}

test('known topics are appended, the others refused', () => {
  const { services, replicas } = broker()
  const { response } = call(
    produce,
    services,
    request(1, [
      ['a', 0],
      ['nosuch', 0],
      ['b', 1],
      ['__consumer_offsets', 0],
    ]),
    { version: 5 },
  )
  assert.deepEqual(codes(response), { 'a-0': 0, 'b-1': 0, 'nosuch-0': 3, '__consumer_offsets-0': 17 })
  assert.deepEqual(
    replicas.appended.map(({ acks, entries }) => [acks, entries.map(({ topic }) => topic)]),
    [[1, ['a', 'b']]],
  )
})

test('only the admin client writes to internal topics', () => {
  const { services } = broker()
  const { response } = call(produce, services, request(1, [['__consumer_offsets', 0]]), {
    version: 5,
    clientId: '__admin_client',
  })
  assert.deepEqual(codes(response), { '__consumer_offsets-0': 0 })
})

test('acks outside -1, 0, 1: every partition is refused and nothing appended', () => {
  const { services, replicas } = broker()
  for (const acks of [2, -2, 32767]) {
    assert.deepEqual(codes(call(produce, services, request(acks, [['a', 0]]), { version: 3 }).response), { 'a-0': 21 })
  }
  assert.equal(replicas.appended.length, 0)
})

test('acks=0: silence, or the end of the connection', () => {
  const good = broker()
  assert.equal(call(produce, good.services, request(0, [['a', 0]]), { version: 3 }).isSilent, true)
  const failed = broker({ 'a-0': 6 })
  assert.match(call(produce, failed.services, request(0, [['a', 0]]), { version: 3 }).closed ?? '', /a-0 with error 6/)
  assert.match(call(produce, good.services, request(0, [['nosuch', 0]]), { version: 3 }).closed ?? '', /nosuch-0 with error 3/)
  assert.equal(produce.fail(request(0, [['a', 0]]), -1, 3), undefined)
})

test('error 56 is 6 for clients before v4', () => {
  const { services } = broker({ 'a-0': 56 })
  assert.deepEqual(codes(call(produce, services, request(1, [['a', 0]]), { version: 3 }).response), { 'a-0': 6 })
  assert.deepEqual(codes(call(produce, services, request(1, [['a', 0]]), { version: 4 }).response), { 'a-0': 56 })
})

test('of two entries for one partition the last counts', () => {
  const { services, replicas } = broker()
  call(
    produce,
    services,
    request(1, [
      ['a', 0, '01'],
      ['b', 0, '02'],
      ['a', 0, '03'],
    ]),
    { version: 2 },
  )
  assert.deepEqual(
    replicas.appended[0]!.entries.map(({ topic, records }) => `${topic} ${records}`),
    ['b 02', 'a 03'],
  )
})

test('a request without partitions is answered empty', () => {
  const { services } = broker()
  assert.deepEqual(call(produce, services, request(1, []), { version: 5 }).response, { responses: [], throttleTimeMs: 0 })
})

test('one entry per topic, whatever the order', () => {
  const { services } = broker()
  const { response } = call(
    produce,
    services,
    request(1, [
      ['a', 0],
      ['b', 0],
      ['a', 1],
    ]),
    { version: 5 },
  )
  const topics = (response as unknown as { responses: { topic: string }[] }).responses.map(({ topic }) => topic)
  assert.deepEqual(topics, ['a', 'b'])
})
