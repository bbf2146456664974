import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interBrokerVersions } from './versions.ts'

test('versions between brokers follow the inter-broker protocol', () => {
  assert.deepEqual(interBrokerVersions('1.1'), {
    Fetch: 7,
    ListOffsets: 1,
    LeaderAndIsr: 1,
    StopReplica: 0,
    UpdateMetadata: 4,
    ControlledShutdown: 1,
    OffsetForLeaderEpoch: 0,
    WriteTxnMarkers: 0,
  })
  assert.deepEqual(interBrokerVersions('0.8.2'), {
    Fetch: 0,
    ListOffsets: 0,
    LeaderAndIsr: 0,
    StopReplica: 0,
    UpdateMetadata: 0,
    ControlledShutdown: 0,
  })
  const fetch = ['0.9.0', '0.10.0', '0.10.1', '0.10.2', '0.11.0-IV0', '0.11.0', '1.0'].map(
    (name) => interBrokerVersions(name).Fetch,
  )
  assert.deepEqual(fetch, [1, 2, 3, 3, 4, 5, 5])
  const metadata = ['0.9.0', '0.10.0-IV0', '0.10.0', '0.10.2', '1.0'].map((name) => interBrokerVersions(name).UpdateMetadata)
  assert.deepEqual(metadata, [1, 1, 2, 3, 4])
  assert.equal(interBrokerVersions('0.11.0-IV1').OffsetForLeaderEpoch, undefined)
})
