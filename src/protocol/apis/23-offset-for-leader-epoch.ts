import { defineApi } from '../api.ts'
import { array, int16, int32, int64, string } from '../schema.ts'

/** OffsetForLeaderEpoch: end offset of a leader epoch (KIP-101). */
export const offsetForLeaderEpoch = defineApi({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: [0, 0],
  clusterAction: true,
  request: {
    topics: array({ topic: string, partitions: array({ partition: int32, leaderEpoch: int32 }) }),
  },
  response: {
    topics: array({
      topic: string,
      partitions: array({ errorCode: int16, partition: int32, endOffset: int64 }),
    }),
  },
})
