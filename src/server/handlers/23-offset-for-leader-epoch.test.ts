import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FetchParams, ReplicaManager } from '../../replication/types.ts'
import { fetch } from './01-fetch.ts'
import { offsetForLeaderEpoch } from './23-offset-for-leader-epoch.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'

test('a leader is told over which connection a follower fetches and asks where epochs end', () => {
  const told: [api: string, connection: number | undefined][] = []
  const replicaManager = {
    fetch: ({ connection }: FetchParams) => void told.push(['fetch', connection]),
    offsetsForLeaderEpoch: (_: unknown, clientId: string, connection: number) => {
      told.push([clientId, connection])
      return { topics: [{ topic: 't', partitions: [] }] }
    },
  } as unknown as ReplicaManager
  const { services, cache } = testBroker({}, { replicaManager })
  updateMetadata(cache, { t: [{ leader: 0, replicas: [0, 1] }] })
  const clientId = 'broker-1-fetcher-0'
  const asked = { topics: [{ topic: 't', partitions: [{ partition: 0, leaderEpoch: 3 }] }] }
  call(offsetForLeaderEpoch, services, asked, { version: 0, clientId, connectionNumber: 6 })
  const wanted = {
    replicaId: 1,
    maxWaitTime: 500,
    minBytes: 1,
    maxBytes: 1000,
    isolationLevel: 0,
    sessionId: 0,
    epoch: -1,
    topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 5, logStartOffset: 0, maxBytes: 1000 }] }],
    forgettenTopicsData: [],
  }
  call(fetch, services, wanted, { version: 7, clientId, connectionNumber: 7 })
  assert.deepEqual(told, [
    [clientId, 6],
    ['fetch', 7],
  ])
})
