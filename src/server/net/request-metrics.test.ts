import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetricRegistry } from '../../metrics/registry.ts'
import { ApiKey, apis } from '../../protocol/apis/index.ts'
import { EncodedResponse } from '../request-types.ts'
import { ErrorCounts } from './error-counts.ts'
import { RequestMetrics } from './request-metrics.ts'

const REQUEST = 'kafka.network:type=RequestMetrics'

test('the parts of a request make its total; fetches of followers count twice, apart and together', () => {
  const registry = new MetricRegistry()
  const metrics = new RequestMetrics(registry)
  const meter = metrics.meterOf(ApiKey.Fetch, { replicaId: 2 })
  meter.came(100, 0)
  meter.answered({ queueMs: 1, localMs: 2, remoteMs: 30, responseQueueMs: 4, sendMs: 5 }, 0)
  const sumOf = (what: string, request: string) => registry.histogram(`${REQUEST},name=${what},request=${request}`).sum
  const parts = [
    'RequestQueueTimeMs',
    'LocalTimeMs',
    'RemoteTimeMs',
    'ThrottleTimeMs',
    'ResponseQueueTimeMs',
    'ResponseSendTimeMs',
  ]
  for (const request of ['Fetch', 'FetchFollower']) {
    assert.deepEqual(
      parts.map((part) => sumOf(part, request)),
      [1, 2, 30, 0, 4, 5],
    )
    assert.equal(sumOf('TotalTimeMs', request), 42)
  }
  assert.equal(sumOf('TotalTimeMs', 'FetchConsumer'), 0)
  assert.equal(registry.histogram(`${REQUEST},name=ThrottleTimeMs,request=Fetch`).count, 1)
})

test('answers are counted by error, NONE too', () => {
  const registry = new MetricRegistry()
  const metrics = new RequestMetrics(registry)
  const partition = (errorCode: number) => ({ partition: 0, errorCode })
  const produced = { responses: [{ topic: 't', partitionResponses: [partition(0), partition(7), partition(7)] }] }
  metrics.errorsOf(ApiKey.Produce).add(produced)
  metrics.errorsOf(ApiKey.Metadata).add(new EncodedResponse(Buffer.alloc(0), [0, 3]))
  const counted = registry.samples().filter(({ name }) => name.includes('ErrorsPerSec'))
  assert.deepEqual(
    counted.map(({ name, kind, value }) => `${name.slice(REQUEST.length + 1)} ${kind} ${value}`),
    [
      'name=ErrorsPerSec,request=Produce,error=NONE counter 1',
      'name=ErrorsPerSec,request=Produce,error=REQUEST_TIMED_OUT counter 2',
      'name=ErrorsPerSec,request=Metadata,error=NONE counter 1',
      'name=ErrorsPerSec,request=Metadata,error=UNKNOWN_TOPIC_OR_PARTITION counter 1',
    ],
  )
})

test('which codes count: those of the whole answer, else the nearest ones', () => {
  const countsOf = (api: (typeof apis)[keyof typeof apis], response: object) => {
    const counts = new ErrorCounts(api)
    counts.add(response)
    return [...counts.nonZero()].map(([error, count]) => `${error} ${count}`)
  }
  const partitions = [{ topic: 't', partition: 0, errorCode: 6 }]
  assert.deepEqual(countsOf(apis.LeaderAndIsr, { errorCode: 11, partitions }), ['STALE_CONTROLLER_EPOCH 1'])
  const header = (errorCode: number) => ({ partitionHeader: { errorCode }, recordSet: null })
  const fetched = { errorCode: 71, responses: [{ topic: 't', partitionResponses: [header(0), header(6)] }] }
  assert.deepEqual(countsOf(apis.Fetch, fetched), ['NONE 1', 'NOT_LEADER_FOR_PARTITION 1'])
  const topic = { errorCode: 0, partitionMetadata: [{ errorCode: 5 }] }
  assert.deepEqual(countsOf(apis.Metadata, { topicMetadata: [topic] }), ['NONE 1'])
  const markers = [{ topics: [{ topic: 't', partitions: [{ partition: 0, errorCode: 47 }] }] }]
  assert.deepEqual(countsOf(apis.WriteTxnMarkers, { transactionMarkers: markers }), ['INVALID_PRODUCER_EPOCH 1'])
})
